/* Which kernels BLIS is told to take. This process pretends to run on a processor that BLIS does
 * not know. */
#include "suite.h"

#include <stdlib.h>
#include <string.h>

#include <blis.h>

#include "cpu/blis.h"

START_TEST(only_processors_that_blis_does_not_know_are_decided_for_it)
{
    const char *intel = "GenuineIntel", *amd = "AuthenticAMD", *hygon = "HygonGenuine";
    ck_assert_int_eq(wgi_blis_choice(intel, 6, WGI_LEVEL_AVX512), -1);
    ck_assert_int_eq(wgi_blis_choice(intel, 19, WGI_LEVEL_AVX2), -1);
    ck_assert_int_eq(wgi_blis_choice(amd, 0x17, WGI_LEVEL_AVX2), -1);
    ck_assert_int_eq(wgi_blis_choice(amd, 0x19, WGI_LEVEL_AVX512), -1);
    ck_assert_int_eq(wgi_blis_choice(amd, 0x1a, WGI_LEVEL_BASE), -1);
#if defined(BLIS_CONFIG_SKX) && defined(BLIS_CONFIG_HASWELL)
    ck_assert_int_eq(wgi_blis_choice(amd, 0x1a, WGI_LEVEL_AVX512), BLIS_ARCH_SKX);
    ck_assert_int_eq(wgi_blis_choice(amd, 0x1a, WGI_LEVEL_AVX2), BLIS_ARCH_HASWELL);
    ck_assert_int_eq(wgi_blis_choice(hygon, 0x18, WGI_LEVEL_AVX2), BLIS_ARCH_HASWELL);
#endif
    (void)hygon;
}
END_TEST

START_TEST(an_unknown_processor_does_not_get_the_generic_kernels)
{
    wgi_blis_pretend("AuthenticAMD", 0x1a);
    const char *kernels = wgi_blis_kernels();
#if defined(BLIS_CONFIG_SKX) && defined(BLIS_CONFIG_HASWELL)
    if (wgi_cpu_level() == WGI_LEVEL_AVX512) ck_assert_str_eq(kernels, "skx");
    if (wgi_cpu_level() == WGI_LEVEL_AVX2) ck_assert_str_eq(kernels, "haswell");
#endif
    ck_assert(wgi_cpu_level() == WGI_LEVEL_BASE || strcmp(kernels, "generic") != 0);
    ck_assert_ptr_null(
        getenv("BLIS_ARCH_TYPE")); /* what was set for BLIS is not left for other programs */
}
END_TEST

START_TEST(the_chosen_kernels_multiply)
{
    enum { N = 70 };
    static double a[N * N], b[N * N], c[N * N];
    static float af[N * N], bf[N * N], cf[N * N];
    for (int i = 0; i < N * N; i++) {
        af[i] = (float)(a[i] = i % 13 - 6);
        bf[i] = (float)(b[i] = i % 7 - 3);
    }
    wgi_blis_f64(N, N, N, 1, a, N, 1, b, 1, N, 0, c, N, 1);
    wgi_blis_f32(N, N, N, 1, af, N, 1, bf, 1, N, 0, cf, N, 1);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0;
            for (int p = 0; p < N; p++) sum += a[i * N + p] * b[j * N + p];
            ck_assert_double_eq(c[i * N + j], sum); /* small integers: exact */
            ck_assert_double_eq(cf[i * N + j], sum);
        }
}
END_TEST

int main(void)
{
    unsetenv("BLIS_ARCH_TYPE");
    return suite_run("blis",
                     (const TTest *[]) { only_processors_that_blis_does_not_know_are_decided_for_it,
                                         an_unknown_processor_does_not_get_the_generic_kernels,
                                         the_chosen_kernels_multiply, NULL });
}
