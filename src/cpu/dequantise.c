/* Blocks to f32; compiled once per level. The layouts are those of ggml-common.h: x is a block's
 * bytes, y its elements; d and m are its f16 scale and minimum. Codes are handled as vectors of
 * 16 bytes: left to themselves, compilers make slow loops of these. */
#include "cpu/quant.h"

#include "cpu/block_scales.h"
#include "cpu/vec.h"
#include "tensor/half.h"

static inline float f16_at(const uint8_t *x)
{
    uint16_t h;
    memcpy(&h, x, sizeof h);
    return wgi_f16_to_f32(h);
}

typedef uint8_t codes __attribute__((vector_size(16)));
typedef uint64_t words __attribute__((vector_size(16)));

static inline codes codes_at(const void *x)
{
    codes q;
    memcpy(&q, x, sizeof q);
    return q;
}

/* y = q d, q signed */
static inline void scale16(float *restrict y, codes q, float d)
{
#if defined(__AVX2__)
    const __m128i low = (__m128i)q, high = _mm_srli_si128(low, 8);
    const __m256 by = _mm256_set1_ps(d);
    _mm256_storeu_ps(y, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(low)), by));
    _mm256_storeu_ps(y + 8, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(high)), by));
#else
    int8_t c[16];
    memcpy(c, &q, sizeof c);
    for (int i = 0; i < 16; i++) y[i] = (float)c[i] * d;
#endif
}

/* y = q d + m, each rounded */
static inline void scale_and_shift16(float *restrict y, codes q, float d, float m)
{
    scale16(y, q, d);
    for (int i = 0; i < 16; i++) y[i] += m;
}

static inline void scale(float *restrict y, const int8_t *q, int n, float d)
{
    for (int i = 0; i < n; i += 16) scale16(y + i, codes_at(q + i), d);
}

static inline void scale_and_shift(float *restrict y, const int8_t *q, int n, float d, float m)
{
    for (int i = 0; i < n; i += 16) scale_and_shift16(y + i, codes_at(q + i), d, m);
}

/* q = the nibbles of n bytes: the low ones of all, then the high ones, less `middle`. */
static inline void nibbles(int8_t *q, const uint8_t *x, int n, uint8_t middle)
{
    for (int i = 0; i < n; i += 16) {
        const codes low = (codes_at(x + i) & 15) - middle, high = (codes_at(x + i) >> 4) - middle;
        memcpy(q + i, &low, sizeof low);
        memcpy(q + n + i, &high, sizeof high);
    }
}

/* ---- 32 elements ----------------------------------------------------------------------------- */

/* d, 16 bytes of two elements: the first half's in the low nibbles. */
static void q4_0(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    for (int64_t b = 0; b < blocks; b++, x += 18, y += 32) {
        const codes q = codes_at(x + 2);
        const float d = f16_at(x);
        scale16(y, (q & 15) - 8, d);
        scale16(y + 16, (q >> 4) - 8, d);
    }
}

/* d, m, 16 bytes of two elements. */
static void q4_1(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    for (int64_t b = 0; b < blocks; b++, x += 20, y += 32) {
        const codes q = codes_at(x + 4);
        const float d = f16_at(x), m = f16_at(x + 2);
        scale_and_shift16(y, q & 15, d, m);
        scale_and_shift16(y + 16, q >> 4, d, m);
    }
}

/* 16 where the element's bit is set: bit i % 8 of byte i / 8. */
static inline codes sixteens(const uint8_t *x)
{
    const codes bit = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 };
    const words bytes = { x[0] * 0x0101010101010101u, x[1] * 0x0101010101010101u };
    return (codes)(((codes)bytes & bit) == bit) & 16;
}

/* d, the fifth bits of all elements, 16 bytes of two elements. */
static void q5_0(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    for (int64_t b = 0; b < blocks; b++, x += 22, y += 32) {
        const codes q = codes_at(x + 6);
        const float d = f16_at(x);
        scale16(y, ((q & 15) | sixteens(x + 2)) - 16, d);
        scale16(y + 16, (q >> 4 | sixteens(x + 4)) - 16, d);
    }
}

/* d, m, the fifth bits, 16 bytes of two elements. */
static void q5_1(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    for (int64_t b = 0; b < blocks; b++, x += 24, y += 32) {
        const codes q = codes_at(x + 8);
        const float d = f16_at(x), m = f16_at(x + 2);
        scale_and_shift16(y, (q & 15) | sixteens(x + 4), d, m);
        scale_and_shift16(y + 16, q >> 4 | sixteens(x + 6), d, m);
    }
}

/* d, 32 signed bytes. */
static void q8_0(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    for (int64_t b = 0; b < blocks; b++, x += 34, y += 32)
        scale(y, (const int8_t *)x + 2, 32, f16_at(x));
}

