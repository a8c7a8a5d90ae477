/* Reading and writing by indices (i64 or i32). */
#ifndef WENGERT_OPS_INDEX_H
#define WENGERT_OPS_INDEX_H
#include "../base.h"
#ifdef __cplusplus
extern "C" {
#endif

WG_API wg_tensor *wg_embedding(wg_tensor *w, wg_tensor *i);
WG_API wg_tensor *wg_index_select(wg_tensor *x, int axis, wg_tensor *i);
WG_API wg_tensor *wg_index_add(wg_tensor *x, int axis, wg_tensor *i, wg_tensor *src);
WG_API wg_tensor *wg_gather(wg_tensor *x, int axis, wg_tensor *i);
WG_API wg_tensor *wg_scatter_add(wg_tensor *x, int axis, wg_tensor *i, wg_tensor *src);
WG_API wg_tensor *wg_index_get(wg_tensor *x, wg_list i);
WG_API wg_tensor *wg_index_put(wg_tensor *x, wg_list i, wg_tensor *values, bool accumulate);
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
