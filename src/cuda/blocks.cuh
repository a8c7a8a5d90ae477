/* A lane's share of a span of blocks: eight weights. The layouts are told in src/cpu/dequantise.c. */
#ifndef WGI_CUDA_BLOCKS_CUH
#define WGI_CUDA_BLOCKS_CUH
#include "cuda/blocks.h"
#include "cuda/element.cuh"

#ifdef __CUDA_ARCH__
#include <cuda_fp16.h>
#endif

#include "cpu/block_scales.h"

namespace wgi
{

enum { SPAN = 256 };

__device__ __forceinline__ uint32_t bits16(const uint8_t *p)
{
    return *reinterpret_cast<const uint16_t *>(p);
}

/* Four bytes at an even address. */
__device__ __forceinline__ uint32_t two_halves(const uint8_t *p)
{
    return bits16(p) | bits16(p + 2) << 16;
}

/* Four bytes at a multiple of 4. */
__device__ __forceinline__ uint32_t word(const uint8_t *p)
{
    return *reinterpret_cast<const uint32_t *>(p);
}

__device__ __forceinline__ float half_of(uint32_t bits)
{
#ifdef __CUDA_ARCH__
    return __half2float(__ushort_as_half(static_cast<unsigned short>(bits)));
#else
    return wgi_f16_to_f32(static_cast<uint16_t>(bits));
#endif
}

/* Byte i of u less `middle`, exactly: the bytes of 2^23 + u, less 2^23 + middle. Conversions of
 * integers take a GPU four times as long. */
__device__ __forceinline__ float code(uint32_t u, int i, int middle)
{
#ifdef __CUDA_ARCH__
    const uint32_t bits = __byte_perm(u, 0x4b000000u, 0x7440u | i);
#else
    const uint32_t bits = (u >> 8 * i & 255) | 0x4b000000u;
#endif
    return wgi_f32_from_bits(bits) - (8388608.0f + float(middle));
}

/* Two quads of codes as bytes, each quad with its scale and minimum. */
struct coded {
    uint32_t q[2];
    float d[2], m[2];
};

__device__ __forceinline__ void both(coded *c, float d, float m)
{
    c->d[0] = c->d[1] = d;
    c->m[0] = c->m[1] = m;
}

/* Four bits as the fifth ones of four bytes. */
__device__ __forceinline__ uint32_t fifths(uint32_t bits)
{
    return ((bits & 15) * 0x00204081u & 0x01010101u) << 4;
}

__device__ __forceinline__ void nibbles(coded *c, uint32_t u)
{
    c->q[0] = u & 0x0f0f0f0fu;
    c->q[1] = u >> 4 & 0x0f0f0f0fu;
}

/* Where in a span a lane's quads begin, by family; the second `apart` elements behind the first. */
struct small_blocks {
    static constexpr int elements = 32, apart = 16;
    static __device__ __forceinline__ int first(int lane) { return lane / 4 * 32 + lane % 4 * 4; }
};
struct large_blocks {
    static constexpr int elements = 256, apart = 32;
    static __device__ __forceinline__ int first(int lane) { return lane / 8 * 64 + lane % 8 * 4; }
};
struct six_bit_blocks {
    static constexpr int elements = 256, apart = 64;
    static __device__ __forceinline__ int first(int lane)
    {
        return lane / 16 * 128 + lane % 16 * 4;
    }
};

/* By type: bytes of a block, what its codes are counted from, whether it has minima, and how a lane
 * reads its share of the span at x. */
template <int T> struct blocks_of;

template <> struct blocks_of<WG_Q4_0> : small_blocks {
    static constexpr int bytes = 18, middle = 8;
    static constexpr bool shifted = false;
    static __device__ __forceinline__ void read(const uint8_t *x, int lane, coded *c)
    {
        x += lane / 4 * bytes;
        nibbles(c, two_halves(x + 2 + lane % 4 * 4));
        both(c, half_of(bits16(x)), 0);
    }
};

template <> struct blocks_of<WG_Q4_1> : small_blocks {
    static constexpr int bytes = 20, middle = 0;
    static constexpr bool shifted = true;
    static __device__ __forceinline__ void read(const uint8_t *x, int lane, coded *c)
    {
        x += lane / 4 * bytes;
        nibbles(c, word(x + 4 + lane % 4 * 4));
        const uint32_t dm = word(x);
        both(c, half_of(dm & 0xffff), half_of(dm >> 16));
    }
};

template <> struct blocks_of<WG_Q5_0> : small_blocks {
    static constexpr int bytes = 22, middle = 16;
    static constexpr bool shifted = false;
    static __device__ __forceinline__ void read(const uint8_t *x, int lane, coded *c)
    {
        x += lane / 4 * bytes;
        const int at = lane % 4 * 4;
        nibbles(c, two_halves(x + 6 + at));
        c->q[0] |= fifths(bits16(x + 2) >> at);
        c->q[1] |= fifths(bits16(x + 4) >> at);
        both(c, half_of(bits16(x)), 0);
    }
};

template <> struct blocks_of<WG_Q5_1> : small_blocks {
    static constexpr int bytes = 24, middle = 0;
    static constexpr bool shifted = true;
    static __device__ __forceinline__ void read(const uint8_t *x, int lane, coded *c)
    {
        x += lane / 4 * bytes;
        const int at = lane % 4 * 4;
        const uint32_t dm = word(x), high = word(x + 4);
        nibbles(c, word(x + 8 + at));
        c->q[0] |= fifths(high >> at);
        c->q[1] |= fifths(high >> 16 >> at);
        both(c, half_of(dm & 0xffff), half_of(dm >> 16));
    }
};

template <> struct blocks_of<WG_Q8_0> : small_blocks {
    static constexpr int bytes = 34, middle = 128;
    static constexpr bool shifted = false;
    static __device__ __forceinline__ void read(const uint8_t *x, int lane, coded *c)
    {
        x += lane / 4 * bytes;
        c->q[0] = two_halves(x + 2 + lane % 4 * 4) ^ 0x80808080u;
        c->q[1] = two_halves(x + 18 + lane % 4 * 4) ^ 0x80808080u;
        both(c, half_of(bits16(x)), 0);
    }
};

template <> struct blocks_of<WG_Q2_K> : large_blocks {
    static constexpr int bytes = 84, middle = 0;
    static constexpr bool shifted = true;
    static __device__ __forceinline__ void read(const uint8_t *x, int lane, coded *c)
    {
        const int part = first(lane) / 16;
        const uint32_t u = word(x + 16 + lane / 16 * 32 + lane % 8 * 4) >> lane / 8 % 2 * 4,
                       dm = word(x + 80);
        const float d = half_of(dm & 0xffff), dmin = half_of(dm >> 16);
#pragma unroll
        for (int k = 0; k < 2; k++) {
            const int s = x[part + 2 * k];
            c->q[k] = u >> 2 * k & 0x03030303u;
            c->d[k] = d * float(s & 15);
            c->m[k] = -(dmin * float(s >> 4));
        }
    }
};

template <> struct blocks_of<WG_Q3_K> : large_blocks {
    static constexpr int bytes = 110, middle = 4;
    static constexpr bool shifted = false;
    static __device__ __forceinline__ void read(const uint8_t *x, int lane, coded *c)
    {
        const int part = first(lane) / 16, at = lane % 8 * 4;
        const uint32_t u = two_halves(x + 32 + lane / 16 * 32 + at) >> lane / 8 % 2 * 4,
                       third = two_halves(x + at) >> lane / 8 * 2;
        const float d = half_of(bits16(x + 108));
#pragma unroll
        for (int k = 0; k < 2; k++) {
            c->q[k] = (u >> 2 * k & 0x03030303u) | (third >> k & 0x01010101u) << 2;
            c->d[k] = d * float(wgi_q3_k_scale(x + 96, part + 2 * k));
        }
    }
};

/* d, dmin and the scales are 16 bytes, at a multiple of 16. */
__device__ __forceinline__ void read_k(const uint8_t *x, int pair, coded *c)
{
    const uint4 head = *reinterpret_cast<const uint4 *>(x);
    const uint32_t words[3] = { head.y, head.z, head.w };
    const float d = half_of(head.x & 0xffff), dmin = half_of(head.x >> 16);
    uint32_t most, least;
    wgi_k_scale_pair(words, pair, &most, &least);
    c->d[0] = d * float(most & 255);
    c->d[1] = d * float(most >> 8);
    c->m[0] = -(dmin * float(least & 255));
    c->m[1] = -(dmin * float(least >> 8));
}

template <> struct blocks_of<WG_Q4_K> : large_blocks {
    static constexpr int bytes = 144, middle = 0;
    static constexpr bool shifted = true;
    static __device__ __forceinline__ void read(const uint8_t *x, int lane, coded *c)
    {
        nibbles(c, word(x + 16 + lane * 4));
        read_k(x, lane / 8, c);
    }
};

template <> struct blocks_of<WG_Q5_K> : large_blocks {
    static constexpr int bytes = 176, middle = 0;
    static constexpr bool shifted = true;
    static __device__ __forceinline__ void read(const uint8_t *x, int lane, coded *c)
    {
        const uint32_t high = word(x + 16 + lane % 8 * 4) >> lane / 8 * 2;
        nibbles(c, word(x + 48 + lane * 4));
        c->q[0] |= (high & 0x01010101u) << 4;
        c->q[1] |= (high >> 1 & 0x01010101u) << 4;
        read_k(x, lane / 8, c);
    }
};

template <> struct blocks_of<WG_Q6_K> : six_bit_blocks {
    static constexpr int bytes = 210, middle = 32;
    static constexpr bool shifted = false;
    static __device__ __forceinline__ void read(const uint8_t *x, int lane, coded *c)
    {
        const int part = first(lane) / 16;
        const uint32_t high =
            two_halves(x + 128 + lane / 16 * 32 + lane % 8 * 4) >> lane / 8 % 2 * 2;
        const float d = half_of(bits16(x + 208));
        nibbles(c, two_halves(x + lane * 4));
        c->q[0] |= (high & 0x03030303u) << 4;
        c->q[1] |= (high >> 4 & 0x03030303u) << 4;
        c->d[0] = d * float(int8_t(x[192 + part]));
        c->d[1] = d * float(int8_t(x[192 + part + 4]));
    }
};

/* The lane's weights in the span at x, f32: bit for bit the CPU's, or, fused, with one rounding less
 * where the type has minima. */
template <int T, bool FUSED>
__device__ __forceinline__ void weights(const uint8_t *x, int lane, float (&w)[8])
{
    using blocks = blocks_of<T>;
    coded c;
    blocks::read(x, lane, &c);
#pragma unroll
    for (int k = 0; k < 8; k++) {
        const float q = code(c.q[k / 4], k % 4, blocks::middle);
        if constexpr (blocks::shifted && FUSED)
            w[k] = fmaf(q, c.d[k / 4], c.m[k / 4]);
        else if constexpr (blocks::shifted)
            w[k] = q * c.d[k / 4] + c.m[k / 4];
        else
            w[k] = q * c.d[k / 4];
    }
}

/* f.run<T>() for the type. */
template <class F> static inline void by_block_type(int type, const F &f)
{
    switch (type) {
    case WG_Q4_0: f.template run<WG_Q4_0>(); break;
    case WG_Q4_1: f.template run<WG_Q4_1>(); break;
    case WG_Q5_0: f.template run<WG_Q5_0>(); break;
    case WG_Q5_1: f.template run<WG_Q5_1>(); break;
    case WG_Q8_0: f.template run<WG_Q8_0>(); break;
    case WG_Q2_K: f.template run<WG_Q2_K>(); break;
    case WG_Q3_K: f.template run<WG_Q3_K>(); break;
    case WG_Q4_K: f.template run<WG_Q4_K>(); break;
    case WG_Q5_K: f.template run<WG_Q5_K>(); break;
    default: f.template run<WG_Q6_K>(); break;
    }
}

} // namespace wgi
#endif
