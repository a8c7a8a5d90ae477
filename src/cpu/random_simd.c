/* Compiled once per level. */
#include "cpu/random_words.h"

#include "cpu/normal.h"
#include "cpu/random.h"

static void words(uint32_t *out, uint64_t key, uint64_t counter, int64_t blocks)
{
    wgi_random_words(out, key, counter, blocks);
}

static void normal(float *restrict y, const uint32_t *words, int64_t n)
{
    for (int64_t i = 0; i < n; i += 2) {
        wgi_normal_pair p = wgi_normal_pair_f32(words[i], words[i + 1]);
        y[i] = p.x;
        y[i + 1] = p.y;
    }
}

const wgi_random_kernels WGI_AT_LEVEL(wgi_random_kernels) = { .words = words, .normal = normal };
