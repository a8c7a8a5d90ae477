/* Which kernels BLIS is told to take. This process pretends to run on a processor that BLIS does
 * not know. */
#include "suite.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

/* So many bytes, behind which lies memory that nobody may read. */
static void *at_the_edge(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (bytes + page - 1) / page * page;
    char *p = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(p != MAP_FAILED && mprotect(p + room, page, PROT_NONE) == 0);
    return p + room - bytes;
}

/* It was, by Haswell's kernels: the run at level avx2 takes them. */
START_TEST(nothing_is_read_past_the_operands)
{
    static const int64_t sizes[][3] = { { 62, 31, 479 }, { 56, 13, 10 }, { 31, 62, 479 },
                                        { 49, 44, 97 },  { 7, 59, 333 }, { 390, 33, 512 } };
    for (size_t i = 0; i < 4 * sizeof sizes / sizeof *sizes; i++) {
        const int64_t m = sizes[i / 4][0], n = sizes[i / 4][1], k = sizes[i / 4][2];
        const bool a_turned = i & 1, b_turned = i & 2;
        for (size_t e = sizeof(float); e <= sizeof(double); e += sizeof(double) - sizeof(float)) {
            void *a = at_the_edge((size_t)(m * k) * e), *b = at_the_edge((size_t)(k * n) * e),
                 *c = at_the_edge((size_t)(m * n) * e);
            const int64_t ar = a_turned ? 1 : k, ac = a_turned ? m : 1, br = b_turned ? 1 : n,
                          bc = b_turned ? k : 1;
            if (e == sizeof(float))
                wgi_blis_f32(m, n, k, 1, a, ar, ac, b, br, bc, 0, c, n, 1);
            else
                wgi_blis_f64(m, n, k, 1, a, ar, ac, b, br, bc, 0, c, n, 1);
        }
    }
}
END_TEST

int main(void)
{
    unsetenv("BLIS_ARCH_TYPE");
    return suite_run("blis",
                     (const TTest *[]) { only_processors_that_blis_does_not_know_are_decided_for_it,
                                         an_unknown_processor_does_not_get_the_generic_kernels,
                                         the_chosen_kernels_multiply,
                                         nothing_is_read_past_the_operands, NULL });
}
