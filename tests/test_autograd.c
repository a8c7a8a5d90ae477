/* The tape: what it promises, and what happens when it cannot. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "autograd_check.h"

START_TEST(backward_gives_the_products_gradients)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = leaf(3), *y = leaf(5);
    ck_assert_int_eq(wg_backward(total(wg_add(wg_mul(x, y), x))), WG_OK);
    assert_all(wg_grad_of(x), 6);
    assert_all(wg_grad_of(y), 3);
    end(s);
}
END_TEST

START_TEST(gradients_accumulate_until_dropped)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = leaf(3);
    for (int i = 1; i <= 3; i++) {
        wg_backward(total(wg_square(x)));
        assert_all(wg_grad_of(x), 6.0 * i);
    }
    wg_drop_grad(x);
    ck_assert_ptr_null(wg_grad_of(x));
    end(s);
}
END_TEST

START_TEST(leaves_never_share_a_gradient)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = leaf(1), *y = leaf(2);
    wg_backward(total(wg_add(x, y)));
    wg_tensor *dx = wg_grad_of(x), *dy = wg_grad_of(y);
    ck_assert_ptr_ne(wg_data(dx), wg_data(dy));
    ck_assert(wg_is_contiguous(dx));
    end(s);
}
END_TEST

START_TEST(one_leaf_may_be_two_operands)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_randn(WG_DIMS(4, 3)), *w = wg_require_grad(wg_ones(WG_DIMS(3)));
    ck_assert_int_eq(wg_backward(total(wg_mul(wg_layer_norm(x, w, w), x))), WG_OK);
    wg_tensor *twice = wg_affine(wg_grad_of(w), 2, 0);
    ck_assert_int_eq(wg_backward(total(wg_mul(wg_layer_norm(x, w, w), x))), WG_OK);
    assert_all(wg_sub(wg_grad_of(w), twice), 0);
    end(s);
}
END_TEST

START_TEST(broadcasting_is_undone)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = leaf(1), *row = wg_require_grad(wg_ones(WG_DIMS(3))),
              *one = wg_require_grad(wg_ones(WG_DIMS(1, 1)));
    wg_backward(total(wg_mul(wg_mul(x, row), one)));
    ck_assert_int_eq(wg_ndim(wg_grad_of(row)), 1);
    assert_all(wg_grad_of(row), 2);
    assert_all(wg_grad_of(one), 6);
    end(s);
}
END_TEST

START_TEST(a_second_backward_needs_retain_graph)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = leaf(2), *y = total(wg_mul(x, x));
    ck_assert_int_eq(wg_backward(y, .retain_graph = true), WG_OK);
    ck_assert_int_eq(wg_backward(y), WG_OK);
    assert_all(wg_grad_of(x), 8);
    ck_assert_int_eq(wg_backward(y), WG_EGRAD);
    ck_assert_ptr_nonnull(strstr(wg_error_get()->message, "retain_graph"));
    wg_error_clear();
    end(s);
}
END_TEST

START_TEST(a_loss_of_many_elements_needs_a_cotangent)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = leaf(2), *y = wg_square(x);
    ck_assert_int_eq(wg_backward(y), WG_EGRAD);
    wg_error_clear();
    ck_assert_int_eq(wg_backward(y, .cotangent = wg_ones(WG_DIMS(3, 2))), WG_ESHAPE);
    wg_error_clear();
    ck_assert_int_eq(wg_backward(y, .cotangent = wg_full(WG_DIMS(2, 3), 0.5)), WG_OK);
    assert_all(wg_grad_of(x), 2);
    ck_assert_int_eq(wg_backward(wg_ones(WG_DIMS())), WG_EGRAD);
    wg_error_clear();
    end(s);
}
END_TEST

START_TEST(a_pending_error_keeps_backward_from_changing_anything)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = leaf(2), *y = total(wg_square(x));
    wg_tensor *bad = wg_matmul(wg_ones(WG_DIMS(2, 3)), wg_ones(WG_DIMS(2, 3)));
    ck_assert(wg_is_error(bad));
    ck_assert_int_ne(wg_backward(y), WG_OK);
    ck_assert_ptr_null(wg_grad_of(x));
    ck_assert(wg_is_error(wg_add(x, bad)));
    ck_assert(isnan(wg_item(bad)));
    ck_assert_int_eq(wg_scope_pop(s), WG_ESHAPE);
    const char *m = wg_error_get()->message;
    ck_assert_msg(strncmp(m, "matmul: ", 8) == 0 && strstr(m, "(2, 3) f32 cpu") &&
                      strstr(m, "test_autograd.c:"),
                  "%s", m);
    wg_error_clear();
}
END_TEST

START_TEST(grad_and_higher_derivatives)
{
    wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64);
    wg_tensor *x = leaf(2), *d[1], *y = total(wg_mul(wg_square(x), x)); /* x^3 */
    double want[] = { 12, 12, 6 };                                      /* 3x^2, 6x, 6 */
    for (int order = 0; order < 3; order++) {
        ck_assert_int_eq(
            wg_grad(WG_LIST(y), WG_LIST(x), WG_NO_LIST, WG_CREATE_GRAPH, ((wg_list) { 1, d })),
            WG_OK);
        assert_all(d[0], want[order]);
        y = total(d[0]);
    }
    ck_assert_ptr_null(wg_grad_of(x));
    end(s);
}
END_TEST

