/* Softmax, losses, norms, dropout, rotary positions: what the registry's tests do not reach. */
#include <math.h>
#include <string.h>

#include "suite.h"

enum { MOST = 1 << 16 };
static double first[MOST], second[MOST], third[MOST];

/* t's elements as doubles. */
static double *values(wg_tensor *t, double *into)
{
    ck_assert_int_le(wg_numel(t), MOST);
    ck_assert(wg_read(t, into, (size_t)wg_numel(t) * sizeof *into, WG_F64) == WG_OK);
    return into;
}

static wg_tensor *floats(const float *v, wg_dims shape)
{
    size_t n = 1;
    for (int d = 0; d < shape.n; d++) n *= (size_t)shape.d[d];
    return wg_from(v, n * sizeof *v, WG_F32, shape);
}

static wg_tensor *ids(const int64_t *v, int64_t n)
{
    return wg_from(v, (size_t)n * sizeof *v, WG_I64, WG_DIMS(n));
}

static wg_tensor *leaf(wg_tensor *t)
{
    return wg_require_grad(wg_detach(t));
}

static void near(double got, double want, double tolerance, const char *what, int64_t i)
{
    ck_assert_msg(fabs(got - want) <= tolerance * fmax(1, fabs(want)),
                  "%s[%lld]: got %.9g want %.9g", what, (long long)i, got, want);
}

/* ---- cross-entropy --------------------------------------------------------------------------------------------- */
START_TEST(ignored_rows_count_neither_in_the_mean_nor_in_the_gradient)
{
    wg_scope s = wg_scope_push();
    wg_seed(1);
    wg_tensor *x = leaf(wg_randn(WG_DIMS(4, 7))), *y = ids((int64_t[]) { 3, -1, 6, -1 }, 4);
    wg_tensor *loss = wg_cross_entropy(x, y, .ignore_index = WG_JUST(-1));
    wg_tensor *rows = wg_cross_entropy(x, y, .ignore_index = WG_JUST(-1), .reduction = WG_NONE);
    double *r = values(rows, first);
    ck_assert(r[1] == 0 && r[3] == 0);
    near(wg_item(loss), (r[0] + r[2]) / 2, 1e-6, "mean", 0);
    ck_assert(wg_backward(loss) == WG_OK);
    double *dx = values(wg_grad_of(x), second), sum = 0;
    for (int j = 0; j < 7; j++) {
        ck_assert(dx[7 + j] == 0 && dx[21 + j] == 0);
        sum += dx[j];
    }
    near(sum, 0, 1e-6, "a row of the gradient sums to", 0);
    ck_assert(dx[3] < 0);
    pop(s);
}
END_TEST

START_TEST(the_mean_of_no_rows_is_nan_and_its_gradient_zero)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = leaf(wg_randn(WG_DIMS(3, 5))), *y = ids((int64_t[]) { -100, -100, -100 }, 3);
    wg_tensor *loss = wg_cross_entropy(x, y);
    ck_assert(isnan(wg_item(loss)));
    ck_assert(wg_item(wg_cross_entropy(x, y, .reduction = WG_SUM)) == 0);
    ck_assert(isnan(wg_item(wg_nll_loss(x, y))));
    ck_assert(wg_backward(loss) == WG_OK);
    double *dx = values(wg_grad_of(x), first);
    for (int i = 0; i < 15; i++) ck_assert(dx[i] == 0);
    pop(s);
}
END_TEST

START_TEST(smoothing_weights_and_means_follow_the_formula)
{
    wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64);
    const int64_t target[] = { 2, 0, 4, 2 };
    const double e = 0.1;
    wg_tensor *x = wg_randn(WG_DIMS(4, 5)), *w = wg_affine(wg_rand(WG_DIMS(5)), 1, 0.5);
    wg_tensor *got = wg_cross_entropy(x, ids(target, 4), .weight = w, .label_smoothing = e);
    double *p = values(wg_log_softmax(x, -1), first), *v = values(w, second), loss = 0, weight = 0;
    for (int r = 0; r < 4; r++) {
        weight += v[target[r]];
        loss -= (1 - e) * v[target[r]] * p[5 * r + target[r]];
        for (int j = 0; j < 5; j++) loss -= e / 5 * v[j] * p[5 * r + j];
    }
    near(wg_item(got), loss / weight, 1e-12, "loss", 0);
    pop(s);
}
END_TEST

