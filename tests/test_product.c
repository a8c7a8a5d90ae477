/* Products: the layer below matmul against plain loops in f64, and what ops make of it. */
#include "suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/blis.h"
#include "cpu/gemm.h"
#include "cpu/gemm_kernel.h"
#include "tensor/internal.h"

/* ---- a matrix with room around it ------------------------------------------------------------ */
typedef struct {
    char *memory;
    double *value; /* (rows, columns) what it holds */
    int64_t rows, columns, elements;
    wgi_matrix m;
} sample;

typedef enum { BY_ROWS, BY_COLUMNS, WIDE_ROWS, SPREAD, LAYOUTS } layout;

static uint32_t state = 1;

static double random_value(bool integer)
{
    state = state * 1664525u + 1013904223u;
    double u = (double)(state >> 8) / (1 << 24);
    return integer ? floor(u * 10) : 2 * u - 1;
}

static sample make(wg_dtype type, int64_t rows, int64_t columns, layout l)
{
    sample s = { .rows = rows, .columns = columns };
    s.m.type = type;
    s.m.row = l == BY_COLUMNS  ? 1
              : l == WIDE_ROWS ? columns + 3
              : l == SPREAD    ? 3 * columns + 1
                               : columns;
    s.m.column = l == BY_COLUMNS ? rows : l == SPREAD ? 3 : 1;
    s.elements = rows * s.m.row + columns * s.m.column + 1;
    size_t size = wg_dtype_size(type);
    s.memory = malloc((size_t)s.elements * size);
    memset(s.memory, 0xff, (size_t)s.elements * size); /* NaN between the elements */
    s.m.data = s.memory;
    s.value = malloc((size_t)(rows * columns + 1) * sizeof *s.value);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            char *p = s.memory + (i * s.m.row + j * s.m.column) * (int64_t)size;
            wgi_store(p, type, random_value(!wgi_is_float(type)));
            s.value[i * columns + j] = wgi_load(p, type);
        }
    return s;
}

static double at(const sample *s, int64_t i, int64_t j)
{
    return wgi_load(s->memory +
                        (i * s->m.row + j * s->m.column) * (int64_t)wg_dtype_size(s->m.type),
                    s->m.type);
}

static void drop(sample *s)
{
    free(s->memory);
    free(s->value);
}

static double epsilon(wg_dtype t)
{
    return t == WG_F64    ? 0x1p-52
           : t == WG_F32  ? 0x1p-23
           : t == WG_F16  ? 0x1p-10
           : t == WG_BF16 ? 0x1p-7
                          : 0;
}

/* One product against the sum in f64; false after the first element that is off, which it names. */
static bool check(wg_dtype type, wg_dtype out, int64_t m, int64_t n, int64_t k, layout la,
                  layout lb, layout lc, double alpha, double beta, bool with_bias)
{
    sample a = make(type, m, k, la), b = make(type, k, n, lb), c = make(out, m, n, lc),
           bias = make(out, 1, n, SPREAD);
    wgi_gemm_args g = {
        .m = m, .n = n, .k = k, .a = a.m, .b = b.m, .c = c.m, .alpha = alpha, .beta = beta
    };
    if (with_bias) {
        g.bias = bias.m.data;
        g.bias_type = out;
        g.bias_stride = bias.m.column;
    }
    bool ok = wgi_gemm(&g) == WG_OK;
    wg_dtype summed = wgi_is_16bit(type) && !wgi_is_16bit(out) ? WG_F32
                      : wgi_is_16bit(type)                     ? WG_F32
                                                               : type;
    for (int64_t i = 0; i < m && ok; i++)
        for (int64_t j = 0; j < n && ok; j++) {
            double sum = 0, size = 0;
            for (int64_t p = 0; p < k; p++) {
                sum += a.value[i * k + p] * b.value[p * n + j];
                size += fabs(a.value[i * k + p] * b.value[p * n + j]);
            }
            double want = alpha * sum + (beta ? beta * c.value[i * n + j] : 0) +
                          (with_bias ? bias.value[j] : 0);
            double got = at(&c, i, j);
            /* each of k + 3 roundings of a partial sum is at most half an epsilon of the sum of
             * sizes */
            double bound = epsilon(summed) * (double)(k + 3) * (fabs(alpha) * size + 2) +
                           epsilon(out) * fabs(want);
            ok = fabs(got - want) <= bound;
            if (!ok)
                printf("%s -> %s %lld x %lld x %lld layouts %d %d %d alpha %g beta %g bias %d: "
                       "[%lld, %lld] got %.9g want %.9g\n",
                       wg_dtype_name(type), wg_dtype_name(out), (long long)m, (long long)n,
                       (long long)k, la, lb, lc, alpha, beta, with_bias, (long long)i, (long long)j,
                       got, want);
        }
    for (int64_t e = 0; ok && lc == WIDE_ROWS && e < m;
         e++) /* nothing was written beside the rows */
        for (int64_t j = n; j < c.m.row; j++)
            ok = ok &&
                 *(uint8_t *)(c.memory + (e * c.m.row + j) * (int64_t)wg_dtype_size(out)) == 0xff;
    drop(&a);
    drop(&b);
    drop(&c);
    drop(&bias);
    return ok;
}

