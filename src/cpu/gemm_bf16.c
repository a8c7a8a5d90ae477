/* Products of one tile of bf16 by bf16 into f32, by AVX-512-BF16's product of pairs: twice the rate of f32. Built where
 * the compiler knows the instruction. It takes bf16 denormals as zero, and adds a pair's two products with roundings of
 * its own (Intel's manual, VDPBF16PS). */
#include "cpu/gemm_ahead.h"
#include "cpu/gemm_kernel.h"
#include "cpu/vec.h"

enum {
    ROWS = 14,
    DEPTH = 384, /* pairs */
    PER_STEP = 2,
    UNPACKED_ROWS = 0,
    PACKED_COLUMNS = 0,
};

#define REAL float
#define VEC wgi_vf
#define LANES WGI_VF
#define LOAD wgi_vf_load
#define STORE wgi_vf_store
#define SET wgi_vf_set
#define FMA(x, y, sum) (wgi_vf) _mm512_dpbf16_ps((__m512)(sum), (__m512bh)(x), (__m512bh)(y))
#define TRANSPOSE wgi_vf_transpose
#define NAME(x) x##_bf16
#include "cpu/gemm_micro.inc.h"
#include "cpu/gemm_pack_pairs.inc.h"
#include "cpu/gemm_tile.inc.h"

static size_t scratch(const wgi_gemm_block *g)
{
    return sizeof(float) * (size_t)tile_scratch_bf16(g);
}

const wgi_gemm_kernel wgi_gemm_bf16 = { run_tile_bf16, scratch, ROWS };
