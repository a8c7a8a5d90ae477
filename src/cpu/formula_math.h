/* exp, log and their kin in f32 as plain arithmetic without branches, so that loops of them
 * vectorise; the f64 forms are libm's. Errors are the largest found over all f32 with fused
 * multiply-add (without it, at the baseline level, in brackets); infinities, NaNs and denormals
 * follow C. tests/test_elementwise.c holds them to it. */
#ifndef WGI_CPU_FORMULA_MATH_H
#define WGI_CPU_FORMULA_MATH_H
#include "cpu/bits.h"

/* clang-format off */
/* 2^n, -126 <= n <= 127. */
WGI_DEVICE float wgi_power_of_two_f32(int32_t n)
{
    return wgi_float_of_bits((uint32_t)(n + 127) << 23);
}

/* x = n ln 2 + r, |r| <= ln 2 / 2; n as the low bits of a float whose last digit is 1. For |x| <
 * 2^21. */
typedef struct {
    float r, whole; /* whole: n */
    int32_t n;
} wgi_exp_parts;
WGI_DEVICE wgi_exp_parts wgi_exp_reduce_f32(float x)
{
    const float last_digit_is_1 = 0x1.8p23f;
    float t = wgi_fma_f32(x, 1.44269504f, last_digit_is_1);
    float n = t - last_digit_is_1;
    /* ln 2 in two parts; the first has 9 bits, so that n times it is exact */
    float r = wgi_fma_f32(n, -0x1.62p-1f, x);
    r = wgi_fma_f32(n, -0x1.c85fdep-10f, r);
    wgi_exp_parts p = { r, n, (int32_t)(wgi_bits_of_float(t) - wgi_bits_of_float(last_digit_is_1)) };
    return p;
}

/* e^r - 1 - r over r^2, |r| <= ln 2 / 2. */
WGI_DEVICE float wgi_exp_tail_f32(float r)
{
    float p = 0.00139504895f;
    p = wgi_fma_f32(p, r, 0.00836888978f);
    p = wgi_fma_f32(p, r, 0.0416662058f);
    p = wgi_fma_f32(p, r, 0.166665188f);
    return wgi_fma_f32(p, r, 0.5f);
}

WGI_DEVICE float wgi_exp_rest_f32(float r) /* e^r */
{
    return wgi_fma_f32(wgi_fma_f32(wgi_exp_tail_f32(r), r, 1.0f), r, 1.0f);
}

/* 0.9 ulp (1.1). The power is applied in two factors: neither overflows, and a denormal result is
 * rounded once. What is 0 in f32 is made so by a factor of 0: to underflow takes an Intel CPU 150
 * cycles, and masked scores of -inf are many. */
WGI_DEVICE float wgi_exp_f32(float x)
{
    float c = x < -104.0f ? -104.0f : x;
    c = c > 89.0f ? 89.0f : c;
    wgi_exp_parts p = wgi_exp_reduce_f32(c);
    float e = wgi_exp_rest_f32(p.r);
    int32_t half = p.n >> 1;
    float rest = x < -104.0f ? 0.0f : wgi_power_of_two_f32(p.n - half);
    return e * wgi_power_of_two_f32(half) * rest;
}

/* 1.6 ulp. 2^n (e^r - 1) + (2^n - 1), taken with n - 1 so that n = 128 does not overflow early. */
WGI_DEVICE float wgi_expm1_f32(float x)
{
    float c = x < -18.0f ? -18.0f : x;
    c = c > 89.0f ? 89.0f : c;
    wgi_exp_parts p = wgi_exp_reduce_f32(c);
    float q = wgi_fma_f32(wgi_exp_tail_f32(p.r) * p.r, p.r, p.r);
    float t = wgi_power_of_two_f32(p.n - 1);
    float y = 2.0f * wgi_fma_f32(t, q, t - 0.5f);
    return p.n == 0 ? (x == 0 ? x : q) : y;
}

/* log(1 + r) - r, -0.25 <= r < 0.5. */
WGI_DEVICE float wgi_log_tail_f32(float r)
{
    float p = 0.0388064516f;
    p = wgi_fma_f32(p, r, -0.0925253786f);
    p = wgi_fma_f32(p, r, 0.117358853f);
    p = wgi_fma_f32(p, r, -0.127147944f);
    p = wgi_fma_f32(p, r, 0.142705291f);
    p = wgi_fma_f32(p, r, -0.166555648f);
    p = wgi_fma_f32(p, r, 0.199998444f);
    p = wgi_fma_f32(p, r, -0.25000166f);
    p = wgi_fma_f32(p, r, 0.333333371f);
    float s = r * r;
    return wgi_fma_f32(p * r, s, -0.5f * s);
}

/* x = 2^e m, 0.75 <= m < 1.5; for normal x > 0. */
WGI_DEVICE int32_t wgi_log_exponent(float x)
{
    return (int32_t)(wgi_bits_of_float(x) - 0x3f400000u) >> 23;
}

