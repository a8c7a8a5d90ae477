/* Over axes (negative: from the end; WG_ALL: all), and along one axis. */
#ifndef WENGERT_OPS_REDUCE_H
#define WENGERT_OPS_REDUCE_H
#include "../base.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Over axes: the result has x's shape without them, or with 1 in their places if keepdim. A
 * repeated axis raises WG_EARG, one out of range WG_EINDEX. 16-bit floats are accumulated in f32
 * and rounded once. The elements are cut into blocks of a fixed size that are joined pairwise: the
 * same bits for any number of threads. */

/** y = sum x. Any dtype; integers and bool give i64. Over nothing: 0. dx = dy, repeated. */
WG_API wg_tensor *wg_sum(wg_tensor *x, wg_dims axes, bool keepdim);
/** y = x summed down to `shape`, which must broadcast to x's (else WG_ESHAPE): undoes a broadcast.
 * dx = dy, expanded. */
WG_API wg_tensor *wg_sum_to(wg_tensor *x, wg_dims shape);
/** y = sum x / n. Floating (else WG_EDTYPE). Over nothing: NaN. dx = dy / n, repeated. */
WG_API wg_tensor *wg_mean(wg_tensor *x, wg_dims axes, bool keepdim);
/** y = the greatest element, NaN if there is one. Any dtype. Over nothing: WG_ESHAPE. dy is shared
 * equally among the elements that are equal to y, as by PyTorch's amax. */
WG_API wg_tensor *wg_max(wg_tensor *x, wg_dims axes, bool keepdim);
/** y = the smallest element, otherwise as wg_max. */
WG_API wg_tensor *wg_min(wg_tensor *x, wg_dims axes, bool keepdim);
/** y = the place of the greatest element, i64, counted in row-major order over the reduced axes:
 * the first one of equal ones, that of the first NaN if there is one. Any dtype. Over nothing:
 * WG_ESHAPE. No gradient. */
WG_API wg_tensor *wg_argmax(wg_tensor *x, wg_dims axes, bool keepdim);
/** y = the place of the smallest element, otherwise as wg_argmax. */
WG_API wg_tensor *wg_argmin(wg_tensor *x, wg_dims axes, bool keepdim);
/** y = log sum exp x, as m + log sum exp(x - m), m the maximum. Floating (else WG_EDTYPE). -inf
 * over nothing and over -inf alone. dx = dy exp(x - y). */
WG_API wg_tensor *wg_logsumexp(wg_tensor *x, wg_dims axes, bool keepdim);
/** y = (sum |x|^p)^(1/p); p = 0 counts elements that are not 0, p = INFINITY (-INFINITY) takes the
 * greatest (smallest) |x|. Floating (else WG_EDTYPE); a NaN for p raises WG_EARG. Over nothing: 0.
 * dx = dy sign(x) (|x| / y)^(p-1), 0 where y is 0; for p = +-inf shared equally among equal ones; 0
 * for p = 0. */
WG_API wg_tensor *wg_norm(wg_tensor *x, double p, wg_dims axes, bool keepdim);
/** y = product of x. Any dtype; integers and bool give i64 (which wraps). Over nothing: 1. dx_i =
 * dy times the other elements, also where some are 0, at any order. */
WG_API wg_tensor *wg_prod(wg_tensor *x, wg_dims axes, bool keepdim);
/** y = whether any element is not 0 (NaN is not), bool. Any dtype. Over nothing: false. */
WG_API wg_tensor *wg_any(wg_tensor *x, wg_dims axes, bool keepdim);
/** y = whether all elements are not 0 (NaN is not), bool. Any dtype. Over nothing: true. */
WG_API wg_tensor *wg_all(wg_tensor *x, wg_dims axes, bool keepdim);

typedef struct {
    wg_tensor *x;
    wg_dims axes; /**< all unless given */
    bool keepdim;
    wg_maybe correction; /**< Bessel's 1 unless given; WG_JUST(0): the population's */
    char end;
} wg_var_args;
/** y = sum (x - mean)^2 / max(0, n - correction), in two passes. Floating (else WG_EDTYPE).
 * dx = 2 dy (x - mean) / (n - correction). */
WG_API wg_tensor *wg_var_call(wg_var_args a);

typedef struct {
    wg_tensor *x;
    wg_dims axes; /**< all unless given */
    bool keepdim;
    wg_maybe correction; /**< Bessel's 1 unless given; WG_JUST(0): the population's */
    char end;
} wg_std_args;
/** y = the root of wg_var. dx = dy (x - mean) / ((n - correction) y), 0 where y is 0. */
WG_API wg_tensor *wg_std_call(wg_std_args a);

/* Along one axis of x; out of range: WG_EINDEX. A 0-d x counts as one element. */

/** y[k] = x[0] + ... + x[k], x's shape. Any dtype; integers and bool give i64. Accumulated in f64.
 * dx = the running sum of dy from the end. */
WG_API wg_tensor *wg_cumsum(wg_tensor *x, int axis);
/** The k largest elements, the largest first, and (unless NULL) their indices, i64. Any dtype. Of
 * equal ones the lower index comes first; NaNs count as the largest. WG_EARG unless 0 <= k <= size.
 * dx = dy scattered to the indices. */
WG_API wg_tensor *wg_topk(wg_tensor *x, int64_t k, int axis, wg_tensor **indices);
/** x sorted, and (unless NULL) where the elements were, i64: y = gather(x, axis, indices). Any
 * dtype. Stable: equal ones keep their order. NaNs are last in either direction. dx = dy scattered
 * to the indices. */
WG_API wg_tensor *wg_sort(wg_tensor *x, int axis, bool descending, wg_tensor **indices);
/** wg_sort's indices alone. */
WG_API wg_tensor *wg_argsort(wg_tensor *x, int axis, bool descending);

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
