/* Attention's tiles against the formula in f64, at the edges of tiles, with every option; and what it promises. */
#include <math.h>

#include "nn_check.h"
#include "ops/sdpa.h"

typedef struct {
    int64_t batch, heads, kv_heads, tq, tk, d, dv;
    bool causal;
    int64_t window;
    int mask; /* 0: none, 1: bool with blind rows, 2: floating, by head */
    double dropout;
    bool by_time; /* q, k, v are views of (B, T, H, D) */
} shape;

typedef struct {
    wg_tensor *q, *k, *v, *mask, *dy;
    wgi_sdpa_attr attr;
    bool by_time;
} problem;

static wg_tensor *operand(const shape *s, int64_t heads, int64_t t, int64_t d)
{
    if (!s->by_time) return wg_randn(WG_DIMS(s->batch, heads, t, d));
    return wg_transpose(wg_randn(WG_DIMS(s->batch, t, heads, d)), 1, 2);
}

static wg_tensor *mask_of(const shape *s)
{
    if (s->mask == 0) return NULL;
    if (s->mask == 2) return wg_randn(WG_DIMS(s->heads, s->tq, s->tk));
    wg_tensor *on = wg_gt(wg_rand(WG_DIMS(s->tq, s->tk)), wg_scalar(0.3));
    wg_tensor *row = wg_ne(wg_remainder(wg_arange(0, s->tq), wg_scalar(5)), wg_scalar(3));
    return wg_logical_and(on, wg_unsqueeze(row, 1));
}

static problem make(const shape *s)
{
    wg_use_dtype(WG_F64);
    problem p = { .q = operand(s, s->heads, s->tq, s->d),
                  .k = operand(s, s->kv_heads, s->tk, s->d),
                  .v = operand(s, s->kv_heads, s->tk, s->dv),
                  .mask = mask_of(s),
                  .dy = wg_randn(WG_DIMS(s->batch, s->heads, s->tq, s->dv)),
                  .by_time = s->by_time };
    p.attr = (wgi_sdpa_attr) { .scale = 1 / sqrt((double)s->d),
                               .dropout = s->dropout,
                               .window = s->window,
                               .is_causal = s->causal };
    return p;
}

/* x as a leaf in dtype t on a device, there a view as it is here. */
static wg_tensor *leaf(wg_tensor *x, wg_dtype t, wg_device d, bool by_time)
{
    wg_tensor *y = wg_cast(x, t);
    if (d.kind != WG_CPU && by_time)
        y = wg_transpose(wg_to(wg_contiguous(wg_transpose(y, 1, 2)), d), 1, 2);
    else
        y = wg_to(y, d);
    return wg_require_grad(wg_detach(y));
}

/* y, dq, dk, dv by the op (a variant of sdpa's row) in dtype t. */
static void run(const wg_op *op, const problem *p, wg_dtype t, wg_device d, wg_generator random,
                wg_tensor **out)
{
    wg_tensor *x[] = { leaf(p->q, t, d, p->by_time), leaf(p->k, t, d, p->by_time),
                       leaf(p->v, t, d, p->by_time) };
    wg_tensor *mask = p->mask ? wg_to(p->mask, d) : NULL;
    wg_generator_set(random);
    out[0] = wg_apply(op, WG_LIST(x[0], x[1], x[2], mask), &p->attr, NULL);
    ck_assert_int_eq(wg_grad(WG_LIST(out[0]), (wg_list) { 3, x },
                             WG_LIST(wg_to(wg_cast(p->dy, t), d)), 0, (wg_list) { 3, out + 1 }),
                     WG_OK);
}

