/* Template (A, N, F): a tile of an optimizer's step. Operands that are contiguous A are changed where they lie, others in
 * a copy on the stack that is rounded once when it is put back. Orders of operations are PyTorch's. */

/* Operand k of the tile, to be changed. */
static inline A *N(operand)(const wgi_tile *t, int k, A *space)
{
    return (A *)(uintptr_t)N(load)(t->p[k], t->type[k], t->step[k], t->n, space);
}

static inline void N(put_back)(const wgi_tile *t, int k, const A *from)
{
    N(put)(from, t->p[k], t->type[k], t->step[k], t->n, false);
}

static void N(adam)(void *self, const wgi_tile *t)
{
    const wgi_adam_numbers *k = self;
    A space[4][WGI_TILE];
    A *restrict p = N(operand)(t, 0, space[0]);
    const A *restrict g = N(operand)(t, 1, space[1]);
    A *restrict m = N(operand)(t, 2, space[2]), *restrict v = N(operand)(t, 3, space[3]);
    const A keep = (A)k->keep, decay = (A)k->decay, rest1 = (A)(1 - k->beta1), beta2 = (A)k->beta2;
    const A rest2 = (A)(1 - k->beta2), eps = (A)k->eps, step = (A)k->step_size,
            root = (A)k->root_factor;
    for (int64_t i = 0; i < t->n; i++) {
        const A q = p[i] * keep, d = g[i] + decay * p[i];
        m[i] += (d - m[i]) * rest1;
        v[i] = v[i] * beta2 + rest2 * d * d;
        p[i] = q - step * (m[i] / (F(sqrt)(v[i]) * root + eps));
    }
    N(put_back)(t, 0, p);
    N(put_back)(t, 2, m);
    N(put_back)(t, 3, v);
}

static void N(sgd)(void *self, const wgi_tile *t)
{
    const wgi_sgd_numbers *k = self;
    A space[2][WGI_TILE];
    A *restrict p = N(operand)(t, 0, space[0]);
    const A *restrict g = N(operand)(t, 1, space[1]);
    const A lr = (A)k->lr, decay = (A)k->decay;
    for (int64_t i = 0; i < t->n; i++) p[i] -= lr * (g[i] + decay * p[i]);
    N(put_back)(t, 0, p);
}

static void N(sgd_momentum)(void *self, const wgi_tile *t)
{
    const wgi_sgd_numbers *k = self;
    A space[3][WGI_TILE];
    A *restrict p = N(operand)(t, 0, space[0]), *restrict m = N(operand)(t, 2, space[2]);
    const A *restrict g = N(operand)(t, 1, space[1]);
    const A lr = (A)k->lr, decay = (A)k->decay, momentum = (A)k->momentum,
            undamped = (A)k->undamped;
    const A own = k->nesterov ? 1 : 0, ahead = k->nesterov ? momentum : 1;
    for (int64_t i = 0; i < t->n; i++) {
        const A d = g[i] + decay * p[i];
        m[i] = momentum * m[i] + undamped * d;
        p[i] -= lr * (own * d + ahead * m[i]);
    }
    N(put_back)(t, 0, p);
    N(put_back)(t, 2, m);
}

static void N(lion)(void *self, const wgi_tile *t)
{
    const wgi_lion_numbers *k = self;
    A space[3][WGI_TILE];
    A *restrict p = N(operand)(t, 0, space[0]), *restrict m = N(operand)(t, 2, space[2]);
    const A *restrict g = N(operand)(t, 1, space[1]);
    const A lr = (A)k->lr, keep = (A)k->keep, beta1 = (A)k->beta1, rest1 = (A)(1 - k->beta1);
    const A beta2 = (A)k->beta2, rest2 = (A)(1 - k->beta2);
    for (int64_t i = 0; i < t->n; i++) {
        p[i] = p[i] * keep - lr * F(sign)(beta1 * m[i] + rest1 * g[i]);
        m[i] = beta2 * m[i] + rest2 * g[i];
    }
    N(put_back)(t, 0, p);
    N(put_back)(t, 2, m);
}

/* Adds to the tile's sum; a tile may come in several runs, in order. */
static void N(squares)(void *self, const wgi_tile *t)
{
    double *sums = self, lane[WGI_VD], sum = 0;
    A space[WGI_TILE];
    const A *x = N(load)(t->p[0], t->type[0], t->step[0], t->n, space);
    wgi_vd s[4] = { wgi_vd_set(0), wgi_vd_set(0), wgi_vd_set(0), wgi_vd_set(0) };
    int64_t i = 0;
    for (; i + 4 * WGI_VD <= t->n; i += 4 * WGI_VD)
        for (int v = 0; v < 4; v++) {
            const wgi_vd y = N(widened)(x + i + v * WGI_VD);
            s[v] = wgi_vd_fma(y, y, s[v]);
        }
    for (; i < t->n; i++) sum += (double)x[i] * (double)x[i];
    wgi_vd_store(lane, (s[0] + s[1]) + (s[2] + s[3]));
    for (int width = WGI_VD / 2; width > 0; width /= 2)
        for (int l = 0; l < width; l++) lane[l] += lane[l + width];
    sums[t->tile] += lane[0] + sum;
}

static void N(scale)(void *self, const wgi_tile *t)
{
    const A factor = (A) * (const double *)self;
    A space[WGI_TILE];
    A *restrict x = N(operand)(t, 0, space);
    for (int64_t i = 0; i < t->n; i++) x[i] *= factor;
    N(put_back)(t, 0, x);
}
