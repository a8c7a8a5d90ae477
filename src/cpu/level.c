#include "cpu/level.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[] = { "base", "avx2", "avx512" };

const char *wgi_level_name(wgi_level l)
{
    return names[l];
}

static wgi_level detect(void)
{
    wgi_level best = WGI_LEVEL_BASE;
#if defined(__x86_64__)
    __builtin_cpu_init(); /* also asks the system whether it saves the wide registers */
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2"))
        best = WGI_LEVEL_AVX2;
    if (best == WGI_LEVEL_AVX2 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd"))
        best = WGI_LEVEL_AVX512;
#endif
    const char *wanted = getenv("WG_ISA");
    for (int l = 0; wanted && l <= (int)best; l++)
        if (strcmp(wanted, names[l]) == 0) return (wgi_level)l;
    return best;
}

wgi_level wgi_cpu_level(void)
{
    static int known = -1; /* detect() gives every thread the same answer */
    int l = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (l < 0) {
        l = (int)detect();
        __atomic_store_n(&known, l, __ATOMIC_RELAXED);
    }
    return (wgi_level)l;
}

bool wgi_cpu_vnni(void)
{
#if defined(__x86_64__)
    if (wgi_cpu_level() == WGI_LEVEL_AVX512) return __builtin_cpu_supports("avx512vnni");
    if (wgi_cpu_level() == WGI_LEVEL_AVX2) return __builtin_cpu_supports("avxvnni");
#endif
    return false;
}
