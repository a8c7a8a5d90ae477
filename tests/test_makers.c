/* Makers of tensors: random numbers by their moments and their words, draws, ranges. The registry's tests (test_ops) hold the
 * rows to their references. */
#include <math.h>
#include <stdlib.h>

#include "suite.h"
#include "tensor/internal.h"
#include "tensor/philox.h"

static void moments(const float *x, int64_t n, double *mean, double *variance, double *fourth)
{
    double m = 0, v = 0, k = 0;
    for (int64_t i = 0; i < n; i++) m += x[i];
    m /= (double)n;
    for (int64_t i = 0; i < n; i++) {
        double d = x[i] - m;
        v += d * d;
        k += d * d * d * d;
    }
    *mean = m;
    *variance = v / (double)n;
    *fourth = k / (double)n / (*variance * *variance);
}

START_TEST(uniform_and_normal_numbers_have_their_moments)
{
    enum {
        N = 400000
    }; /* standard errors of mean, variance, kurtosis: about 1/600, 1/450, 1/130 */
    wg_scope s = wg_scope_push();
    double mean, variance, fourth;
    wg_seed(11);
    moments(wg_data(wg_rand(WG_DIMS(N))), N, &mean, &variance, &fourth);
    ck_assert_double_eq_tol(mean, 0.5, 0.002);
    ck_assert_double_eq_tol(variance, 1.0 / 12, 0.0006);
    ck_assert_double_eq_tol(fourth, 1.8, 0.02);
    moments(wg_data(wg_randn(WG_DIMS(N))), N, &mean, &variance, &fourth);
    ck_assert_double_eq_tol(mean, 0, 0.007);
    ck_assert_double_eq_tol(variance, 1, 0.01);
    ck_assert_double_eq_tol(fourth, 3, 0.04);
    pop(s);
}
END_TEST

START_TEST(normal_numbers_are_box_and_mullers_of_their_words)
{
    enum { N = 20000 };
    wg_scope s = wg_scope_push();
    wg_seed(13);
    const float *y = wg_data(wg_randn(WG_DIMS(N)));
    for (int64_t i = 0; i < N; i += 2) {
        uint32_t a = wgi_random_word(13, 0, i), b = wgi_random_word(13, 0, i + 1);
        long double radius = sqrtl(-2 * logl(((long double)a + 1) * 0x1p-32L));
        long double angle = 2 * acosl(-1) * (long double)b * 0x1p-32L;
        /* 4 units of the radius: cos and sin lose their leading digits near zero */
        double tolerance = (double)radius * 4 * 0x1p-24;
        ck_assert_double_eq_tol(y[i], (double)(radius * cosl(angle)), tolerance);
        ck_assert_double_eq_tol(y[i + 1], (double)(radius * sinl(angle)), tolerance);
    }
    pop(s);
}
END_TEST

START_TEST(a_random_value_depends_on_its_index_alone)
{
    wg_scope s = wg_scope_push();
    wg_tensor *(*const make[])(wg_dims) = { wg_rand, wg_randn };
    static const wg_dtype types[] = { WG_F32, WG_F64, WG_BF16 };
    int threads = wg_threads();
    for (int t = 0; t < 6; t++) {
        wg_use_dtype(types[t % 3]);
        wg_seed(5);
        wg_use_threads(1);
        wg_tensor *one = make[t / 3](WG_DIMS(100003));
        wg_seed(5);
        wg_use_threads(4);
        wg_tensor *four = make[t / 3](WG_DIMS(100003));
        wg_seed(5);
        wg_tensor *few = make[t / 3](WG_DIMS(3, 7));
        size_t size = wg_dtype_size(types[t % 3]);
        ck_assert(memcmp(wg_data(one), wg_data(four), 100003 * size) == 0);
        ck_assert(memcmp(wg_data(one), wg_data(few), 21 * size) == 0);
    }
    wg_use_threads(threads);
    wg_use_dtype(WG_F32);
    wg_seed(42);
    const float *u = wg_data(wg_rand(WG_DIMS(9)));
    for (int i = 0; i < 9; i++) ck_assert(u[i] == wgi_uniform24(wgi_random_word(42, 0, i)));
    wg_use_dtype(WG_BF16);
    wg_tensor *b = wg_rand(WG_DIMS(100000));
    for (int64_t i = 0; i < 100000; i++)
        ck_assert(wgi_load((char *)wgi_data(b) + 2 * i, WG_BF16) < 1);
    pop(s);
}
END_TEST