START_TEST(grad_at_an_intermediate_and_at_its_source)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = leaf(3), *h = wg_square(x), *y = total(wg_mul(h, x)), *d[2];
    ck_assert_int_eq(wg_grad(WG_LIST(y), WG_LIST(h, x), WG_NO_LIST, 0, ((wg_list) { 2, d })),
                     WG_OK);
    assert_all(d[0], 3);
    assert_all(d[1], 27); /* h + x * 2x */
    end(s);
}
END_TEST

START_TEST(an_unused_input_raises_or_gives_null)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = leaf(3), *z = leaf(1), *d[2];
    wg_tensor *y = total(wg_square(x));
    ck_assert_int_eq(
        wg_grad(WG_LIST(y), WG_LIST(x, z), WG_NO_LIST, WG_RETAIN_GRAPH, ((wg_list) { 2, d })),
        WG_EGRAD);
    wg_error_clear();
    ck_assert_int_eq(
        wg_grad(WG_LIST(y), WG_LIST(x, z), WG_NO_LIST, WG_ALLOW_UNUSED, ((wg_list) { 2, d })),
        WG_OK);
    assert_all(d[0], 6);
    ck_assert_ptr_null(d[1]);
    end(s);
}
END_TEST

/* ---- no gradients ------------------------------------------------------------------------------------------------- */
START_TEST(no_grad_and_detach_record_nothing)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = leaf(3);
    wg_scope off = wg_scope_push();
    wg_use_grad(false);
    ck_assert(!wg_requires_grad(wg_square(x)));
    end(off);
    ck_assert(wg_requires_grad(wg_square(x)));
    wg_tensor *d = wg_detach(wg_square(x));
    ck_assert(!wg_requires_grad(d));
    wg_backward(total(wg_mul(d, x)));
    assert_all(wg_grad_of(x), 9);
    end(s);
}
END_TEST

START_TEST(a_change_in_place_is_caught_and_names_both_culprits)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = leaf(3), *w = wg_full(WG_DIMS(2, 3), 2);
    wg_tensor *y = total(wg_mul(x, w));
    ck_assert_int_eq(wg_assign(w, wg_scalar(7)), WG_OK);
    ck_assert_int_eq(wg_backward(y), WG_EGRAD);
    const char *m = wg_error_get()->message;
    ck_assert_msg(strstr(m, "mul") && strstr(m, "assign"), "%s", m);
    wg_error_clear();
    ck_assert_int_ne(wg_assign(x, w), WG_OK); /* requires a gradient, and gradients are on */
    wg_error_clear();
    end(s);
}
END_TEST

/* ---- hooks ----------------------------------------------------------------------------------------------------------- */
static wg_tensor *doubled(void *self, wg_tensor *grad)
{
    ++*(int *)self;
    return wg_affine(grad, 2, 0);
}
static void note(void *self, wg_tensor *grad)
{
    *(double *)self = wg_item(wg_sum(grad, WG_ALL, false));
}

START_TEST(hooks_see_and_replace_and_go)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = leaf(3), *h = wg_square(x);
    int calls = 0;
    double seen = 0;
    uint64_t id = wg_hook(h, doubled, &calls);
    wg_hook_leaf(x, note, &seen);
    wg_backward(total(wg_add(h, x)), .retain_graph = true);
    assert_all(wg_grad_of(x), 13);
    ck_assert_int_eq(calls, 1);
    ck_assert_double_eq_tol(seen, 78, 1e-4);
    wg_unhook(h, id);
    wg_drop_grad(x);
    wg_backward(total(wg_add(h, x)));
    assert_all(wg_grad_of(x), 7);
    ck_assert_double_eq_tol(seen, 42, 1e-4);
    end(s);
}
END_TEST

