/* Compiled once per level. */
#include "cpu/random_words.h"

#include "cpu/random.h"

static void words(uint32_t *out, uint64_t key, uint64_t counter, int64_t blocks)
{
    wgi_random_words(out, key, counter, blocks);
}

const wgi_random_kernels WGI_AT_LEVEL(wgi_random_kernels) = { .words = words };
