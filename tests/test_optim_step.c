/* The step as one pass: clipping within it, and all parameters in one call, to the last bit what they are apart. */
#include "optim_step_check.h"
#include "tensor/internal.h"

/* ---- clipping ------------------------------------------------------------------------------------------------ */
static void compare_clipping(int kind, wg_dtype t, double most)
{
    const wg_scope s = begin();
    wg_module *a = new_nested(t), *b = new_nested(t);
    wg_optim *one = makers[kind](a), *two = makers[kind](b);
    char what[80];
    snprintf(what, sizeof what, "optimizer %d, %s, %g", kind, wg_dtype_name(t), most);
    for (int64_t k = 1; k <= 3; k++) {
        give_gradients(a, k);
        give_gradients(b, k);
        wg_tensor *norm = wg_optim_step_clipped(one, most), *apart = wg_clip_grad_norm(two, most);
        ck_assert_int_eq(wg_optim_step(two), WG_OK);
        ck_assert_msg(same_bits(norm, apart), "%s: the norm differs", what);
        ck_assert_ptr_null(wg_grad_of(param(a, "weight")));
        expect_same_parameters(a, b, what);
        expect_same_state(one, two, what);
    }
    wg_optim_free(one);
    wg_optim_free(two);
    wg_module_free(a);
    wg_module_free(b);
    pop(s);
}

START_TEST(a_clipped_step_has_the_bits_of_clipping_and_stepping)
{
    static const wg_dtype dtypes[] = { WG_F64, WG_F32, WG_BF16, WG_F16 };
    static const double norms[] = { 0, 0.37, 1e9 };
    for (int i = 0; i < MAKERS; i++)
        for (int d = 0; d < 4; d++)
            for (int n = 0; n < 3; n++) compare_clipping(i, dtypes[d], norms[n]);
}
END_TEST

/* Gradients that users set need not have the parameter's dtype. */
START_TEST(a_clipped_step_rounds_in_the_gradients_dtype)
{
    static const wg_dtype dtypes[] = { WG_F64, WG_F32, WG_BF16, WG_F16 };
    for (int i = 0; i < MAKERS; i++)
        for (int g = 0; g < 4; g++)
            for (int d = 0; d < 4; d++) {
                const wg_scope s = begin();
                wg_module *a = new_nested(dtypes[d]), *b = new_nested(dtypes[d]);
                wg_optim *one = makers[i](a), *two = makers[i](b);
                wg_tensor *given = wg_cast(wg_randn(WG_DIMS(ROWS, COLUMNS)), dtypes[g]);
                wg_set_grad(param(a, "weight"), wg_affine(given, 1, 0));
                wg_set_grad(param(b, "weight"), wg_affine(given, 1, 0));
                wg_optim_step_clipped(one, 0.6);
                wg_clip_grad_norm(two, 0.6);
                ck_assert_int_eq(wg_optim_step(two), WG_OK);
                char what[64];
                snprintf(what, sizeof what, "optimizer %d, %s, gradient %s", i,
                         wg_dtype_name(dtypes[d]), wg_dtype_name(dtypes[g]));
                expect_same_parameters(a, b, what);
                expect_same_state(one, two, what);
                wg_optim_free(one);
                wg_optim_free(two);
                wg_module_free(a);
                wg_module_free(b);
                pop(s);
            }
}
END_TEST

START_TEST(a_norm_that_is_not_finite_acts_alike)
{
    for (int i = 0; i < MAKERS; i++) {
        const wg_scope s = begin();
        wg_module *a = new_nested(WG_F32), *b = new_nested(WG_F32);
        wg_optim *one = makers[i](a), *two = makers[i](b);
        for (int k = 0; k < 2; k++) {
            wg_module *m = k ? b : a;
            give_gradient(param(m, "bias"), 1);
            wg_set_grad(param(m, "weight"), wg_full(WG_DIMS(ROWS, COLUMNS), (double)INFINITY));
        }
        ck_assert(isinf(wg_item(wg_optim_step_clipped(one, 1))));
        wg_clip_grad_norm(two, 1);
        ck_assert_int_eq(wg_optim_step(two), WG_OK);
        expect_same_parameters(a, b, "infinite");
        const double sum = wg_item(wg_sum(param(a, "weight"), WG_ALL, false));
        ck_assert(isnan(sum) || makers[i] == lion); /* the sign of NaN is 0 */
        wg_optim_free(one);
        wg_optim_free(two);
        wg_module_free(a);
        wg_module_free(b);
        pop(s);
    }
}
END_TEST

