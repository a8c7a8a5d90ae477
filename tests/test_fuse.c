/* Fused functions: the values and gradients of the ops one by one, also as a part of the tape. */
#include "fuse_check.h"

/* ---- values and gradients ------------------------------------------------------------------------------------------- */
START_TEST(a_chain_has_the_bits_of_its_ops)
{
    const int64_t sizes[] = { 1, 7, 64, 4096, 8191, 8192, 8193, 100003 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        wg_scope s = wg_scope_push();
        wg_seed(5 + i);
        compare(chain, 1, WG_LIST(wg_randn(WG_DIMS(sizes[i]))), 0, 0);
        end(s);
    }
}
END_TEST

START_TEST(inputs_broadcast_against_each_other)
{
    const wg_dims shapes[][3] = {
        { WG_DIMS(300, 768), WG_DIMS(768), WG_DIMS(768) },     /* a bias */
        { WG_DIMS(300, 768), WG_DIMS(300, 1), WG_DIMS() },     /* one a row, one for all */
        { WG_DIMS(3, 70, 96), WG_DIMS(70, 96), WG_DIMS(96) },  /* positions */
        { WG_DIMS(3, 70, 96), WG_DIMS(3, 1, 96), WG_DIMS(1) }, /* the middle axis */
        { WG_DIMS(5, 5000), WG_DIMS(5000), WG_DIMS(5, 1) },    /* rows longer than a tile */
        { WG_DIMS(9, 1, 1000), WG_DIMS(4, 1), WG_DIMS(1000) }, /* none is the whole */
        { WG_DIMS(2100, 3), WG_DIMS(2, 2100, 1), WG_DIMS(2, 1, 3) },
        { WG_DIMS(1, 1), WG_DIMS(), WG_DIMS(1) },
        { WG_DIMS(2, 1, 3, 1, 5, 2, 1, 7), WG_DIMS(4, 1, 6, 1, 2, 3, 1), WG_DIMS(2, 1, 7) },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        wg_scope s = wg_scope_push();
        wg_use_dtype(WG_F64); /* sums differ in order: 1e-12 of some 1e5 terms of size 1 */
        wg_seed(50 + i);
        compare(gated, 2,
                WG_LIST(wg_randn(shapes[i][0]), wg_randn(shapes[i][1]), wg_randn(shapes[i][2])), 0,
                1e-10);
        end(s);
    }
}
END_TEST

START_TEST(strides_are_any)
{
    wg_scope s = wg_scope_push();
    wg_tensor *t = wg_transpose(wg_randn(WG_DIMS(130, 90)), 0, 1); /* (90, 130) */
    wg_tensor *narrow = wg_narrow(wg_randn(WG_DIMS(90, 200)), 1, 33, 130);
    wg_tensor *row = wg_expand(wg_randn(WG_DIMS(130)), WG_DIMS(90, 130));
    compare(gated, 2, WG_LIST(t, narrow, row), 0, 0);
    compare(gated, 2, WG_LIST(narrow, wg_narrow(t, 0, 4, 1), wg_select(narrow, 0, 3)), 0, 1e-4);
    end(s);
}
END_TEST

START_TEST(cotangents_may_be_expanded)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_randn(WG_DIMS(70, 90)), *leaf[2], *y[1];
    for (int fused = 0; fused < 2; fused++) {
        leaf[fused] = wg_require_grad(wg_detach(x));
        run(fused, chain, WG_LIST(leaf[fused]), (wg_list) { 1, y });
        wg_backward(total(y[0])); /* of stride 0 */
    }
    assert_close("dx", wg_grad_of(leaf[1]), wg_grad_of(leaf[0]), 0);
    end(s);
}
END_TEST

static void mixed(void *self, wg_list in, wg_list out)
{
    (void)self;
    wg_tensor *x = wg_mul(in.t[0], wg_cast(in.t[1], WG_F32)); /* f32, bf16 */
    x = wg_masked_fill(x, in.t[3], 0.25);                     /* bool */
    out.t[0] = wg_add(x, wg_cast(in.t[2], WG_F32));           /* i64 */
    out.t[1] = wg_cast(wg_mul(in.t[0], in.t[1]), WG_F16);
}

START_TEST(dtypes_mix)
{
    wg_scope s = wg_scope_push();
    const wg_dims shape = WG_DIMS(100, 90);
    wg_tensor *x = wg_randn(shape), *b = wg_cast(wg_randn(shape), WG_BF16);
    wg_tensor *k = wg_cast(wg_affine(wg_rand(shape), 9, 0), WG_I64);
    wg_tensor *mask = wg_gt(wg_randn(shape), wg_scalar(0));
    compare(mixed, 2, WG_LIST(x, b, k, mask), 0, 0);
    /* 0-d tensors do not widen, those of one element do */
    wg_tensor *wide = wg_cast(wg_randn(WG_DIMS()), WG_F64);
    compare(product, 1, WG_LIST(x, wide), 0, 1e-4);
    compare(product, 1, WG_LIST(x, wg_reshape(wide, WG_DIMS(1))), 0, 1e-4);
    compare(product, 1, WG_LIST(x, wg_scalar(3)), 0, 1e-4);
    end(s);
}
END_TEST

