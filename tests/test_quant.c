/* Tensors in blocks: layouts against ggml's, what may be done with them. */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "suite.h"
#include "tensor/internal.h"

static const struct {
    wg_dtype type;
    const char *file;
    bool written;
} types[] = {
    { WG_Q4_0, "Q4_0", true },  { WG_Q4_1, "Q4_1", true },  { WG_Q5_0, "Q5_0", true },
    { WG_Q5_1, "Q5_1", true },  { WG_Q8_0, "Q8_0", true },  { WG_Q2_K, "Q2_K", false },
    { WG_Q3_K, "Q3_K", false }, { WG_Q4_K, "Q4_K", false }, { WG_Q5_K, "Q5_K", false },
    { WG_Q6_K, "Q6_K", false },
};
enum { TYPES = sizeof types / sizeof *types };

/* A file of quant-vectors, on the heap; NULL, with a line that says so, without data. */
static void *vectors(const char *name, const char *kind, size_t *bytes)
{
    const char *data = getenv("WENGERT_TEST_DATA");
    const char *const places[][2] = { { data, "quant-vectors" },
                                      { WG_SOURCE_ROOT, "../shared/data/quant-vectors" } };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char path[1024];
        if (!places[i][0]) continue;
        snprintf(path, sizeof path, "%s/%s/%s%s", places[i][0], places[i][1], name, kind);
        FILE *f = fopen(path, "rb");
        if (!f) continue;
        fseek(f, 0, SEEK_END);
        *bytes = (size_t)ftell(f);
        rewind(f);
        void *all = malloc(*bytes);
        ck_assert_uint_eq(fread(all, 1, *bytes, f), *bytes);
        fclose(f);
        return all;
    }
    printf("skipped: no data (quant-vectors/%s%s)\n", name, kind);
    return NULL;
}

static wg_tensor *rows(int64_t n, int64_t width)
{
    return wg_mul(wg_randn(WG_DIMS(n, width)), wg_scalar(0.5));
}

/* ---- the types ------------------------------------------------------------------------------- */
START_TEST(blocks_are_ggmls_both_ways)
{
    size_t n;
    float *source = vectors("src_f32", ".bin", &n);
    if (!source) return;
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_from(source, n, WG_F32, WG_DIMS(128, 256));
    for (int i = 0; i < TYPES; i++) {
        size_t bytes, floats;
        uint8_t *q = vectors(types[i].file, ".q.bin", &bytes);
        float *want = vectors(types[i].file, ".deq_f32.bin", &floats);
        if (!q || !want) break;
        const int64_t elements = (int64_t)(floats / 4);
        wg_tensor *t = wg_from(q, bytes, types[i].type, WG_DIMS(elements / 256, 256));
        wg_tensor *y = wg_cast(t, WG_F32);
        expect_no_error();
        ck_assert_msg(memcmp(wg_data(y), want, floats) == 0, "%s: other values", types[i].file);
        if (types[i].written) {
            wg_tensor *made = wg_cast(x, types[i].type);
            expect_no_error();
            ck_assert_uint_eq(made->storage->bytes, bytes);
            ck_assert_msg(memcmp(wg_data(made), q, bytes) == 0, "%s: other bytes", types[i].file);
        }
        free(q);
        free(want);
    }
    pop(s);
    free(source);
}
END_TEST

START_TEST(a_rounded_value_is_nearest_and_extremes_are_kept)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = rows(16, 64);
    for (int i = 0; i < TYPES; i++) {
        if (!types[i].written) continue;
        wg_tensor *back = wg_cast(wg_cast(x, types[i].type), WG_F32);
        const float *a = wg_data(x), *b = wg_data(back);
        for (int64_t block = 0; block < 32; block++) {
            float most = 0, least = 0, high = 0;
            for (int j = 0; j < 32; j++) {
                most = fmaxf(most, fabsf(a[block * 32 + j]));
                least = fminf(least, a[block * 32 + j]);
                high = fmaxf(high, a[block * 32 + j]);
            }
            const wg_dtype t = types[i].type;
            /* of the codes; q4_0 and q5_0 are one step short opposite to the extreme */
            const float step = t == WG_Q8_0   ? most / 127
                               : t == WG_Q4_0 ? 2 * most / 8
                               : t == WG_Q5_0 ? 2 * most / 16
                                              : (high - least) / (t == WG_Q4_1 ? 15 : 31);
            for (int j = 0; j < 32; j++)
                ck_assert_float_le(fabsf(a[block * 32 + j] - b[block * 32 + j]),
                                   0.5f * step + 0.002f * most);
        }
    }
    pop(s);
}
END_TEST

