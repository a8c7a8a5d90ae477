/* Tensors from nothing: constants, ranges, random numbers. On the current device; floating ones of the current dtype. */
#ifndef WENGERT_OPS_MAKE_H
#define WENGERT_OPS_MAKE_H
#include "../base.h"
#ifdef __cplusplus
extern "C" {
#endif

WG_API wg_tensor *wg_empty(wg_dims shape, wg_dtype t);
WG_API wg_tensor *wg_zeros(wg_dims shape);
WG_API wg_tensor *wg_ones(wg_dims shape);
WG_API wg_tensor *wg_full(wg_dims shape, double value);
WG_API wg_tensor *wg_zeros_like(wg_tensor *x);
WG_API wg_tensor *wg_ones_like(wg_tensor *x);
WG_API wg_tensor *wg_full_like(wg_tensor *x, double value);
WG_API wg_tensor *wg_scalar(double value);
WG_API wg_tensor *wg_arange(int64_t start, int64_t stop);
WG_API wg_tensor *wg_arange_step(double start, double stop, double step);
WG_API wg_tensor *wg_linspace(double start, double stop, int64_t n);
WG_API wg_tensor *wg_eye(int64_t n);
WG_API wg_tensor *wg_rand(wg_dims shape);
WG_API wg_tensor *wg_randn(wg_dims shape);
WG_API wg_tensor *wg_randint(int64_t low, int64_t high, wg_dims shape);
WG_API wg_tensor *wg_bernoulli(wg_tensor *p);
WG_API wg_tensor *wg_multinomial(wg_tensor *p, int64_t n);
WG_API wg_tensor *wg_one_hot(wg_tensor *i, int64_t classes);

#ifdef __cplusplus
}
#endif
#define wg_empty(...) WG_HERE(wg_empty(__VA_ARGS__))
#define wg_zeros(...) WG_HERE(wg_zeros(__VA_ARGS__))
#define wg_ones(...) WG_HERE(wg_ones(__VA_ARGS__))
#define wg_full(...) WG_HERE(wg_full(__VA_ARGS__))
#define wg_zeros_like(...) WG_HERE(wg_zeros_like(__VA_ARGS__))
#define wg_ones_like(...) WG_HERE(wg_ones_like(__VA_ARGS__))
#define wg_full_like(...) WG_HERE(wg_full_like(__VA_ARGS__))
#define wg_scalar(...) WG_HERE(wg_scalar(__VA_ARGS__))
#define wg_arange(...) WG_HERE(wg_arange(__VA_ARGS__))
#define wg_arange_step(...) WG_HERE(wg_arange_step(__VA_ARGS__))
#define wg_linspace(...) WG_HERE(wg_linspace(__VA_ARGS__))
#define wg_eye(...) WG_HERE(wg_eye(__VA_ARGS__))
#define wg_rand(...) WG_HERE(wg_rand(__VA_ARGS__))
#define wg_randn(...) WG_HERE(wg_randn(__VA_ARGS__))
#define wg_randint(...) WG_HERE(wg_randint(__VA_ARGS__))
#define wg_bernoulli(...) WG_HERE(wg_bernoulli(__VA_ARGS__))
#define wg_multinomial(...) WG_HERE(wg_multinomial(__VA_ARGS__))
#define wg_one_hot(...) WG_HERE(wg_one_hot(__VA_ARGS__))
#endif
