/* Instruction-set levels. A file in simd_sources is compiled once per level; what it exports is one constant table of
 * functions, `const wgi_norm_kernels WGI_AT_LEVEL(wgi_norm_kernels) = { ... };`, everything else in it is static. A file
 * outside picks one with WGI_PICK(wgi_norm_kernels, wgi_norm_kernels). */
#ifndef WGI_CPU_LEVEL_H
#define WGI_CPU_LEVEL_H
#include <stdbool.h>

typedef enum { WGI_LEVEL_BASE, WGI_LEVEL_AVX2, WGI_LEVEL_AVX512 } wgi_level;
/* The best level that this CPU and system can run; WG_ISA=base|avx2|avx512 lowers it (tests), and avx512 turns AMX off.
 * Fixed at the first call. */
wgi_level wgi_cpu_level_find(void);
extern int wgi_cpu_level_known; /* negative until the first call; every thread finds the same */
static inline wgi_level wgi_cpu_level(void)
{
    const int l = __atomic_load_n(&wgi_cpu_level_known, __ATOMIC_RELAXED);
    return l >= 0 ? (wgi_level)l : wgi_cpu_level_find();
}
const char *wgi_level_name(wgi_level l);
/* Can this CPU run level l, and multiply and add 8-bit integers by fours there: AVX-VNNI, AVX-512 VNNI? */
bool wgi_cpu_vnni(wgi_level l);

/* Can it multiply pairs of bf16 (AVX-512-BF16), and was a kernel for it built? Never below the AVX-512 level. */
bool wgi_cpu_bf16(void);
/* Can it multiply matrices of bf16 in registers (AMX), does the system let this process, and was a kernel for it built?
 * Only where wgi_cpu_bf16() is true, too. */
bool wgi_cpu_amx(void);

/* Does it pay to fetch A's next columns while a product computes? It gains on AMD's Zen 4; an Intel Xeon's own prefetchers see
 * the rows coming. */
bool wgi_cpu_wants_fetches(void);
/* Is it AMD's Zen 5 or a later one, at the AVX-512 level? Products go other ways there, as measured: it has many loads in
 * flight, 12 ways of L1, 1 MiB of L2, and fetches far ahead by itself. */
bool wgi_cpu_zen5(void);

#define WGI_JOIN2(a, b) a##_##b
#define WGI_JOIN(a, b) WGI_JOIN2(a, b)
#ifdef WGI_ISA
#define WGI_AT_LEVEL(name) WGI_JOIN(name, WGI_ISA)
#endif

#if defined(__x86_64__)
#define WGI_DECLARE_LEVELS(type, name) extern const type name##_base, name##_avx2, name##_avx512
#define WGI_PICK(name)                                                                             \
    (wgi_cpu_level() == WGI_LEVEL_AVX512 ? &name##_avx512                                          \
     : wgi_cpu_level() == WGI_LEVEL_AVX2 ? &name##_avx2                                            \
                                         : &name##_base)
#else
#define WGI_DECLARE_LEVELS(type, name) extern const type name##_base
#define WGI_PICK(name) (&name##_base)
#endif
#endif
