/* A decoder-only transformer by configuration: GPT-2, Llama and their kin. */
#include <math.h>

#include "wengert/autograd.h"
#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

#include "nn/parts.h"

typedef struct {
    wg_module base;
    wg_transformer_config c;
    wg_module *embed, *position, *layers, *norm, *head;
} transformer;

/* ---- making ---------------------------------------------------------------------------------- */

/* Matrices N(0, 0.02), biases 0, norms 1; what writes into the stream N(0, 0.02 / sqrt(2 L)):
 * Radford et al. 2019. */
static void initialise(transformer *self)
{
    const wgi_names *names = wgi_names_of(self->c.names);
    const char *down = self->c.mlp == WG_MLP_GATED ? names->gated_down : names->down;
    const double residual = 0.02 / sqrt(2.0 * (double)self->c.layers);
    char attention[64], mlp[64];
    snprintf(attention, sizeof attention, "*.%s.%s.weight", names->attention, names->out);
    snprintf(mlp, sizeof mlp, "*.%s.%s.weight", names->mlp, down);
    wg_params ps = wg_module_params(&self->base);
    for (int64_t i = 0; i < ps.n; i++) {
        wg_tensor *p = ps.p[i].tensor;
        const char *name = ps.p[i].name;
        const double std = wg_match(attention, name) || wg_match(mlp, name) ? residual : 0.02;
        wg_status done = WG_OK;
        wg_scope s = wg_scope_push();
        if (wg_ndim(p) == 2)
            done = wg_assign(p, wg_affine(wg_randn(wg_shape(p)), std, 0));
        else if (wg_match("*.bias", name))
            done = wg_assign(p, wg_zeros_like(p));
        wg_scope_return(s, NULL);
        if (done != WG_OK) return;
    }
}

/* Tied, its own weight is never used: made on meta, it costs nothing. */
static wg_module *head_new(const wg_transformer_config *c)
{
    wg_scope s = wg_scope_push();
    if (!c->untied) wg_use_device(wg_meta());
    wg_module *head = wg_linear_new(c->width, c->vocab, .no_bias = true);
    wg_scope_return(s, NULL);
    return head;
}

static void transformer_init(wg_module *m, const void *config)
{
    transformer *self = (transformer *)m;
    wg_transformer_config *c = &self->c;
    if (!wgi_transformer_config(m, config, WGI_NEEDS_ATTENTION | WGI_NEEDS_MLP | WGI_NEEDS_MODEL,
                                c))
        return;
    const wgi_names *names = wgi_names_of(c->names);
    wg_child(m, names->embed, &self->embed, wg_embedding_new(c->vocab, c->width));
    if (c->position == WG_POS_LEARNED)
        wg_child(m, names->position, &self->position, wg_embedding_new(c->block, c->width));
    wg_child(m, names->layers, &self->layers, wg_module_list_new());
    for (int64_t i = 0; i < c->layers && wg_error_code() == WG_OK; i++)
        wg_module_list_add(self->layers, wg_block_new(c));
    wg_child(m, names->norm, &self->norm, wgi_norm_new(c));
    wg_child(m, names->head, &self->head, head_new(c));
    if (wg_error_code() != WG_OK) return;
    if (!c->untied) {
        char weight[2][64];
        snprintf(weight[0], sizeof weight[0], "%s.weight", names->head);
        snprintf(weight[1], sizeof weight[1], "%s.weight", names->embed);
        wg_tie(m, weight[0], weight[1]);
    }
    initialise(self);
}

/* ---- running --------------------------------------------------------------------------------- */

/* (B, T) i64 -> (B, T, C) */
static wg_tensor *embed(transformer *self, wg_tensor *tokens, const wg_step *step)
{
    const wg_transformer_config *c = &self->c;
    if (wg_ndim(tokens) != 2)
        return wg_fail(WG_ESHAPE, "%s: tokens should be (B, T)", self->base.type->name);
    const int64_t start = wg_kv_length(step->cache, NULL), T = wg_size(tokens, 1);
    if (!step->positions && start + T > c->block)
        return wg_fail(WG_EARG, "%s: position %lld is beyond the block of %lld",
                       self->base.type->name, (long long)(start + T), (long long)c->block);
    wg_tensor *x = wg_forward(self->embed, tokens);
    if (c->stream) x = wg_cast(x, c->stream);
    if (self->position) {
        wg_tensor *positions = step->positions ? step->positions : wg_arange(start, start + T);
        x = wg_add(x, wg_forward(self->position, positions));
    }
    return wg_dropout(x, c->dropout, self->base.training);
}

typedef struct {
    transformer *model;
    const wg_step *step;
} blocks;

static wg_tensor *run_block(void *self, int64_t i, wg_tensor *x)
{
    blocks *b = self;
    return wgi_forward_step(wg_module_list_at(b->model->layers, i), x, b->step, wg_block_step);
}

static wg_tensor *hidden(wg_module *m, wg_tensor *tokens, const wg_step *step)
{
    transformer *self = (transformer *)m;
    const wg_step plain = { 0 };
    blocks b = { self, step ? step : &plain };
    wg_tensor *x = embed(self, tokens, b.step);
    return wg_forward(self->norm, wgi_chain(wg_module_list_size(self->layers), run_block, &b, x));
}

