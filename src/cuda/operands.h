/* From tensors to what kernels get. Only for this folder. */
#ifndef WGI_CUDA_OPERANDS_H
#define WGI_CUDA_OPERANDS_H
#include "cuda/device.h"
#include "cuda/pass.h"
#include "wengert/op.h"

/* A pass of `shape` over n operands that broadcast to it; NULL: absent. Scalars that lie on the CPU
 * become numbers. Coalesced. */
void wgi_pass_make(wgi_pass *p, const wg_dims *shape, int n, const wg_tensor *const *operand);
/* The same of bare memory: two operands, dst and src. */
void wgi_pass_of_two(wgi_pass *p, int ndim, const int64_t *shape, void *dst, int dst_type,
                     const int64_t *dst_strides, const void *src, int src_type,
                     const int64_t *src_strides);
/* What a kernel of the running op reports about an operand t. */
wgi_fault_source wgi_fault_of(wgi_fault_kind kind, const wg_tensor *t, const char *name,
                              int64_t limit);
/* The running kernel's device: that of a tensor among its operands that lies on CUDA. */
wgi_cuda_device *wgi_cuda_running(const wg_run *r);
#endif
