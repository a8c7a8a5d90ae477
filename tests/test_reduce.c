/* Reductions, sorting and indexing beyond the registry's samples: long sums, threads, layouts that
 * need blocks and strips, ties, NaN, what happens over nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

static double *values_of(wg_tensor *t)
{
    const size_t bytes = (size_t)wg_numel(t) * sizeof(double);
    double *v = wg_scope_alloc(bytes + 8);
    ck_assert_ptr_nonnull(v);
    wg_status s = wg_read(t, v, bytes, WG_F64);
    ck_assert_msg(s == WG_OK, "pending: %s", wg_error_get() ? wg_error_get()->message : "");
    return v;
}

static void expect_values(wg_tensor *t, const double *want, int64_t n, double tolerance,
                          const char *what)
{
    expect_no_error();
    ck_assert_int_eq(wg_numel(t), n);
    const double *got = values_of(t);
    for (int64_t i = 0; i < n; i++) {
        const bool same = isnan(want[i])   ? isnan(got[i])
                          : isinf(want[i]) ? got[i] == want[i]
                                           : fabs(got[i] - want[i]) <= tolerance;
        ck_assert_msg(same, "%s[%lld] got %.17g want %.17g", what, (long long)i, got[i], want[i]);
    }
}

static wg_tensor *doubles(int64_t n, const double *v)
{
    return wg_from(v, (size_t)n * sizeof *v, WG_F64, WG_DIMS(n));
}

static wg_tensor *integers(int64_t n, const int64_t *v)
{
    return wg_from(v, (size_t)n * sizeof *v, WG_I64, WG_DIMS(n));
}

#define DOUBLES(...)                                                                               \
    doubles(sizeof((double[]) { __VA_ARGS__ }) / sizeof(double), (double[]) { __VA_ARGS__ })
#define INTEGERS(...)                                                                              \
    integers(sizeof((int64_t[]) { __VA_ARGS__ }) / sizeof(int64_t), (int64_t[]) { __VA_ARGS__ })
#define EXPECT(t, tolerance, ...)                                                                  \
    expect_values(t, (double[]) { __VA_ARGS__ },                                                   \
                  sizeof((double[]) { __VA_ARGS__ }) / sizeof(double), tolerance, #t)

/* ---- accuracy ---- */

/* Pairwise sums of n lose about log2(n) roundings, not n: 24 of 2^-24 here; a running f32 sum is
 * off by 1e-3. */
START_TEST(a_sum_of_ten_million_is_exact_to_a_few_roundings)
{
    wg_scope s = wg_scope_push();
    const int64_t n = 10000019; /* no multiple of any block */
    wg_seed(1);
    wg_tensor *x = wg_rand(WG_DIMS(n));
    const float *v = wg_data(x);
    long double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += v[i];
    ck_assert_double_le(fabs(wg_item(wg_sum(x, WG_ALL, false)) / (double)sum - 1), 4 * 0x1p-24);
    ck_assert_double_le(fabs(wg_item(wg_mean(x, WG_ALL, false)) / (double)(sum / n) - 1),
                        4 * 0x1p-24);
    pop(s);
}
END_TEST

START_TEST(long_columns_are_exact_to_a_few_roundings)
{
    wg_scope s = wg_scope_push();
    enum { ROWS = 131101, COLUMNS = 7 };
    wg_seed(2);
    wg_tensor *x = wg_rand(WG_DIMS(ROWS, COLUMNS)), *y = wg_sum(x, WG_DIMS(0), false);
    const float *v = wg_data(x);
    const double *got = values_of(y);
    for (int c = 0; c < COLUMNS; c++) {
        long double sum = 0;
        for (int64_t i = 0; i < ROWS; i++) sum += v[i * COLUMNS + c];
        ck_assert_double_le(fabs(got[c] / (double)sum - 1), 8 * 0x1p-24);
    }
    pop(s);
}
END_TEST

START_TEST(variance_far_from_zero_keeps_its_digits)
{
    wg_scope s = wg_scope_push();
    wg_seed(3);
    wg_tensor *x =
        wg_affine(wg_randn(WG_DIMS(100000)), 1, 1000); /* x^2 - mean^2 would lose them all in f32 */
    ck_assert_double_le(fabs(wg_item(wg_var(x)) - wg_item(wg_var(wg_cast(x, WG_F64)))), 1e-3);
    pop(s);
}
END_TEST

