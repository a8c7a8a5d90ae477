#include "model.h"

wg_module *model_new(const settings *s)
{
    wg_transformer_config c =
        wg_gpt2_config(s->layers, s->heads, s->width, s->vocab_size, s->block);
    c.kv_heads = s->kv_heads;
    c.head_size = s->head_size;
    if (s->hidden) c.hidden = s->hidden;
    c.position = (wg_position_kind)s->position;
    c.norm = (wg_norm_kind)s->norm;
    c.mlp = (wg_mlp_kind)s->mlp;
    c.activation = (wg_activation)s->activation;
    c.eps = s->norm_eps;
    c.rope_base = s->rope_base;
    c.dropout = s->dropout;
    c.window = s->window;
    c.no_bias = !s->bias;
    c.untied = !s->tied;
    wg_module *model = wg_transformer_new(&c);
    if (!model || !s->recompute) return model;
    const wg_modules all = wg_module_all(model);
    for (int64_t i = 0; i < all.n; i++)
        if (wg_module_is(all.m[i].module, &wg_block_type))
            wg_module_recompute(all.m[i].module, true);
    return model;
}

/* Biases and the norms' weights do not decay. In the optimizers' options 0 stands for the default, so no decay is -1. */
static void decay_matrices(void *self, const wg_param_ref *p, wg_group *g)
{
    (void)self;
    if (wg_ndim(p->tensor) < 2) g->weight_decay = 0;
}

wg_optim *optimizer_new(const settings *s, wg_module *m)
{
    const double lr = s->lr, decay = s->weight_decay > 0 ? s->weight_decay : -1, b1 = s->beta1,
                 b2 = s->beta2;
    switch (s->optimizer) {
    case OPTIMIZER_ADAM:
        return wg_adam_new(m, .lr = lr, .beta1 = b1, .beta2 = b2, .eps = s->eps,
                           .weight_decay = decay, .group = decay_matrices);
    case OPTIMIZER_SGD:
        return wg_sgd_new(m, .lr = lr, .momentum = s->momentum,
                          .nesterov = s->nesterov && s->momentum > 0, .weight_decay = decay,
                          .group = decay_matrices);
    case OPTIMIZER_LION:
        return wg_lion_new(m, .lr = lr, .beta1 = b1, .beta2 = b2, .weight_decay = decay,
                           .group = decay_matrices);
    case OPTIMIZER_MUON:
        return wg_muon_new(m, .lr = s->matrix_lr, .momentum = s->momentum, .adamw_lr = lr,
                           .beta1 = b1, .beta2 = b2, .eps = s->eps, .weight_decay = decay,
                           .group = decay_matrices);
    default:
        return wg_adamw_new(m, .lr = lr, .beta1 = b1, .beta2 = b2, .eps = s->eps,
                            .weight_decay = decay, .group = decay_matrices);
    }
}

wg_schedule schedule_of(const settings *s)
{
    static const wg_schedule_kind kinds[] = { WG_CONSTANT, WG_LINEAR, WG_COSINE, WG_WSD };
    const int64_t total = s->decay_steps ? s->decay_steps : s->steps;
    /* Muon's own rate is the matrices'; adamw's follows it in proportion. */
    const double scale = s->optimizer == OPTIMIZER_MUON && s->lr > 0 ? s->matrix_lr / s->lr : 1;
    return (wg_schedule) { .kind = kinds[s->schedule],
                           .peak = s->lr * scale,
                           .floor = s->min_lr * scale,
                           .warmup = s->warmup,
                           .decay = s->cooldown ? s->cooldown : total / 5,
                           .total = total };
}

int64_t model_size(wg_module *model)
{
    const wg_scope s = wg_scope_push();
    const wg_params p = wg_module_params(model);
    int64_t n = 0;
    for (int64_t i = 0; i < p.n; i++) n += wg_numel(p.p[i].tensor);
    wg_scope_return(s, NULL);
    return n;
}
