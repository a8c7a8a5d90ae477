/* What the host gave to copies that run later: bytes in pinned memory, handed out one behind the other and
 * taken back all at once. */
#ifndef WGI_CUDA_PINNED_H
#define WGI_CUDA_PINNED_H
#include <stddef.h>

/* Zeroed: empty. */
typedef struct {
    struct wgi_pinned_piece *first, *now; /* pieces of memory, and the one handed out from */
} wgi_pinned;

/* `bytes`, aligned to 64; NULL: raised (WG_EMEM). */
void *wgi_pinned_take(wgi_pinned *p, size_t bytes);
/* All of it is free again; the memory is kept. */
void wgi_pinned_reset(wgi_pinned *p);
void wgi_pinned_free(wgi_pinned *p);
#endif
