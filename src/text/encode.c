#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "merge.h"
#include "tensor/internal.h"
#include "tokenizer.h"

/* A word of at most 16 bytes whose ids stand in the output already. */
typedef struct {
    uint64_t word[2]; /* its bytes, then zeros */
    int64_t at;       /* its first id in the output */
    uint8_t size, n;  /* bytes (0: empty), ids */
} cached;

typedef struct {
    const wg_tokenizer *t;
    bool special;
    int64_t *ids; /* (n) */
    int64_t n, room;
    int64_t piece; /* where the ids of this piece of text begin */
    wgi_merger merger;
    wgi_cutter cutter;
    wgi_buffer normal[2], spaced;
    cached *cache; /* (cache_room), a power of two; each word has one place */
    uint64_t cache_room;
} encoder;

static wg_status out_of_memory(void)
{
    return wg_raise(WG_EMEM, "tokenizer_encode: out of memory");
}

static wg_status reserve(encoder *e, int64_t more)
{
    if (e->room - e->n >= more) return WG_OK;
    int64_t room = e->room ? e->room : 16;
    while (room - e->n < more) room *= 2;
    int64_t *ids = wgi_realloc(e->ids, (size_t)room * sizeof *ids);
    if (!ids) return out_of_memory();
    e->ids = ids;
    e->room = room;
    return WG_OK;
}

static wg_status put(encoder *e, int64_t id)
{
    if (reserve(e, 1)) return WG_EMEM;
    e->ids[e->n++] = id;
    return WG_OK;
}

/* ---- words ----------------------------------------------------------------------------------- */
static wg_status lacks(const char *word, size_t n)
{
    const unsigned byte = (uint8_t)word[0];
    if (n == 1)
        return wg_raise(WG_ENOTFOUND, "tokenizer_encode: the vocabulary has no token for byte %02X",
                        byte);
    return wg_raise(WG_ENOTFOUND, "tokenizer_encode: the vocabulary lacks the character \"%.*s\"",
                    (int)n, word);
}

static wg_status put_bytes(const wg_tokenizer *t, wgi_merger *m, const char *word, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const int32_t id = t->byte_id[(uint8_t)word[i]];
        if (id < 0 && t->unknown < 0) return lacks(word + i, 1);
        m->ids[m->n++] = id >= 0 ? id : (int32_t)t->unknown;
    }
    return WG_OK;
}

/* A character that is no token: its bytes if all of them are tokens, else the unknown token. */
static wg_status put_unknown(const wg_tokenizer *t, wgi_merger *m, const char *c, size_t n)
{
    bool spelled = t->byte_fallback;
    for (size_t i = 0; i < n; i++) spelled &= t->byte_id[(uint8_t)c[i]] >= 0;
    if (spelled) return put_bytes(t, m, c, n);
    if (t->unknown < 0) return lacks(c, n);
    if (!t->fuses_unknown || m->n == 0 || m->ids[m->n - 1] != t->unknown)
        m->ids[m->n++] = (int32_t)t->unknown;
    return WG_OK;
}

static wg_status put_characters(const wg_tokenizer *t, wgi_merger *m, const char *word, size_t n)
{
    for (size_t i = 0; i < n;) {
        const wgi_added_token *piece =
            t->frozen.n ? wgi_added_at(&t->frozen, word + i, n - i, true) : NULL;
        int32_t id, c = (uint8_t)word[i];
        size_t size = 1;
        if (piece) {
            id = piece->id;
            size = piece->size;
        } else if (c < 128) {
            id = t->ascii_id[c];
        } else {
            const utf8proc_ssize_t k =
                utf8proc_iterate((const uint8_t *)word + i, (utf8proc_ssize_t)(n - i), &c);
            size = k > 0 ? (size_t)k : 1;
            id = k > 0 ? wgi_index_find(&t->vocab.found, word + i, size) : -1;
        }
        if (id >= 0)
            m->ids[m->n++] = id;
        else if (put_unknown(t, m, word + i, size))
            return wg_error_code();
        i += size;
    }
    return WG_OK;
}

static wg_status merge_word(encoder *e, const char *word, size_t n)
{
    const wg_tokenizer *t = e->t;
    wgi_merger *m = &e->merger;
    m->n = 0;
    if (wgi_merger_reserve(m, (int64_t)n)) return out_of_memory();
    const int32_t whole = t->whole_words ? wgi_index_find(&t->vocab.found, word, n) : -1;
    if (whole >= 0) {
        m->ids[m->n++] = whole;
        return WG_OK;
    }
    const wg_status st = t->byte_level ? put_bytes(t, m, word, n) : put_characters(t, m, word, n);
    if (st) return st;
    return wgi_merge(m, &t->pairs) ? out_of_memory() : WG_OK;
}

/* The word's place in the cache, and its bytes as two numbers. */
static cached *place_of(const encoder *e, const char *word, size_t n, uint64_t bytes[2])
{
    bytes[0] = bytes[1] = 0;
    memcpy(bytes, word, n);
    const uint64_t hash = wgi_mix(wgi_mix(bytes[0] ^ n) ^ bytes[1]);
    return &e->cache[hash & (e->cache_room - 1)];
}

