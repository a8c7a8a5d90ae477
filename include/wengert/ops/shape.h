/* Views where possible; a view shares data and copies nothing. */
#ifndef WENGERT_OPS_SHAPE_H
#define WENGERT_OPS_SHAPE_H
#include "../base.h"
#ifdef __cplusplus
extern "C" {
#endif

WG_API wg_tensor *wg_reshape(wg_tensor *x, wg_dims shape);
WG_API wg_tensor *wg_view(wg_tensor *x, wg_dims shape);
WG_API wg_tensor *wg_flatten(wg_tensor *x, int first, int last);
WG_API wg_tensor *wg_transpose(wg_tensor *x, int a, int b);
WG_API wg_tensor *wg_permute(wg_tensor *x, wg_dims axes);
WG_API wg_tensor *wg_squeeze(wg_tensor *x, wg_dims axes);
WG_API wg_tensor *wg_unsqueeze(wg_tensor *x, int axis);
WG_API wg_tensor *wg_expand(wg_tensor *x, wg_dims shape);
WG_API wg_tensor *wg_narrow(wg_tensor *x, int axis, int64_t start, int64_t length);
WG_API wg_tensor *wg_select(wg_tensor *x, int axis, int64_t i);
WG_API wg_tensor *wg_slice(wg_tensor *x, int axis, int64_t start, int64_t stop, int64_t step);
WG_API wg_tensor *wg_unfold(wg_tensor *x, int axis, int64_t size, int64_t step);
WG_API wg_tensor *wg_flip(wg_tensor *x, wg_dims axes);
WG_API wg_tensor *wg_roll(wg_tensor *x, int64_t shift, int axis);
WG_API wg_tensor *wg_cat(wg_list x, int axis);
WG_API wg_tensor *wg_stack(wg_list x, int axis);
WG_API void wg_split(wg_tensor *x, wg_dims sizes, int axis, wg_tensor **out);
WG_API wg_list wg_chunk(wg_tensor *x, int64_t chunks, int axis);
WG_API wg_tensor *wg_repeat(wg_tensor *x, wg_dims times);
WG_API wg_tensor *wg_pad(wg_tensor *x, wg_dims before, wg_dims after, double value);
WG_API wg_tensor *wg_tril(wg_tensor *x, int64_t diagonal);
WG_API wg_tensor *wg_triu(wg_tensor *x, int64_t diagonal);
WG_API wg_tensor *wg_contiguous(wg_tensor *x);
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
