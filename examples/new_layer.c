/* A new layer: a gated MLP with SwiGLU (Shazeer 2020, arXiv:2002.05202) in a user's own file. What it gets for nothing:
 * names, saving and loading, another dtype, a summary, recomputation, LoRA by name, and the gradient checker. */
#include <wengert/wengert.h>

typedef struct {
    wg_module base;
    wg_module *gate, *up, *down;
} gated_mlp;
typedef struct {
    int64_t width, hidden;
} gated_mlp_config;

static void gated_mlp_init(wg_module *m, const void *config)
{
    gated_mlp *self = (gated_mlp *)m;
    const gated_mlp_config *c = config;
    wg_child(m, "gate", &self->gate, wg_linear_new(c->width, c->hidden, .no_bias = true));
    wg_child(m, "up", &self->up, wg_linear_new(c->width, c->hidden, .no_bias = true));
    wg_child(m, "down", &self->down, wg_linear_new(c->hidden, c->width, .no_bias = true));
}

static wg_tensor *gated_mlp_forward(wg_module *m, wg_tensor *x) /* (B, T, C) -> (B, T, C) */
{
    gated_mlp *self = (gated_mlp *)m;
    return wg_forward(self->down,
                      wg_mul(wg_silu(wg_forward(self->gate, x)), wg_forward(self->up, x)));
}

static const wg_module_type gated_mlp_type = { .name = "gated_mlp",
                                               .size = sizeof(gated_mlp),
                                               .init = gated_mlp_init,
                                               .forward = gated_mlp_forward };

int main(void)
{
    wg_scope s = wg_scope_push();
    wg_module *m = wg_module_new(&gated_mlp_type, &(gated_mlp_config) { .width = 6, .hidden = 10 });
    wg_params p = wg_module_params(m);
    for (int64_t i = 0; i < p.n; i++)
        printf("%-12s %lld elements\n", p.p[i].name, (long long)wg_numel(p.p[i].tensor));
    wg_module_summary(stdout, m, wg_randn(WG_DIMS(2, 5, 6)));

    wg_module_cast(m, WG_F64); /* finite differences want f64 */
    wg_use_dtype(WG_F64);
    if (wg_module_gradcheck(m, wg_randn(WG_DIMS(2, 5, 6)), stderr) == WG_OK)
        printf("gradients are right\n");
    wg_module_free(m);
    return wg_scope_pop(s) == WG_OK ? 0 : wg_error_print(stderr);
}
