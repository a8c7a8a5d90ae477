/* Linear layers over blocks: against f64 with the 8-bit activations emulated, gradients against the
 * dequantised weights, threads, shapes, errors. */
#include <math.h>
#include <stdlib.h>

#include "cpu/quant_dot.h"
#include "cpu/quant_linear.h"
#include "suite.h"
#include "tensor/internal.h"

static const wg_dtype types[] = { WG_Q4_0, WG_Q4_1, WG_Q5_0, WG_Q5_1, WG_Q8_0 };
enum { TYPES = sizeof types / sizeof *types };

static bool in_8_bits(wg_dtype t, int64_t rows)
{
    return rows <= WGI_QUANT_FEW_ROWS &&
           (t == WG_Q4_0 || t == WG_Q8_0 || t == WG_Q4_K || t == WG_Q5_K || t == WG_Q6_K);
}

/* Activations as the kernels in 8 bits see them: a scale for 32. */
static void round_to_8_bits(double *x, int64_t n)
{
    for (int64_t b = 0; b < n; b += 32) {
        float most = 0;
        for (int64_t i = b; i < b + 32; i++) most = fmaxf(most, fabsf((float)x[i]));
        const float d = most / 127, by = d != 0 ? 1 / d : 0;
        for (int64_t i = b; i < b + 32; i++) x[i] = (double)rintf((float)x[i] * by) * (double)d;
    }
}

static double *doubles(wg_tensor *t)
{
    double *x = malloc(((size_t)t->numel + 1) * sizeof *x);
    ck_assert(wg_read(t, x, (size_t)t->numel * sizeof *x, WG_F64) == WG_OK);
    return x;
}

/* y against x w^T + bias in f64. Tolerance: f32 sums of k terms of size |x| |w|; y's rounding. */
static void check(const char *what, wg_tensor *x, wg_tensor *w, wg_tensor *bias, wg_tensor *y)
{
    const int64_t k = w->shape[1], n = w->shape[0], m = n ? y->numel / n : 0;
    expect_no_error();
    double *a = doubles(x), *b = doubles(w), *z = doubles(y), *c = bias ? doubles(bias) : NULL;
    if (in_8_bits(w->dtype, m) && x->dtype != WG_F64) round_to_8_bits(a, m * k);
    const double last = y->dtype == WG_BF16 ? 0x1p-8 : y->dtype == WG_F16 ? 0x1p-11 : 0x1p-24;
    for (int64_t i = 0; i < m; i++)
        for (int64_t o = 0; o < n; o++) {
            double sum = c ? c[o] : 0, size = fabs(sum);
            for (int64_t j = 0; j < k; j++) {
                sum += a[i * k + j] * b[o * k + j];
                size += fabs(a[i * k + j] * b[o * k + j]);
            }
            const double most = 0x1p-24 * size * (4 + sqrt((double)k)) + last * fabs(sum) + 1e-30;
            ck_assert_msg(fabs(z[i * n + o] - sum) <= most, "%s %s (%d, %d): %g, want %g +- %g",
                          what, wg_dtype_name(w->dtype), (int)i, (int)o, z[i * n + o], sum, most);
        }
    free(a);
    free(b);
    free(c);
    free(z);
}

/* Widths that are whole groups of eight blocks, that are none, and both. */
START_TEST(few_and_many_rows_are_as_in_f64)
{
    static const int64_t widths[] = { 32, 96, 256, 288, 544, 1088 },
                         rows[] = { 1, 2, 3, 5, 8, 32, 33, 70 };
    wg_scope all = wg_scope_push();
    wg_use_grad(false);
    for (int t = 0; t < TYPES; t++)
        for (int i = 0; i < 6; i++) {
            wg_scope s = wg_scope_push();
            wg_tensor *w = wg_cast(wg_randn(WG_DIMS(37, widths[i])), types[t]),
                      *bias = wg_randn(WG_DIMS(37));
            for (int r = 0; r < 8; r++) {
                wg_tensor *x = wg_randn(WG_DIMS(rows[r], widths[i]));
                check("f32", x, w, bias, wg_linear(x, w, bias));
                check("no bias", x, w, NULL, wg_linear(x, w, NULL));
            }
            pop(s);
        }
    pop(all);
}
END_TEST

