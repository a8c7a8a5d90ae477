/* Memory of the devices: a pool over cudaMalloc. With WG_NO_CACHE=1 every block is the driver's own,
 * so that compute-sanitizer sees its ends. */
#include "cuda/device.h"
#include "cuda/record.h"

bool wgi_cuda_caches(void)
{
    static atomic_int known = -1;
    return !wgi_flag_once(&known, "WG_NO_CACHE");
}

/* self: the device's index, as a pointer. The pool's caller has made the device current, or does so
 * through here. */
static void *map(void *self, size_t bytes)
{
    void *p = NULL;
    cudaError_t e = cudaSetDevice((int)(intptr_t)self);
    const enum cudaStreamCaptureMode before = wgi_cuda_relax(cudaStreamCaptureModeRelaxed);
    if (e == cudaSuccess) e = cudaMalloc(&p, bytes);
    wgi_cuda_relax(before);
    if (e == cudaSuccess) return p;
    if (e == cudaErrorMemoryAllocation)
        (void)cudaGetLastError();
    else
        wgi_cuda_check(e, "cudaMalloc"); /* a device that failed is not one that is full */
    return NULL;
}

/* cudaFree waits for the device: nothing of the segment is still being worked on. */
static void unmap(void *self, void *p, size_t bytes)
{
    (void)bytes;
    if (cudaSetDevice((int)(intptr_t)self) != cudaSuccess || cudaFree(p) != cudaSuccess)
        (void)cudaGetLastError(); /* at the process's end the driver may be gone already */
}

wgi_pool *wgi_cuda_pool_new(int index)
{
    return wgi_pool_new((wgi_pool_source) { map, unmap, (void *)(intptr_t)index });
}

static void *out_of_memory(const wgi_cuda_device *d, size_t bytes)
{
    const wgi_pool_stats s = wgi_pool_state(d->pool);
    size_t left = 0, all = 0;
    const enum cudaStreamCaptureMode before = wgi_cuda_relax(cudaStreamCaptureModeRelaxed);
    if (cudaMemGetInfo(&left, &all) != cudaSuccess) (void)cudaGetLastError();
    wgi_cuda_relax(before);
    wg_raise(
        WG_EMEM,
        "out of memory on cuda:%d: %zu bytes wanted, %lld used, %lld cached in pieces that are "
        "too small%s, %zu of %zu free on the device",
        d->index, bytes, (long long)s.used, (long long)(s.mapped - s.used),
        wgi_cuda_recording(d) ? " or kept while a graph is captured" : "", left, all);
    return NULL;
}

void *wgi_cuda_alloc(int index, size_t bytes)
{
    wgi_cuda_device *d = wgi_cuda_open(index);
    if (!d) return NULL;
    void *p = NULL;
    if (wgi_cuda_caches())
        p = wgi_cuda_recording(d) ? wgi_pool_alloc_captured(d->pool, bytes)
                                  : wgi_pool_alloc(d->pool, bytes);
    else
        p = map((void *)(intptr_t)index, bytes ? bytes : 1);
    return p ? p : out_of_memory(d, bytes);
}

void wgi_cuda_free(int index, void *p, size_t bytes)
{
    const wgi_cuda_device *d = wgi_cuda_opened(index);
    if (!d || !p) return;
    if (!wgi_cuda_caches() || !wgi_pool_free(d->pool, p)) unmap((void *)(intptr_t)index, p, bytes);
}

void wgi_cuda_trim(void)
{
    for (int i = 0; i < WGI_CUDA_DEVICES; i++) {
        const wgi_cuda_device *d = wgi_cuda_opened(i);
        if (d) wgi_pool_trim(d->pool);
    }
}

int64_t wgi_cuda_cached(int index)
{
    const wgi_cuda_device *d = wgi_cuda_opened(index);
    if (!d) return 0;
    const wgi_pool_stats s = wgi_pool_state(d->pool);
    return s.mapped - s.used;
}
