/* Storages, and what they count. Up to 64 KiB of change a thread keeps its counts to itself, so
 * that small tensors touch no shared memory; peaks are exact for one thread. */
#include "tensor/internal.h"

#include <stdlib.h>

const wgi_backend *wgi_cuda;

/* What is counted apart: the CPU, meta, and each CUDA device (all from the last one on together). */
enum { GPUS = 16, PLACES = WG_META + 1 + GPUS - 1 };
enum { COUNT_SLACK = 1 << 16, INLINE_AT = 128, INLINE_MOST = 1024 };

typedef struct {
    atomic_int_least64_t current, peak, tensors;
} counts;
static counts total[PLACES];

typedef struct {
    int64_t bytes, top, tensors; /* since the last flush; top: the highest that bytes was */
} pending;
static _Thread_local pending held[PLACES] WGI_TLS;

/* WG_CPU and WG_META are their own places, so is the first CUDA device; the others follow. */
static int place_of(wg_device d)
{
    if (d.kind == WG_CUDA && d.index > 0)
        return d.index < GPUS ? WG_META + d.index : WG_META + GPUS - 1;
    return (unsigned)d.kind <= WG_META ? (int)d.kind : WG_META;
}

static void flush(int place)
{
    pending *h = &held[place];
    counts *t = &total[place];
    int64_t before = atomic_fetch_add_explicit(&t->current, h->bytes, memory_order_relaxed);
    int64_t top = before + h->top, peak = atomic_load_explicit(&t->peak, memory_order_relaxed);
    while (top > peak && !atomic_compare_exchange_weak_explicit(
                             &t->peak, &peak, top, memory_order_relaxed, memory_order_relaxed))
        ;
    atomic_fetch_add_explicit(&t->tensors, h->tensors, memory_order_relaxed);
    *h = (pending) { 0, 0, 0 };
}

static inline void count(wg_device d, int64_t bytes, int tensors)
{
    wgi_ctx(); /* so that the thread's end flushes */
    const int place = place_of(d);
    pending *h = &held[place];
    h->bytes += bytes;
    h->tensors += tensors;
    if (h->bytes > h->top) h->top = h->bytes;
    if (h->bytes > COUNT_SLACK || h->bytes < -COUNT_SLACK) flush(place);
}

void wgi_memory_thread_end(void)
{
    for (int place = 0; place < PLACES; place++) flush(place);
}

static int64_t cached_on(wg_device d)
{
    if (d.kind == WG_CPU) return wgi_alloc_cached();
    return d.kind == WG_CUDA && wgi_cuda ? wgi_cuda->cached(d.index) : 0;
}

wg_memory wg_memory_stats(wg_device d)
{
    const int place = place_of(d);
    flush(place);
    const counts *t = &total[place];
    return (wg_memory) { .current = atomic_load_explicit(&t->current, memory_order_relaxed),
                         .peak = atomic_load_explicit(&t->peak, memory_order_relaxed),
                         .cached = cached_on(d),
                         .tensors = atomic_load_explicit(&t->tensors, memory_order_relaxed) };
}

void wg_memory_reset_peak(wg_device d)
{
    const int place = place_of(d);
    flush(place);
    atomic_store_explicit(&total[place].peak,
                          atomic_load_explicit(&total[place].current, memory_order_relaxed),
                          memory_order_relaxed);
}

void wg_memory_trim(void)
{
    wgi_alloc_trim();
    if (wgi_cuda) wgi_cuda->trim();
}

/* ---- storages
 * --------------------------------------------------------------------------------------- */

static inline void storage_init(wgi_storage *s, wg_device d, size_t bytes, void *data)
{
    atomic_init(&s->refs, 1);
    s->flags = 0;
    s->device = d;
    s->bytes = bytes;
    s->data = data;
    atomic_init(&s->version, 0);
    s->writer = NULL;
    s->release = NULL;
    s->recording = NULL;
}

static wgi_storage *out_of_memory(wg_device d, size_t bytes)
{
    wg_memory m = wg_memory_stats(d);
    char device[24];
    wgi_device_text(device, sizeof device, d);
    wg_raise(WG_EMEM, "out of memory on %s: %zu bytes wanted, %lld in use", device, bytes,
             (long long)m.current);
    return NULL;
}

static void *device_alloc(wg_device d, size_t bytes)
{
    return d.kind == WG_CPU ? wgi_cpu_alloc(bytes) : wgi_cuda->alloc(d.index, bytes);
}

wgi_storage *wgi_storage_new(wg_device d, size_t bytes)
{
    wgi_storage *s;
    if (d.kind == WG_CPU && bytes <= INLINE_MOST) { /* header and data in one block */
        s = wgi_cpu_alloc(INLINE_AT + bytes);
        if (!s) return out_of_memory(d, bytes);
        storage_init(s, d, bytes, bytes ? (char *)s + INLINE_AT : NULL);
        count(d, (int64_t)bytes, 1);
        return s;
    }
    if (d.kind == WG_CUDA && !wgi_cuda) {
        wg_raise(WG_EDEVICE, "no cuda device: built without CUDA");
        return NULL;
    }
    if (!(s = wgi_cpu_alloc(sizeof *s))) return out_of_memory(d, bytes);
    void *data = NULL;
    if (d.kind != WG_META && bytes > 0 && !(data = device_alloc(d, bytes))) {
        wgi_cpu_free(s, sizeof *s);
        return out_of_memory(d, bytes);
    }
    storage_init(s, d, bytes, data);
    if (d.kind == WG_CUDA) s->recording = wgi_recording_ref(wgi_ctx()->recording);
    count(d, (int64_t)bytes, 1);
    return s;
}

wgi_storage *wgi_storage_wrap(void *data, size_t bytes, bool readonly, void (*release)(void *),
                              void *owner)
{
    wgi_storage *s = wgi_cpu_alloc(sizeof *s);
    if (!s) return out_of_memory(wg_cpu(), sizeof *s);
    storage_init(s, wg_cpu(), bytes, data);
    s->flags = WGI_STORAGE_BORROWED | (readonly ? (unsigned)WGI_STORAGE_READONLY : 0u);
    s->release = release;
    s->owner = owner;
    count(s->device, 0, 1); /* the bytes are not ours */
    return s;
}

static void storage_free(wgi_storage *s)
{
    wg_device d = s->device;
    bool borrowed = s->flags & WGI_STORAGE_BORROWED;
    size_t bytes = s->bytes;
    count(d, borrowed ? 0 : -(int64_t)bytes, -1);
    if (!borrowed && d.kind == WG_CPU && bytes <= INLINE_MOST) {
        wgi_cpu_free(s, INLINE_AT + bytes);
        return;
    }
    if (borrowed) {
        if (s->release) s->release(s->owner);
    } else if (s->data && d.kind == WG_CPU) {
        wgi_cpu_free(s->data, bytes);
    } else if (s->data) {
        wgi_cuda->free(d.index, s->data, bytes);
    }
    wgi_recording_unref(s->recording);
    wgi_cpu_free(s, sizeof *s);
}

void wgi_storage_unref(wgi_storage *s)
{
    if (!s) return;
    /* Who holds the only reference needs no exchange. */
    if (atomic_load_explicit(&s->refs, memory_order_acquire) == 1 ||
        atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        storage_free(s);
}

void wgi_storage_touch(wgi_storage *s, const char *writer)
{
    atomic_fetch_add_explicit(&s->version, 1, memory_order_relaxed);
    const wgi_context *c = wgi_ctx();
    s->writer = writer;
    s->writer_file = c->file;
    s->writer_line = c->line;
}