static wg_tensor *nested_backward(void *self, wg_tensor *grad)
{
    (void)grad;
    wg_backward((wg_tensor *)self, .retain_graph = true);
    return NULL;
}

START_TEST(walking_a_graph_that_is_being_walked_is_an_error)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = leaf(3), *h = wg_square(x), *y = total(wg_square(h));
    wg_hook(h, nested_backward, y);
    ck_assert_int_eq(wg_backward(y, .retain_graph = true), WG_EGRAD);
    wg_error_clear();
    end(s);
}
END_TEST

/* ---- memory --------------------------------------------------------------------------------------------------------- */
START_TEST(a_chain_of_a_million_ops_goes_both_ways)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_ones(WG_DIMS(4))), *b = wg_require_grad(wg_zeros(WG_DIMS(4)));
    wg_tensor *y = x;
    for (int i = 0; i < 1000000; i++) {
        wg_scope inner = wg_scope_push();
        y = wg_scope_return(inner, wg_add(y, b));
    }
    ck_assert_int_eq(wg_backward(total(y)), WG_OK);
    assert_all(wg_grad_of(x), 1);
    assert_all(wg_grad_of(b), 1e6);
    end(s);
}
END_TEST

START_TEST(a_million_nodes_are_freed_without_recursion)
{
    int64_t before = wg_memory_stats(wg_cpu()).tensors;
    wg_scope s = wg_scope_push();
    wg_tensor *y = wg_require_grad(wg_ones(WG_DIMS(4)));
    for (int i = 0; i < 1000000; i++) {
        wg_scope inner = wg_scope_push();
        y = wg_scope_return(inner, wg_square(y));
    }
    end(s);
    ck_assert_int_eq(wg_memory_stats(wg_cpu()).tensors, before);
}
END_TEST

START_TEST(forward_alone_leaves_memory_where_it_was)
{
    wg_tensor *x = wg_ref(wg_require_grad(wg_ones(WG_DIMS(16, 16))));
    int64_t after_first = 0;
    for (int i = 0; i < 10000; i++) {
        wg_scope s = wg_scope_push();
        wg_softmax(wg_matmul(wg_tanh(x), x), -1);
        end(s);
        if (i == 0) after_first = wg_memory_stats(wg_cpu()).current;
    }
    ck_assert_int_eq(wg_memory_stats(wg_cpu()).current, after_first);
    wg_unref(&x);
}
END_TEST

typedef struct {
    int n;
    int64_t live[64];
} trace;
static wg_tensor *note_live(void *self, wg_tensor *grad)
{
    (void)grad;
    trace *t = self;
    if (t->n < 64) t->live[t->n++] = wg_memory_stats(wg_cpu()).current;
    return NULL;
}

START_TEST(live_bytes_fall_node_by_node_with_the_step_scope_open)
{
    trace t = { 0 };
    wg_scope step = wg_scope_push();
    wg_tensor *y = wg_require_grad(wg_full(WG_DIMS(256, 256), 0.5));
    wg_scope model = wg_scope_push(); /* as a module call has it */
    for (int i = 0; i < 20; i++) {
        wg_scope layer = wg_scope_push();
        y = wg_tanh(wg_mul(y, y));
        wg_hook(y, note_live, &t);
        y = wg_scope_return(layer, y);
    }
    wg_backward(wg_scope_return(model, total(y)));
    ck_assert_int_eq(t.n, 20);
    for (int i = 2; i < t.n; i++) /* each layer lets go of two saved tensors of 256 KiB */
        ck_assert_msg(t.live[i] <= t.live[i - 1] - 256 * 256 * 4, "step %d: %lld after %lld", i,
                      (long long)t.live[i], (long long)t.live[i - 1]);
    end(step);
}
END_TEST