static void check_on(wg_device d, const shape *s, wg_dtype t, double tolerance)
{
    static const char *const names[] = { "y", "dq", "dk", "dv" };
    const wg_scope scope = begin();
    wg_op exact = wgi_op_sdpa;
    exact.cpu = exact.reference;
    exact.flags = (exact.flags | WG_OP_CONTIGUOUS) & ~(unsigned)WG_OP_LAYOUT;
    exact.grad_fused = NULL; /* the composite, differentiated */
    problem p = make(s);
    if (t != WG_F64) { /* the same rounded values for both */
        p.q = wg_cast(wg_cast(p.q, t), WG_F64);
        p.k = wg_cast(wg_cast(p.k, t), WG_F64);
        p.v = wg_cast(wg_cast(p.v, t), WG_F64);
        p.dy = wg_cast(wg_cast(p.dy, t), WG_F64);
    }
    wg_tensor *want[4], *got[4], *again[4];
    const wg_generator random = wg_generator_get();
    run(&exact, &p, WG_F64, wg_cpu(), random, want);
    wg_use_threads(1);
    run(&wgi_op_sdpa, &p, t, d, random, got);
    wg_use_threads(2);
    run(&wgi_op_sdpa, &p, t, d, random, again);
    wg_use_threads(0);
    for (int i = 0; i < 4; i++) {
        const double far = wg_numel(want[i]) ? distance(got[i], want[i]) : 0;
        ck_assert_msg(
            far <= tolerance,
            "%s %s: %g (B %lld H %lld/%lld T %lld,%lld D %lld,%lld causal %d window %lld mask %d dropout %g)",
            wg_dtype_name(t), names[i], far, (long long)s->batch, (long long)s->heads,
            (long long)s->kv_heads, (long long)s->tq, (long long)s->tk, (long long)s->d,
            (long long)s->dv, s->causal, (long long)s->window, s->mask, s->dropout);
        ck_assert_msg(same_bits(got[i], again[i]),
                      "%s differs between two runs, of one and two threads", names[i]);
    }
    pop(scope);
}

static void check(const shape *s, wg_dtype t, double tolerance)
{
    check_on(wg_cpu(), s, t, tolerance);
}

/* (B, T, H D) split into heads, attended and joined again is one buffer all the way, forward and backward. */
START_TEST(an_expanded_query_gives_a_contiguous_result)
{
    wg_scope scope = wg_scope_push();
    wg_tensor *one = wg_randn(WG_DIMS(1, 1, 5, 8)), *k = wg_randn(WG_DIMS(2, 3, 5, 8));
    wg_tensor *q = wg_expand(one, WG_DIMS(2, 3, 5, 8)), *y = wg_sdpa(q, k, k),
              *want = wg_sdpa(wg_contiguous(q), k, k);
    ck_assert(wg_is_contiguous(y) && same_bits(y, want));
    pop(scope);
}
END_TEST

START_TEST(heads_are_joined_without_a_copy)
{
    wg_scope scope = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(2, 20, 3 * 4 * 8))), *qkv[3];
    ck_assert_int_eq(wg_profile_start(0), WG_OK);
    wg_split(x, WG_DIMS(32, 32, 32), -1, qkv);
    for (int i = 0; i < 3; i++)
        qkv[i] = wg_transpose(wg_reshape(qkv[i], WG_DIMS(2, 20, 4, 8)), 1, 2);
    wg_tensor *y = wg_transpose(wg_sdpa(qkv[0], qkv[1], qkv[2], .is_causal = true), 1, 2);
    ck_assert(wg_is_contiguous(y));
    y = wg_reshape(y, WG_DIMS(2, 20, 32));
    ck_assert_int_eq(wg_backward(y, .cotangent = wg_ones_like(y)), WG_OK);
    const wg_profile p = wg_profile_stop();
    for (int64_t i = 0; i < p.n; i++) ck_assert_str_ne(p.row[i].op, "contiguous");
    pop(scope);
}
END_TEST

/* Lengths around the tiles' edges (from 16 x 64 to 128 x 256; 28, 56 or 84 queries of bf16) and the change to reading in
 * place (8 queries), head sizes around vectors; options cycle through them. Sums of up to 600 terms in f32: 5e-6 of the largest value. */