static void bools(void *self, wg_list in, wg_list out)
{
    (void)self;
    out.t[0] = in.t[0]; /* an input itself */
    out.t[1] = wg_gt(in.t[0], in.t[1]);
}

START_TEST(outputs_may_be_inputs_and_bools)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(5000))), *y[2];
    wg_tensor *zero = wg_require_grad(wg_zeros(WG_DIMS()));
    wg_fuse(bools, NULL, 0, WG_LIST(x, zero), ((wg_list) { 2, y }));
    assert_close("y", y[0], x, 0);
    assert_close("more", y[1], wg_gt(x, zero), 0);
    ck_assert(!wg_requires_grad(y[1]));
    wg_backward(total(wg_square(y[0])));
    assert_close("dx", wg_grad_of(x), wg_affine(x, 2, 0), 0);
    ck_assert_ptr_null(wg_grad_of(zero)); /* nothing depends on it */
    end(s);
}
END_TEST

START_TEST(absent_inputs_stay_absent)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_randn(WG_DIMS(5000));
    compare(chain, 1, WG_LIST(x, NULL), 0, 0);
    end(s);
}
END_TEST

START_TEST(empty_and_0d)
{
    wg_scope s = wg_scope_push();
    compare(chain, 1, WG_LIST(wg_randn(WG_DIMS())), 0, 0);
    compare(chain, 1, WG_LIST(wg_zeros(WG_DIMS(0))), 0, 0);
    compare(gated, 2, WG_LIST(wg_zeros(WG_DIMS(0, 3)), wg_randn(WG_DIMS(3)), wg_randn(WG_DIMS())),
            0, 0);
    compare(gated, 2, WG_LIST(wg_randn(WG_DIMS()), wg_randn(WG_DIMS()), wg_randn(WG_DIMS())), 0, 0);
    end(s);
}
END_TEST

/* ---- against central differences ------------------------------------------------------------------------------------ */
static void fused_gated(void *self, wg_list in, wg_list out)
{
    wg_fuse(gated, self, sizeof(double), in, out);
}

START_TEST(gradients_of_both_orders_are_right)
{
    wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64);
    wg_seed(8);
    double scale = 0.7;
    const wg_check o = { .outputs = 2 };
    wg_list small = WG_LIST(wg_randn(WG_DIMS(3, 4)), wg_randn(WG_DIMS(4)), wg_randn(WG_DIMS(3, 1)));
    ck_assert_int_eq(wg_gradcheck(fused_gated, &scale, small, &o), WG_OK);
    ck_assert_int_eq(wg_gradgradcheck(fused_gated, &scale, small, &o), WG_OK);
    /* several tiles */
    wg_list large =
        WG_LIST(wg_randn(WG_DIMS(30, 400)), wg_randn(WG_DIMS(400)), wg_randn(WG_DIMS()));
    ck_assert_int_eq(wg_gradcheck(fused_gated, &scale, large, &o), WG_OK);
    end(s);
}
END_TEST

START_TEST(second_derivatives_are_those_of_the_ops)
{
    wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64);
    wg_tensor *x0 = wg_randn(WG_DIMS(20, 300)), *b0 = wg_randn(WG_DIMS(300)), *x[2], *b[2];
    for (int fused = 0; fused < 2; fused++) {
        wg_tensor *y[1], *d[1];
        x[fused] = wg_require_grad(wg_detach(x0));
        b[fused] = wg_require_grad(wg_detach(b0));
        run(fused, product, WG_LIST(x[fused], b[fused]), (wg_list) { 1, y });
        wg_grad(WG_LIST(total(wg_square(y[0]))), WG_LIST(x[fused]), WG_NO_LIST, WG_CREATE_GRAPH,
                ((wg_list) { 1, d }));
        wg_backward(total(wg_square(d[0])));
    }
    assert_close("dx", wg_grad_of(x[1]), wg_grad_of(x[0]), 1e-12);
    assert_close("db", wg_grad_of(b[1]), wg_grad_of(b[0]), 1e-10);
    end(s);
}
END_TEST

