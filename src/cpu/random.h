/* Rows of Philox words for SIMD loops: the same words as wgi_philox, sixteen blocks of four at a time. */
#ifndef WGI_CPU_RANDOM_H
#define WGI_CPU_RANDOM_H
#include <string.h>

#include "tensor/philox.h"

enum { WGI_RANDOM_LANES = 16 };

/* One round for all lanes. */
static inline __attribute__((always_inline)) void wgi_philox_round(uint32_t (*c)[WGI_RANDOM_LANES], uint32_t k0,
                                                                   uint32_t k1)
{
    for (int l = 0; l < WGI_RANDOM_LANES; l++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c[0][l], p1 = (uint64_t)0xCD9E8D57u * c[2][l];
        c[0][l] = (uint32_t)(p1 >> 32) ^ c[1][l] ^ k0;
        c[1][l] = (uint32_t)p1;
        c[2][l] = (uint32_t)(p0 >> 32) ^ c[3][l] ^ k1;
        c[3][l] = (uint32_t)p0;
    }
}

/* out (4 * blocks): the words of philox(key, counter + 0 .. blocks - 1). */
static inline void wgi_random_words(uint32_t *out, uint64_t key, uint64_t counter, int64_t blocks)
{
    for (int64_t b = 0; b < blocks; b += WGI_RANDOM_LANES) {
        uint32_t c[4][WGI_RANDOM_LANES], k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
        for (int l = 0; l < WGI_RANDOM_LANES; l++) {
            const uint64_t at = counter + (uint64_t)b + (uint64_t)l;
            c[0][l] = (uint32_t)at;
            c[1][l] = (uint32_t)(at >> 32);
            c[2][l] = c[3][l] = 0;
        }
        for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) wgi_philox_round(c, k0, k1);
        uint32_t words[WGI_RANDOM_LANES * 4];
        for (int l = 0; l < WGI_RANDOM_LANES; l++)
            for (int w = 0; w < 4; w++) words[4 * l + w] = c[w][l];
        const int64_t n = blocks - b < WGI_RANDOM_LANES ? blocks - b : WGI_RANDOM_LANES;
        memcpy(out + 4 * b, words, (size_t)n * 4 * sizeof *words);
    }
}
#endif