START_TEST(zeros_and_values_that_are_no_numbers_quantise)
{
    wg_scope s = wg_scope_push();
    float x[3][32] = { { 0 }, { [3] = INFINITY, [5] = -1 }, { [7] = NAN, [8] = 2 } };
    for (int i = 0; i < TYPES; i++) {
        if (!types[i].written) continue;
        wg_tensor *y =
            wg_cast(wg_cast(wg_from(x, sizeof x, WG_F32, WG_DIMS(3, 32)), types[i].type), WG_F32);
        expect_no_error();
        for (int j = 0; j < 32; j++) ck_assert_float_eq(((const float *)wg_data(y))[j], 0);
    }
    pop(s);
}
END_TEST

/* ---- as tensors ------------------------------------------------------------------------------ */
START_TEST(bytes_are_whole_blocks)
{
    wg_scope s = wg_scope_push();
    static uint8_t bytes[4 * 2 * 18];
    wg_tensor *t = wg_from(bytes, sizeof bytes, WG_Q4_0, WG_DIMS(4, 64));
    ck_assert_int_eq(wg_numel(t), 256);
    ck_assert_int_eq(wg_strides(t).d[0], 64);
    ck_assert_uint_eq(t->storage->bytes, sizeof bytes);
    ck_assert(!wg_requires_grad(t));
    expect_no_error();
    wg_from(bytes, sizeof bytes - 1, WG_Q4_0, WG_DIMS(4, 64));
    expect_error(WG_EARG, "from: (4, 64) q4_0 takes 144 bytes, given 143");
    wg_from(bytes, 36, WG_Q4_0, WG_DIMS(2, 33));
    expect_error(WG_ESHAPE,
                 "from: q4_0 has blocks of 32 along the last axis, which (2, 33) is not");
    wg_from(bytes, 18, WG_Q4_0, WG_DIMS());
    expect_error(WG_ESHAPE, "from: q4_0 has blocks of 32");
    wg_from(bytes, 0, WG_BLOCK_DTYPE_END, WG_DIMS(0));
    expect_error(WG_EDTYPE, "from: 42 is no dtype");
    wg_tensor *none = wg_from(bytes, 0, WG_Q6_K, WG_DIMS(3, 0));
    ck_assert_int_eq(wg_numel(wg_cast(none, WG_F32)), 0);
    expect_no_error();
    pop(s);
}
END_TEST

START_TEST(wrapped_blocks_lie_within_their_bytes)
{
    wg_scope s = wg_scope_push();
    static _Alignas(2) uint8_t bytes[4 * 2 * 18 + 1];
    wg_tensor *t = wg_wrap(bytes, 144, WG_Q4_0, WG_DIMS(4, 64), WG_DIMS(), NULL, NULL);
    expect_no_error();
    ck_assert_ptr_eq(wg_data(t), bytes);
    wg_wrap(bytes, 144, WG_Q4_0, WG_DIMS(2, 64), WG_DIMS(128, 1), NULL, NULL);
    expect_no_error();
    wg_wrap(bytes, 143, WG_Q4_0, WG_DIMS(4, 64), WG_DIMS(), NULL, NULL);
    expect_error(WG_EARG, "wrap: the last element lies beyond the 143 bytes");
    wg_wrap(bytes + 1, 144, WG_Q4_0, WG_DIMS(4, 64), WG_DIMS(), NULL, NULL);
    expect_error(WG_EARG, "wrap: data is not aligned for q4_0");
    wg_wrap(bytes, 144, WG_Q4_0, WG_DIMS(2, 32), WG_DIMS(1, 2), NULL, NULL);
    expect_error(WG_ESHAPE, "wrap: a view of shape (2, 32) would cut blocks of q4_0");
    pop(s);
}
END_TEST

