/* Attention on CUDA, from the CPU's view of a call. */
#ifndef WGI_CUDA_SDPA_H
#define WGI_CUDA_SDPA_H
#include "cpu/attention.h"
#include "cuda/cuda.h"

/* y and lse; a's tile (bq, bk) is not used. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_sdpa(const wg_run *r, const wgi_attention *a);
/* dq, dk, dv. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_sdpa_backward(const wg_run *r, const wgi_attention *a);
#endif
