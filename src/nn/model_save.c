/* Writing models: what a format can say, and the module's tensors as files want them. */
#include <string.h>

#include "nn/model.h"
#include "nn/parts.h"
#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

/* ---- which architecture ---------------------------------------------------------------------- */
/* What a GPT-2 cannot be; NULL: it is one. */
static const char *no_gpt2(const wg_transformer_config *c)
{
    if (c->norm != WG_NORM_LAYER) return "learned positions without LayerNorm";
    if (c->mlp != WG_MLP_PLAIN) return "learned positions with a gated MLP";
    if (c->kv_heads != c->heads) return "learned positions with grouped heads";
    if (c->head_size * c->heads != c->width) return "learned positions with a head size of its own";
    if (c->window) return "learned positions with a window";
    if (!wgi_names_of(c->names)->qkv) return "learned positions with q, k and v apart";
    if (c->no_bias && c->qkv_bias) return "learned positions with biases in q, k, v alone";
    return NULL;
}

static const char *no_llama(const wg_transformer_config *c)
{
    if (c->norm != WG_NORM_RMS) return "rope without RMSNorm";
    if (c->mlp != WG_MLP_GATED) return "rope without a gated MLP";
    if (wgi_names_of(c->names)->qkv) return "rope with q, k and v in one";
    if (!c->no_bias && c->window) return "biases with a window";
    return NULL;
}

static bool find_type(wgi_save *s)
{
    const wg_transformer_config *c = &s->config;
    const char *cannot = c->position == WG_POS_LEARNED ? no_gpt2(c)
                         : c->position == WG_POS_ROPE  ? no_llama(c)
                                                       : "no positions";
    if (cannot) {
        wg_raise(WG_EARG, "model_save: %s: no format has a transformer of %s", s->path, cannot);
        return false;
    }
    if (c->position == WG_POS_LEARNED)
        s->type = "gpt2";
    else if (c->no_bias && c->qkv_bias)
        s->type = "qwen2";
    else
        s->type = c->window ? "mistral" : "llama";
    return true;
}

/* ---- tensors --------------------------------------------------------------------------------- */
static wg_tensor *find(const wgi_save *s, const char *path)
{
    for (int64_t i = 0; i < s->params.n; i++)
        if (!strcmp(s->params.p[i].name, path)) return s->params.p[i].tensor;
    return NULL;
}

/* Rows of q or k, (H D, ...): from halves (x_k, x_{k + D/2}) to adjacent pairs (x_2k, x_{2k + 1}),
 * or back. */
static wg_tensor *reorder(wg_tensor *x, int64_t head_size, bool to_adjacent)
{
    const wg_dims shape = wg_shape(x);
    const int64_t heads = shape.d[0] / head_size, half = head_size / 2, C = shape.d[1];
    const bool bias = shape.n == 1;
    wg_dims split = WG_DIMS(heads, half, 2, C);
    if (to_adjacent) split = WG_DIMS(heads, 2, half, C);
    split.n = bias ? 3 : 4;
    return wg_reshape(wg_contiguous(wg_transpose(wg_reshape(x, split), 1, 2)), shape);
}

wg_tensor *wgi_save_tensor(const wgi_save *s, const wgi_slot *slot)
{
    const wg_transformer_config *own = wg_transformer_config_of(s->model->module);
    wg_tensor *t = find(s, slot->path);
    /* transformers and llama.cpp have GPT-2 with biases only. */
    if (!t && slot->bias && own->no_bias) return wg_zeros(slot->shape);
    if (!t)
        return wg_fail(WG_EARG,
                       "model_save: the model has no parameter %s (adapters are merged first)",
                       slot->path);
    if (slot->rotated && own->rope_adjacent != s->config.rope_adjacent)
        t = reorder(t, own->head_size, s->config.rope_adjacent);
    return slot->in_out ? wg_transpose(t, 0, 1) : t;
}

/* Every parameter has a place in the file. */
static bool all_placed(const wgi_save *s)
{
    const wg_transformer_config *own = wg_transformer_config_of(s->model->module);
    wgi_slot slot;
    int64_t n = 0;
    for (bool first = true; wgi_slot_next(&slot, first, own, NULL); first = false) n++;
    if (n == s->params.n) return true;
    wg_raise(WG_EARG,
             "model_save: the model has %lld parameters where its configuration makes %lld: what "
             "was added to it (adapters) has no place in the file",
             (long long)s->params.n, (long long)n);
    return false;
}

static wg_file_kind kind_of(const wg_model_save_args *a)
{
    const size_t n = strlen(a->path);
    if (a->kind) return a->kind;
    return n > 5 && !strcmp(a->path + n - 5, ".gguf") ? WG_FILE_GGUF : WG_FILE_HF;
}

wg_status wg_model_save_call(wg_model_save_args a)
{
    if (wg_error_code()) return wg_error_code();
    if (!a.model || !a.model->module || !a.path || !*a.path)
        return wg_raise(WG_EARG, "model_save: no model or no path given");
    const wg_file_kind kind = kind_of(&a);
    if (kind != WG_FILE_HF && kind != WG_FILE_GGUF)
        return wg_raise(WG_EARG, "model_save: %s: models are written as folders and GGUF", a.path);
    const wg_transformer_config *own = wg_transformer_config_of(a.model->module);
    if (!own) return wg_error_code();
    const wg_scope scope = wg_scope_push();
    wg_use_grad(false);
    wg_use_device(wg_cpu());
    wg_use_dtype(WG_F32);
    wgi_save s = { .model = a.model,
                   .path = a.path,
                   .dtype = a.dtype,
                   .config = *own,
                   .params = wg_module_params(a.model->module) };
    if (all_placed(&s) && find_type(&s)) {
        if (s.config.position == WG_POS_LEARNED) s.config.no_bias = false;
        (void)!(kind == WG_FILE_HF ? wgi_save_hf(&s) : wgi_save_gguf(&s));
    }
    return wg_scope_pop(scope);
}
