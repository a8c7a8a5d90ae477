/* Attention's work, cut by shape alone into tasks that each have one fixed order of sums: results do not depend on the
 * number of threads. */
#include "cpu/attention.h"

#include <stdatomic.h>

#include "cpu/parallel.h"
#include "wengert/error.h"
#include "wengert/tensor.h"

enum {
    /* At most so many queries read K and V in place: packing would cost more than it saves. As many
     * rows as the product's own thin path has, so that a few positions at once give the bits of one
     * at a time, which speculative decoding counts on. */
    DIRECT_QUERIES = 8,
    SERIAL_WORK = 200 << 10, /* operations for which no parallel region is opened */
    HEAD_BYTES = 1 << 20,    /* a head packed within a task should stay in the second-level cache */
    HEADS_A_THREAD = 4       /* heads as tasks balance from here on */
};

typedef struct {
    const wgi_attention *a;
    const wgi_attention_kernels *kernels;
    int64_t query_blocks, key_blocks;
    size_t packed_bytes, slot_bytes;
    char *packed;      /* (B * HKV) heads, or NULL: packed in the task's slot */
    char *slots;       /* (n_slots) */
    atomic_char *busy; /* (n_slots) */
    int64_t n_slots;
} work;

/* A slot that no running task has: the thread's own, which its core has in its caches, if that is free. There are as many as
 * threads; with more threads than that one waits. */
static int64_t slot_take(work *w)
{
    for (int64_t i = wgi_thread() % w->n_slots;; i = (i + 1) % w->n_slots)
        if (!atomic_exchange_explicit(&w->busy[i], 1, memory_order_acquire)) return i;
}

static void slot_give(work *w, int64_t i)
{
    atomic_store_explicit(&w->busy[i], 0, memory_order_release);
}

static char *slot_at(const work *w, int64_t i)
{
    return w->slots + (size_t)i * w->slot_bytes;
}

/* Tiles by length, as measured: short sequences need many small tiles to fill the threads and to waste little above the
 * diagonal; long ones want few passes over the output tile. Queries in what each product takes at once: 8 rows, 14, 32. */
static void choose_tile(wgi_attention *a)
{
    const int64_t t = a->tk;
    a->bq = t <= 128 ? 16 : t <= 512 ? 32 : 64;
#if defined(WGI_HAVE_AVX512_BF16)
    if (a->product == wgi_tile_product_bf16) a->bq = t <= 128 ? 28 : t <= 512 ? 56 : 84;
#endif
#if defined(WGI_HAVE_AMX)
    if (a->product == wgi_tile_product_amx) a->bq = t <= 256 ? 64 : 128;
#endif
    a->bk = t <= 128 ? 64 : t <= 512 ? 128 : 256;
}

static const wgi_attention_kernels *kernels_of(wgi_attention *a)
{
#if defined(WGI_HAVE_AVX512_BF16)
    if (a->q.type == WG_BF16 && wgi_cpu_bf16()) a->product = wgi_tile_product_bf16;
#endif
#if defined(WGI_HAVE_AMX)
    if (a->q.type == WG_BF16 && wgi_cpu_amx()) a->product = wgi_tile_product_amx;
#endif
    const wgi_attention_table *t = WGI_PICK(wgi_attention_table);
    return a->q.type == WG_F64 ? &t->f64 : &t->f32;
}

/* Scratch for n_slots slots, their flags and `packed` more bytes. */
static wg_status find_memory(const wg_run *r, work *w, int64_t tasks, size_t packed)
{
    const int64_t threads = wg_threads();
    w->n_slots = tasks < threads ? tasks : threads;
    const size_t flags = ((size_t)w->n_slots + 63) & ~(size_t)63;
    char *p = wg_scratch(r, flags + (size_t)w->n_slots * w->slot_bytes + packed);
    if (!p) return WG_EMEM;
    w->busy = (atomic_char *)p;
    for (int64_t i = 0; i < w->n_slots; i++) atomic_init(&w->busy[i], 0);
    w->slots = p + flags;
    w->packed = packed ? w->slots + (size_t)w->n_slots * w->slot_bytes : NULL;
    return WG_OK;
}

static void pack_task(void *self, int64_t task)
{
    work *w = self;
    const int64_t head = task / w->key_blocks, kv = head % w->a->kv_heads, slot = slot_take(w);
    w->kernels->pack(w->a, head / w->a->kv_heads, kv, task % w->key_blocks,
                     w->packed + (size_t)head * w->packed_bytes, slot_at(w, slot));
    slot_give(w, slot);
}

