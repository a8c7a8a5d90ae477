/* Elementwise passes over tensors of any strides and dtypes: broadcast, split, converted by
 * blocks, computed by contiguous loops. The loops are picked from a table by formula and by the
 * type that they compute in. */
#ifndef WGI_CPU_ELEMENTWISE_H
#define WGI_CPU_ELEMENTWISE_H
#include <stdbool.h>

#include "cpu/level.h"
#include "tensor/internal.h"

typedef enum {
#define FORMULA(name) WGI_FORMULA_##name,
#include "cpu/formula_list.h"
    WGI_FORMULA_COUNT
} wgi_formula;

/* Numbers that a formula takes besides its operands. */
typedef struct {
    double a, b;
    int64_t integer_a, integer_b; /* the same for integers */
    int *zero_divisor;            /* set to 1 by an integer division by zero */
} wgi_numbers;

/* n contiguous elements; out overlaps no input. */
typedef void (*wgi_loop_fn)(void *out, const void *const *in, int64_t n, const wgi_numbers *p);

typedef struct {
    wgi_loop_fn f32[WGI_FORMULA_COUNT], f64[WGI_FORMULA_COUNT], i64[WGI_FORMULA_COUNT];
    wgi_loop_fn where_f32, where_f64, where_i64;                   /* bool, T, T -> T */
    wgi_loop_fn fill_f32, fill_f64, fill_i64;                      /* T, bool -> T: a where true */
    wgi_loop_fn isfinite_f32, isfinite_f64;                        /* -> bool */
    wgi_loop_fn logical_and, logical_or, logical_xor, logical_not; /* of bools */
    void (*accumulate_f32)(void *y, const void *x, int64_t n);
    void (*accumulate_f64)(void *y, const void *x, int64_t n);
    void (*accumulate_i64)(void *y, const void *x, int64_t n);
} wgi_elementwise_kernels;
WGI_DECLARE_LEVELS(wgi_elementwise_kernels, wgi_elementwise_kernels);

enum { WGI_OPERANDS = 4 };

/* A loop with the dtypes of its operands. */
typedef struct {
    wgi_loop_fn fn;
    wg_dtype in[WGI_OPERANDS], out;
    int64_t grain; /* elements of one piece; 0: WGI_GRAIN */
} wgi_loop;

/* The type that an op with this output computes in: f64, f32 (also for 16 bits), i64 for all
 * integers and bool. */
static inline wg_dtype wgi_compute_dtype(wg_dtype t)
{
    return t == WG_F64 ? WG_F64 : wgi_is_float(t) ? WG_F32 : WG_I64;
}
/* The loop of a formula whose operands and result are all of the type `compute`; fn is NULL
 * where there is none. */
wgi_loop wgi_formula_loop(wgi_formula f, wg_dtype compute);

/* out = loop(in...), or out += with accumulate. The inputs broadcast to out's shape; all on the
 * CPU. */
void wgi_elementwise(const wgi_loop *loop, wg_tensor *out, int n, wg_tensor *const *in,
                     const wgi_numbers *p, bool accumulate);
/* out = x, converted. */
void wgi_convert_tensor(wg_tensor *out, wg_tensor *x, bool accumulate);
#endif