START_TEST(one_hot_probabilities_are_target_classes)
{
    wg_scope s = wg_scope_push();
    wg_tensor *y = ids((int64_t[]) { 2, 0, 4 }, 3), *x = leaf(wg_randn(WG_DIMS(3, 5)));
    wg_tensor *dense = wg_cast(wg_one_hot(y, 5), WG_F32);
    for (int smooth = 0; smooth < 2; smooth++) {
        wg_tensor *a = wg_cross_entropy(x, y, .label_smoothing = 0.3 * smooth);
        wg_tensor *b = wg_cross_entropy(x, dense, .label_smoothing = 0.3 * smooth);
        wg_tensor *c = wg_cross_entropy(x, wg_cast(y, WG_I32), .label_smoothing = 0.3 * smooth);
        near(wg_item(b), wg_item(a), 1e-6, "probabilities", smooth);
        ck_assert(wg_item(c) == wg_item(a));
    }
    pop(s);
}
END_TEST

START_TEST(huge_logits_and_minus_infinity_give_what_they_should)
{
    wg_scope s = wg_scope_push();
    const float v[] = { 1e30f, -1e30f, 0, 88, 1e4f, -INFINITY, 9.999e3f, 1e4f };
    wg_tensor *x = leaf(floats(v, WG_DIMS(2, 4))), *y = ids((int64_t[]) { 0, 0 }, 2);
    wg_tensor *rows = wg_cross_entropy(x, y, .reduction = WG_NONE);
    double *loss = values(rows, first), second_row = log(2 + exp(-1.0));
    ck_assert(loss[0] == 0);
    near(loss[1], second_row, 1e-6, "loss", 1);
    ck_assert(wg_backward(wg_sum(rows, WG_ALL, false)) == WG_OK);
    double *dx = values(wg_grad_of(x), second);
    for (int i = 0; i < 4; i++) ck_assert(dx[i] == 0);
    /* logsumexp is kept in f32, whose last digit at 1e4 is 2^-10 */
    near(dx[4], exp(-second_row) - 1, 1e-3, "dx", 4);
    ck_assert(dx[5] == 0);
    near(dx[6], exp(-1 - second_row), 1e-3, "dx", 6);
    ck_assert(isinf(wg_item(wg_cross_entropy(wg_narrow(x, 0, 1, 1), ids((int64_t[]) { 1 }, 1)))));
    pop(s);
}
END_TEST

START_TEST(a_row_of_minus_infinity_is_nan_in_softmax)
{
    wg_scope s = wg_scope_push();
    const float v[] = { -INFINITY, -INFINITY, -INFINITY, 0, -INFINITY, 0 };
    double *y = values(wg_softmax(floats(v, WG_DIMS(2, 3)), -1), first);
    for (int i = 0; i < 3; i++) ck_assert(isnan(y[i]));
    ck_assert(y[3] == 0.5 && y[4] == 0 && y[5] == 0.5);
    y = values(wg_log_softmax(floats(v, WG_DIMS(2, 3)), -1), first);
    for (int i = 0; i < 3; i++) ck_assert(isnan(y[i]));
    ck_assert(isinf(y[4]) && y[4] < 0);
    pop(s);
}
END_TEST

START_TEST(a_target_out_of_range_is_named_with_its_place)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 5));
    const int64_t v[] = { 0, 1, 2, 3, 70, 0 };
    wg_tensor *y = wg_from(v, sizeof v, WG_I64, WG_DIMS(2, 3));
    ck_assert(wg_is_error(wg_cross_entropy(x, y)));
    expect_error(WG_EINDEX, "cross_entropy: target[1, 1] is 70, not in [0, 5)");
    ck_assert(wg_is_error(wg_nll_loss(x, y)));
    expect_error(WG_EINDEX, "nll_loss: target[1, 1] is 70, not in [0, 5)");
    pop(s);
}
END_TEST

START_TEST(losses_of_16_bit_operands_are_f32)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = leaf(wg_cast(wg_randn(WG_DIMS(3, 5)), WG_BF16)),
              *y = ids((int64_t[]) { 1, 2, 3 }, 3);
    wg_tensor *loss = wg_cross_entropy(x, y), *same = wg_cross_entropy(wg_cast(x, WG_F32), y);
    ck_assert(wg_dtype_of(loss) == WG_F32 && wg_item(loss) == wg_item(same));
    ck_assert(wg_backward(loss) == WG_OK);
    ck_assert(wg_dtype_of(wg_grad_of(x)) == WG_BF16);
    ck_assert(wg_dtype_of(wg_mse_loss(x, x)) == WG_F32);
    pop(s);
}
END_TEST

