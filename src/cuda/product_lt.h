/* One product by cuBLASLt. Only for this folder. */
#ifndef WGI_CUDA_PRODUCT_LT_H
#define WGI_CUDA_PRODUCT_LT_H
#include "cuda/device.h"
#include "cuda/product_key.h"

typedef struct {
    const void *a, *b; /* in cuBLAS's sense */
    void *c;
    const void *added; /* what beta multiplies, laid out as D; NULL: D itself */
    void *bias, *aux;  /* read or written, as the epilogue says */
    double alpha, beta;
} wgi_product_values;

/* The device's handle and workspace, made at the first product. NULL: raised. */
wgi_cuda_product *wgi_product_open(wgi_cuda_device *d);
/* D (m, n), column-major, = op(a) op(b) alpha + beta D. *declined: cuBLASLt cannot do it, D is as it was. While this thread
 * captures, what was multiplied is noted (record.h). */
wg_status wgi_product_multiply(wgi_cuda_device *d, wgi_cuda_product *c,
                               const wgi_product_problem *p, const wgi_product_values *v,
                               bool *declined);
/* WG_CUDA_TF32: product.c */
bool wgi_product_tf32(void);
#endif