static wg_tensor *logits(wg_module *m, wg_tensor *tokens, const wg_step *step)
{
    wg_tensor *x = hidden(m, tokens, step);
    const int64_t T = wg_size(x, 1), last = step ? step->last : 0;
    if (last < 0 || last > T)
        return wg_fail(WG_EARG, "%s: the last %lld of %lld positions", m->type->name,
                       (long long)last, (long long)T);
    if (last > 0) x = wg_narrow(x, 1, T - last, last);
    return wg_forward(((transformer *)m)->head, x);
}

static wg_tensor *transformer_forward(wg_module *m, wg_tensor *tokens)
{
    return logits(m, tokens, NULL);
}

const wg_module_type wg_transformer_type = { .name = "transformer",
                                             .size = sizeof(transformer),
                                             .init = transformer_init,
                                             .forward = transformer_forward };

wg_module *wg_transformer_new(const wg_transformer_config *c)
{
    return wg_module_new(&wg_transformer_type, c);
}

const wg_transformer_config *wg_transformer_config_of(const wg_module *m)
{
    if (wg_module_is(m, &wg_transformer_type)) return &((const transformer *)m)->c;
    wg_raise(WG_EARG, "transformer_config_of: this is no transformer");
    return NULL;
}

/* m is a transformer and tokens can be run; raises otherwise. */
static bool ready(wg_module *m, wg_tensor *tokens)
{
    if (!wg_module_as(m, &wg_transformer_type)) return false;
    if (tokens && !wg_is_error(tokens)) return true;
    wg_raise(WG_EARG, "transformer: tokens is NULL or an error");
    return false;
}

wg_tensor *wg_transformer_step(wg_module *m, wg_tensor *tokens, const wg_step *step)
{
    if (!ready(m, tokens)) return wg_fail(WG_EARG, "transformer_step: failed");
    if (wgi_step_is_plain(step)) return wg_forward(m, tokens);
    wg_scope s = wg_module_enter(m);
    return wg_scope_return(s, logits(m, tokens, step));
}

wg_tensor *wg_transformer_hidden(wg_module *m, wg_tensor *tokens, const wg_step *step)
{
    if (!ready(m, tokens)) return wg_fail(WG_EARG, "transformer_hidden: failed");
    wg_scope s = wg_module_enter(m);
    return wg_scope_return(s, hidden(m, tokens, step));
}

wg_tensor *wg_transformer_logits(wg_module *m, wg_tensor *x)
{
    if (!ready(m, x)) return wg_fail(WG_EARG, "transformer_logits: failed");
    wg_scope s = wg_module_enter(m);
    return wg_scope_return(s, wg_forward(((transformer *)m)->head, x));
}

/* From this many bytes of f32 logits on they are made in chunks; on CUDA always, where the same kernel makes their
 * gradient. */
enum { LARGE_LOGITS = 64 << 20 };

/* x (n, C), targets (n) -> (): the sum of the losses */
static void rows_loss(void *head, wg_list in, wg_list out)
{
    out.t[0] = wg_cross_entropy(wg_forward(*(wg_module **)head, in.t[0]), in.t[1],
                                .ignore_index = WG_JUST(-1), .reduction = WG_SUM);
}

/* For a head that is no plain Linear (one with an adapter, or hooked): chunks whose logits backward makes again. */
static wg_tensor *chunked_loss(transformer *self, wg_tensor *x, wg_tensor *targets)
{
    const int64_t rows = wg_numel(targets), most = LARGE_LOGITS / sizeof(float) / self->c.vocab;
    x = wg_reshape(x, WG_DIMS(rows, self->c.width));
    targets = wg_reshape(targets, WG_DIMS(rows));
    wg_tensor *sum = NULL;
    for (int64_t at = 0; at < rows && wg_error_code() == WG_OK;) {
        const int64_t left = rows - at, n = most < 1 ? 1 : most < left ? most : left;
        wg_tensor *part;
        wg_list in = WG_LIST(wg_narrow(x, 0, at, n), wg_narrow(targets, 0, at, n));
        wg_recompute(rows_loss, &self->head, sizeof self->head, in, (wg_list) { 1, &part });
        sum = sum ? wg_add(sum, part) : part;
        at += n;
    }
    wg_tensor *counts = wg_ne(targets, wg_cast(wg_full(WG_DIMS(), -1), WG_I64));
    return wg_div(sum, wg_sum(wg_cast(counts, wg_dtype_of(sum)), WG_ALL, false));
}

wg_tensor *wg_transformer_loss(wg_module *m, wg_tensor *tokens, wg_tensor *targets)
{
    if (!ready(m, tokens)) return wg_fail(WG_EARG, "transformer_loss: failed");
    transformer *self = (transformer *)m;
    wg_scope s = wg_module_enter(m);
    wg_tensor *x = hidden(m, tokens, NULL), *loss, *weight, *bias;
    const double bytes = (double)wg_numel(tokens) * (double)self->c.vocab * sizeof(float);
    const bool large = bytes > LARGE_LOGITS, cuda = wg_device_of(x).kind == WG_CUDA;
    if ((large || cuda) && wgi_linear_is_plain(self->head, &weight, &bias))
        loss = wg_linear_cross_entropy(x, weight, targets, bias, .ignore_index = WG_JUST(-1));
    else if (large && wg_numel(targets) == wg_numel(tokens))
        loss = chunked_loss(self, x, targets);
    else
        loss = wg_cross_entropy(wg_forward(self->head, x), targets, .ignore_index = WG_JUST(-1));
    return wg_scope_return(s, loss);
}
