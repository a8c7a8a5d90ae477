/* Causal self-attention: fused or separate projections, grouped key-value heads, rope, cache,
 * window. */
#include "nn/parts.h"

#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

#include "nn/state.h"

typedef struct {
    wg_module base;
    wg_transformer_config c;
    wg_module *qkv, *q, *k, *v; /* qkv, or the three */
    wg_module *out;
    wg_tensor *rope_factors; /* (D / 2), one reference; NULL: none */
} attention;

/* (T, C) -> H * D, KV * D, KV * D features: Vaswani et al. 2017, arXiv:1706.03762; grouped:
 * arXiv:2305.13245 */
static void attention_init(wg_module *m, const void *config)
{
    attention *self = (attention *)m;
    wg_transformer_config *c = &self->c;
    if (!wgi_transformer_config(m, config, WGI_NEEDS_ATTENTION, c)) return;
    const wgi_names *names = wgi_names_of(c->names);
    const int64_t q = c->heads * c->head_size, kv = c->kv_heads * c->head_size;
    const bool no_bias = c->no_bias && !c->qkv_bias;
    if (names->qkv)
        wg_child(m, names->qkv, &self->qkv,
                 wg_linear_new(c->width, q + 2 * kv, .no_bias = no_bias));
    else {
        wg_child(m, names->q, &self->q, wg_linear_new(c->width, q, .no_bias = no_bias));
        wg_child(m, names->k, &self->k, wg_linear_new(c->width, kv, .no_bias = no_bias));
        wg_child(m, names->v, &self->v, wg_linear_new(c->width, kv, .no_bias = no_bias));
    }
    wg_child(m, names->out, &self->out, wg_linear_new(q, c->width, .no_bias = c->no_bias));
    wg_set(&self->rope_factors, wg_rope_factors(c));
}

static void attention_destroy(wg_module *m)
{
    wg_set(&((attention *)m)->rope_factors, NULL);
}

void wgi_attention_rope_factors(wg_module *m, wg_tensor *factors)
{
    wg_set(&((attention *)m)->rope_factors, factors);
}

/* q, k, v: (B, T, heads or kv_heads, D), views. All heads are told apart before they are split, so that the gradients of
 * q, k and v, which come head by head, are written right into the projection's. */
static void project(attention *self, wg_tensor *x, wg_tensor *qkv[3])
{
    const int64_t B = wg_size(x, 0), T = wg_size(x, 1), D = self->c.head_size;
    const int64_t H = self->c.heads, KV = self->c.kv_heads;
    if (self->qkv) {
        wg_tensor *all = wg_reshape(wg_forward(self->qkv, x), WG_DIMS(B, T, H + 2 * KV, D));
        wg_split(all, WG_DIMS(H, KV, KV), 2, qkv);
        return;
    }
    qkv[0] = wg_reshape(wg_forward(self->q, x), WG_DIMS(B, T, H, D));
    qkv[1] = wg_reshape(wg_forward(self->k, x), WG_DIMS(B, T, KV, D));
    qkv[2] = wg_reshape(wg_forward(self->v, x), WG_DIMS(B, T, KV, D));
}

/* (B, T, C) -> (B, T, C), added to r unless that is NULL */
static wg_tensor *attend(wg_module *m, wg_tensor *x, const wg_step *step, wg_tensor *r)
{
    attention *self = (attention *)m;
    const wg_transformer_config *c = &self->c;
    wg_dims shape = wg_shape(x);
    if (shape.n != 3 || shape.d[2] != c->width)
        return wg_fail(WG_ESHAPE, "%s: x should be (B, T, %lld)", m->type->name,
                       (long long)c->width);
    wg_tensor *qkv[3];
    project(self, x, qkv);
    if (wg_is_error(qkv[0]) || wg_is_error(qkv[1]) || wg_is_error(qkv[2])) return qkv[0];
    wg_tensor *q = wg_transpose(qkv[0], 1, 2), *k = wg_transpose(qkv[1], 1, 2),
              *v = wg_transpose(qkv[2], 1, 2); /* (B, heads, T, D) */
    if (c->position == WG_POS_ROPE) {
        const int64_t at = step->positions ? 0 : wg_kv_length(step->cache, m);
        wg_tensor *factors = self->rope_factors;
        if (factors) factors = wg_to(factors, wg_device_of(x));
        q = wg_rope(q, step->positions, .offset = at, .base = c->rope_base,
                    .adjacent = c->rope_adjacent, .factors = factors);
        k = wg_rope(k, step->positions, .offset = at, .base = c->rope_base,
                    .adjacent = c->rope_adjacent, .factors = factors);
    }
    if (step->cache && wg_kv_append(step->cache, m, &k, &v) != WG_OK)
        return wg_fail(wg_error_code(), "%s: the cache", m->type->name);
    wg_tensor *y = wg_sdpa(q, k, v, step->mask, .is_causal = !step->mask, .window = c->window,
                           .dropout = m->training ? c->dropout : 0); /* (B, H, T, D) */
    y = wg_reshape(wg_transpose(y, 1, 2), WG_DIMS(shape.d[0], shape.d[1], c->heads * c->head_size));
    return r ? wg_forward_add(self->out, y, r)
             : wg_dropout(wg_forward(self->out, y), c->dropout, m->training);
}

static wg_tensor *attention_forward(wg_module *m, wg_tensor *x)
{
    return attend(m, x, &(wg_step) { 0 }, NULL);
}

const wg_module_type wg_attention_type = { .name = "attention",
                                           .size = sizeof(attention),
                                           .init = attention_init,
                                           .destroy = attention_destroy,
                                           .forward = attention_forward };

wg_module *wg_attention_new(const wg_transformer_config *c)
{
    return wg_module_new(&wg_attention_type, c);
}

wg_tensor *wg_attention_step(wg_module *m, wg_tensor *x, const wg_step *step)
{
    if (!wg_module_as(m, &wg_attention_type))
        return wg_fail(WG_EARG, "attention_step: this is no attention");
    if (wgi_step_is_plain(step)) return wg_forward(m, x);
    wg_scope s = wg_module_enter(m);
    return wg_scope_return(s, attend(m, x, step, NULL));
}

wg_tensor *wgi_attention_add(wg_module *m, wg_tensor *x, const wg_step *step, wg_tensor *r)
{
    if (!wg_module_is(m, &wg_attention_type)) return NULL;
    const attention *self = (const attention *)m;
    if (wgi_forward_is_watched(m) || (m->training && self->c.dropout > 0) ||
        !wgi_linear_adds(self->out, x))
        return NULL;
    wg_scope s = wg_module_enter(m);
    return wg_scope_return(s, attend(m, x, step ? step : &(wg_step) { 0 }, r));
}
