/* What the tests of whole steps share: every optimizer, models of parameters of many sizes, equality of bits. */
#ifndef OPTIM_STEP_CHECK_H
#define OPTIM_STEP_CHECK_H
#include "optim_check.h"

typedef wg_optim *(*maker)(wg_module *m);

static inline wg_optim *sgd(wg_module *m)
{
    return wg_sgd_new(m, .lr = 0.1, .weight_decay = 0.01);
}
static inline wg_optim *nesterov(wg_module *m)
{
    return wg_sgd_new(m, .lr = 0.1, .momentum = 0.9, .nesterov = true);
}
static inline wg_optim *damped(wg_module *m)
{
    return wg_sgd_new(m, .lr = 0.1, .momentum = 0.9, .dampening = 0.3);
}
static inline wg_optim *adam(wg_module *m)
{
    return wg_adam_new(m, .lr = 0.01, .weight_decay = 0.1);
}
static inline wg_optim *adamw(wg_module *m)
{
    return wg_adamw_new(m, .lr = 0.01);
}
static inline wg_optim *lion(wg_module *m)
{
    return wg_lion_new(m, .lr = 0.01, .weight_decay = 0.1);
}
static inline wg_optim *muon(wg_module *m)
{
    return wg_muon_new(m, .weight_decay = 0.1);
}
static const maker makers[] = { sgd, nesterov, damped, adam, adamw, lion, muon };
enum { MAKERS = sizeof makers / sizeof makers[0] };

static inline wg_module *new_nested(wg_dtype t)
{
    wg_seed(7);
    return wg_module_new(&pair_type, &(pair_config) { t, true });
}

static inline void give_gradients(wg_module *m, int64_t k)
{
    give_gradient(param(m, "weight"), k);
    give_gradient(param(m, "inner.bias"), k + 1);
    if (k > 1) give_gradient(param(m, "bias"), k + 2); /* later: its own first step */
}

static inline void expect_same_parameters(wg_module *a, wg_module *b, const char *what)
{
    const wg_params p = wg_module_params(a), q = wg_module_params(b);
    ck_assert_int_eq(p.n, q.n);
    for (int64_t i = 0; i < p.n; i++)
        ck_assert_msg(same_bits(p.p[i].tensor, q.p[i].tensor), "%s: %s differs", what, p.p[i].name);
}

static inline void expect_same_state(wg_optim *a, wg_optim *b, const char *what)
{
    const wg_params p = wg_optim_state(a), q = wg_optim_state(b);
    ck_assert_int_eq(p.n, q.n);
    for (int64_t i = 0; i < p.n; i++)
        ck_assert_msg(same_bits(p.p[i].tensor, q.p[i].tensor), "%s: %s differs", what, p.p[i].name);
}

typedef struct {
    wg_module base;
    wg_tensor *p[10];
} row;

/* Sizes around a tile of the CPU (2,048) and a chunk of CUDA (16,384), empty ones, and a transposed one. */
static inline void row_init(wg_module *m, const void *config)
{
    static const int64_t sizes[] = { 1, 2047, 0, 2048, 40000, 16385, 3 };
    row *self = (row *)m;
    (void)config;
    for (int i = 0; i < 7; i++) {
        char name[] = "p0";
        name[1] = (char)('0' + i);
        wg_param(m, name, &self->p[i], wg_randn(WG_DIMS(sizes[i])));
    }
    wg_param(m, "across", &self->p[7], wg_transpose(wg_randn(WG_DIMS(50, 70)), 0, 1));
    wg_param(m, "odd", &self->p[9], wg_narrow(wg_randn(WG_DIMS(5001)), 0, 1, 5000)); /* unaligned */
    wg_param(m, "wide", &self->p[8], wg_cast(wg_randn(WG_DIMS(3000)), WG_F64));
}

static const wg_module_type row_type = { .name = "row", .size = sizeof(row), .init = row_init };

static inline void give_random(wg_module *m, int64_t only)
{
    const wg_params p = wg_module_params(m);
    for (int64_t i = 0; i < p.n; i++) {
        wg_tensor *t = p.p[i].tensor, *g = wg_cast(wg_randn(wg_shape(t)), wg_dtype_of(t));
        if (only < 0 || only == i) wg_set_grad(t, g);
    }
}

#endif
