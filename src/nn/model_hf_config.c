/* transformers' config.json. A field that changes what a model computes is honoured or refused by
 * name; the defaults are those of transformers' configuration_*.py. */
#include <inttypes.h>
#include <string.h>

#include "nn/model.h"
#include "wengert/error.h"

typedef struct {
    const char *path; /* of config.json */
    const json_t *root;
    wg_transformer_config *c;
} config;

static bool refuse(const config *h, const char *key, const char *value)
{
    wg_raise(WG_EFORMAT, "%s: \"%s\": %s is not supported", h->path, key, value);
    return false;
}

/* A field that must be there. */
static int64_t need(const config *h, const char *key)
{
    const int64_t v = wgi_json_int(h->root, key, INT64_MIN, h->path);
    if (v == INT64_MIN) wg_raise(WG_EFORMAT, "%s: \"%s\" is missing", h->path, key);
    return v;
}

static int64_t integer(const config *h, const char *key, int64_t otherwise)
{
    return wgi_json_int(h->root, key, otherwise, h->path);
}

static bool boolean(const config *h, const char *key, bool otherwise)
{
    return wgi_json_bool(h->root, key, otherwise, h->path);
}

/* Fields whose one value is how this library computes. */
static void must_be(const config *h, const char *key, bool value)
{
    if (boolean(h, key, value) != value) refuse(h, key, value ? "false" : "true");
}

static void activation(const config *h, const char *key, const char *otherwise)
{
    static const struct {
        const char *name;
        wg_activation a;
    } known[] = { { "gelu_new", WG_ACT_GELU_TANH },  { "gelu_pytorch_tanh", WG_ACT_GELU_TANH },
                  { "gelu_fast", WG_ACT_GELU_TANH }, { "gelu", WG_ACT_GELU },
                  { "gelu_python", WG_ACT_GELU },    { "relu", WG_ACT_RELU },
                  { "silu", WG_ACT_SILU },           { "swish", WG_ACT_SILU } };
    const char *name = wgi_json_string(h->root, key, otherwise, h->path);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].name, name)) {
            h->c->activation = known[i].a;
            return;
        }
    refuse(h, key, name);
}

/* ---- GPT-2 ----------------------------------------------------------------------------------- */
static void read_gpt2(const config *h)
{
    const int64_t width = need(h, "n_embd");
    *h->c = wg_gpt2_config(need(h, "n_layer"), need(h, "n_head"), width, need(h, "vocab_size"),
                           integer(h, "n_positions", integer(h, "n_ctx", 1024)));
    h->c->hidden = integer(h, "n_inner", 0);
    if (!h->c->hidden && width > 0 && width < 1 << 28) h->c->hidden = 4 * width;
    h->c->eps = wgi_json_double(h->root, "layer_norm_epsilon", 1e-5, h->path);
    h->c->untied = !boolean(h, "tie_word_embeddings", true);
    activation(h, "activation_function", "gelu_new");
    must_be(h, "scale_attn_weights", true);
    must_be(h, "scale_attn_by_inverse_layer_idx", false);
    must_be(h, "add_cross_attention", false);
}

/* ---- Llama, Mistral, Qwen2 ------------------------------------------------------------------- */
static void read_llama3(const config *h, const json_t *rope)
{
    wg_rope_scaling *s = &h->c->rope_scaling;
    s->kind = WG_ROPE_LLAMA3;
    s->low_freq_factor = wgi_json_double(rope, "low_freq_factor", 0, h->path);
    s->high_freq_factor = wgi_json_double(rope, "high_freq_factor", 0, h->path);
    s->original_context = wgi_json_int(rope, "original_max_position_embeddings",
                                       integer(h, "original_max_position_embeddings", 0), h->path);
    if (!(s->low_freq_factor > 0) || !(s->high_freq_factor > s->low_freq_factor) ||
        s->original_context < 1)
        wg_raise(WG_EFORMAT,
                 "%s: rope's scaling llama3 lacks a sensible low_freq_factor, high_freq_factor or "
                 "original_max_position_embeddings",
                 h->path);
}

/* `rope_parameters` holds all of it since transformers 5; before, the base was a field of its own
 * beside `rope_scaling`. */
