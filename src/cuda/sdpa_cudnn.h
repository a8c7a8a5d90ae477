/* Attention by cuDNN. Only for this folder. */
#ifndef WGI_CUDA_SDPA_CUDNN_H
#define WGI_CUDA_SDPA_CUDNN_H
#include "cuda/attention.h"
#include "cuda/cuda.h"

/* Plans of one device at most: what comes later goes to the library's own kernels. */
enum { WGI_SDPA_PLANS = 64 };

/* Runs it where WG_CUDA_CUDNN=1 asks for it and cuDNN has a kernel; *done says so. The first call of a shape builds its plan,
 * which takes a good part of a second. WG_EDEVICE where the library is missing or fails. Not on 10.0 and newer, where wrong
 * numbers are known of it (pytorch/pytorch issue 193893). */
wg_status wgi_cuda_sdpa_cudnn(const wg_run *r, const wgi_attention_pass *p, bool *done);
/* How often it has run so far. */
int64_t wgi_cudnn_runs(void);
#endif
