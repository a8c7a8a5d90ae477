/* Eight neighbours of one type, as they lie in memory: what kernels move whose rows are whole chunks of 16 bytes. Numbers are
 * floats in registers; two become 16 bits each in one instruction. */
#ifndef WGI_CUDA_PACK_CUH
#define WGI_CUDA_PACK_CUH
#include "cuda/element.cuh"
#include "cuda/rows.h"

namespace wgi
{

enum { PACK = 8 };

struct real32 {
    enum { type = WG_F32, chunks = 2 };
    static __device__ __forceinline__ void numbers(const uint4 &q, float *v) { memcpy(v, &q, 16); }
    static __device__ __forceinline__ uint4 chunk(const float *v)
    {
        uint4 q;
        memcpy(&q, v, 16);
        return q;
    }
};

/* H: low(u), high(u), pair(low, high). */
template <class H> struct real16 : H {
    enum { chunks = 1 };
    static __device__ __forceinline__ void numbers(const uint4 &q, float *v)
    {
        const uint32_t u[4] = { q.x, q.y, q.z, q.w };
#pragma unroll
        for (int k = 0; k < 4; k++) {
            v[2 * k] = H::low(u[k]);
            v[2 * k + 1] = H::high(u[k]);
        }
    }
    static __device__ __forceinline__ uint4 chunk(const float *v)
    {
        return uint4 { H::pair(v[0], v[1]), H::pair(v[2], v[3]), H::pair(v[4], v[5]),
                       H::pair(v[6], v[7]) };
    }
};

struct brain_halves {
    enum { type = WG_BF16 };
    static __device__ __forceinline__ float low(uint32_t u) { return wgi_f32_from_bits(u << 16); }
    static __device__ __forceinline__ float high(uint32_t u)
    {
        return wgi_f32_from_bits(u & 0xffff0000u);
    }
    static __device__ __forceinline__ uint32_t pair(float low, float high)
    {
        return two_bf16_of(low, high);
    }
};

struct halves {
    enum { type = WG_F16 };
    static __device__ __forceinline__ float low(uint32_t u) { return f32_of_f16(uint16_t(u)); }
    static __device__ __forceinline__ float high(uint32_t u)
    {
        return f32_of_f16(uint16_t(u >> 16));
    }
    static __device__ __forceinline__ uint32_t pair(float low, float high)
    {
        return two_f16_of(low, high);
    }
};

using real_bf16 = real16<brain_halves>;
using real_f16 = real16<halves>;

/* S: real32, real_bf16 or real_f16. */
template <class S> struct pack {
    uint4 q[S::chunks];
    __device__ __forceinline__ void load(const void *p)
    {
#pragma unroll
        for (int c = 0; c < S::chunks; c++) q[c] = static_cast<const uint4 *>(p)[c];
    }
    __device__ __forceinline__ void store(void *p) const
    {
#pragma unroll
        for (int c = 0; c < S::chunks; c++) static_cast<uint4 *>(p)[c] = q[c];
    }
    __device__ __forceinline__ void clear()
    {
#pragma unroll
        for (int c = 0; c < S::chunks; c++) q[c] = uint4 { 0, 0, 0, 0 };
    }
    __device__ __forceinline__ void numbers(float (&v)[PACK]) const
    {
#pragma unroll
        for (int c = 0; c < S::chunks; c++) S::numbers(q[c], v + c * (PACK / S::chunks));
    }
    __device__ __forceinline__ void take(const float (&v)[PACK])
    {
#pragma unroll
        for (int c = 0; c < S::chunks; c++) q[c] = S::chunk(v + c * (PACK / S::chunks));
    }
};

/* Element i of rows that lie in packs. */
template <class S> __device__ __forceinline__ void *place(void *data, int64_t i)
{
    return static_cast<char *>(data) + i * (16 * S::chunks / PACK);
}

/* Where row r begins: without the loop and divisions that several axes of rows need. */
template <class S> __device__ __forceinline__ void *row_place(const wgi_lines &l, int64_t r)
{
    const int64_t at = l.lines.n == 1 ? r * l.lines.stride[0] : wgi_axes_offset(&l.lines, r);
    return place<S>(l.data, at);
}

} // namespace wgi
#endif
