/* Products of one tile, f32 and f64, made of templates: the micro-kernel, packing, the tile, and a way around it for few
 * rows. */
#include "cpu/gemm_ahead.h"
#include "cpu/gemm_kernel.h"
#include "cpu/stream.h"
#include "cpu/vec.h"

enum {
#if defined(__AVX512F__)
    ROWS = 14,    /* x 2 vectors: 28 of 32 registers hold sums */
    UNROLLED = 8, /* steps of k */
#else
    ROWS = 6, /* x 2 vectors: 12 of 16 */
    UNROLLED = 4,
#endif
    DEPTH = 256,         /* of k: in f32 a panel is 32 KiB at most */
    FETCH_EVERY = 64,    /* steps of k: some lines of what is needed next */
    PER_STEP = 1,        /* k that an element of a panel stands for */
    UNPACKED_ROWS = 64,  /* up to so many rows of C, B is read where it lies if it can be */
    PACKED_COLUMNS = 96, /* from so many columns of C on, A is packed */
    ZEN5_COLUMNS = 256,  /* and on Zen 5 */
    THIN_ROWS =
        8,    /* up to so many, contiguous columns of B are not packed but multiplied as they lie */
    DOTS = 4, /* rows and columns of dot products at once, at most */
};

#define REAL float
#define VEC wgi_vf
#define LANES WGI_VF
#define LOAD wgi_vf_load
#define STORE wgi_vf_store
#define STREAM wgi_vf_stream
#define SET wgi_vf_set
#define FMA wgi_vf_fma
#define TRANSPOSE wgi_vf_transpose
#define SUMS wgi_vf_sums
#define NAME(x) x##_f32
#include "cpu/gemm_micro.inc.h"
#include "cpu/gemm_pack.inc.h"
#include "cpu/gemm_tile.inc.h"
#include "cpu/gemm_thin.inc.h"
#undef COLUMNS
#undef A_PANEL
#undef A_PAD
#undef REAL
#undef VEC
#undef LANES
#undef LOAD
#undef STORE
#undef STREAM
#undef SET
#undef FMA
#undef TRANSPOSE
#undef SUMS
#undef NAME

#define REAL double
#define VEC wgi_vd
#define LANES WGI_VD
#define LOAD wgi_vd_load
#define STORE wgi_vd_store
#define STREAM wgi_vd_stream
#define SET wgi_vd_set
#define FMA wgi_vd_fma
#define TRANSPOSE wgi_vd_transpose
#define SUMS wgi_vd_sums
#define NAME(x) x##_f64
#include "cpu/gemm_micro.inc.h"
#include "cpu/gemm_pack.inc.h"
#include "cpu/gemm_tile.inc.h"
#include "cpu/gemm_thin.inc.h"

static void run_f32(const wgi_gemm_block *g)
{
    if (is_thin_f32(g))
        run_thin_f32(g);
    else
        run_tile_f32(g);
}

static size_t scratch_f32(const wgi_gemm_block *g)
{
    return sizeof(float) * (size_t)(is_thin_f32(g) ? thin_scratch_f32(g) : tile_scratch_f32(g));
}

static void run_f64(const wgi_gemm_block *g)
{
    if (is_thin_f64(g))
        run_thin_f64(g);
    else
        run_tile_f64(g);
}

static size_t scratch_f64(const wgi_gemm_block *g)
{
    return sizeof(double) * (size_t)(is_thin_f64(g) ? thin_scratch_f64(g) : tile_scratch_f64(g));
}

const wgi_gemm_kernels WGI_AT_LEVEL(wgi_gemm_kernels) = {
    .f32 = { run_f32, scratch_f32, ROWS },
    .f64 = { run_f64, scratch_f64, ROWS },
};
