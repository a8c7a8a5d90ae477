/* Blocks to f32; compiled once per level. The layouts are those of ggml-common.h: x is a block's
 * bytes, y its elements; d and m are its f16 scale and minimum. */
#include "cpu/quant.h"

#include "tensor/half.h"

static inline float f16_at(const uint8_t *x)
{
    uint16_t h;
    memcpy(&h, x, sizeof h);
    return wgi_f16_to_f32(h);
}

/* ---- 32 elements ----------------------------------------------------------------------------- */

/* d, 16 bytes of two elements: the first half's in the low nibbles. */
static void q4_0(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    for (int64_t b = 0; b < blocks; b++, x += 18, y += 32) {
        const float d = f16_at(x);
        for (int i = 0; i < 16; i++) y[i] = (float)((x[2 + i] & 15) - 8) * d;
        for (int i = 0; i < 16; i++) y[16 + i] = (float)((x[2 + i] >> 4) - 8) * d;
    }
}

/* d, m, 16 bytes of two elements. */
static void q4_1(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    for (int64_t b = 0; b < blocks; b++, x += 20, y += 32) {
        const float d = f16_at(x), m = f16_at(x + 2);
        for (int i = 0; i < 16; i++) y[i] = (float)(x[4 + i] & 15) * d + m;
        for (int i = 0; i < 16; i++) y[16 + i] = (float)(x[4 + i] >> 4) * d + m;
    }
}

static inline uint32_t u32_at(const uint8_t *x)
{
    uint32_t u;
    memcpy(&u, x, sizeof u);
    return u;
}

/* d, the fifth bits of all elements, 16 bytes of two elements. */
static void q5_0(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    for (int64_t b = 0; b < blocks; b++, x += 22, y += 32) {
        const float d = f16_at(x);
        const uint32_t high = u32_at(x + 2);
        for (int i = 0; i < 16; i++)
            y[i] = (float)((int)((x[6 + i] & 15u) | (high >> i & 1) << 4) - 16) * d;
        for (int i = 0; i < 16; i++)
            y[16 + i] = (float)((int)(x[6 + i] >> 4 | (high >> (16 + i) & 1) << 4) - 16) * d;
    }
}

/* d, m, the fifth bits, 16 bytes of two elements. */
static void q5_1(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    for (int64_t b = 0; b < blocks; b++, x += 24, y += 32) {
        const float d = f16_at(x), m = f16_at(x + 2);
        const uint32_t high = u32_at(x + 4);
        for (int i = 0; i < 16; i++)
            y[i] = (float)(int)((x[8 + i] & 15u) | (high >> i & 1) << 4) * d + m;
        for (int i = 0; i < 16; i++)
            y[16 + i] = (float)(int)(x[8 + i] >> 4 | (high >> (16 + i) & 1) << 4) * d + m;
    }
}

/* d, 32 signed bytes. */
static void q8_0(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    for (int64_t b = 0; b < blocks; b++, x += 34, y += 32) {
        const float d = f16_at(x);
        for (int i = 0; i < 32; i++) y[i] = (float)(int8_t)x[2 + i] * d;
    }
}

/* ---- 256 elements: parts of 16 or 32 with small integer scales of their own ------------------ */

/* 16 bytes of scale (low nibble) and minimum, 64 of four elements, d, dmin. */
static void q2_k(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    for (int64_t b = 0; b < blocks; b++, x += 84) {
        const float d = f16_at(x + 80), dmin = f16_at(x + 82);
        for (int part = 0; part < 16; part++, y += 16) {
            const uint8_t *q = x + 16 + part / 8 * 32 + part % 2 * 16;
            const int shift = part % 8 / 2 * 2;
            const float scale = d * (float)(x[part] & 15), least = dmin * (float)(x[part] >> 4);
            for (int i = 0; i < 16; i++) y[i] = scale * (float)(q[i] >> shift & 3) - least;
        }
    }
}

/* The 6-bit scales of q3_k: 8 bytes of two low nibbles, 4 bytes of four high pairs of bits. */
static inline int q3_k_scale(const uint8_t *s, int part)
{
    return ((s[part % 8] >> part / 8 * 4 & 15) | (s[8 + part % 4] >> part / 4 * 2 & 3) << 4) - 32;
}

