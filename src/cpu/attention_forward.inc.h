/* Template (see attention_tile.inc.h): forward. */

/* ---- K and V of a head as panels: K^T by panels of NR keys (padded(d), NR), V by panels of NR columns (keys, NR) ---- */
static int64_t NAME(key_rows)(const wgi_attention *a)
{
    return (a->tk + NR - 1) / NR * NR;
}

static size_t NAME(packed_bytes)(const wgi_attention *a)
{
    arena m = { NULL, 0 };
    take(&m, NAME(key_rows)(a) * NAME(padded)(a->d), sizeof(R));
    take(&m, NAME(key_rows)(a) * NAME(panels)(a->dv), sizeof(R));
    return m.used;
}

static R *NAME(packed_v)(const wgi_attention *a, const void *packed)
{
    arena m = { (char *)packed, 0 };
    take(&m, NAME(key_rows)(a) * NAME(padded)(a->d), sizeof(R));
    return take(&m, NAME(key_rows)(a) * NAME(panels)(a->dv), sizeof(R));
}

static void NAME(pack)(const wgi_attention *a, int64_t b, int64_t kv, int64_t block, void *packed,
                       void *slot)
{
    R *rows = slot; /* (NR, padded(max(d, dv))) */
    const int64_t depth = NAME(padded)(a->d), first = block * a->bk;
    const int64_t last = first + a->bk < a->tk ? first + a->bk : a->tk;
    for (int64_t j = first; j < last; j += NR) {
        const int64_t n = last - j < NR ? last - j : NR;
        NAME(load_rows)(rows, &a->k, b, kv, j, n, a->d, NR);
        NAME(transpose_panel)((R *)packed + j * depth, rows, a->d);
        NAME(load_rows)(rows, &a->v, b, kv, j, n, a->dv, n);
        NAME(fill_panels)(NAME(packed_v)(a, packed), NAME(key_rows)(a), j, rows, n, a->dv);
    }
}

/* ---- a block of queries ------------------------------------------------------------------------------------------ */
typedef struct {
    R *q, *s, *o;    /* (bq, padded(d)), (bq, bk + PAD), (bq, padded(dv)) */
    R *max, *sum;    /* (bq + PAD): of exp(score - max) */
    R *extra;        /* (bk): a row of the mask, or of dropout's factors */
    uint32_t *words; /* (bk + 8) */
} NAME(forward_slot);

static size_t NAME(forward_cut)(const wgi_attention *a, void *base, NAME(forward_slot) * s)
{
    arena m = { base, 0 };
    const int64_t widest = NAME(padded)(a->d > a->dv ? a->d : a->dv),
                  rows = a->bq > NR ? a->bq : NR;
    s->q = take(&m, rows * widest, sizeof(R)); /* also pack's rows */
    s->s = take(&m, a->bq * (a->bk + PAD), sizeof(R));
    s->o = take(&m, a->bq * NAME(padded)(a->dv), sizeof(R));
    s->max = take(&m, a->bq + PAD, sizeof(R));
    s->sum = take(&m, a->bq + PAD, sizeof(R));
    s->extra = take(&m, a->bk, sizeof(R));
    s->words = take(&m, a->bk + 8, sizeof(uint32_t));
    return m.used;
}

static size_t NAME(forward_bytes)(const wgi_attention *a)
{
    NAME(forward_slot) s;
    return NAME(forward_cut)(a, NULL, &s);
}

/* Rows of scores: row r is query i + r % per_head of head h + r / per_head. */
typedef struct {
    int64_t b, h, i, per_head;
    int64_t j, n; /* keys [j, j + n) */
    int64_t rows, lds;
    bool first; /* no keys came before */
} NAME(scores);

static void NAME(begin)(NAME(forward_slot) * t, int64_t rows)
{
    for (int64_t r = 0; r < NAME(whole)(rows); r++) {
        t->max[r] = -(R)INFINITY;
        t->sum[r] = 0;
    }
}

static void NAME(drop)(const wgi_attention *a, const NAME(scores) * x, int64_t r, R *s,
                       NAME(forward_slot) * t)
{
    NAME(keep_row)
    (a, x->b, x->h + r / x->per_head, x->i + r % x->per_head, x->j, x->n, t->extra, t->words);
    for (int64_t c = 0; c < x->n; c++) s[c] *= t->extra[c];
}

