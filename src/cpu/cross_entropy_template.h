/* Template (A, N, F): rows of cross-entropy. A row is walked in chunks, so that conversions and
 * gradients in place need only a little memory of the stack; the sums of chunks are joined in f64.
 */

/* x[i], as A. */
static inline A N(element)(const wgi_rows *r, const void *row, int64_t i)
{
    A value;
    return *N(load)((const char *)row + i * r->step * r->bytes, r->type, 1, 1, &value);
}

/* Elements [at, at + n) of a row, as A. */
static inline const A *N(chunk)(const wgi_rows *r, const void *row, int64_t at, int64_t n, A *space)
{
    return N(load)((const char *)row + at * r->step * r->bytes, r->type, r->step, n, space);
}

/* Only the target's class has mass. */
static inline bool N(one_mass)(const wgi_cross_entropy *c)
{
    return c->target && c->smoothing == 0;
}

/* The masses b of the n classes from the at-th of the logits on, in row r. */
static void N(masses)(const wgi_cross_entropy *c, int64_t r, int64_t at, int64_t n, A *b)
{
    const A *weight = c->weight;
    const A keep = (A)(1 - c->smoothing), spread = (A)(c->smoothing / (double)c->classes);
    if (c->target) {
        const int64_t t = c->target[r] - c->from - at;
        for (int64_t i = 0; i < n; i++) b[i] = spread;
        if (t >= 0 && t < n) b[t] += keep;
    } else {
        A space[CHUNK];
        const A *p = N(chunk)(&c->probs, wgi_row_at(&c->probs, r), at, n, space);
        for (int64_t i = 0; i < n; i++) b[i] = p[i] * keep + spread;
    }
    if (weight)
        for (int64_t i = 0; i < n; i++) b[i] *= weight[at + i];
}

static double N(all_masses)(const wgi_cross_entropy *c, int64_t r)
{
    if (c->target && !c->weight) return 1;
    A b[CHUNK];
    double sum = 0;
    for (int64_t at = 0; at < c->logits.n; at += CHUNK) {
        const int64_t n = c->logits.n - at < CHUNK ? c->logits.n - at : CHUNK;
        N(masses)(c, r, at, n, b);
        sum += (double)N(sum)(b, n);
    }
    return sum;
}

/* sum_j b_j (m - x_j) and sum_j b_j, added to p. */
static void N(all_gaps)(const wgi_cross_entropy *c, int64_t r, const void *row, A m,
                        wgi_loss_part *p)
{
    A b[CHUNK], space[CHUNK], gap[CHUNK];
    for (int64_t at = 0; at < c->logits.n; at += CHUNK) {
        const int64_t n = c->logits.n - at < CHUNK ? c->logits.n - at : CHUNK;
        const A *x = N(chunk)(&c->logits, row, at, n, space);
        N(masses)(c, r, at, n, b);
        for (int64_t i = 0; i < n; i++) gap[i] = m - x[i];
        p->gap += (double)N(dot)(b, gap, n);
        p->mass += (double)N(sum)(b, n);
    }
}

static wgi_loss_part N(row_part)(const wgi_cross_entropy *c, int64_t r)
{
    const wgi_rows *x = &c->logits;
    const void *row = wgi_row_at(x, r);
    A space[CHUNK], max = (A)-INFINITY;
    wgi_loss_part p = { 0 };
    for (int64_t at = 0; at < x->n; at += CHUNK) {
        const int64_t n = x->n - at < CHUNK ? x->n - at : CHUNK;
        const A m = N(max)(N(chunk)(x, row, at, n, space), n);
        max = m > max ? m : max;
    }
    const A from = max > (A)-INFINITY ? max : 0; /* all -inf: sum 0; NaNs: NaN */
    for (int64_t at = 0; at < x->n; at += CHUNK) {
        const int64_t n = x->n - at < CHUNK ? x->n - at : CHUNK;
        p.sum += (double)N(sum_exp)(N(chunk)(x, row, at, n, space), from, n);
    }
    p.max = (double)max;
    if (!N(one_mass)(c)) {
        N(all_gaps)(c, r, row, from, &p);
    } else if (c->target[r] >= c->from && c->target[r] < c->from + x->n) {
        p.mass = c->weight ? (double)((const A *)c->weight)[c->target[r]] : 1;
        p.gap = p.mass * ((double)from - (double)N(element)(x, row, c->target[r] - c->from));
    }
    return p;
}