START_TEST(a_long_running_sum_does_not_drift)
{
    wg_scope s = wg_scope_push();
    enum { N = 1000003 };
    wg_seed(4);
    wg_tensor *x = wg_rand(WG_DIMS(N));
    const float *v = wg_data(x), *y = wg_data(wg_cumsum(x, 0));
    long double sum = 0;
    for (int64_t i = 0; i < N; i++) {
        sum += v[i];
        if (i % 1000 == 2) ck_assert_double_le(fabs(y[i] / (double)sum - 1), 0x1p-23);
    }
    pop(s);
}
END_TEST

START_TEST(sixteen_bit_sums_round_once)
{
    wg_scope s = wg_scope_push();
    wg_tensor *ones =
        wg_cast(wg_full(WG_DIMS(3000), 1), WG_BF16); /* a running bf16 sum stops at 256 */
    ck_assert_double_eq(wg_item(wg_sum(ones, WG_ALL, false)), 3008);
    ck_assert_double_eq(wg_item(wg_mean(ones, WG_ALL, false)), 1);
    ck_assert_double_eq(wg_item(wg_sum(wg_cast(wg_full(WG_DIMS(3001), 1), WG_F16), WG_ALL, false)),
                        3000);
    pop(s);
}
END_TEST

START_TEST(integers_sum_to_i64)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_full(WG_DIMS(1000), 2147483647.0);
    wg_tensor *y = wg_sum(wg_cast(x, WG_I32), WG_ALL, false);
    ck_assert_int_eq(wg_dtype_of(y), WG_I64);
    ck_assert_int_eq(wg_item_int(wg_sum(wg_cast(wg_cast(x, WG_F64), WG_I32), WG_ALL, false)),
                     2147483647000);
    wg_tensor *large = INTEGERS(INT64_C(9007199254740993), 0, -2);
    ck_assert_int_eq(wg_item_int(wg_sum(large, WG_ALL, false)), INT64_C(9007199254740991));
    ck_assert_int_eq(wg_item_int(wg_max(large, WG_ALL, false)), INT64_C(9007199254740993));
    ck_assert_int_eq(wg_item_int(wg_sum(wg_ne(large, wg_scalar(0)), WG_ALL, false)), 2);
    ck_assert_int_eq(wg_dtype_of(wg_max(wg_cast(large, WG_U8), WG_ALL, false)), WG_U8);
    ck_assert_int_eq(wg_item_int(wg_prod(INTEGERS(3, -5, 7), WG_ALL, false)), -105);
    pop(s);
}
END_TEST

/* ---- layouts: sizes around blocks (64, 4096), strips (256) and chunks (16 blocks) ---- */

/* x seen with its axes in another order in memory, and with gaps. */
static wg_tensor *in_order(wg_tensor *x, wg_dims order)
{
    wg_dims back = order;
    for (int i = 0; i < order.n; i++) back.d[order.d[i]] = i;
    return wg_permute(wg_contiguous(wg_permute(x, order)), back);
}

static wg_tensor *with_gaps(wg_tensor *x)
{
    const wg_dims one = WG_DIMS(1, 0, 2);
    wg_tensor *p = wg_pad(x, one, one, 7);
    for (int d = 0; d < 3; d++) p = wg_narrow(p, d, one.d[d], wg_size(x, d));
    return p;
}

typedef wg_tensor *(*reduction)(wg_tensor *x, wg_dims axes, bool keepdim);

static wg_tensor *norm3(wg_tensor *x, wg_dims axes, bool keepdim)
{
    return wg_norm(x, 3, axes, keepdim);
}

static wg_tensor *deviation(wg_tensor *x, wg_dims axes, bool keepdim)
{
    return wg_std(x, .axes = axes, .keepdim = keepdim);
}

enum { LAYOUTS = 12 };

static void lay_out(wg_tensor *x, wg_tensor **v)
{
    static const int64_t orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 2, 1, 0 },
                                         { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 } };
    for (int o = 0; o < LAYOUTS; o++) {
        v[o] = in_order(x, wg_dims_make(3, orders[o % 6]));
        if (o >= 6) v[o] = with_gaps(v[o]);
    }
}

