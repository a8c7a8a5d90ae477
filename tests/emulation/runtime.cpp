/* The CUDA runtime's functions that the library calls, for one device that is the CPU. Fresh memory is NaN everywhere. */
#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>

static const size_t device_bytes = size_t(4) << 30;
static char something; /* what handles point to */

extern "C" {

cudaError_t cudaSetDevice(int)
{
    return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int *n)
{
    return *n = 1, cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int)
{
    std::memset(p, 0, sizeof *p);
    p->major = 9;
    p->multiProcessorCount = 132;
    std::strcpy(p->name, "emulation");
    return cudaSuccess;
}
cudaError_t wgi_cuda_probe()
{
    return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned)
{
    *s = reinterpret_cast<cudaStream_t>(&something);
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t)
{
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned)
{
    *e = reinterpret_cast<cudaEvent_t>(&something);
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t)
{
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t)
{
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t)
{
    return cudaSuccess;
}
cudaError_t cudaGetLastError()
{
    return cudaSuccess;
}
const char *cudaGetErrorString(cudaError_t)
{
    return "emulated";
}
const char *cudaGetErrorName(cudaError_t)
{
    return "emulated";
}

cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned)
{
    return (*p = std::malloc(bytes)) ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFreeHost(void *p)
{
    return std::free(p), cudaSuccess;
}
cudaError_t cudaMalloc(void **p, size_t bytes)
{
    if (bytes > device_bytes || posix_memalign(p, 512, bytes) != 0)
        return cudaErrorMemoryAllocation;
    std::memset(*p, 0xff, bytes);
    return cudaSuccess;
}
cudaError_t cudaFree(void *p)
{
    return std::free(p), cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *left, size_t *all)
{
    return *left = *all = device_bytes, cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, cudaMemcpyKind, cudaStream_t)
{
    return std::memmove(to, from, n), cudaSuccess;
}
cudaError_t cudaMemcpyPeerAsync(void *to, int, const void *from, int, size_t n, cudaStream_t)
{
    return std::memmove(to, from, n), cudaSuccess;
}
cudaError_t cudaMemsetAsync(void *p, int v, size_t n, cudaStream_t)
{
    return std::memset(p, v, n), cudaSuccess;
}
}
