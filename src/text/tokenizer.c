#include "tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spelling.h"
#include "tensor/internal.h"

wg_tokenizer *wgi_tokenizer_new(const char *what)
{
    wg_tokenizer *t = wgi_malloc(sizeof *t);
    if (!t) {
        wg_raise(WG_EMEM, "%s: out of memory", what);
        return NULL;
    }
    *t = (wg_tokenizer) { .bos = -1, .eos = -1, .unknown = -1, .padding = -1, .turn_end = -1 };
    return t;
}

void wg_tokenizer_free(wg_tokenizer *t)
{
    if (!t) return;
    wgi_vocab_free(&t->vocab);
    wgi_pairs_free(&t->pairs);
    wgi_normalizer_free(&t->normalizer);
    wgi_words_free(&t->words);
    wgi_added_free(&t->raw);
    wgi_added_free(&t->normalized);
    wgi_added_free(&t->frozen);
    wgi_added_free(&t->kept);
    free(t->is_end);
    free(t);
}

/* ---- what is derived ------------------------------------------------------------------------- */
/* A space after another character inside a token. */
static bool has_inner_space(const wgi_token *t)
{
    for (uint32_t i = 1; i < t->size; i++)
        if (t->bytes[i] == ' ' && t->bytes[i - 1] != ' ') return true;
    return false;
}

static void find_bytes(wg_tokenizer *t)
{
    for (int c = 0; c < 256; c++) t->byte_id[c] = -1;
    for (int c = 0; c < 128; c++) t->ascii_id[c] = -1;
    for (int64_t i = t->vocab.n; i-- > 0;) {
        const wgi_token *k = &t->vocab.tokens[i];
        const bool of_texts = k->type == WGI_TOKEN_NORMAL || k->type == WGI_TOKEN_USER;
        if (k->size != 1 || k->literal) continue;
        const uint8_t c = (uint8_t)k->bytes[0];
        if (k->type == WGI_TOKEN_BYTE || (t->byte_level && k->type == WGI_TOKEN_NORMAL))
            t->byte_id[c] = (int32_t)i;
        if (of_texts && c < 128) t->ascii_id[c] = (int32_t)i;
    }
}

