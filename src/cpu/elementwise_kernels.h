/* The table of contiguous loops by formula and by the type that they compute in, per level. Knows no
 * tensors, so that its long file is compiled only when a formula changes. */
#ifndef WGI_CPU_ELEMENTWISE_KERNELS_H
#define WGI_CPU_ELEMENTWISE_KERNELS_H
#include <stdint.h>

#include "cpu/level.h"

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
#endif