/* 32 bytes of third bits (0: subtract 4), 64 of four elements, 12 of scales, d. */
static void q3_k(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    for (int64_t b = 0; b < blocks; b++, x += 110) {
        const float d = f16_at(x + 108);
        for (int part = 0; part < 16; part++, y += 16) {
            const uint8_t *high = x + part % 2 * 16, *q = x + 32 + part / 8 * 32 + part % 2 * 16;
            const int shift = part % 8 / 2 * 2, bit = part / 2;
            const float scale = d * (float)q3_k_scale(x + 96, part);
            for (int i = 0; i < 16; i++) {
                const int v = (q[i] >> shift & 3) - (high[i] >> bit & 1 ? 0 : 4);
                y[i] = scale * (float)v;
            }
        }
    }
}

/* The 6-bit scales and minima of q4_k and q5_k: 12 bytes for eight of each. */
static inline void k_scale(const uint8_t *s, int part, int *scale, int *least)
{
    if (part < 4) {
        *scale = s[part] & 63;
        *least = s[part + 4] & 63;
    } else {
        *scale = (s[part + 4] & 15) | s[part - 4] >> 6 << 4;
        *least = s[part + 4] >> 4 | s[part] >> 6 << 4;
    }
}

/* d, dmin, 12 bytes of scales, 128 of two elements. */
static void q4_k(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    for (int64_t b = 0; b < blocks; b++, x += 144) {
        const float d = f16_at(x), dmin = f16_at(x + 2);
        for (int part = 0; part < 8; part++, y += 32) {
            const uint8_t *q = x + 16 + part / 2 * 32;
            const int shift = part % 2 * 4;
            int s, l;
            k_scale(x + 4, part, &s, &l);
            const float scale = d * (float)s, least = dmin * (float)l;
            for (int i = 0; i < 32; i++) y[i] = scale * (float)(q[i] >> shift & 15) - least;
        }
    }
}

/* d, dmin, 12 bytes of scales, 32 of fifth bits, 128 of two elements. */
static void q5_k(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    for (int64_t b = 0; b < blocks; b++, x += 176) {
        const float d = f16_at(x), dmin = f16_at(x + 2);
        for (int part = 0; part < 8; part++, y += 32) {
            const uint8_t *high = x + 16, *q = x + 48 + part / 2 * 32;
            const int shift = part % 2 * 4;
            int s, l;
            k_scale(x + 4, part, &s, &l);
            const float scale = d * (float)s, least = dmin * (float)l;
            for (int i = 0; i < 32; i++) {
                const int v = (q[i] >> shift & 15) | (high[i] >> part & 1) << 4;
                y[i] = scale * (float)v - least;
            }
        }
    }
}

/* 128 bytes of low nibbles, 64 of four high pairs of bits, 16 signed scales, d. */
static void q6_k(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    for (int64_t b = 0; b < blocks; b++, x += 210) {
        const float d = f16_at(x + 208);
        for (int part = 0; part < 16; part++, y += 16) {
            const int half = part / 8, in_half = part % 8 * 16; /* elements 16 part .. */
            const uint8_t *low = x + half * 64 + in_half % 64,
                          *high = x + 128 + half * 32 + in_half % 32;
            const int shift = in_half / 64 * 4, pair = in_half / 32 * 2;
            const float scale = d * (float)(int8_t)x[192 + part];
            for (int i = 0; i < 16; i++) {
                const int v = ((low[i] >> shift & 15) | (high[i] >> pair & 3) << 4) - 32;
                y[i] = scale * (float)v;
            }
        }
    }
}

const wgi_dequantise_kernels WGI_AT_LEVEL(wgi_dequantise_kernels) = {
    .of = { [WG_Q4_0 - WG_Q4_0] = q4_0,
            [WG_Q4_1 - WG_Q4_0] = q4_1,
            [WG_Q5_0 - WG_Q4_0] = q5_0,
            [WG_Q5_1 - WG_Q4_0] = q5_1,
            [WG_Q8_0 - WG_Q4_0] = q8_0,
            [WG_Q2_K - WG_Q4_0] = q2_k,
            [WG_Q3_K - WG_Q4_0] = q3_k,
            [WG_Q4_K - WG_Q4_0] = q4_k,
            [WG_Q5_K - WG_Q4_0] = q5_k,
            [WG_Q6_K - WG_Q4_0] = q6_k },
};
