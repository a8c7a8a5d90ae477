/* The caching CPU allocator. Sizes up to 64 KiB are rounded up to classes, four to a power of two (at most a quarter is
 * wasted), and kept by the thread, in lists without locks; what it has too much of is kept in lists of the process. Larger
 * memory is cut from regions (spans.c). Under AddressSanitizer, or with WG_NO_CACHE=1, nothing is kept, so that tools see
 * every use. */
#include "tensor/internal.h"
#include "tensor/spans.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define CACHING 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CACHING 0
#endif
#endif
#ifndef CACHING
#define CACHING 1
#endif

enum { UNIT = 64, CLASSES = 36 };
static const size_t mapped_from = 1 << 20;
static const size_t most_bytes = (size_t)1 << 46; /* beyond any address space: not even asked for */
static const size_t thread_bytes = 1 << 20;       /* that a thread keeps of one class, within */
enum { THREAD_LEAST = 16, THREAD_MOST = 4096 };   /* these numbers of blocks */

typedef struct block {
    struct block *next;
} block;

typedef struct {
    block *first;
    int64_t n;
} list;

typedef struct {
    list lists[CLASSES];
    int limit[CLASSES]; /* 0: nothing is kept */
} thread_cache;

static thread_cache
    no_cache; /* what a thread without memory for a cache uses: limits 0, lists empty */
static _Thread_local thread_cache *mine WGI_TLS;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static list kept[CLASSES]; /* under lock */
static atomic_int_least64_t cached_bytes, large_live, large_live_peak;
static atomic_int_least64_t fail_after; /* wgi_fail_alloc_after; 0: none */

/* ---- tests: the n-th allocation fails ---------------------------------------------------------
 */

void wgi_fail_alloc_after(int64_t n)
{
    atomic_store_explicit(&fail_after, n, memory_order_relaxed);
}

int64_t wgi_fail_alloc_left(void)
{
    return atomic_load_explicit(&fail_after, memory_order_relaxed);
}