/* Random bytes with scales of ordinary size. */
static wg_tensor *k_blocks(wg_dtype t, int64_t rows, int64_t width)
{
    static const int at[][2] = { { 80, 82 }, { 108, 108 }, { 0, 2 }, { 0, 2 }, { 208, 208 } };
    const size_t size = wg_dtype_block_bytes(t), bytes = (size_t)(rows * width / 256) * size;
    uint8_t *raw = wg_scope_alloc(bytes);
    wg_tensor *noise = wg_cast(wg_randint(0, 256, WG_DIMS((int64_t)bytes)), WG_U8);
    memcpy(raw, wg_data(noise), bytes);
    for (size_t b = 0; b < bytes; b += size)
        for (int i = 0; i < 2; i++) { /* between 2^-11 and 2^-9 */
            const uint16_t h = (uint16_t)(0x1000 | (raw[b] * 4 & 0xfff));
            memcpy(raw + b + at[t - WG_Q2_K][i], &h, sizeof h);
        }
    return wg_from(raw, bytes, t, WG_DIMS(rows, width));
}

static const wg_dtype k_types[] = { WG_Q2_K, WG_Q3_K, WG_Q4_K, WG_Q5_K, WG_Q6_K };

/* 300 rows of 8192: three tiles of weights. */
START_TEST(tiles_make_one_product)
{
    wg_scope s = wg_scope_push();
    wg_tensor *q = wg_cast(wg_randn(WG_DIMS(300, 8192)), WG_Q8_0), *bias = wg_randn(WG_DIMS(300));
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(40, 8192)));
    wg_tensor *y = wg_linear(x, q, bias), *dy = wg_randn(WG_DIMS(40, 300)), *dx;
    check("tiles", x, q, bias, y);
    wg_grad(WG_LIST(y), WG_LIST(x), WG_LIST(dy), 0, (wg_list) { 1, &dx });
    wg_tensor *want = wg_matmul(dy, wg_cast(q, WG_F32));
    expect_no_error();
    const double far = wg_item(wg_max(wg_abs(wg_sub(dx, want)), WG_ALL, false));
    ck_assert_double_le(far, 300 * 0x1p-22);
    pop(s);
}
END_TEST

START_TEST(k_types_multiply_as_dequantised)
{
    wg_scope all = wg_scope_push();
    wg_use_grad(false);
    for (int t = 0; t < 5; t++)
        for (int64_t m = 1; m <= 37; m += m < 7 ? 1 : 15) {
            wg_scope s = wg_scope_push();
            wg_tensor *w = k_blocks(k_types[t], 9, 768), *x = wg_randn(WG_DIMS(m, 768)),
                      *bias = wg_randn(WG_DIMS(9));
            check("k", x, w, bias, wg_linear(x, w, bias));
            pop(s);
        }
    pop(all);
}
END_TEST

START_TEST(sixteen_bits_and_f64_keep_their_dtype)
{
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    static const wg_dtype floats[] = { WG_BF16, WG_F16, WG_F64 };
    for (int t = 0; t < TYPES; t++)
        for (int f = 0; f < 3; f++)
            for (int64_t m = 2; m <= 40; m += 38) {
                wg_tensor *w = wg_cast(wg_randn(WG_DIMS(5, 320)), types[t]);
                wg_tensor *x = wg_cast(wg_randn(WG_DIMS(m, 320)), floats[f]),
                          *bias = wg_randn(WG_DIMS(5));
                wg_tensor *y = wg_linear(x, w, bias);
                ck_assert_int_eq(wg_dtype_of(y), floats[f]);
                check(wg_dtype_name(floats[f]), x, w, bias, y);
            }
    wg_use_autocast(WG_BF16);
    wg_tensor *y =
        wg_linear(wg_randn(WG_DIMS(2, 64)), wg_cast(wg_randn(WG_DIMS(3, 64)), WG_Q8_0), NULL);
    ck_assert_int_eq(wg_dtype_of(y), WG_BF16);
    pop(s);
}
END_TEST

