/* A CUDA device as the files of this folder see it. Only for them. */
#ifndef WGI_CUDA_DEVICE_H
#define WGI_CUDA_DEVICE_H
#include <cuda_runtime_api.h>
#include <pthread.h>

#include "cuda/fault.h"
#include "cuda/pool.h"
#include "tensor/internal.h"

enum { WGI_CUDA_DEVICES = 16 };

typedef struct wgi_cuda_product wgi_cuda_product; /* product.c: handle and workspace */
typedef struct wgi_cuda_cudnn wgi_cuda_cudnn;     /* sdpa_cudnn.c: handle and plans */
typedef struct wgi_cuda_stage wgi_cuda_stage;     /* transfer.c: pinned buffers */

typedef struct {
    int index, major, minor, multiprocessors;
    char name[64];
    cudaStream_t stream;       /* all work of the device */
    pthread_mutex_t capturing; /* held by the thread that captures a graph */
    wgi_pool *pool;
    wgi_fault_record *fault; /* pinned */
    wgi_cuda_product *product;
    wgi_cuda_cudnn *cudnn;
    wgi_cuda_stage *stage;
} wgi_cuda_device;

/* The device, opened on first use and made current for this thread; NULL: raised (WG_EDEVICE). */
wgi_cuda_device *wgi_cuda_open(int index);
/* Raises what a CUDA call gave: "<what>: <CUDA's name>: <CUDA's text>"; WG_OK for cudaSuccess. */
wg_status wgi_cuda_check(cudaError_t e, const char *what);
/* Raises what a kernel has reported so far, and clears it. Does not wait. */
wg_status wgi_cuda_poll(wgi_cuda_device *d);
/* Waits for the device's stream; then as wgi_cuda_poll. WG_EDEVICE while this thread captures. */
wg_status wgi_cuda_wait(wgi_cuda_device *d, const char *what);

/* The stream of a running kernel's device, and where its launches report; d is current. */
wgi_cuda_device *wgi_cuda_of(const wg_tensor *t);

/* WG_CUDA_SYNC=1: every kernel is waited for, so that a failure is told by the op that made it. */
bool wgi_cuda_waits(void);
/* false: WG_NO_CACHE=1 */
bool wgi_cuda_caches(void);

/* Where this thread's work on d goes: d->stream, or the stream that it captures. */
cudaStream_t wgi_cuda_stream(const wgi_cuda_device *d);

/* ---- the backend's functions, one room each: memory.c, transfer.c, copy.c ---- */
void *wgi_cuda_alloc(int index, size_t bytes);
void wgi_cuda_free(int index, void *p, size_t bytes);
void wgi_cuda_trim(void);
int64_t wgi_cuda_cached(int index);
wgi_pool *wgi_cuda_pool_new(int index);
wg_status wgi_cuda_copy(void *to, wg_device to_device, const void *from, wg_device from_device,
                        size_t bytes);
wg_status wgi_cuda_copy_elements(wg_tensor *dst, const wg_tensor *src);
wg_status wgi_cuda_zero(int index, void *p, size_t bytes);

/* kernels' code for this device is there: probe.cu */
#ifdef __cplusplus
extern "C"
#endif
    cudaError_t
    wgi_cuda_probe(void);
/* The devices that are open, for trim; NULL entries are closed. */
wgi_cuda_device *wgi_cuda_opened(int index);
#endif
