/* BLIS picks its kernels once, when it starts: on Intel's processors by their features, on AMD's by
 * family number, on all others, and on families newer than itself, it falls to plain C kernels,
 * five times slower (bli_cpuid.c: family 0x15 is bulldozer to excavator, 0x17 zen and zen2, 0x19
 * zen3, for every model; so in 0.9.0 as in 2.1). Its answer cannot be asked for beforehand without
 * fixing it, so the same rule stands here, and only where it says "generic" on a CPU that can do
 * better is BLIS told what to take: by the environment variable BLIS_ARCH_TYPE, as a number of its
 * arch_t, which every version understands. A user's own BLIS_ARCH_TYPE stays. */
#include "cpu/blis.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <blis.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "tensor/internal.h"

static struct {
    char vendor[13];
    unsigned family;
} cpu;
static pthread_once_t once = PTHREAD_ONCE_INIT;

void wgi_blis_pretend(const char *vendor, unsigned family)
{
    snprintf(cpu.vendor, sizeof cpu.vendor, "%s", vendor);
    cpu.family = family;
}

static void ask_cpu(void)
{
#if defined(__x86_64__)
    unsigned a, b, c, d;
    if (cpu.vendor[0] || !__get_cpuid(0, &a, &b, &c, &d)) return;
    memcpy(cpu.vendor, &b, 4);
    memcpy(cpu.vendor + 4, &d, 4);
    memcpy(cpu.vendor + 8, &c, 4);
    if (!__get_cpuid(1, &a, &b, &c, &d)) return;
    cpu.family = a >> 8 & 15;
    if (cpu.family == 15) cpu.family += a >> 20 & 255;
#endif
}

int wgi_blis_choice(const char *vendor, unsigned family, wgi_level level)
{
    if (strcmp(vendor, "GenuineIntel") == 0) return -1;
    if (strcmp(vendor, "AuthenticAMD") == 0 && (family == 0x15 || family == 0x17 || family == 0x19))
        return -1;
#if defined(BLIS_CONFIG_SKX) /* a number that the build lacks would abort the process */
    if (level == WGI_LEVEL_AVX512 && strcmp(bli_arch_string(BLIS_ARCH_SKX), "skx") == 0)
        return BLIS_ARCH_SKX;
#endif
#if defined(BLIS_CONFIG_HASWELL)
    if (level >= WGI_LEVEL_AVX2 && strcmp(bli_arch_string(BLIS_ARCH_HASWELL), "haswell") == 0)
        return BLIS_ARCH_HASWELL;
#endif
    (void)level;
    return -1;
}

static void start(void)
{
    ask_cpu();
    int choice = wgi_blis_choice(cpu.vendor, cpu.family, wgi_cpu_level());
    bool told = choice >= 0 && !getenv("BLIS_ARCH_TYPE");
    if (told) {
        char number[16];
        snprintf(number, sizeof number, "%d", choice);
        setenv("BLIS_ARCH_TYPE", number, 0);
    }
    bli_init(); /* before the question: asked first, it would abort */
    const char *kernels = bli_arch_string(bli_arch_query_id());
    if (told) unsetenv("BLIS_ARCH_TYPE");
    wgi_log(1, "products: BLIS %s, %s kernels%s", bli_info_get_version_str(), kernels,
            told ? ", chosen for a CPU that it does not know" : "");
}

const char *wgi_blis_kernels(void)
{
    pthread_once(&once, start);
    return bli_arch_string(bli_arch_query_id());
}

/* One thread, by the call and not by a setting that the program's own use of BLIS would feel; and none of the ways around
 * packing, for those of Haswell read past f32 operands (0.9.0: 62 x 31 x 479, A by columns). */
static rntm_t one_thread(void)
{
    rntm_t r;
    bli_rntm_init(&r);
    bli_rntm_set_num_threads(1, &r);
    bli_rntm_disable_l3_sup(&r);
    return r;
}

/* BLIS's prototypes lack const. */
void wgi_blis_f32(int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t a_row,
                  int64_t a_column, const float *b, int64_t b_row, int64_t b_column, float beta,
                  float *c, int64_t c_row, int64_t c_column)
{
    pthread_once(&once, start);
    rntm_t r = one_thread();
    bli_sgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, m, n, k, &alpha, (float *)a, a_row, a_column,
                 (float *)b, b_row, b_column, &beta, c, c_row, c_column, NULL, &r);
}

void wgi_blis_f64(int64_t m, int64_t n, int64_t k, double alpha, const double *a, int64_t a_row,
                  int64_t a_column, const double *b, int64_t b_row, int64_t b_column, double beta,
                  double *c, int64_t c_row, int64_t c_column)
{
    pthread_once(&once, start);
    rntm_t r = one_thread();
    bli_dgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, m, n, k, &alpha, (double *)a, a_row,
                 a_column, (double *)b, b_row, b_column, &beta, c, c_row, c_column, NULL, &r);
}