START_TEST(batches_strides_and_views_give_the_same_rows)
{
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    for (int t = 0; t < TYPES; t++)
        for (int64_t m = 6; m <= 60; m += 54) { /* few, many */
            wg_tensor *w = wg_cast(wg_randn(WG_DIMS(8, 3, 64)), types[t]),
                      *x = wg_randn(WG_DIMS(m, 64));
            wg_tensor *view = wg_select(w, 1, 1); /* rows three rows apart */
            wg_tensor *want = wg_linear(x, wg_contiguous(view), NULL);
            check("view", x, wg_contiguous(view), NULL, wg_linear(x, view, NULL));
            wg_tensor *const others[] = {
                wg_reshape(wg_linear(wg_reshape(x, WG_DIMS(2, m / 6, 3, 64)), view, NULL),
                           WG_DIMS(m, 8)),
                wg_linear(wg_transpose(wg_contiguous(wg_transpose(x, 0, 1)), 0, 1), view, NULL),
                wg_transpose(
                    wg_linear(wg_transpose(wg_reshape(x, WG_DIMS(m / 2, 2, 64)), 0, 1), view, NULL),
                    0, 1),
            };
            for (int i = 0; i < 3; i++) {
                wg_tensor *y = wg_reshape(others[i], WG_DIMS(m, 8));
                expect_no_error();
                ck_assert_msg(memcmp(wg_data(y), wg_data(want), (size_t)want->numel * 4) == 0,
                              "%s, %d rows, %d", wg_dtype_name(types[t]), (int)m, i);
            }
        }
    wg_tensor *q = wg_cast(wg_randn(WG_DIMS(3, 64)), WG_Q4_0);
    ck_assert_int_eq(wg_ndim(wg_linear(wg_randn(WG_DIMS(64)), q, NULL)), 1);
    ck_assert_int_eq(wg_numel(wg_linear(wg_randn(WG_DIMS(0, 64)), q, NULL)), 0);
    wg_tensor *none = wg_cast(wg_zeros(WG_DIMS(3, 0)), WG_Q4_0);
    ck_assert_double_eq(
        wg_item(
            wg_sum(wg_linear(wg_zeros(WG_DIMS(2, 0)), none, wg_ones(WG_DIMS(3))), WG_ALL, false)),
        6);
    expect_no_error();
    pop(s);
}
END_TEST

START_TEST(a_rows_bits_depend_neither_on_threads_nor_on_its_neighbours)
{
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    for (int t = 0; t < TYPES; t++) {
        wg_tensor *w = wg_cast(wg_randn(WG_DIMS(2000, 352)), types[t]);
        for (int64_t m = 1; m <= 65; m += 16) {
            wg_tensor *x = wg_randn(WG_DIMS(m, 352)), *y[2];
            for (int k = 0; k < 2; k++) {
                wg_use_threads(k + 1);
                y[k] = wg_linear(x, w, NULL);
            }
            ck_assert_mem_eq(wg_data(y[0]), wg_data(y[1]), (size_t)y[0]->numel * 4);
            if (!in_8_bits(types[t], m)) continue;
            for (int64_t i = 0; i < m; i++) {
                wg_tensor *one = wg_linear(wg_narrow(x, 0, i, 1), w, NULL);
                ck_assert_mem_eq(wg_data(one), (const float *)wg_data(y[0]) + i * 2000, 8000);
            }
        }
    }
    wg_use_threads(0);
    pop(s);
}
END_TEST

