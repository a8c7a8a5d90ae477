/* GGUF files of the architectures llama, qwen2 and gpt2: metadata to configuration. Sources:
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md ("Standardized key-value pairs");
 * llama.cpp, src/llama-model.cpp (load_hparams). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nn/model.h"
#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

typedef struct {
    wgi_source base;
    wg_gguf *file;
    const char *arch;
} gguf;

static const char rope_factors[] = "rope_freqs.weight";

/* "ARCH.name" into one of two buffers in turn. */
static const char *key(const gguf *g, const char *name)
{
    static _Thread_local char text[2][160];
    static _Thread_local int turn;
    turn = !turn;
    snprintf(text[turn], sizeof text[turn], "%s.%s", g->arch, name);
    return text[turn];
}

static int64_t integer(const gguf *g, const char *name, int64_t otherwise)
{
    return wg_gguf_int(g->file, key(g, name), otherwise);
}

static double number(const gguf *g, const char *name, double otherwise)
{
    return wg_gguf_double(g->file, key(g, name), otherwise);
}

static bool has(const gguf *g, const char *tensor)
{
    for (int64_t i = 0; i < wg_gguf_count(g->file); i++)
        if (!strcmp(wg_gguf_name(g->file, i), tensor)) return true;
    return false;
}

static void missing(const gguf *g, const char *name)
{
    if (!wg_gguf_has(g->file, key(g, name)))
        wg_raise(WG_EFORMAT, "%s: the key \"%s\" is missing", g->base.path, key(g, name));
}

static void refuse(const gguf *g, const char *name, const char *value)
{
    wg_raise(WG_EFORMAT, "%s: key \"%s\": %s is not supported", g->base.path, key(g, name), value);
}

/* ---- the configuration ----------------------------------------------------------------------- */
static void read_scaling(gguf *g)
{
    wg_rope_scaling *s = &g->base.config.rope_scaling;
    const char *type = wg_gguf_string(g->file, key(g, "rope.scaling.type"), NULL);
    const double linear = number(g, "rope.scale_linear", 1); /* of files before rope.scaling */
    s->factor = number(g, "rope.scaling.factor", linear);
    /* llama.cpp scales linearly where a factor stands alone. */
    if ((type && !strcmp(type, "linear")) || (!type && s->factor != 1 && s->factor != 0))
        s->kind = WG_ROPE_LINEAR;
    else if (type && strcmp(type, "none") != 0)
        refuse(g, "rope.scaling.type", type);
    if (s->kind == WG_ROPE_LINEAR && !(s->factor > 0))
        refuse(g, "rope.scaling.factor", "a factor that is not positive");
    if (s->kind == WG_ROPE_PLAIN) *s = (wg_rope_scaling) { 0 };
}

static void read_llama(gguf *g)
{
    wg_transformer_config *c = &g->base.config;
    const bool qwen = !strcmp(g->arch, "qwen2");
    missing(g, "attention.layer_norm_rms_epsilon");
    const int64_t heads = integer(g, "attention.head_count", 0);
    *c = wg_llama_config(integer(g, "block_count", 0), heads,
                         integer(g, "attention.head_count_kv", heads),
                         integer(g, "embedding_length", 0), integer(g, "feed_forward_length", 0), 0,
                         integer(g, "context_length", 0));
    c->head_size = integer(g, "attention.key_length", 0);
    c->eps = number(g, "attention.layer_norm_rms_epsilon", 0);
    c->rope_base = number(g, "rope.freq_base", 10000);
    c->rope_adjacent = !qwen; /* llama's q and k are permuted for it */
    c->window = integer(g, "attention.sliding_window", 0);
    c->qkv_bias = qwen || has(g, "blk.0.attn_q.bias");
    if (c->qkv_bias && !qwen) c->no_bias = !has(g, "blk.0.ffn_down.bias");
    if (integer(g, "expert_count", 0) > 0) refuse(g, "expert_count", "a mixture of experts");
    if (c->window < 0) refuse(g, "attention.sliding_window", "a negative window");
    if (!c->head_size && c->heads > 0) c->head_size = c->width / c->heads;
    if (integer(g, "attention.value_length", c->head_size) != c->head_size)
        refuse(g, "attention.value_length", "another size than that of keys");
    if (integer(g, "rope.dimension_count", c->head_size) != c->head_size)
        refuse(g, "rope.dimension_count", "a rotation of a part of the head");
    read_scaling(g);
}