START_TEST(every_shape_and_option_matches_the_formula)
{
    static const int64_t lengths[][2] = { { 1, 1 },    { 1, 7 },     { 3, 5 },     { 4, 130 },
                                          { 5, 3 },    { 16, 16 },   { 17, 64 },   { 33, 70 },
                                          { 65, 65 },  { 128, 128 }, { 130, 129 }, { 100, 200 },
                                          { 9, 600 },  { 600, 513 }, { 20, 257 },  { 29, 28 },
                                          { 57, 130 }, { 85, 530 } };
    static const int64_t sizes[][2] = { { 64, 64 }, { 8, 20 }, { 20, 12 }, { 32, 33 } };
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (int m = 0; m < 12; m++) {
            const shape s = { .batch = 1 + m % 2,
                              .heads = m % 3 ? 4 : 2,
                              .kv_heads = m % 3 == 2 ? 1 : 2,
                              .tq = lengths[l][0],
                              .tk = lengths[l][1],
                              .d = sizes[m % 4][0],
                              .dv = sizes[m % 4][1],
                              .causal = m % 2,
                              .window = m / 2 % 3 == 2 ? 7 : 0,
                              .mask = m % 3,
                              .dropout = m % 4 == 1 ? 0.3 : 0,
                              .by_time = m % 5 < 2 };
            const bool large = s.tq * s.tk > 12000;
            if (large && m % 4) continue; /* the references are slow */
            check(&s, WG_F32, 5e-6);
            /* y is rounded before delta is made of it; where bf16 has products of its own, the probabilities are, too */
            check(&s, WG_BF16, 0x1p-5);
            if (!large) check(&s, WG_F64, 1e-13);
        }
}
END_TEST

START_TEST(sixteen_bits_are_near)
{
    static const int64_t sizes[][2] = { { 20, 33 }, { 300, 70 }, { 40, 520 } };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const shape s = { .batch = 2,
                          .heads = 4,
                          .kv_heads = 2,
                          .tq = 33,
                          .tk = 70,
                          .d = sizes[i][0],
                          .dv = sizes[i][1],
                          .causal = true };
        check(&s, WG_BF16, 0x1p-7);
        check(&s, WG_F16, 0x1p-10);
    }
}
END_TEST

/* Every head size that has kernels of its own, sizes between them, and some that have none; 16 bits: the probabilities
 * are rounded too, before they are summed. */
static void check_head_on(wg_device device, int64_t d, int64_t dv)
{
    static const int64_t lengths[][2] = {
        { 9, 70 }, { 64, 64 }, { 33, 90 }, { 130, 130 }, { 140, 50 }
    };
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (int m = (int)l % 2; m < 6; m += 2) { /* the references are slow */
            const shape s = { .batch = 2,
                              .heads = 4,
                              .kv_heads = m / 2 % 2 ? 4 : 2,
                              .tq = lengths[l][0],
                              .tk = lengths[l][1],
                              .d = d,
                              .dv = dv,
                              .causal = m % 3 != 2,
                              .window = m == 1 ? 20 : 0,
                              .mask = m > 2 ? m - 3 : 0,
                              .dropout = m == 3 || m == 5 ? 0.3 : 0,
                              .by_time = m % 3 == 0 };
            check_on(device, &s, WG_BF16, 0x1p-6);
            check_on(device, &s, WG_F16, 0x1p-9);
            if (d != 20 && getenv("WG_TEST_SLOW_DEVICE")) continue; /* one that is interpreted */
            check_on(device, &s, WG_F32, 1e-5);
            if (m < 2) check_on(device, &s, WG_F64, 1e-12);
        }
}