static const int64_t shapes[][3] = {
    { 1, 1, 1 },      { 2, 3, 4 },      { 7, 5, 3 },    { 1, 33, 70 },    { 33, 1, 70 },
    { 3, 40, 129 },   { 5, 17, 300 },   { 16, 32, 8 },  { 29, 65, 31 },   { 64, 64, 64 },
    { 65, 40, 400 },  { 100, 90, 80 },  { 130, 70, 1 }, { 15, 100, 513 }, { 1, 600, 700 },
    { 90, 129, 257 }, { 70, 130, 901 },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

START_TEST(products_of_every_layout_and_size_are_right)
{
    static const wg_dtype pairs[][2] = { { WG_F32, WG_F32 },   { WG_F64, WG_F64 },
                                         { WG_BF16, WG_BF16 }, { WG_F16, WG_F16 },
                                         { WG_BF16, WG_F32 },  { WG_F16, WG_F32 },
                                         { WG_I64, WG_I64 },   { WG_I32, WG_I32 } };
    int bad = 0, n = 0;
    for (size_t t = 0; t < sizeof pairs / sizeof *pairs; t++)
        for (int i = 0; i < SHAPES; i++)
            for (int l = 0; l < LAYOUTS * LAYOUTS * LAYOUTS; l++) {
                if (i > 12 && l % 5) continue; /* the large ones with fewer layouts */
                static const double factor[] = { 1, 1, 2 }, betas[] = { 0, 1, 0, 3 };
                bad += !check(pairs[t][0], pairs[t][1], shapes[i][0], shapes[i][1], shapes[i][2],
                              l % LAYOUTS, l / LAYOUTS % LAYOUTS, l / LAYOUTS / LAYOUTS,
                              factor[n % 3], betas[n % 4], n % 5 == 0);
                n++;
            }
    ck_assert_int_eq(bad, 0);
}
END_TEST

/* Both operands by rows of k, and k so deep that it is multiplied by halves. */
START_TEST(weights_gradients_of_every_size_are_right)
{
    static const int64_t deep[][3] = { { 64, 64, 512 },  { 65, 97, 513 },  { 200, 64, 700 },
                                       { 63, 80, 600 },  { 95, 131, 777 }, { 128, 257, 1025 },
                                       { 129, 64, 2049 } };
    static const wg_dtype pairs[][2] = {
        { WG_F32, WG_F32 }, { WG_F64, WG_F64 }, { WG_BF16, WG_F32 }, { WG_F16, WG_F16 }
    };
    int bad = 0;
    for (size_t t = 0; t < sizeof pairs / sizeof *pairs; t++)
        for (size_t i = 0; i < sizeof deep / sizeof *deep; i++)
            for (int l = 0; l < 12; l++) {
                static const double factor[] = { 1, 1, 2 }, betas[] = { 0, 1, 3 };
                bad += !check(pairs[t][0], pairs[t][1], deep[i][0], deep[i][1], deep[i][2],
                              BY_COLUMNS, l & 1 ? WIDE_ROWS : BY_ROWS, l & 2 ? WIDE_ROWS : BY_ROWS,
                              factor[(i + l) % 3], betas[l / 4], false);
            }
    ck_assert_int_eq(bad, 0);
}
END_TEST

START_TEST(every_level_of_the_own_kernel_is_right)
{
    const wgi_gemm_kernels *levels[] = {
        &wgi_gemm_kernels_base,
#if defined(__x86_64__)
        &wgi_gemm_kernels_avx2,
        &wgi_gemm_kernels_avx512
#endif
    };
    int bad = 0;
    for (int l = 0; l <= (int)wgi_cpu_level(); l++)
        for (int i = 0; i < SHAPES; i++)
            for (int form = 0; form < 4; form++) {
                int64_t m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
                sample a = make(WG_F32, m, k, form & 1), b = make(WG_F32, k, n, form >> 1),
                       c = make(WG_F32, m, n, BY_ROWS);
                wgi_gemm_block g = { .m = m,
                                     .n = n,
                                     .k = k,
                                     .a = a.m.data,
                                     .b = b.m.data,
                                     .c = c.m.data,
                                     .a_row = a.m.row,
                                     .a_column = a.m.column,
                                     .b_row = b.m.row,
                                     .b_column = b.m.column,
                                     .c_row = n,
                                     .a_size = 4,
                                     .b_size = 4,
                                     .alpha = 1 };
                g.scratch = aligned_alloc(64, (levels[l]->f32.scratch(&g) + 63) / 64 * 64);
                levels[l]->f32.run(&g);
                for (int64_t e = 0; e < m * n; e++) {
                    double sum = 0;
                    for (int64_t p = 0; p < k; p++)
                        sum += a.value[e / n * k + p] * b.value[p * n + e % n];
                    bad += fabs(at(&c, e / n, e % n) - sum) > 0x1p-23 * (double)(k + 3) * (double)k;
                }
                free(g.scratch);
                drop(&a);
                drop(&b);
                drop(&c);
            }
    ck_assert_int_eq(bad, 0);
}
END_TEST

/* The pair product has no denormals; floats have. So the kernel is seen at work. */
START_TEST(bf16_is_multiplied_in_pairs_where_the_cpu_can)
{
    wg_scope s = wg_scope_push();
    wg_tensor *tiny = wg_cast(wg_full(WG_DIMS(32, 64), 0x1p-130), WG_BF16),
              *large = wg_cast(wg_full(WG_DIMS(64, 32), 0x1p100), WG_BF16);
    ck_assert_int_eq(wg_item(wg_max(wg_cast(tiny, WG_F64), WG_ALL, false)) > 0, 1);
    const double got = wg_item(wg_max(wg_cast(wg_matmul(tiny, large), WG_F64), WG_ALL, false));
    ck_assert(got == (wgi_cpu_bf16() ? 0 : 0x1p-24));
    pop(s);
}
END_TEST

/* AMX adds the first of 16 pairs and the second of them apart: 2^24 - 2^24 and 1 + 0. One after the other, the 1 is lost. */
START_TEST(bf16_is_multiplied_in_matrix_registers_where_the_cpu_can)
{
    static const float row[] = { 0x1p24f, 1, -0x1p24f, 0 };
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_expand(wg_from(row, sizeof row, WG_F32, WG_DIMS(1, 4)), WG_DIMS(32, 4)),
              *y = wg_cast(wg_ones(WG_DIMS(4, 32)), WG_BF16),
              *z = wg_matmul(wg_contiguous(wg_cast(x, WG_BF16)), y);
    ck_assert(wg_item(wg_max(wg_cast(z, WG_F64), WG_ALL, false)) == wgi_cpu_amx());
    pop(s);
}
END_TEST

/* Whole blocks of a kernel and what is left of one sum alike, also what they begin with. */
START_TEST(equal_rows_have_equal_bits)
{
    static const wg_dtype types[] = { WG_F32, WG_BF16 };
    enum { M = 47, N = 45, K = 700 };
    for (int t = 0; t < 2; t++)
        for (int with_bias = 0; with_bias < 2; with_bias++) {
            sample a = make(types[t], 1, K, BY_ROWS), b = make(types[t], K, N, BY_ROWS),
                   c = make(WG_F32, M, N, BY_ROWS), bias = make(WG_F32, 1, N, BY_ROWS);
            for (int64_t e = N; e < M * N; e++) ((float *)c.m.data)[e] = ((float *)c.m.data)[e - N];
            a.m.row = 0;
            wgi_gemm_args g = {
                .m = M, .n = N, .k = K, .a = a.m, .b = b.m, .c = c.m, .alpha = 1, .beta = !with_bias
            };
            if (with_bias) {
                g.bias = bias.m.data;
                g.bias_type = WG_F32;
                g.bias_stride = 1;
            }
            ck_assert(wgi_gemm(&g) == WG_OK);
            for (int64_t i = 1; i < M; i++)
                ck_assert_msg(!memcmp(c.memory, c.memory + i * N * 4, N * 4), "%s row %d",
                              wg_dtype_name(types[t]), (int)i);
            drop(&a);
            drop(&b);
            drop(&c);
            drop(&bias);
        }
}
END_TEST

/* One row, or one column, under all of them: neighbours along k are the same element, not a missing one. */
START_TEST(operands_that_repeat_a_row_count_every_repetition)
{
    static const wg_dtype types[] = { WG_F64, WG_F32, WG_BF16, WG_F16 };
    enum { K = 6, N = 40 };
    for (int t = 0; t < 4; t++)
        for (int which = 0; which < 4; which++) { /* x or y; along k, or not */
            wg_scope s = wg_scope_push();
            wg_seed(5);
            const wg_dims xs = which == 0   ? WG_DIMS(N, 1)
                               : which == 1 ? WG_DIMS(1, K)
                                            : WG_DIMS(N, K),
                          ys = which == 2   ? WG_DIMS(1, N)
                               : which == 3 ? WG_DIMS(K, 1)
                                            : WG_DIMS(K, N);
            wg_tensor *x = wg_expand(wg_cast(wg_randn(xs), types[t]), WG_DIMS(N, K)),
                      *y = wg_expand(wg_cast(wg_randn(ys), types[t]), WG_DIMS(K, N));
            for (int turned = 0; turned < 2; turned++) {
                if (turned) /* the other operand by columns */
                    *(which < 2 ? &y : &x) =
                        which < 2 ? wg_transpose(wg_contiguous(wg_transpose(y, 0, 1)), 0, 1)
                                  : wg_transpose(wg_contiguous(wg_transpose(x, 0, 1)), 0, 1);
                wg_tensor *z = wg_cast(wg_matmul(x, y), WG_F64),
                          *want = wg_matmul(wg_cast(x, WG_F64), wg_cast(y, WG_F64));
                const double far = wg_item(wg_max(wg_abs(wg_sub(z, want)), WG_ALL, false));
                ck_assert_msg(far < 0.06, "%s, operand %d: off by %g", wg_dtype_name(types[t]),
                              which, far);
            }
            pop(s);
        }
}
END_TEST

START_TEST(empty_sums_scale_and_beta_0_overwrites_nan)
{
    static const int64_t sizes[] = { 3, 90 };
    for (int i = 0; i < 2; i++) {
        int64_t n = sizes[i];
        for (int t = WG_F64; t <= WG_F16; t++) {
            sample a = make((wg_dtype)t, n, n, BY_ROWS), b = make((wg_dtype)t, n, n, BY_ROWS);
            sample c = make((wg_dtype)t, n, n, BY_ROWS);
            wgi_gemm_args g = {
                .m = n, .n = n, .k = 0, .a = a.m, .b = b.m, .c = c.m, .alpha = 1, .beta = 0.5
            };
            ck_assert_int_eq(wgi_gemm(&g), WG_OK);
            ck_assert_double_eq_tol(at(&c, 1, 2), 0.5 * c.value[n + 2], epsilon((wg_dtype)t));
            wgi_store(c.m.data, (wg_dtype)t, NAN);
            g.beta = 0;
            ck_assert_int_eq(wgi_gemm(&g), WG_OK);
            ck_assert_double_eq(at(&c, 0, 0), 0);
            wgi_store(c.m.data, (wg_dtype)t, NAN);
            g.k = n;
            ck_assert_int_eq(wgi_gemm(&g), WG_OK);
            ck_assert(isfinite(at(&c, 0, 0)));
            wgi_store(c.m.data, (wg_dtype)t, NAN);
            g.beta = 1;
            ck_assert_int_eq(wgi_gemm(&g), WG_OK);
            ck_assert(isnan(at(&c, 0, 0)) && isfinite(at(&c, 0, 1)));
            g.m = 0;
            ck_assert_int_eq(wgi_gemm(&g), WG_OK);
            drop(&a);
            drop(&b);
            drop(&c);
        }
    }
}
END_TEST

START_TEST(nan_and_infinity_propagate)
{
    static const int64_t sizes[] = { 4, 40, 120 };
    for (int i = 0; i < 3; i++) {
        wg_scope s = wg_scope_push();
        int64_t n = sizes[i];
        wg_tensor *x = wg_zeros(WG_DIMS(n, n)), *y = wg_ones(WG_DIMS(n, n));
        ((float *)wg_data_write(y))[n + 1] = INFINITY; /* y[1, 1]: 0 times infinity in column 1 */
        ((float *)wg_data_write(x))[2 * n] = NAN;      /* x[2, 0]: row 2 */
        const float *z = wg_data(wg_matmul(x, y));
        for (int64_t e = 0; e < n * n; e++)
            ck_assert_int_eq(isnan(z[e]) != 0, e % n == 1 || e / n == 2);
        pop(s);
    }
}
END_TEST

START_TEST(a_products_gradient_accumulates_in_place)
{
    wg_scope s = wg_scope_push();
    wg_tensor *w = wg_require_grad(wg_randn(WG_DIMS(4, 3)));
    wg_tensor *x = wg_cast(wg_reshape(wg_arange(0, 6), WG_DIMS(2, 3)), WG_F32);
    const void *first = NULL; /* no view of the gradient is made: nobody else must see it */
    for (int i = 1; i <= 3; i++) {
        ck_assert_int_eq(wg_backward(wg_sum(wg_linear(x, w, NULL), WG_ALL, false)), WG_OK);
        if (i == 1) first = wg_data(wg_grad_of(w));
        ck_assert_ptr_eq(wg_data(wg_grad_of(w)), first);
        ck_assert_float_eq(((const float *)wg_data(wg_grad_of(w)))[2 * 3 + 1],
                           (float)(5 * i)); /* 1 + 4 */
    }
    pop(s);
}
END_TEST

START_TEST(products_count_their_operations)
{
    wg_scope s = wg_scope_push();
    wg_use_device(wg_meta());
    double before = wg_flops();
    wg_matmul(wg_zeros(WG_DIMS(7, 1, 20, 30)), wg_zeros(WG_DIMS(2, 30, 40)));
    ck_assert_double_eq(wg_flops() - before, 7. * 2 * 2 * 20 * 30 * 40 + 7 * 20 * 30 + 2 * 30 * 40);
    wg_tensor *x = wg_zeros(WG_DIMS(8, 16, 32)), *w = wg_zeros(WG_DIMS(64, 32));
    before = wg_flops();
    wg_linear(x, w, NULL);
    ck_assert_double_eq(wg_flops() - before, 2. * 8 * 16 * 32 * 64);
    pop(s);
}
END_TEST

START_TEST(without_memory_a_product_is_an_error)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_randn(WG_DIMS(20, 30));
    for (int n = 1; n < 20; n++) {
        wgi_fail_alloc_after(n);
        wg_tensor *y = wg_matmul(x, wg_transpose(x, 0, 1));
        bool struck = wgi_fail_alloc_left() == 0;
        wgi_fail_alloc_after(0);
        ck_assert_int_eq(wg_is_error(y), wg_error_code() == WG_EMEM);
        wg_error_clear();
        if (!struck) break;
    }
    pop(s);
}
END_TEST

START_TEST(blis_does_not_run_its_generic_kernels)
{
    ck_assert_msg(wgi_cpu_level() == WGI_LEVEL_BASE || strcmp(wgi_blis_kernels(), "generic") != 0,
                  "generic kernels");
}
END_TEST

int main(void)
{
    unsetenv("BLIS_ARCH_TYPE");
    return suite_run(
        "product",
        (const TTest *[]) {
            products_of_every_layout_and_size_are_right, weights_gradients_of_every_size_are_right,
            every_level_of_the_own_kernel_is_right, bf16_is_multiplied_in_pairs_where_the_cpu_can,
            bf16_is_multiplied_in_matrix_registers_where_the_cpu_can, equal_rows_have_equal_bits,
            operands_that_repeat_a_row_count_every_repetition,
            empty_sums_scale_and_beta_0_overwrites_nan, nan_and_infinity_propagate,
            a_products_gradient_accumulates_in_place, products_count_their_operations,
            without_memory_a_product_is_an_error, blis_does_not_run_its_generic_kernels, NULL });
}
