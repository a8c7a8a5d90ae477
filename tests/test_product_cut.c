/* How products are cut: for threads, in rows, by halves of k; an element has the same bits whatever tile it lies in. */
#include <math.h>
#include <stdlib.h>

#include "suite.h"

#include "cpu/gemm.h"
#include "tensor/internal.h"

/* FNV-1a of the bytes of t. */
static uint64_t bits(wg_tensor *t)
{
    uint64_t h = 14695981039346656037u;
    const unsigned char *p = wg_data(t);
    for (int64_t i = 0; i < wg_numel(t) * (int64_t)wg_dtype_size(wg_dtype_of(t)); i++)
        h = (h ^ p[i]) * 1099511628211u;
    return h;
}

/* x (m, k) y (k, n) + bias (NULL: none) into C by rows (0), by columns (1) or spread (2): its bits. */
static uint64_t bits_of_product(wg_tensor *x, wg_tensor *y, wg_tensor *bias, int layout)
{
    const int64_t m = x->shape[0], n = y->shape[1];
    wg_tensor *c = wg_cast(wg_zeros(WG_DIMS(2 * m * n)), (wg_dtype)x->dtype);
    const int64_t rows[] = { n, 1, 2 * n }, columns[] = { 1, m, 2 };
    const wgi_gemm_args g = {
        .m = m,
        .n = n,
        .k = x->shape[1],
        .a = { wgi_data(x), (wg_dtype)x->dtype, x->strides[0], x->strides[1], { 0 } },
        .b = { wgi_data(y), (wg_dtype)y->dtype, y->strides[0], y->strides[1], { 0 } },
        .c = { wgi_data(c), (wg_dtype)c->dtype, rows[layout], columns[layout], { 0 } },
        .bias = bias ? wgi_data(bias) : NULL,
        .bias_type = (wg_dtype)x->dtype,
        .bias_stride = bias ? bias->strides[0] : 0,
        .alpha = 1
    };
    ck_assert(wgi_gemm(&g) == WG_OK);
    return bits(c);
}

static wg_tensor *by_columns(wg_tensor *x)
{
    return wg_transpose(wg_contiguous(wg_transpose(x, 0, 1)), 0, 1);
}

START_TEST(the_bits_do_not_depend_on_the_threads)
{
    /* Odd sizes leave tiles of one or a few rows or columns at the edges of some cuts. */
    static const int64_t big[][3] = { { 256, 700, 768 }, { 1, 3073, 768 },  { 193, 1, 32768 },
                                      { 64, 64, 4096 },  { 130, 65, 2000 }, { 389, 391, 517 },
                                      { 8, 2051, 300 },  { 9, 2051, 300 },  { 2051, 8, 300 },
                                      { 449, 8, 3534 },  { 515, 129, 770 } };
    static const wg_dtype types[] = { WG_F32, WG_BF16, WG_F16, WG_F64 };
    /* WG_TEST_SMALL: under a sanitizer, the first three */
    static const int counts[] = { 1, 5, 64, 2, 4, 9 };
    const size_t n_counts = getenv("WG_TEST_SMALL") ? 3 : sizeof counts / sizeof *counts;
    int threads = wg_threads();
    for (size_t i = 0; i < sizeof big / sizeof *big; i++)
        for (size_t c = 0; c < 12 * sizeof types / sizeof *types; c++) {
            const wg_dtype type = types[c / 12];
            const int layout = (int)(c % 12);
            wg_scope s = wg_scope_push();
            wg_tensor *x = wg_cast(wg_randn(WG_DIMS(big[i][0], big[i][2])), type),
                      *y = wg_cast(wg_randn(WG_DIMS(big[i][2], big[i][1])), type),
                      *bias = wg_cast(wg_randn(WG_DIMS(2 * big[i][1])), type);
            if (layout % 2) bias = wg_slice(bias, 0, 0, INT64_MAX, 2);
            if (layout & 1) x = by_columns(x);
            if (layout & 2) y = by_columns(y);
            if (layout == 1) bias = NULL; /* as for a weight's gradient */
            uint64_t want = 0;
            for (size_t n = 0; n < n_counts; n++) {
                wg_use_threads(counts[n]);
                uint64_t got = bits_of_product(x, y, bias, layout / 4);
                if (n == 0) want = got;
                ck_assert_msg(got == want, "%lld x %lld x %lld %s, layout %d: %d threads",
                              (long long)big[i][0], (long long)big[i][1], (long long)big[i][2],
                              wg_dtype_name(type), layout, counts[n]);
            }
            pop(s);
        }
    wg_use_threads(threads);
}
END_TEST