static void read_gpt2(gguf *g)
{
    wg_transformer_config *c = &g->base.config;
    missing(g, "attention.layer_norm_epsilon");
    *c = wg_gpt2_config(integer(g, "block_count", 0), integer(g, "attention.head_count", 0),
                        integer(g, "embedding_length", 0), 0, integer(g, "context_length", 0));
    c->hidden = integer(g, "feed_forward_length", 0);
    c->eps = number(g, "attention.layer_norm_epsilon", 0);
}

static bool read_config(gguf *g)
{
    static const char *const needed[] = { "block_count", "embedding_length", "feed_forward_length",
                                          "attention.head_count", "context_length" };
    wg_transformer_config *c = &g->base.config;
    g->arch = wg_gguf_string(g->file, "general.architecture", NULL);
    if (!g->arch && !wg_error_code())
        wg_raise(WG_EFORMAT, "%s: the key \"general.architecture\" is missing", g->base.path);
    if (wg_error_code()) return false;
    const bool gpt2 = !strcmp(g->arch, "gpt2");
    if (!gpt2 && strcmp(g->arch, "llama") != 0 && strcmp(g->arch, "qwen2") != 0)
        return wg_raise(WG_EFORMAT,
                        "%s: architecture %.80s is not supported (llama, qwen2 and gpt2 are)",
                        g->base.path, g->arch) == WG_OK;
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) missing(g, needed[i]);
    if (wg_gguf_int(g->file, "split.count", 1) > 1)
        wg_raise(WG_EFORMAT, "%s: one part of a split file: merge it first", g->base.path);
    if (gpt2)
        read_gpt2(g);
    else
        read_llama(g);
    for (int64_t i = 0; i < wg_gguf_count(g->file); i++)
        if (!strcmp(wg_gguf_name(g->file, i), "token_embd.weight")) {
            const wg_dims shape = wg_gguf_shape(g->file, i);
            if (shape.n == 2) c->vocab = shape.d[0];
        }
    if (!c->vocab && !wg_error_code())
        wg_raise(WG_ENOTFOUND, "%s: it lacks the matrix \"token_embd.weight\"", g->base.path);
    if (integer(g, "vocab_size", c->vocab) != c->vocab && !wg_error_code())
        wg_raise(WG_ESHAPE, "%s: %s is %" PRId64 ", token_embd.weight has %" PRId64 " rows",
                 g->base.path, key(g, "vocab_size"), integer(g, "vocab_size", 0), c->vocab);
    c->untied = has(g, "output.weight");
    return wg_error_code() == WG_OK;
}

/* ---- the tensors ----------------------------------------------------------------------------- */
static wg_tensor *get(wgi_source *s, const wgi_slot *slot)
{
    return wg_gguf_get(((gguf *)s)->file, slot->name);
}

static const char *name_at(wgi_source *s, int64_t i)
{
    return wg_gguf_name(((gguf *)s)->file, i);
}

/* Old files hold rope's frequencies, which llama.cpp skips too. */
static bool ignored(wgi_source *s, const char *name)
{
    return (s->rope_factors && !strcmp(name, rope_factors)) ||
           wg_match("blk.*.attn_rot_embd.weight", name);
}

void wgi_model_open_gguf(wg_model *m, const wg_model_args *a)
{
    gguf g = { .base = { .path = a->path,
                         .names = &wgi_gguf_names,
                         .get = get,
                         .name = name_at,
                         .ignored = ignored },
               .file = wg_gguf_open(a->path) };
    const wg_scope s = wg_scope_push();
    if (g.file && read_config(&g)) {
        if (g.base.config.position == WG_POS_ROPE)
            g.base.rope_factors = wg_gguf_get(g.file, rope_factors);
        if (!wg_error_code()) m->module = wgi_model_load(&g.base, a);
        if (m->module) wg_set(&m->rope_factors, g.base.rope_factors);
    }
    const char *text = m->module ? wg_gguf_string(g.file, "tokenizer.chat_template", NULL) : NULL;
    if (text && !(m->chat_template = strdup(text))) wg_raise(WG_EMEM, "%s: out of memory", a->path);
    wg_scope_return(s, NULL);
    m->gguf = g.file;
    m->kind = WG_FILE_GGUF;
}
