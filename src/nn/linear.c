/* Linear: y = x W^T + b. */
#include <math.h>

#include "wengert/error.h"
#include "wengert/nn.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

#include "nn/parts.h"
#include "nn/state.h"

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

static wg_tensor *weight_of(const linear *self) /* (out, in) */
{
    return self->in_out ? wg_transpose(self->weight, 0, 1) : self->weight;
}

static wg_tensor *linear_forward(wg_module *m, wg_tensor *x) /* (..., in) -> (..., out) */
{
    const linear *self = (const linear *)m;
    return wg_linear(x, weight_of(self), self->bias);
}

/* relu apart: its gradient needs y alone, where linear_act would keep its argument as well. */
wg_tensor *wg_forward_act(wg_module *m, wg_tensor *x, wg_activation act)
{
    if (!m || !x || wg_is_error(x) || act == WG_ACT_RELU || !wg_module_is(m, &wg_linear_type) ||
        wgi_forward_is_watched(m))
        return wgi_activate(act, wg_forward(m, x));
    wg_scope s = wg_module_enter(m);
    return wg_scope_return(
        s, wg_linear_act(x, weight_of((const linear *)m), ((const linear *)m)->bias, act));
}

bool wgi_linear_is_plain(const wg_module *m, wg_tensor **weight, wg_tensor **bias)
{
    if (!m || !wg_module_is(m, &wg_linear_type) || wgi_forward_is_watched(m)) return false;
    *weight = weight_of((const linear *)m);
    *bias = ((const linear *)m)->bias;
    return true;
}

bool wgi_linear_adds(const wg_module *m, wg_tensor *x)
{
    return m && x && !wg_is_error(x) && wg_device_of(x).kind == WG_CUDA &&
           wg_module_is(m, &wg_linear_type) && !wgi_forward_is_watched(m);
}

/* r is floating and has the shape that m gives x: nothing is broadcast or promoted. */
static bool goes_around(const linear *m, wg_tensor *x, wg_tensor *r)
{
    if (!r || wg_is_error(r) || !wg_dtype_is_float(wg_dtype_of(r)) || wg_ndim(r) != wg_ndim(x) ||
        wg_ndim(x) == 0)
        return false;
    const int last = wg_ndim(x) - 1;
    for (int d = 0; d < last; d++)
        if (wg_size(r, d) != wg_size(x, d)) return false;
    return wg_size(r, last) == wg_size(m->weight, m->in_out ? 1 : 0);
}

wg_tensor *wg_forward_add(wg_module *m, wg_tensor *x, wg_tensor *r)
{
    if (!wgi_linear_adds(m, x) || !goes_around((const linear *)m, x, r))
        return wg_add(r, wg_forward(m, x));
    wg_scope s = wg_module_enter(m);
    return wg_scope_return(
        s, wg_linear_add(x, weight_of((const linear *)m), ((const linear *)m)->bias, r));
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