START_TEST(a_device_gives_what_the_formula_gives)
{
    static const int64_t sizes[][2] = { { 32, 32 },   { 64, 64 }, { 96, 96 },   { 128, 128 },
                                        { 256, 256 }, { 80, 40 }, { 200, 136 }, { 20, 12 } };
    if (wg_cuda_device_count() == 0) {
        printf("skipped: no CUDA device\n");
        return;
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_head_on(wg_cuda(0), sizes[i][0], sizes[i][1]);
}
END_TEST

START_TEST(rows_that_see_nothing_are_zero_and_pass_nothing)
{
    const wg_scope s = begin();
    wg_tensor *x[] = { wg_require_grad(wg_randn(WG_DIMS(1, 2, 6, 8))),
                       wg_require_grad(wg_randn(WG_DIMS(1, 2, 4, 8))),
                       wg_require_grad(wg_randn(WG_DIMS(1, 2, 4, 8))) };
    wg_tensor *y = wg_sdpa(x[0], x[1], x[2],
                           .is_causal = true); /* the first two queries come before every key */
    ck_assert_double_eq(wg_item(wg_max(wg_abs(wg_narrow(y, 2, 0, 2)), WG_ALL, false)), 0);
    wg_tensor *dx[3];
    ck_assert_int_eq(wg_grad(WG_LIST(y), (wg_list) { 3, x }, WG_LIST(wg_randn(wg_shape(y))), 0,
                             (wg_list) { 3, dx }),
                     WG_OK);
    ck_assert_double_eq(wg_item(wg_max(wg_abs(wg_narrow(dx[0], 2, 0, 2)), WG_ALL, false)), 0);
    for (int i = 0; i < 3; i++) ck_assert(isfinite(wg_item(wg_norm(dx[i], 2, WG_ALL, false))));
    pop(s);
}
END_TEST

/* Without a head size all keys weigh the same; without a size of values nothing comes out, nor back. */
START_TEST(empty_heads_give_means_and_zeros)
{
    static const wg_dtype types[] = { WG_F32, WG_BF16 };
    const wg_scope s = begin();
    for (int i = 0; i < 2; i++) {
        wg_tensor *q = wg_cast(wg_randn(WG_DIMS(1, 2, 40, 8)), types[i]), *dx[3];
        wg_sdpa(q, q, q); /* leaves scratch memory full of numbers */
        wg_tensor *none = wg_cast(wg_zeros(WG_DIMS(1, 2, 40, 0)), types[i]);
        wg_tensor *mean = wg_mean(wg_cast(q, WG_F64), WG_DIMS(2), true);
        ck_assert_double_le(
            distance(wg_sdpa(none, none, q, .scale = 1), wg_expand(mean, wg_shape(q))), 0x1p-6);
        wg_tensor *x[] = { wg_require_grad(q), wg_require_grad(wg_detach(wg_neg(q))),
                           wg_require_grad(none) };
        wg_tensor *y = wg_sdpa(x[0], x[1], x[2]);
        ck_assert_int_eq(
            wg_grad(WG_LIST(y), (wg_list) { 3, x }, WG_LIST(none), 0, (wg_list) { 3, dx }), WG_OK);
        for (int j = 0; j < 2; j++)
            ck_assert_double_eq(wg_item(wg_max(wg_abs(dx[j]), WG_ALL, false)), 0);
    }
    pop(s);
}
END_TEST

START_TEST(nan_is_not_hidden)
{
    const wg_scope s = begin();
    for (int64_t t = 1; t <= 33; t += 32) {
        wg_tensor *q = wg_full(WG_DIMS(1, 1, t, 8), NAN), *k = wg_randn(WG_DIMS(1, 1, 33, 8));
        ck_assert(isnan(wg_item(wg_sum(wg_sdpa(q, k, k, .is_causal = true), WG_ALL, false))));
    }
    pop(s);
}
END_TEST

/* Speculative decoding counts on it: a few positions at once have the bits that each has alone. */
START_TEST(positions_at_once_are_those_of_one_at_a_time)
{
    static const int64_t sizes[] = { 64, 128, 80, 20 };
    enum { KEYS = 100, QUERIES = 5 };
    for (int c = 0; c < 16; c++) {
        const int64_t d = sizes[c % 4], window = c / 4 % 2 ? 41 : 0;
        const wg_dtype type = c / 8 ? WG_F64 : WG_F32;
        const wg_scope s = begin();
        wg_tensor *q = wg_cast(wg_randn(WG_DIMS(1, 4, QUERIES, d)), type),
                  *k = wg_cast(wg_randn(WG_DIMS(1, 2, KEYS, d)), type),
                  *v = wg_cast(wg_randn(WG_DIMS(1, 2, KEYS, d)), type);
        wg_tensor *y = wg_sdpa(q, k, v, .is_causal = true, .window = window);
        for (int64_t i = 0; i < QUERIES; i++) {
            const int64_t seen = KEYS - QUERIES + 1 + i;
            wg_tensor *one = wg_sdpa(wg_narrow(q, 2, i, 1), wg_narrow(k, 2, 0, seen),
                                     wg_narrow(v, 2, 0, seen), .is_causal = true, .window = window);
            ck_assert_double_eq(distance(wg_narrow(y, 2, i, 1), one), 0);
        }
        pop(s);
    }
}
END_TEST

/* Of a hidden key any score may come: where it is NaN, the queries that do not see it stay as they were. */
START_TEST(a_hidden_key_may_be_nan)
{
    static const int64_t queries[] = { 4, 40 }; /* in place, in tiles */
    static const wg_dtype types[] = { WG_F32, WG_F64, WG_BF16 };
    for (int c = 0; c < 6; c++) {
        const int64_t t = queries[c % 2];
        const wg_scope s = begin();
        wg_tensor *q = wg_cast(wg_randn(WG_DIMS(1, 2, t, 8)), types[c / 2]),
                  *k = wg_cast(wg_randn(WG_DIMS(1, 2, t, 8)), types[c / 2]);
        wg_tensor *nan = wg_cast(wg_full(WG_DIMS(1, 2, 1, 8), NAN), types[c / 2]);
        wg_tensor *y = wg_sdpa(q, k, q, .is_causal = true),
                  *z = wg_sdpa(q, wg_cat(WG_LIST(wg_narrow(k, 2, 0, t - 1), nan), 2), q,
                               .is_causal = true);
        ck_assert_double_eq(distance(wg_narrow(z, 2, 0, t - 1), wg_narrow(y, 2, 0, t - 1)), 0);
        ck_assert(isnan(wg_item(wg_sum(wg_narrow(z, 2, t - 1, 1), WG_ALL, false))));
        pop(s);
    }
}
END_TEST

START_TEST(the_last_query_sees_the_last_key)
{
    const wg_scope s = begin();
    wg_tensor *q = wg_randn(WG_DIMS(2, 4, 40, 16)), *k = wg_randn(WG_DIMS(2, 2, 40, 16)),
              *v = wg_randn(WG_DIMS(2, 2, 40, 16));
    wg_tensor *whole = wg_sdpa(q, k, v, .is_causal = true);
    for (int64_t n = 1; n <= 7; n += 3) { /* decoding n tokens after a cache */
        wg_tensor *y = wg_sdpa(wg_narrow(q, 2, 40 - n, n), k, v, .is_causal = true);
        ck_assert_double_le(distance(y, wg_narrow(whole, 2, 40 - n, n)), 1e-6);
    }
    pop(s);
}
END_TEST

START_TEST(a_window_is_a_mask)
{
    const wg_scope s = begin();
    wg_tensor *q = wg_randn(WG_DIMS(2, 150, 16)), *k = wg_randn(WG_DIMS(2, 150, 16));
    wg_tensor *band = wg_gt(wg_tril(wg_triu(wg_ones(WG_DIMS(150, 150)), -9), 0), wg_scalar(0));
    ck_assert_double_le(
        distance(wg_sdpa(q, k, k, .is_causal = true, .window = 10), wg_sdpa(q, k, k, .mask = band)),
        1e-6);
    pop(s);
}
END_TEST

/* Gradients of q, k and v under a mask; learned: by the definition, scores whole. */
static void gradients_under(wg_tensor *mask, bool learned, wg_list to)
{
    wg_seed(4);
    wg_tensor *x[3];
    for (int i = 0; i < 3; i++) x[i] = wg_require_grad(wg_randn(WG_DIMS(2, 40, 16)));
    wg_tensor *dy = wg_randn(WG_DIMS(2, 40, 16));
    mask = wg_detach(mask);
    to.t[3] = wg_sdpa(x[0], x[1], x[2], learned ? wg_require_grad(mask) : mask);
    wg_backward(to.t[3], .cotangent = dy);
    for (int i = 0; i < 3; i++) to.t[i] = wg_grad_of(x[i]);
}

/* Every third row hidden throughout, other keys of it hidden here and there. */
static wg_tensor *low_mask(double low)
{
    wg_tensor *at = wg_add(wg_unsqueeze(wg_mul(wg_arange(0, 40), wg_scalar(7)), 1),
                           wg_mul(wg_arange(0, 40), wg_scalar(5)));
    wg_tensor *hidden = wg_logical_or(
        wg_eq(wg_remainder(at, wg_scalar(3)), wg_scalar(0)),
        wg_unsqueeze(wg_eq(wg_remainder(wg_arange(0, 40), wg_scalar(3)), wg_scalar(0)), 1));
    return wg_masked_fill(wg_zeros(WG_DIMS(40, 40)), hidden, low);
}

START_TEST(a_low_mask_hides_as_infinity_does)
{
    static const double lows[] = { -3.4e38, -1e9, -65504, -30001 };
    const wg_scope s = begin();
    wg_tensor *want[4], *got[4];
    gradients_under(low_mask(-INFINITY), false, (wg_list) { 4, want });
    for (int i = 0; i < 8; i++) {
        gradients_under(low_mask(lows[i / 2]), i % 2, (wg_list) { 4, got });
        expect_no_error();
        for (int j = 0; j < 4; j++)
            ck_assert_msg(i % 2 ? distance(got[j], want[j]) <= 1e-5 : same_bits(got[j], want[j]),
                          "%g, learned %d: %d", lows[i / 2], i % 2, j);
    }
    for (int learned = 0; learned < 2; learned++)
        gradients_under(low_mask(-29999), learned, (wg_list) { 4, learned ? got : want });
    expect_no_error();
    for (int j = 0; j < 4; j++) ck_assert_double_le(distance(got[j], want[j]), 2e-3);
    pop(s);
}
END_TEST

/* The composite would hold 16 MiB of scores. */
START_TEST(scores_never_stand_whole)
{
    const wg_scope s = begin();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(1, 1, 2048, 16)));
    wg_memory_reset_peak(wg_cpu());
    const int64_t before = wg_memory_stats(wg_cpu()).peak;
    ck_assert_int_eq(wg_backward(wg_sum(wg_sdpa(x, x, x, .is_causal = true), WG_ALL, false)),
                     WG_OK);
    ck_assert_int_lt(wg_memory_stats(wg_cpu()).peak - before, 2 << 20);
    pop(s);
}
END_TEST