START_TEST(blocks_are_read_and_not_written)
{
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_tensor *x = rows(3, 64), *q = wg_cast(x, WG_Q8_0), *f = wg_cast(q, WG_F32);
    float out[3][64];
    uint8_t blocks[3 * 2 * 34];
    ck_assert(wg_read(q, out, sizeof out, WG_F32) == WG_OK);
    ck_assert_mem_eq(out, wg_data(f), sizeof out);
    ck_assert(wg_read(q, blocks, sizeof blocks, WG_Q8_0) == WG_OK);
    ck_assert_mem_eq(blocks, wg_data(q), sizeof blocks);
    ck_assert(wg_read(x, blocks, sizeof blocks, WG_Q8_0) == WG_OK); /* quantises */
    ck_assert_mem_eq(blocks, wg_data(q), sizeof blocks);
    ck_assert(wg_read(x, blocks, sizeof blocks, WG_Q4_K) != WG_OK);
    expect_error(WG_ESHAPE, "read: q4_k has blocks of 256");
    ck_assert(wg_assign(f, q) == WG_OK);
    wg_tensor *across = wg_transpose(wg_empty(WG_DIMS(64, 3), WG_F64), 0, 1);
    ck_assert(wg_assign(across, q) == WG_OK);
    ck_assert_float_eq((float)wg_item(wg_select(wg_select(across, 0, 2), 0, 40)), out[2][40]);
    ck_assert(wg_assign(q, x) != WG_OK);
    expect_error(WG_EDTYPE, "assign: blocks of q8_0 are read-only");
    ck_assert_ptr_null(wg_data_write(q));
    expect_error(WG_EDTYPE, "data_write: blocks of q8_0 are read-only");
    wg_cast(x, WG_Q2_K);
    expect_error(WG_EDTYPE, "cast: q2_k is only read: nothing is quantised to it");
    wg_cast(wg_randn(WG_DIMS(2, 31)), WG_Q8_0);
    expect_error(WG_ESHAPE, "cast: q8_0 has blocks of 32");
    wg_cast(x, (wg_dtype)42);
    expect_error(WG_EARG, "cast: there is no dtype 42");
    pop(s);
}
END_TEST

START_TEST(views_keep_blocks_whole)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_randn(WG_DIMS(4, 3, 64)), *q = wg_cast(x, WG_Q4_0), *f = wg_cast(q, WG_F32);
    const struct {
        const char *what;
        wg_tensor *q, *f;
    } views[] = {
        { "narrow", wg_narrow(q, 0, 1, 2), wg_narrow(f, 0, 1, 2) },
        { "narrow inner", wg_narrow(q, 1, 1, 2), wg_narrow(f, 1, 1, 2) },
        { "narrow last", wg_narrow(q, 2, 32, 32), wg_narrow(f, 2, 32, 32) },
        { "select", wg_select(q, 1, 2), wg_select(f, 1, 2) },
        { "slice", wg_slice(q, 0, 1, 4, 2), wg_slice(f, 0, 1, 4, 2) },
        { "transpose", wg_transpose(q, 0, 1), wg_transpose(f, 0, 1) },
        { "reshape", wg_reshape(q, WG_DIMS(2, 6, 2, 32)), wg_reshape(f, WG_DIMS(2, 6, 2, 32)) },
        { "flat", wg_view(q, WG_DIMS(-1)), wg_view(f, WG_DIMS(-1)) },
        { "unsqueeze", wg_unsqueeze(q, 0), wg_unsqueeze(f, 0) },
        { "expand", wg_expand(wg_narrow(q, 0, 3, 1), WG_DIMS(5, 3, 64)),
          wg_expand(wg_narrow(f, 0, 3, 1), WG_DIMS(5, 3, 64)) },
        { "detach", wg_detach(q), wg_detach(f) },
        { "copied", wg_reshape(wg_transpose(q, 0, 1), WG_DIMS(-1, 32)),
          wg_reshape(wg_transpose(f, 0, 1), WG_DIMS(-1, 32)) },
    };
    expect_no_error();
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        wg_tensor *a = wg_cast(views[i].q, WG_F32), *b = wg_contiguous(views[i].f);
        ck_assert_msg(wgi_same_shape(a, b) &&
                          memcmp(wg_data(a), wg_data(b), (size_t)a->numel * 4) == 0,
                      "%s", views[i].what);
        wg_tensor *whole = wg_cast(wg_contiguous(views[i].q), WG_F32);
        ck_assert_msg(memcmp(wg_data(a), wg_data(whole), (size_t)a->numel * 4) == 0, "%s",
                      views[i].what);
    }
    expect_no_error();
    wg_narrow(q, 2, 16, 32);
    expect_error(WG_ESHAPE, "narrow: a view of shape (4, 3, 32) would cut blocks of q4_0");
    wg_narrow(q, 2, 0, 16);
    expect_error(WG_ESHAPE, "narrow: a view of shape (4, 3, 16) would cut blocks");
    wg_transpose(q, 1, 2);
    expect_error(WG_ESHAPE, "transpose: a view of shape (4, 64, 3) would cut blocks");
    wg_view(q, WG_DIMS(-1, 16));
    expect_error(WG_ESHAPE, "view: a view of shape (48, 16) would cut blocks");
    wg_slice(q, 2, 0, 64, 2);
    expect_error(WG_ESHAPE, "slice: a view");
    wg_unsqueeze(q, -1);
    expect_error(WG_ESHAPE, "unsqueeze: a view");
    pop(s);
}
END_TEST

