/* The micro-kernel for pairs of bf16 by AVX-512-BF16's product of pairs, twice the rate of f32. It takes bf16 denormals as zero,
 * and adds a pair's two products with roundings of its own (Intel's manual, VDPBF16PS). DEPTH: pairs along k at most. */
#include "cpu/gemm_ahead.h"
#include "cpu/vec.h"

enum {
    ROWS = 14,
    FETCH_EVERY = 64,
    UNROLLED = 8,
};

#define REAL float
#define VEC wgi_vf
#define LANES WGI_VF
#define LOAD wgi_vf_load
#define STORE wgi_vf_store
#define STREAM wgi_vf_stream
#define SET wgi_vf_set
#define FMA(x, y, sum) (wgi_vf) _mm512_dpbf16_ps((__m512)(sum), (__m512bh)(x), (__m512bh)(y))
#define TRANSPOSE wgi_vf_transpose
#define NAME(x) x##_bf16
#include "cpu/gemm_micro.inc.h"