static void with_mask(void *self, wg_list in, wg_list out)
{
    (void)self;
    out.t[0] = wg_sdpa(in.t[0], in.t[1], in.t[2], .mask = in.t[3], .is_causal = true);
}

START_TEST(a_floating_mask_may_be_learned)
{
    const wg_scope s = begin();
    wg_use_dtype(WG_F64);
    wg_tensor *q = wg_randn(WG_DIMS(1, 4, 3, 2)), *k = wg_randn(WG_DIMS(1, 2, 4, 2)),
              *mask = wg_randn(WG_DIMS(4, 3, 4));
    const wg_list in = WG_LIST(q, k, wg_randn(WG_DIMS(1, 2, 4, 2)), wg_require_grad(mask));
    ck_assert_int_eq(wg_gradcheck(with_mask, NULL, in, NULL), WG_OK);
    wg_sdpa(q, wg_randn(WG_DIMS(1, 3, 4, 2)), k,
            .mask = mask); /* the same check and name on this way */
    fails(WG_ESHAPE, "sdpa: ");
    pop(s);
}
END_TEST

START_TEST(dropout_drops_its_share_and_keeps_the_mean)
{
    const wg_scope s = begin();
    wg_tensor *q = wg_zeros(WG_DIMS(4, 64, 8)), *one = wg_ones(WG_DIMS(4, 64, 8));
    wg_tensor *y = wg_sdpa(
        q, q, one, .dropout = 0.25); /* rows of kept weights: mean 1, variance p / (1 - p) / 64 */
    ck_assert_double_eq_tol(wg_item(wg_mean(y, WG_ALL, false)), 1,
                            5 * sqrt(0.25 / 0.75 / 64 / 256));
    ck_assert_double_gt(wg_item(wg_std(y, .axes = WG_ALL)), 0.05);
    wg_tensor *none = wg_sdpa(q, q, one, .dropout = 1);
    ck_assert_double_eq(wg_item(wg_max(wg_abs(none), WG_ALL, false)), 0);
    pop(s);
}
END_TEST

