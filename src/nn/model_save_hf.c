/* Hugging Face folders that transformers loads: config.json, model.safetensors, tokenizer. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/model.h"
#include "wengert/error.h"
#include "wengert/io.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

/* The files of a folder, in the order in which they take their places. */
static const char *const files[] = { "tokenizer.json", "tokenizer_config.json",
                                     "chat_template.jinja", "model.safetensors", "config.json" };
enum { FILES = sizeof files / sizeof *files };

static void failed(const char *path)
{
    wg_raise(errno == ENOMEM ? WG_EMEM : WG_EIO, "%s: %s", path, strerror(errno));
}

/* ---- config.json ----------------------------------------------------------------------------- */
static const char *activation_name(wg_activation a)
{
    switch (a) {
    case WG_ACT_GELU: return "gelu";
    case WG_ACT_GELU_TANH: return "gelu_new";
    case WG_ACT_RELU: return "relu";
    case WG_ACT_SILU: return "silu";
    }
    return "";
}

/* A number that was f32 in a GGUF file, as it was written first: 1e-05 */
static double plain(double v)
{
    char text[32];
    snprintf(text, sizeof text, "%.7g", v);
    const double decimal = strtod(text, NULL);
    return (float)decimal == v ? decimal : v;
}

static json_t *integer(int64_t v)
{
    return json_integer((json_int_t)v);
}

static json_t *gpt2_config(const wg_transformer_config *c)
{
    return json_pack("{s:[s], s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:s, s:f, s:f, s:f}",
                     "architectures", "GPT2LMHeadModel", "model_type", "gpt2", "n_layer",
                     integer(c->layers), "n_head", integer(c->heads), "n_embd", integer(c->width),
                     "n_inner", integer(c->hidden), "vocab_size", integer(c->vocab), "n_positions",
                     integer(c->block), "layer_norm_epsilon", plain(c->eps), "activation_function",
                     activation_name(c->activation), "attn_pdrop", c->dropout, "embd_pdrop",
                     c->dropout, "resid_pdrop", c->dropout);
}

/* `rope_theta` and `rope_scaling`, which transformers from 4 on read. */
static void add_rope(json_t *root, const wg_transformer_config *c)
{
    const wg_rope_scaling *s = &c->rope_scaling;
    json_object_set_new(root, "rope_theta", json_real(plain(c->rope_base)));
    if (s->kind == WG_ROPE_LINEAR)
        json_object_set_new(
            root, "rope_scaling",
            json_pack("{s:s, s:f}", "rope_type", "linear", "factor", plain(s->factor)));
    else if (s->kind == WG_ROPE_LLAMA3)
        json_object_set_new(root, "rope_scaling",
                            json_pack("{s:s, s:f, s:f, s:f, s:o}", "rope_type", "llama3", "factor",
                                      s->factor, "low_freq_factor", s->low_freq_factor,
                                      "high_freq_factor", s->high_freq_factor,
                                      "original_max_position_embeddings",
                                      integer(s->original_context)));
}

static json_t *llama_config(const wg_transformer_config *c, const char *type)
{
    const bool qwen = !strcmp(type, "qwen2"), mistral = !strcmp(type, "mistral");
    json_t *root =
        json_pack("{s:[s], s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:s}", "architectures",
                  qwen      ? "Qwen2ForCausalLM"
                  : mistral ? "MistralForCausalLM"
                            : "LlamaForCausalLM",
                  "model_type", type, "num_hidden_layers", integer(c->layers),
                  "num_attention_heads", integer(c->heads), "num_key_value_heads",
                  integer(c->kv_heads), "head_dim", integer(c->head_size), "hidden_size",
                  integer(c->width), "intermediate_size", integer(c->hidden), "vocab_size",
                  integer(c->vocab), "max_position_embeddings", integer(c->block), "rms_norm_eps",
                  plain(c->eps), "hidden_act", activation_name(c->activation));
    if (!root) return NULL;
    add_rope(root, c);
    if (mistral || c->window)
        json_object_set_new(root, "sliding_window", c->window ? integer(c->window) : json_null());
    if (qwen) {
        json_object_set_new(root, "use_sliding_window", json_boolean(c->window > 0));
        json_object_set_new(root, "max_window_layers", integer(c->window ? 0 : c->layers));
    } else if (!mistral) {
        json_object_set_new(root, "attention_bias", json_boolean(!c->no_bias));
        json_object_set_new(root, "mlp_bias", json_boolean(!c->no_bias));
    }
    return root;
}