static bool N(counts)(const wgi_cross_entropy *c, int64_t r)
{
    return !c->target || c->target[r] != c->ignore;
}

static void N(part)(void *self, int64_t first, int64_t last, int64_t strip)
{
    const wgi_cross_entropy *c = self;
    (void)strip;
    for (int64_t r = first; r < last; r++)
        c->parts[r] = N(counts)(c, r) ? N(row_part)(c, r) : WGI_NO_LOSS_PART;
}

static void N(forward)(void *self, int64_t first, int64_t last, int64_t strip)
{
    const wgi_cross_entropy *c = self;
    A *loss = c->loss, *lse = c->lse;
    (void)strip;
    for (int64_t r = first; r < last; r++) {
        loss[r] = lse[r] = 0;
        if (!N(counts)(c, r)) continue;
        const wgi_row_loss e = wgi_loss_of(N(row_part)(c, r));
        loss[r] = (A)e.loss;
        lse[r] = (A)e.lse;
    }
}

/* dx = a exp(x - lse) - g b */
static inline void N(spread_gradient)(const A *restrict x, const A *restrict b, A *restrict dx,
                                      int64_t n, A lse, A a, A g)
{
    for (int64_t i = 0; i < n; i++) dx[i] = a * F(exp)(x[i] - lse) - g * b[i];
}

static inline void N(plain_gradient)(const A *restrict x, A *restrict dx, int64_t n, A lse, A a)
{
    for (int64_t i = 0; i < n; i++) dx[i] = a * F(exp)(x[i] - lse);
}

static void N(zero_row)(const wgi_rows *d, void *row)
{
    const A zeros[CHUNK] = { 0 };
    for (int64_t at = 0; at < d->n; at += CHUNK) N(put)
    (zeros, (char *)row + at * d->step * d->bytes, d->type, d->step,
     d->n - at < CHUNK ? d->n - at : CHUNK, false);
}

static void N(row_backward)(const wgi_cross_entropy *c, int64_t r)
{
    A space[CHUNK], own[CHUNK], b[CHUNK];
    const bool one = N(one_mass)(c);
    const int64_t target = c->target ? c->target[r] - c->from : -1;
    const A lse = ((const A *)c->lse)[r], g = ((const A *)c->scale)[r], *weight = c->weight;
    const A all = !one ? (A)N(all_masses)(c, r) : weight ? weight[c->target[r]] : 1;
    const char *row = wgi_row_at(&c->logits, r);
    const wgi_rows *d = &c->dlogits;
    char *to = wgi_row_at(d, r);
    for (int64_t at = 0; at < c->logits.n; at += CHUNK) {
        const int64_t n = c->logits.n - at < CHUNK ? c->logits.n - at : CHUNK;
        const A *x = N(chunk)(&c->logits, row, at, n, space);
        char *place = to + at * d->step * d->bytes;
        A *dx = N(place)(place, d->type, d->step, c->accumulate, own);
        if (x == dx) x = memcpy(space, x, (size_t)n * sizeof *x);
        if (one) {
            N(plain_gradient)(x, dx, n, lse, g * all);
            if (target >= at && target < at + n) dx[target - at] -= g * all;
        } else {
            N(masses)(c, r, at, n, b);
            N(spread_gradient)(x, b, dx, n, lse, g * all, g);
        }
        N(put)(dx, place, d->type, d->step, n, c->accumulate);
    }
}

static void N(backward)(void *self, int64_t first, int64_t last, int64_t strip)
{
    const wgi_cross_entropy *c = self;
    (void)strip;
    for (int64_t r = first; r < last; r++) {
        if (N(counts)(c, r))
            N(row_backward)(c, r);
        else if (!c->accumulate)
            N(zero_row)(&c->dlogits, wgi_row_at(&c->dlogits, r));
    }
}
