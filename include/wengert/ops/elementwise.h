/* One result per element.
 *
 * Shapes: unary ops take any shape (...) and give the same; ops of two or three broadcast as NumPy does, WG_ESHAPE if the
 * shapes do not fit. Any strides. Results are new and contiguous.
 * Dtypes: floats give the same float; unary ops take integers as the current dtype unless "numbers of any dtype" is said.
 * Ops of two promote: the wider float; bf16 with f16 is f32; integer with float is the float; wg_scalar and 0-d tensors
 * never widen. 16-bit floats are computed in f32 and rounded once, f64 by libm. Integers wrap around.
 * Devices: all inputs on one (WG_EDEVICE); wg_scalar goes with any.
 * Gradients of broadcast inputs are summed to their shape. Errors in ulp are of f32, over its whole range. */
#ifndef WENGERT_OPS_ELEMENTWISE_H
#define WENGERT_OPS_ELEMENTWISE_H
#include "../base.h"
#ifdef __cplusplus
extern "C" {
#endif

/** y = -x. Numbers of any dtype (integers wrap around; not bool); the same dtype. dx = -dy. */
WG_API wg_tensor *wg_neg(wg_tensor *x);
/** y = |x|. Numbers of any dtype. dx = dy sign(x): 0 at 0. */
WG_API wg_tensor *wg_abs(wg_tensor *x);
/** y = -1, 0 or 1 by the sign of x; 0 for NaN. Numbers of any dtype. Its gradient is zero. */
WG_API wg_tensor *wg_sign(wg_tensor *x);
/** y = e^x. f32: 1.1 ulp. dx = dy y. */
WG_API wg_tensor *wg_exp(wg_tensor *x);
/** y = e^x - 1, exact near 0. f32: 1.6 ulp. dx = dy (y + 1). */
WG_API wg_tensor *wg_expm1(wg_tensor *x);
/** y = ln x: -inf at 0, NaN below. f32: 0.8 ulp. dx = dy / x. */
WG_API wg_tensor *wg_log(wg_tensor *x);
/** y = ln(1 + x), exact near 0. f32: 0.9 ulp. dx = dy / (1 + x). */
WG_API wg_tensor *wg_log1p(wg_tensor *x);
/** y = sqrt(x), correctly rounded. dx = dy / (2 y). */
WG_API wg_tensor *wg_sqrt(wg_tensor *x);
/** y = 1 / sqrt(x). dx = -dy y^3 / 2. */
WG_API wg_tensor *wg_rsqrt(wg_tensor *x);
/** y = x^2. Numbers of any dtype. dx = 2 x dy. */
WG_API wg_tensor *wg_square(wg_tensor *x);
/** y = 1 / x. dx = -dy y^2. */
WG_API wg_tensor *wg_reciprocal(wg_tensor *x);
/** y = sin x. dx = dy cos x. */
WG_API wg_tensor *wg_sin(wg_tensor *x);
/** y = cos x. dx = -dy sin x. */
WG_API wg_tensor *wg_cos(wg_tensor *x);
/** y = tanh x. f32: 1.2 ulp. dx = dy (1 - y^2). */
WG_API wg_tensor *wg_tanh(wg_tensor *x);
/** y = 1 / (1 + e^-x), without overflow. f32: 2.2 ulp. dx = dy y (1 - y). */
WG_API wg_tensor *wg_sigmoid(wg_tensor *x);
/** y = ln(1 + e^x) = max(x, 0) + log1p(e^-|x|). f32: 1.6 ulp. dx = dy sigmoid(x). */
WG_API wg_tensor *wg_softplus(wg_tensor *x);
/** y = max(x, 0); NaN stays. Numbers of any dtype. dx = dy where y > 0, else 0. */
WG_API wg_tensor *wg_relu(wg_tensor *x);
/** y = x where x > 0, else slope x. dx = dy where x > 0, else slope dy. */
WG_API wg_tensor *wg_leaky_relu(wg_tensor *x, double slope);
/** y = x where x > 0, else alpha (e^x - 1). dx = dy where x > 0, else dy alpha e^x. Clevert et al.,
 *  arXiv:1511.07289. */
WG_API wg_tensor *wg_elu(wg_tensor *x, double alpha);
/** y = x P(x), P the normal distribution function; tanh_form: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))),
 *  GPT-2's. f32: within 2e-7 |x|. dx = dy y'(x). Hendrycks & Gimpel, arXiv:1606.08415. */
WG_API wg_tensor *wg_gelu(wg_tensor *x, bool tanh_form);
/** y = x sigmoid(x). f32: 2.7 ulp. dx = dy s (1 + x (1 - s)), s = sigmoid(x). Elfwing et al., arXiv:1702.03118. */
WG_API wg_tensor *wg_silu(wg_tensor *x);
/** y = 2/sqrt(pi) times the integral of e^-t^2 from 0 to x. f32: 1.2 ulp. dx = dy 2/sqrt(pi) e^-x^2. */
WG_API wg_tensor *wg_erf(wg_tensor *x);
/** y = the largest integer <= x, in x's dtype. Numbers of any dtype. Its gradient is zero. */
WG_API wg_tensor *wg_floor(wg_tensor *x);
/** y = the nearest integer, halves to even, in x's dtype. Numbers of any dtype. Its gradient is zero. */
WG_API wg_tensor *wg_round(wg_tensor *x);
/** y = min(max(x, low), high); NaN stays; +-INFINITY is no limit. Numbers of any dtype. dx = dy where low <= x <=
 *  high, else 0. WG_EARG for a NaN limit, or for one that is not whole on integers. */
WG_API wg_tensor *wg_clamp(wg_tensor *x, double low, double high);
/** y = a x + b, a float. dx = a dy. */
WG_API wg_tensor *wg_affine(wg_tensor *x, double a, double b);
/** z = x + y. The gradients are dz and dz. Of bools: or. */
WG_API wg_tensor *wg_add(wg_tensor *x, wg_tensor *y);
/** z = x - y. The gradients are dz and -dz. WG_EDTYPE for bools. */
WG_API wg_tensor *wg_sub(wg_tensor *x, wg_tensor *y);
/** z = x y. The gradients are dz y and dz x. Of bools: and. */
WG_API wg_tensor *wg_mul(wg_tensor *x, wg_tensor *y);
/** z = x / y; of integers: true division, in the current dtype. The gradients are dz / y and -(dz / y) (x / y). */
WG_API wg_tensor *wg_div(wg_tensor *x, wg_tensor *y);
/** z = x^y. Integers: wrapping products; a negative power is the reciprocal cut to an integer. The gradients are dz
 *  y x^(y-1), 0 where y = 0, and dz x^y ln x, 0 where x = 0 <= y. */
WG_API wg_tensor *wg_pow(wg_tensor *x, wg_tensor *y);
/** z = the larger; NaN if either is. dz goes to the one taken, half to each at a tie. */
WG_API wg_tensor *wg_maximum(wg_tensor *x, wg_tensor *y);
/** z = the smaller; NaN if either is. dz goes to the one taken, half to each at a tie. */
WG_API wg_tensor *wg_minimum(wg_tensor *x, wg_tensor *y);
/** z = floor(x / y), as Python's //. Its gradient is zero. WG_EARG for an integer divided by zero. */
WG_API wg_tensor *wg_floor_divide(wg_tensor *x, wg_tensor *y);
/** z = x - y floor(x / y), with the sign of y, as Python's %. The gradients are dz and -dz floor(x / y). WG_EARG
 *  for an integer divided by zero. */
WG_API wg_tensor *wg_remainder(wg_tensor *x, wg_tensor *y);
/** z = x == y, compared in the promoted type -> bool. No gradient, as of all comparisons. */
WG_API wg_tensor *wg_eq(wg_tensor *x, wg_tensor *y);
/** z = x != y -> bool; true for NaN. */
WG_API wg_tensor *wg_ne(wg_tensor *x, wg_tensor *y);
/** z = x < y -> bool. */
WG_API wg_tensor *wg_lt(wg_tensor *x, wg_tensor *y);
/** z = x <= y -> bool. */
WG_API wg_tensor *wg_le(wg_tensor *x, wg_tensor *y);
/** z = x > y -> bool. */
WG_API wg_tensor *wg_gt(wg_tensor *x, wg_tensor *y);
/** z = x >= y -> bool. */
WG_API wg_tensor *wg_ge(wg_tensor *x, wg_tensor *y);
/** z = x and y, of any dtype, nonzero being true -> bool. No gradient. */
WG_API wg_tensor *wg_logical_and(wg_tensor *x, wg_tensor *y);
/** z = x or y -> bool. */
WG_API wg_tensor *wg_logical_or(wg_tensor *x, wg_tensor *y);
/** z = either but not both -> bool. */
WG_API wg_tensor *wg_logical_xor(wg_tensor *x, wg_tensor *y);
/** y = x == 0 -> bool. */
WG_API wg_tensor *wg_logical_not(wg_tensor *x);
/** y = x is neither infinite nor NaN: any dtype -> bool. No gradient. */
WG_API wg_tensor *wg_isfinite(wg_tensor *x);
/** z = x where condition (bool), else y; the three broadcast, x and y promote. dz goes where z came from. WG_EDTYPE
 *  if condition is not bool. */
WG_API wg_tensor *wg_where(wg_tensor *condition, wg_tensor *x, wg_tensor *y);
/** y = value where mask (bool, broadcast to x), else x, in x's dtype. dx = dy where not mask, else 0. WG_EDTYPE if
 *  mask is not bool, WG_ESHAPE if it is larger than x, WG_EARG if x holds integers and value does not fit. */
WG_API wg_tensor *wg_masked_fill(wg_tensor *x, wg_tensor *mask, double value);
/** y = x in dtype t; x itself if it has it. Rounded to nearest even; to integers truncated and saturated (NaN: 0);
 *  to bool x != 0; from and to blocks (to q4_0, q4_1, q5_0, q5_1, q8_0) bit for bit as ggml's reference. dx = dy in
 *  x's dtype; a cast to integers or blocks has none: what comes out requires no gradient, whatever x does.
 *  WG_EDTYPE for q2_k .. q6_k, which are only read; WG_ESHAPE if the block does not divide the last size. */
WG_API wg_tensor *wg_cast(wg_tensor *x, wg_dtype t);
/** y = x on device d; x itself if it is there. To meta the data is dropped. dx = dy on x's device. WG_EDEVICE, with
 *  the device's name, if there is none, and for data from meta. */
WG_API wg_tensor *wg_to(wg_tensor *x, wg_device d);

#ifdef __cplusplus
}
#endif
#define wg_neg(...) WG_HERE(wg_neg(__VA_ARGS__))
#define wg_abs(...) WG_HERE(wg_abs(__VA_ARGS__))
#define wg_sign(...) WG_HERE(wg_sign(__VA_ARGS__))
#define wg_exp(...) WG_HERE(wg_exp(__VA_ARGS__))
#define wg_expm1(...) WG_HERE(wg_expm1(__VA_ARGS__))
#define wg_log(...) WG_HERE(wg_log(__VA_ARGS__))
#define wg_log1p(...) WG_HERE(wg_log1p(__VA_ARGS__))
#define wg_sqrt(...) WG_HERE(wg_sqrt(__VA_ARGS__))
#define wg_rsqrt(...) WG_HERE(wg_rsqrt(__VA_ARGS__))
#define wg_square(...) WG_HERE(wg_square(__VA_ARGS__))
#define wg_reciprocal(...) WG_HERE(wg_reciprocal(__VA_ARGS__))
#define wg_sin(...) WG_HERE(wg_sin(__VA_ARGS__))
#define wg_cos(...) WG_HERE(wg_cos(__VA_ARGS__))
#define wg_tanh(...) WG_HERE(wg_tanh(__VA_ARGS__))
#define wg_sigmoid(...) WG_HERE(wg_sigmoid(__VA_ARGS__))
#define wg_softplus(...) WG_HERE(wg_softplus(__VA_ARGS__))
#define wg_relu(...) WG_HERE(wg_relu(__VA_ARGS__))
#define wg_leaky_relu(...) WG_HERE(wg_leaky_relu(__VA_ARGS__))
#define wg_elu(...) WG_HERE(wg_elu(__VA_ARGS__))
#define wg_gelu(...) WG_HERE(wg_gelu(__VA_ARGS__))
#define wg_silu(...) WG_HERE(wg_silu(__VA_ARGS__))
#define wg_erf(...) WG_HERE(wg_erf(__VA_ARGS__))
#define wg_floor(...) WG_HERE(wg_floor(__VA_ARGS__))
#define wg_round(...) WG_HERE(wg_round(__VA_ARGS__))
#define wg_clamp(...) WG_HERE(wg_clamp(__VA_ARGS__))
#define wg_affine(...) WG_HERE(wg_affine(__VA_ARGS__))
#define wg_add(...) WG_HERE(wg_add(__VA_ARGS__))
#define wg_sub(...) WG_HERE(wg_sub(__VA_ARGS__))
#define wg_mul(...) WG_HERE(wg_mul(__VA_ARGS__))
#define wg_div(...) WG_HERE(wg_div(__VA_ARGS__))
#define wg_pow(...) WG_HERE(wg_pow(__VA_ARGS__))
#define wg_maximum(...) WG_HERE(wg_maximum(__VA_ARGS__))
#define wg_minimum(...) WG_HERE(wg_minimum(__VA_ARGS__))
#define wg_floor_divide(...) WG_HERE(wg_floor_divide(__VA_ARGS__))
#define wg_remainder(...) WG_HERE(wg_remainder(__VA_ARGS__))
#define wg_eq(...) WG_HERE(wg_eq(__VA_ARGS__))
#define wg_ne(...) WG_HERE(wg_ne(__VA_ARGS__))
#define wg_lt(...) WG_HERE(wg_lt(__VA_ARGS__))
#define wg_le(...) WG_HERE(wg_le(__VA_ARGS__))
#define wg_gt(...) WG_HERE(wg_gt(__VA_ARGS__))
#define wg_ge(...) WG_HERE(wg_ge(__VA_ARGS__))
#define wg_logical_and(...) WG_HERE(wg_logical_and(__VA_ARGS__))
#define wg_logical_or(...) WG_HERE(wg_logical_or(__VA_ARGS__))
#define wg_logical_xor(...) WG_HERE(wg_logical_xor(__VA_ARGS__))
#define wg_logical_not(...) WG_HERE(wg_logical_not(__VA_ARGS__))
#define wg_isfinite(...) WG_HERE(wg_isfinite(__VA_ARGS__))
#define wg_where(...) WG_HERE(wg_where(__VA_ARGS__))
#define wg_masked_fill(...) WG_HERE(wg_masked_fill(__VA_ARGS__))
#define wg_cast(...) WG_HERE(wg_cast(__VA_ARGS__))
#define wg_to(...) WG_HERE(wg_to(__VA_ARGS__))
#endif
