/* The CUDA runtime's functions that the library calls, for one device that is the CPU. Fresh memory is NaN everywhere.
 * Streams, events and graphs: streams.cpp. */
#include "streams.h"

#include <cstdlib>
#include <cstring>

static const size_t device_bytes = size_t(4) << 30;

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
const char *cudaGetErrorString(cudaError_t e)
{
    return e == cudaErrorStreamCaptureUnsupported   ? "not while a stream is captured"
           : e == cudaErrorStreamCaptureInvalidated ? "something has spoiled the capture"
                                                    : "emulated";
}
const char *cudaGetErrorName(cudaError_t)
{
    return "emulated";
}

cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned)
{
    if (emulation::unsafe()) return emulation::fail(cudaErrorStreamCaptureUnsupported);
    if (!(*p = std::malloc(bytes))) return emulation::fail(cudaErrorMemoryAllocation);
    return emulation::alive++, cudaSuccess;
}
cudaError_t cudaFreeHost(void *p)
{
    if (emulation::unsafe()) return emulation::fail(cudaErrorStreamCaptureUnsupported);
    return std::free(p), emulation::alive--, cudaSuccess;
}
cudaError_t cudaMalloc(void **p, size_t bytes)
{
    if (emulation::unsafe()) return emulation::fail(cudaErrorStreamCaptureUnsupported);
    if (bytes > device_bytes || posix_memalign(p, 512, bytes) != 0)
        return emulation::fail(cudaErrorMemoryAllocation);
    std::memset(*p, 0xff, bytes);
    return emulation::alive++, cudaSuccess;
}
cudaError_t cudaFree(void *p)
{
    if (emulation::unsafe()) return emulation::fail(cudaErrorStreamCaptureUnsupported);
    emulation::finish_all();
    return std::free(p), emulation::alive--, cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *left, size_t *all)
{
    return *left = *all = device_bytes, cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, cudaMemcpyKind kind,
                            cudaStream_t s)
{
    return emulation::enqueue(s, kind == cudaMemcpyHostToDevice ? emulation::SEND : emulation::COPY,
                              [=] { std::memmove(to, from, n); });
}
cudaError_t cudaMemcpyPeerAsync(void *to, int, const void *from, int, size_t n, cudaStream_t s)
{
    return emulation::enqueue(s, emulation::COPY, [=] { std::memmove(to, from, n); });
}
cudaError_t cudaMemsetAsync(void *p, int v, size_t n, cudaStream_t s)
{
    return emulation::enqueue(s, emulation::FILL, [=] { std::memset(p, v, n); });
}
}
