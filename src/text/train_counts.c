#include <stdlib.h>
#include <string.h>

#include "tensor/internal.h"
#include "train.h"

/* ---- words ----------------------------------------------------------------------------------- */
static wg_status grow_words(wgi_word_counts *c)
{
    const int64_t room = c->room ? 2 * c->room : 1024;
    wgi_count_word *words = wgi_realloc(c->words, (size_t)room * sizeof *words);
    if (!words) return WG_EMEM;
    c->words = words;
    wgi_index index;
    if (wgi_index_make(&index, room)) return WG_EMEM;
    for (int64_t i = 0; i < c->n; i++)
        wgi_index_put(&index, c->spelled.tokens[i].bytes, c->spelled.tokens[i].size, (int32_t)i);
    wgi_index_free(&c->index);
    c->index = index;
    c->room = room;
    return WG_OK;
}

wg_status wgi_count_word_once(void *self, const char *word, size_t n)
{
    wgi_word_counts *c = self;
    const int32_t known = wgi_index_find(&c->index, word, n);
    if (known >= 0) {
        c->words[known].count++;
        return WG_OK;
    }
    if (n > UINT32_MAX / 8 || c->n == INT32_MAX)
        return wg_raise(WG_EARG, "tokenizer_train: a word of %zu bytes, %lld distinct words", n,
                        (long long)c->n);
    if ((c->n == c->room && grow_words(c)) ||
        wgi_vocab_put(&c->spelled, c->n, word, n, WGI_TOKEN_NORMAL))
        return wg_raise(WG_EMEM, "tokenizer_train: out of memory");
    wgi_index_put(&c->index, c->spelled.tokens[c->n].bytes, n, (int32_t)c->n);
    c->words[c->n++] = (wgi_count_word) { .count = 1 };
    return WG_OK;
}

void wgi_word_counts_free(wgi_word_counts *c)
{
    for (int64_t i = 0; i < c->n; i++) free(c->words[i].ids);
    free(c->words);
    wgi_vocab_free(&c->spelled);
    wgi_index_free(&c->index);
    *c = (wgi_word_counts) { 0 };
}

/* ---- pairs ----------------------------------------------------------------------------------- */
static wgi_pair_count *slot_of(const wgi_pair_counts *p, uint64_t key)
{
    for (uint64_t i = wgi_mix(key);; i++) {
        wgi_pair_count *s = &p->slots[i & (p->room - 1)];
        if (s->key == key || s->key == WGI_NO_PAIR) return s;
    }
}

static wg_status grow_pairs(wgi_pair_counts *p)
{
    wgi_pair_counts larger = { .room = p->room ? 2 * p->room : 4096, .n = p->n };
    larger.slots = wgi_malloc(larger.room * sizeof *larger.slots);
    if (!larger.slots) return WG_EMEM;
    for (uint64_t i = 0; i < larger.room; i++)
        larger.slots[i] = (wgi_pair_count) { .key = WGI_NO_PAIR };
    for (uint64_t i = 0; i < p->room; i++)
        if (p->slots[i].key != WGI_NO_PAIR) *slot_of(&larger, p->slots[i].key) = p->slots[i];
    free(p->slots);
    *p = larger;
    return WG_OK;
}

wgi_pair_count *wgi_pair_counts_find(const wgi_pair_counts *p, uint64_t key)
{
    wgi_pair_count *s = p->room ? slot_of(p, key) : NULL;
    return s && s->key == key ? s : NULL;
}

wg_status wgi_pair_counts_add(wgi_pair_counts *p, uint64_t key, int64_t change, int64_t word)
{
    if (2 * ((uint64_t)p->n + 1) > p->room && grow_pairs(p)) return WG_EMEM;
    wgi_pair_count *s = slot_of(p, key);
    if (s->key == WGI_NO_PAIR) {
        s->key = key;
        p->n++;
    }
    s->count += change;
    if (change < 0 || (s->n && s->words[s->n - 1] == word)) return WG_OK;
    if (s->n == s->room) {
        const int64_t room = s->room ? 2 * s->room : 4;
        int64_t *words = wgi_realloc(s->words, (size_t)room * sizeof *words);
        if (!words) return WG_EMEM;
        s->words = words;
        s->room = room;
    }
    s->words[s->n++] = word;
    return WG_OK;
}

void wgi_pair_counts_free(wgi_pair_counts *p)
{
    for (uint64_t i = 0; i < p->room; i++) free(p->slots[i].words);
    free(p->slots);
    *p = (wgi_pair_counts) { 0 };
}