/* Head by head, the longest block first (causal rows grow with it), so that each thread's run of tasks ends on short ones. */
static void block_task(void *self, int64_t task)
{
    work *w = self;
    const wgi_attention *a = w->a;
    const int64_t head = task / w->query_blocks,
                  block = w->query_blocks - 1 - task % w->query_blocks;
    const int64_t b = head / a->heads, h = head % a->heads, slot = slot_take(w);
    const int64_t kv = h / (a->heads / a->kv_heads);
    w->kernels->forward(a, b, h, block,
                        w->packed + (size_t)(b * a->kv_heads + kv) * w->packed_bytes,
                        slot_at(w, slot));
    slot_give(w, slot);
}

/* All of one key-value head, packed in the slot. */
static void head_task(void *self, int64_t task)
{
    work *w = self;
    const wgi_attention *a = w->a;
    const int64_t b = task / a->kv_heads, kv = task % a->kv_heads, group = a->heads / a->kv_heads;
    const int64_t slot = slot_take(w);
    char *packed = slot_at(w, slot), *own = packed + w->packed_bytes;
    for (int64_t block = 0; block < w->key_blocks; block++)
        w->kernels->pack(a, b, kv, block, packed, own);
    for (int64_t h = kv * group; h < (kv + 1) * group; h++)
        for (int64_t block = 0; block < w->query_blocks; block++)
            w->kernels->forward(a, b, h, block, packed, own);
    slot_give(w, slot);
}

static void direct_task(void *self, int64_t task)
{
    work *w = self;
    const int64_t slot = slot_take(w);
    w->kernels->direct(w->a, task / w->a->kv_heads, task % w->a->kv_heads, slot_at(w, slot));
    slot_give(w, slot);
}

wg_status wgi_attention_forward(const wg_run *r, wgi_attention *a)
{
    const int64_t kv_heads = a->batch * a->kv_heads, heads = a->batch * a->heads;
    if (heads == 0 || a->tq == 0) return WG_OK;
    work w = { .a = a, .kernels = kernels_of(a) };
    choose_tile(a);
    w.query_blocks = (a->tq + a->bq - 1) / a->bq;
    w.key_blocks = (a->tk + a->bk - 1) / a->bk;
    if (a->tq <= DIRECT_QUERIES &&
        a->tk <= INT32_MAX) { /* a row's places fit the lanes that see it */
        w.slot_bytes = w.kernels->direct_bytes(a);
        if (find_memory(r, &w, kv_heads, 0) != WG_OK) return WG_EMEM;
        if (2 * heads * a->tq * a->tk * (a->d + a->dv) > SERIAL_WORK)
            wgi_parallel_tasks(kv_heads, direct_task, &w);
        else
            for (int64_t i = 0; i < kv_heads; i++) direct_task(&w, i);
        return WG_OK;
    }
    w.packed_bytes = w.kernels->packed_bytes(a);
    w.slot_bytes = w.kernels->forward_bytes(a);
    /* Either way the sums are the same ones. */
    if (w.packed_bytes <= HEAD_BYTES && kv_heads >= (int64_t)HEADS_A_THREAD * wg_threads()) {
        w.slot_bytes += w.packed_bytes;
        if (find_memory(r, &w, kv_heads, 0) != WG_OK) return WG_EMEM;
        wgi_parallel_tasks(kv_heads, head_task, &w);
        return WG_OK;
    }
    if (find_memory(r, &w, heads * w.query_blocks, (size_t)kv_heads * w.packed_bytes + 64) != WG_OK)
        return WG_EMEM;
    wgi_parallel_tasks(kv_heads * w.key_blocks, pack_task, &w);
    wgi_parallel_tasks(heads * w.query_blocks, block_task, &w);
    return WG_OK;
}

static void backward_task(void *self, int64_t task)
{
    work *w = self;
    const int64_t slot = slot_take(w);
    w->kernels->backward(w->a, task / w->a->kv_heads, task % w->a->kv_heads, slot_at(w, slot));
    slot_give(w, slot);
}

wg_status wgi_attention_backward(const wg_run *r, wgi_attention *a)
{
    const int64_t kv_heads = a->batch * a->kv_heads;
    if (kv_heads == 0) return WG_OK;
    work w = { .a = a, .kernels = kernels_of(a) };
    choose_tile(a);
    w.slot_bytes = w.kernels->backward_bytes(a);
    if (find_memory(r, &w, kv_heads, 0) != WG_OK) return WG_EMEM;
    wgi_parallel_tasks(kv_heads, backward_task, &w);
    return WG_OK;
}