/* ---- autocast ---------------------------------------------------------------------------------------------------------- */
START_TEST(autocast_runs_products_in_bf16_and_gives_f32_gradients)
{
    wg_scope s = wg_scope_push();
    wg_seed(5);
    wg_tensor *x = wg_randn(WG_DIMS(4, 8)), *w = wg_require_grad(wg_randn(WG_DIMS(6, 8)));
    wg_backward(total(wg_square(wg_linear(x, w, NULL))));
    wg_tensor *exact = wg_ref(wg_grad_of(w));
    wg_drop_grad(w);
    wg_scope cast = wg_scope_push();
    wg_use_autocast(WG_BF16);
    wg_tensor *y = wg_linear(x, w, NULL);
    ck_assert_int_eq(wg_dtype_of(y), WG_BF16);
    ck_assert_int_eq(wg_dtype_of(wg_softmax(y, -1)), WG_F32);
    wg_tensor *loss = wg_scope_return(cast, total(wg_square(y)));
    ck_assert_int_eq(wg_backward(loss), WG_OK);
    ck_assert_int_eq(wg_dtype_of(wg_grad_of(w)), WG_F32);
    double error = wg_item(wg_norm(wg_sub(exact, wg_grad_of(w)), 2, WG_ALL, false)),
           size = wg_item(wg_norm(exact, 2, WG_ALL, false));
    ck_assert_msg(error < 0.02 * size, "relative error %g", error / size);
    wg_unref(&exact);
    end(s);
}
END_TEST

/* ---- the checks themselves ------------------------------------------------------------------------------------------------ */
static wg_status like_infer(wg_infer *c)
{
    wg_infer_like(c, 0, c->in.t[0]);
    return WG_OK;
}
static wg_status cube(const wg_run *r)
{
    const double *x = wg_run_in(r, 0);
    double *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < wg_numel(r->in.t[0]); i++) y[i] = x[i] * x[i] * x[i];
    return WG_OK;
}
static double slope = 3;
static bool break_second;
static void cube_grad(wg_vjp *g)
{
    wg_tensor *x = break_second ? wg_detach(g->x.t[0]) : g->x.t[0];
    g->dx.t[0] = wg_mul(g->dy.t[0], wg_affine(wg_square(x), slope, 0));
}
static const wg_op cube_op = { .name = "cube",
                               .in = { "x" },
                               .out = { "y" },
                               .flags = WG_OP_CONTIGUOUS,
                               .saves = WG_IN(0),
                               .infer = like_infer,
                               .cpu = cube,
                               .grad = cube_grad };
static void cube_function(void *self, wg_list in, wg_list out)
{
    (void)self;
    out.t[0] = wg_apply(&cube_op, in, NULL, NULL);
}

START_TEST(gradcheck_passes_a_right_gradient_and_catches_a_wrong_one)
{
    wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64);
    wg_tensor *x = wg_randn(WG_DIMS(3, 4));
    slope = 3;
    ck_assert_int_eq(wg_gradcheck(cube_function, NULL, WG_LIST(x), NULL), WG_OK);
    ck_assert_int_eq(wg_gradgradcheck(cube_function, NULL, WG_LIST(x), NULL), WG_OK);
    slope = 3.001;
    ck_assert_int_eq(wg_gradcheck(cube_function, NULL, WG_LIST(x), NULL), WG_EGRAD);
    ck_assert_ptr_nonnull(strstr(wg_error_get()->message, "element"));
    wg_error_clear();
    slope = 3;
    break_second = true;
    ck_assert_int_eq(wg_gradcheck(cube_function, NULL, WG_LIST(x), NULL), WG_OK);
    ck_assert_int_eq(wg_gradgradcheck(cube_function, NULL, WG_LIST(x), NULL), WG_EGRAD);
    wg_error_clear();
    break_second = false;
    end(s);
}
END_TEST

static wg_status refuse_infer(wg_infer *c)
{
    wg_infer_like(c, 0, c->in.t[0]);
    return wg_ndim(c->in.t[0]) == 2 ? WG_OK : wg_raise(WG_ESHAPE, "x should have 2 dimensions");
}

START_TEST(an_op_without_a_gradient_or_kernel_says_so_by_name)
{
    wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64);
    wg_op op = cube_op;
    op.grad = NULL;
    wg_tensor *x = wg_require_grad(wg_full(WG_DIMS(3), 2));
    ck_assert_int_eq(wg_backward(total(wg_apply(&op, WG_LIST(x), NULL, NULL))), WG_EGRAD);
    ck_assert_ptr_nonnull(strstr(wg_error_get()->message, "cube"));
    wg_error_clear();
    op.cpu = NULL;
    ck_assert(wg_is_error(wg_apply(&op, WG_LIST(x), NULL, NULL)));
    ck_assert_ptr_nonnull(strstr(wg_error_get()->message, "cube: no cpu kernel"));
    wg_error_clear();
    op.infer = refuse_infer;
    ck_assert(wg_is_error(wg_apply(&op, WG_LIST(x), NULL, NULL)));
    ck_assert_int_eq(wg_error_get()->code, WG_ESHAPE);
    wg_error_clear();
    ck_assert(wg_is_error(wg_apply(&op, WG_LIST(NULL), NULL, NULL)));
    ck_assert_ptr_nonnull(strstr(wg_error_get()->message, "cube: x is NULL"));
    wg_error_clear();
    end(s);
}
END_TEST