static wg_status put_word(void *self, const char *word, size_t n)
{
    encoder *e = self;
    uint64_t bytes[2];
    cached *c = n <= sizeof bytes ? place_of(e, word, n, bytes) : NULL;
    if (c && c->size == n && c->word[0] == bytes[0] && c->word[1] == bytes[1]) {
        if (reserve(e, c->n)) return WG_EMEM;
        for (int i = 0; i < c->n; i++) e->ids[e->n + i] = e->ids[c->at + i];
        e->n += c->n;
        return WG_OK;
    }
    wgi_merger *m = &e->merger;
    if (merge_word(e, word, n)) return wg_error_code();
    if (reserve(e, m->n)) return WG_EMEM;
    const int64_t unknown = e->t->unknown;
    const bool fused = e->t->fuses_unknown && m->n && m->ids[0] == unknown && e->n > e->piece &&
                       e->ids[e->n - 1] == unknown;
    if (c && !fused) *c = (cached) { { bytes[0], bytes[1] }, e->n, (uint8_t)n, (uint8_t)m->n };
    for (int64_t i = fused; i < m->n; i++) e->ids[e->n++] = m->ids[i];
    return WG_OK;
}

/* Words of characters: runs of spaces with what follows them, where that makes no difference. */
static wg_status put_spaced_words(void *self, const char *text, size_t n)
{
    encoder *e = self;
    e->piece = e->n;
    if (!e->t->cuts_spaces) return put_word(e, text, n);
    wg_status st = WG_OK;
    for (size_t at = 0, end = 0; at < n && !st; at = end) {
        while (end < n && text[end] == ' ') end++;
        const char *space = memchr(text + end, ' ', n - end);
        end = space ? (size_t)(space - text) : n;
        st = put_word(e, text + at, end - at);
    }
    return st;
}

/* ---- texts ----------------------------------------------------------------------------------- */
/* A piece without added tokens, normalised. */
static wg_status put_piece(encoder *e, const char *text, size_t n, bool first)
{
    const wg_tokenizer *t = e->t;
    if (n == 0) return WG_OK;
    if (t->prefix == WGI_PREFIX_ALWAYS || (t->prefix == WGI_PREFIX_MISSING && *text != ' ') ||
        (t->prefix == WGI_PREFIX_MISSING_FIRST && first && *text != ' ')) {
        e->spaced.n = 0;
        if (wgi_buffer_put(&e->spaced, " ", 1) || wgi_buffer_put(&e->spaced, text, n))
            return out_of_memory();
        text = e->spaced.bytes;
        n = e->spaced.n;
    }
    return wgi_words_each(&t->words, &e->cutter, text, n,
                          t->byte_level ? put_word : put_spaced_words, e);
}

typedef wg_status (*part_fn)(encoder *e, const char *text, size_t n, bool first);

/* Gives the parts between the tokens of a set to fn, and puts the tokens. */
static wg_status put_parts(encoder *e, const wgi_added *set, const char *text, size_t n, bool first,
                           part_fn fn)
{
    wg_status st = WG_OK;
    for (size_t at = 0; at < n && !st;) {
        size_t begin = n - at, end = n - at;
        const wgi_added_token *a =
            set->n ? wgi_added_next(set, text + at, n - at, e->special, &begin, &end) : NULL;
        if (begin) st = fn(e, text + at, begin, first && at == 0);
        if (a && !st) st = put(e, a->id);
        at += end;
    }
    return st;
}

static wg_status put_normalized(encoder *e, const char *text, size_t n, bool first)
{
    const wg_tokenizer *t = e->t;
    if (wgi_normalize(&t->normalizer, &t->kept, &text, &n, e->normal)) return out_of_memory();
    return put_parts(e, &t->normalized, text, n, first, put_piece);
}

static wg_status prepare(encoder *e, int64_t bytes)
{
    e->cache_room = 16;
    while (e->cache_room < 1 << 14 && e->cache_room < (uint64_t)bytes / 4) e->cache_room *= 2;
    const size_t size = (size_t)e->cache_room * sizeof *e->cache;
    e->cache = wgi_malloc(size);
    if (!e->cache || wgi_cutter_make(&e->cutter, &e->t->words)) return out_of_memory();
    memset(e->cache, 0, size);
    return reserve(e, bytes / 4 + 8);
}

static void release(encoder *e)
{
    free(e->cache);
    free(e->normal[0].bytes);
    free(e->normal[1].bytes);
    free(e->spaced.bytes);
    wgi_merger_free(&e->merger);
    wgi_cutter_free(&e->cutter);
}

int64_t wg_tokenizer_encode_call(wg_tokenizer_encode_args a)
{
    if (a.ids) *a.ids = NULL;
    const wg_tokenizer *t = a.tokenizer;
    if (!t || !a.ids || a.bytes < 0 || (!a.text && a.bytes > 0)) {
        wg_raise(WG_EARG, "tokenizer_encode: no tokenizer, no text or no place for the ids given");
        return -1;
    }
    if (a.bos && t->bos < 0) {
        wg_raise(WG_EARG, "tokenizer_encode: .bos: this tokenizer has no token that begins a text");
        return -1;
    }
    encoder e = { .t = t, .special = a.special };
    wg_status st = prepare(&e, a.bytes);
    if (!st && a.bos) st = put(&e, t->bos);
    if (!st) st = put_parts(&e, &t->raw, a.text, (size_t)a.bytes, true, put_normalized);
    release(&e);
    if (st) {
        free(e.ids);
        return -1;
    }
    *a.ids = e.ids;
    return e.n;
}