/* ---- rows of every length: lanes, chunks and what is left over ----------------------------------------------------- */
static const int64_t lengths[] = { 1,   2,   3,   15,   16,   17,   63,   64,  65,
                                   127, 128, 129, 1000, 2047, 2048, 2049, 5000 };
enum { LENGTHS = sizeof lengths / sizeof *lengths };

START_TEST(softmax_and_its_gradient_are_right_at_every_length)
{
    for (int k = 0; k < LENGTHS; k++) {
        wg_scope s = wg_scope_push();
        const int64_t n = lengths[k];
        wg_tensor *x = leaf(wg_affine(wg_randn(WG_DIMS(3, n)), 3, 0)),
                  *dy = wg_randn(WG_DIMS(3, n));
        wg_tensor *wide = leaf(wg_cast(x, WG_F64));
        for (int log = 0; log < 2; log++) {
            wg_tensor *y = log ? wg_log_softmax(x, -1) : wg_softmax(x, -1);
            wg_tensor *z = log ? wg_log_softmax(wide, -1) : wg_softmax(wide, -1), *dx[1], *dz[1];
            ck_assert(wg_grad(WG_LIST(y), WG_LIST(x), WG_LIST(dy), 0, (wg_list) { 1, dx }) ==
                      WG_OK);
            ck_assert(wg_grad(WG_LIST(z), WG_LIST(wide), WG_LIST(wg_cast(dy, WG_F64)), 0,
                              (wg_list) { 1, dz }) == WG_OK);
            double *a = values(y, first), *b = values(z, second);
            for (int64_t i = 0; i < 3 * n; i++) near(a[i], b[i], 2e-6, "y", i);
            a = values(dx[0], first), b = values(dz[0], second);
            for (int64_t i = 0; i < 3 * n; i++) near(a[i], b[i], 2e-6 * sqrt((double)n), "dx", i);
        }
        pop(s);
    }
}
END_TEST

START_TEST(cross_entropy_and_its_gradient_are_right_at_every_length)
{
    for (int k = 0; k < LENGTHS; k++) {
        wg_scope s = wg_scope_push();
        const int64_t n = lengths[k], t[] = { 0, n - 1, n / 2 };
        wg_tensor *x = leaf(wg_affine(wg_randn(WG_DIMS(3, n)), 3, 0)),
                  *wide = leaf(wg_cast(x, WG_F64)), *y = ids(t, 3);
        for (int smooth = 0; smooth < 2; smooth++) {
            wg_tensor *a = wg_cross_entropy(x, y, .label_smoothing = 0.1 * smooth), *dx[1], *dz[1];
            double *p = values(wg_log_softmax(wide, -1), first), want = 0;
            for (int r = 0; r < 3; r++) {
                want -= (1 - 0.1 * smooth) * p[r * n + t[r]] / 3;
                for (int64_t j = 0; j < n; j++) want -= 0.1 * smooth / (double)n * p[r * n + j] / 3;
            }
            near(wg_item(a), want, 2e-6, "loss", n);
            wg_tensor *b = wg_cross_entropy(wide, y, .label_smoothing = 0.1 * smooth);
            near(wg_item(b), want, 1e-12, "f64 loss", n);
            ck_assert(wg_grad(WG_LIST(a), WG_LIST(x), WG_NO_LIST, 0, (wg_list) { 1, dx }) == WG_OK);
            ck_assert(wg_grad(WG_LIST(b), WG_LIST(wide), WG_NO_LIST, 0, (wg_list) { 1, dz }) ==
                      WG_OK);
            double *d = values(dx[0], second), *e = values(dz[0], third);
            for (int64_t i = 0; i < 3 * n; i++) {
                const double mass =
                    (i % n == t[i / n]) * (1 - 0.1 * smooth) + 0.1 * smooth / (double)n;
                near(e[i], (exp(p[i]) - mass) / 3, 1e-12, "f64 dx", i);
                near(d[i], e[i], 2e-6, "dx", i);
            }
        }
        pop(s);
    }
}
END_TEST

