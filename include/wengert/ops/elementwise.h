/* One result per element. Binary ops broadcast and promote. */
#ifndef WENGERT_OPS_ELEMENTWISE_H
#define WENGERT_OPS_ELEMENTWISE_H
#include "../base.h"
#ifdef __cplusplus
extern "C" {
#endif

WG_API wg_tensor *wg_neg(wg_tensor *x);
WG_API wg_tensor *wg_abs(wg_tensor *x);
WG_API wg_tensor *wg_sign(wg_tensor *x);
WG_API wg_tensor *wg_exp(wg_tensor *x);
WG_API wg_tensor *wg_expm1(wg_tensor *x);
WG_API wg_tensor *wg_log(wg_tensor *x);
WG_API wg_tensor *wg_log1p(wg_tensor *x);
WG_API wg_tensor *wg_sqrt(wg_tensor *x);
WG_API wg_tensor *wg_rsqrt(wg_tensor *x);
WG_API wg_tensor *wg_square(wg_tensor *x);
WG_API wg_tensor *wg_reciprocal(wg_tensor *x);
WG_API wg_tensor *wg_sin(wg_tensor *x);
WG_API wg_tensor *wg_cos(wg_tensor *x);
WG_API wg_tensor *wg_tanh(wg_tensor *x);
WG_API wg_tensor *wg_sigmoid(wg_tensor *x);
WG_API wg_tensor *wg_softplus(wg_tensor *x);
WG_API wg_tensor *wg_relu(wg_tensor *x);
WG_API wg_tensor *wg_leaky_relu(wg_tensor *x, double slope);
WG_API wg_tensor *wg_elu(wg_tensor *x, double alpha);
WG_API wg_tensor *wg_gelu(wg_tensor *x, bool tanh_form);
WG_API wg_tensor *wg_silu(wg_tensor *x);
WG_API wg_tensor *wg_erf(wg_tensor *x);
WG_API wg_tensor *wg_floor(wg_tensor *x);
WG_API wg_tensor *wg_round(wg_tensor *x);
WG_API wg_tensor *wg_clamp(wg_tensor *x, double low, double high);
WG_API wg_tensor *wg_affine(wg_tensor *x, double a, double b);
WG_API wg_tensor *wg_add(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_sub(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_mul(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_div(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_pow(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_maximum(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_minimum(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_floor_divide(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_remainder(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_eq(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_ne(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_lt(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_le(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_gt(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_ge(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_logical_and(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_logical_or(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_logical_xor(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_logical_not(wg_tensor *x);
WG_API wg_tensor *wg_isfinite(wg_tensor *x);
WG_API wg_tensor *wg_where(wg_tensor *condition, wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_masked_fill(wg_tensor *x, wg_tensor *mask, double value);
WG_API wg_tensor *wg_cast(wg_tensor *x, wg_dtype t);
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
