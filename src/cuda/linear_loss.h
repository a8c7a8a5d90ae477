/* linear_cross_entropy on CUDA. */
#ifndef WGI_CUDA_LINEAR_LOSS_H
#define WGI_CUDA_LINEAR_LOSS_H
#include "cuda/cuda.h"

/* The numbers of the op's attribute. */
typedef struct {
    int64_t ignore, chunk; /* chunk: rows of logits at a time; 0: by bytes */
    double smoothing;
    wg_reduction reduction;
} wgi_cuda_linear_loss;

/* Inputs x, w, target, bias -> loss, lse, the mean's denominator. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_linear_loss_forward(const wg_run *r,
                                                         const wgi_cuda_linear_loss *a);
/* Inputs x, w, target, lse, denominator, dy, bias -> dx, dw, dbias if there is such an output. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_linear_loss_backward(const wg_run *r,
                                                          const wgi_cuda_linear_loss *a);
#endif