START_TEST(norms_are_right_at_every_length)
{
    for (int k = 0; k < LENGTHS; k++) {
        wg_scope s = wg_scope_push();
        const int64_t n = lengths[k];
        wg_tensor *x = leaf(wg_randn(WG_DIMS(3, n))), *w = leaf(wg_randn(WG_DIMS(n))),
                  *dy = wg_randn(WG_DIMS(3, n));
        wg_tensor *x2 = leaf(wg_cast(x, WG_F64)), *w2 = leaf(wg_cast(w, WG_F64));
        for (int rms = 0; rms < 2; rms++) {
            /* eps of 0.1: a row of one or two elements is otherwise as ill-conditioned as it likes */
            wg_tensor *y = rms ? wg_rms_norm(x, w, .eps = 0.1) : wg_layer_norm(x, w, .eps = 0.1);
            wg_tensor *z =
                          rms ? wg_rms_norm(x2, w2, .eps = 0.1) : wg_layer_norm(x2, w2, .eps = 0.1),
                      *d[2], *e[2];
            ck_assert(wg_grad(WG_LIST(y), WG_LIST(x, w), WG_LIST(dy), 0, (wg_list) { 2, d }) ==
                      WG_OK);
            ck_assert(wg_grad(WG_LIST(z), WG_LIST(x2, w2), WG_LIST(wg_cast(dy, WG_F64)), 0,
                              (wg_list) { 2, e }) == WG_OK);
            wg_tensor *pairs[][2] = { { y, z }, { d[0], e[0] }, { d[1], e[1] } };
            for (int j = 0; j < 3; j++) {
                double *a = values(pairs[j][0], first), *b = values(pairs[j][1], second);
                for (int64_t i = 0; i < wg_numel(pairs[j][0]); i++)
                    near(a[i], b[i], 1e-5, "norm", i);
            }
        }
        pop(s);
    }
}
END_TEST

/* ---- norms --------------------------------------------------------------------------------------------------------- */
START_TEST(eps_is_1e_5_unless_given_and_steadies_a_constant_row)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_affine(wg_randn(WG_DIMS(4, 16)), 0.01, 0), *b = wg_randn(WG_DIMS(16));
    double *y = values(wg_layer_norm(x), first), *z = values(wg_layer_norm(x, .eps = 1e-5), second);
    ck_assert_mem_eq(y, z, 64 * sizeof *y);
    y = values(wg_rms_norm(x), first), z = values(wg_rms_norm(x, .eps = 1e-5), second);
    ck_assert_mem_eq(y, z, 64 * sizeof *y);
    y = values(wg_layer_norm(wg_full(WG_DIMS(1, 16), 0.1), .bias = b), first),
    z = values(b, second);
    for (int i = 0; i < 16; i++) ck_assert(y[i] == z[i]);
    y = values(wg_rms_norm(wg_zeros(WG_DIMS(1, 16))), first);
    for (int i = 0; i < 16; i++) ck_assert(y[i] == 0);
    pop(s);
}
END_TEST

START_TEST(a_norm_keeps_its_stream_narrow)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_cast(wg_randn(WG_DIMS(3, 32)), WG_BF16), *w = wg_randn(WG_DIMS(32));
    wg_tensor *y = wg_layer_norm(x, w, w),
              *wide = wg_cast(wg_layer_norm(wg_cast(x, WG_F32), w, w), WG_BF16);
    ck_assert(wg_dtype_of(y) == WG_BF16 && wg_dtype_of(wg_rms_norm(x, w)) == WG_BF16);
    double *a = values(y, first), *b = values(wide, second);
    for (int i = 0; i < 96; i++) ck_assert(a[i] == b[i]);
    pop(s);
}
END_TEST

START_TEST(group_norm_with_one_channel_a_group_and_with_all)
{
    wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64);
    wg_tensor *x = wg_randn(WG_DIMS(2, 6, 5));
    double *y = values(wg_group_norm(x, 6), first), *z = values(wg_layer_norm(x), second);
    for (int i = 0; i < 60; i++) near(y[i], z[i], 1e-12, "a channel each", i);
    y = values(wg_group_norm(x, 1), first),
    z = values(wg_layer_norm(wg_reshape(x, WG_DIMS(2, 30))), second);
    for (int i = 0; i < 60; i++) near(y[i], z[i], 1e-12, "all channels", i);
    pop(s);
}
END_TEST

