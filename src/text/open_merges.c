/* GPT-2's encoder.json + vocab.bpe, by Hugging Face called vocab.json + merges.txt. */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "tensor/internal.h"

static wg_status read_merges(wg_tokenizer *t, wgi_merges *m, const char *path)
{
    wgi_mapping *file = wgi_mapping_open(path);
    if (!file) return wg_error_code();
    const char *text = (const char *)file->data;
    wg_status st = WG_OK;
    for (size_t at = 0; at < file->bytes && !st;) {
        const char *end = memchr(text + at, '\n', file->bytes - at);
        const size_t next = end ? (size_t)(end - text) : file->bytes;
        size_t n = next - at;
        if (n && text[at + n - 1] == '\r') n--;
        const bool version = n >= 9 && memcmp(text + at, "#version:", 9) == 0;
        if (n && !(at == 0 && version)) st = wgi_merges_put_line(m, t, text + at, n, path);
        at = next + 1;
    }
    if (!st && m->rank == 0) st = wg_raise(WG_EFORMAT, "%s: no merges in it", path);
    wgi_mapping_unref(file);
    return st;
}

/* A token <like this> that no merge makes is a special one: the files do not say so. */
static wg_status mark_control(wg_tokenizer *t, const char *path)
{
    bool *made = wgi_malloc((size_t)t->vocab.n);
    if (!made) return wg_raise(WG_EMEM, "%s: out of memory", path);
    memset(made, 0, (size_t)t->vocab.n);
    for (uint64_t i = 0; i < t->pairs.room; i++)
        if (t->pairs.slots[i].key != WGI_NO_PAIR) made[t->pairs.slots[i].id] = true;
    wg_status st = WG_OK;
    for (int64_t i = 0; i < t->vocab.n && !st; i++) {
        wgi_token *k = &t->vocab.tokens[i];
        if (made[i] || k->type != WGI_TOKEN_NORMAL || k->size < 3 || k->bytes[0] != '<' ||
            k->bytes[k->size - 1] != '>')
            continue;
        k->type = WGI_TOKEN_CONTROL;
        const wgi_added_token a = {
            .bytes = k->bytes, .size = k->size, .id = (int32_t)i, .special = true
        };
        if (wgi_added_put(&t->raw, a, true)) st = wg_raise(WG_EMEM, "%s: out of memory", path);
    }
    free(made);
    return st;
}

/* The pattern that goes with the class that tokenizer_config.json names. */
static wg_status add_words(wg_tokenizer *t, const char *class_name, const char *path)
{
    static const char *const gpt2[] = { "GPT2Tokenizer", "GPT2TokenizerFast" };
    static const char *const qwen2[] = { "Qwen2Tokenizer", "Qwen2TokenizerFast" };
    for (int i = 0; i < 2; i++) {
        if (!class_name || strcmp(class_name, gpt2[i]) == 0)
            return wgi_words_named(&t->words, "gpt-2", &t->whole_words, path);
        if (strcmp(class_name, qwen2[i]) == 0)
            return wgi_normalizer_add(&t->normalizer, WGI_NORM_NFC, NULL, NULL, path)
                       ? wg_error_code()
                       : wgi_words_named(&t->words, "qwen2", &t->whole_words, path);
    }
    return wg_raise(
        WG_EFORMAT,
        "%s: tokenizer_class \"%.60s\" beside it: only GPT2Tokenizer and Qwen2Tokenizer are "
        "known without a tokenizer.json",
        path, class_name);
}

wg_status wgi_open_merges(wg_tokenizer *t, const char *vocab, const char *merges)
{
    wgi_mapping *file = wgi_mapping_open(vocab);
    json_t *root = file ? wgi_json_object(vocab, file) : NULL;
    wgi_mapping_unref(file);
    if (!root) return wg_error_code();
    wgi_merges m = { 0 };
    char *class_name = NULL;
    t->byte_level = true;
    wg_status st = wgi_json_vocab(t, root, &m.index, vocab);
    if (!st) st = read_merges(t, &m, merges);
    if (!st) st = mark_control(t, vocab);
    if (!st) st = wgi_json_config(t, vocab, true, &m.index, &class_name);
    if (!st) st = add_words(t, class_name, vocab);
    free(class_name);
    wgi_merges_free(&m);
    json_decref(root);
    return st;
}
