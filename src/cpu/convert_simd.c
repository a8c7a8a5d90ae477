/* Conversions between all dtypes; compiled once per level. */
#include "cpu/convert.h"

#include "tensor/half.h"

/* clang-format off */
static inline double f64_of_f64(double x) { return x; }
static inline double f64_of_f32(float x) { return x; }
static inline double f64_of_i64(int64_t x) { return (double)x; }
static inline double f64_of_i32(int32_t x) { return x; }

static inline float f32_of_f64(double x) { return (float)x; }
static inline float f32_of_f32(float x) { return x; }
static inline float f32_of_i64(int64_t x) { return (float)x; }
static inline float f32_of_i32(int32_t x) { return (float)x; }

static inline uint16_t bf16_of_f64(double x) { return wgi_f32_to_bf16(wgi_f64_to_odd_f32(x)); }
static inline uint16_t bf16_of_f32(float x) { return wgi_f32_to_bf16(x); }
static inline uint16_t bf16_of_i64(int64_t x) { return wgi_f32_to_bf16((float)x); }
static inline uint16_t bf16_of_i32(int32_t x) { return wgi_f32_to_bf16((float)x); }

static inline uint16_t f16_of_f64(double x) { return wgi_f32_to_f16(wgi_f64_to_odd_f32(x)); }
static inline uint16_t f16_of_f32(float x) { return wgi_f32_to_f16(x); }
static inline uint16_t f16_of_i64(int64_t x) { return wgi_f32_to_f16((float)x); }
static inline uint16_t f16_of_i32(int32_t x) { return wgi_f32_to_f16((float)x); }

static inline int64_t i64_of_f64(double x)
{
    if (x >= 0x1p63) return INT64_MAX;
    return x >= -0x1p63 ? (int64_t)x : x != x ? 0 : INT64_MIN;
}
static inline int64_t i64_of_f32(float x) { return i64_of_f64(x); }
static inline int64_t i64_of_i64(int64_t x) { return x; }
static inline int64_t i64_of_i32(int32_t x) { return x; }

static inline int32_t i32_of_f64(double x)
{
    if (x >= 2147483648.0) return INT32_MAX;
    return x > -2147483649.0 ? (int32_t)x : x != x ? 0 : INT32_MIN;
}
static inline int32_t i32_of_f32(float x) { return i32_of_f64(x); }
static inline int32_t i32_of_i64(int64_t x) { return (int32_t)(uint32_t)(uint64_t)x; }
static inline int32_t i32_of_i32(int32_t x) { return x; }

static inline uint8_t u8_of_f64(double x) { return x >= 255 ? 255 : x > 0 ? (uint8_t)x : 0; }
static inline uint8_t u8_of_f32(float x) { return x >= 255 ? 255 : x > 0 ? (uint8_t)x : 0; }
static inline uint8_t u8_of_i64(int64_t x) { return (uint8_t)(uint64_t)x; }
static inline uint8_t u8_of_i32(int32_t x) { return (uint8_t)(uint32_t)x; }

static inline uint8_t boolean_of_f64(double x) { return x != 0; }
static inline uint8_t boolean_of_f32(float x) { return x != 0; }
static inline uint8_t boolean_of_i64(int64_t x) { return x != 0; }
static inline uint8_t boolean_of_i32(int32_t x) { return x != 0; }

/* clang-format on */

#define TO f64
#define T double
#include "cpu/convert_to.h"
#define TO f32
#define T float
#include "cpu/convert_to.h"
#define TO bf16
#define T uint16_t
#include "cpu/convert_to.h"
#define TO f16
#define T uint16_t
#include "cpu/convert_to.h"
#define TO i64
#define T int64_t
#include "cpu/convert_to.h"
#define TO i32
#define T int32_t
#include "cpu/convert_to.h"
#define TO u8
#define T uint8_t
#include "cpu/convert_to.h"
#define TO boolean
#define T uint8_t
#include "cpu/convert_to.h"

const wgi_convert_kernels WGI_AT_LEVEL(wgi_convert_kernels) = {
    .to = { [WG_F64] = f64_row,
            [WG_F32] = f32_row,
            [WG_BF16] = bf16_row,
            [WG_F16] = f16_row,
            [WG_I64] = i64_row,
            [WG_I32] = i32_row,
            [WG_U8] = u8_row,
            [WG_BOOL] = boolean_row },
};