/* ---- in the tape ------------------------------------------------------------------------------------------------------ */
/* Gradients gather where they belong: a second backward adds, an input used twice gets both parts. */
START_TEST(gradients_add_up)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x0 = wg_randn(WG_DIMS(9000)), *x[2];
    for (int fused = 0; fused < 2; fused++) {
        x[fused] = wg_require_grad(wg_detach(x0));
        for (int step = 0; step < 3; step++) {
            wg_tensor *y[1], *h = wg_affine(x[fused], 0.5, 0);
            run(fused, product, WG_LIST(x[fused], x[fused]), (wg_list) { 1, y });
            wg_tensor *loss = total(y[0]);
            run(fused, product, WG_LIST(h, h), (wg_list) { 1, y }); /* h has a cotangent by then */
            loss = wg_add(wg_add(loss, total(y[0])), total(wg_exp(h)));
            ck_assert_int_eq(wg_backward(loss), WG_OK);
        }
    }
    assert_close("dx", wg_grad_of(x[1]), wg_grad_of(x[0]), 1e-5); /* a dozen terms of size 1 */
    end(s);
}
END_TEST

START_TEST(a_retained_graph_runs_again_and_a_freed_one_raises)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(5000))), *y[1];
    wg_fuse(chain, NULL, 0, WG_LIST(x), ((wg_list) { 1, y }));
    wg_tensor *loss = total(y[0]);
    ck_assert_int_eq(wg_backward(loss, .retain_graph = true), WG_OK);
    wg_tensor *first = wg_affine(wg_detach(wg_grad_of(x)), 2, 0);
    ck_assert_int_eq(wg_backward(loss), WG_OK);
    assert_close("dx", wg_grad_of(x), first, 0);
    ck_assert_int_eq(wg_backward(loss), WG_EGRAD);
    ck_assert_ptr_nonnull(strstr(wg_error_get()->message, "freed"));
    wg_error_clear();
    end(s);
}
END_TEST

START_TEST(an_input_changed_in_place_raises)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(5000))), *m = wg_randn(WG_DIMS(5000)), *y[1];
    wg_fuse(product, NULL, 0, WG_LIST(x, m), ((wg_list) { 1, y }));
    wg_tensor *loss = total(y[0]);
    ck_assert_int_eq(wg_assign(m, wg_zeros(WG_DIMS(5000))), WG_OK);
    ck_assert_int_eq(wg_backward(loss), WG_EGRAD);
    ck_assert_ptr_nonnull(strstr(wg_error_get()->message, "fuse"));
    ck_assert_ptr_nonnull(strstr(wg_error_get()->message, "changed it in place"));
    wg_error_clear();
    end(s);
}
END_TEST

static wg_tensor *halve(void *self, wg_tensor *grad)
{
    ++*(int *)self;
    return wg_affine(grad, 0.5, 0);
}

START_TEST(hooks_see_its_cotangents)
{
    wg_scope s = wg_scope_push();
    int seen = 0;
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(5000))), *y[1];
    wg_fuse(chain, NULL, 0, WG_LIST(x), ((wg_list) { 1, y }));
    wg_tensor *d[1];
    ck_assert_int_eq(wg_grad(WG_LIST(total(y[0])), WG_LIST(x), WG_NO_LIST, WG_RETAIN_GRAPH,
                             ((wg_list) { 1, d })),
                     WG_OK);
    ck_assert_uint_ne(wg_hook(y[0], halve, &seen), 0);
    wg_backward(total(y[0]));
    ck_assert_int_eq(seen, 1);
    assert_close("dx", wg_grad_of(x), wg_affine(d[0], 0.5, 0), 0);
    end(s);
}
END_TEST

static void differentiated(void *self, wg_list in, wg_list out)
{
    wg_tensor *h[1], *x = wg_exp(wg_affine(in.t[0], 0.5, 0));
    const int fused = *(const int *)self;
    if (fused)
        wg_fuse(chain, NULL, 0, WG_LIST(x), ((wg_list) { 1, h }));
    else
        chain(NULL, WG_LIST(x), (wg_list) { 1, h });
    out.t[0] = wg_mul(h[0], in.t[1]);
}

/* As a part of a recomputed segment, and of another fused function. */
START_TEST(it_nests)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x0 = wg_randn(WG_DIMS(9000)), *w0 = wg_randn(WG_DIMS(9000)), *want[2] = { 0 };
    for (int how = 0; how < 4; how++) {
        wg_tensor *x = wg_require_grad(wg_detach(x0)), *w = wg_require_grad(wg_detach(w0)), *y[1];
        const int fused = how > 0;
        if (how == 2)
            wg_recompute(differentiated, &fused, sizeof fused, WG_LIST(x, w), ((wg_list) { 1, y }));
        else if (how == 3)
            wg_fuse(differentiated, &fused, sizeof fused, WG_LIST(x, w), ((wg_list) { 1, y }));
        else
            differentiated((void *)(uintptr_t)&fused, WG_LIST(x, w), (wg_list) { 1, y });
        wg_backward(total(y[0]));
        expect_no_error();
        if (how == 0) {
            want[0] = wg_grad_of(x);
            want[1] = wg_grad_of(w);
        }
        assert_close("dx", wg_grad_of(x), want[0], 0);
        assert_close("dw", wg_grad_of(w), want[1], 0);
    }
    end(s);
}
END_TEST