static void compare_layouts(const char *name, reduction f, wg_tensor **v, wg_tensor *in_f64,
                            wg_dims axes)
{
    wg_tensor *exact = f(in_f64, axes, false);
    const double *want = values_of(exact);
    double largest = 0;
    for (int64_t i = 0; i < wg_numel(exact); i++) largest = fmax(largest, fabs(want[i]));
    for (int o = 0; o < LAYOUTS; o++) {
        char what[64];
        snprintf(what, sizeof what, "%s layout %d", name, o);
        expect_values(f(v[o], axes, false), want, wg_numel(exact), 1e-5 * largest, what);
    }
}

static const struct {
    const char *name;
    reduction f;
} reductions[] = { { "sum", (wg_sum) },
                   { "mean", (wg_mean) },
                   { "max", (wg_max) },
                   { "min", (wg_min) },
                   { "argmax", (wg_argmax) },
                   { "argmin", (wg_argmin) },
                   { "logsumexp", (wg_logsumexp) },
                   { "norm", norm3 },
                   { "std", deviation },
                   { "any", (wg_any) },
                   { "all", (wg_all) } };

START_TEST(every_layout_gives_the_same)
{
    const wg_dims shapes[] = { WG_DIMS(5, 67, 259), WG_DIMS(1200, 3, 6), WG_DIMS(3, 2, 4200) };
    const wg_dims axes[] = { WG_DIMS(0),    WG_DIMS(1),    WG_DIMS(2), WG_DIMS(0, 1),
                             WG_DIMS(0, 2), WG_DIMS(1, 2), WG_ALL };
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        wg_scope s = wg_scope_push();
        wg_seed(10 + k);
        wg_tensor *x = wg_affine(wg_rand(shapes[k]), 1, -0.1), *in_f64 = wg_cast(x, WG_F64),
                  *v[LAYOUTS];
        lay_out(x, v);
        for (size_t o = 0; o < sizeof reductions / sizeof *reductions; o++)
            for (size_t a = 0; a < sizeof axes / sizeof *axes; a++) {
                wg_scope inner = wg_scope_push();
                compare_layouts(reductions[o].name, reductions[o].f, v, in_f64, axes[a]);
                pop(inner);
            }
        pop(s);
    }
}
END_TEST

START_TEST(an_expanded_input_counts_its_repetitions)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_expand(wg_reshape(wg_cast(wg_arange(0, 5), WG_F32), WG_DIMS(5, 1)),
                             WG_DIMS(9000, 5, 300));
    EXPECT(wg_sum(x, WG_DIMS(0, 2), false), 0, 0, 2.7e6, 5.4e6, 8.1e6, 10.8e6);
    EXPECT(wg_max(x, WG_ALL, false), 0, 4);
    EXPECT(wg_mean(wg_sum(x, WG_DIMS(1), false), WG_ALL, false), 0, 10);
    pop(s);
}
END_TEST

/* ---- threads ---- */
static void every_result(wg_tensor *x, wg_tensor *i, wg_tensor **y)
{
    wg_tensor *flat = wg_reshape(x, WG_DIMS(-1));
    *y++ = wg_sum(x, WG_ALL, false);
    *y++ = wg_sum(x, WG_DIMS(0), false);
    *y++ = wg_sum(x, WG_DIMS(1), false);
    *y++ = wg_sum(wg_transpose(x, 0, 1), WG_DIMS(0), false);
    *y++ = wg_var(x, .axes = WG_DIMS(0));
    *y++ = wg_logsumexp(x, WG_ALL, false);
    *y++ = wg_norm(x, 2, WG_ALL, false);
    *y++ = wg_cumsum(x, 0);
    *y++ = wg_sort(flat, 0, false, NULL);
    *y++ =
        wg_index_add(x, 1, wg_remainder(i, wg_full_like(i, 40)), wg_narrow(x, 1, 0, wg_size(i, 0)));
    *y++ = wg_embedding(x, i);
    *y++ = NULL;
}

