/* The CUDA runtime's functions that the library calls, for one device that is the CPU. Fresh memory is NaN everywhere.
 * Streams, events and graphs: streams.cpp. */
#include "streams.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

static size_t device_bytes()
{
    return size_t(emulation::dry ? 139 : 4) << 30;
}

namespace
{

/* Of a dry run: addresses that read as zeros and have no memory behind them. */
class reserved
{
    std::mutex lock;
    std::map<void *, size_t> blocks;
    size_t bytes = 0;

  public:
    void *take(size_t n)
    {
        const std::lock_guard<std::mutex> held(lock);
        if (n > device_bytes() - bytes) return nullptr;
        void *p = mmap(nullptr, n, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) return nullptr;
        blocks[p] = n;
        bytes += n;
        return p;
    }
    void give(void *p)
    {
        const std::lock_guard<std::mutex> held(lock);
        if (!p) return;
        munmap(p, blocks[p]);
        bytes -= blocks[p];
        blocks.erase(p);
    }
    size_t in_use()
    {
        const std::lock_guard<std::mutex> held(lock);
        return bytes;
    }
} reserve;

void *take(size_t bytes)
{
    void *p = nullptr;
    if (emulation::dry) return reserve.take(bytes);
    if (bytes > device_bytes() || posix_memalign(&p, 512, bytes) != 0) return nullptr;
    return std::memset(p, 0xff, bytes);
}

/* What kernels may touch. */
std::map<const char *, emulation::range> reachable;
std::mutex reachable_lock;

void reaches(const void *p_, size_t bytes, bool pinned)
{
    const std::lock_guard<std::mutex> held(reachable_lock);
    const char *p = static_cast<const char *>(p_);
    reachable[p] = { p, p + bytes, pinned };
}

void forget(const void *p)
{
    const std::lock_guard<std::mutex> held(reachable_lock);
    reachable.erase(static_cast<const char *>(p));
    if (emulation::when_freed) emulation::when_freed(p);
}

} // namespace

emulation::range emulation::allocation_of(const void *p)
{
    const std::lock_guard<std::mutex> held(reachable_lock);
    auto behind = reachable.upper_bound(static_cast<const char *>(p));
    return behind == reachable.begin() ? range { nullptr, nullptr, false } : (--behind)->second;
}

void (*emulation::when_written)(const void *p, size_t bytes);
void (*emulation::when_freed)(const void *p);

extern "C" void emulation_written(const void *p, size_t bytes)
{
    if (emulation::when_written) emulation::when_written(p, bytes);
}

extern "C" {

cudaError_t cudaSetDevice(int)
{
    return cudaSuccess;
}
/* WG_EMULATED_DRIVER=12000: an old one. */
cudaError_t cudaDriverGetVersion(int *version)
{
    const char *told = std::getenv("WG_EMULATED_DRIVER");
    return *version = told ? std::atoi(told) : CUDART_VERSION, cudaSuccess;
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
    reaches(*p, bytes, true);
    return emulation::alive++, cudaSuccess;
}
cudaError_t cudaFreeHost(void *p)
{
    if (emulation::unsafe()) return emulation::fail(cudaErrorStreamCaptureUnsupported);
    forget(p);
    return std::free(p), emulation::alive--, cudaSuccess;
}
cudaError_t cudaMalloc(void **p, size_t bytes)
{
    if (emulation::unsafe()) return emulation::fail(cudaErrorStreamCaptureUnsupported);
    if (!(*p = take(bytes))) return emulation::fail(cudaErrorMemoryAllocation);
    reaches(*p, bytes, false);
    return emulation::alive++, cudaSuccess;
}
cudaError_t cudaFree(void *p)
{
    if (emulation::unsafe()) return emulation::fail(cudaErrorStreamCaptureUnsupported);
    emulation::finish_all();
    forget(p);
    emulation::dry ? reserve.give(p) : std::free(p);
    return emulation::alive--, cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *left, size_t *all)
{
    *all = device_bytes();
    return *left = *all - reserve.in_use(), cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, cudaMemcpyKind kind,
                            cudaStream_t s)
{
    if (emulation::dry && kind == cudaMemcpyDeviceToHost) std::memset(to, 0, n);
    return emulation::enqueue(s, kind == cudaMemcpyHostToDevice ? emulation::SEND : emulation::COPY,
                              [=] {
                                  std::memmove(to, from, n);
                                  emulation_written(to, n);
                              });
}
cudaError_t cudaMemcpyPeerAsync(void *to, int, const void *from, int, size_t n, cudaStream_t s)
{
    return emulation::enqueue(s, emulation::COPY, [=] {
        std::memmove(to, from, n);
        emulation_written(to, n);
    });
}
cudaError_t cudaMemsetAsync(void *p, int v, size_t n, cudaStream_t s)
{
    return emulation::enqueue(s, emulation::FILL, [=] {
        std::memset(p, v, n);
        emulation_written(p, n);
    });
}
}
