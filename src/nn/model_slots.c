/* The tensors of a transformer, by configuration: their places, shapes, and names in files. */
#include "nn/model.h"

#include <inttypes.h>
#include <string.h>

#include "nn/parts.h"
#include "wengert/error.h"

/* ---- the formats' names ---------------------------------------------------------------------- */
/* transformers' GPT-2, whose Conv1D layers keep (in, out) matrices. */
const wgi_part_names wgi_hf_gpt2 = { {
    [WGI_EMBED] = { "transformer.wte", false },
    [WGI_POSITION] = { "transformer.wpe", false },
    [WGI_NORM] = { "transformer.ln_f", false },
    [WGI_HEAD] = { "lm_head", false },
    [WGI_NORM_1] = { "transformer.h.#.ln_1", false },
    [WGI_QKV] = { "transformer.h.#.attn.c_attn", true },
    [WGI_OUT] = { "transformer.h.#.attn.c_proj", true },
    [WGI_NORM_2] = { "transformer.h.#.ln_2", false },
    [WGI_UP] = { "transformer.h.#.mlp.c_fc", true },
    [WGI_DOWN] = { "transformer.h.#.mlp.c_proj", true },
} };

/* transformers' Llama, Mistral, Qwen2. */
const wgi_part_names wgi_hf_llama = { {
    [WGI_EMBED] = { "model.embed_tokens", false },
    [WGI_NORM] = { "model.norm", false },
    [WGI_HEAD] = { "lm_head", false },
    [WGI_NORM_1] = { "model.layers.#.input_layernorm", false },
    [WGI_Q] = { "model.layers.#.self_attn.q_proj", false },
    [WGI_K] = { "model.layers.#.self_attn.k_proj", false },
    [WGI_V] = { "model.layers.#.self_attn.v_proj", false },
    [WGI_OUT] = { "model.layers.#.self_attn.o_proj", false },
    [WGI_NORM_2] = { "model.layers.#.post_attention_layernorm", false },
    [WGI_UP] = { "model.layers.#.mlp.up_proj", false },
    [WGI_GATE] = { "model.layers.#.mlp.gate_proj", false },
    [WGI_DOWN] = { "model.layers.#.mlp.down_proj", false },
} };

/* llama.cpp, src/llama-arch.cpp. */
const wgi_part_names wgi_gguf_names = { {
    [WGI_EMBED] = { "token_embd", false },
    [WGI_POSITION] = { "position_embd", false },
    [WGI_NORM] = { "output_norm", false },
    [WGI_HEAD] = { "output", false },
    [WGI_NORM_1] = { "blk.#.attn_norm", false },
    [WGI_QKV] = { "blk.#.attn_qkv", false },
    [WGI_Q] = { "blk.#.attn_q", false },
    [WGI_K] = { "blk.#.attn_k", false },
    [WGI_V] = { "blk.#.attn_v", false },
    [WGI_OUT] = { "blk.#.attn_output", false },
    [WGI_NORM_2] = { "blk.#.ffn_norm", false },
    [WGI_UP] = { "blk.#.ffn_up", false },
    [WGI_GATE] = { "blk.#.ffn_gate", false },
    [WGI_DOWN] = { "blk.#.ffn_down", false },
} };

/* ---- the module's ---------------------------------------------------------------------------- */
/* A part's path below its model or layer, and the module that it is below. */
static const char *own_name(const wgi_names *n, wgi_part p, bool gated, const char **above)
{
    *above = NULL;
    switch (p) {
    case WGI_EMBED: return n->embed;
    case WGI_POSITION: return n->position;
    case WGI_NORM: return n->norm;
    case WGI_HEAD: return n->head;
    case WGI_NORM_1: return n->norm_1;
    case WGI_NORM_2: return n->norm_2;
    case WGI_QKV: *above = n->attention; return n->qkv;
    case WGI_Q: *above = n->attention; return n->q;
    case WGI_K: *above = n->attention; return n->k;
    case WGI_V: *above = n->attention; return n->v;
    case WGI_OUT: *above = n->attention; return n->out;
    case WGI_UP: *above = n->mlp; return gated ? n->gated_up : n->up;
    case WGI_GATE: *above = n->mlp; return n->gate;
    case WGI_DOWN: *above = n->mlp; return gated ? n->gated_down : n->down;
    case WGI_PARTS: break;
    }
    return NULL;
}

static bool is_norm(wgi_part p)
{
    return p == WGI_NORM || p == WGI_NORM_1 || p == WGI_NORM_2;
}

/* Whether a transformer of c has this part, and its bias. */
static bool has(const wg_transformer_config *c, wgi_part p, bool bias)
{
    const bool fused = wgi_names_of(c->names)->qkv != NULL;
    switch (p) {
    case WGI_EMBED: return !bias;
    case WGI_POSITION: return !bias && c->position == WG_POS_LEARNED;
    case WGI_HEAD: return !bias && c->untied;
    case WGI_NORM:
    case WGI_NORM_1:
    case WGI_NORM_2: return !bias || (c->norm == WG_NORM_LAYER && !c->no_bias);
    case WGI_QKV: return fused && (!bias || !c->no_bias || c->qkv_bias);
    case WGI_Q:
    case WGI_K:
    case WGI_V: return !fused && (!bias || !c->no_bias || c->qkv_bias);
    case WGI_GATE: return c->mlp == WG_MLP_GATED && (!bias || !c->no_bias);
    case WGI_OUT:
    case WGI_UP:
    case WGI_DOWN: return !bias || !c->no_bias;
    case WGI_PARTS: break;
    }
    return false;
}

