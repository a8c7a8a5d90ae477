#include "cuda/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/internal.h"

enum {
    UNIT = 512,
    SMALL_REQUEST = 1 << 20,
    SMALL_SEGMENT = 2 << 20,
    LARGE_REQUEST = 10 << 20,
    LARGE_SEGMENT = 20 << 20,
    ROUND_LARGE = 2 << 20
};

typedef struct block {
    char *at;
    size_t size;
    bool used, small;             /* small: of a segment for small requests */
    bool parked;                  /* free, a part of it freed during the capture */
    struct block *before, *after; /* neighbours in the segment */
    struct block *next;           /* used blocks: of the same hash */
} block;

/* Free blocks by size, then address. */
typedef struct {
    block **b;
    int64_t n, capacity;
} shelf;

struct wgi_pool {
    pthread_mutex_t lock;
    wgi_pool_source source;
    shelf free[2]; /* large, small */
    block **used;  /* (buckets) */
    int64_t buckets;
    wgi_pool_stats stats;
    bool parking; /* a graph is captured */
};

size_t wgi_pool_rounded(size_t bytes)
{
    if (bytes == 0) bytes = 1;
    return bytes > SIZE_MAX - UNIT ? SIZE_MAX : (bytes + UNIT - 1) / UNIT * UNIT;
}

size_t wgi_pool_segment(size_t rounded)
{
    if (rounded <= SMALL_REQUEST) return SMALL_SEGMENT;
    if (rounded < LARGE_REQUEST) return LARGE_SEGMENT;
    return rounded > SIZE_MAX - ROUND_LARGE
               ? SIZE_MAX
               : (rounded + ROUND_LARGE - 1) / ROUND_LARGE * ROUND_LARGE;
}

/* ---- shelves --------------------------------------------------------------------------------- */

static bool comes_before(const block *b, size_t size, const char *at)
{
    return b->size != size ? b->size < size : (uintptr_t)b->at < (uintptr_t)at;
}