START_TEST(bits_do_not_depend_on_the_threads)
{
    wg_scope s = wg_scope_push();
    wg_tensor *y[3][16] = { { NULL } };
    wg_seed(5);
    wg_tensor *x = wg_randn(WG_DIMS(3001, 301)), *i = wg_randint(0, 200, WG_DIMS(300));
    for (int t = 0; t < 3; t++) {
        wg_use_threads(t + 1);
        every_result(x, i, y[t]);
    }
    wg_use_threads(0);
    expect_no_error();
    for (int k = 0; y[0][k]; k++)
        for (int t = 1; t < 3; t++)
            ck_assert_msg(memcmp(wg_data(y[0][k]), wg_data(y[t][k]),
                                 (size_t)wg_numel(y[0][k]) * sizeof(float)) == 0,
                          "result %d with %d threads", k, t + 1);
    pop(s);
}
END_TEST

/* Indices repeat, so the order of the additions shows in the bits. */
START_TEST(an_embeddings_gradient_is_the_ordered_sum_for_any_threads)
{
    enum { V = 11, C = 193, N = 4000 };
    wg_scope s = wg_scope_push();
    wg_seed(6);
    wg_tensor *dy = wg_randn(WG_DIMS(N, C)), *i = wg_randint(0, V, WG_DIMS(N));
    float *want = calloc(V * C, sizeof *want);
    const float *d = wg_data(dy);
    const int64_t *at = wg_data(i);
    for (int64_t n = 0; n < N; n++)
        for (int c = 0; c < C; c++) want[at[n] * C + c] += d[n * C + c];
    for (int t = 1; t <= 3; t++) {
        wg_use_threads(t);
        wg_tensor *w = wg_require_grad(wg_zeros(WG_DIMS(V, C)));
        ck_assert_int_eq(wg_backward(wg_embedding(w, i), dy), WG_OK);
        ck_assert_msg(memcmp(wg_data(wg_grad_of(w)), want, V * C * sizeof *want) == 0, "%d threads",
                      t);
        ck_assert_int_eq(wg_backward(wg_embedding(w, i), dy), WG_OK); /* added in place */
        const double *twice = values_of(wg_grad_of(w));
        for (int k = 0; k < V * C; k++) ck_assert_double_le(fabs(twice[k] - 2.0 * want[k]), 1e-3);
    }
    wg_use_threads(0);
    free(want);
    pop(s);
}
END_TEST

/* ---- over nothing, infinities, NaN ---- */
START_TEST(reductions_over_nothing)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_zeros(WG_DIMS(2, 0));
    const wg_dims axis = WG_DIMS(1);
    EXPECT(wg_sum(x, axis, false), 0, 0, 0);
    EXPECT(wg_prod(x, axis, false), 0, 1, 1);
    EXPECT(wg_mean(x, axis, false), 0, NAN, NAN);
    EXPECT(wg_var(x, .axes = axis), 0, NAN, NAN);
    EXPECT(wg_logsumexp(x, axis, false), 0, -INFINITY, -INFINITY);
    EXPECT(wg_norm(x, INFINITY, axis, false), 0, 0, 0);
    EXPECT(wg_any(x, axis, false), 0, 0, 0);
    EXPECT(wg_all(x, axis, false), 0, 1, 1);
    ck_assert_int_eq(wg_numel(wg_max(x, WG_DIMS(0), false)), 0);
    wg_max(x, axis, false);
    expect_error(WG_ESHAPE, "max: nothing to choose from");
    wg_argmin(x, axis, false);
    expect_error(WG_ESHAPE, "argmin: nothing to choose from");
    wg_mean(wg_arange(0, 3), WG_ALL, false);
    expect_error(WG_EDTYPE, "mean: x must be floating, is i64");
    pop(s);
}
END_TEST

