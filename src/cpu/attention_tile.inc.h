/* Template (R, RTYPE, VEC, VL, NAME, V(op)): products of tiles, packing, and the passes over a row of scores.
 * A panel is NR columns of a right-hand operand, (k, NR), so that a product reads it in order. */

/* c (rows, vecs * VL) = [c +] a b; rows and vecs are constants where this is inlined. */
static inline __attribute__((always_inline)) void NAME(micro)(const int rows, const int vecs,
                                                              int64_t k, const R *a, int64_t ra,
                                                              int64_t ca, const R *b, int64_t ldb,
                                                              R *c, int64_t ldc, bool add)
{
    VEC sum[MR][2];
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vecs; v++) sum[i][v] = add ? V(load)(c + i * ldc + v * VL) : V(set)(0);
    for (int64_t l = 0; l < k; l++) {
        VEC right[2];
        for (int v = 0; v < vecs; v++) right[v] = V(load)(b + l * ldb + v * VL);
        for (int i = 0; i < rows; i++) {
            const VEC left = V(set)(a[i * ra + l * ca]);
            for (int v = 0; v < vecs; v++) sum[i][v] = V(fma)(left, right[v], sum[i][v]);
        }
    }
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vecs; v++) V(store)(c + i * ldc + v * VL, sum[i][v]);
}

static inline __attribute__((always_inline)) void NAME(strip)(const int vecs, int64_t rows,
                                                              int64_t k, const R *a, int64_t ra,
                                                              int64_t ca, const R *b, int64_t ldb,
                                                              R *c, int64_t ldc, bool add)
{
    switch (rows) {
    case 1: NAME(micro)(1, vecs, k, a, ra, ca, b, ldb, c, ldc, add); break;
    case 2: NAME(micro)(2, vecs, k, a, ra, ca, b, ldb, c, ldc, add); break;
    case 3: NAME(micro)(3, vecs, k, a, ra, ca, b, ldb, c, ldc, add); break;
    case 4: NAME(micro)(4, vecs, k, a, ra, ca, b, ldb, c, ldc, add); break;
#if MR > 4
    case 5: NAME(micro)(5, vecs, k, a, ra, ca, b, ldb, c, ldc, add); break;
    case 6: NAME(micro)(6, vecs, k, a, ra, ca, b, ldb, c, ldc, add); break;
#endif
#if MR > 6
    case 7: NAME(micro)(7, vecs, k, a, ra, ca, b, ldb, c, ldc, add); break;
    case 8: NAME(micro)(8, vecs, k, a, ra, ca, b, ldb, c, ldc, add); break;
#endif
    default: break;
    }
}

/* c (m, n) = [c +] a (m, k) b (k, n); n a multiple of VL; `panel` elements from one panel of b to the next. Rows are
 * dealt out evenly among strips of at most MR. */
static void NAME(product)(int64_t m, int64_t n, int64_t k, const R *a, int64_t ra, int64_t ca,
                          const R *b, int64_t ldb, int64_t panel, R *c, int64_t ldc, bool add)
{
    const int64_t strips = (m + MR - 1) / MR;
    for (int64_t j = 0; j < n; j += NR) {
        const R *right = b + j / NR * panel;
        for (int64_t s = 0, i = 0, next; s < strips; s++, i = next) {
            next = (s + 1) * m / strips;
            if (n - j >= NR) NAME(strip)
            (2, next - i, k, a + i * ra, ra, ca, right, ldb, c + i * ldc + j, ldc, add);
            else NAME(strip)(1, next - i, k, a + i * ra, ra, ca, right, ldb, c + i * ldc + j, ldc,
                             add);
        }
    }
}

/* The same, by the call's own product where it has one. */
static void NAME(multiply)(const wgi_attention *g, int64_t m, int64_t n, int64_t k, const R *a,
                           int64_t ra, int64_t ca, const R *b, int64_t ldb, int64_t panel, R *c,
                           int64_t ldc, bool add)
{
#ifdef OWN_PRODUCT
    if (OWN_PRODUCT(g) && k > 0) {
        OWN_PRODUCT(g)(m, n, k, a, ra, ca, b, ldb, panel, c, ldc, add);
        return;
    }
#endif
    (void)g;
    NAME(product)(m, n, k, a, ra, ca, b, ldb, panel, c, ldc, add);
}

/* ---- operands in and out ---------------------------------------------------------------------------------- */
static int64_t NAME(padded)(int64_t n) /* columns: whole vectors at every level */
{
    return (n + PAD - 1) / PAD * PAD;
}
static int64_t NAME(panels)(int64_t n) /* the padded columns in whole panels */
{
    return (NAME(padded)(n) + NR - 1) / NR * NR;
}

