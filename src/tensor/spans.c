/* Regions are cut into spans; a freed span joins its free neighbours, so that what held many activations can hold a
 * gradient and the other way round: a training step needs little more than what is alive at its peak. The smallest span
 * that fits is taken; bins of sizes, four to a power of two, find it. Boundary tags: Knuth, The Art of Computer
 * Programming 1, section 2.5.
 * Before it joins, a freed span waits for the next of exactly its size: threads write the same parts of tensors of one size,
 * so each finds its lines in its own core's caches, where a span cut anew would lie in the other's. */
#include "tensor/spans.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>

enum {
    GRAIN = 4096,         /* of spans' sizes */
    HEAD = 64,            /* a span's own record, in front of its memory */
    HUGE_PAGE = 2 << 20,  /* fresh 4 KiB pages cost more than most kernels */
    REGION = 64 << 20,    /* the least, for spans up to half of it; larger ones have their own */
    BINS = 144,           /* up to 2^48 bytes */
    WAIT_BYTES = 2 << 20, /* of a core's cache and more: larger spans join at once */
    WAIT_SPANS = 512      /* more waiting ones all join */
};
static const size_t wait_all = (size_t)64 << 20; /* bytes; the same */

typedef struct span {
    size_t bytes;        /* with the record */
    struct span *before; /* its neighbour in memory; NULL: the region begins here */
    struct span *next;   /* free: in its bin */
    struct span **link;  /* free: what points to it there */
    uint64_t freed_at;
    bool free, last; /* last: the region ends with it */
} span;
_Static_assert(sizeof(span) <= HEAD, "a span's record fits in front of its memory");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static span *bins[BINS]; /* all below under lock */
static struct {
    span *bins[BINS]; /* the last freed first; not `free`, so that neighbours leave them alone */
    size_t bytes;
    int n;
} waiting;
static uint64_t frees; /* a clock */
static atomic_int_least64_t free_bytes;

void *wgi_map(size_t bytes)
{
    size_t all = bytes + HUGE_PAGE;
    char *p = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    size_t before = -(uintptr_t)p & (HUGE_PAGE - 1), after = all - before - bytes;
    if (before) munmap(p, before);
    if (after) munmap(p + before + bytes, after);
    madvise(p + before, bytes, MADV_HUGEPAGE); /* a wish */
    return p + before;
}

/* ---- bins ------------------------------------------------------------------------------------ */
/* Of spans from 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, ... grains on. */
static int bin_of(size_t bytes)
{
    const size_t grains = bytes / GRAIN;
    if (grains < 4) return (int)grains - 1;
    const int e = 63 - __builtin_clzll(grains);
    return 4 * (e - 1) + (int)(grains >> (e - 2) & 3) - 1;
}

static void add_free(int64_t bytes)
{
    atomic_fetch_add_explicit(&free_bytes, bytes, memory_order_relaxed);
}

static void link_span(span *s)
{
    span **bin = &bins[bin_of(s->bytes)];
    s->free = true;
    s->next = *bin;
    s->link = bin;
    if (s->next) s->next->link = &s->next;
    *bin = s;
}

static void unlink_span(span *s)
{
    s->free = false;
    *s->link = s->next;
    if (s->next) s->next->link = s->link;
}

/* The smallest of at least so many bytes; the last freed of equal ones, which is the warmest. */
static span *best_fit(size_t bytes)
{
    for (int b = bin_of(bytes); b < BINS; b++) {
        span *best = NULL;
        for (span *s = bins[b]; s && !(best && best->bytes == bytes); s = s->next)
            if (s->bytes >= bytes && (!best || s->bytes < best->bytes)) best = s;
        if (best) return best;
    }
    return NULL;
}

/* ---- cutting and joining --------------------------------------------------------------------- */
static span *behind(const span *s)
{
    return s->last ? NULL : (span *)(void *)((char *)(uintptr_t)s + s->bytes);
}

/* s ends after `bytes`; the rest is a free span of its own. */
static void cut(span *s, size_t bytes)
{
    if (s->bytes == bytes) return;
    span *next = behind(s), *rest = (span *)(void *)((char *)s + bytes);
    *rest =
        (span) { .bytes = s->bytes - bytes, .before = s, .last = s->last, .freed_at = s->freed_at };
    if (next) next->before = rest;
    s->bytes = bytes;
    s->last = false;
    link_span(rest);
}

/* s takes in the span behind it. */
static void join(span *s, const span *next)
{
    s->bytes += next->bytes;
    s->last = next->last;
    if (next->freed_at > s->freed_at) s->freed_at = next->freed_at;
    span *after = behind(s);
    if (after) after->before = s;
}

