/* Elementwise kernels, by formula, as the CPU's table has them, and those without a formula. */
#ifndef WGI_CUDA_ELEMENTWISE_H
#define WGI_CUDA_ELEMENTWISE_H
#include "cpu/elementwise_kernels.h"
#include "cuda/fault.h"
#include "cuda/pass.h"

enum {
    WGI_GPU_COPY = WGI_FORMULA_COUNT, /* T -> T */
    WGI_GPU_ISFINITE,                 /* T -> bool */
    WGI_GPU_NOT,                      /* truth of T -> bool */
    WGI_GPU_AND,
    WGI_GPU_OR,
    WGI_GPU_XOR,
    WGI_GPU_FILL,  /* T, bool -> T: a where true */
    WGI_GPU_WHERE, /* bool, T, T -> T */
    WGI_GPU_CODES
};

typedef struct {
    wgi_pass pass; /* operand 0 is the output, then the inputs */
    int code;      /* a wgi_formula, or one of the above */
    int compute;   /* WG_F64, WG_F32 or WG_I64 */
    bool accumulate;
    double a, b;
    int64_t integer_a, integer_b;
    wgi_fault_record *fault;
    wgi_fault_source source;
} wgi_elementwise_launch;

#ifdef __cplusplus
extern "C" {
#endif
/* false: there is no such kernel for the type. */
bool wgi_launch_elementwise(const wgi_elementwise_launch *l, void *stream);
#ifdef __cplusplus
}
#endif
#endif
