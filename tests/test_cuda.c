/* CUDA's host logic, on any machine: coalesced passes, reduction and index plans, layouts of products, what is said where
 * there is no device. And a few things on a device, where there is one. The pool's tests are test_cuda_pool.c. */
#include <stdlib.h>
#include <string.h>

#include "cuda/index.h"
#include "cuda/pass.h"
#include "cuda/product.h"
#include "cuda/reduce.h"
#include "suite.h"
#include "tensor/internal.h"

/* A fixed sequence of numbers below n. */
static uint64_t state;
static int64_t below(int64_t n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)(state >> 33) % n;
}

/* ---- passes ------------------------------------------------------------------------------------------------- */

/* A random shape with two operands: a row-major one, and one with broadcast, permuted or gapped strides. */
static void random_pass(wgi_pass *p)
{
    memset(p, 0, sizeof *p);
    p->n = 2;
    p->ndim = (int)below(5);
    p->numel = 1;
    for (int d = 0; d < p->ndim; d++) {
        p->size[d] = below(4) == 0 ? 1 : below(7) + 1;
        p->numel *= p->size[d];
    }
    int64_t plain = 1, other = 1;
    const bool backwards = below(2);
    for (int k = 0; k < p->ndim; k++) {
        const int d = p->ndim - 1 - k, e = backwards ? k : d;
        p->o[0].stride[d] = plain;
        plain *= p->size[d];
        p->o[1].stride[e] = below(4) == 0 ? 0 : other;
        other *= p->size[e] + (below(3) == 0);
    }
}

START_TEST(coalesced_passes_reach_every_element_once_and_where_it_lies)
{
    state = 11;
    for (int round = 0; round < 400; round++) {
        wgi_pass p, q;
        random_pass(&p);
        q = p;
        wgi_pass_coalesce(&q);
        ck_assert_int_ge(q.ndim, 1);
        for (int width = 1; width <= 8; width *= 2) {
            int64_t seen = 0;
            for (int64_t g = 0; g < wgi_pass_groups(&q, width); g++) {
                wgi_group at;
                wgi_pass_locate(&q, width, g, &at);
                for (int k = 0; k < at.count; k++, seen++) {
                    int64_t rest = at.index + k, want = 0;
                    ck_assert_int_eq(rest, seen); /* in logical order */
                    for (int d = p.ndim - 1; d >= 0; d--) {
                        want += rest % p.size[d] * p.o[1].stride[d];
                        rest /= p.size[d];
                    }
                    ck_assert_int_eq(at.offset[0] + k * q.o[0].stride[q.ndim - 1], seen);
                    ck_assert_int_eq(at.offset[1] + k * q.o[1].stride[q.ndim - 1], want);
                }
            }
            ck_assert_int_eq(seen, p.numel);
        }
    }
}
END_TEST

START_TEST(passes_beyond_32_bits_are_located_in_64)
{
    wgi_pass p = { .n = 1, .ndim = 2, .numel = INT64_C(6) << 31, .size = { 6, INT64_C(1) << 31 } };
    p.o[0].stride[0] = INT64_C(1) << 32; /* a gap behind every row: not to be merged */
    p.o[0].stride[1] = 1;
    wgi_group g;
    wgi_pass_locate(&p, 8, wgi_pass_groups(&p, 8) - 1, &g);
    ck_assert_int_eq(g.count, 8);
    ck_assert_int_eq(g.index, p.numel - 8);
    ck_assert_int_eq(g.offset[0], 5 * (INT64_C(1) << 32) + (INT64_C(1) << 31) - 8);
}
END_TEST

/* ---- reductions ------------------------------------------------------------------------------------------------ */
START_TEST(chunks_of_a_reduction_hold_every_element_once)
{
    static const int64_t counts[] = { 0, 1, 16, 17, 4096, 4097, 1000000 };
    static const int64_t groups[] = { 1, 40, 70000 };
    for (int i = 0; i < 7; i++)
        for (int k = 0; k < 3; k++)
            for (int inner = 0; inner < 2; inner++) { /* which of the two lies closer together */
                wgi_fold_pass f = { .kept = { .count = 1 }, .reduced = { .count = 1 } };
                wgi_axes_push(&f.kept, groups[k], inner ? 1 : counts[i] ? counts[i] : 1);
                wgi_axes_push(&f.reduced, counts[i], inner ? groups[k] : 1);
                wgi_fold_plan(&f);
                ck_assert_int_ge(f.chunks, 1);
                ck_assert_int_ge(f.chunks * f.chunk, counts[i]);
                if (f.chunks > 1) ck_assert_int_lt((f.chunks - 1) * f.chunk, counts[i]);
            }
}
END_TEST

