/* An optimizer's state: out and in, and what happens to it when the model changes. */
#include "optim_check.h"

/* The tensors stay, the model changes around the optimizer. */
START_TEST(state_follows_parameters_that_are_cast_and_forgets_those_that_left)
{
    const wg_scope s = begin();
    wg_module *m = wg_module_new(&pair_type, &(pair_config) { WG_F32, true });
    wg_optim *o = wg_adamw_new(m);
    give_gradient(param(m, "weight"), 1);
    give_gradient(param(m, "inner.weight"), 1);
    ck_assert_int_eq(wg_optim_step(o), WG_OK);
    ck_assert_int_eq(wg_optim_state(o).n, 4);
    wg_module_cast(m, WG_F64);
    expect_no_error();
    give_gradient(param(m, "weight"), 2);
    ck_assert_int_eq(wg_optim_step(o), WG_OK);
    ck_assert_int_eq(wg_dtype_of(wg_optim_state(o).p[0].tensor), WG_F64);
    wg_module_free(wg_module_swap(m, "inner", NULL));
    ck_assert_int_eq(wg_optim_state(o).n, 2);
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

/* Copies, since the optimizer goes on with its own tensors. */
static wg_params copied(wg_params state)
{
    wg_param_ref *p = wg_scope_alloc((size_t)state.n * sizeof *p);
    for (int64_t i = 0; i < state.n; i++) {
        p[i] = state.p[i];
        const bool count = !wg_dtype_is_float(wg_dtype_of(p[i].tensor));
        p[i].tensor = count ? p[i].tensor : wg_affine(wg_detach(p[i].tensor), 1, 0);
    }
    return (wg_params) { state.n, p };
}

static void some_steps(wg_module *m, wg_optim *o, int64_t from, int64_t to)
{
    for (int64_t k = from; k <= to; k++) {
        give_gradient(param(m, "weight"), k);
        if (k > 2) give_gradient(param(m, "bias"), k); /* later: its own count of steps */
        ck_assert_int_eq(wg_optim_step(o), WG_OK);
    }
}

static wg_optim *of_kind(wg_module *m, int kind)
{
    switch (kind) {
    case 0: return wg_adamw_new(m, .lr = 0.01);
    case 1: return wg_sgd_new(m, .lr = 0.01, .momentum = 0.9);
    case 2: return wg_lion_new(m, .lr = 0.01);
    case 3: return wg_muon_new(m);
    default: return wg_sgd_new(m, .lr = 0.01);
    }
}

START_TEST(a_loaded_optimizer_goes_on_with_the_same_bits)
{
    for (int kind = 0; kind < 5; kind++) {
        const wg_scope s = begin();
        wg_module *a = new_pair(WG_F32), *b = new_pair(WG_F32);
        wg_optim *o = of_kind(a, kind), *other = of_kind(b, kind);
        some_steps(a, o, 1, 5);
        const wg_params state = copied(wg_optim_state(o));
        for (int j = 0; j < 2; j++) {
            const char *name = j ? "bias" : "weight";
            wg_use_grad(false);
            ck_assert_int_eq(wg_assign(param(b, name), param(a, name)), WG_OK);
        }
        ck_assert_int_eq(wg_optim_load(other, state, wg_optim_steps(o)), WG_OK);
        some_steps(a, o, 6, 9);
        some_steps(b, other, 6, 9);
        ck_assert_int_eq(wg_optim_steps(other), 9);
        ck_assert(same_bits(param(a, "weight"), param(b, "weight")));
        ck_assert(same_bits(param(a, "bias"), param(b, "bias")));
        wg_optim_free(o);
        wg_optim_free(other);
        wg_module_free(a);
        wg_module_free(b);
        pop(s);
    }
}
END_TEST

START_TEST(a_state_that_does_not_fit_changes_nothing)
{
    const wg_scope s = begin();
    wg_module *m = new_pair(WG_F32);
    wg_optim *o = wg_adamw_new(m), *lion_like = wg_lion_new(m);
    some_steps(m, o, 1, 3);
    const wg_params state = copied(wg_optim_state(o));
    ck_assert_str_eq(state.p[0].name, "weight.exp_avg");
    ck_assert_str_eq(state.p[1].name, "weight.exp_avg_sq");
    ck_assert_str_eq(state.p[2].name, "bias.exp_avg");
    ck_assert_str_eq(state.p[4].name, "bias.step");
    wg_param_ref *p = (wg_param_ref *)(uintptr_t)state.p;
    p[2].name = "elsewhere.exp_avg";
    ck_assert_int_ne(wg_optim_load(o, state, 7), WG_OK);
    fails(WG_ENOTFOUND, "optim_load: bias has only some of its state");
    p[2].name = "bias.exp_avg";
    p[2].tensor = wg_zeros(WG_DIMS(3));
    ck_assert_int_ne(wg_optim_load(o, state, 7), WG_OK);
    fails(WG_ESHAPE, "optim_load: bias.exp_avg");
    p[2].tensor = wg_zeros(WG_DIMS(SIZE));
    ck_assert_int_ne(wg_optim_load(lion_like, state, 7), WG_OK);
    fails(WG_ENOTFOUND, "optim_load: the state is another optimizer's");
    p[4].name = "nowhere.step";
    ck_assert_int_ne(wg_optim_load(o, state, 7), WG_OK);
    fails(WG_ENOTFOUND, "optim_load: no parameter for nowhere.step");
    ck_assert_int_eq(wg_optim_steps(o), 3);
    ck_assert(same_bits(wg_optim_state(o).p[0].tensor, state.p[0].tensor));
    wg_optim_free(lion_like);
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(steps_leave_no_memory_behind)
{
    const wg_scope s = begin();
    wg_module *m = new_pair(WG_F32);
    wg_optim *o = wg_muon_new(m);
    int64_t tensors = 0;
    for (int64_t k = 1; k <= 5; k++) {
        const wg_scope step = wg_scope_push();
        some_steps(m, o, k, k);
        pop(step);
        if (k == 3) tensors = live();
        if (k > 3) ck_assert_int_eq(live(), tensors);
    }
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

int main(void)
{
    return suite_run(
        "optim_state",
        (const TTest *[]) { state_follows_parameters_that_are_cast_and_forgets_those_that_left,
                            a_loaded_optimizer_goes_on_with_the_same_bits,
                            a_state_that_does_not_fit_changes_nothing, steps_leave_no_memory_behind,
                            NULL });
}
