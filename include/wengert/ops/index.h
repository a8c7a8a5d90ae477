/* Reading and writing by indices (i64 or i32). */
#ifndef WENGERT_OPS_INDEX_H
#define WENGERT_OPS_INDEX_H
#include "../base.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Indices are i64 or i32 (else WG_EDTYPE), of any strides. One out of range raises WG_EINDEX,
 * naming it, its place and the size: "embedding: i at (2) is 5, out of range for size 5". Negative
 * ones are out of range, except in wg_index_put and wg_index_get, where they count from the end, as
 * in PyTorch. Sums are made in the order of the indices, without atomics: the same bits for any
 * number of threads; 16-bit floats add in f32 and are rounded once. */

/** y[..., :] = w[i[...], :]. w: (V, C) any dtype, i: (...) -> (..., C), f32 of w in blocks. dw = sum
 * of dy over the places of an index. */
WG_API wg_tensor *wg_embedding(wg_tensor *w, wg_tensor *i);
/** y[.., k, ..] = x[.., i[k], ..] along axis. x: any dtype, i: (n) -> x's shape with n along axis.
 * dx = sum of dy over the places of an index. */
WG_API wg_tensor *wg_index_select(wg_tensor *x, int axis, wg_tensor *i);
/** y = x, y[.., i[k], ..] += src[.., k, ..] along axis. x: any dtype but bool, i: (n), src: x's
 * dtype and shape with n along axis. dx = dy, dsrc = index_select(dy, axis, i). */
WG_API wg_tensor *wg_index_add(wg_tensor *x, int axis, wg_tensor *i, wg_tensor *src);
/** y[a, b, c] = x[a, i[a, b, c], c] for axis 1. x: any dtype, i: as many axes, no larger than x but
 * along axis -> i's shape. dx = dy scattered and added. */
WG_API wg_tensor *wg_gather(wg_tensor *x, int axis, wg_tensor *i);
/** y = x, y[a, i[a, b, c], c] += src[a, b, c] for axis 1. x: any dtype but bool, i: as many axes,
 * no larger than src, nor than x but along axis; src: x's dtype. dx = dy, dsrc = gather(dy, axis,
 * i), 0 where src is larger than i. */
WG_API wg_tensor *wg_scatter_add(wg_tensor *x, int axis, wg_tensor *i, wg_tensor *src);
/** y[b, :] = x[i0[b], i1[b], .., :]: 1 to ndim index tensors, broadcast to a common shape (B), for
 * the leading axes of x -> (B, the other axes). PyTorch's x[i, j]. dx = dy added at the places. */
WG_API wg_tensor *wg_index_get(wg_tensor *x, wg_list i);
/** y = x with y[i0[b], i1[b], .., :] = values[b, :], or += if accumulate; indices as in
 * wg_index_get. values: x's dtype, broadcast to (B, the other axes); a 0-d one is cast. Of several
 * writes to a place the last b (row-major) wins, and it alone gets a gradient; with accumulate all
 * add up. dx = dy, 0 where written; dvalues = dy at the places. */
WG_API wg_tensor *wg_index_put(wg_tensor *x, wg_list i, wg_tensor *values, bool accumulate);
/** The places of elements that are not 0, in row-major order: (n, ndim) i64. Raises WG_EDEVICE on
 * meta. No gradient. */
WG_API wg_tensor *wg_nonzero(wg_tensor *x);

#ifdef __cplusplus
}
#endif
#define wg_embedding(...) WG_HERE(wg_embedding(__VA_ARGS__))
#define wg_index_select(...) WG_HERE(wg_index_select(__VA_ARGS__))
#define wg_index_add(...) WG_HERE(wg_index_add(__VA_ARGS__))
#define wg_gather(...) WG_HERE(wg_gather(__VA_ARGS__))
#define wg_scatter_add(...) WG_HERE(wg_scatter_add(__VA_ARGS__))
#define wg_index_get(...) WG_HERE(wg_index_get(__VA_ARGS__))
#define wg_index_put(...) WG_HERE(wg_index_put(__VA_ARGS__))
#define wg_nonzero(...) WG_HERE(wg_nonzero(__VA_ARGS__))
#endif
