/* Bytes between the host and devices. To a device they go through pinned buffers: the caller's
 * memory is free again when the call returns, and the device copies while the host goes on. From a
 * device the call waits, since the caller reads what it gets. */
#include <pthread.h>
#include <stdlib.h>

#include "cuda/device.h"
#include "cuda/record.h"

enum { STAGES = 4, STAGE_BYTES = 4 << 20 };

struct wgi_cuda_stage {
    pthread_mutex_t lock;
    char *buffer[STAGES];     /* pinned, STAGE_BYTES each */
    cudaEvent_t done[STAGES]; /* all copies out of the buffer have run */
    int now;                  /* the buffer that is being filled, */
    size_t used;              /* up to here */
};

static wg_status stage_fill(wgi_cuda_stage *s)
{
    wg_status e = WG_OK;
    for (int i = 0; i < STAGES && e == WG_OK; i++) {
        void *p = NULL;
        e = wgi_cuda_check(cudaHostAlloc(&p, STAGE_BYTES, cudaHostAllocPortable), "cudaHostAlloc");
        s->buffer[i] = p;
        if (e == WG_OK)
            e = wgi_cuda_check(cudaEventCreateWithFlags(&s->done[i], cudaEventDisableTiming),
                               "cudaEventCreate");
    }
    return e;
}

/* The device's buffers, made at the first transfer. */
static wgi_cuda_stage *stage_of(wgi_cuda_device *d)
{
    static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&making);
    if (!d->stage) {
        wgi_cuda_stage *s = calloc(1, sizeof *s);
        if (!s)
            wg_raise(WG_EMEM, "out of memory for pinned buffers of cuda:%d", d->index);
        else if (stage_fill(s) == WG_OK && pthread_mutex_init(&s->lock, NULL) == 0)
            d->stage = s;
        else {
            for (int i = 0; i < STAGES; i++) {
                if (s->buffer[i]) (void)cudaFreeHost(s->buffer[i]);
                if (s->done[i]) (void)cudaEventDestroy(s->done[i]);
            }
            free(s);
        }
    }
    wgi_cuda_stage *s = d->stage;
    pthread_mutex_unlock(&making);
    return s;
}

/* Where `bytes` more fit: behind what was sent before, or in the next buffer, which is waited for. Small
 * ones share a buffer, so that a step may send many before the host has to wait for the device. */
static char *stage_room(wgi_cuda_stage *s, size_t bytes)
{
    enum { ALIGNMENT = 64 };
    if (s->used + bytes > STAGE_BYTES) {
        const int next = (s->now + 1) % STAGES;
        if (wgi_cuda_check(cudaEventSynchronize(s->done[next]), "cudaEventSynchronize") != WG_OK)
            return NULL;
        s->now = next;
        s->used = 0;
    }
    char *at = s->buffer[s->now] + s->used;
    s->used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return at;
}

static wg_status send_piece(wgi_cuda_device *d, wgi_cuda_stage *s, char *to, const char *from,
                            size_t bytes)
{
    char *staged = stage_room(s, bytes);
    if (!staged) return wg_error_code();
    memcpy(staged, from, bytes);
    const wg_status e =
        wgi_cuda_check(cudaMemcpyAsync(to, staged, bytes, cudaMemcpyHostToDevice, d->stream),
                       "copy to the device");
    if (e != WG_OK) return e;
    return wgi_cuda_check(cudaEventRecord(s->done[s->now], d->stream), "cudaEventRecord");
}

/* Into the graph that is being captured: the copy is read when the graph runs. */
static wg_status send_later(wgi_cuda_device *d, char *to, const char *from, size_t bytes)
{
    void *kept = wgi_recorder_keep(from, bytes);
    if (!kept) return wg_error_code();
    return wgi_cuda_check(
        cudaMemcpyAsync(to, kept, bytes, cudaMemcpyHostToDevice, wgi_cuda_stream(d)),
        "copy to the device");
}

static wg_status send(wgi_cuda_device *d, char *to, const char *from, size_t bytes)
{
    if (wgi_cuda_recording(d)) return send_later(d, to, from, bytes);
    if (wgi_cuda_may_wait("copy to another device") != WG_OK) return wg_error_code();
    wgi_cuda_stage *s = stage_of(d);
    if (!s) return wg_error_code();
    wg_status e = WG_OK;
    pthread_mutex_lock(&s->lock);
    for (size_t at = 0; at < bytes && e == WG_OK; at += STAGE_BYTES)
        e = send_piece(d, s, to + at, from + at,
                       bytes - at < STAGE_BYTES ? bytes - at : STAGE_BYTES);
    pthread_mutex_unlock(&s->lock);
    return e;
}

static wg_status fetch(wgi_cuda_device *d, void *to, const void *from, size_t bytes)
{
    wg_status e = wgi_cuda_may_wait("copy from the device");
    if (e == WG_OK)
        e = wgi_cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, d->stream),
                           "copy from the device");
    return e == WG_OK ? wgi_cuda_wait(d, "copy from the device") : e;
}

/* Between two devices: by way of both streams, waited for. */
static wg_status across(wgi_cuda_device *to_device, void *to, wgi_cuda_device *from_device,
                        const void *from, size_t bytes)
{
    if (to_device == from_device)
        return wgi_cuda_check(
            cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, wgi_cuda_stream(to_device)),
            "copy within the device");
    wg_status e = wgi_cuda_wait(to_device, "copy between devices"); /* `to` may still be in use */
    if (e == WG_OK)
        e = wgi_cuda_check(cudaMemcpyPeerAsync(to, to_device->index, from, from_device->index,
                                               bytes, from_device->stream),
                           "copy between devices");
    return e == WG_OK ? wgi_cuda_wait(from_device, "copy between devices") : e;
}

wg_status wgi_cuda_copy(void *to, wg_device to_device, const void *from, wg_device from_device,
                        size_t bytes)
{
    wgi_cuda_device *a = NULL, *b = NULL;
    if (bytes == 0) return WG_OK;
    if (to_device.kind == WG_CUDA && !(a = wgi_cuda_open(to_device.index))) return wg_error_code();
    if (from_device.kind == WG_CUDA && !(b = wgi_cuda_open(from_device.index)))
        return wg_error_code();
    if (a && b) return across(a, to, b, from, bytes);
    if (a) return send(a, to, from, bytes);
    if (b) return fetch(b, to, from, bytes);
    memcpy(to, from, bytes);
    return WG_OK;
}

wg_status wgi_cuda_zero(int index, void *p, size_t bytes)
{
    wgi_cuda_device *d = wgi_cuda_open(index);
    if (!d) return wg_error_code();
    return wgi_cuda_check(cudaMemsetAsync(p, 0, bytes, wgi_cuda_stream(d)), "cudaMemsetAsync");
}
