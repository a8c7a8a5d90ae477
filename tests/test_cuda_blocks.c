/* Weights in blocks on a CUDA device: their bytes, what they dequantise to, what is made of them, products and gradients. */
#include <math.h>
#include <stdlib.h>

#include "cuda/blocks.h"
#include "suite.h"
#include "tensor/internal.h"

static const wg_dtype types[] = { WG_Q4_0, WG_Q4_1, WG_Q5_0, WG_Q5_1, WG_Q8_0,
                                  WG_Q2_K, WG_Q3_K, WG_Q4_K, WG_Q5_K, WG_Q6_K };
enum { TYPES = sizeof types / sizeof *types, WRITTEN = 5 };

static bool no_device(void)
{
    if (wg_cuda_device_count() > 0) return false;
    printf("skipped: no CUDA device\n");
    return true;
}

/* Random bytes as (rows, width) blocks, on the CPU: every code, scales between 2^-11 and 2^-9. */
static wg_tensor *blocks(wg_dtype t, int64_t rows, int64_t width)
{
    static const int scales[TYPES][2] = {
        { 0, 0 },   { 0, 2 },     { 0, 0 }, { 0, 2 }, { 0, 0 },
        { 80, 82 }, { 108, 108 }, { 0, 2 }, { 0, 2 }, { 208, 208 }
    };
    const size_t size = wg_dtype_block_bytes(t), bytes = wgi_bytes_of(t, rows * width);
    uint8_t *raw = wg_scope_alloc(bytes);
    wg_tensor *noise = wg_cast(wg_randint(0, 256, WG_DIMS((int64_t)bytes)), WG_U8);
    ck_assert(wg_read(noise, raw, bytes, WG_U8) == WG_OK);
    for (size_t b = 0; b < bytes; b += size)
        for (int i = 0; i < 2; i++) {
            const uint16_t h = (uint16_t)(0x1000 | (raw[b] * 4 & 0xfff));
            memcpy(raw + b + scales[t - WG_Q4_0][i], &h, sizeof h);
        }
    return wg_from(raw, bytes, t, WG_DIMS(rows, width));
}

/* Both on the CPU in the end: the same shape, dtype and bytes. */
static void same_bytes(const char *what, wg_dtype t, wg_tensor *got, wg_tensor *want)
{
    got = wg_contiguous(wg_to(got, wg_cpu()));
    want = wg_contiguous(wg_to(want, wg_cpu()));
    expect_no_error();
    ck_assert_int_eq(wg_dtype_of(got), wg_dtype_of(want));
    ck_assert_int_eq(wg_numel(got), wg_numel(want));
    const size_t bytes = wgi_bytes_of(wg_dtype_of(want), wg_numel(want));
    ck_assert_msg(memcmp(wgi_data(got), wgi_data(want), bytes) == 0, "%s: other bytes: %s",
                  wg_dtype_name(t), what);
}

static wg_tensor *there(wg_tensor *t)
{
    return wg_to(t, wg_cuda(0));
}

/* ---- plans, without a device ----------------------------------------------------------------- */
START_TEST(panels_cover_the_weights_in_whole_units)
{
    static const int64_t sizes[] = { 1, 127, 128, 4096, 11008, 32000, 151936, 1 << 20 };
    for (int c = 0; c < 8; c++)
        for (int l = 0; l < 8; l++)
            for (int back = 0; back < 2; back++) {
                const wgi_blocks_plan p =
                    wgi_blocks_plan_of(100, WG_BF16, WG_BF16, sizes[c], sizes[l], back);
                const int64_t unit = back ? 256 : 128, panels = (sizes[c] + p.panel - 1) / p.panel;
                ck_assert(!p.few && p.panel_type == WG_BF16);
                ck_assert_int_ge(p.panel, 1);
                ck_assert_int_le(p.panel, sizes[c]);
                ck_assert(panels == 1 || p.panel % unit == 0);
                ck_assert(p.panel <= unit || p.panel * sizes[l] * 2 <= 32 << 20);
                ck_assert_int_lt((panels - 1) * p.panel, sizes[c]); /* none is empty */
            }
}
END_TEST