START_TEST(a_clipped_step_that_fails_changes_nothing)
{
    const wg_scope s = begin();
    wg_module *a = new_nested(WG_F32), *b = new_nested(WG_F32);
    wg_optim *o = adamw(a);
    ck_assert(wg_is_error(wg_optim_step_clipped(NULL, 1)));
    fails(WG_EARG, "optim_step_clipped: the optimizer is NULL");
    give_gradients(a, 1);
    ck_assert(wg_is_error(wg_optim_step_clipped(o, -1)));
    fails(WG_EARG, "optim_step_clipped: max_norm -1 is negative");
    ck_assert(wg_is_error(wg_optim_step_clipped(o, (double)NAN)));
    fails(WG_EARG, "optim_step_clipped: max_norm nan");
    wg_raise(WG_EARG, "something");
    ck_assert(wg_is_error(wg_optim_step_clipped(o, 1)));
    fails(WG_EARG, "something");
    wg_set_grad(param(a, "inner.weight"), wg_cast(wg_zeros(WG_DIMS(ROWS, COLUMNS)), WG_I64));
    ck_assert(wg_is_error(wg_optim_step_clipped(o, 1)));
    fails(WG_EDTYPE, "grad_norm: operands should be floating");
    ck_assert_int_eq(wg_optim_step(o), WG_EDTYPE);
    fails(WG_EDTYPE,
          "adam_step: operands should be floating: p (6, 4) f32 cpu, g (6, 4) i64 cpu, m (6, 4)");
    expect_same_parameters(a, b, "failed");
    ck_assert_int_eq(wg_optim_steps(o), 0);
    ck_assert_ptr_nonnull(wg_grad_of(param(a, "weight")));
    wg_optim_drop_grads(o);
    ck_assert_double_eq(wg_item(wg_optim_step_clipped(o, 1)),
                        0); /* no gradients: a step of nothing */
    ck_assert_int_eq(wg_optim_steps(o), 1);
    expect_same_parameters(a, b, "no gradients");
    wg_optim_free(o);
    wg_module_free(a);
    wg_module_free(b);
    pop(s);
}
END_TEST

/* One step, of which allocation `fails` fails. Returns whether it struck. */
static bool step_failing(int64_t fails, bool scaled)
{
    const wg_scope s = begin();
    wg_module *a = new_nested(WG_F32), *b = new_nested(WG_F32);
    wg_optim *o = adamw(a);
    wg_scaler *x = wg_scaler_new(.scale = 4);
    give_gradients(a, 2);
    wgi_fail_alloc_after(fails);
    wg_tensor *norm = scaled ? wg_scaler_step(x, o, 1) : wg_optim_step_clipped(o, 1);
    const bool failed = wg_error_code() != WG_OK;
    wgi_fail_alloc_after(0);
    ck_assert(wg_is_error(norm) == failed);
    if (failed) {
        ck_assert_int_eq(wg_error_code(), WG_EMEM);
        wg_error_clear();
        expect_same_parameters(a, b, "out of memory");
        ck_assert_int_eq(wg_optim_steps(o), 0);
        ck_assert_ptr_nonnull(wg_grad_of(param(a, "weight")));
        ck_assert_double_eq(wg_scaler_value(x), 4);
    }
    wg_scaler_free(x);
    wg_optim_free(o);
    wg_module_free(a);
    wg_module_free(b);
    pop(s);
    return failed;
}

START_TEST(a_step_that_runs_out_of_memory_changes_nothing)
{
    for (int scaled = 0; scaled < 2; scaled++) {
        int64_t n = 1, quiet = 0; /* some allocations may fail unnoticed: caches */
        for (; quiet < 20; n++) quiet = step_failing(n, scaled) ? 0 : quiet + 1;
        ck_assert_int_gt(n, 30);
    }
}
END_TEST

/* ---- all parameters in one call ------------------------------------------------------------------------------ */
START_TEST(all_parameters_in_one_call_step_as_each_alone)
{
    for (int i = 0; i < MAKERS; i++) {
        const wg_scope s = begin();
        wg_module *a = wg_module_new(&row_type, NULL);
        wg_seed(1234);
        wg_module *b = wg_module_new(&row_type, NULL);
        wg_optim *one = makers[i](a), *two = makers[i](b);
        for (int64_t k = 1; k <= 2; k++) {
            wg_seed((uint64_t)k);
            give_random(a, -1);
            ck_assert_int_eq(wg_optim_step(one), WG_OK);
            for (int64_t only = 0; only < 10; only++) {
                wg_seed((uint64_t)k);
                give_random(b, only);
                ck_assert_int_eq(wg_optim_step(two), WG_OK);
            }
        }
        expect_same_parameters(a, b, "alone");
        wg_optim_free(one);
        wg_optim_free(two);
        wg_module_free(a);
        wg_module_free(b);
        pop(s);
    }
}
END_TEST

START_TEST(a_step_has_the_same_bits_on_any_number_of_threads)
{
    const wg_scope s = begin();
    wg_module *m[2];
    for (int i = 0; i < 2; i++) {
        wg_use_threads(1 + 2 * i);
        wg_seed(5);
        m[i] = wg_module_new(&row_type, NULL);
        wg_optim *o = adamw(m[i]);
        give_random(m[i], -1);
        wg_optim_step_clipped(o, 1);
        wg_optim_free(o);
    }
    wg_use_threads(0);
    expect_no_error();
    expect_same_parameters(m[0], m[1], "threads");
    wg_module_free(m[0]);
    wg_module_free(m[1]);
    pop(s);
}
END_TEST

int main(void)
{
    return suite_run("optim_step",
                     (const TTest *[]) { a_clipped_step_has_the_bits_of_clipping_and_stepping,
                                         a_clipped_step_rounds_in_the_gradients_dtype,
                                         a_norm_that_is_not_finite_acts_alike,
                                         a_clipped_step_that_fails_changes_nothing,
                                         a_step_that_runs_out_of_memory_changes_nothing,
                                         all_parameters_in_one_call_step_as_each_alone,
                                         a_step_has_the_same_bits_on_any_number_of_threads, NULL });
}
