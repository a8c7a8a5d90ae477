/* One-dimensional convolution. */
#include <math.h>

#include "wengert/nn.h"
#include "wengert/ops.h"

#include "nn/parts.h"

typedef struct {
    wg_module base;
    wg_tensor *weight; /* (out, in / groups, width) */
    wg_tensor *bias;   /* (out); NULL: none */
    int64_t stride, padding, dilation, groups;
    bool causal;
} conv1d;

static void conv1d_init(wg_module *m, const void *config)
{
    conv1d *self = (conv1d *)m;
    const wg_conv1d_module_args *a = config;
    if (!wgi_has_config(m, config)) return;
    self->stride = a->stride ? a->stride : 1;
    self->dilation = a->dilation ? a->dilation : 1;
    self->groups = a->groups ? a->groups : 1;
    self->padding = a->padding;
    self->causal = a->causal;
    if (!wgi_positive(m, "in", a->in) || !wgi_positive(m, "out", a->out) ||
        !wgi_positive(m, "width", a->width) || !wgi_positive(m, "stride", self->stride) ||
        !wgi_positive(m, "dilation", self->dilation) || !wgi_positive(m, "groups", self->groups) ||
        !wgi_positive(m, "1 + padding", 1 + self->padding) ||
        !wgi_divides(m, "groups", self->groups, "in", a->in) ||
        !wgi_divides(m, "groups", self->groups, "out", a->out))
        return;
    const int64_t in = a->in / self->groups;
    const double bound = 1 / sqrt((double)in * (double)a->width);
    wg_param(m, "weight", &self->weight, wgi_uniform_weight(WG_DIMS(a->out, in, a->width), bound));
    if (!a->no_bias) wg_param(m, "bias", &self->bias, wgi_uniform_weight(WG_DIMS(a->out), bound));
}

static wg_tensor *conv1d_forward(wg_module *m, wg_tensor *x) /* (B, in, T) -> (B, out, T') */
{
    conv1d *self = (conv1d *)m;
    return wg_conv1d(x, self->weight, self->bias, .stride = self->stride, .padding = self->padding,
                     .dilation = self->dilation, .groups = self->groups, .causal = self->causal);
}

const wg_module_type wg_conv1d_type = {
    .name = "conv1d", .size = sizeof(conv1d), .init = conv1d_init, .forward = conv1d_forward
};

wg_module *wg_conv1d_module_call(wg_conv1d_module_args a)
{
    return wg_module_new(&wg_conv1d_type, &a);
}
