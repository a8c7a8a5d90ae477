/* From tensors to what kernels get. Only for this folder. */
#ifndef WGI_CUDA_OPERANDS_H
#define WGI_CUDA_OPERANDS_H
#include "cuda/device.h"
#include "cpu/fold_kind.h"
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
/* Operand 0 = operand 1 of a pass of two, converted: copy.c */
wg_status wgi_cuda_copy_pass(wgi_pass *p, void *stream);
/* dst = src, of one shape, where one or both lie in blocks: those of one type as they are, src in
 * blocks to any plain dtype: blocks.c. WG_EDTYPE for dst in other blocks than src. */
wg_status wgi_cuda_copy_blocks(wg_tensor *dst, const wg_tensor *src, void *stream);
/* Output 0 (any strides and dtype) = acc, or += acc; acc: row-major of its shape: reduce.c */
void wgi_cuda_fold_store(const wg_run *r, const void *acc, wgi_acc kind, bool accumulate);
/* Targets of any strides as contiguous i64; those out of range are reported and become `ignore`: classes.c */
wg_status wgi_cuda_read_targets(const wg_run *r, const wg_tensor *target, int64_t classes,
                                int64_t ignore, const int64_t **out);
/* n pairs sorted by the lowest `bits` bits of their keys: sort.c. keys and values: two buffers of n
 * each, the pairs in number 0; which holds the result: *at. */
wg_status wgi_cuda_sort_pairs(const wg_run *r, uint64_t *keys[2], int64_t *values[2], int64_t n,
                              int bits, int *at);
#endif