/* Recomputed inside, with a number from outside, and fused again in there. */
static wg_tensor *number;
static void inner(void *self, wg_list in, wg_list out)
{
    (void)self;
    out.t[0] = wg_mul(wg_sin(in.t[0]), number);
}

static void inner_fused(void *self, wg_list in, wg_list out)
{
    wg_fuse(inner, self, 0, in, out);
}

static void recomputed(void *self, wg_list in, wg_list out)
{
    (void)self;
    wg_recompute(inner, NULL, 0, in, out);
    out.t[0] = wg_add(out.t[0], wg_tanh(in.t[0]));
}

static void recomputed_fused(void *self, wg_list in, wg_list out)
{
    (void)self;
    wg_recompute(inner_fused, NULL, 0, in, out);
    out.t[0] = wg_add(out.t[0], wg_tanh(in.t[0]));
}

START_TEST(parts_may_be_recomputed)
{
    wg_scope s = wg_scope_push();
    number = wg_full(WG_DIMS(), 3);
    wg_tensor *y[2], *x = wg_require_grad(wg_randn(WG_DIMS(9001))), *d[2];
    const wg_fn fns[] = { recomputed, recomputed_fused };
    for (int k = 0; k < 2; k++) {
        for (int fused = 0; fused < 2; fused++) {
            run(fused, fused ? fns[k] : recomputed, WG_LIST(x), (wg_list) { 1, &y[fused] });
            wg_grad(WG_LIST(total(y[fused])), WG_LIST(x), WG_NO_LIST, 0,
                    ((wg_list) { 1, &d[fused] }));
            expect_no_error();
        }
        assert_close("y", y[1], y[0], 0);
        assert_close("dx", d[1], d[0], 0);
    }
    end(s);
}
END_TEST

START_TEST(meta_has_its_shapes)
{
    wg_scope s = wg_scope_push();
    wg_use_device(wg_meta());
    wg_tensor *y[2], *x = wg_require_grad(wg_empty(WG_DIMS(1 << 20, 1 << 20), WG_F32));
    wg_tensor *b = wg_require_grad(wg_empty(WG_DIMS(1 << 20), WG_BF16));
    const double flops = wg_flops();
    wg_fuse(gated, &one, sizeof one, WG_LIST(x, b, b), ((wg_list) { 2, y }));
    ck_assert_double_eq(wg_flops() - flops, 0x6p40); /* of six ops, counted once */
    wg_backward(wg_add(total(y[0]), total(y[1])));
    ck_assert_int_eq(wg_dtype_of(wg_grad_of(b)), WG_BF16);
    ck_assert_int_eq(wg_size(wg_grad_of(b), 0), 1 << 20);
    end(s);
}
END_TEST

START_TEST(flops_are_counted_on_the_callers_thread)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(300, 100))), *y[2][2];
    wg_tensor *b = wg_require_grad(wg_randn(WG_DIMS(300, 100)));
    double counted[2], back[2];
    for (int fused = 0; fused < 2; fused++) {
        double before = wg_flops();
        run(fused, gated, WG_LIST(x, b, b), (wg_list) { 2, y[fused] });
        counted[fused] = wg_flops() - before;
        before = wg_flops();
        wg_backward(total(y[fused][1]));
        back[fused] = wg_flops() - before;
    }
    ck_assert_double_eq(counted[0], 6 * 30000);
    ck_assert_double_eq(counted[1], counted[0]);
    ck_assert_double_ge(back[1], back[0]); /* and the function again */
    end(s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_chain_has_the_bits_of_its_ops,
        inputs_broadcast_against_each_other,
        strides_are_any,
        cotangents_may_be_expanded,
        dtypes_mix,
        outputs_may_be_inputs_and_bools,
        absent_inputs_stay_absent,
        empty_and_0d,
        gradients_of_both_orders_are_right,
        second_derivatives_are_those_of_the_ops,
        gradients_add_up,
        a_retained_graph_runs_again_and_a_freed_one_raises,
        an_input_changed_in_place_raises,
        hooks_see_its_cotangents,
        it_nests,
        parts_may_be_recomputed,
        meta_has_its_shapes,
        flops_are_counted_on_the_callers_thread,
        NULL,
    };
    return suite_run("fuse", tests);
}
