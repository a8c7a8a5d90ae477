/* The machine of attention_group.h that is a GPU of compute capability 9.0, compiled for sm_90a. What wgmma reads and writes
 * behind the compiler's back is fenced by empty assembly that names the registers. */
#ifndef WGI_CUDA_ATTENTION_HOPPER_CUH
#define WGI_CUDA_ATTENTION_HOPPER_CUH
#include "cuda/attention_gpu.cuh"

namespace wgi
{

extern __shared__ __align__(1024) unsigned char group_memory[];

struct hopper : gpu {
    static __device__ __forceinline__ int memory()
    {
        return int(__cvta_generic_to_shared(group_memory));
    }
    static __device__ __forceinline__ void sent()
    {
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    }
    /* Else descriptors would be computed in every lane, and taken from the first for each product. */
    static __device__ __forceinline__ int uniform(int at)
    {
        return __shfl_sync(0xffffffffu, at, 0);
    }
    template <int NT> static __device__ __forceinline__ void fence(float (&c)[1][NT][4])
    {
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) asm volatile("" : "+f"(c[0][n][e])::"memory");
    }
    template <int NT> static __device__ __forceinline__ void start(float (&c)[1][NT][4])
    {
        fence(c);
        asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    }
    static __device__ __forceinline__ void close()
    {
        asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    }
    template <int N, int NT> static __device__ __forceinline__ void finish(float (&c)[1][NT][4])
    {
        asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
        fence(c);
    }
    template <int KT> static __device__ __forceinline__ void keep(uint32_t (&left)[1][KT][4])
    {
#pragma unroll
        for (int k = 0; k < KT; k++)
#pragma unroll
            for (int e = 0; e < 4; e++) asm volatile("" : "+r"(left[0][k][e])::"memory");
    }
};

/* c (64, 64) and (64, 128): a lane's registers in the instruction's order. */
#define WGI_C(c, n) "+f"(c[n][0]), "+f"(c[n][1]), "+f"(c[n][2]), "+f"(c[n][3])
#define WGI_C64(c)                                                                                 \
    WGI_C(c, 0), WGI_C(c, 1), WGI_C(c, 2), WGI_C(c, 3), WGI_C(c, 4), WGI_C(c, 5), WGI_C(c, 6),     \
        WGI_C(c, 7)
#define WGI_C128(c)                                                                                \
    WGI_C(c, 0), WGI_C(c, 1), WGI_C(c, 2), WGI_C(c, 3), WGI_C(c, 4), WGI_C(c, 5), WGI_C(c, 6),     \
        WGI_C(c, 7), WGI_C(c, 8), WGI_C(c, 9), WGI_C(c, 10), WGI_C(c, 11), WGI_C(c, 12),           \
        WGI_C(c, 13), WGI_C(c, 14), WGI_C(c, 15)
#define WGI_D64                                                                                    \
    "{%0, %1, %2, %3, %4, %5, %6, %7, "                                                            \
    " %8, %9, %10, %11, %12, %13, %14, %15, "                                                      \
    " %16, %17, %18, %19, %20, %21, %22, %23, "                                                    \
    " %24, %25, %26, %27, %28, %29, %30, %31}, "
#define WGI_D128                                                                                   \
    "{%0, %1, %2, %3, %4, %5, %6, %7, "                                                            \
    " %8, %9, %10, %11, %12, %13, %14, %15, "                                                      \
    " %16, %17, %18, %19, %20, %21, %22, %23, "                                                    \
    " %24, %25, %26, %27, %28, %29, %30, %31, "                                                    \
    " %32, %33, %34, %35, %36, %37, %38, %39, "                                                    \
    " %40, %41, %42, %43, %44, %45, %46, %47, "                                                    \
    " %48, %49, %50, %51, %52, %53, %54, %55, "                                                    \
    " %56, %57, %58, %59, %60, %61, %62, %63}, "
/* From descriptors, and from a fragment and a descriptor: the operands' numbers, then those of what follows. */
#define WGI_GROUP_MMA(N, TYPE, D, FROM, PREDICATE, TURNS)                                          \
    "{\n.reg .pred p;\nsetp.ne.b32 p, " PREDICATE ", 0;\n"                                         \
    "wgmma.mma_async.sync.aligned.m64n" N "k16.f32." TYPE "." TYPE " " D FROM ", p, 1, 1, " TURNS  \
    ";\n}\n"

/* The products of one element type; nvcc takes no names for operands, so their numbers stand in the text. */
#define WGI_GROUP_PRODUCTS(TYPE)                                                                   \
    template <class M, int NT, bool TURNED>                                                        \
    static __device__ __forceinline__ void group_mma(float(&c)[NT][4], uint64_t a, uint64_t b,     \
                                                     bool add)                                     \
    {                                                                                              \
        if constexpr (NT == 8)                                                                     \
            asm volatile(WGI_GROUP_MMA("64", TYPE, WGI_D64, "%32, %33", "%34", "0, %35")           \
                         : WGI_C64(c)                                                              \
                         : "l"(a), "l"(b), "r"(int(add)), "n"(int(TURNED)));                       \
        else                                                                                       \
            asm volatile(WGI_GROUP_MMA("128", TYPE, WGI_D128, "%64, %65", "%66", "0, %67")         \
                         : WGI_C128(c)                                                             \
                         : "l"(a), "l"(b), "r"(int(add)), "n"(int(TURNED)));                       \
    }                                                                                              \
    template <class M, int NT, bool TURNED>                                                        \
    static __device__ __forceinline__ void group_mma(float(&c)[NT][4], const uint32_t(&a)[4],      \
                                                     uint64_t b, bool add)                         \
    {                                                                                              \
        if constexpr (NT == 8)                                                                     \
            asm volatile(                                                                          \
                WGI_GROUP_MMA("64", TYPE, WGI_D64, "{%32, %33, %34, %35}, %36", "%37", "%38")      \
                : WGI_C64(c)                                                                       \
                : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(int(add)),               \
                  "n"(int(TURNED)));                                                               \
        else                                                                                       \
            asm volatile(                                                                          \
                WGI_GROUP_MMA("128", TYPE, WGI_D128, "{%64, %65, %66, %67}, %68", "%69", "%70")    \
                : WGI_C128(c)                                                                      \
                : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(int(add)),               \
                  "n"(int(TURNED)));                                                               \
    }

struct group_bf16 : bf16 {
    WGI_GROUP_PRODUCTS("bf16")
};
struct group_f16 : f16 {
    WGI_GROUP_PRODUCTS("f16")
};
#undef WGI_GROUP_PRODUCTS

} // namespace wgi
#endif
