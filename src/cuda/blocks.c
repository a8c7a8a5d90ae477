/* Tensors in blocks on CUDA: copied, dequantised, quantised, looked up. */
#include "cuda/blocks.h"

#include "cpu/rows.h"
#include "cuda/cuda.h"
#include "cuda/index_parts.h"
#include "cuda/operands.h"

/* ---- as they are ----------------------------------------------------------------------------- */

/* Blocks of one type: a pass over the widest words that a block is made of. */
static wg_status move_blocks(wg_tensor *dst, const wg_tensor *src, void *stream)
{
    const wg_dtype type = (wg_dtype)src->dtype;
    const int64_t block = wg_dtype_block(type), bytes = (int64_t)wg_dtype_block_bytes(type);
    const int64_t size = bytes % 8 == 0 ? 8 : bytes % 4 == 0 ? 4 : 2;
    const int as = size == 8 ? WG_I64 : size == 4 ? WG_I32 : WG_F16, last = src->ndim - 1;
    int64_t shape[WG_MAX_DIMS], to[WG_MAX_DIMS], from[WG_MAX_DIMS];
    for (int d = 0; d <= last; d++) {
        shape[d] = d == last ? src->shape[d] / block * (bytes / size) : src->shape[d];
        to[d] = d == last ? 1 : dst->strides[d] / block * (bytes / size);
        from[d] = d == last ? 1 : src->strides[d] / block * (bytes / size);
    }
    wgi_pass p;
    wgi_pass_of_two(&p, src->ndim, shape, wgi_data(dst), as, to, wgi_data(src), as, from);
    return wgi_cuda_copy_pass(&p, stream);
}

/* ---- dequantised ----------------------------------------------------------------------------- */

static wg_status dequantise(void *to, wg_dtype to_type, const int64_t *to_strides,
                            const wg_tensor *x, void *stream)
{
    const int last = x->ndim - 1;
    wgi_dequantise_launch l = { .type = x->dtype,
                                .to_type = (int)to_type,
                                .from = wgi_data(x),
                                .to = to,
                                .width = x->shape[last],
                                .from_rows = { .count = 1 },
                                .to_rows = { .count = 1 },
                                .to_step = to_strides[last] };
    if (x->numel == 0) return WG_OK;
    for (int d = 0; d < last; d++) {
        wgi_axes_push(&l.from_rows, x->shape[d], x->strides[d]);
        wgi_axes_push(&l.to_rows, x->shape[d], to_strides[d]);
    }
    l.rows = l.from_rows.count;
    wgi_launch_dequantise(&l, stream);
    return WG_OK;
}

wg_status wgi_cuda_copy_blocks(wg_tensor *dst, const wg_tensor *src, void *stream)
{
    if (dst->dtype == src->dtype) return move_blocks(dst, src, stream);
    if (wgi_in_blocks(dst->dtype))
        return wg_raise(WG_EDTYPE, "a copy to %s does not quantise",
                        wg_dtype_name((wg_dtype)dst->dtype));
    return dequantise(wgi_data(dst), (wg_dtype)dst->dtype, dst->strides, src, stream);
}

/* ---- casts ----------------------------------------------------------------------------------- */

/* y is new and contiguous. */
static wg_status quantise(const wg_run *r, wg_tensor *y, const wg_tensor *x)
{
    const void *from;
    const wg_status s = wgi_flat(r, x, WG_F32, &from);
    if (s == WG_OK && x->numel > 0)
        wgi_launch_quantise(y->dtype, wgi_data(y), from, x->numel / 32, r->stream);
    return s;
}

wg_status wgi_cuda_cast_blocks(const wg_run *r)
{
    wg_tensor *x = r->in.t[0], *y = r->out.t[0];
    const void *from;
    if (x->dtype == y->dtype) return wgi_cuda_copy_blocks(y, x, r->stream);
    if (wgi_in_blocks(y->dtype)) return quantise(r, y, x);
    if (!r->accumulate) return wgi_cuda_copy_blocks(y, x, r->stream);
    const wg_dims shape = wgi_shape(x), plain = wgi_row_major(&shape);
    const wg_status s = wgi_flat(r, x, WG_F32, &from);
    return s == WG_OK ? wgi_cuda_add_strided(r, wgi_data(y), (wg_dtype)y->dtype, y->strides, from,
                                             WG_F32, plain.d, y->ndim, y->shape, true)
                      : s;
}

/* ---- rows by index --------------------------------------------------------------------------- */

wg_status wgi_cuda_embedding_blocks(const wg_run *r)
{
    const wg_tensor *w = r->in.t[0], *i = r->in.t[1], *y = r->out.t[0];
    wgi_dequantise_launch l = { .type = w->dtype,
                                .to_type = y->dtype,
                                .from = wgi_data(w),
                                .to = wgi_data(y),
                                .rows = i->numel,
                                .width = w->shape[1],
                                .from_rows = { .count = 1 },
                                .to_rows = { .count = 1 },
                                .to_step = 1 };
    wgi_axes_push(&l.from_rows, w->shape[0], w->strides[0]);
    wgi_axes_push(&l.to_rows, i->numel, w->shape[1]);
    const wg_status s = wgi_index_indices(r, i, "i", w->shape[0], false, &l.index);
    if (s == WG_OK && y->numel > 0) wgi_launch_dequantise(&l, r->stream);
    return s;
}