/* Rows [r, r + count), at most VL: scores -> exp(score - max), with the running maximum and sum; the output so far is
 * rescaled where the maximum moved. A row that sees nothing keeps max -inf and sum 0. What is one number for a row is
 * computed for all of them at once. */
static void NAME(soften_rows)(const wgi_attention *a, const NAME(scores) * x,
                              NAME(forward_slot) * t, int64_t r, int64_t count)
{
    VEC lanes[VL];
    R base[VL], shrink[VL];
    for (int64_t l = 0; l < count; l++) {
        const int64_t h = x->h + (r + l) / x->per_head, i = x->i + (r + l) % x->per_head;
        int64_t lo, hi;
        R *s = t->s + (r + l) * x->lds;
        NAME(see)(a, i, x->j, x->n, &lo, &hi);
        const R factor = NAME(add_mask)(a, x->b, h, i, x->j, x->n, s, t->extra);
        lanes[l] = NAME(scale_and_max)(s, x->n, lo, hi, factor);
    }
    for (int64_t l = count; l < VL; l++) lanes[l] = V(set)(-(R)INFINITY);
    const VEC old = V(load)(t->max + r), top = V(max)(V(maxes)(lanes), old);
    V(store)(t->max + r, top);
    V(store)(base, top);
    for (int l = 0; l < VL; l++) base[l] = base[l] == -(R)INFINITY ? 0 : base[l];
    const VEC moved = V(exp)(old - V(load)(base));
    V(store)(shrink, moved);
    for (int64_t l = 0; l < count; l++) {
        const int64_t width = NAME(padded)(a->dv);
        R *s = t->s + (r + l) * x->lds, *o = t->o + (r + l) * width;
        lanes[l] = NAME(exp_and_sum)(s, x->n, base[l]);
        if (a->dropout > 0) NAME(drop)(a, x, r + l, s, t);
        if (!x->first && shrink[l] != 1)
            for (int64_t c = 0; c < width; c++) o[c] *= shrink[l];
    }
    for (int64_t l = count; l < VL; l++) lanes[l] = V(set)(0);
    V(store)(t->sum + r, V(load)(t->sum + r) * moved + V(sums)(lanes));
}

static void NAME(soften)(const wgi_attention *a, const NAME(scores) * x, NAME(forward_slot) * t)
{
    for (int64_t r = 0; r < x->rows; r += VL)
        NAME(soften_rows)(a, x, t, r, x->rows - r < VL ? x->rows - r : VL);
}

/* y = o / sum (0 where nothing was seen), lse = max + log(sum). */
static void NAME(finish)(const wgi_attention *a, const NAME(scores) * x, NAME(forward_slot) * t)
{
    const int64_t width = NAME(padded)(a->dv);
    for (int64_t r = 0; r < x->rows; r++) {
        const R sum = t->sum[r];
        t->max[r] += LOG(sum);
        t->sum[r] = sum == 0 ? 0 : 1 / sum;
    }
    for (int64_t r = 0; r < x->rows; r++) {
        const int64_t h = x->h + r / x->per_head, i = x->i + r % x->per_head;
        R *o = t->o + r * width;
        for (int64_t c = 0; c < width; c++) o[c] *= t->sum[r];
        NAME(store_row)(&a->y, x->b, h, i, o, a->dv, false);
        if (a->lse.data) NAME(store_row)(&a->lse, x->b, h, i, t->max + r, 1, false);
    }
}

static void NAME(forward)(const wgi_attention *a, int64_t b, int64_t h, int64_t block,
                          const void *packed, void *slot)
{
    NAME(forward_slot) t;
    NAME(forward_cut)(a, slot, &t);
    const int64_t i0 = block * a->bq, m = a->tq - i0 < a->bq ? a->tq - i0 : a->bq;
    const int64_t depth = NAME(padded)(a->d), width = NAME(padded)(a->dv),
                  height = NAME(key_rows)(a), lds = a->bk + PAD;
    const R *kt = packed, *v = NAME(packed_v)(a, packed);
    int64_t lo, hi;
    wgi_attention_range(a, i0, i0 + m, &lo, &hi);
    NAME(load_rows)(t.q, &a->q, b, h, i0, m, a->d, m);
    NAME(begin)(&t, m);
    NAME(scores)
    x = { .b = b, .h = h, .i = i0, .per_head = m, .rows = m, .lds = lds, .first = true };
    for (int64_t j = lo / NR * NR, next; j < hi; j = next) {
        next = (j / a->bk + 1) * a->bk < hi ? (j / a->bk + 1) * a->bk : hi;
        x.j = j;
        x.n = next - j;
        NAME(multiply)
        (a, m, NAME(whole)(x.n), a->d, t.q, depth, 1, kt + j * depth, NR, NR * depth, t.s, lds,
         false);
        NAME(soften)(a, &x, &t);
        NAME(multiply)
        (a, m, width, x.n, t.s, lds, 1, v + j * NR, NR, height * NR, t.o, width, !x.first);
        x.first = false;
    }
    if (x.first) memset(t.o, 0, (size_t)(m * width) * sizeof(R));
    NAME(finish)(a, &x, &t);
}

