/* tokenizer_config.json, which names the tokens that begin and end a text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "tensor/internal.h"

char *wgi_beside(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    const size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
    char *beside = wgi_malloc(folder + strlen(name) + 1);
    if (!beside) {
        wg_raise(WG_EMEM, "%s: out of memory", path);
        return NULL;
    }
    memcpy(beside, path, folder);
    strcpy(beside + folder, name);
    return beside;
}

static int64_t find(const wg_tokenizer *t, const char *text)
{
    const size_t n = strlen(text);
    for (int64_t i = 0; i < t->vocab.n; i++) {
        const wgi_token *k = &t->vocab.tokens[i];
        if (k->type && k->size == n && memcmp(k->bytes, text, n) == 0) return i;
    }
    return -1;
}

/* "bos_token": a string, or an object with "content". Names a token that must be there, or is
 * null. */
static wg_status read_token(const wg_tokenizer *t, const json_t *config, const char *key,
                            int64_t *id, const char *path)
{
    const json_t *value = json_object_get(config, key);
    if (!value) return WG_OK;
    if (json_is_object(value)) value = json_object_get(value, "content");
    *id = json_is_string(value) ? find(t, json_string_value(value)) : -1;
    if (!json_is_string(value) || *id >= 0) return WG_OK;
    return wg_raise(WG_EFORMAT, "%s: %s \"%.60s\" is no token of the vocabulary", path, key,
                    json_string_value(value));
}

static wg_status add_decoder_tokens(wg_tokenizer *t, const json_t *all, const wgi_index *index,
                                    const char *path)
{
    const int64_t limit = 2 * (t->vocab.n + (int64_t)json_object_size(all)) + 1024;
    const char *key;
    json_t *entry;
    json_object_foreach((json_t *)(uintptr_t)all, key, entry)
    {
        char *end;
        const long long id = strtoll(key, &end, 10);
        if (!*key || *end)
            return wg_raise(WG_EFORMAT, "%s: added_tokens_decoder: \"%.20s\" is no id", path, key);
        const wg_status st = wgi_json_added(t, entry, id, limit, index, path);
        if (st) return st;
    }
    return WG_OK;
}

static void read_flag(const json_t *config, const char *key, bool *flag)
{
    const json_t *value = json_object_get(config, key);
    if (json_is_boolean(value)) *flag = json_is_true(value);
}

static wg_status read_config(wg_tokenizer *t, const json_t *config, bool decoder,
                             const wgi_index *index, char **class_name, const char *path)
{
    const char *name = json_string_value(json_object_get(config, "tokenizer_class"));
    if (class_name && name) {
        *class_name = wgi_malloc(strlen(name) + 1);
        if (!*class_name) return wg_raise(WG_EMEM, "%s: out of memory", path);
        strcpy(*class_name, name);
    }
    wg_status st = WG_OK;
    if (decoder)
        st = add_decoder_tokens(t, json_object_get(config, "added_tokens_decoder"), index, path);
    if (!st) st = read_token(t, config, "bos_token", &t->bos, path);
    if (!st) st = read_token(t, config, "eos_token", &t->eos, path);
    const json_t *padding = json_object_get(config, "pad_token");
    if (json_is_string(padding)) t->padding = find(t, json_string_value(padding));
    read_flag(config, "add_bos_token", &t->adds_bos);
    read_flag(config, "add_eos_token", &t->adds_eos);
    t->adds_bos &= t->bos >= 0;
    t->adds_eos &= t->eos >= 0;
    return st;
}

/* The first of the names that is a special token. */
static void guess(const wg_tokenizer *t, int64_t *id, const char *const names[])
{
    for (; *id < 0 && *names; names++) {
        const int64_t k = find(t, *names);
        if (k >= 0 && t->vocab.tokens[k].type == WGI_TOKEN_CONTROL) *id = k;
    }
}

wg_status wgi_json_config(wg_tokenizer *t, const char *path, bool decoder, const wgi_index *index,
                          char **class_name)
{
    char *name = wgi_beside(path, "tokenizer_config.json");
    if (!name) return wg_error_code();
    wg_status st = WG_OK;
    json_t *config = NULL;
    if (access(name, F_OK) == 0) {
        wgi_mapping *file = wgi_mapping_open(name);
        config = file ? wgi_json_object(name, file) : NULL;
        wgi_mapping_unref(file);
        st = config ? read_config(t, config, decoder, index, class_name, name) : wg_error_code();
    }
    static const char *const begin[] = { "<s>",   "<|begin_of_text|>", "<|startoftext|>",
                                         "<bos>", "<|endoftext|>",     NULL };
    static const char *const end[] = { "</s>",  "<|end_of_text|>", "<|endoftext|>",
                                       "<eos>", "<|eot_id|>",      NULL };
    if (!json_object_get(config, "bos_token")) guess(t, &t->bos, begin);
    if (!json_object_get(config, "eos_token")) guess(t, &t->eos, end);
    json_decref(config);
    free(name);
    return st;
}
