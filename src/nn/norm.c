/* LayerNorm, RMSNorm, GroupNorm as modules. */
#include "wengert/error.h"
#include "wengert/nn.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

#include "nn/parts.h"
#include "nn/state.h"

static double positive_eps(wg_module *m, double eps)
{
    if (!(eps >= 0)) wg_raise(WG_EARG, "%s: eps = %g is negative", m->type->name, eps);
    return eps ? eps : 1e-5;
}

/* ---- LayerNorm ------------------------------------------------------------------------------- */

typedef struct {
    wg_module base;
    wg_tensor *weight, *bias; /* (width); NULL: none */
    double eps;
} layer_norm;

static void layer_norm_init(wg_module *m, const void *config)
{
    layer_norm *self = (layer_norm *)m;
    const wg_layer_norm_module_args *a = config;
    if (!wgi_has_config(m, config) || !wgi_positive(m, "width", a->width)) return;
    self->eps = positive_eps(m, a->eps);
    if (a->no_affine) return;
    wg_param(m, "weight", &self->weight, wg_ones(WG_DIMS(a->width)));
    if (!a->no_bias) wg_param(m, "bias", &self->bias, wg_zeros(WG_DIMS(a->width)));
}

static wg_tensor *layer_norm_forward(wg_module *m, wg_tensor *x) /* (..., width) -> (..., width) */
{
    layer_norm *self = (layer_norm *)m;
    return wg_layer_norm(x, self->weight, self->bias, .eps = self->eps);
}

const wg_module_type wg_layer_norm_type = { .name = "layer_norm",
                                            .size = sizeof(layer_norm),
                                            .init = layer_norm_init,
                                            .forward = layer_norm_forward };

wg_module *wg_layer_norm_module_call(wg_layer_norm_module_args a)
{
    return wg_module_new(&wg_layer_norm_type, &a);
}

/* ---- RMSNorm --------------------------------------------------------------------------------- */

typedef struct {
    wg_module base;
    wg_tensor *weight; /* (width) */
    double eps;
} rms_norm;

typedef struct {
    int64_t width;
    double eps;
} rms_norm_config;

static void rms_norm_init(wg_module *m, const void *config)
{
    rms_norm *self = (rms_norm *)m;
    const rms_norm_config *c = config;
    if (!wgi_has_config(m, config) || !wgi_positive(m, "width", c->width)) return;
    self->eps = positive_eps(m, c->eps);
    wg_param(m, "weight", &self->weight, wg_ones(WG_DIMS(c->width)));
}

static wg_tensor *rms_norm_forward(wg_module *m, wg_tensor *x) /* (..., width) -> (..., width) */
{
    rms_norm *self = (rms_norm *)m;
    return wg_rms_norm(x, self->weight, .eps = self->eps);
}

const wg_module_type wg_rms_norm_type = {
    .name = "rms_norm", .size = sizeof(rms_norm), .init = rms_norm_init, .forward = rms_norm_forward
};

wg_module *wg_rms_norm_new(int64_t width, double eps)
{
    return wg_module_new(&wg_rms_norm_type, &(rms_norm_config) { width, eps });
}

/* ---- of a residual sum --------------------------------------------------------------------------- */

static bool same_shape(wg_tensor *x, wg_tensor *r)
{
    const wg_dims a = wg_shape(x), b = wg_shape(r);
    bool same = a.n == b.n;
    for (int d = 0; same && d < a.n; d++) same = a.d[d] == b.d[d];
    return same;
}

static bool adds_in_one_pass(const wg_module *m, wg_tensor *x, wg_tensor *r)
{
    if (!m || !x || !r || wg_is_error(x) || wg_is_error(r) || wgi_forward_is_watched(m))
        return false;
    return (wg_module_is(m, &wg_layer_norm_type) || wg_module_is(m, &wg_rms_norm_type)) &&
           same_shape(x, r);
}

wg_tensor *wg_norm_add(wg_module *m, wg_tensor *x, wg_tensor *r, wg_tensor **sum)
{
    wg_tensor *both = NULL, *y;
    if (!adds_in_one_pass(m, x, r)) {
        both = wg_add(x, r);
        if (sum) *sum = both;
        return wg_forward(m, both);
    }
    wg_scope s = wg_module_enter(m);
    if (wg_module_is(m, &wg_layer_norm_type)) {
        const layer_norm *self = (const layer_norm *)m;
        y = wg_add_layer_norm(x, r, self->weight, self->bias, &both, .eps = self->eps);
    } else {
        const rms_norm *self = (const rms_norm *)m;
        y = wg_add_rms_norm(x, r, self->weight, &both, .eps = self->eps);
    }
    if (sum) *sum = wg_scope_keep(s, both);
    return wg_scope_return(s, y);
}

/* ---- GroupNorm ------------------------------------------------------------------------------- */

typedef struct {
    wg_module base;
    wg_tensor *weight, *bias; /* (channels) */
    int64_t groups;
    double eps;
} group_norm;

typedef struct {
    int64_t groups, channels;
    double eps;
} group_norm_config;

static void group_norm_init(wg_module *m, const void *config)
{
    group_norm *self = (group_norm *)m;
    const group_norm_config *c = config;
    if (!wgi_has_config(m, config) || !wgi_positive(m, "groups", c->groups) ||
        !wgi_positive(m, "channels", c->channels) ||
        !wgi_divides(m, "groups", c->groups, "channels", c->channels))
        return;
    self->groups = c->groups;
    self->eps = positive_eps(m, c->eps);
    wg_param(m, "weight", &self->weight, wg_ones(WG_DIMS(c->channels)));
    wg_param(m, "bias", &self->bias, wg_zeros(WG_DIMS(c->channels)));
}

static wg_tensor *group_norm_forward(wg_module *m,
                                     wg_tensor *x) /* (B, channels, ...) -> the same */
{
    group_norm *self = (group_norm *)m;
    return wg_group_norm(x, self->groups, self->weight, self->bias, .eps = self->eps);
}

const wg_module_type wg_group_norm_type = { .name = "group_norm",
                                            .size = sizeof(group_norm),
                                            .init = group_norm_init,
                                            .forward = group_norm_forward };

wg_module *wg_group_norm_new(int64_t groups, int64_t channels, double eps)
{
    return wg_module_new(&wg_group_norm_type, &(group_norm_config) { groups, channels, eps });
}