/* ---- few queries: K and V where they lie ------------------------------------------------------------------------ */
typedef struct {
    R *q, *s,
        *o; /* (rows, padded(d)), (rows, Tk + PAD), (rows, padded(dv)); rows = heads of the group * Tq */
    R *max, *sum;    /* (rows + PAD) */
    R *row;          /* (padded(max(d, dv))) */
    R *extra;        /* (Tk) */
    uint32_t *words; /* (Tk + 8) */
} NAME(direct_slot);

static size_t NAME(direct_cut)(const wgi_attention *a, void *base, NAME(direct_slot) * s)
{
    arena m = { base, 0 };
    const int64_t rows = a->heads / a->kv_heads * a->tq;
    s->q = take(&m, rows * NAME(padded)(a->d), sizeof(R));
    s->s = take(&m, rows * (a->tk + PAD), sizeof(R));
    s->o = take(&m, rows * NAME(padded)(a->dv), sizeof(R));
    s->max = take(&m, rows + PAD, sizeof(R));
    s->sum = take(&m, rows + PAD, sizeof(R));
    s->row = take(&m, NAME(padded)(a->d > a->dv ? a->d : a->dv), sizeof(R));
    s->extra = take(&m, a->tk, sizeof(R));
    s->words = take(&m, a->tk + 8, sizeof(uint32_t));
    return m.used;
}

static size_t NAME(direct_bytes)(const wgi_attention *a)
{
    NAME(direct_slot) s;
    return NAME(direct_cut)(a, NULL, &s);
}

/* s[j] = q . k_j for n keys, `stride` elements apart: a vector of keys at a time, each sum in one
 * order, wherever its key stands; behind the last key it is repeated. */
static void NAME(scores_in_place)(R *s, const R *q, const R *k, int64_t stride, int64_t n,
                                  int64_t d)
{
    for (int64_t j = 0; j < n; j += VL) {
        const int64_t left = n - j < VL ? n - j : VL;
        const R *row[VL];
        VEC sum[VL];
        R out[VL];
        int64_t c = 0;
        for (int l = 0; l < VL; l++) row[l] = k + (j + (l < left ? l : left - 1)) * stride;
#pragma GCC unroll 16
        for (int l = 0; l < VL; l++) sum[l] = V(set)(0);
        for (; c + VL <= d; c += VL)
#pragma GCC unroll 16
            for (int l = 0; l < VL; l++)
                sum[l] = V(fma)(V(load)(q + c), V(load)(row[l] + c), sum[l]);
        V(store)(out, V(sums)(sum));
        for (int l = 0; l < left; l++) {
            R rest = 0;
            for (int64_t e = c; e < d; e++) rest += q[e] * row[l][e];
            s[j + l] = out[l] + rest;
        }
    }
}

