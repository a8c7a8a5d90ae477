/* Is there code for the current device in this library? */
#include <cuda_runtime.h>

__global__ void wgi_cuda_nothing() {}

extern "C" cudaError_t wgi_cuda_probe()
{
    cudaFuncAttributes a;
    return cudaFuncGetAttributes(&a, wgi_cuda_nothing);
}
