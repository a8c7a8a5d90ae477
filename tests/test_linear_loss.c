/* linear_cross_entropy against the layer and the loss apart, for every cut into chunks. */
#include <math.h>

#include "ops/linear_cross_entropy.h"
#include "nn_check.h"

typedef struct {
    wg_tensor *x, *w, *bias, *target;
} parts;

static parts make(int64_t n, int64_t c, int64_t v, bool bias, wg_dtype t)
{
    parts p = { .x = wg_require_grad(wg_cast(wg_randn(WG_DIMS(n, c)), t)),
                .w = wg_require_grad(wg_cast(wg_randn(WG_DIMS(v, c)), t)),
                .bias = bias ? wg_require_grad(wg_cast(wg_randn(WG_DIMS(v)), t)) : NULL,
                .target = wg_randint(0, v, WG_DIMS(n)) };
    int64_t *classes = wg_data_write(p.target);
    for (int64_t i = 2; i < n; i += 5) classes[i] = -1;
    return p;
}

/* The loss and the gradients of x, w and bias; the leaves' gradients are dropped. */
static wg_list gradients_of(const parts *p, wg_tensor *loss)
{
    wg_tensor *leaves[] = { p->x, p->w, p->bias };
    wg_list out = wg_list_new(4);
    out.t[0] = wg_detach(loss);
    ck_assert_int_eq(wg_backward(wg_sum(wg_mul(loss, wg_affine(loss, 0.1, 1)), WG_ALL, false)),
                     WG_OK);
    for (int i = 0; i < 3; i++) {
        if (!leaves[i]) continue;
        out.t[i + 1] = wg_affine(wg_grad_of(leaves[i]), 1, 0);
        wg_drop_grad(leaves[i]);
    }
    return out;
}

static void check(wg_dtype t, double tolerance)
{
    static const int64_t chunks[] = { 0, 1, 7, 37, 100 };
    for (int k = 0; k < 30; k++) {
        const wg_scope s = begin();
        const parts p = make(37, 24, 53, k % 2, t);
        const double smoothing = k % 3 == 1 ? 0.1 : 0;
        const wg_reduction reduction = (wg_reduction)(k % 3);
        wg_tensor *logits = wg_linear(wg_cast(p.x, WG_F64), wg_cast(p.w, WG_F64),
                                      p.bias ? wg_cast(p.bias, WG_F64) : NULL);
        const wg_list want = gradients_of(
            &p, wg_cross_entropy(logits, p.target, .ignore_index = WG_JUST(-1),
                                 .label_smoothing = smoothing, .reduction = reduction));
        wg_list first = WG_NO_LIST;
        for (int threads = 1; threads <= 2; threads++) {
            wg_use_threads(threads);
            const wg_list got = gradients_of(
                &p, wg_linear_cross_entropy(p.x, p.w, p.target, p.bias, .ignore_index = WG_JUST(-1),
                                            .label_smoothing = smoothing, .reduction = reduction,
                                            .chunk = chunks[k / 6]));
            for (int i = 0; i < 3 + k % 2; i++) {
                ck_assert_msg(distance(got.t[i], want.t[i]) <= tolerance,
                              "%s case %d, result %d: %g", wg_dtype_name(t), k, i,
                              distance(got.t[i], want.t[i]));
                if (threads == 2) ck_assert(same_bits(got.t[i], first.t[i]));
            }
            first = got;
        }
        wg_use_threads(0);
        pop(s);
    }
}

START_TEST(every_cut_gives_the_loss_and_its_gradients)
{
    check(WG_F64, 1e-13);
    check(WG_F32, 2e-6);
    check(WG_BF16, 0x1p-7);
}
END_TEST

/* Several strips of classes and pieces of rows; several chunks of rows with several blocks of classes each; rows without a
 * target, and logits that no exp of theirs would hold. */
