/* GGUF with the names and metadata that llama.cpp expects: src/llama-arch.cpp, gguf-py's
 * gguf_writer.py, convert_hf_to_gguf.py. */
#include <stdio.h>
#include <string.h>

#include "nn/model.h"
#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

typedef struct {
    wgi_save *save;
    wg_gguf_writer *w;
    const char *arch;
} output;

static const char *key(const output *o, const char *name)
{
    static _Thread_local char text[160];
    snprintf(text, sizeof text, "%s.%s", o->arch, name);
    return text;
}

static void put_int(const output *o, const char *name, int64_t v)
{
    wg_gguf_put_int(o->w, key(o, name), WG_GGUF_U32, v);
}

static void put_double(const output *o, const char *name, double v)
{
    wg_gguf_put_double(o->w, key(o, name), WG_GGUF_F32, v);
}

/* ---- metadata -------------------------------------------------------------------------------- */
/* llama.cpp's llama_ftype; -1 for one that this library has no name for. */
static int file_type(wg_dtype t)
{
    switch (t) {
    case WG_F64:
    case WG_F32: return 0;
    case WG_F16: return 1;
    case WG_Q4_0: return 2;
    case WG_Q4_1: return 3;
    case WG_Q8_0: return 7;
    case WG_Q5_0: return 8;
    case WG_Q5_1: return 9;
    case WG_BF16: return 32;
    default: return -1;
    }
}

static void put_general(const output *o)
{
    const wg_gguf *from = o->save->model->gguf;
    /* What another file of this model said of it; its dimensions and dtypes are put anew. */
    if (from) wg_gguf_put_from(o->w, from, NULL);
    wg_gguf_put_string(o->w, "general.architecture", o->arch, -1);
    if (!wg_gguf_has(from, "general.name")) wg_gguf_put_string(o->w, "general.name", o->arch, -1);
}

static void put_sizes(const output *o)
{
    const wg_transformer_config *c = &o->save->config;
    put_int(o, "vocab_size", c->vocab);
    put_int(o, "context_length", c->block);
    put_int(o, "embedding_length", c->width);
    put_int(o, "block_count", c->layers);
    put_int(o, "feed_forward_length", c->hidden);
    put_int(o, "attention.head_count", c->heads);
    put_int(o, "attention.head_count_kv", c->kv_heads);
    if (c->position == WG_POS_LEARNED) {
        put_double(o, "attention.layer_norm_epsilon", c->eps);
        return;
    }
    put_double(o, "attention.layer_norm_rms_epsilon", c->eps);
    put_int(o, "attention.key_length", c->head_size);
    put_int(o, "attention.value_length", c->head_size);
    put_int(o, "rope.dimension_count", c->head_size);
    put_double(o, "rope.freq_base", c->rope_base);
    /* llama.cpp has Mistral's first models as llama too, and reads no window there. */
    if (c->window) put_int(o, "attention.sliding_window", c->window);
    if (c->rope_scaling.kind == WG_ROPE_LINEAR) {
        wg_gguf_put_string(o->w, key(o, "rope.scaling.type"), "linear", -1);
        put_double(o, "rope.scaling.factor", c->rope_scaling.factor);
    }
}

/* ---- tensors --------------------------------------------------------------------------------- */
/* Vectors and positions are f32, as llama.cpp's files have them; rows that the block does not
 * divide too. */
static wg_dtype dtype_for(const output *o, const wgi_slot *slot, const wg_tensor *t)
{
    if (wg_ndim(t) == 1 || slot->part == WGI_POSITION) return WG_F32;
    const wg_dtype want = o->save->dtype ? o->save->dtype : wg_dtype_of(t);
    if (want == WG_F64 || wg_size(t, -1) % wg_dtype_block(want) != 0) return WG_F32;
    return want;
}

static void put_tensors(const output *o)
{
    const wgi_save *s = o->save;
    wg_dtype matrices = (wg_dtype)0;
    bool blocks = false;
    wgi_slot slot;
    for (bool first = true; wgi_slot_next(&slot, first, &s->config, &wgi_gguf_names);
         first = false) {
        const wg_scope one = wg_scope_push();
        wg_tensor *t = wgi_save_tensor(s, &slot);
        const wg_dtype d = dtype_for(o, &slot, t);
        if (slot.part == WGI_DOWN || slot.part == WGI_EMBED)
            matrices = matrices && wg_dtype_block(d) == 1 ? matrices : d;
        blocks |= wg_dtype_block(d) > 1;
        wg_gguf_put_tensor(o->w, slot.name, wg_cast(t, d));
        wg_scope_return(one, NULL);
        if (wg_error_code()) return;
    }
    wg_tensor *factors = s->model->rope_factors;
    if (!factors && s->config.rope_scaling.kind == WG_ROPE_LLAMA3)
        factors = wg_rope_factors(&s->config);
    if (factors) wg_gguf_put_tensor(o->w, "rope_freqs.weight", factors);
    const int type = file_type(s->dtype ? s->dtype : matrices);
    if (type >= 0) wg_gguf_put_int(o->w, "general.file_type", WG_GGUF_U32, type);
    if (blocks) wg_gguf_put_int(o->w, "general.quantization_version", WG_GGUF_U32, 2);
}

/* What llama.cpp computes by the architecture's name alone. */
static const char *unsayable(const wg_transformer_config *c)
{
    if (c->position == WG_POS_LEARNED && c->activation != WG_ACT_GELU_TANH)
        return "a GPT-2 with another activation than the tanh GELU";
    if (c->position == WG_POS_ROPE && c->activation != WG_ACT_SILU)
        return "a gated MLP with another activation than SiLU";
    return NULL;
}

wg_status wgi_save_gguf(wgi_save *s)
{
    const wg_dtype d = s->dtype;
    const char *cannot = unsayable(&s->config);
    if (cannot) return wg_raise(WG_EARG, "model_save: %s: GGUF cannot say %s", s->path, cannot);
    if (d && d != WG_F32 && d != WG_F16 && d != WG_BF16 && d != WG_Q8_0 && d != WG_Q4_0)
        return wg_raise(WG_EDTYPE,
                        "model_save: %s: f32, f16, bf16, q8_0 and q4_0 are written, not %s",
                        s->path, wg_dtype_name(d));
    output o = { .save = s,
                 .w = wg_gguf_writer_new(),
                 .arch = !strcmp(s->type, "mistral") ? "llama" : s->type };
    if (!o.w) return wg_error_code();
    s->config.rope_adjacent = !strcmp(o.arch, "llama");
    put_general(&o);
    put_sizes(&o);
    /* A GGUF file's own keys are there already. */
    if (s->model->tokenizer && !wg_gguf_has(s->model->gguf, "tokenizer.ggml.tokens"))
        (void)!wg_tokenizer_put_gguf(s->model->tokenizer, o.w);
    if (s->model->chat_template)
        wg_gguf_put_string(o.w, "tokenizer.chat_template", s->model->chat_template, -1);
    put_tensors(&o);
    (void)!wg_gguf_write(o.w, s->path);
    wg_gguf_writer_free(o.w);
    return wg_error_code();
}