START_TEST(values_that_are_no_numbers_show)
{
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    for (int t = 0; t < TYPES; t++)
        for (int bad = 0; bad < 2; bad++) {
            float x[3][320] = { { 0 } };
            x[1][5] = bad ? NAN : INFINITY;
            x[2][300] = 1e-42f; /* too small for a scale: 0 or itself */
            wg_tensor *y =
                wg_linear(wg_from(x, sizeof x, WG_F32, WG_DIMS(3, 320)),
                          wg_cast(wg_add(wg_rand(WG_DIMS(4, 320)), wg_scalar(1)), types[t]), NULL);
            const float *z = wg_data(y);
            for (int o = 0; o < 4; o++) {
                ck_assert(z[o] == 0);
                ck_assert(!isfinite(z[4 + o]));
                ck_assert(fabsf(z[8 + o]) < 1e-41f);
            }
        }
    pop(s);
}
END_TEST

/* ---- gradients ------------------------------------------------------------------------------- */
START_TEST(gradients_are_those_of_the_dequantised_weights)
{
    wg_scope all = wg_scope_push();
    for (int t = 0; t < TYPES; t++)
        for (int64_t m = 3; m <= 43; m += 40) {
            wg_scope s = wg_scope_push();
            wg_tensor *q = wg_cast(wg_randn(WG_DIMS(700, 288)), types[t]), *w = wg_cast(q, WG_F32);
            wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(m, 288))),
                      *b = wg_require_grad(wg_randn(WG_DIMS(700)));
            wg_tensor *dy = wg_randn(WG_DIMS(m, 700)), *got[2], *want[2];
            wg_grad(WG_LIST(wg_linear(x, q, b)), WG_LIST(x, b), WG_LIST(dy), 0,
                    (wg_list) { 2, got });
            wg_grad(WG_LIST(wg_linear(x, w, b)), WG_LIST(x, b), WG_LIST(dy), 0,
                    (wg_list) { 2, want });
            expect_no_error();
            double far = wg_item(wg_max(wg_abs(wg_sub(got[0], want[0])), WG_ALL, false));
            /* sums of 700 terms of size 1, in another order */
            ck_assert_double_le(far, 700 * 0x1p-22);
            ck_assert_mem_eq(wg_data(got[1]), wg_data(want[1]), 700 * 4);
            /* bf16: dx is rounded once, though its sums are made in pieces */
            wg_tensor *low = wg_require_grad(wg_cast(wg_detach(x), WG_BF16)), *dlow;
            wg_grad(WG_LIST(wg_linear(low, q, NULL)), WG_LIST(low), WG_LIST(wg_cast(dy, WG_BF16)),
                    0, (wg_list) { 1, &dlow });
            expect_no_error();
            wg_tensor *exact = wg_matmul(wg_cast(wg_cast(dy, WG_BF16), WG_F64), wg_cast(w, WG_F64));
            const double largest = wg_item(wg_max(wg_abs(exact), WG_ALL, false));
            far = wg_item(wg_max(wg_abs(wg_sub(wg_cast(dlow, WG_F64), exact)), WG_ALL, false));
            ck_assert_double_le(far, 0x1.01p-9 * 2 * largest);
            pop(s);
        }
    pop(all);
}
END_TEST

/* y = linear(x, q): d/dx of sum(c dx(dy)) with respect to dy is linear(c, w). */
START_TEST(second_derivatives_are_exact)
{
    wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64);
    wg_tensor *q = wg_cast(wg_randn(WG_DIMS(7, 64)), WG_Q5_0), *w = wg_cast(q, WG_F64);
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(2, 64))), *dx, *again[2];
    for (int i = 0; i < 2; i++) {
        wg_tensor *y = wg_linear(x, i ? w : q, NULL),
                  *loss = wg_sum(wg_mul(wg_mul(y, y), y), WG_ALL, false);
        wg_grad(WG_LIST(loss), WG_LIST(x), WG_NO_LIST, WG_CREATE_GRAPH, (wg_list) { 1, &dx });
        wg_grad(WG_LIST(wg_sum(wg_mul(dx, dx), WG_ALL, false)), WG_LIST(x), WG_NO_LIST, 0,
                (wg_list) { 1, &again[i] });
    }
    expect_no_error();
    const double scale = wg_item(wg_max(wg_abs(again[1]), WG_ALL, false));
    ck_assert_double_le(wg_item(wg_max(wg_abs(wg_sub(again[0], again[1])), WG_ALL, false)),
                        1e-12 * scale);
    pop(s);
}
END_TEST

