/* The dynamic loss scale of f16: what it leaves alone, what it skips, how it moves, its state. */
#include "scaler_check.h"

START_TEST(scaled_steps_have_the_bits_of_steps)
{
    scaled_steps_are_steps(wg_cpu());
}
END_TEST

START_TEST(an_overflow_leaves_parameters_state_and_counts_as_they_were)
{
    overflow_leaves_no_trace(wg_cpu(), (double)INFINITY);
    overflow_leaves_no_trace(wg_cpu(), (double)NAN);
}
END_TEST

START_TEST(the_scale_follows_its_rule)
{
    the_scale_grows_and_backs_off(wg_cpu());
}
END_TEST

START_TEST(training_in_f16_finds_its_scale)
{
    training_finds_its_scale(wg_cpu());
}
END_TEST

/* f16 gradients too small for f16 once they are divided are not lost. */
START_TEST(small_gradients_of_16_bits_are_not_rounded_again)
{
    const wg_scope s = begin();
    wg_module *m = pair_on(wg_cpu(), WG_F16);
    wg_optim *o = wg_sgd_new(m, .lr = 0x1p20);
    wg_scaler *x = wg_scaler_new(.scale = 0x1p20);
    wg_tensor *p = param(m, "bias");
    const wg_scope inner = wg_scope_push();
    wg_use_grad(false);
    ck_assert_int_eq(wg_assign(p, wg_zeros_like(p)), WG_OK);
    pop(inner);
    wg_set_grad(p, wg_cast(wg_full(WG_DIMS(SIZE), 3), WG_F16));
    wg_scaler_step(x, o, (double)INFINITY); /* 3 / 2^20 is 0 in f16 */
    ck_assert_double_eq(wg_item(wg_select(p, 0, 5)), -3);
    wg_scaler_free(x);
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

static void some(wg_scaler *x, wg_optim *o, wg_module *m, int64_t from, int64_t to)
{
    for (int64_t k = from; k <= to; k++) {
        give_scaled(m, k, 64);
        if (k % 3 == 0) spoil(m, (double)INFINITY);
        wg_scaler_step(x, o, 1);
    }
    expect_no_error();
}

START_TEST(a_loaded_scaler_and_optimizer_go_on_with_the_same_bits)
{
    for (int i = 0; i < MAKERS; i++) {
        const wg_scope s = begin();
        wg_module *a = pair_on(wg_cpu(), WG_F32), *b = pair_on(wg_cpu(), WG_F32);
        wg_optim *one = makers[i](a), *two = makers[i](b), *third = makers[i](b);
        wg_scaler *x = wg_scaler_new(.scale = 64, .interval = 4),
                  *y = wg_scaler_new(.scale = 64, .interval = 4),
                  *z = wg_scaler_new(.scale = 1, .interval = 4);
        some(x, one, a, 1, 9);
        some(y, two, b, 1, 4);
        ck_assert_int_eq(wg_optim_load(third, wg_optim_state(two), wg_optim_steps(two)), WG_OK);
        ck_assert_int_eq(wg_scaler_load(z, wg_scaler_state(y)), WG_OK);
        ck_assert_int_eq(wg_optim_steps(third), 3);
        some(z, third, b, 5, 9);
        expect_same_parameters(a, b, "resumed");
        if (makers[i] != sgd) expect_same_state(one, third, "resumed"); /* that has none */
        ck_assert_double_eq(wg_scaler_value(x), wg_scaler_value(z));
        ck_assert(same_bits(wg_scaler_state(x).p[1].tensor, wg_scaler_state(z).p[1].tensor));
        wg_scaler_free(x);
        wg_scaler_free(y);
        wg_scaler_free(z);
        wg_optim_free(one);
        wg_optim_free(two);
        wg_optim_free(third);
        wg_module_free(a);
        wg_module_free(b);
        pop(s);
    }
}
END_TEST

/* With and without a scale in turn: the counts come along. */
START_TEST(steps_without_the_scaler_go_on_from_its_counts)
{
    const wg_scope s = begin();
    wg_module *a = pair_on(wg_cpu(), WG_F32), *b = pair_on(wg_cpu(), WG_F32);
    wg_optim *one = adam(a), *two = adam(b);
    wg_scaler *x = wg_scaler_new(.scale = 16);
    for (int64_t k = 1; k <= 6; k++) {
        const bool scaled = k == 2 || k == 3 || k == 5;
        if (k == 3) { /* none */
            give_scaled(a, k, 16);
            spoil(a, (double)NAN);
            wg_scaler_step(x, one, (double)INFINITY);
            continue;
        }
        give_scaled(a, k, scaled ? wg_scaler_value(x) : 1);
        give_scaled(b, k, 1);
        if (scaled)
            wg_scaler_step(x, one, (double)INFINITY);
        else
            ck_assert_int_eq(wg_optim_step(one), WG_OK);
        ck_assert_int_eq(wg_optim_step(two), WG_OK);
    }
    expect_same_parameters(a, b, "in turn");
    expect_same_state(one, two, "in turn");
    ck_assert_int_eq(wg_optim_steps(one), 5);
    wg_scaler_free(x);
    wg_optim_free(one);
    wg_optim_free(two);
    wg_module_free(a);
    wg_module_free(b);
    pop(s);
}
END_TEST

START_TEST(bad_arguments_are_errors_and_change_nothing)
{
    const wg_scope s = begin();
    wg_module *m = pair_on(wg_cpu(), WG_F32), *same = pair_on(wg_cpu(), WG_F32);
    wg_optim *o = adamw(m);
    ck_assert_ptr_null(wg_scaler_new(.scale = -1));
    fails(WG_EARG, "scaler: scale -1 is not positive and finite");
    ck_assert_ptr_null(wg_scaler_new(.scale = (double)INFINITY));
    fails(WG_EARG, "scaler: scale inf");
    ck_assert_ptr_null(wg_scaler_new(.growth = 0.5));
    fails(WG_EARG, "scaler: growth 0.5 is below 1");
    ck_assert_ptr_null(wg_scaler_new(.backoff = 2));
    fails(WG_EARG, "scaler: backoff 2 is not within (0, 1]");
    ck_assert_ptr_null(wg_scaler_new(.interval = -3));
    fails(WG_EARG, "scaler: interval -3 is below 1");
    wg_scaler *x = wg_scaler_new(.scale = 0);
    ck_assert_double_eq(wg_scaler_value(x), 65536);
    ck_assert(wg_is_error(wg_scaler_scale(NULL, wg_ones(WG_DIMS()))));
    fails(WG_EARG, "scaler_scale: the scaler is NULL");
    ck_assert(wg_is_error(wg_scaler_scale(x, NULL)));
    fails(WG_EARG, "scaler_scale: the loss is NULL");
    give_scaled(m, 2, 1);
    ck_assert(wg_is_error(wg_scaler_step(NULL, o, 1)));
    fails(WG_EARG, "scaler_step: the scaler is NULL");
    ck_assert(wg_is_error(wg_scaler_step(x, NULL, 1)));
    fails(WG_EARG, "scaler_step: the optimizer is NULL");
    ck_assert(wg_is_error(wg_scaler_step(x, o, -1)));
    fails(WG_EARG, "scaler_step: max_norm -1 is negative");
    wg_raise(WG_EARG, "something");
    ck_assert(wg_is_error(wg_scaler_step(x, o, 1)));
    ck_assert_int_eq(wg_scaler_load(x, wg_scaler_state(x)), WG_EARG);
    fails(WG_EARG, "something");
    expect_same_parameters(m, same, "errors");
    ck_assert_int_eq(wg_optim_steps(o), 0);
    ck_assert(isnan(wg_scaler_value(NULL)));
    ck_assert_int_eq(wg_scaler_state(NULL).n, 0);
    fails(WG_EARG, "scaler_state: the scaler is NULL");
    ck_assert_int_eq(wg_scaler_load(NULL, wg_scaler_state(x)), WG_EARG);
    fails(WG_EARG, "scaler_load: the scaler is NULL");
    ck_assert_int_eq(wg_scaler_load(x, (wg_params) { 0, NULL }), WG_ENOTFOUND);
    fails(WG_ENOTFOUND, "scaler_load: the state is not `scale` and `good`");
    wg_param_ref p[] = { { .name = "scale", .tensor = wg_full(WG_DIMS(), -1) },
                         { .name = "good", .tensor = wg_full(WG_DIMS(), 1) } };
    ck_assert_int_eq(wg_scaler_load(x, (wg_params) { 2, p }), WG_EARG);
    fails(WG_EARG, "scaler_load: scale -1");
    p[0].tensor = wg_ones(WG_DIMS(2));
    ck_assert_int_eq(wg_scaler_load(x, (wg_params) { 2, p }), WG_ESHAPE);
    fails(WG_ESHAPE, "scaler_load");
    ck_assert_double_eq(wg_scaler_value(x), 65536);
    wg_scaler_free(NULL);
    wg_scaler_free(x);
    wg_optim_free(o);
    wg_module_free(m);
    wg_module_free(same);
    pop(s);
}
END_TEST

int main(void)
{
    return suite_run(
        "scaler", (const TTest *[]) { scaled_steps_have_the_bits_of_steps,
                                      an_overflow_leaves_parameters_state_and_counts_as_they_were,
                                      the_scale_follows_its_rule, training_in_f16_finds_its_scale,
                                      small_gradients_of_16_bits_are_not_rounded_again,
                                      a_loaded_scaler_and_optimizer_go_on_with_the_same_bits,
                                      steps_without_the_scaler_go_on_from_its_counts,
                                      bad_arguments_are_errors_and_change_nothing, NULL });
}
