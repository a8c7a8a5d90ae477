/* Attention of a few queries over many keys on CUDA. On any machine: which keys each block has. On a device (emulated, or
 * interpreted): the formula in f64, and bits that depend on nothing but the query and the keys that it sees. */
#include <math.h>

#include "cuda/attention.h"
#include "device_compare.h"
#include "nn_check.h"

/* Every key that a query sees is in one part, and parts begin where the same keys' parts of other queries do. */
START_TEST(parts_are_places_of_the_keys)
{
    for (int tk = 1; tk < 700; tk += 13)
        for (int tq = 1; tq <= WGI_DECODE_QUERIES; tq++)
            for (int c = 0; c < 8; c++) {
                const wgi_attention_pass p = { .heads = c % 4 + 1,
                                               .kv_heads = 1,
                                               .tq = tq,
                                               .tk = tk,
                                               .causal = c / 4,
                                               .window = c % 2 ? 70 : 0 };
                const wgi_attention_decode d = wgi_plan_decode(&p);
                ck_assert_int_eq(d.rows, tq * (c % 4 + 1));
                ck_assert(d.width >= 1 && d.width <= 4 && d.width * d.row_blocks >= d.rows &&
                          d.width * (d.row_blocks - 1) < d.rows);
                ck_assert(d.first >= 0 && d.first % WGI_DECODE_KEYS == 0 && d.parts >= 1);
                const int seen = wgi_first_key(&p, 0); /* nothing is read that no query sees */
                ck_assert(d.first == 0 || (d.first <= seen && seen < d.first + WGI_DECODE_KEYS));
                ck_assert(seen < WGI_DECODE_KEYS || d.first > 0);
                for (int i = 0; i < tq; i++) {
                    const int low = wgi_first_key(&p, i), high = wgi_end_key(&p, i);
                    if (high <= (low > 0 ? low : 0)) continue;
                    ck_assert(d.first <= (low > 0 ? low : 0) && high <= d.end && d.end <= tk);
                }
                if (d.end > d.first)
                    ck_assert(d.first + d.parts * WGI_DECODE_KEYS >= d.end &&
                              d.first + (d.parts - 1) * WGI_DECODE_KEYS < d.end);
            }
}
END_TEST

static wgi_attention_operand rows_of(int type, int64_t heads, int64_t t, int64_t d)
{
    static _Alignas(16) char data[16];
    return (wgi_attention_operand) { .data = data,
                                     .stride = { heads * t * d, t * d, d, 1 },
                                     .type = type };
}

static wgi_attention_pass pass_of(int type, int heads, int tq, int tk, int d)
{
    return (wgi_attention_pass) { .batch = 1,
                                  .heads = heads,
                                  .kv_heads = 1,
                                  .tq = tq,
                                  .tk = tk,
                                  .d = d,
                                  .dv = d,
                                  .q = rows_of(type, heads, tq, d),
                                  .k = rows_of(type, 1, tk, d),
                                  .v = rows_of(type, 1, tk, d) };
}

/* What these kernels cannot read, or only with much memory, goes to the others. */
START_TEST(only_what_can_be_read_by_chunks_is_taken)
{
    static const int taken[] = { WG_F32, WG_BF16, WG_F16 };
    for (int t = 0; t < 3; t++) {
        const wgi_attention_pass good = pass_of(taken[t], 4, 8, 100, 64);
        ck_assert(wgi_decodes(&good));
        wgi_attention_pass p = good;
        p.dropout = 0.1;
        ck_assert(!wgi_decodes(&p));
        p = good;
        p.k.data += 4; /* no multiple of 16 bytes */
        ck_assert(!wgi_decodes(&p));
        p = good;
        p.v.stride[2] += 2;
        ck_assert(!wgi_decodes(&p));
        p = good;
        p.q.stride[3] = 2;
        ck_assert(!wgi_decodes(&p));
        p = good;
        p.k.type = WG_F64;
        ck_assert(!wgi_decodes(&p));
        p = good;
        p.batch = 0;
        ck_assert(!wgi_decodes(&p));
    }
    const wgi_attention_pass others[] = {
        pass_of(WG_F64, 4, 8, 100, 64),     pass_of(WG_F32, 4, 9, 100, 64),
        pass_of(WG_F32, 4, 8, 100, 20),     pass_of(WG_F32, 4, 8, 100, 264),
        pass_of(WG_F32, 512, 8, 4096, 256), /* 4,096 rows of 64 parts: 270 MB */
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) ck_assert(!wgi_decodes(&others[i]));
    const wgi_attention_pass fits = pass_of(WG_F32, 512, 7, 4096, 256);
    ck_assert(wgi_decodes(&fits));
}
END_TEST

