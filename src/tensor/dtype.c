/* Dtypes: names, sizes, promotion, one element at a time. Loops over many stand in
 * src/cpu/convert_simd.c. */
#include "tensor/internal.h"

#include "cpu/convert.h"

size_t wgi_dtype_bytes[WG_BLOCK_DTYPE_END] = {
    [WG_F64] = 8, [WG_F32] = 4, [WG_BF16] = 2, [WG_F16] = 2,
    [WG_I64] = 8, [WG_I32] = 4, [WG_U8] = 1,   [WG_BOOL] = 1,
};

static const char *const names[WG_DTYPE_COUNT] = {
    [WG_F64] = "f64", [WG_F32] = "f32", [WG_BF16] = "bf16", [WG_F16] = "f16",
    [WG_I64] = "i64", [WG_I32] = "i32", [WG_U8] = "u8",     [WG_BOOL] = "bool",
};

/* GGUF's blocks: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, ggml-common.h. */
static const struct {
    const char *name;
    int elements, bytes;
} blocks[WG_BLOCK_DTYPE_END - WG_Q4_0] = {
    [WG_Q4_0 - WG_Q4_0] = { "q4_0", 32, 18 },   [WG_Q4_1 - WG_Q4_0] = { "q4_1", 32, 20 },
    [WG_Q5_0 - WG_Q4_0] = { "q5_0", 32, 22 },   [WG_Q5_1 - WG_Q4_0] = { "q5_1", 32, 24 },
    [WG_Q8_0 - WG_Q4_0] = { "q8_0", 32, 34 },   [WG_Q2_K - WG_Q4_0] = { "q2_k", 256, 84 },
    [WG_Q3_K - WG_Q4_0] = { "q3_k", 256, 110 }, [WG_Q4_K - WG_Q4_0] = { "q4_k", 256, 144 },
    [WG_Q5_K - WG_Q4_0] = { "q5_k", 256, 176 }, [WG_Q6_K - WG_Q4_0] = { "q6_k", 256, 210 },
};

static bool blocks_known(wg_dtype t)
{
    return (unsigned)t - WG_Q4_0 < (unsigned)(WG_BLOCK_DTYPE_END - WG_Q4_0);
}

static bool known(wg_dtype t)
{
    return (unsigned)t - 1u < WG_DTYPE_COUNT - 1u;
}

size_t wg_dtype_size(wg_dtype t)
{
    return known(t) ? wgi_dtype_bytes[t] : 0;
}

int64_t wg_dtype_block(wg_dtype t)
{
    return blocks_known(t) ? blocks[t - WG_Q4_0].elements : known(t);
}

size_t wg_dtype_block_bytes(wg_dtype t)
{
    return blocks_known(t) ? (size_t)blocks[t - WG_Q4_0].bytes : wg_dtype_size(t);
}

const char *wg_dtype_name(wg_dtype t)
{
    return blocks_known(t) ? blocks[t - WG_Q4_0].name : known(t) ? names[t] : "no dtype";
}

bool wg_dtype_is_float(wg_dtype t)
{
    return wgi_is_float((int)t);
}

/* bool < integers < floats. */
static int category(wg_dtype t)
{
    return wgi_is_float((int)t) ? 2 : t == WG_BOOL ? 0 : 1;
}

wg_dtype wgi_promote_dtypes(wg_dtype a, wg_dtype b)
{
    if (a == b) return a;
    if (category(a) != category(b)) return category(a) > category(b) ? a : b;
    if (wgi_is_16bit((int)a) && wgi_is_16bit((int)b)) return WG_F32;
    return a < b ? a : b; /* within a category the enumeration falls in width */
}

/* x is a weak scalar, y is not. */
static wg_status promote_weak(const wg_tensor *x, wg_dtype y, wg_dtype *out)
{
    *out = y;
    if (wgi_is_float((int)y)) return WG_OK;
    const void *p = wgi_data(x);
    double v = p ? wgi_load(p, (wg_dtype)x->dtype) : 0;
    if (v != v || v != (double)wgi_load_int(&v, WG_F64))
        return wg_raise(WG_EDTYPE, "the scalar %g with a tensor of %s: cast the tensor", v,
                        wg_dtype_name(y));
    if (y == WG_BOOL && v != 0 && v != 1) *out = WG_I64;
    return WG_OK;
}

