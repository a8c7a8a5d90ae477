/* Floats as bits, and the multiply-add that formulas are written with. For C and CUDA. */
#ifndef WGI_CPU_BITS_H
#define WGI_CPU_BITS_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#ifndef WGI_DEVICE
#define WGI_DEVICE static inline
#endif

WGI_DEVICE uint32_t wgi_bits_of_float(float f)
{
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    return b;
}

WGI_DEVICE float wgi_float_of_bits(uint32_t b)
{
    float f;
    memcpy(&f, &b, sizeof f);
    return f;
}

/* One rounding where the hardware has it, two elsewhere (a libm call would be fifty times
 * slower): the baseline level's last bits differ from the others'. */
WGI_DEVICE float wgi_fma_f32(float a, float b, float c)
{
#if defined(__FMA__) || defined(__CUDA_ARCH__) || defined(__ARM_FEATURE_FMA)
    return fmaf(a, b, c);
#else
    return a * b + c;
#endif
}
#endif
