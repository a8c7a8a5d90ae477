/* What kernels ask of the device: WG_PTX_PROFILE=1. */
#ifndef WENGERT_TESTS_PTX_PROFILE_H
#define WENGERT_TESTS_PTX_PROFILE_H
#include "ptx.h"

namespace ptx
{

struct counts {
    unsigned long long launches = 0, instructions = 0, bytes = 0, sectors = 0, shared = 0,
                       passes = 0;
};

extern const bool profiles;
counts &counts_of(const kernel &k);
void count_global(counts &c, const uint64_t *address, uint32_t lanes, size_t bytes);
void count_shared(counts &c, const uint64_t *address, uint32_t lanes, size_t bytes);

} // namespace ptx
#endif
