/* Linear: y = x W^T + b. */
#include <math.h>

#include "wengert/error.h"
#include "wengert/nn.h"
#include "wengert/ops.h"

#include "nn/parts.h"

typedef struct {
    wg_module base;
    wg_tensor *weight; /* (out, in), or (in, out) */
    wg_tensor *bias;   /* (out); NULL: none */
    bool in_out;
} linear;

wg_tensor *wgi_uniform_weight(wg_dims shape, double bound)
{
    return wg_affine(wg_rand(shape), 2 * bound, -bound);
}

static void linear_init(wg_module *m, const void *config)
{
    linear *self = (linear *)m;
    const wg_linear_args *a = config;
    if (!wgi_has_config(m, config) || !wgi_positive(m, "in", a->in) ||
        !wgi_positive(m, "out", a->out))
        return;
    const double bound = 1 / sqrt((double)a->in);
    self->in_out = a->in_out;
    wg_dims shape = a->in_out ? WG_DIMS(a->in, a->out) : WG_DIMS(a->out, a->in);
    wg_param(m, "weight", &self->weight, wgi_uniform_weight(shape, bound));
    if (!a->no_bias) wg_param(m, "bias", &self->bias, wgi_uniform_weight(WG_DIMS(a->out), bound));
}

static wg_tensor *linear_forward(wg_module *m, wg_tensor *x) /* (..., in) -> (..., out) */
{
    linear *self = (linear *)m;
    return wg_linear(x, self->in_out ? wg_transpose(self->weight, 0, 1) : self->weight, self->bias);
}

const wg_module_type wg_linear_type = {
    .name = "linear", .size = sizeof(linear), .init = linear_init, .forward = linear_forward
};

bool wgi_linear_in_out(const wg_module *m)
{
    return ((const linear *)m)->in_out;
}

wg_module *wg_linear_call(wg_linear_args a)
{
    return wg_module_new(&wg_linear_type, &a);
}