START_TEST(losses_and_embeddings_take_blocks)
{
    wg_scope s = wg_scope_push();
    wg_tensor *q = wg_cast(wg_randn(WG_DIMS(50, 96)), WG_Q4_0), *w = wg_cast(q, WG_F32);
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(40, 96))),
              *target = wg_randint(0, 50, WG_DIMS(40));
    wg_tensor *a = wg_linear_cross_entropy(.x = x, .w = q, .target = target),
              *b = wg_linear_cross_entropy(.x = x, .w = w, .target = target), *da, *db;
    ck_assert_double_le(fabs(wg_item(a) - wg_item(b)), 1e-5 * wg_item(b));
    wg_grad(WG_LIST(a), WG_LIST(x), WG_NO_LIST, 0, (wg_list) { 1, &da });
    wg_grad(WG_LIST(b), WG_LIST(x), WG_NO_LIST, 0, (wg_list) { 1, &db });
    ck_assert_double_le(wg_item(wg_max(wg_abs(wg_sub(da, db)), WG_ALL, false)), 1e-5);
    wg_tensor *i = wg_randint(0, 50, WG_DIMS(3, 5));
    wg_tensor *e = wg_embedding(q, i), *f = wg_embedding(w, i);
    expect_no_error();
    ck_assert_int_eq(wg_dtype_of(e), WG_F32);
    ck_assert_mem_eq(wg_data(e), wg_data(f), 15 * 96 * 4);
    e = wg_embedding(wg_select(wg_reshape(q, WG_DIMS(25, 2, 96)), 1, 1), wg_arange(24, 25));
    ck_assert_mem_eq(wg_data(e), (const float *)wg_data(w) + 49 * 96, 96 * 4);
    pop(s);
}
END_TEST

/* ---- kernels of other processors ------------------------------------------------------------- */
#if defined(__x86_64__)
static void same_sums(const char *what, const wgi_q8_kernel *a, const wgi_q8_kernel *b,
                      wg_tensor *w, wg_tensor *x)
{
    const int64_t m = x->shape[0], k = x->shape[1];
    const size_t row = wgi_q8_row_bytes(k), bytes = wgi_bytes_of(w->dtype, k);
    char *rows[2] = { wg_scope_alloc((size_t)m * row), wg_scope_alloc((size_t)m * row) };
    float y[2][16];
    const wgi_q8_kernel *const kernel[] = { a, b };
    for (int64_t o = 0; o < w->shape[0]; o++) {
        for (int i = 0; i < 2; i++) {
            for (int64_t r = 0; r < m; r++)
                kernel[i]->quantise(rows[i] + (size_t)r * row, (const float *)wg_data(x) + r * k,
                                    k);
            kernel[i]->dots(y[i], 1, (const char *)wg_data(w) + (size_t)o * bytes,
                            &(wgi_q8_rows) { rows[i], row, m, k });
        }
        for (int64_t r = 0; r < m; r++)
            ck_assert_msg(fabsf(y[0][r] - y[1][r]) <= 1e-4f, "%s: %g, %g", what, (double)y[0][r],
                          (double)y[1][r]);
    }
}
#endif