/* Two keys, of which one scores 0 and the other x: the weight of the second is e^x where 1 + e^x is 1. */
START_TEST(weights_have_the_bits_of_exp)
{
    enum { N = 40000 };
    const wg_scope s = begin();
    wg_use_grad(false);
    static const float keys[] = { 0, 1 };
    wg_tensor *x = wg_cast(wg_affine(wg_arange(0, N), -88.0 / N, -18), WG_F32), /* to -106 */
        *k = wg_from(keys, sizeof keys, WG_F32, WG_DIMS(1, 1, 2, 1));
    wg_tensor *y =
        wg_reshape(wg_sdpa(wg_reshape(x, WG_DIMS(1, 1, N, 1)), k, k, .scale = 1), WG_DIMS(N));
    float got[N], want[N];
    ck_assert_int_eq(wg_read(y, got, sizeof got, WG_F32), WG_OK);
    ck_assert_int_eq(wg_read(wg_exp(x), want, sizeof want, WG_F32), WG_OK);
    ck_assert(want[0] > 0 && want[N - 1] == 0);
    for (int i = 0; i < N; i++)
        ck_assert_msg(got[i] == want[i], "%d: got %g want %g", i, got[i], want[i]);
    pop(s);
}
END_TEST

START_TEST(flops_count_the_pairs_that_take_part)
{
    const wg_scope s = begin();
    wg_use_grad(false);
    wg_tensor *q = wg_randn(WG_DIMS(2, 3, 5, 8)), *k = wg_randn(WG_DIMS(2, 3, 7, 8));
    double before = wg_flops();
    wg_sdpa(q, k, k);
    ck_assert_double_eq(wg_flops() - before, 2 * 3 * 5 * 7 * 4.0 * 8);
    before = wg_flops();
    wg_sdpa(q, k, k, .is_causal = true); /* 3 + 4 + 5 + 6 + 7 */
    ck_assert_double_eq(wg_flops() - before, 2 * 3 * 25 * 4.0 * 8);
    pop(s);
}
END_TEST

int main(void)
{
    return suite_run(
        "attention",
        (const TTest *[]) {
            heads_are_joined_without_a_copy, an_expanded_query_gives_a_contiguous_result,
            every_shape_and_option_matches_the_formula, sixteen_bits_are_near,
            a_device_gives_what_the_formula_gives, rows_that_see_nothing_are_zero_and_pass_nothing,
            empty_heads_give_means_and_zeros, nan_is_not_hidden, a_hidden_key_may_be_nan,
            positions_at_once_are_those_of_one_at_a_time, the_last_query_sees_the_last_key,
            a_window_is_a_mask, a_low_mask_hides_as_infinity_does, scores_never_stand_whole,
            a_floating_mask_may_be_learned, dropout_drops_its_share_and_keeps_the_mean,
            weights_have_the_bits_of_exp, flops_count_the_pairs_that_take_part, NULL });
}
