#include "cuda/blaslt.h"

#include "cuda/library.h"
#include "tensor/internal.h"

static wgi_blaslt table;

static void *open_library(void)
{
    const wgi_symbol wanted[] = {
        { &table.create, "cublasLtCreate" },
        { &table.version, "cublasLtGetVersion" },
        { &table.matmul, "cublasLtMatmul" },
        { &table.heuristic, "cublasLtMatmulAlgoGetHeuristic" },
        { &table.desc_create, "cublasLtMatmulDescCreate" },
        { &table.desc_destroy, "cublasLtMatmulDescDestroy" },
        { &table.desc_set, "cublasLtMatmulDescSetAttribute" },
        { &table.layout_create, "cublasLtMatrixLayoutCreate" },
        { &table.layout_destroy, "cublasLtMatrixLayoutDestroy" },
        { &table.layout_set, "cublasLtMatrixLayoutSetAttribute" },
        { &table.preference_create, "cublasLtMatmulPreferenceCreate" },
        { &table.preference_destroy, "cublasLtMatmulPreferenceDestroy" },
        { &table.preference_set, "cublasLtMatmulPreferenceSetAttribute" },
    };
    char name[64];
    snprintf(name, sizeof name, "libcublasLt.so.%d", CUBLAS_VER_MAJOR);
    return wgi_library_open("products on CUDA need cuBLASLt", name, "libcublasLt.so", wanted,
                            sizeof wanted / sizeof *wanted);
}

static bool suits(void)
{
    const size_t version = table.version();
    if (version / 10000 == CUBLAS_VER_MAJOR) return true; /* 130001 is 13.0.1 */
    wg_raise(WG_EDEVICE, "products on CUDA need cuBLASLt %d: the one found is version %zu",
             CUBLAS_VER_MAJOR, version);
    return false;
}

const wgi_blaslt *wgi_blaslt_load(void)
{
    static wgi_library library = { .lock = PTHREAD_MUTEX_INITIALIZER };
    return wgi_library_load(&library, open_library, suits) ? &table : NULL;
}

const char *wgi_blaslt_text(cublasStatus_t s)
{
    switch (s) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH: return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR: return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    default: return "an unknown status of cuBLAS";
    }
}