START_TEST(merged_axes_give_the_offsets_of_all_axes)
{
    state = 3;
    for (int round = 0; round < 300; round++) {
        wgi_pass p;
        random_pass(&p);
        wgi_axes_of a = { .count = 1 };
        for (int d = 0; d < p.ndim; d++) wgi_axes_push(&a, p.size[d], p.o[1].stride[d]);
        ck_assert_int_eq(a.count, p.numel);
        for (int64_t i = 0; i < p.numel; i++) {
            int64_t rest = i, want = 0;
            for (int d = p.ndim - 1; d >= 0; d--) {
                want += rest % p.size[d] * p.o[1].stride[d];
                rest /= p.size[d];
            }
            ck_assert_int_eq(wgi_axes_offset(&a, i), want);
        }
    }
}
END_TEST

/* ---- indices ----------------------------------------------------------------------------------------------------- */

/* Items and lanes together name every element of the small side once; equal places have equal keys. */
START_TEST(index_plans_name_every_element_and_its_place)
{
    static const int64_t indices[] = { 2, 0, 2, -1, 1, 0 };
    for (int whole = 0; whole < 2; whole++) { /* an index for each k, and one for each element */
        const wgi_index_axes m = { .n = 2,
                                   .axis = 0,
                                   .shape = { 3, 2 },
                                   .large = { 2, 1 },
                                   .small = { 2, 1 },
                                   .index = { whole ? 2 : 1, whole },
                                   .i = indices };
        wgi_index_plan p;
        bool seen[6] = { false };
        wgi_index_plan_make(&p, &m, 2);
        ck_assert_int_eq(p.item_count * p.lane_count, 6);
        for (int64_t k = 0; k < p.item_count; k++)
            for (int64_t l = 0; l < p.lane_count; l++) {
                int64_t large, lane;
                wgi_index_lane(&p, l, &large, &lane);
                const int64_t small = wgi_index_item(&p, k) + lane;
                const int64_t i = whole ? indices[small] : indices[small / 2];
                const uint64_t key = wgi_index_key(&p, k);
                ck_assert(!seen[small]);
                seen[small] = true;
                if (i < 0)
                    ck_assert_uint_eq(key, p.nowhere);
                else
                    ck_assert_int_eq((int64_t)key + large, i * 2 + small % 2);
                if (i >= 0) ck_assert_uint_lt(key, p.nowhere);
            }
    }
}
END_TEST

/* ---- products ------------------------------------------------------------------------------------------------------ */
START_TEST(layouts_of_products_address_the_matrix_that_was_given)
{
    static const int64_t sizes[] = { 1, 2, 5 }, strides[] = { 0, 1, 2, 5, 7 };
    int usable = 0;
    for (int a = 0; a < 9; a++)
        for (int b = 0; b < 25; b++) {
            const int64_t rows = sizes[a / 3], columns = sizes[a % 3];
            const wgi_matrix x = { .row = strides[b / 5], .column = strides[b % 5] };
            const wgi_product_layout l = wgi_product_layout_of(&x, rows, columns);
            if (!l.usable) continue;
            usable++;
            ck_assert_int_ge(l.ld, l.by_columns ? rows : columns); /* what cuBLASLt asks for */
            for (int64_t i = 0; i < rows; i++)
                for (int64_t j = 0; j < columns; j++)
                    ck_assert_int_eq(l.by_columns ? i + j * l.ld : i * l.ld + j,
                                     i * x.row + j * x.column);
        }
    ck_assert_int_gt(usable, 50);
}
END_TEST

/* ---- the library with CUDA compiled in ------------------------------------------------------------------------------ */
START_TEST(every_op_has_a_kernel)
{
    for (int i = 0; i < wg_op_count(); i++) {
        const wg_op *op = wg_op_at(i);
        ck_assert_msg(op->cuda || (op->flags & WG_OP_VIEW), "%s has no cuda kernel", op->name);
    }
}
END_TEST

