/* GPT-2 written out by its user: causal attention, dropout, key-value cache, tied weights, generation. The library's own
 * wg_transformer_new does the same by configuration. */
#include <math.h>

#include <wengert/wengert.h>

typedef struct {
    int64_t layers, heads, width, vocab, block;
    double dropout;
} gpt_config;

/* ---- attention ------------------------------------------------------------------------------------------------------ */
typedef struct {
    wg_module base;
    wg_module *c_attn, *c_proj;
    int64_t heads;
    double dropout;
} attention;

static void attention_init(wg_module *m, const void *config)
{
    attention *self = (attention *)m;
    const gpt_config *c = config;
    self->heads = c->heads;
    self->dropout = c->dropout;
    wg_child(m, "c_attn", &self->c_attn, wg_linear_new(c->width, 3 * c->width));
    wg_child(m, "c_proj", &self->c_proj, wg_linear_new(c->width, c->width));
}

static wg_tensor *split_heads(wg_tensor *x, int64_t H) /* (B, T, C) -> (B, H, T, D) */
{
    return wg_transpose(wg_reshape(x, WG_DIMS(wg_size(x, 0), wg_size(x, 1), H, wg_size(x, 2) / H)),
                        1, 2);
}

/* A typed forward: any signature; wg_module_enter gives it the path, the scope, the settings. */
static wg_tensor *attention_forward(wg_module *m, wg_tensor *x, wg_kv_cache *cache)
{
    attention *self = (attention *)m;
    wg_scope s = wg_module_enter(m);
    const int64_t B = wg_size(x, 0), T = wg_size(x, 1), C = wg_size(x, 2);
    wg_tensor *qkv[3]; /* each (B, T, C) */
    wg_split(wg_forward(self->c_attn, x), WG_DIMS(C, C, C), -1, qkv);
    wg_tensor *q = split_heads(qkv[0], self->heads), *k = split_heads(qkv[1], self->heads),
              *v = split_heads(qkv[2], self->heads);
    if (cache) wg_kv_append(cache, m, &k, &v);
    wg_tensor *y = wg_sdpa(q, k, v, .is_causal = true, .dropout = m->training ? self->dropout : 0);
    y = wg_reshape(wg_transpose(y, 1, 2), WG_DIMS(B, T, C));
    return wg_scope_return(s, wg_dropout(wg_forward(self->c_proj, y), self->dropout, m->training));
}
static const wg_module_type attention_type = { .name = "attention",
                                               .size = sizeof(attention),
                                               .init = attention_init };

/* ---- mlp ---------------------------------------------------------------------------------------------------------------- */
typedef struct {
    wg_module base;
    wg_module *c_fc, *c_proj;
    double dropout;
} mlp;

static void mlp_init(wg_module *m, const void *config)
{
    mlp *self = (mlp *)m;
    const gpt_config *c = config;
    self->dropout = c->dropout;
    wg_child(m, "c_fc", &self->c_fc, wg_linear_new(c->width, 4 * c->width));
    wg_child(m, "c_proj", &self->c_proj, wg_linear_new(4 * c->width, c->width));
}

static wg_tensor *mlp_forward(wg_module *m, wg_tensor *x) /* (B, T, C) -> (B, T, C) */
{
    mlp *self = (mlp *)m;
    wg_tensor *h = wg_gelu(wg_forward(self->c_fc, x), true);
    return wg_dropout(wg_forward(self->c_proj, h), self->dropout, m->training);
}
static const wg_module_type mlp_type = {
    .name = "mlp", .size = sizeof(mlp), .init = mlp_init, .forward = mlp_forward
};

/* ---- block -------------------------------------------------------------------------------------------------------------- */
typedef struct {
    wg_module base;
    wg_module *ln_1, *attn, *ln_2, *mlp;
} block;

static void block_init(wg_module *m, const void *config)
{
    block *self = (block *)m;
    const gpt_config *c = config;
    wg_child(m, "ln_1", &self->ln_1, wg_layer_norm_new(c->width));
    wg_child(m, "attn", &self->attn, wg_module_new(&attention_type, c));
    wg_child(m, "ln_2", &self->ln_2, wg_layer_norm_new(c->width));
    wg_child(m, "mlp", &self->mlp, wg_module_new(&mlp_type, c));
}

static wg_tensor *block_step(wg_module *m, wg_tensor *x, wg_kv_cache *cache)
{
    block *self = (block *)m;
    wg_scope s = wg_module_enter(m);
    x = wg_add(x, attention_forward(self->attn, wg_forward(self->ln_1, x), cache));
    x = wg_add(x, wg_forward(self->mlp, wg_forward(self->ln_2, x)));
    return wg_scope_return(s, x);
}
static wg_tensor *block_forward(wg_module *m, wg_tensor *x)
{
    return block_step(m, x, NULL);
}
static const wg_module_type block_type = {
    .name = "block", .size = sizeof(block), .init = block_init, .forward = block_forward
};

/* ---- model -------------------------------------------------------------------------------------------------------------- */
typedef struct {
    wg_module base;
    gpt_config c;
    wg_module *wte, *wpe, *drop, *h, *ln_f, *lm_head;
} gpt;

static void init_weights(wg_module *m, const gpt_config *c)
{
    wg_use_grad(false); /* until init's scope ends */
    wg_params ps = wg_module_params(m);
    for (int64_t i = 0; i < ps.n; i++) {
        wg_tensor *p = ps.p[i].tensor;
        double std =
            wg_match("*.c_proj.weight", ps.p[i].name) ? 0.02 / sqrt(2.0 * (double)c->layers) : 0.02;
        if (wg_ndim(p) == 2 && wg_assign(p, wg_affine(wg_randn(wg_shape(p)), std, 0)) != WG_OK)
            return;
    }
}