START_TEST(strips_and_blocks_give_the_loss_and_its_gradients)
{
    static const struct {
        int64_t n, v, chunk;
        wg_dtype t;
        double tolerance;
    } cases[] = { { 800, 1000, 0, WG_F32, 4e-6 },  { 800, 1000, 500, WG_F64, 1e-13 },
                  { 2500, 2500, 0, WG_F32, 4e-6 }, { 2500, 2500, 0, WG_BF16, 0x1p-6 },
                  { 5, 3000, 0, WG_F32, 4e-6 },    { 1100, 385, 1, WG_F32, 4e-6 } };
    for (int k = 0; k < (int)(sizeof cases / sizeof *cases); k++) {
        const wg_scope s = begin();
        const parts p = make(cases[k].n, 8, cases[k].v, k % 2, cases[k].t);
        const double smoothing = k % 3 == 0 ? 0.1 : 0;
        wg_tensor *x = wg_cast(p.x, WG_F64), *w = wg_cast(p.w, WG_F64);
        const wg_list want = gradients_of(
            &p, wg_cross_entropy(
                    wg_affine(wg_linear(x, w, p.bias ? wg_cast(p.bias, WG_F64) : NULL), 1, 0),
                    p.target, .ignore_index = WG_JUST(-1), .label_smoothing = smoothing));
        wg_list first = WG_NO_LIST;
        for (int threads = 1; threads <= 3; threads++) {
            wg_use_threads(threads);
            const wg_list got = gradients_of(
                &p, wg_linear_cross_entropy(p.x, p.w, p.target, p.bias, .ignore_index = WG_JUST(-1),
                                            .label_smoothing = smoothing, .chunk = cases[k].chunk));
            for (int i = 0; i < 3 + k % 2; i++) {
                ck_assert_msg(distance(got.t[i], want.t[i]) <= cases[k].tolerance,
                              "case %d, result %d: %g", k, i, distance(got.t[i], want.t[i]));
                ck_assert(threads == 1 || same_bits(got.t[i], first.t[i]));
            }
            first = got;
        }
        wg_use_threads(0);
        pop(s);
    }
}
END_TEST

/* A row's largest logit is in another strip than its target, and some strips are -inf throughout. */
START_TEST(parts_of_a_row_are_joined_as_one)
{
    enum { V = 1000 };
    static const int64_t peak[] = { 0, 500, 999 }, classes[] = { 999, 3, 500, 420 };
    const wg_scope s = begin();
    wg_tensor *x = wg_full(WG_DIMS(4, 1), 1),
              *target = wg_from(classes, sizeof classes, WG_I64, WG_DIMS(4));
    for (int k = 0; k < 3; k++) {
        wg_tensor *w = wg_full(WG_DIMS(V, 1), 0), *bias = wg_full(WG_DIMS(V), 0);
        float *b = wg_data_write(bias);
        for (int64_t j = 0; j < V; j++) b[j] = k == 2 && j < 384 ? -INFINITY : (float)(j % 7) - 3;
        b[peak[k]] = k == 1 ? 3000 : 300;
        for (int64_t i = k == 2 ? 2 : 0; i < 4; i++) {
            wg_tensor *one = wg_slice(x, 0, i, i + 1, 1), *t = wg_slice(target, 0, i, i + 1, 1);
            const double got = wg_item(wg_linear_cross_entropy(one, w, t, bias)),
                         want = wg_item(wg_cross_entropy(wg_linear(one, w, bias), t));
            ck_assert_msg(fabs(got - want) <= 1e-6 * fabs(want), "%d, %d: %g, not %g", k, (int)i,
                          got, want);
            ck_assert_double_eq_tol(got, b[peak[k]] - b[classes[i]], 1e-4 * fabs(got) + 1e-6);
        }
    }
    wg_tensor *w = wg_full(WG_DIMS(V, 1), 0), *bias = wg_full(WG_DIMS(V), 0);
    ((float *)wg_data_write(bias))[400] = NAN;
    ck_assert(isnan(wg_item(wg_linear_cross_entropy(x, w, target, bias))));
    ((float *)wg_data_write(bias))[400] = -INFINITY; /* no row's target */
    ck_assert_double_eq_tol(wg_item(wg_linear_cross_entropy(x, w, target, bias)), log(999), 1e-6);
    ((float *)wg_data_write(bias))[500] = -INFINITY; /* one row's */
    ck_assert(isinf(wg_item(wg_linear_cross_entropy(x, w, target, bias))));
    pop(s);
}
END_TEST

START_TEST(gradients_are_added_to_what_is_there)
{
    const wg_scope s = begin();
    const parts p = make(37, 24, 53, true, WG_F32);
    const wg_list once = gradients_of(
        &p, wg_linear_cross_entropy(p.x, p.w, p.target, p.bias, .ignore_index = WG_JUST(-1)));
    for (int i = 0; i < 2; i++) {
        wg_tensor *loss = wg_linear_cross_entropy(p.x, p.w, p.target, p.bias,
                                                  .ignore_index = WG_JUST(-1), .chunk = 10);
        ck_assert_int_eq(wg_backward(wg_mul(loss, wg_affine(loss, 0.1, 1))), WG_OK);
    }
    ck_assert_double_le(distance(wg_grad_of(p.x), wg_affine(once.t[1], 2, 0)), 2e-6);
    ck_assert_double_le(distance(wg_grad_of(p.w), wg_affine(once.t[2], 2, 0)), 2e-6);
    ck_assert_double_le(distance(wg_grad_of(p.bias), wg_affine(once.t[3], 2, 0)), 2e-6);
    pop(s);
}
END_TEST