/* Rows of a head are short: a call for each would cost as much as the copy. */
static inline void NAME(copy)(R *restrict to, const R *restrict from, int64_t n)
{
    int64_t c = 0;
    for (; c + VL <= n; c += VL) V(store)(to + c, V(load)(from + c));
    for (; c < n; c++) to[c] = from[c];
}

static inline bool NAME(is_plain)(const wgi_operand *o)
{
    return o->type == RTYPE && o->stride[3] == 1;
}

static inline void NAME(load_row)(R *to, const wgi_operand *o, int64_t b, int64_t h, int64_t i,
                                  int64_t j, int64_t n)
{
    const char *p = row_at(o, b, h, i) + (size_t)(j * o->stride[3]) * o->size;
    if (NAME(is_plain)(o) || (n == 1 && o->type == RTYPE))
        NAME(copy)(to, (const R *)p, n);
    else
        load_converted(to, RTYPE, o, p, n);
}

/* Rows [i, i + n) of width d into to (n, padded(d)), zeros behind them, up to `total` rows. */
static void NAME(load_rows)(R *to, const wgi_operand *o, int64_t b, int64_t h, int64_t i, int64_t n,
                            int64_t d, int64_t total)
{
    const int64_t ld = NAME(padded)(d);
    for (int64_t l = 0; l < n; l++) {
        NAME(load_row)(to + l * ld, o, b, h, i + l, 0, d);
        for (int64_t c = d; c < ld; c++) to[l * ld + c] = 0;
    }
    if (total > n) memset(to + n * ld, 0, (size_t)((total - n) * ld) * sizeof(R));
}

static void NAME(add_converted)(const wgi_operand *o, char *p, const R *from, int64_t n)
{
    R sum[PIECE];
    for (int64_t c = 0; c < n; c += PIECE) {
        const int64_t m = n - c < PIECE ? n - c : PIECE;
        char *at = p + (size_t)(c * o->stride[3]) * o->size;
        load_converted(sum, RTYPE, o, at, m);
        for (int64_t l = 0; l < m; l++) sum[l] += from[c + l];
        store_converted(o, at, sum, RTYPE, m);
    }
}

static inline void NAME(store_row)(const wgi_operand *o, int64_t b, int64_t h, int64_t i,
                                   const R *from, int64_t n, bool add)
{
    char *p = row_at(o, b, h, i);
    R *to = (R *)p;
    if (!NAME(is_plain)(o) && add)
        NAME(add_converted)(o, p, from, n);
    else if (!NAME(is_plain)(o))
        store_converted(o, p, from, RTYPE, n);
    else if (!add)
        NAME(copy)(to, from, n);
    else
        for (int64_t c = 0; c < n; c++) to[c] += from[c];
}

/* One panel (padded(d), NR) of the transpose of rows (NR, padded(d)). */
static void NAME(transpose_panel)(R *to, const R *rows, int64_t d)
{
    const int64_t ld = NAME(padded)(d);
    for (int v = 0; v < 2; v++)
        for (int64_t c = 0; c < ld; c += VL) {
            VEC block[VL];
            for (int i = 0; i < VL; i++) block[i] = V(load)(rows + (v * VL + i) * ld + c);
            V(transpose)(block);
            for (int i = 0; i < VL; i++) V(store)(to + (c + i) * NR + v * VL, block[i]);
        }
}

/* Rows (n, padded(d)) as rows [at, at + n) of panels of height `height`. */
static void NAME(fill_panels)(R *to, int64_t height, int64_t at, const R *rows, int64_t n,
                              int64_t d)
{
    const int64_t ld = NAME(padded)(d);
    for (int64_t c = 0; c < ld; c += NR) {
        R *panel = to + c * height + at * NR;
        const int64_t width = ld - c < NR ? ld - c : NR;
        for (int64_t i = 0; i < n; i++)
            for (int64_t l = 0; l < width; l += VL)
                V(store)(panel + i * NR + l, V(load)(rows + i * ld + c + l));
    }
}

/* ---- a row of scores ------------------------------------------------------------------------------------------ */
static R NAME(lanes_sum)(VEC v)
{
    R l[VL];
    V(store)(l, v);
    for (int n = VL / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++) l[i] += l[i + n];
    return l[0];
}

static R NAME(dot)(const R *x, const R *y, int64_t n)
{
    VEC s[2] = { V(set)(0), V(set)(0) };
    int64_t j = 0;
    for (; j + 2 * VL <= n; j += 2 * VL)
        for (int v = 0; v < 2; v++)
            s[v] = V(fma)(V(load)(x + j + v * VL), V(load)(y + j + v * VL), s[v]);
    for (; j + VL <= n; j += VL) s[0] = V(fma)(V(load)(x + j), V(load)(y + j), s[0]);
    R sum = NAME(lanes_sum)(s[0] + s[1]);
    for (; j < n; j++) sum += x[j] * y[j];
    return sum;
}

