/* A tokenizer as GGUF metadata. Sources as in open_gguf.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spelling.h"
#include "tensor/internal.h"
#include "wengert/gguf.h"

#define KEY "tokenizer.ggml."

/* Texts one after the other, and where each begins. */
typedef struct {
    wgi_buffer text;
    size_t *begin;      /* (n + 1) */
    const char **texts; /* (n), made last */
    int64_t *bytes;     /* (n) */
    int64_t n;
} strings;

static wg_status strings_make(strings *s, int64_t n)
{
    *s = (strings) { .begin = wgi_malloc(((size_t)n + 1) * sizeof *s->begin),
                     .texts = wgi_malloc(((size_t)n + 1) * sizeof *s->texts),
                     .bytes = wgi_malloc(((size_t)n + 1) * sizeof *s->bytes) };
    return s->begin && s->texts && s->bytes ? WG_OK : WG_EMEM;
}

static void strings_free(strings *s)
{
    free(s->text.bytes);
    free(s->begin);
    free((void *)s->texts);
    free(s->bytes);
}

static void strings_put(strings *s, wg_gguf_writer *w, const char *key)
{
    s->begin[s->n] = s->text.n;
    for (int64_t i = 0; i < s->n; i++) {
        s->texts[i] = s->text.bytes ? s->text.bytes + s->begin[i] : "";
        s->bytes[i] = (int64_t)(s->begin[i + 1] - s->begin[i]);
    }
    wg_gguf_put_strings(w, key, s->texts, s->bytes, s->n);
}

static wg_status put_tokens(const wg_tokenizer *t, wg_gguf_writer *w)
{
    strings s;
    int32_t *types = wgi_malloc((size_t)t->vocab.n * sizeof *types);
    wg_status st = strings_make(&s, t->vocab.n);
    if (!types) st = WG_EMEM;
    for (; s.n < t->vocab.n && !st; s.n++) {
        const wgi_token *k = &t->vocab.tokens[s.n];
        s.begin[s.n] = s.text.n;
        types[s.n] = k->type ? k->type : WGI_TOKEN_UNUSED;
        char name[32];
        const int n = snprintf(name, sizeof name, "[PAD%lld]", (long long)s.n);
        st = k->type ? wgi_spell(t, s.n, &s.text) : wgi_buffer_put(&s.text, name, (size_t)n);
    }
    if (!st) {
        strings_put(&s, w, KEY "tokens");
        wg_gguf_put_array(w, KEY "token_type", WG_GGUF_I32, types, t->vocab.n);
    }
    strings_free(&s);
    free(types);
    return st;
}

static wg_status put_merges(const wg_tokenizer *t, wg_gguf_writer *w)
{
    strings s;
    wgi_pair *all = wgi_pairs_sorted(&t->pairs);
    wg_status st = strings_make(&s, t->pairs.n);
    if (!all) st = WG_EMEM;
    for (; s.n < t->pairs.n && !st; s.n++) {
        s.begin[s.n] = s.text.n;
        st = wgi_spell(t, (int64_t)(all[s.n].key >> 32), &s.text);
        if (!st) st = wgi_buffer_put(&s.text, " ", 1);
        if (!st) st = wgi_spell(t, (int64_t)(uint32_t)all[s.n].key, &s.text);
    }
    if (!st) strings_put(&s, w, KEY "merges");
    strings_free(&s);
    free(all);
    return st;
}

/* Whether every way to cut a token into two tokens is a merge, as it is by scores. */
static bool merges_like_scores(const wg_tokenizer *t)
{
    for (int64_t id = 0; id < t->vocab.n; id++) {
        const wgi_token k = t->vocab.tokens[id];
        for (uint32_t i = 1; k.type == WGI_TOKEN_NORMAL && !k.literal && i < k.size; i++) {
            if (((uint8_t)k.bytes[i] & 0xC0) == 0x80) continue;
            const int32_t left = wgi_index_find(&t->vocab.found, k.bytes, i);
            const int32_t right = wgi_index_find(&t->vocab.found, k.bytes + i, k.size - i);
            const bool both = left >= 0 && right >= 0 &&
                              t->vocab.tokens[left].type == WGI_TOKEN_NORMAL &&
                              t->vocab.tokens[right].type == WGI_TOKEN_NORMAL;
            if (both && !wgi_pairs_get(&t->pairs, left, right)) return false;
        }
    }
    return true;
}