START_TEST(nan_and_infinity)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_reshape(
        DOUBLES(1, NAN, 3, NAN, -INFINITY, -INFINITY, -INFINITY, -INFINITY, INFINITY, 0, 1, 2),
        WG_DIMS(3, 4));
    EXPECT(wg_max(x, WG_DIMS(1), false), 0, NAN, -INFINITY, INFINITY);
    EXPECT(wg_min(x, WG_DIMS(1), false), 0, NAN, -INFINITY, 0);
    EXPECT(wg_argmax(x, WG_DIMS(1), false), 0, 1, 0, 0);
    EXPECT(wg_argmin(x, WG_DIMS(1), false), 0, 1, 0, 1);
    EXPECT(wg_logsumexp(x, WG_DIMS(1), false), 0, NAN, -INFINITY, INFINITY);
    EXPECT(wg_any(DOUBLES(NAN, 0), WG_ALL, false), 0, 1);
    for (int at = 0; at < 3; at++) { /* in the middle of a long row, in both kernels */
        wg_tensor *row = wg_zeros(WG_DIMS(3, 9000));
        float *v = wg_data_write(row);
        v[9000 + 5000 + at] = NAN;
        v[9000 + 7000] = NAN;
        v[0] = v[8000] = 5;
        EXPECT(wg_argmax(row, WG_DIMS(1), false), 0, 0, 5000 + at, 0);
        ck_assert_double_eq(values_of(wg_argmax(row, WG_DIMS(0), false))[5000 + at], 1);
        ck_assert(isnan(values_of(wg_max(row, WG_DIMS(1), false))[1]));
        ck_assert(isnan(wg_item(wg_max(row, WG_ALL, false))));
    }
    pop(s);
}
END_TEST

START_TEST(gradients_at_the_edges)
{
    wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64);
    wg_tensor *x = wg_require_grad(DOUBLES(2, 0, 3, 0, 5));
    wg_tensor *y = wg_prod(wg_narrow(x, 0, 1, 2), WG_ALL, false); /* 0 * 3 */
    wg_tensor *dx[1];
    ck_assert_int_eq(wg_grad(WG_LIST(y), WG_LIST(x), WG_NO_LIST, 0, (wg_list) { 1, dx }), WG_OK);
    EXPECT(dx[0], 0, 0, 3, 0, 0, 0);
    y = wg_max(wg_abs(x), WG_ALL, false);
    ck_assert_int_eq(
        wg_grad(WG_LIST(wg_min(x, WG_ALL, false)), WG_LIST(x), WG_NO_LIST, 0, (wg_list) { 1, dx }),
        WG_OK);
    EXPECT(dx[0], 0, 0, 0.5, 0, 0.5, 0); /* shared among equal ones */
    wg_tensor *low = wg_require_grad(wg_full(WG_DIMS(3), -INFINITY));
    ck_assert_int_eq(wg_grad(WG_LIST(wg_logsumexp(low, WG_ALL, false)), WG_LIST(low), WG_NO_LIST, 0,
                             (wg_list) { 1, dx }),
                     WG_OK);
    EXPECT(dx[0], 0, 0, 0, 0);
    wg_tensor *zero = wg_require_grad(wg_zeros(WG_DIMS(3)));
    ck_assert_int_eq(wg_grad(WG_LIST(wg_norm(zero, 2, WG_ALL, false)), WG_LIST(zero), WG_NO_LIST, 0,
                             (wg_list) { 1, dx }),
                     WG_OK);
    EXPECT(dx[0], 0, 0, 0, 0);
    ck_assert_int_eq(
        wg_grad(WG_LIST(wg_std(zero)), WG_LIST(zero), WG_NO_LIST, 0, (wg_list) { 1, dx }), WG_OK);
    EXPECT(dx[0], 0, 0, 0, 0);
    pop(s);
}
END_TEST

/* ---- sorting ---- */
START_TEST(sorting_is_stable_and_puts_nan_last)
{
    wg_scope s = wg_scope_push();
    wg_tensor *i, *x = DOUBLES(3, NAN, -0.0, 1, 0.0, 3, NAN, -INFINITY);
    EXPECT(wg_sort(x, 0, false, &i), 0, -INFINITY, 0, 0, 1, 3, 3, NAN, NAN);
    EXPECT(i, 0, 7, 2, 4, 3, 0, 5, 1, 6);
    EXPECT(wg_sort(x, 0, true, &i), 0, 3, 3, 1, 0, 0, -INFINITY, NAN, NAN);
    EXPECT(i, 0, 0, 5, 3, 2, 4, 7, 1, 6);
    EXPECT(wg_argsort(x, -1, true), 0, 0, 5, 3, 2, 4, 7, 1, 6);
    wg_seed(7);
    static const wg_dtype dtypes[] = { WG_F64, WG_F32, WG_BF16, WG_F16,
                                       WG_I64, WG_I32, WG_U8,   WG_BOOL };
    for (int t = 0; t < 8; t++)
        for (int descending = 0; descending < 2; descending++) {
            wg_tensor *many =
                wg_cast(wg_randint(dtypes[t] == WG_U8 ? 0 : -50, 50, WG_DIMS(3, 5000)), dtypes[t]);
            if (t % 2) many = wg_transpose(wg_contiguous(wg_transpose(many, 0, 1)), 0, 1);
            wg_tensor *y = wg_sort(many, 1, descending, &i);
            ck_assert_int_eq(wg_dtype_of(y), dtypes[t]);
            const double *v = values_of(y), *at = values_of(i), *from = values_of(many);
            for (int k = 0; k < 15000; k++) {
                ck_assert_double_eq(v[k], from[k / 5000 * 5000 + (int)at[k]]);
                if (k % 5000 == 0) continue;
                ck_assert(descending ? v[k - 1] >= v[k] : v[k - 1] <= v[k]);
                ck_assert(v[k - 1] != v[k] || at[k - 1] < at[k]);
            }
        }
    pop(s);
}
END_TEST

