/* A pre-norm decoder block: x + attention(norm(x)), then x + mlp(norm(x)). */
#include "nn/parts.h"

#include "wengert/autograd.h"
#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/scope.h"

typedef struct {
    wg_module base;
    wg_module *norm_1, *attention, *norm_2, *mlp;
} block;

static void block_init(wg_module *m, const void *config)
{
    block *self = (block *)m;
    wg_transformer_config c;
    if (!wgi_transformer_config(m, config, WGI_NEEDS_ATTENTION | WGI_NEEDS_MLP, &c)) return;
    const wgi_names *names = wgi_names_of(c.names);
    wg_child(m, names->norm_1, &self->norm_1, wgi_norm_new(&c));
    wg_child(m, names->attention, &self->attention, wg_attention_new(&c));
    wg_child(m, names->norm_2, &self->norm_2, wgi_norm_new(&c));
    wg_child(m, names->mlp, &self->mlp,
             c.mlp == WG_MLP_GATED ? wg_gated_mlp_new(&c) : wg_mlp_new(&c));
}

static wg_tensor *run(wg_module *m, wg_tensor *x, const wg_step *step) /* (B, T, C) -> (B, T, C) */
{
    block *self = (block *)m;
    wg_tensor *normed = wg_forward(self->norm_1, x);
    wg_tensor *sum = wgi_attention_add(self->attention, normed, step, x);
    if (sum) {
        normed = wg_forward(self->norm_2, x = sum);
    } else {
        wg_tensor *seen = wgi_forward_step(self->attention, normed, step, wg_attention_step);
        normed = wg_norm_add(self->norm_2, x, seen, &x);
    }
    sum = wgi_mlp_add(self->mlp, normed, x);
    return sum ? sum : wg_add(x, wg_forward(self->mlp, normed));
}

static wg_tensor *block_forward(wg_module *m, wg_tensor *x)
{
    return run(m, x, NULL);
}

const wg_module_type wg_block_type = {
    .name = "block", .size = sizeof(block), .init = block_init, .forward = block_forward
};

wg_module *wg_block_new(const wg_transformer_config *c)
{
    return wg_module_new(&wg_block_type, c);
}

typedef struct {
    wg_module *module;
    wg_kv_cache *cache;
} segment;

static void run_segment(void *self, wg_list in, wg_list out)
{
    segment *s = self;
    out.t[0] = run(s->module, in.t[0],
                   &(wg_step) { .positions = in.t[1], .mask = in.t[2], .cache = s->cache });
}

wg_tensor *wg_block_step(wg_module *m, wg_tensor *x, const wg_step *step)
{
    if (!wg_module_as(m, &wg_block_type)) return wg_fail(WG_EARG, "block_step: this is no block");
    if (wgi_step_is_plain(step)) return wg_forward(m, x);
    wg_scope s = wg_module_enter(m);
    wg_tensor *y = NULL;
    wg_module_run(m, run_segment, &(segment) { m, step->cache }, sizeof(segment),
                  WG_LIST(x, step->positions, step->mask), (wg_list) { 1, &y });
    return wg_scope_return(s, y);
}
