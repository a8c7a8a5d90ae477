/* Rows of Philox words for SIMD loops: the same words as wgi_philox, a block in every 64-bit lane. */
#ifndef WGI_CPU_RANDOM_H
#define WGI_CPU_RANDOM_H
#include "cpu/vec.h"
#include "tensor/philox.h"

typedef uint64_t wgi_vu __attribute__((vector_size(WGI_VBYTES)));
enum { WGI_RANDOM_CHAINS = 2, WGI_RANDOM_LANES = WGI_VD * WGI_RANDOM_CHAINS };

/* a * b of the lower halves of the lanes, whatever the upper halves hold. */
static inline wgi_vu wgi_vu_mul32(wgi_vu a, wgi_vu b)
{
#if defined(__AVX512F__)
    return (wgi_vu)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (wgi_vu)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__x86_64__)
    return (wgi_vu)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

/* The four words of a chain's blocks stand in the lower halves; the upper ones are not cleared between rounds. */
static inline __attribute__((always_inline)) void wgi_philox_rounds(wgi_vu (*c)[4], uint64_t key)
{
    const wgi_vu zero = { 0 };
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
        for (int n = 0; n < WGI_RANDOM_CHAINS; n++) {
            const wgi_vu p0 = wgi_vu_mul32(c[n][0], zero + 0xD2511F53u),
                         p1 = wgi_vu_mul32(c[n][2], zero + 0xCD9E8D57u);
            c[n][0] = (p1 >> 32) ^ c[n][1] ^ (zero + k0);
            c[n][2] = (p0 >> 32) ^ c[n][3] ^ (zero + k1);
            c[n][1] = p1;
            c[n][3] = p0;
        }
}

/* out (4 * blocks): the words of philox(key, counter + 0 .. blocks - 1). */
static inline void wgi_random_words(uint32_t *out, uint64_t key, uint64_t counter, int64_t blocks)
{
    static const uint64_t lane[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    for (int64_t b = 0; b < blocks; b += WGI_RANDOM_LANES) {
        wgi_vu c[WGI_RANDOM_CHAINS][4], words[WGI_RANDOM_CHAINS][2];
        for (int n = 0; n < WGI_RANDOM_CHAINS; n++) {
            memcpy(&c[n][0], lane, sizeof c[n][0]);
            c[n][0] += counter + (uint64_t)(b + n * WGI_VD);
            c[n][1] = c[n][0] >> 32;
            c[n][2] = c[n][3] = (wgi_vu) { 0 };
        }
        wgi_philox_rounds(c, key);
        for (int n = 0; n < WGI_RANDOM_CHAINS; n++) {
            const wgi_vu first = (c[n][0] & 0xffffffffu) | c[n][1] << 32,
                         second = (c[n][2] & 0xffffffffu) | c[n][3] << 32;
            words[n][0] = __builtin_shufflevector(first, second, WGI_VD_LOW);
            words[n][1] = __builtin_shufflevector(first, second, WGI_VD_HIGH);
        }
        const int64_t left = blocks - b < WGI_RANDOM_LANES ? blocks - b : WGI_RANDOM_LANES;
        memcpy(out + 4 * b, words, (size_t)left * 4 * sizeof *out);
    }
}
#endif