/* ---- 256 elements: parts of 16 or 32 with small integer scales of their own ------------------ */

/* q = the pairs of bits of 32 bytes: the lowest of all first. */
static inline void bit_pairs(int8_t *q, const uint8_t *x)
{
    for (int i = 0; i < 32; i += 16) {
        const codes v = codes_at(x + i), pair[4] = { v & 3, v >> 2 & 3, v >> 4 & 3, v >> 6 };
        for (int k = 0; k < 4; k++) memcpy(q + 32 * k + i, &pair[k], sizeof v);
    }
}

/* q (256) += `add` where a bit is set: bit k of 32 bytes for elements 32 k .. */
static inline void add_bits(int8_t *q, const uint8_t *x, uint8_t add)
{
    for (int i = 0; i < 256; i += 16) {
        const codes bit = (codes_at(x + i % 32) >> i / 32 & 1) * add, v = codes_at(q + i) + bit;
        memcpy(q + i, &v, sizeof v);
    }
}

/* 16 bytes of scale (low nibble) and minimum, 64 of four elements, d, dmin. */
static void q2_k(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    int8_t q[256];
    for (int64_t b = 0; b < blocks; b++, x += 84) {
        const float d = f16_at(x + 80), dmin = f16_at(x + 82);
        bit_pairs(q, x + 16);
        bit_pairs(q + 128, x + 48);
        for (int part = 0; part < 16; part++, y += 16)
            scale_and_shift(y, q + 16 * part, 16, d * (float)(x[part] & 15),
                            -(dmin * (float)(x[part] >> 4)));
    }
}

/* 32 bytes of third bits (0: subtract 4), 64 of four elements, 12 of scales, d. */
static void q3_k(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    int8_t q[256];
    for (int64_t b = 0; b < blocks; b++, x += 110) {
        const float d = f16_at(x + 108);
        bit_pairs(q, x + 32);
        bit_pairs(q + 128, x + 64);
        add_bits(q, x, 4);
        for (int i = 0; i < 256; i += 16) {
            const codes v = codes_at(q + i) - 4;
            memcpy(q + i, &v, sizeof v);
        }
        for (int part = 0; part < 16; part++, y += 16)
            scale(y, q + 16 * part, 16, d * (float)wgi_q3_k_scale(x + 96, part));
    }
}

/* x: d, dmin, 12 bytes of scales. */
static inline void scale_k(float *restrict y, const int8_t *restrict q, const uint8_t *x)
{
    const float d = f16_at(x), dmin = f16_at(x + 2);
    uint32_t words[3], most, least;
    memcpy(words, x + 4, sizeof words);
    for (int pair = 0; pair < 4; pair++, y += 64, q += 64) {
        wgi_k_scale_pair(words, pair, &most, &least);
        scale_and_shift(y, q, 32, d * (float)(most & 255), -(dmin * (float)(least & 255)));
        scale_and_shift(y + 32, q + 32, 32, d * (float)(most >> 8), -(dmin * (float)(least >> 8)));
    }
}

/* d, dmin, 12 bytes of scales, 128 of two elements. */
static void q4_k(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    int8_t q[256];
    for (int64_t b = 0; b < blocks; b++, x += 144, y += 256) {
        for (int part = 0; part < 4; part++) nibbles(q + 64 * part, x + 16 + 32 * part, 32, 0);
        scale_k(y, q, x);
    }
}

/* d, dmin, 12 bytes of scales, 32 of fifth bits, 128 of two elements. */
static void q5_k(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    int8_t q[256];
    for (int64_t b = 0; b < blocks; b++, x += 176, y += 256) {
        for (int part = 0; part < 4; part++) nibbles(q + 64 * part, x + 48 + 32 * part, 32, 0);
        add_bits(q, x + 16, 16);
        scale_k(y, q, x);
    }
}

/* 128 bytes of low nibbles, 64 of four high pairs of bits, 16 signed scales, d. */
static void q6_k(float *restrict y, const void *from, int64_t blocks)
{
    const uint8_t *x = from;
    int8_t q[256], high[256];
    for (int64_t b = 0; b < blocks; b++, x += 210) {
        const float d = f16_at(x + 208);
        nibbles(q, x, 64, 32);
        nibbles(q + 128, x + 64, 64, 32);
        bit_pairs(high, x + 128);
        bit_pairs(high + 128, x + 160);
        for (int i = 0; i < 256; i += 16) {
            const codes v = codes_at(q + i) + codes_at(high + i) * 16;
            memcpy(q + i, &v, sizeof v);
        }
        for (int part = 0; part < 16; part++, y += 16)
            scale(y, q + 16 * part, 16, d * (float)(int8_t)x[192 + part]);
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
