/* cuBLASLt, loaded when the first product runs: a program without products does not pay for its half
 * gigabyte, and a machine without it can run everything else. */
#ifndef WGI_CUDA_BLASLT_H
#define WGI_CUDA_BLASLT_H
#include <cublasLt.h>

#include "wengert/base.h"

typedef struct {
    __typeof__(&cublasLtCreate) create;
    __typeof__(&cublasLtGetVersion) version;
    __typeof__(&cublasLtMatmul) matmul;
    __typeof__(&cublasLtMatmulAlgoGetHeuristic) heuristic;
    __typeof__(&cublasLtMatmulDescCreate) desc_create;
    __typeof__(&cublasLtMatmulDescDestroy) desc_destroy;
    __typeof__(&cublasLtMatmulDescSetAttribute) desc_set;
    __typeof__(&cublasLtMatrixLayoutCreate) layout_create;
    __typeof__(&cublasLtMatrixLayoutDestroy) layout_destroy;
    __typeof__(&cublasLtMatrixLayoutSetAttribute) layout_set;
    __typeof__(&cublasLtMatmulPreferenceCreate) preference_create;
    __typeof__(&cublasLtMatmulPreferenceDestroy) preference_destroy;
    __typeof__(&cublasLtMatmulPreferenceSetAttribute) preference_set;
} wgi_blaslt;

/* NULL: raised, with what the loader says. */
const wgi_blaslt *wgi_blaslt_load(void);
/* "CUBLAS_STATUS_NOT_SUPPORTED", ... */
const char *wgi_blaslt_text(cublasStatus_t s);
#endif