/* ---- the same bits for any number of threads -------------------------------------------------------------------------- */
typedef struct {
    uint64_t sum[8];
    int n;
} prints;

/* FNV-1a of t's bytes. */
static void print_of(prints *p, wg_tensor *t)
{
    uint64_t h = 0xcbf29ce484222325u;
    const unsigned char *bytes = wg_data(wg_contiguous(t));
    ck_assert(bytes != NULL);
    for (int64_t i = 0; i < wg_numel(t) * (int64_t)wg_dtype_size(wg_dtype_of(t)); i++)
        h = (h ^ bytes[i]) * 0x100000001b3u;
    p->sum[p->n++] = h;
}

static wg_tensor *run_norm(wg_tensor *x, wg_tensor *w)
{
    return wg_layer_norm(x, w, w);
}
static wg_tensor *run_rms(wg_tensor *x, wg_tensor *w)
{
    return wg_rms_norm(x, w);
}
static wg_tensor *run_softmax(wg_tensor *x, wg_tensor *w)
{
    return wg_mul(wg_softmax(x, -1), w);
}
static wg_tensor *run_columns(wg_tensor *x, wg_tensor *w)
{
    return wg_mul(wg_log_softmax(x, 0), w);
}
static wg_tensor *run_dropout(wg_tensor *x, wg_tensor *w)
{
    return wg_mul(wg_dropout(x, 0.2, true), w);
}
static wg_tensor *run_rope(wg_tensor *x, wg_tensor *w)
{
    return wg_mul(wg_rope(x), w);
}
static wg_tensor *run_swiglu(wg_tensor *x, wg_tensor *w)
{
    return wg_swiglu(x, wg_expand(w, wg_shape(x)));
}
static wg_tensor *run_mse(wg_tensor *x, wg_tensor *w)
{
    return wg_mse_loss(x, wg_expand(w, wg_shape(x)));
}
static wg_tensor *run_loss(wg_tensor *x, wg_tensor *w)
{
    wg_tensor *y = wg_remainder(wg_arange(0, wg_size(x, 0)), wg_scalar(17));
    return wg_cross_entropy(wg_mul(x, w), y, .label_smoothing = 0.1);
}
static wg_tensor *run_groups(wg_tensor *x, wg_tensor *w)
{
    return wg_group_norm(wg_reshape(wg_mul(x, w), WG_DIMS(4, 20, -1)), 5);
}

static prints run_with(int threads, wg_tensor *(*fn)(wg_tensor *x, wg_tensor *w))
{
    wg_scope s = wg_scope_push();
    prints p = { .n = 0 };
    wg_use_threads(threads);
    wg_seed(5);
    wg_tensor *x = leaf(wg_randn(WG_DIMS(300, 800))), *w = leaf(wg_randn(WG_DIMS(800)));
    wg_tensor *y = fn(x, w), *dy = wg_randn(wg_shape(y));
    ck_assert(wg_backward(y, .cotangent = dy) == WG_OK);
    print_of(&p, y);
    print_of(&p, wg_grad_of(x));
    print_of(&p, wg_grad_of(w));
    pop(s);
    wg_use_threads(0);
    return p;
}

START_TEST(results_do_not_depend_on_the_number_of_threads)
{
    static const struct {
        const char *name;
        wg_tensor *(*fn)(wg_tensor *x, wg_tensor *w);
    } runs[] = { { "layer_norm", run_norm },    { "rms_norm", run_rms },
                 { "softmax", run_softmax },    { "columns", run_columns },
                 { "dropout", run_dropout },    { "rope", run_rope },
                 { "swiglu", run_swiglu },      { "mse", run_mse },
                 { "cross_entropy", run_loss }, { "group_norm", run_groups } };
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        const prints one = run_with(1, runs[k].fn);
        for (int threads = 2; threads <= 5; threads += 3) {
            const prints many = run_with(threads, runs[k].fn);
            for (int i = 0; i < one.n; i++)
                ck_assert_msg(one.sum[i] == many.sum[i], "%s: result %d with %d threads",
                              runs[k].name, i, threads);
        }
    }
}
END_TEST

