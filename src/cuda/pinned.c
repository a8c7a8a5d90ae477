#include "cuda/pinned.h"

#include <stdlib.h>

#include "cuda/device.h"
#include "cuda/record.h"

enum { PIECE = 1 << 20, ALIGNMENT = 64 };

struct wgi_pinned_piece {
    struct wgi_pinned_piece *next;
    char *bytes; /* (size) pinned */
    size_t size, used;
};
typedef struct wgi_pinned_piece piece;

/* Also while a graph is captured, which knows nothing of it. */
static piece *piece_new(size_t bytes)
{
    const size_t size = bytes < PIECE ? PIECE : bytes;
    piece *n = wgi_malloc(sizeof *n);
    if (!n) {
        wg_raise(WG_EMEM, "out of memory for copies to the device");
        return NULL;
    }
    void *p = NULL;
    const enum cudaStreamCaptureMode before = wgi_cuda_relax(cudaStreamCaptureModeRelaxed);
    const wg_status s =
        wgi_cuda_check(cudaHostAlloc(&p, size, cudaHostAllocPortable), "cudaHostAlloc");
    wgi_cuda_relax(before);
    if (s == WG_OK) {
        *n = (piece) { .bytes = p, .size = size };
        return n;
    }
    free(n);
    return NULL;
}

void *wgi_pinned_take(wgi_pinned *p, size_t bytes)
{
    if (bytes > SIZE_MAX - ALIGNMENT) {
        wg_raise(WG_EMEM, "out of memory for copies to the device: %zu bytes wanted", bytes);
        return NULL;
    }
    const size_t size = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    while (p->now && p->now->size - p->now->used < size && p->now->next) p->now = p->now->next;
    if (!p->now || p->now->size - p->now->used < size) {
        piece *n = piece_new(size);
        if (!n) return NULL;
        if (p->now)
            p->now->next = n;
        else
            p->first = n;
        p->now = n;
    }
    void *at = p->now->bytes + p->now->used;
    p->now->used += size;
    return at;
}

void wgi_pinned_reset(wgi_pinned *p)
{
    for (piece *n = p->first; n; n = n->next) n->used = 0;
    p->now = p->first;
}

void wgi_pinned_free(wgi_pinned *p)
{
    for (piece *n = p->first, *next; n; n = next) {
        next = n->next;
        if (cudaFreeHost(n->bytes) != cudaSuccess) (void)cudaGetLastError();
        free(n);
    }
    *p = (wgi_pinned) { NULL, NULL };
}