/* C of more than six megabytes is stored past the caches, with the bits that its rows have a hundred at a time. */
START_TEST(a_large_product_is_its_rows)
{
    static const wg_dtype types[] = { WG_F32, WG_BF16, WG_F64 };
    enum { M = 1231, N = 1312, K = 41, PART = 100 };
    for (int t = 0; t < 3; t++)
        for (int with_bias = 0; with_bias < 2; with_bias++) {
            const wg_scope s = wg_scope_push();
            wg_seed(5);
            const wg_dtype sum = types[t] == WG_F64 ? WG_F64 : WG_F32;
            wg_tensor *x = wg_cast(wg_randn(WG_DIMS(M, K)), types[t]),
                      *y = wg_cast(wg_randn(WG_DIMS(K, N)), types[t]),
                      *bias = wg_cast(wg_randn(WG_DIMS(N)), sum),
                      *whole = wg_cast(wg_full(WG_DIMS(M, N), NAN), sum),
                      *parts = wg_cast(wg_full(WG_DIMS(M, N), NAN), sum);
            wgi_gemm_args g = { .m = M,
                                .n = N,
                                .k = K,
                                .a = { wgi_data(x), types[t], K, 1, { 0 } },
                                .b = { wgi_data(y), types[t], N, 1, { 0 } },
                                .c = { wgi_data(whole), sum, N, 1, { 0 } },
                                .bias = with_bias ? wgi_data(bias) : NULL,
                                .bias_type = sum,
                                .bias_stride = 1,
                                .alpha = 1 };
            ck_assert(wgi_gemm(&g) == WG_OK);
            for (int64_t row = 0; row < M; row += PART) {
                g.m = M - row < PART ? M - row : PART;
                g.a.data = (char *)wgi_data(x) + (size_t)(row * K) * wg_dtype_size(types[t]);
                g.c.data = (char *)wgi_data(parts) + (size_t)(row * N) * wg_dtype_size(sum);
                ck_assert(wgi_gemm(&g) == WG_OK);
            }
            ck_assert_msg(bits(whole) == bits(parts), "%s", wg_dtype_name(types[t]));
            pop(s);
        }
}
END_TEST

START_TEST(large_products_keep_all_threads_busy)
{
    static const int64_t big[][3] = { { 256, 2304, 768 }, { 256, 768, 768 }, { 3072, 768, 256 },
                                      { 1, 50257, 768 },  { 1, 3072, 768 },  { 384, 384, 4096 },
                                      { 768, 512, 128 },  { 384, 128, 768 }, { 1000, 1000, 1000 } };
    for (size_t i = 0; i < sizeof big / sizeof *big; i++)
        for (int64_t threads = 1; threads <= 8; threads++) {
            const int64_t m = big[i][0], n = big[i][1];
            const wgi_gemm_cut t = wgi_gemm_tile(m, n, big[i][2], 1, threads, i % 2);
            const int64_t tiles = ((m + t.rows - 1) / t.rows) * ((n + t.columns - 1) / t.columns),
                          rounds = (tiles + threads - 1) / threads;
            const double filled =
                (double)m * (double)n / (double)(rounds * threads * t.rows * t.columns);
            const int64_t largest = ((m + 383) / 384) * ((n + 383) / 384); /* no tile is larger */
            ck_assert_msg(tiles >= threads * 3 / 4 && filled > 0.55 &&
                              (tiles <= largest || tiles <= 4 * threads),
                          "%lld x %lld x %lld, %lld threads: %lld tiles of %lld x %lld",
                          (long long)m, (long long)n, (long long)big[i][2], (long long)threads,
                          (long long)tiles, (long long)t.rows, (long long)t.columns);
        }
}
END_TEST

START_TEST(small_products_and_many_at_once_are_not_cut)
{
    wgi_gemm_cut t = wgi_gemm_tile(64, 64, 64, 1, 8, true);
    ck_assert(t.rows == 64 && t.columns == 64);
    t = wgi_gemm_tile(256, 256, 256, 64, 8, false);
    ck_assert(t.rows == 256 && t.columns == 256);
}
END_TEST

START_TEST(a_weight_under_a_batch_is_one_product)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_randn(WG_DIMS(3, 5, 40)), *w = wg_randn(WG_DIMS(40, 30));
    wg_tensor *whole = wg_matmul(wg_reshape(x, WG_DIMS(15, 40)), w);
    ck_assert(bits(wg_matmul(x, w)) == bits(whole));    /* the same kernel on the same 15 rows */
    wg_tensor *t = wg_matmul(wg_transpose(x, 0, 1), w); /* rows that cannot be joined */
    double got[2];
    ck_assert_int_eq(wg_read(wg_select(wg_select(t, 0, 4), 0, 2), (double[30]) { 0 }, 240, WG_F64),
                     WG_OK);
    got[0] = wg_item(wg_select(wg_select(wg_select(t, 0, 4), 0, 2), 0, 7));
    got[1] = wg_item(wg_select(wg_select(whole, 0, 14), 0, 7));
    ck_assert_double_eq_tol(got[0], got[1], 1e-4);
    pop(s);
}
END_TEST

int main(void)
{
    return suite_run("product cut",
                     (const TTest *[]) { the_bits_do_not_depend_on_the_threads,
                                         a_large_product_is_its_rows,
                                         large_products_keep_all_threads_busy,
                                         small_products_and_many_at_once_are_not_cut,
                                         a_weight_under_a_batch_is_one_product, NULL });
}