START_TEST(topk_is_the_head_of_a_descending_sort)
{
    wg_scope s = wg_scope_push();
    wg_seed(8);
    wg_tensor *x = wg_cast(wg_randint(-300, 300, WG_DIMS(3000, 2)), WG_F32);
    for (int64_t k = 1; k <= 3000; k = k * 7 + 1) { /* few are chosen, many are sorted */
        wg_tensor *i, *j, *y = wg_topk(x, k, 0, &i), *z = wg_sort(x, 0, true, &j);
        expect_values(y, values_of(wg_contiguous(wg_narrow(z, 0, 0, k))), 2 * k, 0, "values");
        expect_values(i, values_of(wg_contiguous(wg_narrow(j, 0, 0, k))), 2 * k, 0, "indices");
    }
    wg_tensor *i;
    EXPECT(wg_topk(DOUBLES(1, NAN, 3, NAN), 3, 0, &i), 0, NAN, NAN, 3);
    EXPECT(i, 0, 1, 3, 2);
    pop(s);
}
END_TEST

/* ---- indices ---- */
START_TEST(the_last_of_equal_writes_wins_and_gets_the_gradient)
{
    wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64);
    wg_tensor *x = wg_require_grad(DOUBLES(0, 1, 2, 3)), *v = wg_require_grad(DOUBLES(10, 20, 30));
    wg_tensor *dy = DOUBLES(1, 2, 4, 8), *d[2], *i = INTEGERS(2, -1, 2);
    wg_tensor *y = wg_index_put(x, WG_LIST(i), v, false);
    EXPECT(y, 0, 0, 1, 30, 20);
    ck_assert_int_eq(wg_grad(WG_LIST(y), WG_LIST(x, v), WG_LIST(dy), 0, (wg_list) { 2, d }), WG_OK);
    EXPECT(d[0], 0, 1, 2, 0, 0);
    EXPECT(d[1], 0, 0, 8, 4);
    y = wg_index_put(x, WG_LIST(i), v, true);
    EXPECT(y, 0, 0, 1, 42, 23);
    ck_assert_int_eq(wg_grad(WG_LIST(y), WG_LIST(x, v), WG_LIST(dy), 0, (wg_list) { 2, d }), WG_OK);
    EXPECT(d[0], 0, 1, 2, 4, 8);
    EXPECT(d[1], 0, 4, 8, 4);
    EXPECT(wg_index_put(x, WG_LIST(i), wg_scalar(7), false), 0, 0, 1, 7, 7);
    EXPECT(wg_index_get(wg_reshape(x, WG_DIMS(2, 2)), WG_LIST(INTEGERS(1, 0), INTEGERS(-1))), 0, 3,
           1);
    pop(s);
}
END_TEST

