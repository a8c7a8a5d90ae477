/* tokenizer.json: the model (its vocabulary and merges) and the added tokens. */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "tensor/internal.h"

json_t *wgi_json_object(const char *path, const wgi_mapping *file)
{
    json_error_t error;
    json_t *root =
        json_loadb((const char *)file->data, file->bytes, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        wg_raise(WG_EFORMAT, "%s: no JSON: %s at byte %d", path, error.text, error.position);
        return NULL;
    }
    if (json_is_object(root)) return root;
    json_decref(root);
    wg_raise(WG_EFORMAT, "%s: its JSON is no object", path);
    return NULL;
}

/* ---- tokens ---------------------------------------------------------------------------------- */
wg_status wgi_json_vocab(wg_tokenizer *t, const json_t *vocab, wgi_index *index, const char *path)
{
    const int64_t n = (int64_t)json_object_size(vocab);
    if (!json_is_object(vocab) || n == 0)
        return wg_raise(WG_EFORMAT, "%s: the vocabulary is missing, empty or no object", path);
    if (wgi_index_make(index, n)) return wg_raise(WG_EMEM, "%s: out of memory", path);
    const char *spelling;
    json_t *id;
    json_object_foreach((json_t *)(uintptr_t)vocab, spelling, id)
    {
        if (!json_is_integer(id))
            return wg_raise(WG_EFORMAT, "%s: the id of token \"%.60s\" is no integer", path,
                            spelling);
        const size_t size = strlen(spelling);
        /* A few ids may be left out. */
        if (wgi_put_spelled(t, json_integer_value(id), 2 * n + 1024, spelling, size,
                            WGI_TOKEN_NORMAL, path))
            return wg_error_code();
        wgi_index_put(index, spelling, size, (int32_t)json_integer_value(id));
    }
    return WG_OK;
}

static bool flag_of(const json_t *object, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

/* The token's text as it stands in a normalised text. */
static wg_status put_normalized(wg_tokenizer *t, wgi_added_token token, const char *path)
{
    wgi_buffer buffers[2] = { { 0 } };
    wg_status st = wgi_normalize(&t->normalizer, &t->kept, &token.bytes, &token.size, buffers);
    if (!st) st = wgi_added_put(&t->normalized, token, true);
    free(buffers[0].bytes);
    free(buffers[1].bytes);
    return st ? wg_raise(WG_EMEM, "%s: out of memory", path) : WG_OK;
}

wg_status wgi_json_added(wg_tokenizer *t, const json_t *entry, int64_t id, int64_t limit,
                         const wgi_index *index, const char *path)
{
    const char *content = json_string_value(json_object_get(entry, "content"));
    if (!content || !*content)
        return wg_raise(WG_EFORMAT, "%s: added token %lld has no content", path, (long long)id);
    if (flag_of(entry, "single_word", false))
        return wg_raise(WG_EFORMAT, "%s: added token \"%.60s\": single_word is not supported", path,
                        content);
    const size_t n = strlen(content);
    const int32_t known = wgi_index_find(index, content, n);
    if (known >= 0 && known != id)
        return wg_raise(WG_EFORMAT,
                        "%s: added token \"%.60s\" has id %lld, in the vocabulary it has %d", path,
                        content, (long long)id, known);
    const bool special = flag_of(entry, "special", false);
    if (known >= 0) t->vocab.tokens[id].type = 0;
    wgi_added_token token = { .bytes = content,
                              .size = n,
                              .special = special,
                              .left = flag_of(entry, "lstrip", false),
                              .right = flag_of(entry, "rstrip", false) };
    const wg_status st = wgi_put_spelled(t, id, limit, content, n,
                                         special ? WGI_TOKEN_CONTROL : WGI_TOKEN_USER, path);
    if (st) return st;
    token.id = (int32_t)id;
    if (flag_of(entry, "normalized", !special)) return put_normalized(t, token, path);
    return wgi_added_put(&t->raw, token, true) ? wg_raise(WG_EMEM, "%s: out of memory", path)
                                               : WG_OK;
}

static wg_status add_tokens(wg_tokenizer *t, const json_t *added, const wgi_index *index,
                            const char *path)
{
    if (added && !json_is_null(added) && !json_is_array(added))
        return wg_raise(WG_EFORMAT, "%s: \"added_tokens\" is no array", path);
    const int64_t limit = 2 * (t->vocab.n + (int64_t)json_array_size(added)) + 1024;
    const json_t *entry;
    size_t i;
    json_array_foreach(added, i, entry)
    {
        const json_t *id = json_object_get(entry, "id");
        if (!json_is_integer(id))
            return wg_raise(WG_EFORMAT, "%s: added token %zu has no id", path, i);
        const wg_status st = wgi_json_added(t, entry, json_integer_value(id), limit, index, path);
        if (st) return st;
    }
    return WG_OK;
}

/* ---- the model ------------------------------------------------------------------------------- */
static wg_status add_merges(wg_tokenizer *t, const json_t *merges, wgi_merges *m, const char *path)
{
    if (!json_is_array(merges))
        return wg_raise(WG_EFORMAT, "%s: \"merges\" is missing or no array", path);
    const json_t *merge;
    size_t i;
    json_array_foreach(merges, i, merge)
    {
        const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);
        wg_status st;
        if (json_is_string(merge))
            st = wgi_merges_put_line(m, t, json_string_value(merge), json_string_length(merge),
                                     path);
        else if (json_array_size(merge) == 2 && json_is_string(left) && json_is_string(right))
            st = wgi_merges_put(m, t, json_string_value(left), json_string_length(left),
                                json_string_value(right), json_string_length(right), path);
        else
            st = wg_raise(WG_EFORMAT, "%s: merge %zu is no string and no pair", path, i);
        if (st) return st;
    }
    return WG_OK;
}