static void gpt_init(wg_module *m, const void *config)
{
    gpt *self = (gpt *)m;
    self->c = *(const gpt_config *)config;
    const gpt_config *c = &self->c;
    wg_child(m, "transformer.wte", &self->wte, wg_embedding_new(c->vocab, c->width));
    wg_child(m, "transformer.wpe", &self->wpe, wg_embedding_new(c->block, c->width));
    wg_child(m, "transformer.drop", &self->drop, wg_dropout_new(c->dropout));
    wg_child(m, "transformer.h", &self->h, wg_module_list_new());
    for (int64_t i = 0; i < c->layers; i++)
        wg_module_list_add(self->h, wg_module_new(&block_type, c));
    wg_child(m, "transformer.ln_f", &self->ln_f, wg_layer_norm_new(c->width));
    wg_child(m, "lm_head", &self->lm_head, wg_linear_new(c->width, c->vocab, .no_bias = true));
    wg_tie(m, "lm_head.weight", "transformer.wte.weight");
    init_weights(m, c);
}

static wg_tensor *gpt_decode(wg_module *m, wg_tensor *tokens,
                             wg_kv_cache *cache) /* (B, T) i64 -> (B, T, V) */
{
    gpt *self = (gpt *)m;
    wg_scope s = wg_module_enter(m);
    const int64_t start = wg_kv_length(cache, NULL), T = wg_size(tokens, 1);
    if (start + T > self->c.block)
        return wg_scope_return(s,
                               wg_fail(WG_EARG, "gpt: position %lld is beyond the context of %lld",
                                       (long long)(start + T), (long long)self->c.block));
    wg_tensor *x =
        wg_add(wg_forward(self->wte, tokens), wg_forward(self->wpe, wg_arange(start, start + T)));
    x = wg_forward(self->drop, x);
    for (int64_t i = 0; i < self->c.layers; i++) {
        wg_module *b = wg_module_list_at(self->h, i);
        x = cache ? block_step(b, x, cache) : wg_forward(b, x);
    }
    return wg_scope_return(s, wg_forward(self->lm_head, wg_forward(self->ln_f, x)));
}
static wg_tensor *gpt_forward(wg_module *m, wg_tensor *x)
{
    return gpt_decode(m, x, NULL);
}
static const wg_module_type gpt_type = {
    .name = "gpt", .size = sizeof(gpt), .init = gpt_init, .forward = gpt_forward
};

/* Continues tokens[0 .. have) by `want`, the most probable token each time. */
static wg_status gpt_generate(wg_module *model, int64_t *tokens, int64_t have, int64_t want,
                              int64_t context)
{
    wg_scope run = wg_scope_push();
    wg_use_grad(false);
    wg_module_train(model, false);
    wg_kv_cache *cache = wg_kv_cache_new(context);
    int64_t fresh = have;
    for (int64_t n = have; n < have + want && !wg_error_code(); n++) {
        wg_scope s = wg_scope_push();
        wg_tensor *x =
            wg_from(tokens + n - fresh, (size_t)fresh * sizeof *tokens, WG_I64, WG_DIMS(1, fresh));
        wg_tensor *last = wg_select(gpt_decode(model, x, cache), 1, -1); /* (1, V) */
        tokens[n] = wg_item_int(wg_argmax(last, WG_DIMS(-1), false));
        fresh = 1;
        wg_scope_return(s,
                        NULL); /* an error stays pending: the loop ends, the last pop reports it */
    }
    wg_kv_cache_free(cache);
    return wg_scope_pop(run);
}

int main(void)
{
    wg_seed(4);
    const gpt_config c = {
        .layers = 2, .heads = 2, .width = 32, .vocab = 12, .block = 24, .dropout = 0.1
    };
    wg_module *model = wg_module_new(&gpt_type, &c);
    wg_optim *opt = wg_adamw_new(model, .lr = 3e-3);
    for (int step = 0; step < 200; step++) { /* to count: each token is the one before plus one */
        wg_scope s = wg_scope_push();
        wg_tensor *first = wg_randint(0, c.vocab, WG_DIMS(8, 1));
        wg_tensor *all = wg_remainder(wg_add(first, wg_arange(0, c.block + 1)),
                                      wg_scalar((double)c.vocab)); /* (8, T+1) */
        wg_tensor *logits = wg_forward(model, wg_narrow(all, 1, 0, c.block));
        wg_tensor *loss = wg_cross_entropy(logits, wg_narrow(all, 1, 1, c.block));
        wg_backward(loss);
        wg_clip_grad_norm(opt, 1.0);
        wg_optim_step(opt);
        if (step % 50 == 0) printf("step %3d  loss %.4f\n", step, wg_item(loss));
        if (wg_scope_pop(s) != WG_OK) return wg_error_print(stderr);
    }
    int64_t tokens[16] = { 5 };
    if (gpt_generate(model, tokens, 1, 15, c.block) != WG_OK) return wg_error_print(stderr);
    bool right = true;
    for (int i = 0; i < 16; i++) {
        printf("%lld ", (long long)tokens[i]);
        right = right && tokens[i] == (5 + i) % c.vocab;
    }
    printf("\n");
    wg_optim_free(opt);
    wg_module_free(model);
    return right ? 0 : 1;
}
