/* The tokenizer in a GGUF file's metadata. Sources: ggml's docs/gguf.md; the meaning of
 * tokenizer.ggml.pre: llama.cpp's src/llama-vocab.cpp. */
#include <string.h>

#include "spelling.h"
#include "wengert/gguf.h"

#define KEY "tokenizer.ggml."
#define NONE 0xFFFFFFFF /* written by some for "no such token" */

static int64_t id_of(const wg_gguf *f, const char *key)
{
    const int64_t id = wg_gguf_int(f, key, -1);
    return id == NONE ? -1 : id;
}

static bool flag_of(const wg_gguf *f, const char *key, bool otherwise)
{
    return wg_gguf_int(f, key, otherwise) != 0;
}

/* The array is as long as the vocabulary, or is not there. */
static wg_status check_array(const wg_gguf *f, const char *key, int64_t n, bool *there,
                             const char *path)
{
    *there = wg_gguf_has(f, key);
    const int64_t size = wg_gguf_array_size(f, key);
    if (!*there || size == n) return WG_OK;
    return wg_raise(WG_EFORMAT, "%s: %s has %lld elements where the vocabulary has %lld", path, key,
                    (long long)size, (long long)n);
}

static wg_status put_added(wg_tokenizer *t, int64_t id, const char *path)
{
    const wgi_token *k = &t->vocab.tokens[id];
    wgi_added_token a = { .bytes = k->bytes, .size = k->size, .id = (int32_t)id };
    a.special = k->type == WGI_TOKEN_CONTROL || k->type == WGI_TOKEN_UNKNOWN;
    if (!a.special && (k->type != WGI_TOKEN_USER || !t->byte_level)) return WG_OK;
    return wgi_added_put(&t->raw, a, false) ? wg_raise(WG_EMEM, "%s: out of memory", path) : WG_OK;
}

static wg_status read_tokens(wg_tokenizer *t, const wg_gguf *f, const char *path)
{
    const int64_t n = wg_gguf_array_size(f, KEY "tokens");
    if (n <= 0) return wg_raise(WG_EFORMAT, "%s: " KEY "tokens is missing or empty", path);
    bool types, scores;
    if (check_array(f, KEY "token_type", n, &types, path) ||
        check_array(f, KEY "scores", n, &scores, path))
        return WG_EFORMAT;
    if (!scores && !t->byte_level)
        return wg_raise(WG_EFORMAT, "%s: " KEY "scores is missing", path);
    for (int64_t i = 0; i < n; i++) {
        int64_t size;
        const char *text = wg_gguf_array_string(f, KEY "tokens", i, &size);
        if (!text) return wg_error_code();
        const int64_t type = types ? wg_gguf_array_int(f, KEY "token_type", i) : WGI_TOKEN_NORMAL;
        if (wg_error_code()) return wg_error_code();
        if (type < 0 || type > WGI_TOKEN_BYTE)
            return wg_raise(WG_EFORMAT, "%s: token %lld has type %lld", path, (long long)i,
                            (long long)type);
        if (wgi_put_spelled(t, i, n, text, (size_t)size, type ? (int)type : WGI_TOKEN_UNUSED, path))
            return wg_error_code();
        if (scores) t->vocab.tokens[i].score = (float)wg_gguf_array_double(f, KEY "scores", i);
        if (put_added(t, i, path)) return wg_error_code();
    }
    return wg_error_code();
}

static wg_status read_merges(wg_tokenizer *t, const wg_gguf *f, const char *path)
{
    wgi_merges m = { 0 };
    const int64_t n = wg_gguf_array_size(f, KEY "merges");
    wg_status st = n >= 0 ? WG_OK : wg_raise(WG_EFORMAT, "%s: " KEY "merges is missing", path);
    if (!st && wgi_index_make(&m.index, t->vocab.n))
        st = wg_raise(WG_EMEM, "%s: out of memory", path);
    for (int64_t i = 0; i < t->vocab.n && !st; i++) {
        int64_t size;
        const char *text = wg_gguf_array_string(f, KEY "tokens", i, &size);
        wgi_index_put(&m.index, text, (size_t)size, (int32_t)i);
    }
    for (int64_t i = 0; i < n && !st; i++) {
        int64_t size;
        const char *line = wg_gguf_array_string(f, KEY "merges", i, &size);
        st = line ? wgi_merges_put_line(&m, t, line, (size_t)size, path) : wg_error_code();
    }
    wgi_merges_free(&m);
    return st;
}

