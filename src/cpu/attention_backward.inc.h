/* Template (see attention_tile.inc.h): backward. With P = exp(scale Q K^T + mask - lse), M dropout's factors,
 * delta = rowsum(dy * y):
 *   dV = (M P)^T dy,  dS = P (M (dy V^T) - delta),  dQ = scale dS K,  dK = scale dS^T Q. */

typedef struct {
    R *kt, *vt,
        *k;    /* a key block: K^T and V^T by panels of keys, K by panels of columns (bk, NR) */
    R *q, *dy; /* (Tq, padded(d)), (Tq, padded(dv)) of one head */
    R *s, *ds; /* (bq, bk + PAD) */
    R *delta, *lse; /* (Tq + PAD), (Tq) of one head */
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
    s->q = take(&m, a->tq * d, sizeof(R));
    s->dy = take(&m, a->tq * dv, sizeof(R));
    s->s = take(&m, a->bq * (a->bk + PAD), sizeof(R));
    s->ds = take(&m, a->bq * (a->bk + PAD), sizeof(R));
    s->delta = take(&m, a->tq + PAD, sizeof(R));
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

/* q, dy, delta and lse of head h; lse is +inf where nothing was seen, so that exp(score - lse) is 0. */
static void NAME(load_head)(const wgi_attention *a, int64_t b, int64_t h, NAME(backward_slot) * t)
{
    const int64_t width = NAME(padded)(a->dv);
    NAME(load_rows)(t->q, &a->q, b, h, 0, a->tq, a->d, a->tq);
    NAME(load_rows)(t->dy, &a->dy, b, h, 0, a->tq, a->dv, a->tq);
    for (int64_t i = 0; i < a->tq; i += VL) {
        const int64_t n = a->tq - i < VL ? a->tq - i : VL;
        VEC lanes[VL];
        for (int64_t l = 0; l < VL; l++) {
            lanes[l] = V(set)(0);
            if (l >= n) continue;
            NAME(load_rows)(t->row, &a->y, b, h, i + l, 1, a->dv, 1);
            for (int64_t c = 0; c < width; c += VL)
                lanes[l] =
                    V(fma)(V(load)(t->row + c), V(load)(t->dy + (i + l) * width + c), lanes[l]);
            R lse;
            NAME(load_row)(&lse, &a->lse, b, h, i + l, 0, 1);
            t->lse[i + l] = lse == -(R)INFINITY ? (R)INFINITY : lse;
        }
        V(store)(t->delta + i, V(sums)(lanes));
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
    NAME(see)(a, i, j, n, &lo, &hi);
    const R factor = NAME(add_mask)(a, b, h, i, j, n, s, t->extra);
    if (a->dropout > 0) {
        NAME(keep_row)(a, b, h, i, j, n, t->keep, t->words);
        for (int64_t c = 0; c < n; c++) dp[c] *= t->keep[c];
    }
    NAME(probabilities)
    (s, dp, n, lo, hi, factor, t->lse[i], t->delta[i], (R)a->scale);
    if (a->dropout > 0)
        for (int64_t c = 0; c < n; c++) s[c] *= t->keep[c];
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
    const R *q = t->q + i0 * d, *dy = t->dy + i0 * dv;
    NAME(multiply)(a, m, columns, a->d, q, d, 1, t->kt + c * d, NR, NR * d, t->s, lds, false);
    NAME(multiply)
    (a, m, columns, a->dv, dy, dv, 1, t->vt + c * dv, NR, NR * dv, t->ds, lds, false);
    for (int64_t r = 0; r < m; r++)
        NAME(sharpen)(a, b, h, i0 + r, j0 + c, n, t->s + r * lds, t->ds + r * lds, t);
    NAME(multiply)(a, n, dv, m, t->s, 1, lds, dy, dv, NR, t->dv + (j0 + c) * dv, dv, true);
    NAME(multiply)(a, n, d, m, t->ds, 1, lds, q, d, NR, t->dk + (j0 + c) * d, d, true);
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
        NAME(load_head)(a, b, h, &t);
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