START_TEST(other_ops_refuse_blocks_by_name)
{
    wg_scope s = wg_scope_push();
    wg_tensor *q = wg_cast(rows(2, 32), WG_Q4_0), *x = rows(2, 32);
    wg_add(q, x);
    expect_error(WG_EDTYPE, "add: x is q4_0: no op computes with blocks but ");
    wg_matmul(x, q);
    expect_error(WG_EDTYPE, "matmul: y is q4_0: no op computes with blocks but ");
    wg_sum(q, WG_ALL, false);
    expect_error(WG_EDTYPE, "sum: x is q4_0");
    wg_cat(WG_LIST(x, q), 0);
    expect_error(WG_EDTYPE, "cat: ");
    wg_require_grad(q);
    expect_error(WG_EDTYPE, "require_grad: only floating tensors have gradients, not q4_0");
    wg_tensor *leaf = wg_require_grad(rows(2, 32));
    ck_assert(!wg_requires_grad(wg_cast(leaf, WG_Q8_0)));
    ck_assert(!wg_requires_grad(wg_cast(wg_cast(leaf, WG_Q8_0), WG_F32)));
    expect_no_error();
    /* every op but those that say so, whatever it does else */
    for (int i = 0; i < wg_op_count(); i++) {
        const wg_op *op = wg_op_at(i);
        wg_tensor *in[WG_MAX_INPUTS];
        int64_t n = 0;
        while (n < WG_MAX_INPUTS && op->in[n]) in[n++] = q;
        if (n == 0 || op->attr_size || (op->flags & (WG_OP_BLOCKS | WG_OP_VIEW))) continue;
        wg_apply(op, (wg_list) { n, in }, NULL, NULL);
        ck_assert_msg(wg_error_code() == WG_EDTYPE, "%s", op->name);
        wg_error_clear();
    }
    pop(s);
}
END_TEST

START_TEST(blocks_print_and_move_as_others_do)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    wg_scope s = wg_scope_push();
    wg_tensor *q = wg_cast(wg_ones(WG_DIMS(1, 32)), WG_Q8_0);
    wg_print(f, q);
    fflush(f);
    ck_assert_ptr_nonnull(strstr(text, " q8_0\n"));
    ck_assert_int_eq(strncmp(text, "[[", 2), 0);
    wg_tensor *m = wg_to(wg_expand(q, WG_DIMS(4, 32)), wg_meta());
    ck_assert_int_eq(wg_dtype_of(m), WG_Q8_0);
    ck_assert_int_eq(wg_numel(wg_cast(m, WG_BF16)), 128);
    expect_no_error();
    pop(s);
    fclose(f);
    free(text);
}
END_TEST

int main(void)
{
    return suite_run("quant", (const TTest *[]) {
                                  blocks_are_ggmls_both_ways,
                                  a_rounded_value_is_nearest_and_extremes_are_kept,
                                  zeros_and_values_that_are_no_numbers_quantise,
                                  bytes_are_whole_blocks,
                                  wrapped_blocks_lie_within_their_bytes,
                                  blocks_are_read_and_not_written,
                                  views_keep_blocks_whole,
                                  other_ops_refuse_blocks_by_name,
                                  blocks_print_and_move_as_others_do,
                                  NULL,
                              });
}
