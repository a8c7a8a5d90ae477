/* Training of a byte-level BPE vocabulary (Sennrich et al. 2016, arXiv:1508.07909, algorithm 1): a
 * heap gives the most frequent pair, and only the words that hold it are looked at. */
#include "train.h"

#include <stdlib.h>
#include <string.h>

#include "byte_level.h"
#include "tensor/internal.h"

typedef struct {
    int64_t count;
    uint64_t key;
} candidate;

typedef struct {
    wg_tokenizer *t;
    int64_t limit; /* tokens, without the last one */
    wgi_word_counts words;
    wgi_pair_counts pairs;
    candidate *heap; /* (n), the first comes before its children */
    int64_t n, room;
    uint64_t *changed; /* (changes) pairs that became more frequent by the last merge */
    int64_t changes, changed_room;
    wgi_index spellings; /* of tokens, by their bytes */
    uint32_t rank;
} trainer;

/* ---- the heap -------------------------------------------------------------------------------- */
static bool before(candidate a, candidate b)
{
    return a.count != b.count ? a.count > b.count : a.key < b.key;
}

static wg_status push(trainer *r, candidate c)
{
    if (r->n == r->room) {
        const int64_t room = r->room ? 2 * r->room : 4096;
        candidate *heap = wgi_realloc(r->heap, (size_t)room * sizeof *heap);
        if (!heap) return WG_EMEM;
        r->heap = heap;
        r->room = room;
    }
    int64_t i = r->n++;
    for (; i > 0 && before(c, r->heap[(i - 1) / 2]); i = (i - 1) / 2)
        r->heap[i] = r->heap[(i - 1) / 2];
    r->heap[i] = c;
    return WG_OK;
}

static candidate pop(trainer *r)
{
    const candidate first = r->heap[0], c = r->heap[--r->n];
    int64_t i = 0;
    for (int64_t child; (child = 2 * i + 1) < r->n; i = child) {
        child += child + 1 < r->n && before(r->heap[child + 1], r->heap[child]);
        if (!before(r->heap[child], c)) break;
        r->heap[i] = r->heap[child];
    }
    if (r->n) r->heap[i] = c;
    return first;
}

/* ---- counting -------------------------------------------------------------------------------- */
static wg_status change(trainer *r, int32_t left, int32_t right, int64_t by, int64_t word)
{
    const uint64_t key = wgi_pair_key(left, right);
    if (wgi_pair_counts_add(&r->pairs, key, by, word)) return WG_EMEM;
    if (by < 0) return WG_OK;
    if (r->changes == r->changed_room) {
        const int64_t room = r->changed_room ? 2 * r->changed_room : 1024;
        uint64_t *changed = wgi_realloc(r->changed, (size_t)room * sizeof *changed);
        if (!changed) return WG_EMEM;
        r->changed = changed;
        r->changed_room = room;
    }
    r->changed[r->changes++] = key;
    return WG_OK;
}

