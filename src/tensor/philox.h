/* Philox 4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Value i of a call
 * is word i % 4 of philox(key, counter + i / 4), whatever the number of threads. Also for CUDA. */
#ifndef WGI_TENSOR_PHILOX_H
#define WGI_TENSOR_PHILOX_H
#include <stdint.h>

#ifndef WGI_DEVICE
#define WGI_DEVICE static inline
#endif

typedef struct {
    uint32_t v[4];
} wgi_philox4;

WGI_DEVICE wgi_philox4 wgi_philox(uint64_t key, uint64_t counter)
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    wgi_philox4 c = { { (uint32_t)counter, (uint32_t)(counter >> 32), 0, 0 } };
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c.v[0], p1 = (uint64_t)0xCD9E8D57u * c.v[2];
        wgi_philox4 n = { { (uint32_t)(p1 >> 32) ^ c.v[1] ^ k0, (uint32_t)p1,
                            (uint32_t)(p0 >> 32) ^ c.v[3] ^ k1, (uint32_t)p0 } };
        c = n;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

/* Uniform in [0, 1) with 24 bits: exact in f32. */
WGI_DEVICE float wgi_uniform24(uint32_t word)
{
    return (float)(word >> 8) * 0x1p-24f;
}

/* Word i of the stream that begins at (key, counter). */
WGI_DEVICE uint32_t wgi_random_word(uint64_t key, uint64_t counter, int64_t i)
{
    return wgi_philox(key, counter + (uint64_t)i / 4).v[i % 4];
}
#endif