/* ---- rotary positions ---------------------------------------------------------------------------------------------------- */
START_TEST(rope_rotates_pairs_by_the_formula)
{
    wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64);
    enum { B = 2, H = 3, T = 4, D = 6 };
    wg_tensor *x = wg_randn(WG_DIMS(B, H, T, D)), *each = wg_randint(0, 500, WG_DIMS(B, T));
    double *v = values(x, first), position[B * T];
    values(each, position);
    for (int form = 0; form < 8; form++) {
        const bool adjacent = form & 1, given = form & 2, base = form & 4;
        const int64_t offset = given ? 0 : 7;
        wg_tensor *got = wg_rope(x, given ? each : NULL, .offset = offset, .base = base ? 50 : 0,
                                 .adjacent = adjacent);
        double *y = values(got, second);
        for (int r = 0; r < B * H * T; r++)
            for (int k = 0; k < D / 2; k++) {
                const double m =
                    given ? position[r / (H * T) * T + r % T] : (double)(r % T + offset);
                const double angle = m * pow(base ? 50 : 10000, -2.0 * k / D);
                const int i = r * D + (adjacent ? 2 * k : k),
                          j = r * D + (adjacent ? 2 * k + 1 : k + D / 2);
                near(y[i], v[i] * cos(angle) - v[j] * sin(angle), 1e-12, "first", i);
                near(y[j], v[j] * cos(angle) + v[i] * sin(angle), 1e-12, "second", j);
            }
    }
    pop(s);
}
END_TEST

START_TEST(rope_reads_a_transposed_view_and_its_gradient_turns_back)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = leaf(wg_randn(WG_DIMS(2, 5, 3, 8))),
              *view = wg_transpose(x, 1, 2); /* (B, T, H, D) -> (B, H, T, D) */
    wg_tensor *y = wg_rope(view), *same = wg_rope(wg_contiguous(view)), *dx[1];
    double *a = values(y, first), *b = values(same, second);
    ck_assert_mem_eq(a, b, 240 * sizeof *a);
    /* the rotation is orthogonal: the gradient of <y, y> / 2 is x itself */
    ck_assert(wg_grad(WG_LIST(y), WG_LIST(x), WG_LIST(wg_detach(y)), 0, (wg_list) { 1, dx }) ==
              WG_OK);
    a = values(dx[0], first), b = values(x, second);
    for (int i = 0; i < 240; i++) near(a[i], b[i], 1e-6, "dx", i);
    pop(s);
}
END_TEST

START_TEST(positions_far_away_are_as_exact_as_near_ones)
{
    wg_scope s = wg_scope_push();
    const float v[] = { 1, 0 };
    for (int64_t m = 1; m < 4000000; m = m * 3 + 1) {
        double *y = values(wg_rope(floats(v, WG_DIMS(1, 2)), .offset = m), first);
        near(y[0], cos((double)m), 1e-7, "cos", m);
        near(y[1], sin((double)m), 1e-7, "sin", m);
    }
    pop(s);
}
END_TEST

/* ---- dropout -------------------------------------------------------------------------------------------------------------- */
START_TEST(dropout_keeps_a_share_and_scales_it)
{
    wg_scope s = wg_scope_push();
    enum { N = 60000 };
    wg_tensor *x = leaf(wg_ones(WG_DIMS(200, 300))), *y = wg_dropout(x, 0.3, true);
    double *v = values(y, first), kept = 0;
    for (int i = 0; i < N; i++) {
        ck_assert(v[i] == 0 || v[i] == (double)(1 / 0.7f) || fabs(v[i] - 1 / 0.7) < 1e-6);
        kept += v[i] != 0;
    }
    ck_assert_double_lt(fabs(kept / N - 0.7),
                        5 * sqrt(0.3 * 0.7 / N)); /* five standard deviations */
    ck_assert(wg_backward(y, .cotangent = wg_ones(WG_DIMS(200, 300))) == WG_OK);
    double *dx = values(wg_grad_of(x), second);
    ck_assert_mem_eq(v, dx, N * sizeof *v);
    double *other = values(wg_dropout(x, 0.3, true), second), differ = 0;
    for (int i = 0; i < N; i++) differ += v[i] != other[i];
    ck_assert_double_gt(differ, 0.3 * N);
    pop(s);
}
END_TEST

