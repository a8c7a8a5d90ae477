/* 16-bit floats: nearest, ties to even, subnormals, infinities, NaN (which stays NaN, quiet, with
 * the payload's top). Branch-free, so that loops of them vectorise. Also for CUDA. */
#ifndef WGI_TENSOR_HALF_H
#define WGI_TENSOR_HALF_H
#include <stdint.h>
#include <string.h>

#ifndef WGI_DEVICE
#define WGI_DEVICE static inline
#endif

WGI_DEVICE uint32_t wgi_f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

WGI_DEVICE float wgi_f32_from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

WGI_DEVICE float wgi_bf16_to_f32(uint16_t h)
{
    return wgi_f32_from_bits((uint32_t)h << 16);
}

WGI_DEVICE uint16_t wgi_f32_to_bf16(float f)
{
    uint32_t u = wgi_f32_bits(f);
    uint32_t nearest = (u + 0x7fff + (u >> 16 & 1)) >> 16;
    uint32_t nan = u >> 16 | 0x40;
    return (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? nan : nearest);
}

WGI_DEVICE float wgi_f16_to_f32(uint16_t h)
{
    uint32_t magnitude = h & 0x7fffu, sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t normal = (magnitude << 13) + (112u << 23); /* exponent bias 15 -> 127 */
    uint32_t special = magnitude << 13 | 0x7f800000u | (magnitude > 0x7c00u ? 0x400000u : 0u);
    uint32_t small = wgi_f32_bits((float)(int32_t)magnitude * 0x1p-24f);
    uint32_t u = magnitude >= 0x7c00u ? special : magnitude < 0x400u ? small : normal;
    return wgi_f32_from_bits(u | sign);
}

WGI_DEVICE uint16_t wgi_f32_to_f16(float f)
{
    uint32_t u = wgi_f32_bits(f), sign = u >> 16 & 0x8000u;
    u &= 0x7fffffffu;
    uint32_t normal =
        (u - (112u << 23) + 0xfffu + (u >> 13 & 1)) >> 13; /* may carry into infinity: right */
    /* Adding 1/2 leaves multiples of 2^-24, the subnormals' unit, rounded by the addition itself.
     */
    uint32_t small = wgi_f32_bits(wgi_f32_from_bits(u) + 0.5f) - 0x3f000000u;
    uint32_t special = u > 0x7f800000u ? 0x7e00u | (u >> 13 & 0x3ffu) : 0x7c00u;
    uint32_t h = u >= 0x47800000u ? special : u < 0x38800000u ? small : normal; /* 2^16, 2^-14 */
    return (uint16_t)(h | sign);
}

/* A double as a float rounded to odd: what is then rounded to 16 bits is rounded once. */
WGI_DEVICE float wgi_f64_to_odd_f32(double v)
{
    float f = (float)v;
    uint32_t u = wgi_f32_bits(f), magnitude = u & 0x7fffffffu;
    if ((double)f == v || magnitude >= 0x7f800000u) return f;
    double size = v < 0 ? -v : v;
    if ((double)wgi_f32_from_bits(magnitude) > size) u--;
    return wgi_f32_from_bits(u | 1);
}
#endif
