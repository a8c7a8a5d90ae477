/* What the tests of optimizers share: a model of bare parameters, and gradients by formula. */
#ifndef OPTIM_CHECK_H
#define OPTIM_CHECK_H
#include "nn_check.h"

enum { ROWS = 6, COLUMNS = 4, SIZE = ROWS * COLUMNS };

typedef struct {
    wg_module base;
    wg_tensor *weight, *bias, *still;
    wg_module *inner;
} pair;

typedef struct {
    wg_dtype dtype;
    bool nested;
} pair_config;

static const wg_module_type pair_type;

static inline void pair_init(wg_module *m, const void *config)
{
    pair *self = (pair *)m;
    const pair_config *c = config;
    wg_param(m, "weight", &self->weight, wg_cast(wg_randn(WG_DIMS(ROWS, COLUMNS)), c->dtype));
    wg_param(m, "bias", &self->bias, wg_cast(wg_randn(WG_DIMS(SIZE)), c->dtype));
    wg_param(m, "still", &self->still,
             wg_cast(wg_randn(WG_DIMS(3)), c->dtype)); /* never gets a gradient */
    if (c->nested)
        wg_child(m, "inner", &self->inner,
                 wg_module_new(&pair_type, &(pair_config) { c->dtype, false }));
}

static const wg_module_type pair_type = { .name = "pair", .size = sizeof(pair), .init = pair_init };

static inline wg_module *new_pair(wg_dtype t)
{
    return wg_module_new(&pair_type, &(pair_config) { t, false });
}

static inline wg_tensor *param(wg_module *m, const char *name)
{
    wg_tensor *t = wg_module_tensor(m, name);
    ck_assert_ptr_nonnull(t);
    return t;
}

static inline void values_of(wg_tensor *t, double *v)
{
    ck_assert_int_eq(wg_read(t, v, (size_t)wg_numel(t) * sizeof *v, WG_F64), WG_OK);
}

/* A gradient for step k that changes sign and size. */
static inline double gradient(int64_t i, int64_t k)
{
    return sin(0.7 * (double)i + 1.3 * (double)k) * (1 + 0.1 * (double)k);
}

static inline void give_gradient(wg_tensor *p, int64_t k)
{
    double g[SIZE];
    for (int64_t i = 0; i < wg_numel(p); i++) g[i] = gradient(i, k);
    wg_tensor *t = wg_from(g, (size_t)wg_numel(p) * sizeof *g, WG_F64, wg_shape(p));
    ck_assert_int_eq(wg_set_grad(p, wg_cast(t, wg_dtype_of(p))), WG_OK);
}
#endif