START_TEST(dropout_of_nothing_all_and_in_evaluation)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = leaf(wg_randn(WG_DIMS(50)));
    const wg_generator before = wg_generator_get();
    ck_assert_ptr_eq(wg_dropout(x, 0, true), x);
    ck_assert_ptr_eq(wg_dropout(x, 0.5, false), x);
    ck_assert_uint_eq(wg_generator_get().offset, before.offset);
    wg_tensor *y = wg_dropout(x, 1, true);
    ck_assert(wg_backward(wg_sum(y, WG_ALL, false)) == WG_OK);
    double *v = values(y, first), *dx = values(wg_grad_of(x), second);
    for (int i = 0; i < 50; i++) ck_assert(v[i] == 0 && dx[i] == 0);
    ck_assert(wg_is_error(wg_dropout(x, 1.5, false)));
    expect_error(WG_EARG, "dropout: p 1.5 is not in [0, 1]");
    ck_assert(wg_is_error(wg_dropout(x, NAN, true)));
    expect_error(WG_EARG, "dropout: p ");
    pop(s);
}
END_TEST

START_TEST(dropout_drops_by_logical_index_whatever_the_layout)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_affine(wg_rand(WG_DIMS(30, 50)), 1, 1);
    const wg_generator g = wg_generator_get();
    double *a = values(wg_dropout(wg_transpose(x, 0, 1), 0.5, true), first);
    wg_generator_set(g);
    double *b = values(wg_dropout(wg_contiguous(wg_transpose(x, 0, 1)), 0.5, true), second);
    ck_assert_mem_eq(a, b, 1500 * sizeof *a);
    wg_generator_set(g);
    double *c =
        values(wg_dropout(wg_cast(wg_contiguous(wg_transpose(x, 0, 1)), WG_F64), 0.5, true), third);
    for (int i = 0; i < 1500; i++) ck_assert((c[i] == 0) == (a[i] == 0));
    pop(s);
}
END_TEST

/* ---- others ------------------------------------------------------------------------------------------------------------- */
START_TEST(swiglu_rounds_once)
{
    wg_scope s = wg_scope_push();
    wg_tensor *g = wg_cast(wg_randn(WG_DIMS(500)), WG_BF16),
              *u = wg_cast(wg_randn(WG_DIMS(500)), WG_BF16);
    wg_tensor *wide = wg_cast(wg_swiglu(wg_cast(g, WG_F32), wg_cast(u, WG_F32)), WG_BF16);
    double *a = values(wg_swiglu(g, u), first), *b = values(wide, second);
    ck_assert_mem_eq(a, b, 500 * sizeof *a);
    pop(s);
}
END_TEST

START_TEST(binary_cross_entropy_is_exact_in_its_tails)
{
    wg_scope s = wg_scope_push();
    const float v[] = { 100, -100, 30, -30 }, t[] = { 1, 0, 0, 1 };
    double *y = values(
        wg_bce_with_logits(floats(v, WG_DIMS(4)), floats(t, WG_DIMS(4)), .reduction = WG_NONE),
        first);
    const double want[] = { exp(-100), exp(-100), 30, 30 };
    for (int i = 0; i < 4; i++)
        ck_assert_msg(fabs(y[i] - want[i]) <= 1e-6 * want[i] + 1e-44, "%d: %g", i, y[i]);
    pop(s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        ignored_rows_count_neither_in_the_mean_nor_in_the_gradient,
        the_mean_of_no_rows_is_nan_and_its_gradient_zero,
        smoothing_weights_and_means_follow_the_formula,
        one_hot_probabilities_are_target_classes,
        huge_logits_and_minus_infinity_give_what_they_should,
        a_row_of_minus_infinity_is_nan_in_softmax,
        a_target_out_of_range_is_named_with_its_place,
        losses_of_16_bit_operands_are_f32,
        softmax_and_its_gradient_are_right_at_every_length,
        cross_entropy_and_its_gradient_are_right_at_every_length,
        norms_are_right_at_every_length,
        eps_is_1e_5_unless_given_and_steadies_a_constant_row,
        a_norm_keeps_its_stream_narrow,
        group_norm_with_one_channel_a_group_and_with_all,
        results_do_not_depend_on_the_number_of_threads,
        rope_rotates_pairs_by_the_formula,
        rope_reads_a_transposed_view_and_its_gradient_turns_back,
        positions_far_away_are_as_exact_as_near_ones,
        dropout_keeps_a_share_and_scales_it,
        dropout_of_nothing_all_and_in_evaluation,
        dropout_drops_by_logical_index_whatever_the_layout,
        swiglu_rounds_once,
        binary_cross_entropy_is_exact_in_its_tails,
        NULL,
    };
    return suite_run("network", tests);
}