typedef struct {
    int64_t heads, kv_heads, tq, tk, d, dv, window;
    bool causal;
    int mask; /* 0: none, 1: bool with a blind row, 2: floating, by head, 3: bool, by sequence */
} shape;

/* What sdpa gets, in f64 on the CPU: keys and values are the front of longer ones, as a cache's are. */
typedef struct {
    wg_tensor *q, *k, *v, *mask;
} operands;

static wg_tensor *cached(int64_t batch, int64_t heads, int64_t t, int64_t d, wg_dtype type)
{
    wg_tensor *all = wg_cast(wg_cast(wg_randn(WG_DIMS(batch, heads, t + 3, d)), type), WG_F64);
    return wg_narrow(all, 2, 0, t);
}

static operands make(const shape *s, wg_dtype type)
{
    enum { BATCH = 2 };
    operands o = { .q = cached(BATCH, s->heads, s->tq, s->d, type),
                   .k = cached(BATCH, s->kv_heads, s->tk, s->d, type),
                   .v = cached(BATCH, s->kv_heads, s->tk, s->dv, type) };
    if (s->mask == 1) {
        wg_tensor *on = wg_gt(wg_rand(WG_DIMS(s->tq, s->tk)), wg_scalar(0.3));
        wg_tensor *row = wg_ne(wg_arange(0, s->tq), wg_scalar(1));
        o.mask = wg_logical_and(on, wg_unsqueeze(row, 1));
    } else if (s->mask == 2) {
        o.mask = wg_randn(WG_DIMS(s->heads, s->tq, s->tk));
    } else if (s->mask == 3) {
        o.mask = wg_gt(wg_rand(WG_DIMS(BATCH, 1, 1, s->tk)), wg_scalar(0.3));
    }
    return o;
}

/* On the device the cache stays the longer one that it is here. */
static wg_tensor *to_device(wg_tensor *x, wg_dtype type)
{
    const int64_t t = wg_size(x, 2);
    wg_tensor *whole = wg_cat(
        WG_LIST(x, wg_full(WG_DIMS(wg_size(x, 0), wg_size(x, 1), 5, wg_size(x, 3)), NAN)), 2);
    return wg_narrow(wg_to(wg_cast(whole, type), wg_cuda(0)), 2, 0, t);
}

static wg_tensor *attend(const operands *o, const shape *s)
{
    return wg_sdpa(o->q, o->k, o->v, o->mask, .is_causal = s->causal, .window = s->window);
}

static operands on_device(const operands *o, wg_dtype type)
{
    return (operands) { to_device(o->q, type), to_device(o->k, type), to_device(o->v, type),
                        o->mask ? wg_to(o->mask, wg_cuda(0)) : NULL };
}

static void check(const shape *s, wg_dtype type, double tolerance)
{
    const wg_scope scope = begin();
    const operands o = make(s, type), there = on_device(&o, type);
    wg_tensor *y = attend(&there, s), *want = attend(&o, s);
    expect_no_error();
    const double far = distance(wg_cast(wg_to(y, wg_cpu()), WG_F64), want);
    ck_assert_msg(far <= tolerance,
                  "%s: %g (H %lld/%lld T %lld,%lld D %lld,%lld causal %d window %lld mask %d)",
                  wg_dtype_name(type), far, (long long)s->heads, (long long)s->kv_heads,
                  (long long)s->tq, (long long)s->tk, (long long)s->d, (long long)s->dv, s->causal,
                  (long long)s->window, s->mask);
    pop(scope);
}

/* Lengths around parts and the keys that a block has on their way at a time, sizes around the lanes of a key, rows around a
 * block's; options cycle through them. */
START_TEST(a_few_queries_are_those_of_the_formula)
{
    static const int64_t lengths[] = { 1, 2, 15, 64, 65, 130, 200, 700 };
    static const int64_t sizes[][2] = { { 64, 64 }, { 128, 128 }, { 256, 256 }, { 8, 24 },
                                        { 96, 80 }, { 200, 8 },   { 64, 128 } };
    static const int64_t rows[][3] = { { 3, 3, 1 }, { 4, 2, 1 }, { 3, 1, 1 },
                                       { 8, 1, 1 }, { 2, 2, 8 }, { 6, 2, 5 } };
    if (no_device()) return;
    int m = 0;
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++, m++) {
            const int64_t *r = rows[m % 6];
            const shape s = { .heads = r[0],
                              .kv_heads = r[1],
                              .tq = r[2],
                              .tk = lengths[l],
                              .d = sizes[n][0],
                              .dv = sizes[n][1],
                              .causal = m % 3 != 1,
                              .window = m % 4 == 2 ? 70 : 0,
                              .mask = m % 5 < 3 ? m % 5 + 1 : 0 };
            check(&s, WG_F32, 5e-6); /* sums of up to 700 terms */
            check(&s, WG_BF16, 0x1p-8);
            check(&s, WG_F16, 0x1p-11);
        }
}
END_TEST