/* (4096, 8192) logits would be 128 MiB; gradients and operands are 1.5. */
START_TEST(logits_never_stand_whole)
{
    const wg_scope s = begin();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(4096, 16))),
              *w = wg_require_grad(wg_randn(WG_DIMS(8192, 16)));
    wg_tensor *target = wg_randint(0, 8192, WG_DIMS(4096));
    wg_memory_reset_peak(wg_cpu());
    const int64_t before = wg_memory_stats(wg_cpu()).peak;
    ck_assert_int_eq(wg_backward(wg_linear_cross_entropy(x, w, target)), WG_OK);
    ck_assert_int_lt(wg_memory_stats(wg_cpu()).peak - before, 4 << 20);
    pop(s);
}
END_TEST

static void note_error(void *self, int64_t task)
{
    ((wg_status *)self)[task] = wg_error_code();
}

/* Whichever allocation fails, tiles' on other threads too: an error once, on the thread that called, and the next call is
 * right. */
START_TEST(without_memory_the_loss_is_an_error)
{
    enum { N = 800, V = 1000, TASKS = 64 };
    const wg_scope s = begin();
    const parts p = make(N, 8, V, true, WG_F32);
    const wg_list want = gradients_of(
        &p, wg_linear_cross_entropy(p.x, p.w, p.target, p.bias, .ignore_index = WG_JUST(-1)));
    int errors = 0;
    bool struck = true;
    wg_use_threads(2);
    for (int n = 1; struck && n < 400; n++) {
        wgi_fail_alloc_after(n);
        wg_tensor *loss =
            wg_linear_cross_entropy(p.x, p.w, p.target, p.bias, .ignore_index = WG_JUST(-1));
        const bool failed = wg_is_error(loss) || wg_backward(loss) != WG_OK;
        struck = wgi_fail_alloc_left() == 0;
        wgi_fail_alloc_after(0);
        ck_assert(failed == (wg_error_code() == WG_EMEM));
        errors += failed;
        wg_error_clear();
        wg_status seen[TASKS];
        wg_parallel(TASKS, note_error, seen);
        for (int i = 0; i < TASKS; i++) ck_assert_int_eq(seen[i], WG_OK);
        wg_tensor *leaves[] = { p.x, p.w, p.bias };
        for (int i = 0; i < 3; i++) wg_drop_grad(leaves[i]);
    }
    ck_assert(!struck && errors > 10); /* more than a tile's */
    const wg_list got = gradients_of(
        &p, wg_linear_cross_entropy(p.x, p.w, p.target, p.bias, .ignore_index = WG_JUST(-1)));
    for (int i = 0; i < 4; i++) ck_assert(same_bits(got.t[i], want.t[i]));
    wg_use_threads(0);
    pop(s);
}
END_TEST

START_TEST(autocast_keeps_the_loss_and_the_weights_gradient_in_f32)
{
    const wg_scope s = begin();
    const parts p = make(37, 24, 53, false, WG_F32);
    const wg_list want =
        gradients_of(&p, wg_linear_cross_entropy(p.x, p.w, p.target, .ignore_index = WG_JUST(-1)));
    wg_use_autocast(WG_BF16);
    const wg_list got =
        gradients_of(&p, wg_linear_cross_entropy(p.x, p.w, p.target, .ignore_index = WG_JUST(-1)));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(wg_dtype_of(got.t[i]), WG_F32);
        ck_assert_double_le(distance(got.t[i], want.t[i]), 0.03);
    }
    pop(s);
}
END_TEST

/* Leaves of f32 that hold values of bf16, so that autocast's copies are exact. w and bias are small: no class has all of
 * a row's mass. */
static parts make_exact(int64_t n, int64_t c, int64_t v)
{
    const parts p = make(n, c, v, true, WG_F32);
    wg_tensor *of[] = { p.x, wg_affine(p.w, 0.125, 0), wg_affine(p.bias, 0.125, 0) };
    for (int i = 0; i < 3; i++)
        of[i] = wg_require_grad(wg_cast(wg_cast(wg_detach(of[i]), WG_BF16), WG_F32));
    return (parts) { of[0], of[1], of[2], p.target };
}

/* dx, dw and dbias as products of dlogits, (3) */
static wg_list products_of(wg_tensor *dlogits, wg_tensor *x, wg_tensor *w)
{
    wg_list out = wg_list_new(3);
    out.t[0] = wg_matmul(dlogits, w);
    out.t[1] = wg_matmul(wg_transpose(dlogits, 0, 1), x);
    out.t[2] = wg_sum(dlogits, WG_DIMS(0), false);
    return out;
}