START_TEST(few_rows_and_dtypes_choose_the_way)
{
    static const struct {
        int64_t rows;
        wg_dtype x, y;
        bool back, few;
        wg_dtype panel;
    } cases[] = {
        { 1, WG_F32, WG_F32, false, true, WG_F32 },    { 8, WG_F16, WG_F16, false, true, WG_F16 },
        { 9, WG_F16, WG_F16, false, false, WG_F16 },   { 1, WG_F64, WG_F64, false, false, WG_F64 },
        { 9, WG_BF16, WG_F32, false, false, WG_BF16 }, { 9, WG_BF16, WG_F16, false, false, WG_F32 },
        { 1, WG_F32, WG_F32, true, false, WG_F32 },    { 9, WG_F32, WG_F64, true, false, WG_F64 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const wgi_blocks_plan p =
            wgi_blocks_plan_of(cases[i].rows, cases[i].x, cases[i].y, 100, 256, cases[i].back);
        ck_assert_msg(p.few == cases[i].few && p.panel_type == cases[i].panel, "case %d", (int)i);
    }
}
END_TEST

/* ---- bytes ----------------------------------------------------------------------------------- */
START_TEST(blocks_go_to_the_device_and_come_back)
{
    if (no_device()) return;
    for (int t = 0; t < TYPES; t++) {
        const wg_scope s = wg_scope_push();
        wg_tensor *q = blocks(types[t], 6, 512);
        const int64_t before = wg_memory_stats(wg_cuda(0)).current;
        wg_tensor *d = there(q);
        same_bytes("there and back", types[t], d, q);
        ck_assert_int_eq(wg_memory_stats(wg_cuda(0)).current - before,
                         (int64_t)wgi_bytes_of(types[t], 6 * 512));
        /* views: every second row, columns from the second block of 256 on, axes exchanged */
        wg_tensor *const views[] = { wg_select(wg_reshape(d, WG_DIMS(3, 2, 512)), 1, 1),
                                     wg_narrow(d, 1, 256, 256),
                                     wg_transpose(wg_reshape(d, WG_DIMS(3, 2, 512)), 0, 1) },
                         *const wanted[] = { wg_select(wg_reshape(q, WG_DIMS(3, 2, 512)), 1, 1),
                                             wg_narrow(q, 1, 256, 256),
                                             wg_transpose(wg_reshape(q, WG_DIMS(3, 2, 512)), 0,
                                                          1) };
        for (int v = 0; v < 3; v++) {
            same_bytes("view", types[t], views[v], wanted[v]);
            same_bytes("contiguous view", types[t], wg_contiguous(views[v]), wanted[v]);
            same_bytes("cast view", types[t], wg_cast(views[v], WG_F32),
                       wg_cast(wanted[v], WG_F32));
        }
        pop(s);
    }
}
END_TEST

START_TEST(blocks_made_on_the_device_are_read_and_printed)
{
    if (no_device()) return;
    const wg_scope s = wg_scope_push();
    wg_tensor *q = blocks(WG_Q6_K, 2, 256);
    float here[512], from[512];
    ck_assert(wg_read(q, here, sizeof here, WG_F32) == WG_OK);
    wg_use_device(wg_cuda(0));
    wg_tensor *d = wg_from(wgi_data(q), wgi_bytes_of(WG_Q6_K, 512), WG_Q6_K, WG_DIMS(2, 256));
    ck_assert_int_eq(wg_device_of(d).kind, WG_CUDA);
    ck_assert(wg_read(d, from, sizeof from, WG_F32) == WG_OK);
    ck_assert_mem_eq(from, here, sizeof here);
    wg_tensor *f = wg_empty(WG_DIMS(2, 2, 256), WG_F32); /* converted, repeated */
    ck_assert(wg_assign(f, d) == WG_OK);
    same_bytes("assigned", WG_Q6_K, wg_select(f, 0, 1), wg_cast(q, WG_F32));
    ck_assert(wg_assign(d, wg_select(f, 0, 0)) == WG_EDTYPE);
    expect_error(WG_EDTYPE, "assign: blocks of q6_k are read-only");
    FILE *file = tmpfile();
    wg_print(file, d);
    ck_assert_int_gt(ftell(file), 10);
    fclose(file);
    wg_add(d, d);
    expect_error(WG_EDTYPE, "add: x is q6_k: no op computes with blocks but");
    pop(s);
}
END_TEST

/* ---- to and from floats ------------------------------------------------------------------------ */
START_TEST(every_type_dequantises_to_the_cpus_bits)
{
    if (no_device()) return;
    static const wg_dtype to[] = { WG_F32, WG_F64, WG_BF16, WG_F16, WG_I32, WG_BOOL };
    for (int t = 0; t < TYPES; t++)
        for (int64_t width = t < WRITTEN ? 32 : 256; width <= 1280; width *= 5) {
            const wg_scope s = wg_scope_push();
            wg_tensor *q = blocks(types[t], 5, width), *d = there(q);
            for (int k = 0; k < 6; k++)
                same_bytes(wg_dtype_name(to[k]), types[t], wg_cast(d, to[k]), wg_cast(q, to[k]));
            wg_tensor *i = wg_from((int64_t[]) { 4, 0, 0, 3 }, 32, WG_I64, WG_DIMS(2, 2));
            same_bytes("embedding", types[t], wg_embedding(d, there(i)), wg_embedding(q, i));
            pop(s);
        }
}
END_TEST

START_TEST(floats_quantise_to_the_cpus_bytes)
{
    if (no_device()) return;
    for (int t = 0; t < WRITTEN; t++) {
        const wg_scope s = wg_scope_push();
        wg_tensor *x = wg_randn(WG_DIMS(7, 160)), *zeros = wg_zeros(WG_DIMS(1, 160));
        x = wg_cat(WG_LIST(x, zeros, wg_mul(x, wg_scalar(1e-6)), wg_mul(x, wg_scalar(1e30))), 0);
        same_bytes("f32", types[t], wg_cast(there(x), types[t]), wg_cast(x, types[t]));
        for (int k = 0; k < 2; k++) {
            wg_tensor *y = wg_cast(wg_narrow(x, 0, 0, 7), k ? WG_F64 : WG_BF16);
            same_bytes("another float", types[t], wg_cast(there(y), types[t]),
                       wg_cast(y, types[t]));
        }
        wg_tensor *turned = wg_transpose(wg_randn(WG_DIMS(64, 3)), 0, 1);
        same_bytes("strided", types[t],
                   wg_cast(wg_transpose(there(wg_transpose(turned, 0, 1)), 0, 1), types[t]),
                   wg_cast(turned, types[t]));
        wg_tensor *other = blocks(WG_Q6_K, 2, 256);
        same_bytes("from blocks", types[t], wg_cast(there(other), types[t]),
                   wg_cast(other, types[t]));
        pop(s);
    }
    wg_cast(there(wg_ones(WG_DIMS(2, 256))), WG_Q4_K);
    expect_error(WG_EDTYPE, "cast: q4_k is only read");
}
END_TEST

/* ---- products -------------------------------------------------------------------------------- */

/* y against x w^T + bias of the same values in f64. Tolerance: f32 sums of k terms of size |x| |w|,
 * w rounded to 16 bits where many rows of 16 bits meet it, y's own rounding. */
static void check(const char *what, wg_tensor *x, wg_tensor *w, wg_tensor *bias, wg_tensor *y)
{
    const wg_dtype t = wg_dtype_of(y);
    const int64_t k = wg_size(x, -1), rows = k ? wg_numel(x) / k : 0;
    wg_tensor *a = wg_reshape(wg_cast(x, WG_F64), WG_DIMS(rows, k)), *b = wg_cast(w, WG_F64),
              *c = bias ? wg_cast(bias, WG_F64) : NULL, *got = wg_cast(wg_to(y, wg_cpu()), WG_F64);
    wg_tensor *want = wg_linear(a, b, c),
              *size = wg_linear(wg_abs(a), wg_abs(b), c ? wg_abs(c) : NULL);
    expect_no_error();
    ck_assert_int_eq(wg_device_of(y).kind, WG_CUDA);
    ck_assert_int_eq(t, wg_dtype_of(x));
    const double last = t == WG_BF16  ? 0x1p-8
                        : t == WG_F16 ? 0x1p-11
                        : t == WG_F32 ? 0x1p-23
                                      : 0x1p-52,
                 sum = (t == WG_F64 ? 0x1p-52 : 0x1p-23) * (4 + sqrt((double)k));
    const double *g = wg_data(wg_contiguous(wg_reshape(got, wg_shape(want)))), *z = wg_data(want),
                 *n = wg_data(size);
    for (int64_t i = 0; i < wg_numel(want); i++) {
        const double narrow = rows > WGI_BLOCKS_FEW_ROWS ? last : 0;
        const double most = (sum + narrow) * n[i] + last * fabs(z[i]) + 1e-30;
        ck_assert_msg(fabs(g[i] - z[i]) <= most, "%s %s %s [%d]: %.9g, want %.9g +- %g", what,
                      wg_dtype_name(wg_dtype_of(w)), wg_dtype_name(t), (int)i, g[i], z[i], most);
    }
}

/* Widths of less than a span, of several for each warp, and of a part of one. */
START_TEST(products_are_those_of_f64)
{
    if (no_device()) return;
    static const int64_t widths[] = { 32, 288, 1312, 256, 1536 },
                         rows[] = { 1, 2, 3, 4, 5, 8, 9, 20 };
    const wg_scope all = wg_scope_push();
    wg_use_grad(false);
    for (int t = 0; t < TYPES; t++)
        for (int i = t < WRITTEN ? 0 : 3; i < (t < WRITTEN ? 3 : 5); i++) {
            const wg_scope s = wg_scope_push();
            wg_tensor *w = blocks(types[t], 13, widths[i]), *bias = wg_randn(WG_DIMS(13)),
                      *d = there(w), *b = there(bias);
            for (int r = 0; r < 8; r++) {
                wg_tensor *x = wg_randn(WG_DIMS(rows[r], widths[i])), *y = there(x);
                check("bias", x, w, bias, wg_linear(y, d, b));
                check("no bias", x, w, NULL, wg_linear(y, d, NULL));
            }
            pop(s);
        }
    pop(all);
}
END_TEST

START_TEST(products_keep_the_dtype_of_their_rows)
{
    if (no_device()) return;
    static const wg_dtype floats[] = { WG_BF16, WG_F16, WG_F64 };
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    for (int t = 0; t < TYPES; t++)
        for (int f = 0; f < 3; f++)
            for (int64_t m = 2; m <= 20; m += 18) {
                wg_tensor *w = blocks(types[t], 5, 512), *bias = wg_randn(WG_DIMS(5)),
                          *x = wg_cast(wg_randn(WG_DIMS(m, 512)), floats[f]);
                check("dtype", x, w, bias, wg_linear(there(x), there(w), there(bias)));
            }
    pop(s);
}
END_TEST

/* Up to WGI_BLOCKS_FEW_ROWS rows a row's bits are its own: not the other rows', the layout's. */
START_TEST(a_rows_bits_are_its_own)
{
    if (no_device()) return;
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    for (int t = 0; t < TYPES; t++) {
        wg_tensor *w = there(blocks(types[t], 15, 512)), *x = there(wg_randn(WG_DIMS(8, 512)));
        wg_tensor *view = wg_select(wg_reshape(w, WG_DIMS(5, 3, 512)), 1, 1);
        wg_tensor *y = wg_linear(x, view, NULL), *same = wg_contiguous(view);
        for (int64_t m = 1; m < 8; m += 2)
            same_bytes("fewer rows", types[t], wg_linear(wg_narrow(x, 0, 8 - m, m), same, NULL),
                       wg_narrow(y, 0, 8 - m, m));
        wg_tensor *turned = wg_transpose(wg_contiguous(wg_transpose(x, 0, 1)), 0, 1);
        same_bytes("strided", types[t], wg_linear(turned, view, NULL), y);
        wg_tensor *batch = wg_transpose(wg_reshape(x, WG_DIMS(2, 2, 2, 512)), 0, 2);
        same_bytes("batch", types[t], wg_transpose(wg_linear(batch, view, NULL), 0, 2), y);
        same_bytes("unaligned", types[t],
                   wg_linear(wg_narrow(wg_cat(WG_LIST(wg_narrow(x, 1, 0, 1), x), 1), 1, 1, 512),
                             view, NULL),
                   y);
        same_bytes("vector", types[t], wg_linear(wg_select(x, 0, 3), view, NULL),
                   wg_select(y, 0, 3));
    }
    pop(s);
}
END_TEST

START_TEST(products_of_nothing)
{
    if (no_device()) return;
    const wg_scope s = wg_scope_push();
    wg_use_device(wg_cuda(0));
    wg_tensor *q = wg_cast(wg_randn(WG_DIMS(3, 64)), WG_Q4_0),
              *none = wg_cast(wg_zeros(WG_DIMS(3, 0)), WG_Q8_0);
    ck_assert_int_eq(wg_numel(wg_linear(wg_zeros(WG_DIMS(0, 64)), q, NULL)), 0);
    wg_tensor *y = wg_linear(wg_zeros(WG_DIMS(2, 0)), none, wg_ones(WG_DIMS(3)));
    ck_assert_double_eq(wg_item(wg_sum(y, WG_ALL, false)), 6);
    wg_linear(wg_arange(0, 64), q, NULL);
    expect_error(WG_EDTYPE, "linear: with w in blocks, x and bias are floating");
    wg_linear(wg_to(wg_zeros(WG_DIMS(1, 64)), wg_cpu()), q, NULL);
    expect_error(WG_EDEVICE, "linear: operands are on different devices");
    wg_embedding(q, wg_from((int64_t[]) { 0, 3 }, 16, WG_I64, WG_DIMS(2)));
    ck_assert(wg_synchronize(wg_cuda(0)) == WG_EINDEX);
    expect_error(WG_EINDEX, "embedding: i at (1) is 3, out of range for size 3");
    pop(s);
}
END_TEST

/* ---- gradients ------------------------------------------------------------------------------- */
START_TEST(gradients_are_those_of_the_dequantised_weights)
{
    if (no_device()) return;
    static const struct {
        wg_dtype type;
        double relative; /* to the size of the sums of 70 terms */
    } floats[] = { { WG_F64, 1e-14 }, { WG_F32, 1e-6 }, { WG_BF16, 0x1p-7 }, { WG_F16, 0x1p-10 } };
    for (int t = 0; t < TYPES; t++)
        for (int f = 0; f < 4; f++)
            for (int64_t m = 1; m <= 12; m += 11) {
                const wg_scope s = wg_scope_push();
                wg_tensor *q = blocks(types[t], 70, 512), *w = wg_cast(q, WG_F64);
                wg_tensor *x = there(wg_cast(wg_randn(WG_DIMS(m, 512)), floats[f].type)),
                          *dy = wg_cast(wg_randn(WG_DIMS(m, 70)), floats[f].type), *dx;
                wg_require_grad(x);
                wg_grad(WG_LIST(wg_linear(x, there(q), NULL)), WG_LIST(x), WG_LIST(there(dy)), 0,
                        (wg_list) { 1, &dx });
                expect_no_error();
                wg_tensor *cotangent = wg_cast(dy, WG_F64), *want = wg_matmul(cotangent, w),
                          *size = wg_matmul(wg_abs(cotangent), wg_abs(w));
                wg_tensor *far =
                    wg_div(wg_abs(wg_sub(wg_cast(wg_to(dx, wg_cpu()), WG_F64), want)), size);
                const double worst = wg_item(wg_max(far, WG_ALL, false));
                ck_assert_msg(worst <= floats[f].relative, "%s %s, %d rows: %g",
                              wg_dtype_name(types[t]), wg_dtype_name(floats[f].type), (int)m,
                              worst);
                pop(s);
            }
}
END_TEST

/* Panels of w and of its columns: 32 MiB hold 8192 rows of 1024 in f32. */
START_TEST(panels_make_one_product)
{
    if (no_device()) return;
    const wg_scope s = wg_scope_push();
    wg_tensor *q = blocks(WG_Q4_0, 8300, 1024), *d = there(q), *bias = wg_randn(WG_DIMS(8300));
    wg_tensor *x = wg_randn(WG_DIMS(9, 1024)), *dy = wg_randn(WG_DIMS(2, 8300)),
              *y = wg_require_grad(there(wg_narrow(x, 0, 0, 2))), *dx;
    check("panels", x, q, bias, wg_linear(there(x), d, there(bias)));
    wg_grad(WG_LIST(wg_linear(y, d, NULL)), WG_LIST(y), WG_LIST(there(dy)), 0,
            (wg_list) { 1, &dx });
    expect_no_error();
    wg_tensor *want = wg_matmul(dy, wg_cast(q, WG_F32));
    const double far = wg_item(wg_max(wg_abs(wg_sub(wg_to(dx, wg_cpu()), want)), WG_ALL, false));
    ck_assert_double_le(far, 1e-5 * wg_item(wg_max(wg_abs(want), WG_ALL, false)));
    pop(s);
}
END_TEST

START_TEST(gradients_accumulate_and_have_gradients)
{
    if (no_device()) return;
    const wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64);
    wg_tensor *q = blocks(WG_Q5_0, 7, 64), *w = wg_cast(q, WG_F64), *again[2], *first[2];
    wg_tensor *start = wg_randn(WG_DIMS(2, 64));
    for (int i = 0; i < 2; i++) { /* on the device with blocks, on the CPU without */
        wg_tensor *x = wg_require_grad(i ? start : there(start)), *weight = i ? w : there(q), *dx;
        wg_tensor *y = wg_linear(x, weight, NULL),
                  *loss = wg_sum(wg_mul(wg_mul(y, y), y), WG_ALL, false);
        ck_assert(wg_backward(loss, .retain_graph = true) == WG_OK);
        ck_assert(wg_backward(loss, .retain_graph = true) == WG_OK);
        first[i] = wg_to(wg_grad_of(x), wg_cpu());
        wg_grad(WG_LIST(loss), WG_LIST(x), WG_NO_LIST, WG_CREATE_GRAPH, (wg_list) { 1, &dx });
        wg_grad(WG_LIST(wg_sum(wg_mul(dx, dx), WG_ALL, false)), WG_LIST(x), WG_NO_LIST, 0,
                (wg_list) { 1, &again[i] });
    }
    expect_no_error();
    for (int k = 0; k < 2; k++) {
        wg_tensor **of = k ? again : first;
        const double far =
            wg_item(wg_max(wg_abs(wg_sub(wg_to(of[0], wg_cpu()), of[1])), WG_ALL, false));
        ck_assert_double_le(far, 1e-12 * wg_item(wg_max(wg_abs(of[1]), WG_ALL, false)));
    }
    pop(s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        panels_cover_the_weights_in_whole_units,
        few_rows_and_dtypes_choose_the_way,
        blocks_go_to_the_device_and_come_back,
        blocks_made_on_the_device_are_read_and_printed,
        every_type_dequantises_to_the_cpus_bits,
        floats_quantise_to_the_cpus_bytes,
        products_are_those_of_f64,
        products_keep_the_dtype_of_their_rows,
        a_rows_bits_are_its_own,
        products_of_nothing,
        gradients_are_those_of_the_dequantised_weights,
        panels_make_one_product,
        gradients_accumulate_and_have_gradients,
        NULL,
    };
    return suite_run("cuda blocks", tests);
}