START_TEST(an_index_out_of_range_is_named_with_its_place_and_the_size)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_zeros(WG_DIMS(65, 3)),
              *i = wg_reshape(INTEGERS(1, 2, 3, 70, 5, -1), WG_DIMS(2, 3));
    wg_embedding(x, i);
    expect_error(WG_EINDEX, "embedding: i at (1, 0) is 70, out of range for size 65");
    wg_gather(x, 0, i);
    expect_error(WG_EINDEX, "gather: i at (1, 0) is 70, out of range for size 65");
    wg_index_select(x, 1, INTEGERS(2, -1));
    expect_error(WG_EINDEX, "index_select: i at (1) is -1, out of range for size 3");
    wg_index_get(x, WG_LIST(i, INTEGERS(0)));
    expect_error(WG_EINDEX, "index_get: i[0] at (1, 0) is 70, out of range for size 65");
    wg_index_get(x, WG_LIST(INTEGERS(-65), INTEGERS(-4)));
    expect_error(WG_EINDEX, "index_get: i[1] at (0) is -4, out of range for size 3");
    pop(s);
}
END_TEST

/* Against plain loops, with sizes around strips and strides that cannot be merged. */
START_TEST(gathering_and_scattering_large_strided_tensors)
{
    enum { A = 40, B = 70, C = 130, N = 90 };
    wg_scope s = wg_scope_push();
    wg_seed(9);
    wg_tensor *x = in_order(wg_randn(WG_DIMS(A, B, C)), WG_DIMS(2, 0, 1));
    wg_tensor *i = in_order(wg_randint(0, B, WG_DIMS(A, N, C)), WG_DIMS(1, 2, 0));
    wg_tensor *src = with_gaps(wg_randn(WG_DIMS(A, N, C)));
    const double *xv = values_of(x), *iv = values_of(i), *sv = values_of(src);
    double *taken = wg_scope_alloc(A * N * C * sizeof *taken),
           *added = wg_scope_alloc(A * B * C * sizeof *added);
    memcpy(added, xv, A * B * C * sizeof *added);
    for (int a = 0; a < A; a++)
        for (int n = 0; n < N; n++)
            for (int c = 0; c < C; c++) {
                const int at = (a * N + n) * C + c, to = (a * B + (int)iv[at]) * C + c;
                taken[at] = xv[to];
                added[to] += sv[at];
            }
    expect_values(wg_gather(x, 1, i), taken, A * N * C, 0, "gather");
    expect_values(wg_scatter_add(x, 1, i, src), added, A * B * C, 1e-5, "scatter_add");
    pop(s);
}
END_TEST

START_TEST(nonzero_lists_places_in_order)
{
    wg_scope s = wg_scope_push();
    wg_seed(10);
    wg_tensor *x = wg_transpose(wg_randint(0, 3, WG_DIMS(3000, 4)), 0, 1), *y = wg_nonzero(x);
    const double *v = values_of(x), *at = values_of(y);
    int64_t n = 0;
    for (int64_t k = 0; k < 12000; k++)
        if (v[k] != 0) {
            ck_assert_double_eq(at[2 * n], (double)(k / 3000));
            ck_assert_double_eq(at[2 * n++ + 1], (double)(k % 3000));
        }
    ck_assert_int_eq(wg_size(y, 0), n);
    ck_assert_int_eq(wg_size(wg_nonzero(wg_scalar(3)), 1), 0);
    wg_nonzero(wg_to(x, wg_meta()));
    expect_error(WG_EDEVICE, "nonzero: ");
    pop(s);
}
END_TEST

int main(void)
{
    return suite_run("reduce",
                     (const TTest *[]) { a_sum_of_ten_million_is_exact_to_a_few_roundings,
                                         long_columns_are_exact_to_a_few_roundings,
                                         variance_far_from_zero_keeps_its_digits,
                                         a_long_running_sum_does_not_drift,
                                         sixteen_bit_sums_round_once,
                                         integers_sum_to_i64,
                                         every_layout_gives_the_same,
                                         an_expanded_input_counts_its_repetitions,
                                         bits_do_not_depend_on_the_threads,
                                         an_embeddings_gradient_is_the_ordered_sum_for_any_threads,
                                         reductions_over_nothing,
                                         nan_and_infinity,
                                         gradients_at_the_edges,
                                         sorting_is_stable_and_puts_nan_last,
                                         topk_is_the_head_of_a_descending_sort,
                                         the_last_of_equal_writes_wins_and_gets_the_gradient,
                                         an_index_out_of_range_is_named_with_its_place_and_the_size,
                                         gathering_and_scattering_large_strided_tensors,
                                         nonzero_lists_places_in_order,
                                         NULL });
}