/* ---- threads ------------------------------------------------------------------------------------------------------------- */
static void *train(void *shared)
{
    for (int i = 0; i < 200; i++) {
        wg_scope s = wg_scope_push();
        wg_backward(total(wg_mul(shared, wg_ones(WG_DIMS(2, 3)))));
        if (wg_scope_pop(s) != WG_OK) return (void *)1;
    }
    return NULL;
}

/* A kernel that makes two gradients has one place for both: it must neither wait for itself nor lose one. */
START_TEST(one_tensor_may_be_several_inputs)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x0 = wg_randn(WG_DIMS(2, 3)), *x[2];
    for (int fused = 0; fused < 2; fused++) {
        x[fused] = wg_require_grad(wg_detach(x0));
        for (int step = 0; step < 2; step++) {
            wg_tensor *h = wg_affine(x[fused], 0.5, 0);
            wg_tensor *y = fused ? wg_swiglu(h, h) : wg_mul(wg_silu(h), h);
            wg_tensor *z =
                fused ? wg_swiglu(x[fused], x[fused]) : wg_mul(wg_silu(x[fused]), x[fused]);
            wg_backward(total(wg_add(wg_add(y, z), wg_exp(h))));
        }
    }
    wg_tensor *difference = wg_sub(wg_grad_of(x[0]), wg_grad_of(x[1]));
    assert_all(difference, 0);
    end(s);
}
END_TEST

START_TEST(threads_may_share_parameters)
{
    wg_scope s = wg_scope_push();
    wg_tensor *w = leaf(1);
    pthread_t t[2];
    for (int i = 0; i < 2; i++) ck_assert_int_eq(pthread_create(&t[i], NULL, train, w), 0);
    for (int i = 0; i < 2; i++) {
        void *bad = NULL;
        pthread_join(t[i], &bad);
        ck_assert_ptr_null(bad);
    }
    assert_all(wg_grad_of(w), 400);
    end(s);
}
END_TEST

static void *squared_late(void *w)
{
    wg_tensor *y = w;
    for (int i = 0; i < 200; i++) y = wg_square(w); /* so many that its number is far above */
    return wg_ref(y);
}

START_TEST(consumers_come_after_another_threads_producers)
{
    wg_scope s = wg_scope_push();
    wg_tensor *w = leaf(2);
    wg_square(w); /* this thread has taken its numbers */
    pthread_t t;
    void *squared = NULL;
    ck_assert_int_eq(pthread_create(&t, NULL, squared_late, w), 0);
    pthread_join(t, &squared);
    wg_tensor *y = squared;
    ck_assert_int_eq(wg_backward(total(wg_mul(y, wg_square(y)))), WG_OK); /* w^6 */
    assert_all(wg_grad_of(w), 192);
    wg_unref(&y);
    end(s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        backward_gives_the_products_gradients,
        gradients_accumulate_until_dropped,
        leaves_never_share_a_gradient,
        one_leaf_may_be_two_operands,
        broadcasting_is_undone,
        a_second_backward_needs_retain_graph,
        a_loss_of_many_elements_needs_a_cotangent,
        a_pending_error_keeps_backward_from_changing_anything,
        grad_and_higher_derivatives,
        grad_at_an_intermediate_and_at_its_source,
        an_unused_input_raises_or_gives_null,
        no_grad_and_detach_record_nothing,
        a_change_in_place_is_caught_and_names_both_culprits,
        hooks_see_and_replace_and_go,
        walking_a_graph_that_is_being_walked_is_an_error,
        a_chain_of_a_million_ops_goes_both_ways,
        a_million_nodes_are_freed_without_recursion,
        forward_alone_leaves_memory_where_it_was,
        live_bytes_fall_node_by_node_with_the_step_scope_open,
        autocast_runs_products_in_bf16_and_gives_f32_gradients,
        gradcheck_passes_a_right_gradient_and_catches_a_wrong_one,
        an_op_without_a_gradient_or_kernel_says_so_by_name,
        one_tensor_may_be_several_inputs,
        threads_may_share_parameters,
        consumers_come_after_another_threads_producers,
        NULL,
    };
    return suite_run("autograd", tests);
}
