/* Tensors from nothing: constants, ranges, random numbers. On the current device; floating ones of the current dtype. On
 * meta they have no data. They have no gradient.
 *
 * Random numbers are made of words of Philox 4x32-10 (Salmon et al. 2011) under the thread's generator: element i, counted in
 * row-major order, takes word i (or 2i and 2i + 1) from where the generator stands, which then moves on. The result depends
 * on nothing else: not on threads, not on the device (rand and randint: the same bits; randn: to 2 ulp). */
#ifndef WENGERT_OPS_MAKE_H
#define WENGERT_OPS_MAKE_H
#include "../base.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Uninitialised memory. t = 0: the current dtype. WG_ESHAPE for an invalid or too large shape, as of all below. */
WG_API wg_tensor *wg_empty(wg_dims shape, wg_dtype t);
/** 0 everywhere, in the current dtype. */
WG_API wg_tensor *wg_zeros(wg_dims shape);
/** 1 everywhere. */
WG_API wg_tensor *wg_ones(wg_dims shape);
/** value everywhere, rounded to the current dtype. */
WG_API wg_tensor *wg_full(wg_dims shape, double value);
/** 0 everywhere, with the shape, dtype and device of x. */
WG_API wg_tensor *wg_zeros_like(wg_tensor *x);
/** 1 everywhere, like x. */
WG_API wg_tensor *wg_ones_like(wg_tensor *x);
/** value everywhere, like x. */
WG_API wg_tensor *wg_full_like(wg_tensor *x, double value);
/** An operand: 0-d, takes the other operand's dtype and device. With integers it must be whole (WG_EDTYPE). By
 *  itself: f64 on the CPU. */
WG_API wg_tensor *wg_scalar(double value);
/** start, start + 1, ... below stop: (max(0, stop - start)) i64. */
WG_API wg_tensor *wg_arange(int64_t start, int64_t stop);
/** start + k step below stop (above, for a negative step): (ceil((stop - start) / step)) of the current dtype,
 *  computed in f64. WG_EARG for a step of 0 and for what is not finite. */
WG_API wg_tensor *wg_arange_step(double start, double stop, double step);
/** n values from start to stop, both included, evenly spaced: (n) of the current dtype, computed in f64 from the
 *  nearer end. WG_EARG for n < 0 and for what is not finite. */
WG_API wg_tensor *wg_linspace(double start, double stop, int64_t n);
/** (n, n): 1 on the diagonal, else 0. */
WG_API wg_tensor *wg_eye(int64_t n);
/** Uniform in [0, 1), of the current dtype: 24 bits of word i for f32, 53 bits of words 2i, 2i + 1 for f64, 8 for
 *  bf16, 11 for f16. */
WG_API wg_tensor *wg_rand(wg_dims shape);
/** Normal, mean 0, variance 1 (Box and Muller 1958): values 2j, 2j + 1 from words 2j, 2j + 1 as u = (w + 1) 2^-32 and
 *  v = w 2^-32, sqrt(-2 ln u) times cos, sin of 2 pi v; f64 by libm, other dtypes from f32 within 4 ulp. |y| <= 6.7. */
WG_API wg_tensor *wg_randn(wg_dims shape);
/** Integers in [low, high), i64, from word i. WG_EARG if low >= high. */
WG_API wg_tensor *wg_randint(int64_t low, int64_t high, wg_dims shape);
/** 1 with probability p, else 0: p (...) float -> the same shape and dtype. Its gradient is zero. WG_EARG for a p
 *  outside [0, 1] or NaN. */
WG_API wg_tensor *wg_bernoulli(wg_tensor *p);
/** n draws with replacement from rows of weights (>= 0, any sum): p (..., V) float -> (..., n) i64, by the inverse
 *  of the cumulated weights in f64. WG_EARG for a row with a negative or infinite weight or NaN, or without a
 *  positive one. */
WG_API wg_tensor *wg_multinomial(wg_tensor *p, int64_t n);
/** 1 where c = i, else 0: i (...) of integers -> (..., classes) i64. No gradient. WG_EINDEX for an i outside [0,
 *  classes), WG_EARG for classes < 1. */
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
