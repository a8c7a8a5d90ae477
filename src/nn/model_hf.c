/* Hugging Face folders: config.json, model.safetensors or its shards, the chat template. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nn/model.h"
#include "wengert/error.h"
#include "wengert/io.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

typedef struct {
    wgi_source base;
    const char *folder;
    int64_t n;
    wg_safetensors **shards; /* (n) */
    const char *prefix;      /* that its names lack: "transformer.", "model."; "" */
    bool skip_head;          /* lm_head.weight repeats the embedding */
    char name[256];
} folder;

char *wgi_model_path(const char *dir, const char *name)
{
    const size_t n = strlen(dir) + strlen(name) + 2;
    char *path = malloc(n);
    if (path)
        snprintf(path, n, "%s/%s", dir, name);
    else
        wg_raise(WG_EMEM, "%s: out of memory", dir);
    return path;
}

/* ---- shards ---------------------------------------------------------------------------------- */
static bool open_shard(folder *f, const char *name)
{
    wg_safetensors **more = realloc(f->shards, ((size_t)f->n + 1) * sizeof *more);
    if (!more) return wg_raise(WG_EMEM, "%s: out of memory", f->folder) == WG_OK;
    f->shards = more;
    char *path = wgi_model_path(f->folder, name);
    wg_safetensors *s = path ? wg_safetensors_open(path) : NULL;
    free(path);
    if (s) f->shards[f->n++] = s;
    return s != NULL;
}

/* Each name of the index must be in its shard. */
static bool check_index(const folder *f, const json_t *map, const json_t *numbers)
{
    const char *name;
    json_t *file;
    int64_t total = 0;
    json_object_foreach((json_t *)(uintptr_t)map, name, file)
    {
        const int64_t i = json_integer_value(json_object_get(numbers, json_string_value(file)));
        const wg_scope s = wg_scope_push();
        const bool there = wg_safetensors_get(f->shards[i], name) != NULL;
        wg_scope_return(s, NULL);
        if (!there)
            return wg_raise(WG_EFORMAT,
                            "%s: the index has tensor \"%.200s\" in %.200s, which lacks it",
                            f->folder, name, json_string_value(file)) == WG_OK;
    }
    for (int64_t i = 0; i < f->n; i++) total += wg_safetensors_count(f->shards[i]);
    if (total == (int64_t)json_object_size(map)) return true;
    return wg_raise(WG_EFORMAT, "%s: %" PRId64 " tensors in all shards, %zu in the index",
                    f->folder, total, json_object_size(map)) == WG_OK;
}

/* model.safetensors.index.json: {"weight_map": {tensor: file}}. */
static bool open_shards(folder *f, const char *index)
{
    json_t *root = wgi_json_read(index), *numbers = json_object();
    const json_t *map = json_object_get(root, "weight_map");
    const char *name;
    json_t *file;
    if (root && !json_is_object(map)) wg_raise(WG_EFORMAT, "%s: no \"weight_map\"", index);
    json_object_foreach((json_t *)(uintptr_t)map, name, file)
    {
        const char *text = json_string_value(file);
        if (wg_error_code()) break;
        if (!text || !*text || strchr(text, '/'))
            wg_raise(WG_EFORMAT, "%s: tensor \"%.200s\" is in no file of this folder", index, name);
        else if (!json_object_get(numbers, text) && open_shard(f, text) &&
                 json_object_set_new(numbers, text, json_integer(f->n - 1)) != 0)
            wg_raise(WG_EMEM, "%s: out of memory", index);
    }
    const bool good = !wg_error_code() && check_index(f, map, numbers);
    json_decref(root);
    json_decref(numbers);
    return good;
}

static bool open_weights(folder *f)
{
    char *one = wgi_model_path(f->folder, "model.safetensors");
    char *index = wgi_model_path(f->folder, "model.safetensors.index.json");
    bool good = false;
    if (one && index) {
        if (access(one, F_OK) == 0)
            good = open_shard(f, "model.safetensors");
        else if (access(index, F_OK) == 0)
            good = open_shards(f, index);
        else
            wg_raise(WG_ENOTFOUND, "%s: no model.safetensors and no model.safetensors.index.json",
                     f->folder);
    }
    free(one);
    free(index);
    return good;
}

/* ---- the source ------------------------------------------------------------------------------ */
static wg_tensor *find(const folder *f, const char *name)
{
    for (int64_t i = 0; i < f->n; i++) {
        wg_tensor *t = wg_safetensors_get(f->shards[i], name);
        if (t) return t;
    }
    return NULL;
}

static wg_tensor *get(wgi_source *s, const wgi_slot *slot)
{
    const folder *f = (const folder *)s;
    const size_t skip = slot->part == WGI_HEAD ? 0 : strlen(f->prefix);
    return find(f, slot->name + skip);
}

