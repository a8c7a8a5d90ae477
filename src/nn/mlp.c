/* The MLPs of transformers: plain and gated. */
#include "nn/parts.h"

#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/scope.h"

#include "nn/state.h"

wg_tensor *wgi_activate(wg_activation a, wg_tensor *x)
{
    switch (a) {
    case WG_ACT_GELU: return wg_gelu(x, false);
    case WG_ACT_GELU_TANH: return wg_gelu(x, true);
    case WG_ACT_RELU: return wg_relu(x);
    case WG_ACT_SILU: return wg_silu(x);
    }
    return wg_fail(WG_EARG, "activation %d is none of wg_activation", (int)a);
}

/* ---- plain: down(act(up x)) ------------------------------------------------------------------ */

typedef struct {
    wg_module base;
    wg_module *up, *down;
    wg_activation activation;
    double dropout;
} mlp;

static void mlp_init(wg_module *m, const void *config)
{
    mlp *self = (mlp *)m;
    wg_transformer_config c;
    if (!wgi_transformer_config(m, config, WGI_NEEDS_MLP, &c)) return;
    const wgi_names *names = wgi_names_of(c.names);
    self->activation = c.activation;
    self->dropout = c.dropout;
    wg_child(m, names->up, &self->up, wg_linear_new(c.width, c.hidden, .no_bias = c.no_bias));
    wg_child(m, names->down, &self->down, wg_linear_new(c.hidden, c.width, .no_bias = c.no_bias));
}

static wg_tensor *mlp_forward(wg_module *m, wg_tensor *x) /* (..., C) -> (..., C) */
{
    mlp *self = (mlp *)m;
    wg_tensor *y = wg_forward(self->down, wg_forward_act(self->up, x, self->activation));
    return wg_dropout(y, self->dropout, m->training);
}

const wg_module_type wg_mlp_type = {
    .name = "mlp", .size = sizeof(mlp), .init = mlp_init, .forward = mlp_forward
};

wg_module *wg_mlp_new(const wg_transformer_config *c)
{
    return wg_module_new(&wg_mlp_type, c);
}

/* ---- gated: down(act(gate x) * up x), Shazeer 2020, arXiv:2002.05202 ------------------------- */

typedef struct {
    wg_module base;
    wg_module *gate, *up, *down;
    wg_activation activation;
    double dropout;
} gated_mlp;

static void gated_mlp_init(wg_module *m, const void *config)
{
    gated_mlp *self = (gated_mlp *)m;
    wg_transformer_config c;
    if (!wgi_transformer_config(m, config, WGI_NEEDS_MLP, &c)) return;
    const wgi_names *names = wgi_names_of(c.names);
    self->activation = c.activation;
    self->dropout = c.dropout;
    wg_child(m, names->gate, &self->gate, wg_linear_new(c.width, c.hidden, .no_bias = c.no_bias));
    wg_child(m, names->gated_up, &self->up, wg_linear_new(c.width, c.hidden, .no_bias = c.no_bias));
    wg_child(m, names->gated_down, &self->down,
             wg_linear_new(c.hidden, c.width, .no_bias = c.no_bias));
}

static wg_tensor *gated(gated_mlp *self, wg_tensor *x) /* (..., C) -> (..., hidden) */
{
    const bool swiglu = self->activation == WG_ACT_SILU;
    wg_tensor *gate = swiglu ? wg_forward(self->gate, x)
                             : wg_forward_act(self->gate, x, self->activation),
              *up = wg_forward(self->up, x);
    return swiglu ? wg_swiglu(gate, up) : wg_mul(gate, up);
}

static wg_tensor *gated_mlp_forward(wg_module *m, wg_tensor *x) /* (..., C) -> (..., C) */
{
    gated_mlp *self = (gated_mlp *)m;
    return wg_dropout(wg_forward(self->down, gated(self, x)), self->dropout, m->training);
}

const wg_module_type wg_gated_mlp_type = { .name = "gated_mlp",
                                           .size = sizeof(gated_mlp),
                                           .init = gated_mlp_init,
                                           .forward = gated_mlp_forward };

wg_module *wg_gated_mlp_new(const wg_transformer_config *c)
{
    return wg_module_new(&wg_gated_mlp_type, c);
}

/* ---- with what goes around it ---------------------------------------------------------------- */

static bool adds(const wg_module *m, const wg_module *down, double dropout, wg_tensor *x)
{
    return !wgi_forward_is_watched(m) && !(m->training && dropout > 0) && wgi_linear_adds(down, x);
}

wg_tensor *wgi_mlp_add(wg_module *m, wg_tensor *x, wg_tensor *r)
{
    mlp *plain = wg_module_is(m, &wg_mlp_type) ? (mlp *)m : NULL;
    gated_mlp *gate = wg_module_is(m, &wg_gated_mlp_type) ? (gated_mlp *)m : NULL;
    if (!(plain && adds(m, plain->down, plain->dropout, x)) &&
        !(gate && adds(m, gate->down, gate->dropout, x)))
        return NULL;
    wg_scope s = wg_module_enter(m);
    wg_tensor *y =
        plain ? wg_forward_add(plain->down, wg_forward_act(plain->up, x, plain->activation), r)
              : wg_forward_add(gate->down, gated(gate, x), r);
    return wg_scope_return(s, y);
}
