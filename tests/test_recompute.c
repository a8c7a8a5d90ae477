/* Recomputed segments: the same bits, one run more, of any order. */
#include <stdlib.h>

#include "autograd_check.h"

typedef struct {
    int layers, calls_left;
    double p;
} segment;
static int segment_runs;

static void segment_forward(void *self, wg_list in, wg_list out)
{
    const segment *s = self;
    segment_runs++;
    wg_tensor *x = in.t[0];
    for (int i = 0; i < s->layers; i++) x = wg_dropout(wg_tanh(wg_mul(x, in.t[1])), s->p, true);
    out.t[0] = x;
}

static void outer_forward(void *self, wg_list in, wg_list out)
{
    wg_tensor *h[1], *x = wg_mul(in.t[0], in.t[1]);
    wg_recompute(segment_forward, self, sizeof(segment), WG_LIST(x, in.t[1]), ((wg_list) { 1, h }));
    out.t[0] = wg_tanh(wg_mul(h[0], in.t[0]));
}

static void gradients_of(wg_fn fn, segment s, bool recompute, float dx[64], float dw[64],
                         int64_t *kept)
{
    wg_scope scope = wg_scope_push();
    wg_seed(11);
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(8, 8))),
              *w = wg_require_grad(wg_randn(WG_DIMS(8, 8))), *y[1];
    int64_t before = wg_memory_stats(wg_cpu()).current;
    wg_scope call = wg_scope_push();
    if (recompute)
        wg_recompute(fn, &s, sizeof s, WG_LIST(x, w), ((wg_list) { 1, y }));
    else
        fn(&s, WG_LIST(x, w), (wg_list) { 1, y });
    wg_tensor *loss = wg_scope_return(call, total(wg_square(y[0])));
    *kept = wg_memory_stats(wg_cpu()).current - before;
    wg_backward(loss);
    ck_assert_int_eq(wg_read(wg_grad_of(x), dx, 256, WG_F32), WG_OK);
    ck_assert_int_eq(wg_read(wg_grad_of(w), dw, 256, WG_F32), WG_OK);
    end(scope);
}

START_TEST(recomputed_gradients_are_bit_identical)
{
    float dx[2][64], dw[2][64];
    int64_t kept[2];
    segment s = { .layers = 6, .p = 0.3 };
    wg_fn fns[] = { segment_forward, outer_forward };
    for (int f = 0; f < 2; f++) {
        for (int r = 0; r < 2; r++) gradients_of(fns[f], s, r, dx[r], dw[r], &kept[r]);
        ck_assert_mem_eq(dx[0], dx[1], sizeof dx[0]);
        ck_assert_mem_eq(dw[0], dw[1], sizeof dw[0]);
        ck_assert_msg(2 * kept[1] < kept[0], "%lld bytes kept, %lld without recomputation",
                      (long long)kept[1], (long long)kept[0]);
    }
}
END_TEST

START_TEST(a_segment_runs_once_more_however_many_nodes_read_it)
{
    float dx[64], dw[64];
    int64_t kept;
    segment_runs = 0;
    gradients_of(segment_forward, (segment) { .layers = 6 }, true, dx, dw, &kept);
    ck_assert_int_eq(segment_runs, 2);
}
END_TEST

static int64_t changing_size = 4;
static void changing_forward(void *self, wg_list in, wg_list out)
{
    (void)self;
    out.t[0] = wg_square(wg_narrow(in.t[0], 0, 0, changing_size));
}

START_TEST(a_recomputation_that_differs_raises)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_ones(WG_DIMS(8))), *y[1];
    wg_recompute(changing_forward, NULL, 0, WG_LIST(x), ((wg_list) { 1, y }));
    wg_tensor *loss = total(y[0]);
    changing_size = 5;
    ck_assert_int_eq(wg_backward(loss), WG_EGRAD);
    ck_assert_ptr_nonnull(strstr(wg_error_get()->message, "recompute"));
    wg_error_clear();
    changing_size = 4;
    end(s);
}
END_TEST

START_TEST(second_derivatives_pass_through_recomputation)
{
    double want[2];
    for (int r = 0; r < 2; r++) {
        wg_scope s = wg_scope_push();
        wg_use_dtype(WG_F64);
        wg_seed(3);
        wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(4, 4))),
                  *w = wg_require_grad(wg_randn(WG_DIMS(4, 4))), *y[1], *d[1];
        segment seg = { .layers = 3 };
        if (r)
            wg_recompute(segment_forward, &seg, sizeof seg, WG_LIST(x, w), ((wg_list) { 1, y }));
        else
            segment_forward(&seg, WG_LIST(x, w), (wg_list) { 1, y });
        wg_grad(WG_LIST(total(y[0])), WG_LIST(x), WG_NO_LIST, WG_CREATE_GRAPH,
                ((wg_list) { 1, d }));
        wg_backward(total(wg_square(d[0])));
        want[r] = wg_item(total(wg_square(wg_grad_of(w))));
        end(s);
    }
    ck_assert_double_gt(want[0], 0);
    ck_assert_double_eq_tol(want[0], want[1], 1e-12 * want[0]);
}
END_TEST

static void scaled(void *self, wg_list in, wg_list out)
{
    (void)self;
    out.t[0] = wg_square(wg_add(wg_mul(wg_tanh(in.t[0]), wg_scalar(3)), in.t[1]));
}

/* What is saved and given again is as it was: a weak scalar goes with any device, */
START_TEST(weak_scalars_stay_weak)
{
    wg_scope s = wg_scope_push();
    wg_use_device(wg_meta());
    wg_tensor *x = wg_require_grad(wg_empty(WG_DIMS(8), WG_BF16)), *y[1];
    wg_recompute(scaled, NULL, 0, WG_LIST(x, wg_scalar(2)), ((wg_list) { 1, y }));
    wg_backward(total(y[0]));
    expect_no_error();
    ck_assert_ptr_nonnull(wg_grad_of(x));
    end(s);
}
END_TEST

/* and under autocast a parameter does not widen a 16-bit stream. */
START_TEST(parameters_stay_parameters)
{
    wg_scope s = wg_scope_push();
    wg_module *m = wg_layer_norm_new(8);
    wg_use_autocast(WG_BF16);
    wg_tensor *x = wg_require_grad(wg_cast(wg_randn(WG_DIMS(8)), WG_BF16)), *y[1];
    wg_tensor *w = wg_module_tensor(m, "weight");
    wg_recompute(scaled, NULL, 0, WG_LIST(x, w), ((wg_list) { 1, y }));
    ck_assert_int_eq(wg_dtype_of(y[0]), WG_BF16);
    wg_backward(total(y[0]));
    expect_no_error();
    ck_assert_int_eq(wg_dtype_of(wg_grad_of(w)), WG_F32);
    wg_module_free(m);
    end(s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        recomputed_gradients_are_bit_identical,
        a_segment_runs_once_more_however_many_nodes_read_it,
        a_recomputation_that_differs_raises,
        second_derivatives_pass_through_recomputation,
        weak_scalars_stay_weak,
        parameters_stay_parameters,
        NULL,
    };
    return suite_run("recompute", tests);
}