/* lse, which gradients need, is right, too. */
static void few(void *self, wg_list in, wg_list out)
{
    const shape *s = self;
    out.t[0] = wg_sdpa(in.t[0], in.t[1], in.t[2], .is_causal = true, .window = s->window);
}

START_TEST(gradients_of_a_few_queries_are_those_of_the_cpu)
{
    static const int64_t cases[][5] = { /* heads, of keys, queries, keys, window */
                                        { 4, 2, 5, 40, 0 },   { 4, 2, 5, 150, 0 },
                                        { 4, 2, 5, 150, 70 }, { 2, 2, 1, 150, 0 },
                                        { 2, 1, 1, 70, 0 },   { 2, 2, 5, 3, 0 }
    };
    if (no_device()) return;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const wg_scope scope = begin();
        const int64_t *of = cases[c];
        shape s = { .window = of[4] };
        const problem p = { "a few queries", few, &s, 1, 1e-5 };
        compare(&p,
                WG_LIST(wg_randn(WG_DIMS(2, of[0], of[2], 64)),
                        wg_randn(WG_DIMS(2, of[1], of[3], 64)),
                        wg_randn(WG_DIMS(2, of[1], of[3], 64))),
                WG_LIST(wg_randn(WG_DIMS(2, of[0], of[2], 64))));
        pop(scope);
    }
}
END_TEST

static bool same(wg_tensor *x, wg_tensor *y)
{
    return same_bits(wg_contiguous(wg_to(x, wg_cpu())), wg_contiguous(wg_to(y, wg_cpu())));
}

/* More parts than the joining block has threads; the greatest score is in the last. */
START_TEST(many_parts_are_joined)
{
    enum { KEYS = 16500, D = 8 };
    if (no_device()) return;
    const wg_scope scope = begin();
    wg_tensor *q = wg_full(WG_DIMS(1, 1, 1, D), 1), *k = wg_randn(WG_DIMS(1, 1, KEYS, D)),
              *v = wg_randn(WG_DIMS(1, 1, KEYS, D));
    wg_tensor *high = wg_cat(
                  WG_LIST(wg_narrow(k, 2, 0, KEYS - 1), wg_full(WG_DIMS(1, 1, 1, D), 60)), 2),
              *all[] = { k, high };
    for (int i = 0; i < 2; i++) {
        wg_tensor *want = wg_sdpa(wg_cast(q, WG_F64), wg_cast(all[i], WG_F64), wg_cast(v, WG_F64)),
                  *y = wg_sdpa(wg_to(q, wg_cuda(0)), wg_to(all[i], wg_cuda(0)),
                               wg_to(v, wg_cuda(0)));
        ck_assert_double_le(distance(wg_cast(wg_to(y, wg_cpu()), WG_F64), want), 1e-5);
    }
    pop(scope);
}
END_TEST

/* What is low hides, and may be NaN then; what is a little less low is added. */
START_TEST(masks_hide_what_is_low)
{
    enum { KEYS = 130, HIDDEN = 100 };
    if (no_device()) return;
    const wg_scope scope = begin();
    wg_tensor *q = wg_to(wg_randn(WG_DIMS(1, 2, 1, 8)), wg_cuda(0)),
              *k = wg_to(wg_randn(WG_DIMS(1, 2, KEYS, 8)), wg_cuda(0)),
              *v = wg_to(wg_randn(WG_DIMS(1, 2, KEYS, 8)), wg_cuda(0));
    static const double low[] = { -3.4e38, -1e9, -30001 };
    for (int i = 0; i < 3; i++) {
        wg_tensor *mask = wg_to(wg_full(WG_DIMS(1, KEYS), low[i]), wg_cuda(0));
        wg_tensor *y = wg_sdpa(q, k, v, mask);
        ck_assert_double_eq(wg_item(wg_max(wg_abs(y), WG_ALL, false)), 0);
    }
    wg_tensor *added = wg_to(wg_full(WG_DIMS(1, KEYS), -29999), wg_cuda(0));
    ck_assert_double_le(
        distance(wg_to(wg_sdpa(q, k, v, added), wg_cpu()), wg_to(wg_sdpa(q, k, v), wg_cpu())),
        1e-2);
    wg_tensor *nan = wg_to(wg_full(WG_DIMS(1, 2, 1, 8), NAN), wg_cuda(0));
    wg_tensor *sees = wg_ne(wg_arange(0, KEYS), wg_scalar(HIDDEN)),
              *with = wg_cat(WG_LIST(wg_narrow(k, 2, 0, HIDDEN), nan,
                                     wg_narrow(k, 2, HIDDEN + 1, KEYS - HIDDEN - 1)),
                             2);
    sees = wg_to(wg_unsqueeze(sees, 0), wg_cuda(0));
    ck_assert(same(wg_sdpa(q, with, v, sees), wg_sdpa(q, k, v, sees)));
    pop(scope);
}
END_TEST

