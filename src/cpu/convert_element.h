/* One element from one dtype to another: for the loops of the CPU and for CUDA. Floats to integers truncate and saturate,
 * NaN becomes 0; integers to narrower ones keep the low bits; anything to bool is != 0; to 16 bits rounds once, to
 * nearest, ties to even. */
#ifndef WGI_CPU_CONVERT_ELEMENT_H
#define WGI_CPU_CONVERT_ELEMENT_H
#include "tensor/half.h"

/* clang-format off */
WGI_DEVICE double wgi_f64_of_f64(double x) { return x; }
WGI_DEVICE double wgi_f64_of_f32(float x) { return x; }
WGI_DEVICE double wgi_f64_of_i64(int64_t x) { return (double)x; }
WGI_DEVICE double wgi_f64_of_i32(int32_t x) { return x; }

WGI_DEVICE float wgi_f32_of_f64(double x) { return (float)x; }
WGI_DEVICE float wgi_f32_of_f32(float x) { return x; }
WGI_DEVICE float wgi_f32_of_i64(int64_t x) { return (float)x; }
WGI_DEVICE float wgi_f32_of_i32(int32_t x) { return (float)x; }

WGI_DEVICE uint16_t wgi_bf16_of_f64(double x) { return wgi_f32_to_bf16(wgi_f64_to_odd_f32(x)); }
WGI_DEVICE uint16_t wgi_bf16_of_f32(float x) { return wgi_f32_to_bf16(x); }
WGI_DEVICE uint16_t wgi_bf16_of_i64(int64_t x) { return wgi_f32_to_bf16((float)x); }
WGI_DEVICE uint16_t wgi_bf16_of_i32(int32_t x) { return wgi_f32_to_bf16((float)x); }

WGI_DEVICE uint16_t wgi_f16_of_f64(double x) { return wgi_f32_to_f16(wgi_f64_to_odd_f32(x)); }
WGI_DEVICE uint16_t wgi_f16_of_f32(float x) { return wgi_f32_to_f16(x); }
WGI_DEVICE uint16_t wgi_f16_of_i64(int64_t x) { return wgi_f32_to_f16((float)x); }
WGI_DEVICE uint16_t wgi_f16_of_i32(int32_t x) { return wgi_f32_to_f16((float)x); }

WGI_DEVICE int64_t wgi_i64_of_f64(double x)
{
    if (x >= 0x1p63) return INT64_MAX;
    return x >= -0x1p63 ? (int64_t)x : x != x ? 0 : INT64_MIN;
}
WGI_DEVICE int64_t wgi_i64_of_f32(float x) { return wgi_i64_of_f64(x); }
WGI_DEVICE int64_t wgi_i64_of_i64(int64_t x) { return x; }
WGI_DEVICE int64_t wgi_i64_of_i32(int32_t x) { return x; }

WGI_DEVICE int32_t wgi_i32_of_f64(double x)
{
    if (x >= 2147483648.0) return INT32_MAX;
    return x > -2147483649.0 ? (int32_t)x : x != x ? 0 : INT32_MIN;
}
WGI_DEVICE int32_t wgi_i32_of_f32(float x) { return wgi_i32_of_f64(x); }
WGI_DEVICE int32_t wgi_i32_of_i64(int64_t x) { return (int32_t)(uint32_t)(uint64_t)x; }
WGI_DEVICE int32_t wgi_i32_of_i32(int32_t x) { return x; }

WGI_DEVICE uint8_t wgi_u8_of_f64(double x) { return x >= 255 ? 255 : x > 0 ? (uint8_t)x : 0; }
WGI_DEVICE uint8_t wgi_u8_of_f32(float x) { return x >= 255 ? 255 : x > 0 ? (uint8_t)x : 0; }
WGI_DEVICE uint8_t wgi_u8_of_i64(int64_t x) { return (uint8_t)(uint64_t)x; }
WGI_DEVICE uint8_t wgi_u8_of_i32(int32_t x) { return (uint8_t)(uint32_t)x; }

WGI_DEVICE uint8_t wgi_boolean_of_f64(double x) { return x != 0; }
WGI_DEVICE uint8_t wgi_boolean_of_f32(float x) { return x != 0; }
WGI_DEVICE uint8_t wgi_boolean_of_i64(int64_t x) { return x != 0; }
WGI_DEVICE uint8_t wgi_boolean_of_i32(int32_t x) { return x != 0; }

/* clang-format on */
#endif