/* 0.8 ulp. */
WGI_DEVICE float wgi_log_f32(float x)
{
    int tiny = x < 0x1p-126f;
    float normal = tiny ? x * 0x1p23f : x;
    int32_t e = wgi_log_exponent(normal);
    float r = wgi_float_of_bits(wgi_bits_of_float(normal) - ((uint32_t)e << 23)) - 1.0f;
    float n = (float)(tiny ? e - 23 : e);
    float y = wgi_log_tail_f32(r);
    y = wgi_fma_f32(n, 0x1.7f7d1cp-20f, y); /* ln 2, low part */
    y = wgi_fma_f32(n, 0x1.62e4p-1f, y + r);
    y = x < INFINITY ? y : x; /* infinity and NaN */
    y = x == 0 ? -INFINITY : y;
    return x < 0 ? NAN : y;
}

/* 0.9 ulp. log of u = 1 + x rounded, with what the rounding lost put back into the mantissa. */
WGI_DEVICE float wgi_log1p_f32(float x)
{
    float u = 1.0f + x;
    float lost = x > 1.0f ? 1.0f - (u - x) : x - (u - 1.0f);
    int32_t e = wgi_log_exponent(u);
    float m = wgi_float_of_bits(wgi_bits_of_float(u) - ((uint32_t)e << 23));
    float scale = wgi_power_of_two_f32(e < 126 ? -e : -126);
    float r = wgi_fma_f32(lost, scale, m - 1.0f);
    float n = (float)e;
    float y = wgi_log_tail_f32(r);
    y = wgi_fma_f32(n, 0x1.7f7d1cp-20f, y);
    y = wgi_fma_f32(n, 0x1.62e4p-1f, y + r);
    y = x < INFINITY ? y : x;
    y = x == -1.0f ? -INFINITY : y;
    y = x < -1.0f ? NAN : y;
    return fabsf(x) < 0x1p-26f ? x : y;
}

/* 1.2 ulp: an odd polynomial below 0.625 (Cephes), else by e^2|x|. */
WGI_DEVICE float wgi_tanh_f32(float x)
{
    float a = fabsf(x), s = x * x;
    float p = -0.00570498873f;
    p = wgi_fma_f32(p, s, 0.0206390888f);
    p = wgi_fma_f32(p, s, -0.0537397156f);
    p = wgi_fma_f32(p, s, 0.133314422f);
    p = wgi_fma_f32(p, s, -0.333332819f);
    float small = wgi_fma_f32(p * s, x, x);
    float large = 1.0f - 2.0f / (wgi_exp_f32(2.0f * a) + 1.0f);
    return copysignf(a < 0.625f ? small : large, x); /* also of -0 */
}

/* a^2 = square + rest: what squaring rounds away matters in e^(-a^2/2), where it is multiplied
 * by a^2. */
typedef struct {
    float square, rest;
} wgi_square_parts;
WGI_DEVICE wgi_square_parts wgi_square_f32x2(float a)
{
    float square = a * a;
#if defined(__FMA__) || defined(__CUDA_ARCH__) || defined(__ARM_FEATURE_FMA)
    float rest = fmaf(a, a, -square);
#else
    float split = 4097.0f * a, high = split - (split - a), low = a - high; /* Dekker 1971 */
    float rest = ((high * high - square) + 2.0f * high * low) + low * low;
#endif
    wgi_square_parts p = { square, rest };
    return p;
}

/* 2^64 e^x, -128 <= x <= 0: no denormal, and cheaper than e^x. */
WGI_DEVICE float wgi_exp_lifted_f32(float x)
{
    wgi_exp_parts p = wgi_exp_reduce_f32(x);
    float e = wgi_exp_rest_f32(p.r);
    return e * wgi_float_of_bits((uint32_t)p.n * 0x800000u + (127u + 64u) * 0x800000u);
}

/* The normal distribution's lower tail: P(-a) = e^(-a^2/2) ratio(a), 0 <= a <= 16 (at 16 it is 0
 * in f32). The ratio is a polynomial in (a - 3)/(a + 3), fitted by exchange (Remez) to 1e-8. */
typedef struct {
    float density, ratio; /* 2^64 e^(-a^2/2), ratio(a) */
} wgi_normal_tail;
WGI_DEVICE wgi_normal_tail wgi_normal_tail_f32(float a)
{
    wgi_square_parts q = wgi_square_f32x2(a);
    float e = wgi_exp_lifted_f32(-0.5f * q.square);
    float s = (a - 3.0f) / (a + 3.0f);
    float p = -2.81482289e-06f;
    p = wgi_fma_f32(p, s, 4.9932296e-05f);
    p = wgi_fma_f32(p, s, 0.00011785586f);
    p = wgi_fma_f32(p, s, -0.000335609337f);
    p = wgi_fma_f32(p, s, -0.000984398182f);
    p = wgi_fma_f32(p, s, 0.00290318904f);
    p = wgi_fma_f32(p, s, 0.00613215752f);
    p = wgi_fma_f32(p, s, -0.046213109f);
    p = wgi_fma_f32(p, s, 0.123225026f);
    p = wgi_fma_f32(p, s, -0.20640263f);
    p = wgi_fma_f32(p, s, 0.121513948f);
    wgi_normal_tail t = { wgi_fma_f32(e, -0.5f * q.rest, e), p };
    return t;
}

