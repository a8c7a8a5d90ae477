/* Rows of random words and normal numbers from outside the kernels, at the level of the CPU. */
#ifndef WGI_CPU_RANDOM_WORDS_H
#define WGI_CPU_RANDOM_WORDS_H
#include <stdint.h>

#include "cpu/level.h"

typedef struct {
    /* out (4 * blocks): the words of philox(key, counter + 0 .. blocks - 1) */
    void (*words)(uint32_t *out, uint64_t key, uint64_t counter, int64_t blocks);
    /* y (n, rounded up to even): standard normal numbers of as many words */
    void (*normal)(float *y, const uint32_t *words, int64_t n);
} wgi_random_kernels;
WGI_DECLARE_LEVELS(wgi_random_kernels, wgi_random_kernels);
#endif