/* A row of scores is worked on to its last whole vector, with what its query does not see replaced, so that all rows of a
 * tile are alike to the processor. */
/* s (n) *= factor, -inf outside [lo, hi). Returns the largest of each lane, past NaN, which exp finds. */
static VEC NAME(scale_and_max)(R *s, int64_t n, int64_t lo, int64_t hi, R factor)
{
    const VEC none = V(set)(-(R)INFINITY);
    VEC top = none;
    for (int64_t c = 0; c < n; c += VL) {
        const VEC v = V(within)(V(load)(s + c) * V(set)(factor), c, lo, hi, none);
        V(store)(s + c, v);
        top = V(max)(v, top);
    }
    return top;
}

/* s = exp(s - max). Returns each lane's sum. */
static VEC NAME(exp_and_sum)(R *s, int64_t n, R max)
{
    VEC sum = V(set)(0);
    for (int64_t c = 0; c < n; c += VL) {
        const VEC p = V(exp)(V(load)(s + c) - V(set)(max));
        V(store)(s + c, p);
        sum += p;
    }
    return sum;
}

/* s = exp(s factor - lse), dp = s (dp - delta) scale; 0 outside [lo, hi), whatever stood there. */
static void NAME(probabilities)(R *s, R *dp, int64_t n, int64_t lo, int64_t hi, R factor, R lse,
                                R delta, R scale)
{
    for (int64_t c = 0; c < n; c += VL) {
        const VEC p = V(exp)(V(load)(s + c) * V(set)(factor) - V(set)(lse)),
                  d = p * (V(load)(dp + c) - V(set)(delta)) * V(set)(scale);
        V(store)(s + c, V(within)(p, c, lo, hi, V(set)(0)));
        V(store)(dp + c, V(within)(d, c, lo, hi, V(set)(0)));
    }
}

/* n in whole vectors. A row of a tile has PAD more elements than keys: what rounds it up may reach there. */
static inline int64_t NAME(whole)(int64_t n)
{
    return (n + VL - 1) / VL * VL;
}

/* The part [lo, hi) of keys [j, j + n) that query i sees, relative to j. */
static inline void NAME(see)(const wgi_attention *a, int64_t i, int64_t j, int64_t n, int64_t *lo,
                             int64_t *hi)
{
    wgi_attention_range(a, i, i + 1, lo, hi);
    *lo = *lo - j < 0 ? 0 : *lo - j > n ? n : *lo - j;
    *hi = *hi - j > n ? n : *hi - j;
    if (*hi < *lo) *hi = *lo;
}

/* Query i, keys [j, j + n): s (n) = scale * s + mask, and 1, if there is a mask; else what s is still to be multiplied by.
 * extra: (n) memory. */
static R NAME(add_mask)(const wgi_attention *a, int64_t b, int64_t h, int64_t i, int64_t j,
                        int64_t n, R *s, R *extra)
{
    const R scale = (R)a->scale;
    if (!a->mask.data) return scale;
    for (int64_t c = 0; c < n; c++) s[c] *= scale;
    if (a->mask.type == WG_BOOL) {
        const int64_t step = a->mask.stride[3];
        const uint8_t *on = (const uint8_t *)row_at(&a->mask, b, h, i) + j * step;
        for (int64_t c = 0; c < n; c++) s[c] = on[c * step] ? s[c] : -(R)INFINITY;
        return 1;
    }
    NAME(load_row)(extra, &a->mask, b, h, i, j, n);
    for (int64_t c = 0; c < n; c++)
        s[c] = extra[c] < (R)WGI_MASK_HIDES ? -(R)INFINITY : s[c] + extra[c];
    return 1;
}

/* What dropout multiplies the probabilities of query i, keys [j, j + n) by: 0 or 1 / (1 - p). words: (n + 8). */
static void NAME(keep_row)(const wgi_attention *a, int64_t b, int64_t h, int64_t i, int64_t j,
                           int64_t n, R *keep, uint32_t *words)
{
    const int64_t first = ((b * a->heads + h) * a->tq + i) * a->tk + j;
    wgi_random_words(words, a->random[0], a->random[1] + (uint64_t)first / 4,
                     (first % 4 + n + 3) / 4);
    const uint32_t *word = words + first % 4;
    const R factor = (R)(1 / (1 - a->dropout));
    const float p = (float)a->dropout;
    for (int64_t c = 0; c < n; c++) keep[c] = wgi_uniform24(word[c]) >= p ? factor : 0;
}
