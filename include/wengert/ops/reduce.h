/* Over axes (negative: from the end; WG_ALL: all), and along one axis. */
#ifndef WENGERT_OPS_REDUCE_H
#define WENGERT_OPS_REDUCE_H
#include "../base.h"
#ifdef __cplusplus
extern "C" {
#endif

WG_API wg_tensor *wg_sum(wg_tensor *x, wg_dims axes, bool keepdim);
WG_API wg_tensor *wg_sum_to(wg_tensor *x, wg_dims shape);
WG_API wg_tensor *wg_mean(wg_tensor *x, wg_dims axes, bool keepdim);
WG_API wg_tensor *wg_max(wg_tensor *x, wg_dims axes, bool keepdim);
WG_API wg_tensor *wg_min(wg_tensor *x, wg_dims axes, bool keepdim);
WG_API wg_tensor *wg_argmax(wg_tensor *x, wg_dims axes, bool keepdim);
WG_API wg_tensor *wg_argmin(wg_tensor *x, wg_dims axes, bool keepdim);
WG_API wg_tensor *wg_logsumexp(wg_tensor *x, wg_dims axes, bool keepdim);
WG_API wg_tensor *wg_norm(wg_tensor *x, double p, wg_dims axes, bool keepdim);
WG_API wg_tensor *wg_prod(wg_tensor *x, wg_dims axes, bool keepdim);
WG_API wg_tensor *wg_any(wg_tensor *x, wg_dims axes, bool keepdim);
WG_API wg_tensor *wg_all(wg_tensor *x, wg_dims axes, bool keepdim);
WG_API wg_tensor *wg_cumsum(wg_tensor *x, int axis);
WG_API wg_tensor *wg_topk(wg_tensor *x, int64_t k, int axis, wg_tensor **indices);
WG_API wg_tensor *wg_sort(wg_tensor *x, int axis, bool descending, wg_tensor **indices);
WG_API wg_tensor *wg_argsort(wg_tensor *x, int axis, bool descending);
typedef struct {
    wg_tensor *x;
    wg_dims axes;
    bool keepdim;
    wg_maybe correction;
    char end;
} wg_var_args;
WG_API wg_tensor *wg_var_call(wg_var_args a);

typedef struct {
    wg_tensor *x;
    wg_dims axes;
    bool keepdim;
    wg_maybe correction;
    char end;
} wg_std_args;
WG_API wg_tensor *wg_std_call(wg_std_args a);


#ifdef __cplusplus
}
#endif
#define wg_sum(...) WG_HERE(wg_sum(__VA_ARGS__))
#define wg_sum_to(...) WG_HERE(wg_sum_to(__VA_ARGS__))
#define wg_mean(...) WG_HERE(wg_mean(__VA_ARGS__))
#define wg_max(...) WG_HERE(wg_max(__VA_ARGS__))
#define wg_min(...) WG_HERE(wg_min(__VA_ARGS__))
#define wg_argmax(...) WG_HERE(wg_argmax(__VA_ARGS__))
#define wg_argmin(...) WG_HERE(wg_argmin(__VA_ARGS__))
#define wg_logsumexp(...) WG_HERE(wg_logsumexp(__VA_ARGS__))
#define wg_norm(...) WG_HERE(wg_norm(__VA_ARGS__))
#define wg_prod(...) WG_HERE(wg_prod(__VA_ARGS__))
#define wg_any(...) WG_HERE(wg_any(__VA_ARGS__))
#define wg_all(...) WG_HERE(wg_all(__VA_ARGS__))
#define wg_cumsum(...) WG_HERE(wg_cumsum(__VA_ARGS__))
#define wg_topk(...) WG_HERE(wg_topk(__VA_ARGS__))
#define wg_sort(...) WG_HERE(wg_sort(__VA_ARGS__))
#define wg_argsort(...) WG_HERE(wg_argsort(__VA_ARGS__))
#define wg_var(...) WG_HERE(wg_var_call(WG_ARGS(wg_var_args, __VA_ARGS__)))
#define wg_std(...) WG_HERE(wg_std_call(WG_ARGS(wg_std_args, __VA_ARGS__)))
#endif
