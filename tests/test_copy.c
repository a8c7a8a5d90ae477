/* wgi_copy_elements against a loop over indices: layouts, dtypes, sizes around the tiles and chunks. */
#include <stdlib.h>

#include "suite.h"
#include "tensor/internal.h"

static void fill(wg_tensor *t)
{
    char *p = t->storage->data;
    size_t size = wgi_dtype_bytes[t->dtype];
    for (size_t i = 0; i < t->storage->bytes / size; i++)
        wgi_store(p + i * size, (wg_dtype)t->dtype, (double)((i * 2654435761u >> 7) % 251) - 100.5);
}

/* A tensor of this shape whose axes lie in memory in the order of `order`, with `gap` elements between. */
static wg_tensor *laid_out(wg_dtype t, wg_dims shape, const int *order, int64_t gap)
{
    wg_dims strides = shape;
    int64_t at = 1 + gap % 2;
    for (int i = shape.n - 1; i >= 0; i--) {
        strides.d[order[i]] = at;
        at = at * shape.d[order[i]] + gap;
    }
    wg_tensor *base = wgi_tensor_new(wgi_ctx(), t, wg_cpu(), WG_DIMS(at + 3));
    fill(base);
    return wgi_tensor_view(wgi_ctx(), base, shape, strides, 3);
}

static int64_t place(const wg_tensor *t, int64_t index)
{
    int64_t at = 0;
    for (int i = t->ndim - 1; i >= 0; index /= t->shape[i--])
        at += index % t->shape[i] * t->strides[i];
    return at;
}

static void check_copy(wg_tensor *dst, wg_tensor *src, const char *what)
{
    const size_t d = wgi_dtype_bytes[dst->dtype], s = wgi_dtype_bytes[src->dtype];
    char *before = malloc(dst->storage->bytes); /* what should be there: only the elements change */
    memcpy(before, dst->storage->data, dst->storage->bytes);
    for (int64_t i = 0; i < dst->numel; i++)
        wgi_convert(before + ((size_t)dst->offset + (size_t)place(dst, i)) * d,
                    (wg_dtype)dst->dtype, (char *)wgi_data(src) + (size_t)place(src, i) * s,
                    (wg_dtype)src->dtype, 1);
    wgi_copy_elements(dst, src);
    char text[256];
    wgi_tensor_text(text, sizeof text, dst);
    ck_assert_msg(memcmp(before, dst->storage->data, dst->storage->bytes) == 0, "%s: %s from %s",
                  what, text, wg_dtype_name((wg_dtype)src->dtype));
    free(before);
}

static const int orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 2, 1, 0 },
                                 { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 } };

START_TEST(every_layout_to_every_layout_and_dtype)
{
    const wg_dims shapes[] = { WG_DIMS(3, 37, 70), WG_DIMS(1, 5, 2), WG_DIMS(33, 1, 64),
                               WG_DIMS(2, 3, 1), WG_DIMS(4, 0, 2) };
    const wg_dtype types[] = { WG_F32, WG_BF16, WG_F64, WG_U8, WG_I32 };
    for (size_t shape = 0; shape < 5; shape++)
        for (size_t a = 0; a < 6; a++)
            for (size_t b = 0; b < 6; b++)
                for (size_t t = 0; t < 5; t++)
                    for (size_t u = 0; u < 5; u++) {
                        wg_scope s = wg_scope_push();
                        check_copy(laid_out(types[t], shapes[shape], orders[a], (int64_t)(t % 3)),
                                   laid_out(types[u], shapes[shape], orders[b], (int64_t)(u % 2)),
                                   "layout");
                        pop(s);
                    }
}
END_TEST

START_TEST(large_copies_in_parallel_pieces)
{
    const wg_dims shapes[] = { WG_DIMS(1, 1, 200001), WG_DIMS(2, 301, 503), WG_DIMS(1, 3, 70001),
                               WG_DIMS(40000, 2, 3) };
    for (size_t shape = 0; shape < 4; shape++)
        for (size_t a = 0; a < 6; a++) {
            wg_scope s = wg_scope_push();
            check_copy(laid_out(WG_F32, shapes[shape], orders[0], 0),
                       laid_out(WG_F32, shapes[shape], orders[a], 0), "large");
            check_copy(laid_out(WG_F16, shapes[shape], orders[a], 0),
                       laid_out(WG_F32, shapes[shape], orders[0], 1), "large");
            pop(s);
        }
}
END_TEST

START_TEST(broadcast_sources)
{
    for (int mask = 0; mask < 8; mask++) {
        wg_scope s = wg_scope_push();
        wg_tensor *src = laid_out(WG_F32, WG_DIMS(5, 40, 66), orders[mask % 6], 0);
        for (int i = 0; i < 3; i++)
            if (mask >> i & 1) src->strides[i] = 0;
        check_copy(laid_out(WG_F32, WG_DIMS(5, 40, 66), orders[0], 0), src, "broadcast");
        check_copy(laid_out(WG_BF16, WG_DIMS(5, 40, 66), orders[2], 1), src, "broadcast");
        pop(s);
    }
}
END_TEST

START_TEST(zero_d_and_eight_d)
{
    wg_scope s = wg_scope_push();
    check_copy(laid_out(WG_I64, WG_DIMS(), orders[0], 0), laid_out(WG_F32, WG_DIMS(), orders[0], 0),
               "0-d");
    const int forth[8] = { 0, 1, 2, 3, 4, 5, 6, 7 }, back[8] = { 7, 6, 5, 4, 3, 2, 1, 0 };
    wg_dims shape = WG_DIMS(2, 3, 1, 2, 4, 2, 3, 5);
    check_copy(laid_out(WG_F32, shape, forth, 0), laid_out(WG_F32, shape, back, 0), "8-d");
    check_copy(laid_out(WG_F64, shape, back, 1), laid_out(WG_BF16, shape, forth, 0), "8-d");
    pop(s);
}
END_TEST

int main(void)
{
    return suite_run("copy", (const TTest *[]) { every_layout_to_every_layout_and_dtype,
                                                 large_copies_in_parallel_pieces, broadcast_sources,
                                                 zero_d_and_eight_d, NULL });
}
