#include "cpu/level.h"

#include <stdlib.h>
#include <string.h>
#if defined(WGI_HAVE_AMX)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif

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

int wgi_cpu_level_known = -1;

wgi_level wgi_cpu_level_find(void)
{
    const wgi_level l = detect();
    __atomic_store_n(&wgi_cpu_level_known, (int)l, __ATOMIC_RELAXED);
    return l;
}

/* Some instructions have a bit of their own, which not every compiler's test of features knows: bit `bit` of leaf 7, 1. */
static bool has_feature(int bit)
{
#if defined(__x86_64__)
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> bit & 1;
#else
    (void)bit;
    return false;
#endif
}

static bool detect_vnni(wgi_level l)
{
#if defined(__x86_64__)
    if (l == WGI_LEVEL_AVX512) return __builtin_cpu_supports("avx512vnni");
#endif
    return l == WGI_LEVEL_AVX2 && has_feature(4);
}

static bool detect_bf16(wgi_level l)
{
#if defined(WGI_HAVE_AVX512_BF16)
    return l == WGI_LEVEL_AVX512 && has_feature(5);
#else
    (void)l;
    return false;
#endif
}

/* The matrix registers are 8 KiB, which Linux saves for those processes only that ask for them: Documentation/arch/x86/
 * xstate.rst. */
static bool detect_amx(wgi_level l)
{
#if defined(WGI_HAVE_AMX)
    enum { ASK_PERMISSION = 0x1023, MATRIX_REGISTERS = 18 };
    unsigned a, b, c, d;
    const char *wanted = getenv("WG_ISA");
    return !(wanted && strcmp(wanted, names[l]) == 0) && detect_bf16(l) &&
           __get_cpuid_count(7, 0, &a, &b, &c, &d) && d >> 22 & 1 && d >> 24 & 1 &&
           syscall(SYS_arch_prctl, ASK_PERMISSION, MATRIX_REGISTERS) == 0;
#else
    (void)l;
    return false;
#endif
}

/* Asking the processor takes microseconds: once. */
static bool remembered(signed char *known, bool (*detect)(wgi_level), wgi_level l)
{
    int is = __atomic_load_n(known, __ATOMIC_RELAXED);
    if (is < 0) {
        is = l <= wgi_cpu_level() && detect(l);
        __atomic_store_n(known, (signed char)is, __ATOMIC_RELAXED);
    }
    return is;
}

bool wgi_cpu_vnni(wgi_level l)
{
    static signed char known[3] = { -1, -1, -1 };
    return remembered(&known[l], detect_vnni, l);
}

bool wgi_cpu_bf16(void)
{
    static signed char known = -1;
    return remembered(&known, detect_bf16, wgi_cpu_level());
}

bool wgi_cpu_amx(void)
{
    static signed char known = -1;
    return remembered(&known, detect_amx, wgi_cpu_level());
}

static bool detect_wants_fetches(wgi_level l)
{
    (void)l;
#if defined(__x86_64__)
    return !__builtin_cpu_is("intel");
#else
    return true;
#endif
}

bool wgi_cpu_wants_fetches(void)
{
    static signed char known = -1;
    return remembered(&known, detect_wants_fetches, wgi_cpu_level());
}

/* Family 26 (AMD64 Architecture Programmer's Manual, volume 3, CPUID function 1): compilers know it by name only lately. */
static bool detect_zen5(wgi_level l)
{
#if defined(__x86_64__)
    enum { ZEN_5 = 26 };
    unsigned a, b, c, d;
    if (l != WGI_LEVEL_AVX512 || !__builtin_cpu_is("amd") || !__get_cpuid(1, &a, &b, &c, &d))
        return false;
    return (a >> 8 & 15) + (a >> 20 & 255) >= ZEN_5;
#else
    (void)l;
    return false;
#endif
}

bool wgi_cpu_zen5(void)
{
    static signed char known = -1;
    return remembered(&known, detect_zen5, wgi_cpu_level());
}