wg_status wgi_promote(const wg_tensor *x, const wg_tensor *y, wg_dtype *out)
{
    wg_dtype a = (wg_dtype)x->dtype, b = (wg_dtype)y->dtype;
    bool weak_a = x->flags & WGI_WEAK, weak_b = y->flags & WGI_WEAK;
    if (a == b && weak_a == weak_b) {
        *out = a;
        return WG_OK;
    }
    if (weak_a && !weak_b) return promote_weak(x, b, out);
    if (weak_b && !weak_a) return promote_weak(y, a, out);
    if (x->ndim > 0 && y->ndim == 0 && category(b) <= category(a))
        *out = a;
    else if (y->ndim > 0 && x->ndim == 0 && category(a) <= category(b))
        *out = b;
    else
        *out = wgi_promote_dtypes(a, b);
    return WG_OK;
}

/* ---- one element ------------------------------------------------------------------------------
 */

double wgi_load(const void *p, wg_dtype t)
{
    switch (t) {
    case WG_F64: return *(const double *)p;
    case WG_F32: return *(const float *)p;
    case WG_BF16: return wgi_bf16_to_f32(*(const uint16_t *)p);
    case WG_F16: return wgi_f16_to_f32(*(const uint16_t *)p);
    case WG_I64: return (double)*(const int64_t *)p;
    case WG_I32: return *(const int32_t *)p;
    case WG_U8: return *(const uint8_t *)p;
    case WG_BOOL: return *(const uint8_t *)p != 0;
    default: return 0;
    }
}

static int64_t saturated(double v, int64_t least, int64_t most)
{
    if (v != v) return 0;
    if (v >= (double)most) return most; /* 2^63 for i64, which v < 2^63 excludes */
    return v <= (double)least ? least : (int64_t)v;
}

int64_t wgi_load_int(const void *p, wg_dtype t)
{
    switch (t) {
    case WG_I64: return *(const int64_t *)p;
    case WG_I32: return *(const int32_t *)p;
    case WG_U8: return *(const uint8_t *)p;
    case WG_BOOL: return *(const uint8_t *)p != 0;
    default: return saturated(wgi_load(p, t), INT64_MIN, INT64_MAX);
    }
}

void wgi_store(void *p, wg_dtype t, double v)
{
    switch (t) {
    case WG_F64: *(double *)p = v; break;
    case WG_F32: *(float *)p = (float)v; break;
    case WG_BF16: *(uint16_t *)p = wgi_f32_to_bf16(wgi_f64_to_odd_f32(v)); break;
    case WG_F16: *(uint16_t *)p = wgi_f32_to_f16(wgi_f64_to_odd_f32(v)); break;
    case WG_I64: *(int64_t *)p = saturated(v, INT64_MIN, INT64_MAX); break;
    case WG_I32: *(int32_t *)p = (int32_t)saturated(v, INT32_MIN, INT32_MAX); break;
    case WG_U8: *(uint8_t *)p = (uint8_t)saturated(v, 0, UINT8_MAX); break;
    case WG_BOOL: *(uint8_t *)p = v != 0; break;
    default: break;
    }
}

void wgi_store_int(void *p, wg_dtype t, int64_t v)
{
    switch (t) {
    case WG_I64: *(int64_t *)p = v; break;
    case WG_I32: *(int32_t *)p = (int32_t)(uint32_t)(uint64_t)v; break;
    case WG_U8: *(uint8_t *)p = (uint8_t)(uint64_t)v; break;
    case WG_BOOL: *(uint8_t *)p = v != 0; break;
    case WG_F32: *(float *)p = (float)v; break;
    default: wgi_store(p, t, (double)v); break;
    }
}

void wgi_convert(void *to, wg_dtype to_type, const void *from, wg_dtype from_type, int64_t n)
{
    if (n <= 0) return;
    if (to_type == from_type)
        memcpy(to, from, (size_t)n * wgi_dtype_bytes[to_type]);
    else
        wgi_converter(to_type, from_type)(to, from, n);
}
