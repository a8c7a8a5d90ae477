/* Elements between memory of any dtype and registers of the type that is computed in: double, float
 * (also for 16 bits) or int64_t (integers and bool). The conversions are the CPU's. */
#ifndef WGI_CUDA_ELEMENT_CUH
#define WGI_CUDA_ELEMENT_CUH
#include <cuda_runtime.h>

#define WGI_DEVICE static __host__ __device__ __forceinline__
#include "cpu/convert_element.h"
#include "cpu/formula.h"
#include "cuda/instruction.cuh"
#include "cuda/pass.h"
#include "wengert/base.h"

namespace wgi
{

/* What a value in memory is before it is converted. */
template <class T> struct from;
template <> struct from<double> {
    static __device__ __forceinline__ double f64(double v) { return v; }
    static __device__ __forceinline__ double f32(float v) { return wgi_f64_of_f32(v); }
    static __device__ __forceinline__ double i64(int64_t v) { return wgi_f64_of_i64(v); }
    static __device__ __forceinline__ double i32(int32_t v) { return wgi_f64_of_i32(v); }
};
template <> struct from<float> {
    static __device__ __forceinline__ float f64(double v) { return wgi_f32_of_f64(v); }
    static __device__ __forceinline__ float f32(float v) { return v; }
    static __device__ __forceinline__ float i64(int64_t v) { return wgi_f32_of_i64(v); }
    static __device__ __forceinline__ float i32(int32_t v) { return wgi_f32_of_i32(v); }
};
template <> struct from<int64_t> {
    static __device__ __forceinline__ int64_t f64(double v) { return wgi_i64_of_f64(v); }
    static __device__ __forceinline__ int64_t f32(float v) { return wgi_i64_of_f32(v); }
    static __device__ __forceinline__ int64_t i64(int64_t v) { return v; }
    static __device__ __forceinline__ int64_t i32(int32_t v) { return wgi_i64_of_i32(v); }
};

/* Element i of p, of dtype `type`. */
template <class T> __device__ __forceinline__ T load(const void *p, int64_t i, int type)
{
    switch (type) {
    case WG_F64: return from<T>::f64(static_cast<const double *>(p)[i]);
    case WG_F32: return from<T>::f32(static_cast<const float *>(p)[i]);
    case WG_BF16: return from<T>::f32(wgi_bf16_to_f32(static_cast<const uint16_t *>(p)[i]));
    case WG_F16: return from<T>::f32(wgi_f16_to_f32(static_cast<const uint16_t *>(p)[i]));
    case WG_I64: return from<T>::i64(static_cast<const int64_t *>(p)[i]);
    case WG_I32: return from<T>::i32(static_cast<const int32_t *>(p)[i]);
    default: return from<T>::i32(static_cast<const uint8_t *>(p)[i]); /* u8, bool */
    }
}

template <class T> struct to;
#define WGI_TO(T, of)                                                                              \
    template <> struct to<T> {                                                                     \
        static __device__ __forceinline__ double f64(T v) { return wgi_f64_of_##of(v); }           \
        static __device__ __forceinline__ float f32(T v) { return wgi_f32_of_##of(v); }            \
        static __device__ __forceinline__ uint16_t bf16(T v) { return wgi_bf16_of_##of(v); }       \
        static __device__ __forceinline__ uint16_t f16(T v) { return wgi_f16_of_##of(v); }         \
        static __device__ __forceinline__ int64_t i64(T v) { return wgi_i64_of_##of(v); }          \
        static __device__ __forceinline__ int32_t i32(T v) { return wgi_i32_of_##of(v); }          \
        static __device__ __forceinline__ uint8_t u8(T v) { return wgi_u8_of_##of(v); }            \
        static __device__ __forceinline__ uint8_t boolean(T v) { return wgi_boolean_of_##of(v); }  \
    }
WGI_TO(double, f64);
WGI_TO(float, f32);
WGI_TO(int64_t, i64);
#undef WGI_TO

template <class T> __device__ __forceinline__ void store(void *p, int64_t i, int type, T v)
{
    switch (type) {
    case WG_F64: static_cast<double *>(p)[i] = to<T>::f64(v); break;
    case WG_F32: static_cast<float *>(p)[i] = to<T>::f32(v); break;
    case WG_BF16: static_cast<uint16_t *>(p)[i] = to<T>::bf16(v); break;
    case WG_F16: static_cast<uint16_t *>(p)[i] = to<T>::f16(v); break;
    case WG_I64: static_cast<int64_t *>(p)[i] = to<T>::i64(v); break;
    case WG_I32: static_cast<int32_t *>(p)[i] = to<T>::i32(v); break;
    case WG_U8: static_cast<uint8_t *>(p)[i] = to<T>::u8(v); break;
    default: static_cast<uint8_t *>(p)[i] = to<T>::boolean(v); break;
    }
}

/* Floats by one instruction: instruction.cuh. */
template <class T> __device__ __forceinline__ uint16_t f16_of(T v)
{
    return to<T>::f16(v);
}
template <class T> __device__ __forceinline__ uint16_t bf16_of(T v)
{
    return to<T>::bf16(v);
}

/* ---- several neighbours at once --------------------------------------------------------------- */

/* V elements of S as chunks of 16 bytes, or of their whole size if that is less. */
template <class S, int V> struct chunks {
    static constexpr int bytes = int(sizeof(S)) * V, chunk = bytes < 16 ? bytes : 16;
    static __device__ __forceinline__ bool aligned(const void *p)
    {
        return (reinterpret_cast<uintptr_t>(p) & (chunk - 1)) == 0;
    }
    static __device__ __forceinline__ void read(const S *p, S (&v)[V])
    {
        if constexpr (chunk == 16) {
#pragma unroll
            for (int c = 0; c < bytes / 16; c++) {
                const uint4 q = reinterpret_cast<const uint4 *>(p)[c];
                memcpy(&v[c * (16 / int(sizeof(S)))], &q, 16);
            }
        } else if constexpr (chunk == 8) {
            const uint2 q = *reinterpret_cast<const uint2 *>(p);
            memcpy(&v[0], &q, 8);
        } else if constexpr (chunk == 4) {
            const uint32_t q = *reinterpret_cast<const uint32_t *>(p);
            memcpy(&v[0], &q, 4);
        } else if constexpr (chunk == 2) {
            const uint16_t q = *reinterpret_cast<const uint16_t *>(p);
            memcpy(&v[0], &q, 2);
        } else {
            v[0] = p[0];
        }
    }
    static __device__ __forceinline__ void write(S *p, const S (&v)[V])
    {
        if constexpr (chunk == 16) {
#pragma unroll
            for (int c = 0; c < bytes / 16; c++) {
                uint4 q;
                memcpy(&q, &v[c * (16 / int(sizeof(S)))], 16);
                reinterpret_cast<uint4 *>(p)[c] = q;
            }
        } else if constexpr (chunk == 8) {
            uint2 q;
            memcpy(&q, &v[0], 8);
            *reinterpret_cast<uint2 *>(p) = q;
        } else if constexpr (chunk == 4) {
            uint32_t q;
            memcpy(&q, &v[0], 4);
            *reinterpret_cast<uint32_t *>(p) = q;
        } else if constexpr (chunk == 2) {
            uint16_t q;
            memcpy(&q, &v[0], 2);
            *reinterpret_cast<uint16_t *>(p) = q;
        } else {
            p[0] = v[0];
        }
    }
};

/* Elements offset, offset + stride, ... (count of them, at most V) as T; what is beyond is 0. */
template <class T, class S, int V, class Convert>
__device__ __forceinline__ void load_run(const void *data, int64_t offset, int64_t stride,
                                         int count, T (&v)[V], Convert convert)
{
    const S *p = static_cast<const S *>(data) + offset;
    if (stride == 1 && count == V && chunks<S, V>::aligned(p)) {
        S raw[V];
        chunks<S, V>::read(p, raw);
#pragma unroll
        for (int k = 0; k < V; k++) v[k] = convert(raw[k]);
    } else {
#pragma unroll
        for (int k = 0; k < V; k++) v[k] = k < count ? convert(p[k * stride]) : T(0);
    }
}

template <class T, int V>
__device__ __forceinline__ void load_group(const wgi_operand &o, int64_t offset, int64_t stride,
                                           int count, T (&v)[V])
{
    switch (o.type) {
    case WG_F64:
        load_run<T, double, V>(o.data, offset, stride, count, v,
                               [](double x) { return from<T>::f64(x); });
        break;
    case WG_F32:
        load_run<T, float, V>(o.data, offset, stride, count, v,
                              [](float x) { return from<T>::f32(x); });
        break;
    case WG_BF16:
        load_run<T, uint16_t, V>(o.data, offset, stride, count, v,
                                 [](uint16_t x) { return from<T>::f32(wgi_bf16_to_f32(x)); });
        break;
    case WG_F16:
        load_run<T, uint16_t, V>(o.data, offset, stride, count, v,
                                 [](uint16_t x) { return from<T>::f32(f32_of_f16(x)); });
        break;
    case WG_I64:
        load_run<T, int64_t, V>(o.data, offset, stride, count, v,
                                [](int64_t x) { return from<T>::i64(x); });
        break;
    case WG_I32:
        load_run<T, int32_t, V>(o.data, offset, stride, count, v,
                                [](int32_t x) { return from<T>::i32(x); });
        break;
    default:
        load_run<T, uint8_t, V>(o.data, offset, stride, count, v,
                                [](uint8_t x) { return from<T>::i32(x); });
        break;
    }
}

/* Operand k of a pass, group g. */
template <class T, int V>
__device__ __forceinline__ void load_operand(const wgi_pass &p, int k, const wgi_group &g,
                                             T (&v)[V])
{
    const wgi_operand &o = p.o[k];
    if (o.kind == WGI_OPERAND_NUMBER) {
        T number;
        if constexpr (sizeof(T) == 8 && T(0.5) == T(0)) /* int64_t */
            number = o.whole;
        else
            number = T(o.real);
#pragma unroll
        for (int i = 0; i < V; i++) v[i] = number;
        return;
    }
    load_group<T, V>(o, g.offset[k], o.stride[p.ndim - 1], g.count, v);
}

template <class T, class S, int V, class Convert>
__device__ __forceinline__ void store_run(void *data, int64_t offset, int64_t stride, int count,
                                          const T (&v)[V], Convert convert)
{
    S *p = static_cast<S *>(data) + offset;
    if (stride == 1 && count == V && chunks<S, V>::aligned(p)) {
        S raw[V];
#pragma unroll
        for (int k = 0; k < V; k++) raw[k] = convert(v[k]);
        chunks<S, V>::write(p, raw);
    } else {
#pragma unroll
        for (int k = 0; k < V; k++)
            if (k < count) p[k * stride] = convert(v[k]);
    }
}

template <class T, int V>
__device__ __forceinline__ void store_group(const wgi_operand &o, int64_t at, int64_t stride, int n,
                                            const T (&v)[V])
{
    switch (o.type) {
    case WG_F64:
        store_run<T, double, V>(o.data, at, stride, n, v, [](T x) { return to<T>::f64(x); });
        break;
    case WG_F32:
        store_run<T, float, V>(o.data, at, stride, n, v, [](T x) { return to<T>::f32(x); });
        break;
    case WG_BF16:
        store_run<T, uint16_t, V>(o.data, at, stride, n, v, [](T x) { return bf16_of(x); });
        break;
    case WG_F16:
        store_run<T, uint16_t, V>(o.data, at, stride, n, v, [](T x) { return f16_of(x); });
        break;
    case WG_I64:
        store_run<T, int64_t, V>(o.data, at, stride, n, v, [](T x) { return to<T>::i64(x); });
        break;
    case WG_I32:
        store_run<T, int32_t, V>(o.data, at, stride, n, v, [](T x) { return to<T>::i32(x); });
        break;
    case WG_U8:
        store_run<T, uint8_t, V>(o.data, at, stride, n, v, [](T x) { return to<T>::u8(x); });
        break;
    default:
        store_run<T, uint8_t, V>(o.data, at, stride, n, v, [](T x) { return to<T>::boolean(x); });
        break;
    }
}

template <class T, int V>
__device__ __forceinline__ void store_operand(const wgi_pass &p, int k, const wgi_group &g,
                                              const T (&v)[V])
{
    store_group<T, V>(p.o[k], g.offset[k], p.o[k].stride[p.ndim - 1], g.count, v);
}

/* The sum of what is there and v, in T; integers wrap. */
template <class T> __device__ __forceinline__ T plus(T a, T b)
{
    return a + b;
}
template <> __device__ __forceinline__ int64_t plus<int64_t>(int64_t a, int64_t b)
{
    return wgi_add_i64(a, b);
}

/* Elements of a group. */
template <class T> constexpr int width = sizeof(T) == 4 ? 8 : 4;

/* Blocks of a launch whose threads walk `tasks` with a stride of the grid. */
static inline unsigned blocks_for(int64_t tasks, int threads)
{
    const int64_t blocks = (tasks + threads - 1) / threads, most = 1 << 17;
    return static_cast<unsigned>(blocks < 1 ? 1 : blocks < most ? blocks : most);
}

} // namespace wgi
#endif