/* |x - y| <= a bound of its own for every element */
static bool within(wg_tensor *x, wg_tensor *y, wg_tensor *bound)
{
    wg_tensor *gap = wg_sub(wg_abs(wg_sub(wg_cast(x, WG_F64), y)), bound);
    return wg_item(wg_max(gap, WG_ALL, false)) <= 0;
}

/* Rounding dlogits to bf16 once puts a result off by 2^-9 of its sum of magnitudes at most, and rounding the result, which
 * autocast does to dx and dbias, by 2^-9 of itself; sums in f32 stay within 2^-16 of the magnitudes. */
START_TEST(bf16_gradients_are_off_by_one_rounding_of_dlogits)
{
    enum { ROWS = 200, WIDTH = 96, CLASSES = 1500, CHUNK = 72 };
    const wg_scope s = begin();
    const parts p = make_exact(ROWS, WIDTH, CLASSES);
    wg_tensor *x = wg_detach(wg_cast(p.x, WG_F64)), *w = wg_detach(wg_cast(p.w, WG_F64));
    wg_tensor *logits =
        wg_require_grad(wg_detach(wg_linear(x, w, wg_cast(p.bias, WG_F64)))); /* (ROWS, CLASSES) */
    ck_assert_int_eq(wg_backward(wg_cross_entropy(logits, p.target, .ignore_index = WG_JUST(-1))),
                     WG_OK);
    wg_tensor *d = wg_grad_of(logits);
    const wg_list want = products_of(d, x, w),
                  magnitude = products_of(wg_abs(d), wg_abs(x), wg_abs(w)),
                  rounded = products_of(wg_cast(wg_cast(d, WG_BF16), WG_F64), x, w);
    wg_use_autocast(WG_BF16);
    wg_tensor *leaves[] = { p.x, p.w, p.bias }, *first[3];
    for (int threads = 1; threads <= 2; threads++) {
        wg_use_threads(threads);
        ck_assert_int_eq(
            wg_backward(wg_linear_cross_entropy(p.x, p.w, p.target, p.bias,
                                                .ignore_index = WG_JUST(-1), .chunk = CHUNK)),
            WG_OK);
        for (int i = 0; i < 3; i++) {
            wg_tensor *got = wg_affine(wg_grad_of(leaves[i]), 1, 0);
            wg_drop_grad(leaves[i]);
            wg_tensor *bound = wg_add(wg_affine(magnitude.t[i], 0x1p-9 + 0x1p-16, 0),
                                      wg_affine(wg_abs(want.t[i]), 0x1p-9, 0));
            ck_assert_msg(within(got, want.t[i], bound), "result %d, %d threads: %g", i, threads,
                          distance(got, want.t[i]));
            ck_assert(threads == 1 || same_bits(got, first[i]));
            first[i] = got;
        }
    }
    wg_use_threads(0);
    /* dw is summed in f32 and not rounded: the rounding of dlogits is all that it is off by */
    ck_assert_double_le(distance(first[1], rounded.t[1]), distance(first[1], want.t[1]) / 4);
    pop(s);
}
END_TEST

START_TEST(chunks_are_equal_parts_of_whole_tiles_within_the_limit)
{
    for (int64_t n = 1; n < 5000; n += 37)
        for (int64_t v = 1; v < 200000; v = v * 3 + 1) {
            const int64_t limit = 4 << 20, rows = wgi_linear_loss_chunk(n, v, WG_F32, limit),
                          most = limit / (4 * v), chunks = (n + rows - 1) / rows;
            ck_assert(rows >= 1 && (rows <= most || rows == 1));
            ck_assert(chunks == 1 || rows < 64 || rows % 64 == 0);
            if (most > 64) /* no fewer chunks would do, and the last is not much shorter */
                ck_assert(chunks <= (n + most / 64 * 64 - 1) / (most / 64 * 64) &&
                          n - (chunks - 1) * rows > 0);
        }
    ck_assert_int_eq(wgi_linear_loss_chunk(1024, 50257, WG_F32, 128 << 20), 512);
}
END_TEST

int main(void)
{
    return suite_run(
        "linear_loss",
        (const TTest *[]) { every_cut_gives_the_loss_and_its_gradients,
                            strips_and_blocks_give_the_loss_and_its_gradients,
                            parts_of_a_row_are_joined_as_one, gradients_are_added_to_what_is_there,
                            logits_never_stand_whole, without_memory_the_loss_is_an_error,
                            autocast_keeps_the_loss_and_the_weights_gradient_in_f32,
                            bf16_gradients_are_off_by_one_rounding_of_dlogits,
                            chunks_are_equal_parts_of_whole_tiles_within_the_limit, NULL });
}
