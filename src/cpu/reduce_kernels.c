/* The inner loops of reductions, compiled once per instruction-set level. Sums run in 4 x 16 lanes
 * (4 x 8 of 64 bits) that are joined by a fixed tree. */
#include "cpu/reduce.h"

#include <math.h>

#include "tensor/half.h"
#include "cpu/formula_math.h"
#include "cpu/level.h"

typedef float vec_f32 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t mask_f32 __attribute__((vector_size(64), aligned(4), may_alias));
typedef double vec_f64 __attribute__((vector_size(64), aligned(8), may_alias));
typedef int64_t vec_i64 __attribute__((vector_size(64), aligned(8), may_alias));
typedef uint64_t vec_u64 __attribute__((vector_size(64), aligned(8), may_alias));

/* The lanes of a where m is set, else of b. */
#define PICK(m, a, b, VEC, MASK) ((VEC)(((m) & (MASK)(a)) | (~(m) & (MASK)(b))))
/* A NaN on either side stays: a if it is greater or NaN, else b. */
#define ABOVE(a, b) (((a) > (b)) | ((a) != (a)))
#define BELOW(a, b) (((a) < (b)) | ((a) != (a)))

#define T float
#define VEC vec_f32
#define LANES 16
#define NAME sum_f32
#define ONE(a, b) ((a) + (b))
#define MANY(a, b) ((a) + (b))
#include "cpu/reduce_fold.inc.h"
#define NAME prod_f32
#define ONE(a, b) ((a) * (b))
#define MANY(a, b) ((a) * (b))
#include "cpu/reduce_fold.inc.h"
#define NAME max_f32
#define ONE(a, b) (ABOVE(a, b) ? (a) : (b))
#define MANY(a, b) PICK(ABOVE(a, b), a, b, vec_f32, mask_f32)
#include "cpu/reduce_fold.inc.h"
#define NAME min_f32
#define ONE(a, b) (BELOW(a, b) ? (a) : (b))
#define MANY(a, b) PICK(BELOW(a, b), a, b, vec_f32, mask_f32)
#include "cpu/reduce_fold.inc.h"
#undef T
#undef VEC
#undef LANES

#define T double
#define VEC vec_f64
#define LANES 8
#define NAME sum_f64
#define ONE(a, b) ((a) + (b))
#define MANY(a, b) ((a) + (b))
#include "cpu/reduce_fold.inc.h"
#define NAME prod_f64
#define ONE(a, b) ((a) * (b))
#define MANY(a, b) ((a) * (b))
#include "cpu/reduce_fold.inc.h"
#define NAME max_f64
#define ONE(a, b) (ABOVE(a, b) ? (a) : (b))
#define MANY(a, b) PICK(ABOVE(a, b), a, b, vec_f64, vec_i64)
#include "cpu/reduce_fold.inc.h"
#define NAME min_f64
#define ONE(a, b) (BELOW(a, b) ? (a) : (b))
#define MANY(a, b) PICK(BELOW(a, b), a, b, vec_f64, vec_i64)
#include "cpu/reduce_fold.inc.h"
#undef T
#undef VEC

#define T uint64_t /* sums and products of integers wrap */
#define VEC vec_u64
#define NAME sum_i64
#define ONE(a, b) ((a) + (b))
#define MANY(a, b) ((a) + (b))
#include "cpu/reduce_fold.inc.h"
#define NAME prod_i64
#define ONE(a, b) ((a) * (b))
#define MANY(a, b) ((a) * (b))
#include "cpu/reduce_fold.inc.h"
#undef T
#undef VEC
#define T int64_t
#define VEC vec_i64
#define NAME max_i64
#define ONE(a, b) ((a) > (b) ? (a) : (b))
#define MANY(a, b) PICK((a) > (b), a, b, vec_i64, vec_i64)
#include "cpu/reduce_fold.inc.h"
#define NAME min_i64
#define ONE(a, b) ((a) < (b) ? (a) : (b))
#define MANY(a, b) PICK((a) < (b), a, b, vec_i64, vec_i64)
#include "cpu/reduce_fold.inc.h"
#undef T
#undef VEC
#undef LANES

/* ---- packing: strided elements of any dtype to the accumulator's type ---- */
#define NAME pack_f64
#define FROM double
#define TO double
#define LOAD(v) (v)
#include "cpu/reduce_pack.inc.h"
#define NAME pack_f32
#define FROM float
#define TO float
#define LOAD(v) (v)
#include "cpu/reduce_pack.inc.h"
#define NAME pack_bf16
#define FROM uint16_t
#define TO float
#define LOAD(v) wgi_bf16_to_f32(v)
#include "cpu/reduce_pack.inc.h"
#define NAME pack_f16
#define FROM uint16_t
#define TO float
#define LOAD(v) wgi_f16_to_f32(v)
#include "cpu/reduce_pack.inc.h"
#define NAME pack_i64
#define FROM int64_t
#define TO int64_t
#define LOAD(v) (v)
#include "cpu/reduce_pack.inc.h"
#define NAME pack_i32
#define FROM int32_t
#define TO int64_t
#define LOAD(v) (v)
#include "cpu/reduce_pack.inc.h"
#define NAME pack_u8
#define FROM uint8_t
#define TO int64_t
#define LOAD(v) (v)
#include "cpu/reduce_pack.inc.h"
#define NAME pack_bool
#define FROM uint8_t
#define TO int64_t
#define LOAD(v) ((v) != 0)
#include "cpu/reduce_pack.inc.h"

/* ---- maps of packed elements ---- */
#define NAME f32
#define T float
#define ABS fabsf
#define EXP wgi_exp_f32
#define POW powf
#include "cpu/reduce_map.inc.h"
#define NAME f64
#define T double
#define ABS fabs
#define EXP exp
#define POW pow
#include "cpu/reduce_map.inc.h"

static void map_i64(const wgi_fold_spec *f, void *data, int64_t rows, int64_t w, const void *centre)
{
    int64_t *p = data;
    (void)centre;
    if (f->map == WGI_MAP_NONZERO)
        for (int64_t i = 0; i < rows * w; i++) p[i] = p[i] != 0;
}

extern const wgi_fold_kernels WGI_AT_LEVEL(wgi_fold_kernels);
const wgi_fold_kernels WGI_AT_LEVEL(wgi_fold_kernels) = {
    .run = { [WGI_FOLD_SUM] = { run_sum_f32, run_sum_f64, run_sum_i64 },
             [WGI_FOLD_PROD] = { run_prod_f32, run_prod_f64, run_prod_i64 },
             [WGI_FOLD_MAX] = { run_max_f32, run_max_f64, run_max_i64 },
             [WGI_FOLD_MIN] = { run_min_f32, run_min_f64, run_min_i64 } },
    .columns = { [WGI_FOLD_SUM] = { columns_sum_f32, columns_sum_f64, columns_sum_i64 },
                 [WGI_FOLD_PROD] = { columns_prod_f32, columns_prod_f64, columns_prod_i64 },
                 [WGI_FOLD_MAX] = { columns_max_f32, columns_max_f64, columns_max_i64 },
                 [WGI_FOLD_MIN] = { columns_min_f32, columns_min_f64, columns_min_i64 } },
    .pack = { [WG_F64] = pack_f64,
              [WG_F32] = pack_f32,
              [WG_BF16] = pack_bf16,
              [WG_F16] = pack_f16,
              [WG_I64] = pack_i64,
              [WG_I32] = pack_i32,
              [WG_U8] = pack_u8,
              [WG_BOOL] = pack_bool },
    .map = { map_f32, map_f64, map_i64 },
};