/* s is free: with its free neighbours, one span. */
static void join_around(span *s)
{
    span *next = behind(s), *before = s->before;
    if (next && next->free) {
        unlink_span(next);
        join(s, next);
    }
    if (before && before->free) {
        unlink_span(before);
        join(before, s);
        s = before;
    }
    link_span(s);
}

/* ---- waiting --------------------------------------------------------------------------------- */
static span *reversed(span *s)
{
    span *list = NULL;
    for (span *next; s; s = next) {
        next = s->next;
        s->next = list;
        list = s;
    }
    return list;
}

/* The last freed come last, and so before others of their size. */
static void join_waiting(void)
{
    for (int b = 0; b < BINS; b++) {
        span *s = reversed(waiting.bins[b]);
        waiting.bins[b] = NULL;
        for (span *next; s; s = next) {
            next = s->next;
            join_around(s);
        }
    }
    waiting.bytes = 0;
    waiting.n = 0;
}

static void let_wait(span *s)
{
    span **bin = &waiting.bins[bin_of(s->bytes)];
    s->next = *bin;
    *bin = s;
    waiting.bytes += s->bytes;
    if (++waiting.n > WAIT_SPANS || waiting.bytes > wait_all) join_waiting();
}

/* The last freed of exactly so many bytes; NULL: none waits. */
static span *take_waiting(size_t bytes)
{
    span **link = &waiting.bins[bin_of(bytes)], *s;
    while ((s = *link) && s->bytes != bytes) link = &s->next;
    if (!s) return NULL;
    *link = s->next;
    waiting.bytes -= bytes;
    waiting.n--;
    return s;
}

/* ---- taking and giving ----------------------------------------------------------------------- */
static size_t whole_bytes(size_t bytes)
{
    return (bytes + HEAD + GRAIN - 1) / GRAIN * GRAIN;
}

/* Under lock. */
static void *take(size_t bytes, int64_t *whole)
{
    span *s = take_waiting(bytes);
    if (!s) {
        s = best_fit(bytes);
        if (!s && waiting.n) {
            join_waiting();
            s = best_fit(bytes);
        }
        if (!s) return NULL;
        unlink_span(s);
        cut(s, bytes);
    }
    *whole = (int64_t)s->bytes;
    add_free(-*whole);
    return (char *)s + HEAD;
}

void *wgi_spans_take(size_t bytes, int64_t *whole)
{
    pthread_mutex_lock(&lock);
    void *p = take(whole_bytes(bytes), whole);
    pthread_mutex_unlock(&lock);
    return p;
}

void *wgi_spans_grow(size_t bytes, int64_t *whole)
{
    const size_t wanted = whole_bytes(bytes), size = wanted <= REGION / 2 ? REGION : wanted;
    span *s = wgi_map(size);
    if (!s) return NULL;
    pthread_mutex_lock(&lock);
    *s = (span) { .bytes = size, .last = true, .freed_at = ++frees };
    link_span(s);
    add_free((int64_t)size);
    void *p = take(wanted, whole);
    pthread_mutex_unlock(&lock);
    return p;
}

int64_t wgi_spans_give(void *p)
{
    span *s = (span *)(void *)((char *)p - HEAD);
    pthread_mutex_lock(&lock);
    const int64_t whole = (int64_t)s->bytes;
    s->freed_at = ++frees;
    if (whole <= WAIT_BYTES)
        let_wait(s);
    else
        join_around(s);
    add_free(whole);
    pthread_mutex_unlock(&lock);
    return whole;
}

/* ---- back to the system ---------------------------------------------------------------------- */
/* The region that has been free the longest; NULL: each has something in use. */
static span *oldest_region(void)
{
    span *oldest = NULL;
    for (int b = 0; b < BINS; b++)
        for (span *s = bins[b]; s; s = s->next)
            if (!s->before && s->last && (!oldest || s->freed_at < oldest->freed_at)) oldest = s;
    return oldest;
}

int64_t wgi_spans_trim(int64_t most)
{
    int64_t bytes = 0;
    pthread_mutex_lock(&lock);
    join_waiting();
    for (span *s; bytes < most && (s = oldest_region());) {
        const size_t size = s->bytes;
        unlink_span(s);
        add_free(-(int64_t)size);
        munmap(s, size);
        bytes += (int64_t)size;
    }
    pthread_mutex_unlock(&lock);
    return bytes;
}

int64_t wgi_spans_free_bytes(void)
{
    return atomic_load_explicit(&free_bytes, memory_order_relaxed);
}