/* Never below 0, whichever threads count at once: 0 says that it has struck. */
static WGI_COLD bool counts_down_to_failure(int64_t left)
{
    while (left > 0)
        if (atomic_compare_exchange_weak_explicit(&fail_after, &left, left - 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            return left == 1;
    return false;
}

static inline bool must_fail(void)
{
    const int64_t left = atomic_load_explicit(&fail_after, memory_order_relaxed);
    return __builtin_expect(left > 0, 0) && counts_down_to_failure(left);
}

void *wgi_malloc(size_t bytes)
{
    return must_fail() || bytes > most_bytes ? NULL : malloc(bytes);
}

void *wgi_realloc(void *p, size_t bytes)
{
    return must_fail() || bytes > most_bytes ? NULL : realloc(p, bytes);
}

/* ---- classes ----------------------------------------------------------------------------------
 */

/* 64, 128, 192, 256, then 5/4, 6/4, 7/4, 8/4 of each power of two. */
static inline int class_of(size_t bytes)
{
    size_t units = (bytes + UNIT - 1) / UNIT;
    if (units <= 4) return (int)units - (units > 0);
    int e = 63 - __builtin_clzll(units - 1);
    return 4 * (e - 1) + (int)((units - 1 - ((size_t)1 << e)) >> (e - 2));
}

static size_t class_bytes(int c)
{
    if (c < 4) return (size_t)(c + 1) * UNIT;
    int e = c / 4 + 1;
    return (((size_t)1 << e) + ((size_t)(c % 4 + 1) << (e - 2))) * UNIT;
}

/* ---- from and to the system -------------------------------------------------------------------
 */

static void *system_alloc(size_t bytes)
{
    if (bytes >= mapped_from) return wgi_map(bytes);
    void *p;
    return posix_memalign(&p, UNIT, bytes) == 0 ? p : NULL;
}

static void system_free(void *p, size_t bytes)
{
    if (bytes >= mapped_from)
        munmap(p, bytes);
    else
        free(p);
}

static bool caching(void)
{
#if CACHING
    static atomic_int known = -1;
    return !wgi_flag_once(&known, "WG_NO_CACHE");
#else
    return false;
#endif
}

/* ---- lists of the process ---------------------------------------------------------------------
 */

static void count_cached(int64_t bytes)
{
    atomic_fetch_add_explicit(&cached_bytes, bytes, memory_order_relaxed);
}

/* Takes up to most blocks of class c; returns the chain, and how many. */
static block *take(int c, int64_t most, int64_t *n)
{
    *n = 0;
    pthread_mutex_lock(&lock);
    block *first = kept[c].first, *last = first;
    if (first) {
        for (*n = 1; *n < most && last->next; ++*n) last = last->next;
        kept[c].first = last->next;
        kept[c].n -= *n;
        last->next = NULL;
    }
    pthread_mutex_unlock(&lock);
    return first;
}

static void give(int c, block *first, block *last, int64_t n)
{
    pthread_mutex_lock(&lock);
    last->next = kept[c].first;
    kept[c].first = first;
    kept[c].n += n;
    pthread_mutex_unlock(&lock);
}

/* Gives every block of class c back to the system. */
static void drop(int c)
{
    int64_t n;
    block *b = take(c, INT64_MAX, &n);
    for (block *next; b; b = next) {
        next = b->next;
        system_free(b, class_bytes(c));
    }
    count_cached(-n * (int64_t)class_bytes(c));
}

/* Bytes in the lists of the process and in free spans. */
static int64_t held(void)
{
    return atomic_load_explicit(&cached_bytes, memory_order_relaxed) + wgi_spans_free_bytes();
}

/* Before large memory is fetched: what is in use and what is held together may be an eighth more than ever was in use,
 * and 64 MiB. */
static void make_room(int64_t bytes)
{
    const int64_t peak = atomic_load_explicit(&large_live_peak, memory_order_relaxed);
    const int64_t live = atomic_load_explicit(&large_live, memory_order_relaxed) + bytes;
    const int64_t ever = live > peak ? live : peak;
    const int64_t over = live + held() - (ever + ever / 8 + (64 << 20));
    if (over > 0) wgi_spans_trim(over);
}

/* ---- lists of the thread ----------------------------------------------------------------------
 */

static thread_cache *open_cache(void)
{
    if (!caching()) return &no_cache;
    thread_cache *t = calloc(1, sizeof *t);
    if (!t) return &no_cache;
    for (int c = 0; c < CLASSES; c++) {
        size_t n = thread_bytes / class_bytes(c);
        t->limit[c] = n < THREAD_LEAST ? THREAD_LEAST : n > THREAD_MOST ? THREAD_MOST : (int)n;
    }
    mine = t;
    wgi_ctx(); /* so that the thread's end calls wgi_alloc_thread_end */
    return t;
}

static WGI_COLD void *small_miss(thread_cache *t, int c, size_t bytes)
{
    if (!t) t = open_cache();
    if (t == &no_cache) return system_alloc(bytes ? bytes : 1); /* exact, for the tools */
    int64_t n;
    block *b = take(c, t->limit[c] / 2, &n);
    if (!b) return system_alloc(class_bytes(c));
    count_cached(-n * (int64_t)class_bytes(c));
    t->lists[c].first = b->next;
    t->lists[c].n = n - 1;
    return b;
}

/* The thread has too many blocks of class c: half of them go to the process. */
static void spill(thread_cache *t, int c, int64_t n)
{
    list *l = &t->lists[c];
    if (n == 0 || !l->first) return;
    block *first = l->first, *last = first;
    int64_t moved = 1;
    for (; moved < n && last->next; moved++) last = last->next;
    l->first = last->next;
    l->n -= moved;
    give(c, first, last, moved);
    count_cached(moved * (int64_t)class_bytes(c));
}

static WGI_COLD void small_free(void *p, int c)
{
    thread_cache *t = mine ? mine : open_cache();
    if (t == &no_cache) {
        free(p);
        return;
    }
    list *l = &t->lists[c];
    if (l->n >= t->limit[c]) spill(t, c, t->limit[c] / 2);
    block *b = p;
    b->next = l->first;
    l->first = b;
    l->n++;
}

/* ---- the allocator ------------------------------------------------------------------------------
 */

static void count_live(int64_t whole)
{
    int64_t live = whole + atomic_fetch_add_explicit(&large_live, whole, memory_order_relaxed);
    int64_t peak = atomic_load_explicit(&large_live_peak, memory_order_relaxed);
    while (live > peak &&
           !atomic_compare_exchange_weak_explicit(&large_live_peak, &peak, live,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

static WGI_COLD void *large_alloc(size_t bytes)
{
    int64_t whole = (int64_t)bytes;
    void *p = caching() ? wgi_spans_take(bytes, &whole) : system_alloc(bytes);
    if (!p && caching()) {
        make_room(whole);
        p = wgi_spans_grow(bytes, &whole);
        if (!p) {
            wgi_alloc_trim();
            p = wgi_spans_grow(bytes, &whole);
        }
    }
    if (p) count_live(whole);
    return p;
}

static WGI_COLD void large_free(void *p, size_t bytes)
{
    int64_t whole = (int64_t)bytes;
    if (caching())
        whole = wgi_spans_give(p);
    else
        system_free(p, bytes);
    atomic_fetch_sub_explicit(&large_live, whole, memory_order_relaxed);
}

void *wgi_cpu_alloc(size_t bytes)
{
    if (must_fail() || bytes > most_bytes) return NULL;
    int c = class_of(bytes);
    if (c >= CLASSES) return large_alloc(bytes);
    thread_cache *t = mine;
    block *b = t ? t->lists[c].first : NULL;
    if (!b) return small_miss(t, c, bytes);
    t->lists[c].first = b->next;
    t->lists[c].n--;
    return b;
}

void wgi_cpu_free(void *p, size_t bytes)
{
    if (!p) return;
    int c = class_of(bytes);
    if (c >= CLASSES) {
        large_free(p, bytes);
        return;
    }
    thread_cache *t = mine;
    if (!t || t->lists[c].n >= t->limit[c]) {
        small_free(p, c);
        return;
    }
    block *b = p;
    b->next = t->lists[c].first;
    t->lists[c].first = b;
    t->lists[c].n++;
}

static void spill_all(thread_cache *t)
{
    for (int c = 0; c < CLASSES; c++) spill(t, c, INT64_MAX);
}

void wgi_alloc_trim(void)
{
    if (mine) spill_all(mine);
    for (int c = 0; c < CLASSES; c++) drop(c);
    wgi_spans_trim(INT64_MAX);
}

int64_t wgi_alloc_cached(void)
{
    int64_t bytes = held();
    for (int c = 0; mine && c < CLASSES; c++) bytes += mine->lists[c].n * (int64_t)class_bytes(c);
    return bytes;
}

void wgi_alloc_thread_end(void)
{
    thread_cache *t = mine;
    if (!t) return;
    mine = NULL;
    spill_all(t);
    free(t);
}