static const char *name_at(wgi_source *s, int64_t i)
{
    folder *f = (folder *)s;
    for (int64_t k = 0; k < f->n; k++) {
        const int64_t n = wg_safetensors_count(f->shards[k]);
        if (i >= n) {
            i -= n;
            continue;
        }
        const char *name = wg_safetensors_name(f->shards[k], i);
        if (!*f->prefix || !strncmp(name, "lm_head.", 8)) return name;
        snprintf(f->name, sizeof f->name, "%s%s", f->prefix, name);
        return f->name;
    }
    return NULL;
}

/* Buffers that some versions of transformers save. */
static bool ignored(wgi_source *s, const char *name)
{
    const folder *f = (const folder *)s;
    return wg_match("*.attn.bias", name) || wg_match("*.attn.masked_bias", name) ||
           wg_match("*.rotary_emb.inv_freq", name) ||
           (f->skip_head && !strcmp(name, "lm_head.weight"));
}

/* A tied model's file may hold the matrix under both names. */
static void check_tie(folder *f)
{
    char embed[64];
    snprintf(embed, sizeof embed, "%s.weight", f->base.names->part[WGI_EMBED].name);
    wg_tensor *head = find(f, "lm_head.weight"), *tok = find(f, embed + strlen(f->prefix));
    if (f->base.config.untied || !head || !tok || wg_error_code()) return;
    const size_t bytes = (size_t)wg_numel(head) * wg_dtype_size(wg_dtype_of(head));
    f->skip_head = wg_dtype_of(head) == wg_dtype_of(tok) && wg_numel(head) == wg_numel(tok) &&
                   (!bytes || !memcmp(wg_data(head), wg_data(tok), bytes));
    if (!f->skip_head)
        wg_raise(WG_EFORMAT,
                 "%s: tie_word_embeddings is true, and lm_head.weight is not the embedding",
                 f->folder);
}

static void find_prefix(folder *f)
{
    const char *embed = f->base.names->part[WGI_EMBED].name, *dot = strchr(embed, '.');
    char name[64], bare[64];
    snprintf(name, sizeof name, "%s.weight", embed);
    snprintf(bare, sizeof bare, "%s.weight", dot + 1);
    const bool lacks = !find(f, name) && find(f, bare);
    f->prefix = !lacks ? "" : f->base.names == &wgi_hf_gpt2 ? "transformer." : "model.";
}

/* ---- the chat template ----------------------------------------------------------------------- */
static char *copy_text(const char *text, int64_t bytes)
{
    char *copy = malloc((size_t)bytes + 1);
    if (!copy) {
        wg_raise(WG_EMEM, "chat template: out of memory");
        return NULL;
    }
    if (bytes) memcpy(copy, text, (size_t)bytes);
    copy[bytes] = '\0';
    return copy;
}

/* A string, or a list of named ones whose "default" counts. */
static const char *template_of(const json_t *v)
{
    size_t i;
    json_t *t;
    if (json_is_string(v)) return json_string_value(v);
    json_array_foreach(v, i, t)
    {
        const char *name = json_string_value(json_object_get(t, "name"));
        if (name && !strcmp(name, "default"))
            return json_string_value(json_object_get(t, "template"));
    }
    return NULL;
}

static char *read_template(const char *dir)
{
    char *jinja = wgi_model_path(dir, "chat_template.jinja");
    char *config = wgi_model_path(dir, "tokenizer_config.json");
    char *text = NULL;
    if (jinja && access(jinja, F_OK) == 0) {
        wg_file *f = wg_file_open(jinja);
        if (f) text = copy_text(wg_file_data(f), wg_file_bytes(f));
        wg_file_close(f);
    } else if (config && access(config, F_OK) == 0) {
        json_t *root = wgi_json_read(config);
        const char *t = template_of(json_object_get(root, "chat_template"));
        if (t) text = copy_text(t, (int64_t)strlen(t));
        json_decref(root);
    }
    free(jinja);
    free(config);
    return text;
}

/* ---------------------------------------------------------------------------------------------- */
void wgi_model_open_hf(wg_model *m, const wg_model_args *a)
{
    folder f = { .base = { .path = a->path, .get = get, .name = name_at, .ignored = ignored },
                 .folder = a->path,
                 .prefix = "" };
    char *path = wgi_model_path(a->path, "config.json");
    json_t *root = path ? wgi_json_read(path) : NULL;
    const wg_scope s = wg_scope_push();
    if (root && wgi_hf_config(path, root, &f.base.config) && open_weights(&f)) {
        f.base.names = f.base.config.names == WG_NAMES_NANOGPT ? &wgi_hf_gpt2 : &wgi_hf_llama;
        find_prefix(&f);
        check_tie(&f);
        m->module = wgi_model_load(&f.base, a);
    }
    wg_scope_return(s, NULL);
    if (m->module) m->chat_template = read_template(a->path);
    json_decref(root);
    free(path);
    for (int64_t i = 0; i < f.n; i++) wg_safetensors_close(f.shards[i]);
    free(f.shards);
    m->kind = WG_FILE_HF;
}
