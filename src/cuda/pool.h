/* The device's memory between its driver and the tensors: segments are mapped by a source, cut into
 * blocks, and kept when blocks are freed. Policy after PyTorch's caching allocator: sizes are
 * multiples of 512; up to 1 MiB comes from segments of 2 MiB, up to 10 MiB from segments of 20 MiB,
 * more has a segment of its own, rounded to 2 MiB; best fit, split, and merged with free
 * neighbours. Freeing is immediate: all work of a device runs in one stream, so that a block's next
 * owner comes after its last. Except while a graph is captured: its kernels run after those that other
 * threads launch meanwhile, whenever the host made them. What is freed then is parked: only the capture
 * takes it again, in the order of its kernels, until they have been launched. No segment is given back
 * in that time either, but by wgi_pool_trim_captured. Knows no CUDA; any thread may call. */
#ifndef WGI_CUDA_POOL_H
#define WGI_CUDA_POOL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    void *(*map)(void *self, size_t bytes); /* NULL: there is no more */
    void (*unmap)(void *self, void *p, size_t bytes);
    void *self;
} wgi_pool_source;

typedef struct {
    int64_t used;   /* bytes of blocks handed out, rounded up */
    int64_t mapped; /* bytes of segments */
    int64_t segments, blocks;
} wgi_pool_stats;

typedef struct wgi_pool wgi_pool;

/* NULL: out of (host) memory. */
wgi_pool *wgi_pool_new(wgi_pool_source source);
/* Unmaps every segment; blocks still in use become invalid. NULL is fine. */
void wgi_pool_destroy(wgi_pool *p);
/* At least `bytes` (0 counts as 1), aligned to 512; NULL if the source has no more even after what
 * is cached was given back to it. */
void *wgi_pool_alloc(wgi_pool *p, size_t bytes);
/* The same for the thread that captures: parked blocks too. */
void *wgi_pool_alloc_captured(wgi_pool *p, size_t bytes);
/* A capture begins, and what it made has been launched, or is given up. One at a time. */
void wgi_pool_park(wgi_pool *p);
void wgi_pool_unpark(wgi_pool *p);
/* false: p is no block of this pool. */
bool wgi_pool_free(wgi_pool *p, void *block);
/* Gives segments without a used block back to the source; returns their bytes. 0 during a capture. */
int64_t wgi_pool_trim(wgi_pool *p);
/* The same for the thread that captured, between the capture's end and wgi_pool_unpark: segments that were free before the
 * capture, of which it took nothing. */
int64_t wgi_pool_trim_captured(wgi_pool *p);
wgi_pool_stats wgi_pool_state(wgi_pool *p);

/* The policy, for tests: what a request is rounded to, and the segment mapped for it. */
size_t wgi_pool_rounded(size_t bytes);
size_t wgi_pool_segment(size_t rounded);
#endif
