/* Blocks of quantised weights, in GGUF's layouts: from and to f32, per instruction-set level.
 * Bit for bit what ggml's reference computes (ggml-quants.c, gguf-py's quants.py). */
#ifndef WGI_CPU_QUANT_H
#define WGI_CPU_QUANT_H
#include <stdbool.h>
#include <stdint.h>

#include "cpu/level.h"
#include "wengert/base.h"

enum { WGI_BLOCK_TYPES = WG_BLOCK_DTYPE_END - WG_Q4_0 };

typedef struct {
    void (*of[WGI_BLOCK_TYPES])(float *to, const void *from, int64_t blocks);
} wgi_dequantise_kernels;
typedef struct { /* NULL: nothing writes this type */
    void (*to[WGI_BLOCK_TYPES])(void *to, const float *from, int64_t blocks);
} wgi_quantise_kernels;
WGI_DECLARE_LEVELS(wgi_dequantise_kernels, wgi_dequantise_kernels);
WGI_DECLARE_LEVELS(wgi_quantise_kernels, wgi_quantise_kernels);

/* n elements, a multiple of the block; blocks at any address. */
static inline void wgi_dequantise(wg_dtype t, float *to, const void *from, int64_t n)
{
    WGI_PICK(wgi_dequantise_kernels)->of[t - WG_Q4_0](to, from, n / wg_dtype_block(t));
}

static inline bool wgi_can_quantise(wg_dtype t)
{
    return WGI_PICK(wgi_quantise_kernels)->to[t - WG_Q4_0] != NULL;
}

/* The same the other way; wgi_can_quantise(t). */
static inline void wgi_quantise(wg_dtype t, void *to, const float *from, int64_t n)
{
    WGI_PICK(wgi_quantise_kernels)->to[t - WG_Q4_0](to, from, n / wg_dtype_block(t));
}
#endif