START_TEST(without_a_device_errors_say_why)
{
    if (wg_cuda_device_count() > 0) return;
    wg_use_device(wg_cuda(0));
    expect_error(WG_EDEVICE, "cuda:0: no CUDA device: ");
    ck_assert_int_eq(wg_current_device().kind, WG_CPU);
    wg_to(wg_ones(WG_DIMS(2)), wg_cuda(0));
    expect_error(WG_EDEVICE, "to: there is no device cuda:0");
    ck_assert(wg_synchronize(wg_cuda(1)) == WG_EDEVICE);
    expect_error(WG_EDEVICE, "cuda:1: no CUDA device: ");
    ck_assert(wg_synchronize(wg_cpu()) == WG_OK);
    ck_assert_int_eq(wg_memory_stats(wg_cuda(0)).current, 0);
    wg_memory_trim();
    expect_no_error();
}
END_TEST

/* ---- on a device -------------------------------------------------------------------------------------------------------- */
static bool no_device(void)
{
    if (wg_cuda_device_count() > 0) return false;
    printf("skipped: no CUDA device\n");
    return true;
}

/* Of the emulation. NULL elsewhere. */
__attribute__((weak)) int64_t emulation_alive(void);

/* Before anything else opens the device. */
START_TEST(a_driver_that_is_too_old_is_told)
{
    if (!emulation_alive) return;
    setenv("WG_EMULATED_DRIVER", "12000", 1);
    ck_assert_int_eq(wg_synchronize(wg_cuda(0)), WG_EDEVICE);
    expect_error(WG_EDEVICE, "cuda:0: the driver is one for CUDA 12.0, 12.1 or newer");
    unsetenv("WG_EMULATED_DRIVER");
    ck_assert_int_eq(wg_synchronize(wg_cuda(0)), WG_OK);
}
END_TEST

START_TEST(data_goes_to_the_device_and_comes_back)
{
    if (no_device()) return;
    wg_scope s = wg_scope_push();
    const int64_t n = 3 << 20; /* more than all pinned buffers */
    wg_tensor *x = wg_rand(WG_DIMS(n)), *y = wg_to(x, wg_cuda(0)), *z = wg_to(y, wg_cpu());
    ck_assert_int_eq(wg_device_of(y).kind, WG_CUDA);
    ck_assert_int_eq(memcmp(wg_data(x), wg_data(z), (size_t)n * sizeof(float)), 0);
    ck_assert(wg_item(wg_select(y, 0, 17)) == wg_item(wg_select(x, 0, 17)));
    ck_assert_int_ge(wg_memory_stats(wg_cuda(0)).current, n * (int64_t)sizeof(float));
    pop(s);
    ck_assert_int_eq(wg_memory_stats(wg_cuda(0)).current, 0);
    if (!getenv("WG_NO_CACHE")) ck_assert_int_gt(wg_memory_stats(wg_cuda(0)).cached, 0);
}
END_TEST

/* Many small ones and some large, 40 MB in all, before anything on the device asks for them. */
START_TEST(data_that_waits_in_pinned_memory_is_not_overwritten)
{
    enum { SENDS = 120 };
    if (no_device()) return;
    wg_scope s = wg_scope_push();
    wg_use_device(wg_cuda(0));
    wg_tensor *sent[SENDS];
    for (int i = 0; i < SENDS; i++) {
        const int64_t n = i % 30 == 7 ? 1700000 : 50000 + i;
        float *host = wg_scope_alloc((size_t)n * sizeof *host);
        ck_assert_ptr_nonnull(host);
        for (int64_t k = 0; k < n; k++) host[k] = (float)(i + k % 5);
        sent[i] = wg_from(host, (size_t)n * sizeof *host, WG_F32, WG_DIMS(n));
    }
    for (int i = 0; i < SENDS; i++) {
        const int64_t n = wg_numel(sent[i]);
        ck_assert(wg_item(wg_select(sent[i], 0, 0)) == i);
        ck_assert(wg_item(wg_select(sent[i], 0, n - 1)) == (double)(i + (n - 1) % 5));
        ck_assert(wg_item(wg_max(sent[i], WG_ALL, false)) == i + 4);
    }
    pop(s);
}
END_TEST

