/* The CUDA kernels as the rows of ops reach them: plain C, no CUDA header. A library that is built
 * without CUDA has none of these functions: there they are weak and never called, since no tensor
 * lies on a CUDA device. Operands lie on one device; weak scalars may lie on the CPU. */
#ifndef WGI_CUDA_CUDA_H
#define WGI_CUDA_CUDA_H
#include "cpu/elementwise.h"
#include "tensor/internal.h"
#include "wengert/op.h"

#ifdef WGI_HAVE_CUDA
#define WGI_CUDA_FUNCTION
#else
#define WGI_CUDA_FUNCTION __attribute__((weak))
#endif

/* ---- elementwise: elementwise.c ---- */
/* Output 0 = formula(inputs), computed in `compute` (f64, f32, i64). p may be NULL. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_formula(const wg_run *r, wgi_formula f, wg_dtype compute,
                                             const wgi_numbers *p);
/* Comparisons: computed in the promoted type, to bool; the operands exchanged for gt and ge. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_compare(const wg_run *r, wgi_formula f, wg_dtype compute,
                                             bool exchanged);
WGI_CUDA_FUNCTION wg_status wgi_cuda_where(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_masked_fill(const wg_run *r, double value);
WGI_CUDA_FUNCTION wg_status wgi_cuda_isfinite(const wg_run *r);
typedef enum { WGI_LOGICAL_NOT, WGI_LOGICAL_AND, WGI_LOGICAL_OR, WGI_LOGICAL_XOR } wgi_logical;
WGI_CUDA_FUNCTION wg_status wgi_cuda_logical(const wg_run *r, wgi_logical f);
/* Output 0 = input 0 in its dtype. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_cast(const wg_run *r);

/* ---- copies: copy.c ---- */
/* As wgi_copy_strided, of device memory, in the stream of the running kernel. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_copy_strided(const wg_run *r, void *dst, wg_dtype dst_type,
                                                  const int64_t *dst_strides, const void *src,
                                                  wg_dtype src_type, const int64_t *src_strides,
                                                  int ndim, const int64_t *shape);
/* Elements of dst become value. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_fill_strided(const wg_run *r, void *dst, wg_dtype type,
                                                  const int64_t *strides, int ndim,
                                                  const int64_t *shape, double value);
#endif