/* Scores; those of ranked merges are made of the rank of the first merge that gives the token. */
static wg_status put_scores(const wg_tokenizer *t, wg_gguf_writer *w)
{
    float *scores = wgi_malloc((size_t)t->vocab.n * sizeof *scores);
    if (!scores) return WG_EMEM;
    for (int64_t i = 0; i < t->vocab.n; i++)
        scores[i] = t->order == WGI_BY_SCORE ? t->vocab.tokens[i].score : -(float)t->pairs.n;
    for (uint64_t i = 0; i < t->pairs.room && t->order == WGI_BY_RANK; i++) {
        const wgi_pair *p = &t->pairs.slots[i];
        if (p->key == WGI_NO_PAIR) continue;
        const float score = -(float)p->rank;
        if (scores[p->id] < score) scores[p->id] = score;
    }
    wg_gguf_put_array(w, KEY "scores", WG_GGUF_F32, scores, t->vocab.n);
    free(scores);
    return WG_OK;
}

static wg_status put_bpe(const wg_tokenizer *t, wg_gguf_writer *w)
{
    char pre[32];
    wgi_words words = t->words;
    const bool space = words.n && words.cut[0].kind == WGI_CUT_SPACE;
    if (space) memmove(&words.cut[0], &words.cut[1], (size_t)--words.n * sizeof words.cut[0]);
    if (!wgi_words_name(&words, t->whole_words, pre))
        return wg_raise(WG_EARG, "tokenizer_put_gguf: GGUF has no name for this pre-tokenizer");
    wg_gguf_put_string(w, KEY "model", "gpt2", -1);
    wg_gguf_put_string(w, KEY "pre", pre, -1);
    if (space) wg_gguf_put_int(w, KEY "add_space_prefix", WG_GGUF_BOOL, 1);
    const wg_status st = put_tokens(t, w);
    return st ? st : put_merges(t, w);
}

static wg_status put_llama(const wg_tokenizer *t, wg_gguf_writer *w)
{
    bool prefix = t->prefix != WGI_PREFIX_NONE, fits = t->marks_spaces && !t->normalizer.map.n;
    for (int i = 0; i < t->normalizer.n; i++) {
        const wgi_norm_step *s = &t->normalizer.step[i];
        const bool space = s->to && strcmp(s->to, " ") == 0;
        prefix |= space && s->kind == WGI_NORM_PREPEND;
        fits &= space;
    }
    if (!fits || (t->order == WGI_BY_RANK && !merges_like_scores(t)))
        return wg_raise(WG_EARG, "tokenizer_put_gguf: GGUF cannot hold this normalizer, or merges "
                                 "that are not SentencePiece's");
    wg_gguf_put_string(w, KEY "model", "llama", -1);
    wg_gguf_put_string(w, KEY "pre", "default", -1);
    wg_gguf_put_int(w, KEY "add_space_prefix", WG_GGUF_BOOL, prefix);
    if (t->normalizer.squeezes) wg_gguf_put_int(w, KEY "remove_extra_whitespaces", WG_GGUF_BOOL, 1);
    const wg_status st = put_tokens(t, w);
    return st ? st : put_scores(t, w);
}

wg_status wg_tokenizer_put_gguf(const wg_tokenizer *t, wg_gguf_writer *w)
{
    if (wg_error_code()) return wg_error_code();
    if (!t || !w) return wg_raise(WG_EARG, "tokenizer_put_gguf: no tokenizer or no writer given");
    const wg_status st = t->byte_level ? put_bpe(t, w) : put_llama(t, w);
    if (st == WG_EMEM) wg_raise(WG_EMEM, "tokenizer_put_gguf: out of memory");
    if (st) return st;
    const struct {
        const char *key;
        int64_t id;
    } ids[] = { { KEY "bos_token_id", t->bos },
                { KEY "eos_token_id", t->eos },
                { KEY "unknown_token_id", t->unknown },
                { KEY "padding_token_id", t->padding },
                { KEY "eot_token_id", t->turn_end } };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (ids[i].id >= 0) wg_gguf_put_int(w, ids[i].key, WG_GGUF_U32, ids[i].id);
    wg_gguf_put_int(w, KEY "add_bos_token", WG_GGUF_BOOL, t->adds_bos);
    wg_gguf_put_int(w, KEY "add_eos_token", WG_GGUF_BOOL, t->adds_eos);
    return wg_error_code();
}
