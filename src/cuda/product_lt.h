/* One product by cuBLASLt. Only for this folder. */
#ifndef WGI_CUDA_PRODUCT_LT_H
#define WGI_CUDA_PRODUCT_LT_H
#include "cuda/device.h"

/* Everything that the choice of an algorithm depends on; compared as bytes. */
typedef struct {
    int64_t m, n, k, batch, lda, ldb, ldc, stride_a, stride_b, stride_c;
    int type, type_c, compute, trans_a, trans_b, epilogue, beta, alignment;
} wgi_product_problem;

typedef struct {
    const void *a, *b, *bias; /* in cuBLAS's sense */
    void *c;
    double alpha, beta;
} wgi_product_values;

/* The device's handle and workspace, made at the first product. NULL: raised. */
wgi_cuda_product *wgi_product_open(wgi_cuda_device *d);
/* D (m, n), column-major, = op(a) op(b) alpha + beta D. *declined: cuBLASLt cannot do it. */
wg_status wgi_product_multiply(wgi_cuda_device *d, wgi_cuda_product *c,
                               const wgi_product_problem *p, const wgi_product_values *v,
                               bool *declined);
/* The largest power of two, up to 256, that divides all of them. */
int wgi_product_alignment(const void *a, const void *b, const void *c, const void *bias);
#endif