START_TEST(every_level_that_this_processor_has_agrees)
{
#if defined(__x86_64__)
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_randn(WG_DIMS(7, 768)), *f = wg_randn(WG_DIMS(5, 768));
    wg_tensor *q8 = wg_cast(f, WG_Q8_0);
    wg_tensor *const w[] = { wg_cast(f, WG_Q4_0), q8, k_blocks(WG_Q4_K, 5, 768),
                             k_blocks(WG_Q5_K, 5, 768), k_blocks(WG_Q6_K, 5, 768) };
    /* codes of -128, which nobody's quantiser makes but a file may hold */
    float low[768];
    uint8_t *bytes = (uint8_t *)(uintptr_t)wg_data(q8);
    for (int i = 0; i < 32; i++) bytes[2 + i] = 0x80;
    ck_assert(wg_read(wg_narrow(q8, 0, 0, 1), low, sizeof low, WG_F32) == WG_OK);
    ck_assert_float_lt(low[0], 0);
    const wgi_quant_dots *base = &wgi_quant_dots_base;
    const struct {
        const char *name;
        bool runs;
        const wgi_quant_dots *dots;
        bool vnni;
    } levels[] = {
        { "avx2", wgi_cpu_level() >= WGI_LEVEL_AVX2, &wgi_quant_dots_avx2, false },
        { "avx-vnni", wgi_cpu_vnni(WGI_LEVEL_AVX2), &wgi_quant_dots_avx2, true },
        { "avx512", wgi_cpu_level() >= WGI_LEVEL_AVX512, &wgi_quant_dots_avx512, false },
        { "avx512-vnni", wgi_cpu_vnni(WGI_LEVEL_AVX512), &wgi_quant_dots_avx512, true },
    };
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (!levels[i].runs) {
            printf("skipped: this processor has no %s\n", levels[i].name);
            continue;
        }
        for (size_t t = 0; t < sizeof w / sizeof *w; t++) {
            const int of = w[t]->dtype - WG_Q4_0;
            const wgi_quant_dots *d = levels[i].dots;
            const wgi_q8_kernel *k = levels[i].vnni ? &d->q8_vnni[of] : &d->q8[of];
            if (k->dots) same_sums(levels[i].name, &base->q8[of], k, w[t], x);
        }
    }
    pop(s);
#endif
}
END_TEST

/* ---- meta, counts, memory -------------------------------------------------------------------- */
START_TEST(meta_flops_and_memory)
{
    wg_scope s = wg_scope_push();
    wg_tensor *q = wg_cast(wg_randn(WG_DIMS(300, 64)), WG_Q8_0);
    wg_tensor *there = wg_to(q, wg_meta()), *rows = wg_to(wg_randn(WG_DIMS(2, 64)), wg_meta());
    const double before = wg_flops();
    wg_tensor *y = wg_linear(rows, there, NULL);
    ck_assert_int_eq(wg_size(y, 1), 300);
    ck_assert_double_eq(wg_flops() - before, 2.0 * 64 * 600);
    wg_tensor *x = wg_randn(WG_DIMS(1, 64));
    const wg_memory was = wg_memory_stats(wg_cpu());
    for (int i = 0; i < 10; i++) {
        wg_scope inner = wg_scope_push();
        wg_linear(x, q, NULL);
        pop(inner);
    }
    const wg_memory is = wg_memory_stats(wg_cpu());
    ck_assert_int_eq(is.current, was.current);
    expect_no_error();
    pop(s);
}
END_TEST

int main(void)
{
    return suite_run("quant_linear",
                     (const TTest *[]) {
                         few_and_many_rows_are_as_in_f64,
                         tiles_make_one_product,
                         k_types_multiply_as_dequantised,
                         sixteen_bits_and_f64_keep_their_dtype,
                         batches_strides_and_views_give_the_same_rows,
                         a_rows_bits_depend_neither_on_threads_nor_on_its_neighbours,
                         values_that_are_no_numbers_show,
                         gradients_are_those_of_the_dequantised_weights,
                         second_derivatives_are_exact,
                         losses_and_embeddings_take_blocks,
                         every_level_that_this_processor_has_agrees,
                         meta_flops_and_memory,
                         NULL,
                     });
}
