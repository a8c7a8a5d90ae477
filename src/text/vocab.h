/* Tokens and what they stand for, and tables that find them: by their bytes, by a pair that merges.
 */
#ifndef WGI_TEXT_VOCAB_H
#define WGI_TEXT_VOCAB_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wengert/error.h"

/* The numbers are those of GGUF's tokenizer.ggml.token_type and of SentencePiece's piece types. */
enum {
    WGI_TOKEN_NORMAL = 1,
    WGI_TOKEN_UNKNOWN,
    WGI_TOKEN_CONTROL, /* special: stands for no text */
    WGI_TOKEN_USER,    /* found in texts before anything else */
    WGI_TOKEN_UNUSED,  /* never given */
    WGI_TOKEN_BYTE
};

typedef struct {
    const char *bytes; /* (size), and a NUL */
    uint32_t size;
    uint8_t type; /* 0: no token has this id */
    bool literal; /* spelled as it is where others are spelled otherwise: never found in a text */
    float score;
} wgi_token;

/* From bytes to number, open addressing; the bytes belong to others. */
typedef struct {
    struct wgi_index_slot {
        const char *bytes;
        uint32_t size, hash;
        int32_t id; /* -1: empty */
    } * slots;
    uint64_t room; /* a power of two, at most half full */
    int64_t n;
} wgi_index;

/* Every function that can fail returns WG_OK or WG_EMEM without raising: the caller knows the
 * file. */
wg_status wgi_index_make(wgi_index *x, int64_t n);
void wgi_index_free(wgi_index *x);
/* The first of equal ones stays; false if there was one. Needs room (wgi_index_make's n). */
bool wgi_index_put(wgi_index *x, const char *bytes, size_t size, int32_t id);
int32_t wgi_index_find(const wgi_index *x, const char *bytes, size_t size); /* -1: none */

typedef struct {
    int64_t n, room;
    wgi_token *tokens; /* (n) */
    struct wgi_arena_block *blocks;
    wgi_index found; /* tokens of texts by their bytes: normal and user-defined */
} wgi_vocab;

enum { WGI_MAX_VOCAB = 1 << 26 };
/* Sets token id, growing n to id + 1; ids not set have type 0 and size 0. Copies the bytes. */
wg_status wgi_vocab_put(wgi_vocab *v, int64_t id, const char *bytes, size_t size, int type);
wg_status wgi_vocab_index(wgi_vocab *v);
void wgi_vocab_free(wgi_vocab *v);

/* ---- merges ---------------------------------------------------------------------------------- */
typedef struct {
    uint64_t key; /* left << 32 | right; WGI_NO_PAIR: empty */
    uint32_t rank;
    int32_t id;
} wgi_pair;
#define WGI_NO_PAIR UINT64_MAX
typedef struct {
    wgi_pair *slots;
    uint64_t room; /* a power of two, at most half full */
    int64_t n;
} wgi_pairs;

wg_status wgi_pairs_put(wgi_pairs *p, int32_t left, int32_t right, uint32_t rank, int32_t id);
void wgi_pairs_free(wgi_pairs *p);
/* All of them by falling precedence (and by left and right): (p->n), to be freed; NULL: WG_EMEM. */
wgi_pair *wgi_pairs_sorted(const wgi_pairs *p);

static inline uint64_t wgi_pair_key(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static inline uint64_t wgi_mix(uint64_t x)
{
    x *= 0x9E3779B97F4A7C15u; /* 2^64 / golden ratio: Fibonacci hashing (Knuth, volume 3, 6.4) */
    return x ^ x >> 32;
}

/* NULL: they do not merge. */
static inline const wgi_pair *wgi_pairs_get(const wgi_pairs *p, int32_t left, int32_t right)
{
    const uint64_t key = wgi_pair_key(left, right);
    if (!p->n) return NULL;
    for (uint64_t i = wgi_mix(key);; i++) {
        const wgi_pair *s = &p->slots[i & (p->room - 1)];
        if (s->key == key) return s;
        if (s->key == WGI_NO_PAIR) return NULL;
    }
}
#endif