/* o = sum of p[j] v_j over n rows, `stride` elements apart, of which row 0 is key `first`; the sums stay in registers. */
static void NAME(mix_in_place)(R *o, const R *p, const R *v, int64_t stride, int64_t first,
                               int64_t n, int64_t d)
{
    enum { WIDE = 4 };
    int64_t c = 0;
    for (; c + WIDE * VL <= d; c += WIDE * VL) {
        VEC sum[WIDE] = { V(set)(0), V(set)(0), V(set)(0), V(set)(0) };
        for (int64_t j = 0; j < n; j++)
#pragma GCC unroll 4
            for (int l = 0; l < WIDE; l++)
                sum[l] = V(fma)(V(set)(p[j]), V(load)(v + j * stride + c + l * VL), sum[l]);
        for (int l = 0; l < WIDE; l++) V(store)(o + c + l * VL, sum[l]);
    }
    for (; c + VL <= d;
         c += VL) { /* every fourth key in a sum of its own: none waits for another */
        VEC sum[WIDE] = { V(set)(0), V(set)(0), V(set)(0), V(set)(0) };
        int64_t j = 0;
        for (; j < n && (first + j) % WIDE != 0; j++)
#pragma GCC unroll 4
            for (int l = 1; l < WIDE; l++)
                if ((first + j) % WIDE == l)
                    sum[l] = V(fma)(V(set)(p[j]), V(load)(v + j * stride + c), sum[l]);
        for (; j + WIDE <= n; j += WIDE)
#pragma GCC unroll 4
            for (int l = 0; l < WIDE; l++)
                sum[l] = V(fma)(V(set)(p[j + l]), V(load)(v + (j + l) * stride + c), sum[l]);
        for (int l = 0; j < n; j++, l++)
            sum[l] = V(fma)(V(set)(p[j]), V(load)(v + j * stride + c), sum[l]);
        V(store)(o + c, (sum[0] + sum[1]) + (sum[2] + sum[3]));
    }
    for (; c < d; c++) {
        R sum = 0;
        for (int64_t j = 0; j < n; j++) sum += p[j] * v[j * stride + c];
        o[c] = sum;
    }
}

static void NAME(axpy)(R *o, R p, const R *v, int64_t n)
{
    int64_t c = 0;
    for (; c + VL <= n; c += VL) V(store)(o + c, V(fma)(V(set)(p), V(load)(v + c), V(load)(o + c)));
    for (; c < n; c++) o[c] += p * v[c];
}

static void NAME(direct)(const wgi_attention *a, int64_t b, int64_t kv, void *slot)
{
    NAME(direct_slot) t;
    NAME(direct_cut)(a, slot, &t);
    const int64_t group = a->heads / a->kv_heads, rows = group * a->tq, h0 = kv * group;
    const int64_t depth = NAME(padded)(a->d), width = NAME(padded)(a->dv), lds = a->tk + PAD;
    int64_t lo, hi;
    wgi_attention_range(a, 0, a->tq, &lo, &hi);
    for (int64_t g = 0; g < group; g++)
        NAME(load_rows)(t.q + g * a->tq * depth, &a->q, b, h0 + g, 0, a->tq, a->d, a->tq);
    if (NAME(is_plain)(&a->k) && lo < hi)
        for (int64_t r = 0; r < rows; r++) NAME(scores_in_place)
    (t.s + r * lds + lo, t.q + r * depth, (const R *)row_at(&a->k, b, kv, lo), a->k.stride[2],
     hi - lo, a->d);
    else for (int64_t j = lo; j < hi; j++)
    {
        NAME(load_row)(t.row, &a->k, b, kv, j, 0, a->d);
        for (int64_t r = 0; r < rows; r++)
            t.s[r * lds + j] = NAME(dot)(t.q + r * depth, t.row, a->d);
    }
    /* From whole vectors on, so that a key's place in them is its own, whatever else is asked for. */
    const int64_t base = lo / VL * VL;
    NAME(forward_slot)
    tile = {
        .s = t.s + base, .o = t.o, .max = t.max, .sum = t.sum, .extra = t.extra, .words = t.words
    };
    const NAME(scores) x = { .b = b,
                             .h = h0,
                             .per_head = a->tq,
                             .j = base,
                             .n = hi - base,
                             .rows = rows,
                             .lds = lds,
                             .first = true };
    NAME(begin)(&tile, rows);
    NAME(soften)(a, &x, &tile);
    memset(t.o, 0, (size_t)(rows * width) * sizeof(R));
    if (NAME(is_plain)(&a->v) && lo < hi)
        for (int64_t r = 0; r < rows; r++) NAME(mix_in_place)
    (t.o + r * width, t.s + r * lds + lo, (const R *)row_at(&a->v, b, kv, lo), a->v.stride[2], lo,
     hi - lo, a->dv);
    else for (int64_t j = lo; j < hi; j++)
    {
        NAME(load_row)(t.row, &a->v, b, kv, j, 0, a->dv);
        for (int64_t r = 0; r < rows; r++)
            NAME(axpy)(t.o + r * width, t.s[r * lds + j], t.row, a->dv);
    }
    NAME(finish)(a, &x, &tile);
}