static wg_dims shape_of(const wg_transformer_config *c, wgi_part p, bool bias)
{
    const int64_t q = c->heads * c->head_size, kv = c->kv_heads * c->head_size;
    int64_t out = c->width, in = c->width;
    switch (p) {
    case WGI_EMBED:
    case WGI_HEAD: out = c->vocab; break;
    case WGI_POSITION: out = c->block; break;
    case WGI_QKV: out = q + 2 * kv; break;
    case WGI_Q: out = q; break;
    case WGI_K:
    case WGI_V: out = kv; break;
    case WGI_OUT: in = q; break;
    case WGI_UP:
    case WGI_GATE: out = c->hidden; break;
    case WGI_DOWN: in = c->hidden; break;
    default: break;
    }
    return is_norm(p) || bias ? WG_DIMS(out) : WG_DIMS(out, in);
}

/* Fills the texts and the shape of the part, bias and layer that s has. */
static void describe(wgi_slot *s, const wg_transformer_config *c, const wgi_part_names *names)
{
    const wgi_names *own = wgi_names_of(c->names);
    const char *above, *name = own_name(own, s->part, c->mlp == WG_MLP_GATED, &above);
    const char *end = s->bias ? "bias" : "weight";
    if (s->layer < 0)
        snprintf(s->path, sizeof s->path, "%s.%s", name, end);
    else
        snprintf(s->path, sizeof s->path, "%s.%" PRId64 ".%s%s%s.%s", own->layers, s->layer,
                 above ? above : "", above ? "." : "", name, end);
    s->shape = shape_of(c, s->part, s->bias);
    s->rotated = s->part == WGI_Q || s->part == WGI_K;
    const wgi_part_name *file = names ? &names->part[s->part] : NULL;
    s->in_out = file && file->in_out && !s->bias;
    s->name[0] = '\0';
    if (!file || !file->name) return;
    const char *layer = strchr(file->name, '#');
    if (layer)
        snprintf(s->name, sizeof s->name, "%.*s%" PRId64 "%s.%s", (int)(layer - file->name),
                 file->name, s->layer, layer + 1, end);
    else
        snprintf(s->name, sizeof s->name, "%s.%s", file->name, end);
}

bool wgi_slot_next(wgi_slot *s, bool first, const wg_transformer_config *c,
                   const wgi_part_names *names)
{
    if (first) *s = (wgi_slot) { .part = WGI_EMBED, .layer = -1 };
    for (bool fresh = first;; fresh = false) {
        if (fresh) {
        } else if (!s->bias) {
            s->bias = true;
        } else {
            s->bias = false;
            s->part++;
            if (s->part == WGI_NORM_1) s->layer = 0;
            if (s->part == WGI_PARTS) {
                s->part = WGI_NORM_1;
                s->layer++;
            }
        }
        if (s->layer >= c->layers) return false;
        if (!has(c, s->part, s->bias)) continue;
        describe(s, c, names);
        return true;
    }
}

bool wgi_model_config(const char *path, wg_transformer_config *c)
{
    const int64_t most = 1 << 30; /* as the layers' own limit */
    const struct {
        const char *name;
        int64_t value;
    } sizes[] = { { "layers", c->layers },
                  { "heads", c->heads },
                  { "embedding width", c->width },
                  { "vocabulary", c->vocab },
                  { "positions", c->block } };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value < 1 || sizes[i].value > most)
            return wg_raise(WG_EFORMAT, "%s: the number of %s is %" PRId64, path, sizes[i].name,
                            sizes[i].value) == WG_OK;
    if (!c->kv_heads) c->kv_heads = c->heads;
    if (!c->head_size && c->width % c->heads == 0) c->head_size = c->width / c->heads;
    if (c->kv_heads < 1 || c->kv_heads > c->heads || c->heads % c->kv_heads != 0)
        wg_raise(WG_EFORMAT, "%s: %" PRId64 " heads share %" PRId64 " key-value heads", path,
                 c->heads, c->kv_heads);
    else if (c->head_size < 1 || c->head_size > most)
        wg_raise(WG_EFORMAT, "%s: %" PRId64 " heads of size %" PRId64 " in a width of %" PRId64,
                 path, c->heads, c->head_size, c->width);
    else if (c->hidden < 1 || c->hidden > most)
        wg_raise(WG_EFORMAT, "%s: the hidden size is %" PRId64, path, c->hidden);
    else if (c->position == WG_POS_ROPE && c->head_size % 2 != 0)
        wg_raise(WG_EFORMAT, "%s: rope turns pairs, and the head size is %" PRId64, path,
                 c->head_size);
    else if (!(c->eps > 0 && c->eps < 1))
        wg_raise(WG_EFORMAT, "%s: the norms' epsilon is %g", path, c->eps);
    else if (!(c->position != WG_POS_ROPE || (c->rope_base > 0 && c->rope_base < 1e30)))
        wg_raise(WG_EFORMAT, "%s: rope's base is %g", path, c->rope_base);
    return wg_error_code() == WG_OK;
}
