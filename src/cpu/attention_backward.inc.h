/* Template (see attention_tile.inc.h): backward. With P = exp(scale Q K^T + mask - lse), M dropout's factors,
 * delta = rowsum(dy * y):
 *   dV = (M P)^T dy,  dS = P (M (dy V^T) - delta),  dQ = scale dS K,  dK = scale dS^T Q. */

typedef struct {
    R *kt, *vt,
        *k;    /* a key block: K^T and V^T by panels of keys, K by panels of columns (bk, NR) */
    R *q, *dy; /* (bq, padded(d)), (bq, padded(dv)) */
    R *s, *ds; /* (bq, bk + PAD) */
    R *delta, *lse; /* (Tq) of one head */
    R *dq, *dk,
        *dv; /* (Tq, padded(d)) of one head; (Tk, padded(d)), (Tk, padded(dv)) of the group */
    R *extra, *keep, *row; /* (bk), (bk), (NR, padded(max(d, dv))) */
    uint32_t *words;       /* (bk + 8) */
} NAME(backward_slot);

static size_t NAME(backward_cut)(const wgi_attention *a, void *base, NAME(backward_slot) * s)
{
    arena m = { base, 0 };
    const int64_t d = NAME(padded)(a->d), dv = NAME(padded)(a->dv);
    s->kt = take(&m, a->bk * d, sizeof(R));
    s->vt = take(&m, a->bk * dv, sizeof(R));
    s->k = take(&m, a->bk * NAME(panels)(a->d), sizeof(R));
    s->q = take(&m, a->bq * d, sizeof(R));
    s->dy = take(&m, a->bq * dv, sizeof(R));
    s->s = take(&m, a->bq * (a->bk + PAD), sizeof(R));
    s->ds = take(&m, a->bq * (a->bk + PAD), sizeof(R));
    s->delta = take(&m, a->tq, sizeof(R));
    s->lse = take(&m, a->tq, sizeof(R));
    s->dq = take(&m, a->tq * d, sizeof(R));
    s->dk = take(&m, a->tk * d, sizeof(R));
    s->dv = take(&m, a->tk * dv, sizeof(R));
    s->extra = take(&m, a->bk, sizeof(R));
    s->keep = take(&m, a->bk, sizeof(R));
    s->row = take(&m, NR * (d > dv ? d : dv), sizeof(R));
    s->words = take(&m, a->bk + 8, sizeof(uint32_t));
    return m.used;
}

static size_t NAME(backward_bytes)(const wgi_attention *a)
{
    NAME(backward_slot) s;
    return NAME(backward_cut)(a, NULL, &s);
}

/* delta and lse of head h; +inf where nothing was seen, so that exp(score - lse) is 0. */
static void NAME(row_terms)(const wgi_attention *a, int64_t b, int64_t h, NAME(backward_slot) * t)
{
    for (int64_t i = 0; i < a->tq; i++) {
        const R *y = NAME(row_in_place)(&a->y, b, h, i, a->dv, t->row);
        const R *dy = NAME(row_in_place)(&a->dy, b, h, i, a->dv, t->row + NAME(padded)(a->dv));
        t->delta[i] = NAME(dot)(y, dy, a->dv);
        NAME(load_row)(t->lse + i, &a->lse, b, h, i, 0, 1);
        if (t->lse[i] == -(R)INFINITY) t->lse[i] = (R)INFINITY;
    }
}

/* The n keys from j on. */
static void NAME(pack_keys)(const wgi_attention *a, int64_t b, int64_t kv, int64_t j, int64_t n,
                            NAME(backward_slot) * t)
{
    for (int64_t c = 0; c < n; c += NR) {
        const int64_t rows = n - c < NR ? n - c : NR;
        NAME(load_rows)(t->row, &a->k, b, kv, j + c, rows, a->d, NR);
        NAME(transpose_panel)(t->kt + c * NAME(padded)(a->d), t->row, a->d);
        NAME(fill_panels)(t->k, a->bk, c, t->row, rows, a->d);
        NAME(load_rows)(t->row, &a->v, b, kv, j + c, rows, a->dv, NR);
        NAME(transpose_panel)(t->vt + c * NAME(padded)(a->dv), t->row, a->dv);
    }
}

