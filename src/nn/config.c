/* Configurations of transformers: presets, defaults, checks. */
#include "nn/parts.h"

#include "wengert/error.h"

wg_transformer_config wg_gpt2_config(int64_t layers, int64_t heads, int64_t width, int64_t vocab,
                                     int64_t block)
{
    return (wg_transformer_config) {
        .layers = layers,
        .heads = heads,
        .width = width,
        .vocab = vocab,
        .block = block,
        .position = WG_POS_LEARNED,
        .norm = WG_NORM_LAYER,
        .mlp = WG_MLP_PLAIN,
        .activation = WG_ACT_GELU_TANH,
        .names = WG_NAMES_NANOGPT,
    };
}

wg_transformer_config wg_llama_config(int64_t layers, int64_t heads, int64_t kv_heads,
                                      int64_t width, int64_t hidden, int64_t vocab, int64_t block)
{
    return (wg_transformer_config) {
        .layers = layers,
        .heads = heads,
        .kv_heads = kv_heads,
        .width = width,
        .hidden = hidden,
        .vocab = vocab,
        .block = block,
        .position = WG_POS_ROPE,
        .norm = WG_NORM_RMS,
        .mlp = WG_MLP_GATED,
        .activation = WG_ACT_SILU,
        .names = WG_NAMES_HF_LLAMA,
        .no_bias = true,
        .untied = true,
    };
}

/* 8/3 width (the parameters of a plain MLP of 4 width), up to a multiple of 64. */
static int64_t gated_hidden(int64_t width)
{
    return (8 * width / 3 + 63) / 64 * 64;
}

static void fill_defaults(wg_transformer_config *c)
{
    if (!c->kv_heads) c->kv_heads = c->heads;
    if (!c->head_size && c->heads > 0) c->head_size = c->width / c->heads;
    if (!c->hidden) c->hidden = c->mlp == WG_MLP_GATED ? gated_hidden(c->width) : 4 * c->width;
    if (!c->eps) c->eps = 1e-5;
    if (!c->rope_base) c->rope_base = 10000;
}

static bool fine_scaling(const wg_rope_scaling *s)
{
    if (s->kind == WG_ROPE_PLAIN) return true;
    if ((unsigned)s->kind > WG_ROPE_LLAMA3 || !(s->factor > 0)) return false;
    return s->kind == WG_ROPE_LINEAR || (s->low_freq_factor > 0 && s->original_context > 0 &&
                                         s->high_freq_factor > s->low_freq_factor);
}

static bool check_common(const wg_module *m, const wg_transformer_config *c)
{
    const char *wrong = NULL;
    if ((unsigned)c->position > WG_POS_NONE)
        wrong = "position";
    else if ((unsigned)c->norm > WG_NORM_RMS)
        wrong = "norm";
    else if ((unsigned)c->mlp > WG_MLP_GATED)
        wrong = "mlp";
    else if ((unsigned)c->activation > WG_ACT_SILU)
        wrong = "activation";
    else if ((unsigned)c->names > WG_NAMES_META_LLAMA)
        wrong = "names";
    else if (!(c->dropout >= 0 && c->dropout < 1))
        wrong = "dropout";
    else if (!(c->eps >= 0))
        wrong = "eps";
    else if (!(c->rope_base >= 0))
        wrong = "rope_base";
    else if (!fine_scaling(&c->rope_scaling))
        wrong = "rope_scaling";
    else if (c->window < 0)
        wrong = "window";
    else if (c->stream && !wg_dtype_is_float(c->stream))
        wrong = "stream";
    if (wrong)
        wg_raise(WG_EARG, "%s: the configuration's %s is out of range", m->type->name, wrong);
    return !wrong && wgi_positive(m, "width", c->width);
}

static bool check_attention(const wg_module *m, const wg_transformer_config *c, bool own_head_size)
{
    if (!wgi_positive(m, "heads", c->heads) ||
        (!own_head_size && !wgi_divides(m, "heads", c->heads, "width", c->width)) ||
        !wgi_positive(m, "kv_heads", c->kv_heads) ||
        !wgi_divides(m, "kv_heads", c->kv_heads, "heads", c->heads) ||
        !wgi_positive(m, "head_size", c->head_size))
        return false;
    if (c->position != WG_POS_ROPE || c->head_size % 2 == 0) return true;
    wg_raise(WG_EARG, "%s: rope turns pairs, and head_size = %lld is odd", m->type->name,
             (long long)c->head_size);
    return false;
}

bool wgi_transformer_config(const wg_module *m, const void *config, unsigned needs,
                            wg_transformer_config *out)
{
    if (!wgi_has_config(m, config)) return false;
    *out = *(const wg_transformer_config *)config;
    const bool own_head_size = out->head_size != 0;
    if (!check_common(m, out)) return false;
    fill_defaults(out);
    if ((needs & WGI_NEEDS_ATTENTION) && !check_attention(m, out, own_head_size)) return false;
    if ((needs & WGI_NEEDS_MLP) && !wgi_positive(m, "hidden", out->hidden)) return false;
    return !(needs & WGI_NEEDS_MODEL) ||
           (wgi_positive(m, "layers", out->layers) && wgi_positive(m, "vocab", out->vocab) &&
            wgi_positive(m, "block", out->block));
}

wg_module *wgi_norm_new(const wg_transformer_config *c)
{
    if (c->norm == WG_NORM_RMS) return wg_rms_norm_new(c->width, c->eps);
    return wg_layer_norm_new(c->width, .eps = c->eps, .no_bias = c->no_bias);
}