/* The normal distribution function: 5 ulp (6) down to x = -12, and a few times 2^-149 where results
 * are denormal. */
WGI_DEVICE float wgi_normal_f32(float x)
{
    float a = fabsf(x);
    wgi_normal_tail t = wgi_normal_tail_f32(a > 16.0f ? 16.0f : a);
    float lower = t.density * t.ratio * 0x1p-64f;
    return x <= 0 ? lower : 1.0f - lower;
}

/* d (x P(x)) / dx = P(x) + x P'(x): its two terms share the exponential. */
WGI_DEVICE float wgi_gelu_slope_f32(float x)
{
    float a = fabsf(x);
    a = a > 16.0f ? 16.0f : a;
    wgi_normal_tail t = wgi_normal_tail_f32(a);
    float lower = t.density * wgi_fma_f32(a, -0.398942280f, t.ratio) * 0x1p-64f;
    return x <= 0 ? lower : 1.0f - lower;
}

/* 1.2 ulp. An odd polynomial, and beyond 0.9 one less twice the tail at x sqrt 2. */
WGI_DEVICE float wgi_erf_f32(float x)
{
    float a = fabsf(x), s = x * x;
    float p = 8.51310469e-05f;
    p = wgi_fma_f32(p, s, -0.000817563967f);
    p = wgi_fma_f32(p, s, 0.00520385895f);
    p = wgi_fma_f32(p, s, -0.0268605091f);
    p = wgi_fma_f32(p, s, 0.112837151f);
    p = wgi_fma_f32(p, s, -0.376126349f);
    p = wgi_fma_f32(p, s, 0.128379166f);
    float small = wgi_fma_f32(p, x, x);
    wgi_normal_tail t = wgi_normal_tail_f32(a > 8.0f ? 11.3137085f : a * 1.41421356f);
    float large = copysignf(wgi_fma_f32(-0x1p-63f * t.density, t.ratio, 1.0f), x);
    return a <= 0.9f ? small : large;
}
WGI_DEVICE float wgi_sin_f32(float x) { return sinf(x); }
WGI_DEVICE float wgi_cos_f32(float x) { return cosf(x); }
WGI_DEVICE float wgi_pow_f32(float x, float y) { return powf(x, y); }
WGI_DEVICE float wgi_sqrt_f32(float x) { return sqrtf(x); }
WGI_DEVICE float wgi_floor_f32(float x) { return floorf(x); }
WGI_DEVICE float wgi_round_f32(float x) { return rintf(x); }
WGI_DEVICE float wgi_fmod_f32(float x, float y) { return fmodf(x, y); }
WGI_DEVICE float wgi_copysign_f32(float x, float y) { return copysignf(x, y); }

WGI_DEVICE double wgi_exp_f64(double x) { return exp(x); }
WGI_DEVICE double wgi_expm1_f64(double x) { return expm1(x); }
WGI_DEVICE double wgi_log_f64(double x) { return log(x); }
WGI_DEVICE double wgi_log1p_f64(double x) { return log1p(x); }
WGI_DEVICE double wgi_tanh_f64(double x) { return tanh(x); }
WGI_DEVICE double wgi_erf_f64(double x) { return erf(x); }
WGI_DEVICE double wgi_normal_f64(double x) { return 0.5 * erfc(x * -0.70710678118654752440); }
WGI_DEVICE double wgi_gelu_slope_f64(double x)
{
    double c = x < -64 ? -64 : x > 64 ? 64 : x; /* infinity times 0 */
    return wgi_normal_f64(x) + c * (0.39894228040143267794 * exp(-0.5 * c * c));
}
WGI_DEVICE double wgi_sin_f64(double x) { return sin(x); }
WGI_DEVICE double wgi_cos_f64(double x) { return cos(x); }
WGI_DEVICE double wgi_pow_f64(double x, double y) { return pow(x, y); }
WGI_DEVICE double wgi_sqrt_f64(double x) { return sqrt(x); }
WGI_DEVICE double wgi_floor_f64(double x) { return floor(x); }
WGI_DEVICE double wgi_round_f64(double x) { return rint(x); }
WGI_DEVICE double wgi_fmod_f64(double x, double y) { return fmod(x, y); }
WGI_DEVICE double wgi_copysign_f64(double x, double y) { return copysign(x, y); }
/* clang-format on */
#endif
