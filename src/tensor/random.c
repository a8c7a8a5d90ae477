/* The thread's random generator. Every thread begins with seed 0 at offset 0: a program gives each
 * its own seed. */
#include "tensor/internal.h"

void wg_seed(uint64_t seed)
{
    wgi_ctx()->random = (wg_generator) { .seed = seed, .offset = 0 };
}

wg_generator wg_generator_get(void)
{
    return wgi_ctx()->random;
}

void wg_generator_set(wg_generator g)
{
    wgi_ctx()->random = g;
}