/* What the model must not ask for. */
static wg_status check_model(const json_t *model, const char *path)
{
    const char *type = json_string_value(json_object_get(model, "type"));
    if (!json_is_object(model)) return wg_raise(WG_EFORMAT, "%s: \"model\" is missing", path);
    if (type && strcmp(type, "BPE") != 0)
        return wg_raise(WG_EFORMAT, "%s: a model of type %.40s; only BPE is supported", path, type);
    if (json_number_value(json_object_get(model, "dropout")) != 0)
        return wg_raise(WG_EFORMAT, "%s: dropout of merges is not supported", path);
    static const char *const affixes[] = { "continuing_subword_prefix", "end_of_word_suffix" };
    for (int i = 0; i < 2; i++)
        if (json_string_length(json_object_get(model, affixes[i])))
            return wg_raise(WG_EFORMAT, "%s: %s is not supported", path, affixes[i]);
    return WG_OK;
}

static wg_status read_model(wg_tokenizer *t, const json_t *root, wgi_merges *m, const char *path)
{
    const json_t *model = json_object_get(root, "model");
    wg_status st = check_model(model, path);
    t->byte_fallback = flag_of(model, "byte_fallback", false);
    t->fuses_unknown = flag_of(model, "fuse_unk", false);
    t->whole_words = flag_of(model, "ignore_merges", false);
    if (!st) st = wgi_json_before(t, root, path);
    if (!st) st = wgi_json_vocab(t, json_object_get(model, "vocab"), &m->index, path);
    if (!st) st = add_merges(t, json_object_get(model, "merges"), m, path);
    const json_t *unknown = json_object_get(model, "unk_token");
    if (!st && json_is_string(unknown)) {
        t->unknown =
            wgi_index_find(&m->index, json_string_value(unknown), json_string_length(unknown));
        if (t->unknown < 0)
            st = wg_raise(WG_EFORMAT, "%s: unk_token \"%.60s\" is no token", path,
                          json_string_value(unknown));
    }
    if (!st) st = add_tokens(t, json_object_get(root, "added_tokens"), &m->index, path);
    if (!st) st = wgi_json_after(t, root, path);
    return st;
}

wg_status wgi_open_json(wg_tokenizer *t, const char *path, const wgi_mapping *file)
{
    json_t *root = wgi_json_object(path, file);
    if (!root) return wg_error_code();
    wgi_merges m = { 0 };
    wg_status st = read_model(t, root, &m, path);
    if (!st) st = wgi_json_config(t, path, false, &m.index, NULL);
    wgi_merges_free(&m);
    json_decref(root);
    return st;
}