static wg_tensor *captured;
static void times_captured(void *self, wg_list in, wg_list out)
{
    (void)self;
    out.t[0] = wg_mul(in.t[0], captured);
}

START_TEST(a_fused_function_captures_on_its_own_device)
{
    if (no_device()) return;
    wg_scope s = wg_scope_push();
    wg_tensor *y[1], *x = wg_rand(WG_DIMS(5000));
    captured = wg_to(wg_full(WG_DIMS(), 2), wg_cuda(0));
    wg_fuse(times_captured, NULL, 0, WG_LIST(x), ((wg_list) { 1, y }));
    expect_error(WG_EDEVICE, "fuse: mul takes a captured tensor on cuda:0, the inputs are on cpu");
    pop(s);
}
END_TEST

START_TEST(assigning_within_the_device_knows_overlap_broadcasts_and_casts)
{
    if (no_device()) return;
    wg_scope s = wg_scope_push();
    wg_tensor *made[2];
    for (int k = 0; k < 2; k++) { /* on the CPU, on the device */
        wg_scope inner = wg_scope_push();
        wg_use_device(k ? wg_cuda(0) : wg_cpu());
        wg_tensor *x = wg_cast(wg_reshape(wg_arange(0, 60), WG_DIMS(6, 10)), WG_F32);
        ck_assert(wg_assign(wg_narrow(x, 0, 1, 4), wg_narrow(x, 0, 0, 4)) == WG_OK); /* overlap */
        ck_assert(wg_assign(wg_narrow(x, 1, 3, 5), wg_full(WG_DIMS(6, 1), 7)) == WG_OK);
        ck_assert(wg_assign(wg_select(x, 0, 5), wg_arange(90, 100)) == WG_OK);
        ck_assert(wg_assign(wg_transpose(wg_narrow(x, 1, 0, 6), 0, 1), wg_narrow(x, 1, 4, 6)) ==
                  WG_OK);
        ck_assert(wg_assign(x, x) == WG_OK);
        made[k] = wg_scope_return(inner, wg_to(x, wg_cpu()));
    }
    expect_no_error();
    ck_assert_mem_eq(wg_data(made[0]), wg_data(made[1]), 60 * sizeof(float));
    pop(s);
}
END_TEST

START_TEST(an_index_out_of_range_is_told_with_its_op_and_place)
{
    if (no_device()) return;
    wg_scope s = wg_scope_push();
    wg_use_device(wg_cuda(0));
    wg_tensor *w = wg_ones(WG_DIMS(4, 2));
    wg_embedding(w, wg_from((int64_t[]) { 1, 9 }, 16, WG_I64, WG_DIMS(1, 2)));
    ck_assert(wg_synchronize(wg_cuda(0)) == WG_EINDEX);
    expect_error(WG_EINDEX, "embedding: i at (0, 1) is 9, out of range for size 4");
    pop(s);
}
END_TEST

START_TEST(memory_that_is_not_there_is_an_error_that_counts)
{
    if (no_device()) return;
    wg_scope s = wg_scope_push();
    wg_use_device(wg_cuda(0));
    wg_empty(WG_DIMS(1 << 20, 1 << 20), WG_F64);
    expect_error(WG_EMEM, "empty: out of memory on cuda:0: 8796093022208 bytes wanted");
    ck_assert(wg_item(wg_sum(wg_ones(WG_DIMS(1000)), WG_ALL, false)) == 1000);
    pop(s);
}
END_TEST

static void same_product(wg_dtype t, wg_dims a, wg_dims b, bool turned, double tolerance)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_cast(wg_randn(a), t), *y = wg_cast(wg_randn(b), t);
    wg_tensor *dx = wg_to(x, wg_cuda(0)), *dy = wg_to(y, wg_cuda(0));
    if (turned) {
        x = wg_transpose(wg_contiguous(wg_transpose(x, -1, -2)), -1, -2);
        dx = wg_transpose(wg_contiguous(wg_transpose(dx, -1, -2)), -1, -2);
    }
    wg_tensor *want = wg_cast(wg_matmul(x, y), WG_F64),
              *got = wg_cast(wg_to(wg_matmul(dx, dy), wg_cpu()), WG_F64);
    const double worst = wg_item(wg_max(wg_abs(wg_sub(got, want)), WG_ALL, false)),
                 size = wg_item(wg_max(wg_abs(want), WG_ALL, false));
    ck_assert_msg(worst <= tolerance * size, "%s: %g of %g", wg_dtype_name(t), worst, size);
    pop(s);
}

