/* Operands as AMX's registers hold them: 16 rows of 64 bytes, which are 16 pairs of bf16 along k. A register of A has pairs of
 * one row beside each other, of B those of 16 columns. Only for gemm_amx.c. */
#ifndef WGI_CPU_GEMM_AMX_PACK_H
#define WGI_CPU_GEMM_AMX_PACK_H
#include <stdbool.h>
#include <string.h>

#include "cpu/amx.h"
#include "cpu/gemm_kernel.h"
#include "cpu/vec.h"

#define REAL float
#define VEC wgi_vf
#define LANES WGI_VF
#define COLUMNS BLOCK
#define LOAD wgi_vf_load
#define STORE wgi_vf_store
#define TRANSPOSE wgi_vf_transpose
#define NAME(x) x##_amx
#include "cpu/gemm_pack_pairs.inc.h"

/* A register of A: up to SIDE rows and BLOCK of k, zeros beyond. The rows lie contiguous, `stride` bytes apart. */
static void bf16_rows(char *to, const char *a, int64_t stride, int64_t rows, int64_t k)
{
    const __mmask32 wanted = (__mmask32)(k < BLOCK ? (1u << k) - 1 : ~0u);
    for (int64_t i = 0; i < SIDE; i++)
        _mm512_storeu_si512(to + 64 * i, i < rows ? _mm512_maskz_loadu_epi16(wanted, a + i * stride)
                                                  : _mm512_setzero_si512());
}

/* The same where columns lie contiguous, `stride` bytes apart. */
static void bf16_columns(char *to, const char *a, int64_t stride, int64_t rows, int64_t k)
{
    VEC square[SIDE];
    for (int64_t p = 0; p < SIDE; p++) {
        const char *x = a + 2 * p * stride;
        if (2 * p < k)
            pair_up(&square[p], x, 2 * p + 1 < k ? x + stride : NULL, rows, SIDE);
        else
            square[p] = wgi_vf_set(0);
    }
    TRANSPOSE(square);
    memcpy(to, square, REGISTER);
}
#endif