/* Positions at once, as speculative decoding has them, and sequences computed together give the bits that each has alone. */
START_TEST(a_query_has_the_bits_that_it_has_alone)
{
    static const wg_dtype of[] = { WG_F32, WG_BF16 };
    /* with the window, the second query begins a part later than the first */
    enum { KEYS = 500, QUERIES = 5 };
    if (no_device()) return;
    for (int c = 0; c < 8; c++) {
        const wg_scope scope = begin();
        const shape s = { .heads = 4,
                          .kv_heads = 2,
                          .tq = QUERIES,
                          .tk = c / 4 ? KEYS : 66,
                          .d = 64,
                          .dv = 64,
                          .causal = true,
                          .window = c / 2 % 2 ? 369 : 0 };
        const operands host = make(&s, of[c % 2]), o = on_device(&host, of[c % 2]);
        wg_tensor *y = attend(&o, &s);
        for (int64_t i = 0; i < QUERIES; i++) {
            const int64_t seen = s.tk - QUERIES + 1 + i;
            const operands one = { wg_narrow(o.q, 2, i, 1), wg_narrow(o.k, 2, 0, seen),
                                   wg_narrow(o.v, 2, 0, seen), NULL };
            ck_assert_msg(same(wg_narrow(y, 2, i, 1), attend(&one, &s)), "query %d, case %d",
                          (int)i, c);
        }
        const operands second = { wg_narrow(o.q, 0, 1, 1), wg_narrow(o.k, 0, 1, 1),
                                  wg_narrow(o.v, 0, 1, 1), NULL };
        ck_assert_msg(same(wg_narrow(y, 0, 1, 1), attend(&second, &s)), "sequence, case %d", c);
        pop(scope);
    }
}
END_TEST

/* A query that sees nothing gives zeros; a score that is NaN is not hidden, but where its key is. */
START_TEST(nothing_seen_is_zero_and_nan_is_not_hidden)
{
    enum { KEYS = 150, QUERIES = 3 };
    if (no_device()) return;
    const wg_scope scope = begin();
    const shape s = { .heads = 2, .kv_heads = 2, .tq = QUERIES, .tk = KEYS, .d = 64, .dv = 64 };
    const operands host = make(&s, WG_F32), o = on_device(&host, WG_F32);
    wg_tensor *none = wg_to(wg_full(WG_DIMS(QUERIES, KEYS), -INFINITY), wg_cuda(0));
    ck_assert_double_eq(wg_item(wg_max(wg_abs(wg_sdpa(o.q, o.k, o.v, none)), WG_ALL, false)), 0);
    wg_tensor *few =
        wg_sdpa(o.q, wg_narrow(o.k, 2, 0, 1), wg_narrow(o.v, 2, 0, 1), .is_causal = true);
    ck_assert_double_eq(wg_item(wg_max(wg_abs(wg_narrow(few, 2, 0, 2)), WG_ALL, false)), 0);
    wg_tensor *nan = wg_full(WG_DIMS(2, 2, 1, 64), NAN);
    nan = wg_to(nan, wg_cuda(0));
    wg_tensor *k = wg_cat(WG_LIST(wg_narrow(o.k, 2, 0, KEYS - 1), nan), 2),
              *y = wg_sdpa(o.q, o.k, o.v, .is_causal = true),
              *z = wg_sdpa(o.q, k, o.v, .is_causal = true);
    ck_assert(same(wg_narrow(z, 2, 0, QUERIES - 1), wg_narrow(y, 2, 0, QUERIES - 1)));
    ck_assert(isnan(wg_item(wg_sum(wg_narrow(z, 2, QUERIES - 1, 1), WG_ALL, false))));
    pop(scope);
}
END_TEST

int main(void)
{
    return suite_run(
        "cuda decode",
        (const TTest *[]) { parts_are_places_of_the_keys, only_what_can_be_read_by_chunks_is_taken,
                            a_few_queries_are_those_of_the_formula,
                            gradients_of_a_few_queries_are_those_of_the_cpu, many_parts_are_joined,
                            masks_hide_what_is_low, a_query_has_the_bits_that_it_has_alone,
                            nothing_seen_is_zero_and_nan_is_not_hidden, NULL });
}