START_TEST(products_are_those_of_the_cpu)
{
    static const struct {
        wg_dtype type;
        double tolerance;
    } types[] = { { WG_F64, 1e-13 }, { WG_F32, 1e-5 }, { WG_BF16, 1e-2 }, { WG_F16, 2e-3 } };
    if (no_device()) return;
    for (int t = 0; t < 4; t++)
        for (int turned = 0; turned < 2; turned++) {
            same_product(types[t].type, WG_DIMS(64, 128), WG_DIMS(128, 96), turned,
                         types[t].tolerance);
            same_product(types[t].type, WG_DIMS(33, 17), WG_DIMS(17, 5), turned,
                         types[t].tolerance);
            same_product(types[t].type, WG_DIMS(3, 2, 16, 24), WG_DIMS(2, 24, 8), turned,
                         types[t].tolerance);
        }
}
END_TEST

/* Places that many items go to are summed by parts: of every length around a part's, beginning anywhere in one. Whole
 * numbers add up to the same in any order. */
START_TEST(what_many_items_add_to_a_place_is_what_they_add_on_the_cpu)
{
    enum { PLACES = 9, LANES = 5, MOST = 400 };
    static const int64_t many[PLACES] = { 1, 31, 32, 33, 5, 64, 100, 0, 27 };
    if (no_device()) return;
    for (int first = 0; first < PLACES; first++)
        for (int t = 0; t < 3; t++) {
            const wg_dtype type = t == 0 ? WG_F32 : t == 1 ? WG_F64 : WG_I64;
            wg_scope s = wg_scope_push();
            int64_t at[MOST], n = 0;
            for (int k = 0; k < PLACES; k++)
                for (int64_t i = 0; i < many[(first + k) % PLACES]; i++) at[n++] = k;
            for (int64_t i = n - 1; i > 0; i--) {
                const int64_t j = below(i + 1), taken = at[i];
                at[i] = at[j];
                at[j] = taken;
            }
            wg_tensor *x = wg_cast(wg_randint(-50, 50, WG_DIMS(PLACES, LANES)), type),
                      *src = wg_cast(wg_randint(-50, 50, WG_DIMS(n, LANES)), type),
                      *i = wg_from(at, (size_t)n * sizeof *at, WG_I64, WG_DIMS(n));
            wg_tensor *want = wg_index_add(x, 0, i, src),
                      *got = wg_to(wg_index_add(wg_to(x, wg_cuda(0)), 0, wg_to(i, wg_cuda(0)),
                                                wg_to(src, wg_cuda(0))),
                                   wg_cpu());
            ck_assert(wg_data(got) && memcmp(wg_data(got), wg_data(want),
                                             PLACES * LANES * wg_dtype_size(type)) == 0);
            ck_assert_int_eq(wg_scope_pop(s), WG_OK);
        }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        coalesced_passes_reach_every_element_once_and_where_it_lies,
        passes_beyond_32_bits_are_located_in_64,
        chunks_of_a_reduction_hold_every_element_once,
        merged_axes_give_the_offsets_of_all_axes,
        index_plans_name_every_element_and_its_place,
        layouts_of_products_address_the_matrix_that_was_given,
        every_op_has_a_kernel,
        without_a_device_errors_say_why,
        a_driver_that_is_too_old_is_told,
        data_goes_to_the_device_and_comes_back,
        data_that_waits_in_pinned_memory_is_not_overwritten,
        assigning_within_the_device_knows_overlap_broadcasts_and_casts,
        a_fused_function_captures_on_its_own_device,
        an_index_out_of_range_is_told_with_its_op_and_place,
        memory_that_is_not_there_is_an_error_that_counts,
        products_are_those_of_the_cpu,
        what_many_items_add_to_a_place_is_what_they_add_on_the_cpu,
        NULL,
    };
    return suite_run("cuda", tests);
}