static const char *dtype_name(wg_dtype t)
{
    return t == WG_F16    ? "float16"
           : t == WG_BF16 ? "bfloat16"
           : t == WG_F64  ? "float64"
                          : "float32";
}

static void add_token(json_t *root, const char *name, int64_t id)
{
    json_object_set_new(root, name, id < 0 ? json_null() : integer(id));
}

static json_t *make_config(const wgi_save *s)
{
    const bool gpt2 = !strcmp(s->type, "gpt2");
    const wg_tokenizer *t = s->model->tokenizer;
    json_t *root = gpt2 ? gpt2_config(&s->config) : llama_config(&s->config, s->type);
    if (!root) {
        wg_raise(WG_EMEM, "%s: out of memory", s->path);
        return NULL;
    }
    json_object_set_new(root, "tie_word_embeddings", json_boolean(!s->config.untied));
    json_object_set_new(root, "torch_dtype", json_string(dtype_name(s->dtype)));
    if (t) {
        add_token(root, "bos_token_id", wg_tokenizer_bos(t));
        add_token(root, "eos_token_id", wg_tokenizer_eos(t));
    }
    return root;
}

/* GGUF keeps llama3's scaling as the factors themselves. They are of published models: low and high
 * 1 and 4, the original context a power of two. */
static bool name_factors(wgi_save *s)
{
    wg_tensor *given = s->model->rope_factors;
    if (!given) return true;
    const int64_t half = s->config.head_size / 2;
    const size_t bytes = (size_t)half * sizeof(float);
    float *f = wg_scope_alloc(bytes), *g = wg_scope_alloc(bytes);
    if (!f || !g || wg_read(given, f, bytes, WG_F32) != WG_OK) return false;
    wg_rope_scaling r = { WG_ROPE_LLAMA3, 1, 1, 4, 0 };
    for (int64_t k = 0; k < half; k++) r.factor = f[k] > r.factor ? f[k] : r.factor;
    for (r.original_context = 1; r.original_context <= 1 << 20; r.original_context *= 2) {
        s->config.rope_scaling = r;
        wg_tensor *made = wg_rope_factors(&s->config);
        if (wg_read(made, g, bytes, WG_F32) != WG_OK) return false;
        bool same = true;
        for (int64_t k = 0; k < half; k++) same &= fabsf(f[k] - g[k]) <= 1e-5f * f[k];
        if (same) return true;
    }
    wg_raise(WG_EARG,
             "model_save: %s: the file's rope_freqs are none that rope_scaling's llama3 gives",
             s->path);
    return false;
}

/* ---- tensors --------------------------------------------------------------------------------- */
static void write_tensors(const wgi_save *s, const char *path)
{
    const wgi_part_names *names = !strcmp(s->type, "gpt2") ? &wgi_hf_gpt2 : &wgi_hf_llama;
    wgi_slot slot;
    int64_t n = 0, i = 0;
    for (bool first = true; wgi_slot_next(&slot, first, &s->config, names); first = false) n++;
    wg_param_ref *p = wg_scope_alloc((size_t)n * sizeof *p);
    for (bool first = true; p && i < n && wgi_slot_next(&slot, first, &s->config, names);
         first = false, i++) {
        char *name = wg_scope_alloc(sizeof slot.name);
        if (!name) return;
        memcpy(name, slot.name, sizeof slot.name);
        p[i] =
            (wg_param_ref) { .name = name, .tensor = wg_cast(wgi_save_tensor(s, &slot), s->dtype) };
    }
    const wg_pair format = { "format", "pt" };
    if (!wg_error_code()) (void)!wg_safetensors_write(path, (wg_params) { n, p }, &format, 1);
}

/* ---- files ----------------------------------------------------------------------------------- */
static void write_text(const char *path, const char *text)
{
    const size_t n = strlen(text);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        failed(path);
        return;
    }
    size_t at = 0;
    for (ssize_t k; at < n && ((k = write(fd, text + at, n - at)) >= 0 || errno == EINTR);)
        if (k > 0) at += (size_t)k;
    if (at < n || fsync(fd) != 0) failed(path);
    close(fd);
}

