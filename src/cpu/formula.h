/* The scalar formula of every elementwise op and of its derivative: it stands here once, for the
 * SIMD loops of the CPU and for CUDA (which defines WGI_DEVICE). Names: wgi_gelu_f32,
 * wgi_gelu_backward_f32, wgi_add_i64. */
#ifndef WGI_CPU_FORMULA_H
#define WGI_CPU_FORMULA_H
#include <stdbool.h>

#include "cpu/formula_math.h"

#define REAL float
#define F(name) wgi_##name##_f32
#include "cpu/formula_real.h"
#undef REAL
#undef F

#define REAL double
#define F(name) wgi_##name##_f64
#include "cpu/formula_real.h"
#undef REAL
#undef F

/* clang-format off */
/* Integers wrap around. */
WGI_DEVICE int64_t wgi_neg_i64(int64_t x) { return (int64_t)(0 - (uint64_t)x); }
WGI_DEVICE int64_t wgi_abs_i64(int64_t x) { return x < 0 ? wgi_neg_i64(x) : x; }
WGI_DEVICE int64_t wgi_sign_i64(int64_t x) { return (x > 0) - (x < 0); }
WGI_DEVICE int64_t wgi_relu_i64(int64_t x) { return x > 0 ? x : 0; }
WGI_DEVICE int64_t wgi_floor_i64(int64_t x) { return x; }
WGI_DEVICE int64_t wgi_round_i64(int64_t x) { return x; }
WGI_DEVICE int64_t wgi_clamp_i64(int64_t x, int64_t low, int64_t high)
{
    int64_t y = x < low ? low : x;
    return y > high ? high : y;
}
WGI_DEVICE int64_t wgi_add_i64(int64_t x, int64_t y)
{
    return (int64_t)((uint64_t)x + (uint64_t)y);
}
WGI_DEVICE int64_t wgi_sub_i64(int64_t x, int64_t y)
{
    return (int64_t)((uint64_t)x - (uint64_t)y);
}
WGI_DEVICE int64_t wgi_mul_i64(int64_t x, int64_t y)
{
    return (int64_t)((uint64_t)x * (uint64_t)y);
}
WGI_DEVICE int64_t wgi_square_i64(int64_t x) { return wgi_mul_i64(x, x); }
WGI_DEVICE int64_t wgi_maximum_i64(int64_t x, int64_t y) { return x > y ? x : y; }
WGI_DEVICE int64_t wgi_minimum_i64(int64_t x, int64_t y) { return x < y ? x : y; }
/* By 0 it gives 0: the loop reports it. */
WGI_DEVICE int64_t wgi_floor_divide_i64(int64_t x, int64_t y)
{
    if (y == 0 || y == -1) return y == 0 ? 0 : wgi_neg_i64(x);
    return x / y - (x % y != 0 && (x < 0) != (y < 0));
}
WGI_DEVICE int64_t wgi_remainder_i64(int64_t x, int64_t y)
{
    if (y == 0 || y == -1) return 0;
    int64_t r = x % y;
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}
/* By squaring; a negative power is the reciprocal cut to an integer: 1, -1 or 0. */
WGI_DEVICE int64_t wgi_pow_i64(int64_t x, int64_t y)
{
    if (y < 0) return x == 1 ? 1 : x == -1 ? (y % 2 ? -1 : 1) : 0;
    int64_t r = 1;
    for (; y > 0; y >>= 1, x = wgi_mul_i64(x, x))
        if (y & 1) r = wgi_mul_i64(r, x);
    return r;
}
WGI_DEVICE bool wgi_eq_i64(int64_t x, int64_t y) { return x == y; }
WGI_DEVICE bool wgi_ne_i64(int64_t x, int64_t y) { return x != y; }
WGI_DEVICE bool wgi_lt_i64(int64_t x, int64_t y) { return x < y; }
WGI_DEVICE bool wgi_le_i64(int64_t x, int64_t y) { return x <= y; }
WGI_DEVICE int64_t wgi_where_i64(uint8_t c, int64_t x, int64_t y) { return c ? x : y; }
WGI_DEVICE uint8_t wgi_logical_and_u8(uint8_t x, uint8_t y) { return x & y; }
WGI_DEVICE uint8_t wgi_logical_or_u8(uint8_t x, uint8_t y) { return x | y; }
WGI_DEVICE uint8_t wgi_logical_xor_u8(uint8_t x, uint8_t y) { return x ^ y; }
WGI_DEVICE uint8_t wgi_logical_not_u8(uint8_t x) { return !x; }
/* clang-format on */
#endif
