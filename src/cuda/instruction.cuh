/* Single instructions of the device's that C++ has no name for. Compiled for the CPU, in tests, each is what it stands for. Of
 * 16 bits: the bits of tensor/half.h but for NaN, of which a device knows one. */
#ifndef WGI_CUDA_INSTRUCTION_CUH
#define WGI_CUDA_INSTRUCTION_CUH
#include <cuda_runtime.h>

#ifndef WGI_DEVICE
#define WGI_DEVICE static __host__ __device__ __forceinline__
#endif
#include "tensor/half.h"

namespace wgi
{

#ifdef __CUDA_ARCH__
#define WGI_INSTRUCTION(OP, TYPE, TO, ELSE, ...)                                                   \
    TYPE result;                                                                                   \
    asm(OP : TO(result) : __VA_ARGS__);                                                            \
    return result
#else
#define WGI_INSTRUCTION(OP, TYPE, TO, ELSE, ...) return ELSE
#endif

__device__ __forceinline__ float f32_of_f16(uint16_t h)
{
    WGI_INSTRUCTION("cvt.f32.f16 %0, %1;", float, "=f", wgi_f16_to_f32(h), "h"(h));
}
__device__ __forceinline__ uint16_t f16_of(float f)
{
    WGI_INSTRUCTION("cvt.rn.f16.f32 %0, %1;", uint16_t, "=h", wgi_f32_to_f16(f), "f"(f));
}
__device__ __forceinline__ uint16_t bf16_of(float f)
{
    WGI_INSTRUCTION("cvt.rn.bf16.f32 %0, %1;", uint16_t, "=h", wgi_f32_to_bf16(f), "f"(f));
}

/* Two numbers of 16 bits in one word. */
__device__ __forceinline__ uint32_t two_f16_of(float low, float high)
{
    WGI_INSTRUCTION("cvt.rn.f16x2.f32 %0, %1, %2;", uint32_t, "=r",
                    uint32_t(wgi_f32_to_f16(high)) << 16 | wgi_f32_to_f16(low), "f"(high),
                    "f"(low));
}
__device__ __forceinline__ uint32_t two_bf16_of(float low, float high)
{
    WGI_INSTRUCTION("cvt.rn.bf16x2.f32 %0, %1, %2;", uint32_t, "=r",
                    uint32_t(wgi_f32_to_bf16(high)) << 16 | wgi_f32_to_bf16(low), "f"(high),
                    "f"(low));
}

/* 2 to the x, within 2 units in the last place; what would be subnormal is 0. */
__device__ __forceinline__ float power_of_two(float x)
{
    WGI_INSTRUCTION("ex2.approx.ftz.f32 %0, %1;", float, "=f", exp2f(x), "f"(x));
}

#undef WGI_INSTRUCTION

} // namespace wgi
#endif