/* The first block that does not come before (size, at). */
static int64_t shelf_find(const shelf *s, size_t size, const char *at)
{
    int64_t low = 0, high = s->n;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (comes_before(s->b[middle], size, at))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Room for one more than there are blocks: putting one back must not fail. */
static bool shelf_reserve(shelf *s, int64_t blocks)
{
    if (blocks <= s->capacity) return true;
    const int64_t capacity = blocks < 32 ? 64 : 2 * blocks;
    block **b = wgi_realloc(s->b, (size_t)capacity * sizeof *b);
    if (!b) return false;
    s->b = b;
    s->capacity = capacity;
    return true;
}

static void shelf_put(wgi_pool *p, block *b)
{
    shelf *s = &p->free[b->small];
    const int64_t i = shelf_find(s, b->size, b->at);
    memmove(s->b + i + 1, s->b + i, (size_t)(s->n - i) * sizeof *s->b);
    s->b[i] = b;
    s->n++;
    b->used = false;
}

static void shelf_take(wgi_pool *p, const block *b)
{
    shelf *s = &p->free[b->small];
    const int64_t i = shelf_find(s, b->size, b->at);
    s->n--;
    memmove(s->b + i, s->b + i + 1, (size_t)(s->n - i) * sizeof *s->b);
}

/* ---- used blocks by address ------------------------------------------------------------------ */

static int64_t bucket_of(const wgi_pool *p, const void *at)
{
    return (int64_t)((uint64_t)(uintptr_t)at / UNIT * UINT64_C(0x9e3779b97f4a7c15) >> 32) %
           p->buckets;
}

static void used_put(wgi_pool *p, block *b)
{
    const int64_t i = bucket_of(p, b->at);
    b->next = p->used[i];
    p->used[i] = b;
    b->used = true;
    p->stats.used += (int64_t)b->size;
}

static block *used_take(wgi_pool *p, const void *at)
{
    for (block **link = &p->used[bucket_of(p, at)]; *link; link = &(*link)->next) {
        block *b = *link;
        if (b->at != at) continue;
        *link = b->next;
        p->stats.used -= (int64_t)b->size;
        return b;
    }
    return NULL;
}

/* Keeps chains short; without memory for it they just get longer. */
static void used_grow(wgi_pool *p)
{
    if (p->stats.blocks < 2 * p->buckets) return;
    const int64_t before = p->buckets;
    block **old = p->used, **more = calloc((size_t)(4 * before), sizeof *more);
    if (!more) return;
    p->used = more;
    p->buckets = 4 * before;
    for (int64_t i = 0; i < before; i++)
        for (block *b = old[i], *next; b; b = next) {
            next = b->next;
            const int64_t to = bucket_of(p, b->at);
            b->next = more[to];
            more[to] = b;
        }
    free(old);
}

/* ---- blocks and segments --------------------------------------------------------------------- */

static block *block_new(wgi_pool *p, char *at, size_t size, bool small)
{
    for (int i = 0; i < 2; i++)
        if (!shelf_reserve(&p->free[i], p->stats.blocks + 1)) return NULL;
    block *b = wgi_malloc(sizeof *b);
    if (!b) return NULL;
    *b = (block) { .at = at, .size = size, .small = small };
    p->stats.blocks++;
    used_grow(p);
    return b;
}

static void block_delete(wgi_pool *p, block *b)
{
    p->stats.blocks--;
    free(b);
}

/* Gives the tail of b beyond `size` back to the shelf, where it is worth a block. */
static void split(wgi_pool *p, block *b, size_t size)
{
    const size_t rest = b->size - size;
    if (b->small ? rest < UNIT : rest <= SMALL_REQUEST) return;
    block *tail = block_new(p, b->at + size, rest, b->small);
    if (!tail) return; /* the block stays larger than it need be */
    tail->parked = b->parked;
    tail->before = b;
    tail->after = b->after;
    if (b->after) b->after->before = tail;
    b->after = tail;
    b->size = size;
    shelf_put(p, tail);
}

/* b swallows its neighbour to the right, which is free and on no shelf. */
static void swallow(wgi_pool *p, block *b)
{
    block *gone = b->after;
    b->parked |= gone->parked;
    b->size += gone->size;
    b->after = gone->after;
    if (gone->after) gone->after->before = b;
    block_delete(p, gone);
}

/* Never what is parked: kernels that have yet to be launched know it. */
static int64_t unmap_free(wgi_pool *p)
{
    int64_t bytes = 0;
    for (int i = 0; i < 2; i++) {
        shelf *s = &p->free[i];
        int64_t kept = 0;
        for (int64_t k = 0; k < s->n; k++) {
            block *b = s->b[k];
            if (b->before || b->after || b->parked) {
                s->b[kept++] = b;
                continue;
            }
            p->source.unmap(p->source.self, b->at, b->size);
            bytes += (int64_t)b->size;
            p->stats.segments--;
            block_delete(p, b);
        }
        s->n = kept;
    }
    p->stats.mapped -= bytes;
    return bytes;
}

static block *map_segment(wgi_pool *p, size_t size)
{
    const size_t bytes = wgi_pool_segment(size);
    block *b = block_new(p, NULL, bytes, size <= SMALL_REQUEST);
    if (!b) return NULL;
    b->at = p->source.map(p->source.self, bytes);
    if (!b->at && !p->parking && unmap_free(p) > 0) b->at = p->source.map(p->source.self, bytes);
    if (!b->at) {
        block_delete(p, b);
        return NULL;
    }
    p->stats.mapped += (int64_t)bytes;
    p->stats.segments++;
    return b;
}

static block *best_fit(wgi_pool *p, size_t size, bool captured)
{
    shelf *s = &p->free[size <= SMALL_REQUEST];
    int64_t i = shelf_find(s, size, NULL);
    while (i < s->n && s->b[i]->parked && !captured) i++;
    if (i == s->n) return NULL;
    block *b = s->b[i];
    shelf_take(p, b);
    return b;
}

/* ---- the pool -------------------------------------------------------------------------------- */

wgi_pool *wgi_pool_new(wgi_pool_source source)
{
    enum { FIRST_BUCKETS = 1024 };
    wgi_pool *p = calloc(1, sizeof *p);
    block **used = calloc(FIRST_BUCKETS, sizeof *used);
    if (!p || !used || pthread_mutex_init(&p->lock, NULL) != 0) {
        free(p);
        free(used);
        return NULL;
    }
    p->source = source;
    p->used = used;
    p->buckets = FIRST_BUCKETS;
    return p;
}

static void *take(wgi_pool *p, size_t bytes, bool captured)
{
    const size_t size = wgi_pool_rounded(bytes);
    if (size > SIZE_MAX / 2) return NULL;
    pthread_mutex_lock(&p->lock);
    block *b = best_fit(p, size, captured);
    if (!b) b = map_segment(p, size);
    if (b) {
        split(p, b, size);
        b->parked = false;
        used_put(p, b);
    }
    pthread_mutex_unlock(&p->lock);
    return b ? b->at : NULL;
}

void *wgi_pool_alloc(wgi_pool *p, size_t bytes)
{
    return take(p, bytes, false);
}

void *wgi_pool_alloc_captured(wgi_pool *p, size_t bytes)
{
    return take(p, bytes, true);
}

void wgi_pool_park(wgi_pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->parking = true;
    pthread_mutex_unlock(&p->lock);
}

void wgi_pool_unpark(wgi_pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->parking = false;
    for (int i = 0; i < 2; i++)
        for (int64_t k = 0; k < p->free[i].n; k++) p->free[i].b[k]->parked = false;
    pthread_mutex_unlock(&p->lock);
}

bool wgi_pool_free(wgi_pool *p, void *at)
{
    pthread_mutex_lock(&p->lock);
    block *b = used_take(p, at);
    if (b) {
        b->used = false;
        b->parked = p->parking;
        if (b->after && !b->after->used) {
            shelf_take(p, b->after);
            swallow(p, b);
        }
        if (b->before && !b->before->used) {
            b = b->before;
            shelf_take(p, b);
            swallow(p, b);
        }
        shelf_put(p, b);
    }
    pthread_mutex_unlock(&p->lock);
    return b != NULL;
}

int64_t wgi_pool_trim(wgi_pool *p)
{
    pthread_mutex_lock(&p->lock);
    const int64_t bytes = p->parking ? 0 : unmap_free(p);
    pthread_mutex_unlock(&p->lock);
    return bytes;
}

int64_t wgi_pool_trim_captured(wgi_pool *p)
{
    pthread_mutex_lock(&p->lock);
    const int64_t bytes = unmap_free(p);
    pthread_mutex_unlock(&p->lock);
    return bytes;
}

wgi_pool_stats wgi_pool_state(wgi_pool *p)
{
    pthread_mutex_lock(&p->lock);
    const wgi_pool_stats s = p->stats;
    pthread_mutex_unlock(&p->lock);
    return s;
}

void wgi_pool_destroy(wgi_pool *p)
{
    if (!p) return;
    for (int64_t i = 0; i < p->buckets; i++) /* what is still used is merged away as if freed */
        while (p->used[i]) wgi_pool_free(p, p->used[i]->at);
    wgi_pool_unpark(p);
    wgi_pool_trim(p);
    free(p->free[0].b);
    free(p->free[1].b);
    free(p->used);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
