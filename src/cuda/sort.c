#include "cuda/sort.h"

#include "cpu/reduce.h"
#include "cpu/scan.h"
#include "cuda/cuda.h"
#include "cuda/operands.h"

wg_status wgi_cuda_sort_pairs(const wg_run *r, uint64_t *keys[2], int64_t *values[2], int64_t n,
                              int bits, int *at)
{
    size_t bytes = 0;
    const wg_status s = wgi_cuda_check(wgi_sort_space(n, &bytes), "the space of a sort");
    if (s != WG_OK) return s;
    void *space = wg_scratch(r, bytes);
    if (!space) return WG_EMEM;
    return wgi_cuda_check(wgi_launch_sort(space, bytes, keys, values, n, bits, r->stream, at),
                          "radix sort");
}

/* t's lines along axis: how they and their elements are reached. */
static void lines_of(const wg_tensor *t, int axis, wgi_axes_of *lines, int64_t *n, int64_t *step)
{
    *lines = (wgi_axes_of) { .count = 1 };
    *n = 1;
    *step = 0;
    for (int d = 0; d < t->ndim; d++) {
        if (d == axis) {
            *n = t->shape[d];
            *step = t->strides[d];
        } else {
            wgi_axes_push(lines, t->shape[d], t->strides[d]);
        }
    }
}

static int bits_of(uint64_t most)
{
    int bits = 1;
    while (bits < 64 && most >> bits) bits++;
    return bits;
}

/* Sorted by value as a whole, then by row: the sort is stable, so that each row ends up in order. */
static wg_status sort_rows(const wg_run *r, int axis, bool descending, bool nans_first)
{
    const wg_tensor *x = r->in.t[0], *y = r->out.t[0], *i = r->out.t[1];
    if (y->numel == 0) return WG_OK;
    if (axis < 0) axis += x->ndim ? x->ndim : 1;
    wgi_sort_keys k = { .x = wgi_data(x),
                        .type = x->dtype,
                        .kind = (int)wgi_acc_of(x->dtype),
                        .descending = descending,
                        .nans_first = nans_first };
    wgi_sort_result out = { .x = wgi_data(x),
                            .y = wgi_data(y),
                            .i = wgi_data(i),
                            .bytes = (int)wg_dtype_size((wg_dtype)x->dtype) };
    lines_of(x, axis, &k.lines, &k.n, &k.step);
    lines_of(x, axis, &out.x_lines, &out.n, &out.x_step);
    lines_of(y, axis, &out.y_lines, &out.k, &out.y_step);
    lines_of(i, axis, &out.i_lines, &out.k, &out.i_step);
    const int64_t count = x->numel;
    uint64_t *keys[2];
    int64_t *values[2];
    for (int b = 0; b < 2; b++) {
        keys[b] = wg_scratch(r, (size_t)count * sizeof *keys[b]);
        values[b] = wg_scratch(r, (size_t)count * sizeof *values[b]);
        if (!keys[b] || !values[b]) return WG_EMEM;
    }
    int at = 0;
    wgi_launch_sort_keys(&k, keys[0], values[0], r->stream);
    wg_status s = wgi_cuda_sort_pairs(r, keys, values, count, 64, &at);
    if (s != WG_OK) return s;
    out.order = values[at];
    if (k.lines.count > 1) {
        uint64_t *row_keys[2] = { keys[0], keys[1] };
        int64_t *by_value[2] = { values[at], values[!at] };
        wgi_launch_sort_rows(by_value[0], row_keys[0], count, k.n, r->stream);
        s = wgi_cuda_sort_pairs(r, row_keys, by_value, count, bits_of((uint64_t)k.lines.count - 1),
                                &at);
        if (s != WG_OK) return s;
        out.order = by_value[at];
    }
    wgi_launch_sort_result(&out, r->stream);
    return WG_OK;
}

wg_status wgi_cuda_sort(const wg_run *r)
{
    const wgi_sort_attr *a = r->attr;
    return sort_rows(r, a->axis, a->descending, false);
}

wg_status wgi_cuda_topk(const wg_run *r)
{
    return sort_rows(r, ((const wgi_topk_attr *)r->attr)->axis, true, true);
}
