/* One block of 32 from f32: for the CPU's loops and for CUDA. x: its elements, y: its bytes, in the
 * layouts of src/cpu/dequantise.c. Bit for bit what ggml's reference computes. Values that are no
 * numbers become some code within range: the conversion to an integer saturates, NaN is 0. */
#ifndef WGI_CPU_QUANTISE_BLOCK_H
#define WGI_CPU_QUANTISE_BLOCK_H
#include <math.h>

#include "tensor/half.h"

WGI_DEVICE void wgi_put_f16(uint8_t *y, float v)
{
    const uint16_t h = wgi_f32_to_f16(v);
    memcpy(y, &h, sizeof h);
}

/* v truncated, within 0 .. most. */
WGI_DEVICE uint8_t wgi_block_code(float v, float most)
{
    return (uint8_t)(int)(v < most ? v > 0 ? v : 0 : v == v ? most : 0);
}

/* The element that is largest in magnitude, the first of equals. */
WGI_DEVICE float wgi_block_farthest(const float *x)
{
    float most = 0, at = 0;
    for (int i = 0; i < 32; i++)
        if (fabsf(x[i]) > most) {
            most = fabsf(x[i]);
            at = x[i];
        }
    return at;
}

WGI_DEVICE float wgi_block_inverse(float d)
{
    return d != 0 ? 1 / d : 0;
}

/* Codes around a middle: x / d + middle + 1/2, rounded once as a fused multiply-add would. */
WGI_DEVICE uint8_t wgi_code_around(float x, double by, double middle, float most)
{
    return wgi_block_code((float)((double)x * by + (middle + 0.5)), most);
}

/* Codes above the least: (x - least) / d + 1/2. Returns least, and d in *d. */
WGI_DEVICE float wgi_block_least(const float *x, float most, float *d)
{
    float low = x[0], high = x[0];
    for (int i = 1; i < 32; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    *d = (high - low) / most;
    return low;
}
WGI_DEVICE uint8_t wgi_code_above(float x, float least, float by, float most)
{
    return wgi_block_code((x - least) * by + 0.5f, most);
}

WGI_DEVICE void wgi_quantise_q4_0(uint8_t *__restrict y, const float *__restrict x)
{
    const float d = wgi_block_farthest(x) / -8;
    const double by = wgi_block_inverse(d);
    wgi_put_f16(y, d);
    for (int i = 0; i < 16; i++)
        y[2 + i] = (uint8_t)(wgi_code_around(x[i], by, 8, 15) |
                             wgi_code_around(x[16 + i], by, 8, 15) << 4);
}

WGI_DEVICE void wgi_quantise_q4_1(uint8_t *__restrict y, const float *__restrict x)
{
    float d, least = wgi_block_least(x, 15, &d), by = wgi_block_inverse(d);
    wgi_put_f16(y, d);
    wgi_put_f16(y + 2, least);
    for (int i = 0; i < 16; i++)
        y[4 + i] = (uint8_t)(wgi_code_above(x[i], least, by, 15) |
                             wgi_code_above(x[16 + i], least, by, 15) << 4);
}

/* Elements i and 16 + i of a block with fifth bits. */
WGI_DEVICE uint8_t wgi_put_five(uint32_t *fifth, int i, unsigned low, unsigned high)
{
    *fifth |= (low >> 4) << i | (high >> 4) << (16 + i);
    return (uint8_t)((low & 15) | (high & 15) << 4);
}

WGI_DEVICE void wgi_quantise_q5_0(uint8_t *__restrict y, const float *__restrict x)
{
    const float d = wgi_block_farthest(x) / -16;
    const double by = wgi_block_inverse(d);
    uint32_t fifth = 0;
    wgi_put_f16(y, d);
    for (int i = 0; i < 16; i++)
        y[6 + i] = wgi_put_five(&fifth, i, wgi_code_around(x[i], by, 16, 31),
                                wgi_code_around(x[16 + i], by, 16, 31));
    memcpy(y + 2, &fifth, sizeof fifth);
}

WGI_DEVICE void wgi_quantise_q5_1(uint8_t *__restrict y, const float *__restrict x)
{
    float d, least = wgi_block_least(x, 31, &d), by = wgi_block_inverse(d);
    uint32_t fifth = 0;
    wgi_put_f16(y, d);
    wgi_put_f16(y + 2, least);
    for (int i = 0; i < 16; i++)
        y[8 + i] = wgi_put_five(&fifth, i, wgi_code_above(x[i], least, by, 31),
                                wgi_code_above(x[16 + i], least, by, 31));
    memcpy(y + 4, &fifth, sizeof fifth);
}

WGI_DEVICE void wgi_quantise_q8_0(uint8_t *__restrict y, const float *__restrict x)
{
    const float d = fabsf(wgi_block_farthest(x)) / 127, by = wgi_block_inverse(d);
    wgi_put_f16(y, d);
    for (int i = 0; i < 32; i++) { /* half away from zero */
        const float v = fabsf(x[i] * by), whole = floorf(v),
                    round = whole + floorf(2 * (v - whole));
        const int q = wgi_block_code(round, 127);
        y[2 + i] = (uint8_t)(x[i] < 0 ? -q : q);
    }
}
#endif