static void write_json(const char *path, json_t *root)
{
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
    if (text)
        write_text(path, text);
    else if (!wg_error_code())
        wg_raise(WG_EMEM, "%s: out of memory", path);
    free(text);
    json_decref(root);
}

static void set_token(json_t *root, const char *name, const wg_tokenizer *t, int64_t id)
{
    const char *text = id < 0 ? NULL : wg_tokenizer_token(t, id, NULL);
    if (text) json_object_set_new(root, name, json_string(text));
}

static json_t *tokenizer_config(const wg_tokenizer *t)
{
    json_t *root = json_pack("{s:s, s:b, s:b, s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                             "add_bos_token", (int)wg_tokenizer_adds_bos(t), "add_eos_token",
                             (int)wg_tokenizer_adds_eos(t), "clean_up_tokenization_spaces", 0);
    if (!root) return NULL;
    set_token(root, "bos_token", t, wg_tokenizer_bos(t));
    set_token(root, "eos_token", t, wg_tokenizer_eos(t));
    return root;
}

static void write_one(const wgi_save *s, const char *file, const char *path)
{
    const wg_model *m = s->model;
    if (!strcmp(file, "config.json"))
        write_json(path, make_config(s));
    else if (!strcmp(file, "model.safetensors"))
        write_tensors(s, path);
    else if (!strcmp(file, "chat_template.jinja") && m->chat_template)
        write_text(path, m->chat_template);
    else if (!strcmp(file, "tokenizer.json") && m->tokenizer)
        (void)!wg_tokenizer_save(m->tokenizer, path);
    else if (!strcmp(file, "tokenizer_config.json") && m->tokenizer)
        write_json(path, tokenizer_config(m->tokenizer));
}

static void remove_folder(const char *folder)
{
    for (int i = 0; i < FILES; i++) {
        char *path = wgi_model_path(folder, files[i]);
        if (path) unlink(path);
        free(path);
    }
    rmdir(folder);
}

/* The new folder takes the name; where there is one already, its files are replaced, each whole. */
static void take_place(const char *temporary, const char *path)
{
    if (rename(temporary, path) == 0) return;                      /* also of an empty folder */
    if (errno != ENOTEMPTY && errno != EEXIST && errno != EBUSY) { /* busy: "." */
        failed(path);
        return;
    }
    for (int i = 0; i < FILES && !wg_error_code(); i++) {
        char *from = wgi_model_path(temporary, files[i]), *to = wgi_model_path(path, files[i]);
        if (from && to && access(from, F_OK) == 0 && rename(from, to) != 0) failed(to);
        free(from);
        free(to);
    }
}

static void sync_folder(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd); /* file systems that cannot are used without */
    close(fd);
}

static wg_status write_folder(wgi_save *s, char *temporary)
{
    remove_folder(temporary); /* what a killed process left */
    if (mkdir(temporary, 0777) != 0) {
        failed(temporary);
        return wg_error_code();
    }
    for (int i = 0; i < FILES && !wg_error_code(); i++) {
        char *path = wgi_model_path(temporary, files[i]);
        if (path) write_one(s, files[i], path);
        free(path);
    }
    if (!wg_error_code()) {
        sync_folder(temporary);
        take_place(temporary, s->path);
        sync_folder(s->path);
    }
    remove_folder(temporary);
    return wg_error_code();
}

wg_status wgi_save_hf(wgi_save *s)
{
    const wg_dtype embed = wg_dtype_of(s->params.p[0].tensor);
    if (!s->dtype) s->dtype = wg_dtype_is_float(embed) ? embed : WG_F32;
    if (!wg_dtype_is_float(s->dtype))
        return wg_raise(WG_EDTYPE, "model_save: %s: folders hold f32, f16 and bf16, not %s",
                        s->path, wg_dtype_name(s->dtype));
    s->config.rope_adjacent = false;
    if (!name_factors(s)) return wg_error_code();
    size_t n = strlen(s->path);
    char *temporary = malloc(n + sizeof ".tmp");
    if (!temporary) return wg_raise(WG_EMEM, "%s: out of memory", s->path);
    memcpy(temporary, s->path, n);
    while (n > 1 && temporary[n - 1] == '/') n--;
    memcpy(temporary + n, ".tmp", sizeof ".tmp");
    const wg_status st = write_folder(s, temporary);
    free(temporary);
    return st;
}
