#include "vocab.h"

#include <stdlib.h>
#include <string.h>

#include "tensor/internal.h"

/* ---- an index -------------------------------------------------------------------------------- */
static uint32_t hash_of(const char *bytes, size_t size)
{
    uint64_t h = size;
    for (; size >= 8; bytes += 8, size -= 8) {
        uint64_t part;
        memcpy(&part, bytes, 8);
        h = wgi_mix(h ^ part);
    }
    uint64_t last = 0;
    memcpy(&last, bytes, size);
    return (uint32_t)(wgi_mix(wgi_mix(h ^ last)) >> 16);
}

wg_status wgi_index_make(wgi_index *x, int64_t n)
{
    uint64_t room = 16;
    while (room < 2 * (uint64_t)n) room *= 2;
    *x = (wgi_index) { .slots = wgi_malloc(room * sizeof *x->slots), .room = room };
    if (!x->slots) return WG_EMEM;
    for (uint64_t i = 0; i < room; i++) x->slots[i].id = -1;
    return WG_OK;
}

void wgi_index_free(wgi_index *x)
{
    free(x->slots);
    *x = (wgi_index) { 0 };
}

static struct wgi_index_slot *slot_of(const wgi_index *x, const char *bytes, size_t size,
                                      uint32_t hash)
{
    for (uint64_t i = hash;; i++) {
        struct wgi_index_slot *s = &x->slots[i & (x->room - 1)];
        if (s->id < 0) return s;
        if (s->hash == hash && s->size == size && memcmp(s->bytes, bytes, size) == 0) return s;
    }
}

bool wgi_index_put(wgi_index *x, const char *bytes, size_t size, int32_t id)
{
    const uint32_t hash = hash_of(bytes, size);
    struct wgi_index_slot *s = slot_of(x, bytes, size, hash);
    if (s->id >= 0) return false;
    *s = (struct wgi_index_slot) { bytes, (uint32_t)size, hash, id };
    x->n++;
    return true;
}

int32_t wgi_index_find(const wgi_index *x, const char *bytes, size_t size)
{
    if (!x->n || size > UINT32_MAX) return -1;
    return slot_of(x, bytes, size, hash_of(bytes, size))->id;
}

/* ---- tokens ---------------------------------------------------------------------------------- */
/* Bytes of tokens, which never move. */
struct wgi_arena_block {
    struct wgi_arena_block *next;
    size_t used, room;
    char bytes[];
};

static char *room_for(wgi_vocab *v, size_t size)
{
    struct wgi_arena_block *b = v->blocks;
    if (!b || b->room - b->used < size) {
        const size_t room = size > 1 << 16 ? size : 1 << 16;
        b = wgi_malloc(sizeof *b + room);
        if (!b) return NULL;
        *b = (struct wgi_arena_block) { v->blocks, 0, room };
        v->blocks = b;
    }
    b->used += size;
    return b->bytes + b->used - size;
}

static wg_status grow(wgi_vocab *v, int64_t n)
{
    if (n > v->room) {
        int64_t room = v->room ? v->room : 512;
        while (room < n) room *= 2;
        wgi_token *tokens = wgi_realloc(v->tokens, (size_t)room * sizeof *tokens);
        if (!tokens) return WG_EMEM;
        v->tokens = tokens;
        v->room = room;
    }
    for (; v->n < n; v->n++) v->tokens[v->n] = (wgi_token) { .bytes = "" };
    return WG_OK;
}

wg_status wgi_vocab_put(wgi_vocab *v, int64_t id, const char *bytes, size_t size, int type)
{
    if (id >= v->n && grow(v, id + 1)) return WG_EMEM;
    char *copy = room_for(v, size + 1);
    if (!copy) return WG_EMEM;
    if (size) memcpy(copy, bytes, size);
    copy[size] = '\0';
    v->tokens[id] = (wgi_token) { .bytes = copy, .size = (uint32_t)size, .type = (uint8_t)type };
    return WG_OK;
}

wg_status wgi_vocab_index(wgi_vocab *v)
{
    wgi_index_free(&v->found);
    if (wgi_index_make(&v->found, v->n)) return WG_EMEM;
    for (int64_t i = 0; i < v->n; i++) {
        const wgi_token *t = &v->tokens[i];
        const bool of_texts = t->type == WGI_TOKEN_NORMAL || t->type == WGI_TOKEN_USER;
        if (of_texts && !t->literal && t->size)
            wgi_index_put(&v->found, t->bytes, t->size, (int32_t)i);
    }
    return WG_OK;
}

void wgi_vocab_free(wgi_vocab *v)
{
    while (v->blocks) {
        struct wgi_arena_block *next = v->blocks->next;
        free(v->blocks);
        v->blocks = next;
    }
    free(v->tokens);
    wgi_index_free(&v->found);
    *v = (wgi_vocab) { 0 };
}

/* ---- merges ---------------------------------------------------------------------------------- */
static void insert(wgi_pairs *p, wgi_pair pair)
{
    for (uint64_t i = wgi_mix(pair.key);; i++) {
        wgi_pair *s = &p->slots[i & (p->room - 1)];
        if (s->key == pair.key && s->rank <= pair.rank) return; /* the earlier merge counts */
        if (s->key != pair.key && s->key != WGI_NO_PAIR) continue;
        p->n += s->key == WGI_NO_PAIR;
        *s = pair;
        return;
    }
}

wg_status wgi_pairs_put(wgi_pairs *p, int32_t left, int32_t right, uint32_t rank, int32_t id)
{
    if (2 * ((uint64_t)p->n + 1) > p->room) {
        wgi_pairs larger = { .room = p->room ? 2 * p->room : 1024 };
        larger.slots = wgi_malloc(larger.room * sizeof *larger.slots);
        if (!larger.slots) return WG_EMEM;
        for (uint64_t i = 0; i < larger.room; i++) larger.slots[i].key = WGI_NO_PAIR;
        for (uint64_t i = 0; i < p->room; i++)
            if (p->slots[i].key != WGI_NO_PAIR) insert(&larger, p->slots[i]);
        free(p->slots);
        *p = larger;
    }
    insert(p, (wgi_pair) { wgi_pair_key(left, right), rank, id });
    return WG_OK;
}

void wgi_pairs_free(wgi_pairs *p)
{
    free(p->slots);
    *p = (wgi_pairs) { 0 };
}

static int compare_pairs(const void *a, const void *b)
{
    const wgi_pair *x = a, *y = b;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    return x->key < y->key ? -1 : x->key > y->key;
}

wgi_pair *wgi_pairs_sorted(const wgi_pairs *p)
{
    wgi_pair *all = wgi_malloc(((size_t)p->n + 1) * sizeof *all);
    if (!all) return NULL;
    int64_t n = 0;
    for (uint64_t i = 0; i < p->room; i++)
        if (p->slots[i].key != WGI_NO_PAIR) all[n++] = p->slots[i];
    qsort(all, (size_t)n, sizeof *all, compare_pairs);
    return all;
}
