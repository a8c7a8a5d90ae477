/* Tensors with other shapes. Views where possible: a view shares data and copies nothing. Axes may
 * be negative (from the end); gradients exist to every order. Every function returns the error
 * tensor when it fails. */
#ifndef WENGERT_OPS_SHAPE_H
#define WENGERT_OPS_SHAPE_H
#include "../base.h"
#ifdef __cplusplus
extern "C" {
#endif

/** x's elements, in row-major order, under another shape; one size may be -1: what is left. A view
 * of x where its strides allow it, a copy elsewhere. WG_ESHAPE if the elements do not fit. */
WG_API wg_tensor *wg_reshape(wg_tensor *x, wg_dims shape);
/** wg_reshape that never copies: WG_ESHAPE where a copy would be needed. */
WG_API wg_tensor *wg_view(wg_tensor *x, wg_dims shape);
/** Axes first .. last as one. A 0-d x becomes (1). WG_EINDEX, WG_EARG if first comes after last. */
WG_API wg_tensor *wg_flatten(wg_tensor *x, int first, int last);
/** A view with axes a and b exchanged. WG_EINDEX. */
WG_API wg_tensor *wg_transpose(wg_tensor *x, int a, int b);
/** A view whose axis k is x's axis axes[k]. WG_EARG unless every axis is named once. */
WG_API wg_tensor *wg_permute(wg_tensor *x, wg_dims axes);
/** A view without those of the named axes (WG_ALL: of all) that have size 1. WG_EINDEX. */
WG_API wg_tensor *wg_squeeze(wg_tensor *x, wg_dims axes);
/** A view with a new axis of size 1 at `axis`, in [-ndim - 1, ndim]. WG_EINDEX, WG_ESHAPE beyond 8
 * dimensions. */
WG_API wg_tensor *wg_unsqueeze(wg_tensor *x, int axis);
/** A view that repeats axes of size 1 and new leading axes, by strides of 0; a size of -1 keeps
 * x's. The view cannot be written. WG_ESHAPE if x does not broadcast to the shape. */
WG_API wg_tensor *wg_expand(wg_tensor *x, wg_dims shape);
/** A view of `length` elements of an axis from start (negative: from the end) on. WG_EINDEX outside
 * of x. */
WG_API wg_tensor *wg_narrow(wg_tensor *x, int axis, int64_t start, int64_t length);
/** A view of element i (negative: from the end) of an axis, without that axis. WG_EINDEX outside of
 * x. */
WG_API wg_tensor *wg_select(wg_tensor *x, int axis, int64_t i);
/** A view of x[start:stop:step] along axis, with Python's rules: negative from the end, then
 * clamped (INT64_MAX: to the end). WG_EARG for a step below 1. */
WG_API wg_tensor *wg_slice(wg_tensor *x, int axis, int64_t start, int64_t stop, int64_t step);
/** A view of the windows along an axis: (.., L, ..) -> (.., (L - size) / step + 1, .., size),
 * overlapping if step < size. WG_EARG for a size above L or a step below 1. */
WG_API wg_tensor *wg_unfold(wg_tensor *x, int axis, int64_t size, int64_t step);
/** A copy with the order along the axes reversed. WG_EINDEX, WG_EARG for an axis named twice. */
WG_API wg_tensor *wg_flip(wg_tensor *x, wg_dims axes);
/** A copy moved by shift along axis; what leaves at one end enters at the other. WG_EINDEX. */
WG_API wg_tensor *wg_roll(wg_tensor *x, int64_t shift, int axis);
/** Tensors side by side along axis; shapes equal but there, dtypes promoted. WG_ESHAPE, WG_EARG for
 * no tensors. */
WG_API wg_tensor *wg_cat(wg_list x, int axis);
/** Tensors of one shape along a new axis. Errors as wg_cat. */
WG_API wg_tensor *wg_stack(wg_list x, int axis);
/** out[i]: views of sizes[i] consecutive elements of the axis (at most 8; wg_chunk makes more).
 * WG_ESHAPE unless the sizes sum to the axis. On failure every out[i] is the error tensor. */
WG_API void wg_split(wg_tensor *x, wg_dims sizes, int axis, wg_tensor **out);
/** Views of ceil(size / chunks) consecutive elements each, the last shorter; there may be fewer
 * than `chunks`. The list lives as long as the innermost scope; empty on failure. WG_EARG for
 * chunks below 1. */
WG_API wg_list wg_chunk(wg_tensor *x, int64_t chunks, int axis);
/** x laid side by side times[a] times along each axis; times may have more entries than x has axes,
 * for new leading ones. WG_EARG for fewer or negative ones. */
WG_API wg_tensor *wg_repeat(wg_tensor *x, wg_dims times);
/** A copy with before[k] elements of `value` in front of and after[k] behind x's last axes, which
 * are as many as before and after have entries; negative counts cut off. WG_EARG, WG_ESHAPE if more
 * is cut than there is. */
WG_API wg_tensor *wg_pad(wg_tensor *x, wg_dims before, wg_dims after, double value);
/** x[.., i, j] where j - i <= diagonal, else 0. x: (.., m, n). WG_ESHAPE. */
WG_API wg_tensor *wg_tril(wg_tensor *x, int64_t diagonal);
/** x[.., i, j] where j - i >= diagonal, else 0. x: (.., m, n). WG_ESHAPE. */
WG_API wg_tensor *wg_triu(wg_tensor *x, int64_t diagonal);
/** x itself if its elements lie in row-major order without gaps, else a copy that does. */
WG_API wg_tensor *wg_contiguous(wg_tensor *x);
/** Another handle on the same data, with x as its history. */
WG_API wg_tensor *wg_alias(wg_tensor *x);

#ifdef __cplusplus
}
#endif
#define wg_reshape(...) WG_HERE(wg_reshape(__VA_ARGS__))
#define wg_view(...) WG_HERE(wg_view(__VA_ARGS__))
#define wg_flatten(...) WG_HERE(wg_flatten(__VA_ARGS__))
#define wg_transpose(...) WG_HERE(wg_transpose(__VA_ARGS__))
#define wg_permute(...) WG_HERE(wg_permute(__VA_ARGS__))
#define wg_squeeze(...) WG_HERE(wg_squeeze(__VA_ARGS__))
#define wg_unsqueeze(...) WG_HERE(wg_unsqueeze(__VA_ARGS__))
#define wg_expand(...) WG_HERE(wg_expand(__VA_ARGS__))
#define wg_narrow(...) WG_HERE(wg_narrow(__VA_ARGS__))
#define wg_select(...) WG_HERE(wg_select(__VA_ARGS__))
#define wg_slice(...) WG_HERE(wg_slice(__VA_ARGS__))
#define wg_unfold(...) WG_HERE(wg_unfold(__VA_ARGS__))
#define wg_flip(...) WG_HERE(wg_flip(__VA_ARGS__))
#define wg_roll(...) WG_HERE(wg_roll(__VA_ARGS__))
#define wg_cat(...) WG_HERE(wg_cat(__VA_ARGS__))
#define wg_stack(...) WG_HERE(wg_stack(__VA_ARGS__))
#define wg_split(...) WG_HERE(wg_split(__VA_ARGS__))
#define wg_chunk(...) WG_HERE(wg_chunk(__VA_ARGS__))
#define wg_repeat(...) WG_HERE(wg_repeat(__VA_ARGS__))
#define wg_pad(...) WG_HERE(wg_pad(__VA_ARGS__))
#define wg_tril(...) WG_HERE(wg_tril(__VA_ARGS__))
#define wg_triu(...) WG_HERE(wg_triu(__VA_ARGS__))
#define wg_contiguous(...) WG_HERE(wg_contiguous(__VA_ARGS__))
#define wg_alias(...) WG_HERE(wg_alias(__VA_ARGS__))
#endif