START_TEST(two_calls_draw_different_numbers)
{
    wg_scope s = wg_scope_push();
    wg_seed(1);
    const float *a = wg_data(wg_rand(WG_DIMS(5))), *b = wg_data(wg_rand(WG_DIMS(5)));
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) ck_assert(a[i] != b[j]);
    pop(s);
}
END_TEST

START_TEST(integers_are_in_their_range_and_reach_its_ends)
{
    wg_scope s = wg_scope_push();
    wg_seed(2);
    const int64_t *v = wg_data(wg_randint(-3, 4, WG_DIMS(10000)));
    int seen[7] = { 0 };
    for (int i = 0; i < 10000; i++) {
        ck_assert(v[i] >= -3 && v[i] < 4);
        seen[v[i] + 3]++;
    }
    for (int i = 0; i < 7; i++) ck_assert_int_gt(seen[i], 1200); /* 1429 +- 35 */
    ck_assert_int_eq(wg_item_int(wg_randint(INT64_MAX - 1, INT64_MAX, WG_DIMS(1))), INT64_MAX - 1);
    expect_no_error();
    pop(s);
}
END_TEST

START_TEST(draws_follow_their_weights)
{
    static const float weights[] = { 1, 0, 3, 0, 0, 0, 4, 0 };
    wg_scope s = wg_scope_push();
    wg_seed(7);
    wg_tensor *p = wg_from(weights, sizeof weights, WG_F32, WG_DIMS(8));
    const int64_t *v = wg_data(wg_multinomial(p, 40000));
    int seen[8] = { 0 };
    for (int i = 0; i < 40000; i++) seen[v[i]]++;
    ck_assert_int_eq(seen[1] + seen[3] + seen[4] + seen[5] + seen[7], 0);
    ck_assert_int_lt(abs(seen[0] - 5000), 330); /* 5 standard deviations */
    ck_assert_int_lt(abs(seen[2] - 15000), 485);
    const float half = 0.25f;
    wg_tensor *few = wg_expand(wg_from(&half, 4, WG_F32, WG_DIMS(1)), WG_DIMS(40000));
    ck_assert_double_eq_tol(wg_item(wg_mean(wg_bernoulli(few), WG_ALL, false)), 0.25, 0.011);
    static const float bad[] = { 1, NAN };
    ck_assert(wg_is_error(wg_multinomial(wg_from(bad, sizeof bad, WG_F32, WG_DIMS(2)), 1)));
    expect_error(WG_EARG, "multinomial: a weight is ");
    pop(s);
}
END_TEST

START_TEST(ranges_have_their_values)
{
    wg_scope s = wg_scope_push();
    ck_assert_int_eq(wg_numel(wg_arange(5, 2)), 0);
    ck_assert_int_eq(wg_item_int(wg_select(wg_arange(-2, 3), 0, 4)), 2);
    wg_tensor *l = wg_linspace(0, 1, 11);
    ck_assert(((const float *)wg_data(l))[10] == 1 && ((const float *)wg_data(l))[3] == 0.3f);
    ck_assert_int_eq(wg_numel(wg_arange_step(0, 1, 0.1)), 10);
    ck_assert_int_eq(wg_numel(wg_arange_step(1, 0, -0.25)), 4);
    ck_assert_double_eq(wg_item(wg_sum(wg_eye(5), WG_ALL, false)), 5);
    expect_no_error();
    ck_assert(wg_is_error(wg_arange_step(0, 1, 0)));
    expect_error(WG_EARG, "arange_step: from 0 to 1 by 0");
    ck_assert(wg_is_error(wg_linspace(0, 1, -1)));
    expect_error(WG_EARG, "linspace: -1 values");
    ck_assert(wg_is_error(wg_zeros_like(NULL)));
    wg_error_clear();
    ck_assert(wg_is_error(wg_full(WG_DIMS(INT64_MAX, 4), 1)));
    expect_error(WG_ESHAPE, "full: the shape is invalid");
    pop(s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        uniform_and_normal_numbers_have_their_moments,
        normal_numbers_are_box_and_mullers_of_their_words,
        a_random_value_depends_on_its_index_alone,
        two_calls_draw_different_numbers,
        integers_are_in_their_range_and_reach_its_ends,
        draws_follow_their_weights,
        ranges_have_their_values,
        NULL,
    };
    return suite_run("makers", tests);
}