static void read_rope(const config *h)
{
    const json_t *now = json_object_get(h->root, "rope_parameters");
    const json_t *before = json_object_get(h->root, "rope_scaling");
    const bool has_now = json_is_object(now) && json_object_size(now) > 0;
    const char *field = has_now ? "rope_parameters" : "rope_scaling";
    const json_t *rope = has_now ? now : before;
    if ((now && !json_is_null(now) && !json_is_object(now)) ||
        (before && !json_is_null(before) && !json_is_object(before))) {
        refuse(h, field, "a value that is no object");
        return;
    }
    if (!json_is_object(rope)) rope = NULL;
    const double base = wgi_json_double(h->root, "rope_theta", 10000, h->path);
    h->c->rope_base = wgi_json_double(rope, "rope_theta", base, h->path);
    const double part = wgi_json_double(h->root, "partial_rotary_factor", 1, h->path);
    if (wgi_json_double(rope, "partial_rotary_factor", part, h->path) != 1)
        refuse(h, "partial_rotary_factor", "another value than 1");
    const char *key = json_object_get(rope, "rope_type") ? "rope_type" : "type";
    const char *kind = wgi_json_string(rope, key, "default", h->path);
    if (!strcmp(kind, "default")) {
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)rope, name, value)
        {
            if (json_is_object(value)) refuse(h, field, "one set for each type of layer");
        }
        return;
    }
    h->c->rope_scaling.factor = wgi_json_double(rope, "factor", 0, h->path);
    if (!(h->c->rope_scaling.factor > 0))
        wg_raise(WG_EFORMAT, "%s: \"%s\" has no positive factor", h->path, field);
    else if (!strcmp(kind, "linear"))
        h->c->rope_scaling.kind = WG_ROPE_LINEAR;
    else if (!strcmp(kind, "llama3"))
        read_llama3(h, rope);
    else
        refuse(h, field, kind);
}

/* One window for all layers, or none: what the layers' types say, or else max_window_layers, the
 * number of layers that see everything. */
static void read_layer_windows(const config *h)
{
    const json_t *types = json_object_get(h->root, "layer_types");
    const int64_t layers = h->c->layers;
    int64_t sliding = 0;
    if (json_is_array(types)) {
        size_t i;
        json_t *t;
        if ((int64_t)json_array_size(types) != layers)
            refuse(h, "layer_types", "another number of layers");
        json_array_foreach(types, i, t)
        {
            const char *name = json_string_value(t);
            if (name && !strcmp(name, "sliding_attention"))
                sliding++;
            else if (!name || strcmp(name, "full_attention") != 0)
                refuse(h, "layer_types", name ? name : "a value that is no string");
        }
    } else if (h->c->window) {
        const int64_t full = integer(h, "max_window_layers", 28);
        sliding = full < 0 ? layers : full < layers ? layers - full : 0;
    }
    if (sliding == 0)
        h->c->window = 0;
    else if (sliding < layers)
        refuse(h, "layer_types", "a sliding window in some layers only");
    else if (!h->c->window)
        refuse(h, "layer_types", "sliding_attention without a sliding_window");
}

static void read_llama(const config *h, const char *type)
{
    const bool mistral = !strcmp(type, "mistral"), qwen = !strcmp(type, "qwen2");
    const int64_t heads = need(h, "num_attention_heads");
    *h->c =
        wg_llama_config(need(h, "num_hidden_layers"), heads,
                        integer(h, "num_key_value_heads",
                                mistral ? 8
                                : qwen  ? 32
                                        : heads),
                        need(h, "hidden_size"), need(h, "intermediate_size"), need(h, "vocab_size"),
                        integer(h, "max_position_embeddings",
                                mistral ? 131072
                                : qwen  ? 32768
                                        : 2048));
    h->c->head_size = integer(h, "head_dim", 0);
    h->c->eps = wgi_json_double(h->root, "rms_norm_eps", 1e-6, h->path);
    h->c->untied = !boolean(h, "tie_word_embeddings", false);
    activation(h, "hidden_act", "silu");
    h->c->qkv_bias = qwen;
    if (!strcmp(type, "llama")) {
        const bool attention = boolean(h, "attention_bias", false);
        if (attention != boolean(h, "mlp_bias", false))
            refuse(h, attention ? "attention_bias" : "mlp_bias",
                   attention ? "true without mlp_bias" : "true without attention_bias");
        h->c->no_bias = !attention;
    } else if (mistral) {
        must_be(h, "attention_bias", false);
        const bool none = json_is_null(json_object_get(h->root, "sliding_window"));
        h->c->window = none ? 0 : integer(h, "sliding_window", 4096);
    } else if (boolean(h, "use_sliding_window", false)) {
        h->c->window = integer(h, "sliding_window", 4096);
    }
    if (h->c->window < 0) refuse(h, "sliding_window", "a negative window");
    if (qwen) read_layer_windows(h);
    read_rope(h);
}

bool wgi_hf_config(const char *path, const json_t *root, wg_transformer_config *c)
{
    const config h = { path, root, c };
    const char *type = wgi_json_string(root, "model_type", "", path);
    if (wg_error_code()) return false;
    if (json_is_object(json_object_get(root, "quantization_config")))
        return refuse(&h, "quantization_config", "a quantised checkpoint");
    must_be(&h, "is_encoder_decoder", false);
    if (!strcmp(type, "gpt2"))
        read_gpt2(&h);
    else if (!strcmp(type, "llama") || !strcmp(type, "mistral") || !strcmp(type, "qwen2"))
        read_llama(&h, type);
    else
        return wg_raise(WG_EFORMAT,
                        "%s: \"model_type\": %.80s is not supported (gpt2, llama, mistral and "
                        "qwen2 are)",
                        path, *type ? type : "none") == WG_OK;
    return wg_error_code() == WG_OK && wgi_model_config(path, c);
}
