/* Products of activations with rows of weights in blocks, per instruction-set level.
 *
 * For q4_0, q8_0, q4_k, q5_k and q6_k the activations are brought to 8 bits, a scale for 32 of them
 * as in ggml's scheme (Q8_0 with an f32 scale), and products are sums of integers within a block.
 * What a sum then misses is at most the sum of |w| d / 2, d = max|x| / 127 of each block.
 * A row's result does not depend on how many rows there are. */
#ifndef WGI_CPU_QUANT_DOT_H
#define WGI_CPU_QUANT_DOT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/quant.h"

/* m rows of k activations, k a multiple of 32, `row` bytes apart; as one kernel's quantise made
 * them, in its own order:
 *   int8_t codes[k]; float scales[k / 32]; float shifts[k / 32]: -8 scale (sum of the codes), which
 *   q4_0 needs because its codes 0 .. 15 stand for -8 .. 7, q4_k and q5_k for their minima. */
typedef struct {
    const char *data;
    size_t row;
    int64_t m, k;
} wgi_q8_rows;
static inline size_t wgi_q8_row_bytes(int64_t k)
{
    return (size_t)k / 32 * 40;
}

typedef struct {
    void (*quantise)(void *to, const float *x, int64_t k); /* one row */
    void (*dots)(float *y, int64_t y_row, const void *w, const wgi_q8_rows *x);
} wgi_q8_kernel; /* y[i y_row] = x[i, :] . w, for all i */

typedef struct {
    /* by type, NULLs: none; vnni: where wgi_cpu_vnni; NULLs: the plain one */
    wgi_q8_kernel q8[WGI_BLOCK_TYPES], q8_vnni[WGI_BLOCK_TYPES];
    /* y[i y_row] += x[i, :] . w: f32, contiguous rows of x are x_row elements apart */
    void (*f32)(float *y, int64_t y_row, const float *w, const float *x, int64_t x_row, int64_t m,
                int64_t k);
} wgi_quant_dots;
WGI_DECLARE_LEVELS(wgi_quant_dots, wgi_quant_dots);
#endif