/* Query i, keys [j, j + n): scores s -> M P; dp = dy V^T -> scale dS. */
static void NAME(sharpen)(const wgi_attention *a, int64_t b, int64_t h, int64_t i, int64_t j,
                          int64_t n, R *s, R *dp, NAME(backward_slot) * t)
{
    int64_t lo, hi;
    NAME(see)(a, i, j, n, s, &lo, &hi);
    NAME(see)(a, i, j, n, dp, &lo, &hi);
    if (lo == hi) return;
    const R factor = NAME(add_mask)(a, b, h, i, j + lo, hi - lo, s + lo, t->extra);
    const R delta = t->delta[i], scale = (R)a->scale;
    if (a->dropout > 0) {
        NAME(keep_row)(a, b, h, i, j + lo, hi - lo, t->keep, t->words);
        for (int64_t c = lo; c < hi; c++) dp[c] *= t->keep[c - lo];
    }
    NAME(probabilities)(s + lo, dp + lo, hi - lo, factor, t->lse[i], delta, scale);
    if (a->dropout > 0)
        for (int64_t c = lo; c < hi; c++) s[c] *= t->keep[c - lo];
}

/* Query block from i0 on against the packed key block from j0 on: five products. */
static void NAME(backward_tile)(const wgi_attention *a, int64_t b, int64_t h, int64_t i0,
                                int64_t j0, NAME(backward_slot) * t)
{
    const int64_t m = a->tq - i0 < a->bq ? a->tq - i0 : a->bq;
    const int64_t d = NAME(padded)(a->d), dv = NAME(padded)(a->dv), bk = a->bk, lds = bk + PAD;
    int64_t lo, hi;
    wgi_attention_range(a, i0, i0 + m, &lo, &hi);
    const int64_t c = lo > j0 ? (lo - j0) / NR * NR : 0, n = (hi < j0 + bk ? hi - j0 : bk) - c;
    if (n <= 0) return;
    const int64_t columns = NAME(whole)(n);
    NAME(load_rows)(t->q, &a->q, b, h, i0, m, a->d, m);
    NAME(load_rows)(t->dy, &a->dy, b, h, i0, m, a->dv, m);
    NAME(multiply)(a, m, columns, a->d, t->q, d, 1, t->kt + c * d, NR, NR * d, t->s, lds, false);
    NAME(multiply)
    (a, m, columns, a->dv, t->dy, dv, 1, t->vt + c * dv, NR, NR * dv, t->ds, lds, false);
    for (int64_t r = 0; r < m; r++)
        NAME(sharpen)(a, b, h, i0 + r, j0 + c, n, t->s + r * lds, t->ds + r * lds, t);
    NAME(multiply)(a, n, dv, m, t->s, 1, lds, t->dy, dv, NR, t->dv + (j0 + c) * dv, dv, true);
    NAME(multiply)(a, n, d, m, t->ds, 1, lds, t->q, d, NR, t->dk + (j0 + c) * d, d, true);
    NAME(multiply)(a, m, d, n, t->ds, lds, 1, t->k + c * NR, NR, bk * NR, t->dq + i0 * d, d, true);
}

static void NAME(backward)(const wgi_attention *a, int64_t b, int64_t kv, void *slot)
{
    NAME(backward_slot) t;
    NAME(backward_cut)(a, slot, &t);
    const int64_t d = NAME(padded)(a->d), dv = NAME(padded)(a->dv), group = a->heads / a->kv_heads;
    memset(t.dk, 0, (size_t)(a->tk * d) * sizeof(R));
    memset(t.dv, 0, (size_t)(a->tk * dv) * sizeof(R));
    for (int64_t h = kv * group; h < (kv + 1) * group; h++) {
        memset(t.dq, 0, (size_t)(a->tq * d) * sizeof(R));
        NAME(row_terms)(a, b, h, &t);
        for (int64_t j = 0; j < a->tk; j += a->bk) {
            NAME(pack_keys)(a, b, kv, j, a->tk - j < a->bk ? a->tk - j : a->bk, &t);
            for (int64_t i = 0; i < a->tq; i += a->bq) NAME(backward_tile)(a, b, h, i, j, &t);
        }
        for (int64_t i = 0; i < a->tq; i++)
            NAME(store_row)(&a->dq, b, h, i, t.dq + i * d, a->d, a->accumulate);
    }
    for (int64_t j = 0; j < a->tk; j++) {
        NAME(store_row)(&a->dk, b, kv, j, t.dk + j * d, a->d, a->accumulate);
        NAME(store_row)(&a->dv_out, b, kv, j, t.dv + j * dv, a->dv, a->accumulate);
    }
}