static wg_status read_bpe(wg_tokenizer *t, const wg_gguf *f, const char *path)
{
    const char *pre = wg_gguf_string(f, KEY "pre", NULL);
    if (!pre) pre = "default";
    t->byte_level = true;
    wg_status st = wg_error_code();
    if (!st && flag_of(f, KEY "add_space_prefix", false))
        st = wgi_words_add(&t->words, WGI_CUT_SPACE, NULL, false, path);
    if (!st) st = wgi_words_named(&t->words, pre, &t->whole_words, path);
    t->adds_bos = t->whole_words; /* Llama-3's */
    if (!st) st = read_tokens(t, f, path);
    return st ? st : read_merges(t, f, path);
}

/* SentencePiece's. Where the file says nothing its ids are SentencePiece's defaults. */
static wg_status read_llama(wg_tokenizer *t, const wg_gguf *f, const char *path)
{
    t->byte_fallback = t->fuses_unknown = t->marks_spaces = true;
    t->adds_bos = true;
    t->unknown = 0;
    t->bos = 1;
    t->eos = 2;
    const bool prefix = flag_of(f, KEY "add_space_prefix", true);
    t->prefix = prefix ? WGI_PREFIX_ALWAYS : WGI_PREFIX_NONE;
    t->normalizer.squeezes = flag_of(f, KEY "remove_extra_whitespaces", false);
    t->strips = prefix || t->normalizer.squeezes;
    wg_status st = wgi_normalizer_add(&t->normalizer, WGI_NORM_REPLACE, WGI_SPACE_MARK, " ", path);
    if (!st) st = read_tokens(t, f, path);
    return st ? st : wgi_pairs_from_scores(t, path);
}

static wg_status read_ids(wg_tokenizer *t, const wg_gguf *f)
{
    const struct {
        const char *key;
        int64_t *id;
    } ids[] = { { KEY "bos_token_id", &t->bos },
                { KEY "eos_token_id", &t->eos },
                { KEY "unknown_token_id", &t->unknown },
                { KEY "padding_token_id", &t->padding },
                { KEY "eot_token_id", &t->turn_end } };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (wg_gguf_has(f, ids[i].key)) *ids[i].id = id_of(f, ids[i].key);
    t->adds_bos = flag_of(f, KEY "add_bos_token", t->adds_bos && t->bos >= 0);
    t->adds_eos = flag_of(f, KEY "add_eos_token", false);
    return wg_error_code();
}

static wg_status read_all(wg_tokenizer *t, const wg_gguf *f, const char *path)
{
    const char *model = wg_gguf_string(f, KEY "model", NULL);
    wg_status st = wg_error_code();
    if (st) return st;
    if (!model) return wg_raise(WG_EFORMAT, "%s: no tokenizer in it (" KEY "model)", path);
    if (wg_gguf_has(f, KEY "precompiled_charsmap"))
        return wg_raise(WG_EFORMAT, "%s: " KEY "precompiled_charsmap is not supported", path);
    if (strcmp(model, "gpt2") == 0)
        st = read_bpe(t, f, path);
    else if (strcmp(model, "llama") == 0)
        st = read_llama(t, f, path);
    else
        st = wg_raise(WG_EFORMAT, "%s: " KEY "model \"%.40s\"; gpt2 and llama are supported", path,
                      model);
    return st ? st : read_ids(t, f);
}

wg_status wgi_open_gguf(wg_tokenizer *t, const char *path)
{
    wg_gguf *f = wg_gguf_open(path);
    if (!f) return wg_error_code();
    const wg_status st = read_all(t, f, path);
    wg_gguf_close(f);
    return st;
}