/* Names of tokens that end a text or a turn, in the vocabularies of well-known models. */
static bool ends_by_name(const char *name)
{
    static const char *const names[] = {
        "<|endoftext|>",   "<|im_end|>", "<|eot_id|>",      "<|eom_id|>",      "<|eot|>",
        "<|end_of_text|>", "<|end|>",    "<end_of_turn>",   "<|end_of_turn|>", "</s>",
        "<eos>",           "<EOT>",      "<|endofmessage|>"
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

static wg_status mark_special(wg_tokenizer *t)
{
    const size_t n = (size_t)t->vocab.n;
    t->is_end = wgi_malloc(2 * n + 1);
    if (!t->is_end) return WG_EMEM;
    t->is_special = t->is_end + n;
    for (size_t i = 0; i < n; i++) {
        const wgi_token *k = &t->vocab.tokens[i];
        const int64_t id = (int64_t)i;
        t->is_special[i] = k->type == WGI_TOKEN_CONTROL || k->type == WGI_TOKEN_UNKNOWN;
        t->is_end[i] =
            id == t->eos || id == t->turn_end || (t->is_special[i] && ends_by_name(k->bytes));
    }
    return WG_OK;
}

/* User-defined pieces are found in texts whose spaces are marked; SentencePiece's normalizer looks
 * for them as they are spelled, in texts as they come. */
static wg_status freeze_user_pieces(wg_tokenizer *t)
{
    const bool normalizes = t->normalizer.map.n || t->normalizer.squeezes;
    wgi_buffer spelling = { 0 };
    wg_status st = WG_OK;
    for (int64_t i = 0; i < t->vocab.n && t->order == WGI_BY_SCORE && !st; i++) {
        const wgi_token *k = &t->vocab.tokens[i];
        if (k->type != WGI_TOKEN_USER) continue;
        wgi_added_token a = { .bytes = k->bytes, .size = k->size, .id = (int32_t)i };
        if (!k->literal) st = wgi_added_put(&t->frozen, a, false);
        if (st || !normalizes) continue;
        spelling.n = 0;
        st = wgi_spell(t, i, &spelling);
        a.bytes = spelling.bytes;
        a.size = spelling.n;
        if (!st) st = wgi_added_put(&t->kept, a, true);
    }
    free(spelling.bytes);
    wgi_added_sort(&t->frozen);
    wgi_added_sort(&t->kept);
    return st;
}

static wg_status check_id(const wg_tokenizer *t, const char *what, const char *name, int64_t id)
{
    if (id >= -1 && id < t->vocab.n) return WG_OK;
    return wg_raise(WG_EFORMAT, "%s: the id of %s is %lld, the vocabulary has %lld tokens", what,
                    name, (long long)id, (long long)t->vocab.n);
}

wg_status wgi_tokenizer_finish(wg_tokenizer *t, const char *what)
{
    if (t->vocab.n == 0) return wg_raise(WG_EFORMAT, "%s: a vocabulary without tokens", what);
    if (check_id(t, what, "bos", t->bos) || check_id(t, what, "eos", t->eos) ||
        check_id(t, what, "the unknown token", t->unknown) ||
        check_id(t, what, "the padding token", t->padding) ||
        check_id(t, what, "the end of a turn", t->turn_end))
        return WG_EFORMAT;
    if (t->adds_bos && t->bos < 0)
        return wg_raise(WG_EFORMAT, "%s: it wants bos before texts, and has none", what);
    if (t->adds_eos && t->eos < 0)
        return wg_raise(WG_EFORMAT, "%s: it wants eos after texts, and has none", what);
    wg_status st = mark_special(t);
    if (!st && !t->vocab.found.slots) st = wgi_vocab_index(&t->vocab);
    if (!st) st = freeze_user_pieces(t);
    if (st) return wg_raise(WG_EMEM, "%s: out of memory", what);
    find_bytes(t);
    wgi_added_sort(&t->raw);
    wgi_added_sort(&t->normalized);
    t->cuts_spaces = !t->byte_level;
    for (int64_t i = 0; i < t->vocab.n && t->cuts_spaces; i++) {
        const wgi_token *k = &t->vocab.tokens[i];
        const bool of_texts = k->type == WGI_TOKEN_NORMAL || k->type == WGI_TOKEN_USER;
        if (of_texts && !k->literal && has_inner_space(k)) t->cuts_spaces = false;
    }
    return WG_OK;
}

/* ---- merges from scores ---------------------------------------------------------------------- */
typedef struct {
    float score;
    int32_t id;
} scored;

static int compare_scores(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* All ways to cut token id into two other tokens, at the beginnings of characters. */
static wg_status put_splits(wg_tokenizer *t, int32_t id, uint32_t rank)
{
    const wgi_token k = t->vocab.tokens[id];
    for (uint32_t i = 1; i < k.size; i++) {
        if (((uint8_t)k.bytes[i] & 0xC0) == 0x80) continue;
        const int32_t left = wgi_index_find(&t->vocab.found, k.bytes, i);
        if (left < 0) continue;
        const int32_t right = wgi_index_find(&t->vocab.found, k.bytes + i, k.size - i);
        const bool merge = right >= 0 && t->vocab.tokens[left].type == WGI_TOKEN_NORMAL &&
                           t->vocab.tokens[right].type == WGI_TOKEN_NORMAL;
        if (merge && wgi_pairs_put(&t->pairs, left, right, rank, id)) return WG_EMEM;
    }
    return WG_OK;
}

wg_status wgi_pairs_from_scores(wg_tokenizer *t, const char *what)
{
    scored *all = wgi_malloc(((size_t)t->vocab.n + 1) * sizeof *all);
    wg_status st = all ? wgi_vocab_index(&t->vocab) : WG_EMEM;
    int64_t n = 0;
    for (int64_t i = 0; i < t->vocab.n && !st; i++) {
        const wgi_token *k = &t->vocab.tokens[i];
        if (k->type != WGI_TOKEN_NORMAL || k->size < 2) continue;
        if (wgi_index_find(&t->vocab.found, k->bytes, k->size) != i) continue; /* a second one */
        if (k->score != k->score) {
            free(all);
            return wg_raise(WG_EFORMAT, "%s: the score of token %lld is no number", what,
                            (long long)i);
        }
        all[n++] = (scored) { k->score, (int32_t)i };
    }
    if (!st) qsort(all, (size_t)n, sizeof *all, compare_scores);
    uint32_t rank = 0;
    for (int64_t i = 0; i < n && !st;
         i++) { /* equal scores: equal ranks, the leftmost pair first */
        rank += i > 0 && all[i].score != all[i - 1].score;
        st = put_splits(t, all[i].id, rank);
    }
    free(all);
    t->order = WGI_BY_SCORE;
    return st ? wg_raise(WG_EMEM, "%s: out of memory", what) : WG_OK;
}

/* ---- what is asked --------------------------------------------------------------------------- */
int64_t wg_tokenizer_size(const wg_tokenizer *t)
{
    return t ? t->vocab.n : 0;
}

int64_t wg_tokenizer_bos(const wg_tokenizer *t)
{
    return t ? t->bos : -1;
}

int64_t wg_tokenizer_eos(const wg_tokenizer *t)
{
    return t ? t->eos : -1;
}

bool wg_tokenizer_adds_bos(const wg_tokenizer *t)
{
    return t && t->adds_bos;
}

bool wg_tokenizer_adds_eos(const wg_tokenizer *t)
{
    return t && t->adds_eos;
}

bool wg_tokenizer_is_end(const wg_tokenizer *t, int64_t id)
{
    return t && id >= 0 && id < t->vocab.n && t->is_end[id];
}

bool wg_tokenizer_is_special(const wg_tokenizer *t, int64_t id)
{
    return t && id >= 0 && id < t->vocab.n && t->is_special[id];
}

const char *wg_tokenizer_token(const wg_tokenizer *t, int64_t id, int64_t *bytes)
{
    const bool known = t && id >= 0 && id < t->vocab.n;
    if (bytes) *bytes = known ? t->vocab.tokens[id].size : 0;
    return known ? t->vocab.tokens[id].bytes : NULL;
}

int64_t wg_tokenizer_find(const wg_tokenizer *t, const char *token)
{
    if (!t || !token) return -1;
    const size_t n = strlen(token);
    for (int64_t i = 0; i < t->vocab.n; i++) {
        const wgi_token *k = &t->vocab.tokens[i];
        if (t->is_special[i] && k->size == n && memcmp(k->bytes, token, n) == 0) return i;
    }
    const int32_t id = wgi_index_find(&t->vocab.found, token, n);
    if (id >= 0) return id;
    unsigned byte;
    char after;
    if (n == 6 && sscanf(token, "<0x%2X>%c", &byte, &after) == 1 && token[5] == '>')
        for (int64_t i = 0; i < t->vocab.n; i++) {
            const wgi_token *k = &t->vocab.tokens[i];
            if (k->type == WGI_TOKEN_BYTE && (uint8_t)k->bytes[0] == byte) return i;
        }
    for (int64_t i = 0; i < t->vocab.n; i++) { /* those that are never found in texts */
        const wgi_token *k = &t->vocab.tokens[i];
        const bool named = k->type == WGI_TOKEN_UNUSED || k->literal;
        if (named && k->size == n && memcmp(k->bytes, token, n) == 0) return i;
    }
    return -1;
}
