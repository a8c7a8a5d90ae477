/* What a loss scale has to keep, on any device. */
#ifndef SCALER_CHECK_H
#define SCALER_CHECK_H
#include "optim_step_check.h"

static inline wg_module *pair_on(wg_device d, wg_dtype t)
{
    wg_module *m = new_nested(t);
    wg_module_to(m, d);
    return m;
}

/* Gradients of step k times `scale`; from the second step on `bias` has one, too. */
static inline void give_scaled(wg_module *m, int64_t k, double scale)
{
    static const char *const names[] = { "weight", "inner.weight", "inner.bias", "bias" };
    for (int j = 0; j < (k > 1 ? 4 : 3); j++) {
        wg_tensor *p = param(m, names[j]);
        double g[SIZE];
        for (int64_t i = 0; i < SIZE; i++) g[i] = gradient(i, k + j) * scale;
        wg_tensor *t = wg_cast(wg_from(g, sizeof g, WG_F64, wg_shape(p)), wg_dtype_of(p));
        ck_assert_int_eq(wg_set_grad(p, wg_to(t, wg_device_of(p))), WG_OK);
    }
}

/* One element of one gradient is `value`. */
static inline void spoil(wg_module *m, double value)
{
    wg_tensor *g = wg_grad_of(param(m, "inner.bias"));
    ck_assert_int_eq(
        wg_assign(wg_narrow(g, 0, 7, 1),
                  wg_to(wg_cast(wg_full(WG_DIMS(1), value), wg_dtype_of(g)), wg_device_of(g))),
        WG_OK);
}

/* A scale that is a power of 2 changes no bit, whatever is clipped. */
static inline void scaled_steps_are_steps(wg_device d)
{
    static const wg_dtype dtypes[] = { WG_F64, WG_F32 };
    static const double norms[] = { 0.37, (double)INFINITY };
    for (int i = 0; i < MAKERS * 4; i++) {
        const wg_scope s = begin();
        const wg_dtype t = dtypes[i / MAKERS % 2];
        const double most = norms[i / MAKERS / 2];
        wg_module *a = pair_on(d, t), *b = pair_on(d, t);
        wg_optim *one = makers[i % MAKERS](a), *two = makers[i % MAKERS](b);
        wg_scaler *scaler = wg_scaler_new(.scale = 1024);
        for (int64_t k = 1; k <= 3; k++) {
            give_scaled(a, k, 1024);
            give_scaled(b, k, 1);
            wg_tensor *norm = wg_scaler_step(scaler, one, most),
                      *want = wg_optim_step_clipped(two, most);
            expect_no_error();
            ck_assert_double_eq(wg_item(norm), wg_item(want));
            ck_assert_ptr_null(wg_grad_of(param(a, "weight")));
            expect_same_parameters(a, b, "scaled");
        }
        ck_assert_int_eq(wg_optim_steps(one), 3);
        expect_same_state(one, two, "scaled");
        wg_scaler_free(scaler);
        wg_optim_free(one);
        wg_optim_free(two);
        wg_module_free(a);
        wg_module_free(b);
        pop(s);
    }
}

/* Steps 1 and 3 overflow: what is left are the bits of a run that never had them. */
static inline void overflow_leaves_no_trace(wg_device d, double value)
{
    static const wg_dtype dtypes[] = { WG_F64, WG_F32, WG_BF16, WG_F16 };
    for (int i = 0; i < MAKERS * 4; i++) {
        const wg_scope s = begin();
        const wg_dtype t = dtypes[i / MAKERS];
        wg_module *a = pair_on(d, t), *b = pair_on(d, t);
        wg_optim *one = makers[i % MAKERS](a), *two = makers[i % MAKERS](b);
        wg_scaler *x = wg_scaler_new(.scale = 8), *y = wg_scaler_new(.scale = 8);
        double scale = 8;
        for (int64_t k = 1; k <= 5; k++) {
            const bool bad = k % 2 == 1 && k < 5;
            give_scaled(a, k, scale);
            if (bad) spoil(a, value);
            const double norm = wg_item(wg_scaler_step(x, one, 1));
            ck_assert(isfinite(norm) == !bad);
            ck_assert_ptr_null(wg_grad_of(param(a, "weight")));
            if (bad) scale /= 2;
            ck_assert_double_eq(wg_scaler_value(x), scale);
            if (bad) continue;
            give_scaled(b, k, 8);
            wg_scaler_step(y, two, 1);
        }
        expect_no_error();
        char what[64];
        snprintf(what, sizeof what, "optimizer %d, %s", i % MAKERS, wg_dtype_name(t));
        expect_same_parameters(a, b, what);
        ck_assert_int_eq(wg_optim_steps(one), 3);
        expect_same_state(one, two, what);
        wg_scaler_free(x);
        wg_scaler_free(y);
        wg_optim_free(one);
        wg_optim_free(two);
        wg_module_free(a);
        wg_module_free(b);
        pop(s);
    }
}

static inline void the_scale_grows_and_backs_off(wg_device d)
{
    const wg_scope s = begin();
    wg_module *m = pair_on(d, WG_F32);
    wg_optim *o = adamw(m);
    wg_scaler *x = wg_scaler_new(.scale = 4, .growth = 4, .backoff = 0.25, .interval = 3);
    static const double want[] = { 4, 4, 16, 4, 4, 4, 16, 16 };
    for (int64_t k = 0; k < 8; k++) {
        give_scaled(m, k + 1, 1);
        if (k == 3) spoil(m, (double)NAN);
        wg_scaler_step(x, o, 1);
        ck_assert_double_eq(wg_scaler_value(x), want[k]);
    }
    ck_assert_int_eq(wg_optim_steps(o), 7);
    wg_scaler_free(x);
    x = wg_scaler_new(.scale = 0x1p127, .interval = 1); /* f32 holds no more */
    give_scaled(m, 1, 1);
    wg_scaler_step(x, o, 1);
    ck_assert_double_eq(wg_scaler_value(x), 0x1p127);
    wg_scaler_free(x);
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}

/* Small layers in f16, from a scale at which every gradient overflows. */
static inline void training_finds_its_scale(wg_device d)
{
    const wg_scope s = begin();
    wg_use_device(d);
    const wg_transformer_config c = wg_gpt2_config(1, 2, 16, 11, 8);
    wg_module *m = wg_transformer_new(&c);
    wg_optim *o = wg_adamw_new(m, .lr = 0.01);
    wg_scaler *x = wg_scaler_new(.scale = 0x1p40);
    double first = 0, last = 0;
    for (int k = 0; k < 60; k++) {
        const wg_scope inner = wg_scope_push();
        wg_use_autocast(WG_F16);
        wg_tensor *t =
            wg_to(wg_from((int64_t[]) { 1, 2, 3, 4, 5, 6, 7, 8 }, 64, WG_I64, WG_DIMS(1, 8)), d);
        wg_tensor *loss = wg_transformer_loss(m, t, t);
        wg_backward(wg_scaler_scale(x, loss));
        wg_scaler_step(x, o, 1);
        last = wg_item(loss);
        if (k == 0) first = last;
        pop(inner);
    }
    ck_assert_double_lt(wg_scaler_value(x), 0x1p40);
    ck_assert_int_lt(wg_optim_steps(o), 60);
    ck_assert_int_gt(wg_optim_steps(o), 20);
    ck_assert_msg(last < 0.7 * first, "from %g to %g in %lld steps", first, last,
                  (long long)wg_optim_steps(o));
    wg_scaler_free(x);
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
#endif
