/* The machine of attention_tile.h that is a GPU of compute capability 8.0 or newer, and its two
 * element types. */
#ifndef WGI_CUDA_ATTENTION_GPU_CUH
#define WGI_CUDA_ATTENTION_GPU_CUH
#include <atomic>

#include <cuda_runtime.h>

#include "cuda/attention_element.h"
#include "cuda/instruction.cuh"

namespace wgi
{

extern __shared__ __align__(128) unsigned char attention_memory[];

struct gpu {
    static __device__ __forceinline__ int thread() { return int(threadIdx.x); }
    static __device__ __forceinline__ int64_t block() { return blockIdx.x; }
    /* For 10.0 and newer: compiled for older ones, the kernels that ask for it spill if it is done, and not if it is left. */
    static __device__ __forceinline__ int here(int v)
    {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
        asm volatile("" : "+r"(v));
#endif
        return v;
    }
    static __device__ __forceinline__ int memory()
    {
        return int(__cvta_generic_to_shared(attention_memory));
    }
    static __device__ __forceinline__ void copy16(int to, const void *from, bool there)
    {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to),
                     "l"(__cvta_generic_to_global(from)), "r"(there ? 16 : 0)
                     : "memory");
    }
    static __device__ __forceinline__ void commit()
    {
        asm volatile("cp.async.commit_group;" ::: "memory");
    }
    template <int N> static __device__ __forceinline__ void wait()
    {
        asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
    }
    static __device__ __forceinline__ void sync() { __syncthreads(); }
    static __device__ __forceinline__ void ldmatrix(uint32_t (&r)[4], int at)
    {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(at)
                     : "memory");
    }
    static __device__ __forceinline__ void ldmatrix_trans(uint32_t (&r)[4], int at)
    {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(at)
                     : "memory");
    }
    template <class T> static __device__ __forceinline__ T shuffle_xor(T v, int n)
    {
        return __shfl_xor_sync(0xffffffffu, v, n);
    }
    static __device__ __forceinline__ bool any(bool b) { return __any_sync(0xffffffffu, b); }
    template <class T> static __device__ __forceinline__ T load16(const T *from)
    {
        T v;
        const uint4 u = *reinterpret_cast<const uint4 *>(from);
        memcpy(&v, &u, 16);
        return v;
    }
    /* 2 to the x; 0 for -inf. */
    static __device__ __forceinline__ float exp2(float x) { return power_of_two(x); }
    static __device__ __forceinline__ float log2(float x) { return ::log2f(x); }
    static __device__ __forceinline__ float exp(float x) { return ::expf(x); }
    static __device__ __forceinline__ double exp(double x) { return ::exp(x); }
    static __device__ __forceinline__ float log(float x) { return ::logf(x); }
    static __device__ __forceinline__ double log(double x) { return ::log(x); }
    template <class T> static __device__ __forceinline__ T get(int at)
    {
        return *static_cast<const T *>(__cvta_shared_to_generic(size_t(at)));
    }
    template <class T> static __device__ __forceinline__ void put(int at, T v)
    {
        *static_cast<T *>(__cvta_shared_to_generic(size_t(at))) = v;
    }
};

#define WGI_MMA(TYPE)                                                                              \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." TYPE "." TYPE                            \
                 ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"            \
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                  \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1))

struct bf16 {
    static __device__ __forceinline__ uint32_t pack(float low, float high)
    {
        return two_bf16_of(low, high);
    }
    static __device__ __forceinline__ float low(uint32_t u) { return wgi_bf16_to_f32(uint16_t(u)); }
    static __device__ __forceinline__ float high(uint32_t u)
    {
        return wgi_bf16_to_f32(uint16_t(u >> 16));
    }
    template <class M>
    static __device__ __forceinline__ void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                               uint32_t b1)
    {
        WGI_MMA("bf16");
    }
};

struct f16 {
    static __device__ __forceinline__ uint32_t pack(float low, float high)
    {
        return two_f16_of(low, high);
    }
    static __device__ __forceinline__ float low(uint32_t u) { return wgi_f16_to_f32(uint16_t(u)); }
    static __device__ __forceinline__ float high(uint32_t u)
    {
        return wgi_f16_to_f32(uint16_t(u >> 16));
    }
    template <class M>
    static __device__ __forceinline__ void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                               uint32_t b1)
    {
        WGI_MMA("f16");
    }
};
#undef WGI_MMA

using attention_kernel = void (*)(wgi_attention_pass);

/* A kernel may have so much shared memory, which is always as much. Asked once a kernel and device: CUDA may have the call
 * wait until copies to the device have ended (oneapi-src/unified-runtime pull request 2678). What goes wrong is found with
 * the launch's own error. */
static inline void allow_shared(attention_kernel kernel, int bytes)
{
    enum { SLOTS = 256 };
    static std::atomic<uintptr_t> allowed[SLOTS]; /* 0: nobody's yet */
    int device = 0;
    (void)cudaGetDevice(&device);
    const uintptr_t key = reinterpret_cast<uintptr_t>(kernel) ^ uintptr_t(device) << 56;
    const unsigned first = unsigned((key >> 4) * 0x9e3779b97f4a7c15u >> 56);
    for (unsigned i = 0; i < SLOTS; i++) {
        std::atomic<uintptr_t> &slot = allowed[(first + i) % SLOTS];
        uintptr_t held = slot.load(std::memory_order_relaxed);
        if (held == key) return;
        if (held) continue;
        if (cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes) ==
            cudaSuccess)
            slot.compare_exchange_strong(held, key);
        return;
    }
    (void)cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
}

static inline void launch_blocks(attention_kernel kernel, const wgi_attention_pass &p,
                                 int64_t blocks, int threads, int bytes, void *stream)
{
    if (bytes > 48 * 1024) allow_shared(kernel, bytes);
    kernel<<<unsigned(blocks), unsigned(threads), size_t(bytes),
             static_cast<cudaStream_t>(stream)>>>(p);
}

} // namespace wgi
#endif