static int compare_keys(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Puts the pairs that became more frequent into the heap, once each. */
static wg_status push_changed(trainer *r)
{
    if (r->changes) qsort(r->changed, (size_t)r->changes, sizeof *r->changed, compare_keys);
    for (int64_t i = 0; i < r->changes; i++) {
        if (i && r->changed[i] == r->changed[i - 1]) continue;
        const wgi_pair_count *p = wgi_pair_counts_find(&r->pairs, r->changed[i]);
        if (p->count > 1 && push(r, (candidate) { p->count, p->key })) return WG_EMEM;
    }
    r->changes = 0;
    return WG_OK;
}

static wg_status count_pairs(trainer *r)
{
    for (int64_t w = 0; w < r->words.n; w++) {
        wgi_count_word *word = &r->words.words[w];
        const wgi_token *bytes = &r->words.spelled.tokens[w];
        word->ids = wgi_malloc(bytes->size * sizeof *word->ids);
        if (!word->ids) return WG_EMEM;
        word->n = bytes->size;
        for (uint32_t i = 0; i < word->n; i++) {
            word->ids[i] = wgi_index_find(&r->spellings, bytes->bytes + i, 1);
            if (i && change(r, word->ids[i - 1], word->ids[i], word->count, w)) return WG_EMEM;
        }
    }
    return push_changed(r);
}

/* ---- merging --------------------------------------------------------------------------------- */
/* Joins the pair everywhere in word w, from left to right, and counts its neighbours anew. */
static wg_status merge_in(trainer *r, int64_t w, int32_t left, int32_t right, int32_t id)
{
    wgi_count_word *word = &r->words.words[w];
    int32_t *ids = word->ids;
    const int64_t count = word->count;
    uint32_t out = 0;
    for (uint32_t i = 0; i < word->n; i++) {
        if (ids[i] != left || i + 1 == word->n || ids[i + 1] != right) {
            ids[out++] = ids[i];
            continue;
        }
        if (out &&
            (change(r, ids[out - 1], left, -count, w) || change(r, ids[out - 1], id, count, w)))
            return WG_EMEM;
        if (i + 2 < word->n &&
            (change(r, right, ids[i + 2], -count, w) || change(r, id, ids[i + 2], count, w)))
            return WG_EMEM;
        ids[out++] = id;
        i++;
    }
    word->n = out;
    return WG_OK;
}

/* The token of two tokens' bytes, a new one if there is none; -1: out of memory. */
static int32_t joined(trainer *r, int32_t left, int32_t right)
{
    wgi_vocab *v = &r->t->vocab;
    const wgi_token a = v->tokens[left], b = v->tokens[right];
    char *bytes = wgi_malloc((size_t)a.size + b.size);
    if (!bytes) return -1;
    memcpy(bytes, a.bytes, a.size);
    memcpy(bytes + a.size, b.bytes, b.size);
    const size_t n = (size_t)a.size + b.size;
    int32_t id = wgi_index_find(&r->spellings, bytes, n);
    if (id < 0 && wgi_vocab_put(v, v->n, bytes, n, WGI_TOKEN_NORMAL) == WG_OK) {
        id = (int32_t)(v->n - 1);
        wgi_index_put(&r->spellings, v->tokens[id].bytes, n, id);
    }
    free(bytes);
    return id;
}

static wg_status merge_all(trainer *r)
{
    while (r->n && r->t->vocab.n < r->limit) {
        const candidate best = pop(r);
        wgi_pair_count *p = wgi_pair_counts_find(&r->pairs, best.key);
        if (p->count != best.count) { /* less frequent by now */
            if (p->count > 1 && push(r, (candidate) { p->count, best.key })) return WG_EMEM;
            continue;
        }
        const int32_t left = (int32_t)(best.key >> 32), right = (int32_t)best.key;
        const int32_t id = joined(r, left, right);
        if (id < 0 || wgi_pairs_put(&r->t->pairs, left, right, r->rank++, id)) return WG_EMEM;
        int64_t *words = p->words;
        const int64_t n = p->n;
        p->words = NULL; /* the table may move */
        p->n = p->room = p->count = 0;
        wg_status st = WG_OK;
        for (int64_t i = 0; i < n && !st; i++) st = merge_in(r, words[i], left, right, id);
        free(words);
        p = wgi_pair_counts_find(&r->pairs, best.key);
        p->count = 0; /* overlapping ones, as in aaa, are gone */
        if (st || push_changed(r)) return WG_EMEM;
    }
    return WG_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */
static wg_status put_bytes(trainer *r)
{
    if (wgi_index_make(&r->spellings, r->limit)) return WG_EMEM;
    for (int k = 0; k < 256; k++) {
        const char byte = (char)wgi_byte_in_order(k);
        if (wgi_vocab_put(&r->t->vocab, k, &byte, 1, WGI_TOKEN_NORMAL)) return WG_EMEM;
        wgi_index_put(&r->spellings, r->t->vocab.tokens[k].bytes, 1, k);
    }
    return WG_OK;
}

static wg_status put_end(wg_tokenizer *t)
{
    static const char name[] = "<|endoftext|>";
    const int64_t id = t->vocab.n;
    const wgi_added_token a = {
        .bytes = name, .size = sizeof name - 1, .id = (int32_t)id, .special = true
    };
    if (wgi_vocab_put(&t->vocab, id, name, sizeof name - 1, WGI_TOKEN_CONTROL) ||
        wgi_added_put(&t->raw, a, true))
        return WG_EMEM;
    t->bos = t->eos = id;
    return WG_OK;
}

static wg_status train(trainer *r, const char *text, int64_t bytes)
{
    wg_tokenizer *t = r->t;
    wgi_cutter cutter = { 0 };
    wg_status st = wgi_words_named(&t->words, "gpt-2", &t->whole_words, "tokenizer_train");
    if (!st && wgi_cutter_make(&cutter, &t->words)) st = WG_EMEM;
    if (!st)
        st =
            wgi_words_each(&t->words, &cutter, text, (size_t)bytes, wgi_count_word_once, &r->words);
    wgi_cutter_free(&cutter);
    if (!st) st = put_bytes(r);
    if (!st) st = count_pairs(r);
    if (!st) st = merge_all(r);
    return st ? st : put_end(t);
}

wg_tokenizer *wg_tokenizer_train(const char *text, int64_t bytes, int64_t vocab)
{
    if (wg_error_code()) return NULL;
    if (bytes < 0 || (!text && bytes) || vocab < 257 || vocab > WGI_MAX_VOCAB) {
        wg_raise(WG_EARG, "tokenizer_train: no text given, or %lld tokens, not 257 to %d",
                 (long long)vocab, WGI_MAX_VOCAB);
        return NULL;
    }
    trainer r = { .t = wgi_tokenizer_new("tokenizer_train") };
    if (!r.t) return NULL;
    r.t->byte_level = true;
    r.limit = vocab - 1 < bytes + 256 ? vocab - 1 : bytes + 256; /* a merge needs a byte at least */
    wg_status st = train(&r, text, bytes);
    if (st == WG_EMEM) wg_raise(WG_EMEM, "tokenizer_train: out of memory");
    if (!st) st = wgi_tokenizer_finish(r.t, "tokenizer_train");
    wgi_word_counts_free(&r.words);
    wgi_pair_counts_free(&r.pairs);
    wgi_index_free(&r.spellings);
    free(r.heap);
    free(r.changed);
    if (!st) return r.t;
    wg_tokenizer_free(r.t);
    return NULL;
}
