/* The element types of attention's kernels on the CPU, for emulated machines. */
#ifndef WENGERT_TESTS_ATTENTION_ELEMENTS_H
#define WENGERT_TESTS_ATTENTION_ELEMENTS_H
#include "cuda/attention_element.h"

template <int TYPE> struct element16 {
    static constexpr int type = TYPE;
    static constexpr double unit = TYPE == WG_BF16 ? 0x1p-8 : 0x1p-11;
    static uint16_t of(float v) { return TYPE == WG_BF16 ? wgi_f32_to_bf16(v) : wgi_f32_to_f16(v); }
    static float value(uint16_t v)
    {
        return TYPE == WG_BF16 ? wgi_bf16_to_f32(v) : wgi_f16_to_f32(v);
    }
    static uint32_t pack(float low, float high) { return of(low) | uint32_t(of(high)) << 16; }
    static float low(uint32_t u) { return value(uint16_t(u)); }
    static float high(uint32_t u) { return value(uint16_t(u >> 16)); }
    template <class M>
    static void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
    {
        M::mma(c, a, b0, b1, value);
    }
    template <class M, int NT, bool TURNED, class A>
    static void group_mma(float (&c)[NT][4], const A &a, uint64_t b, bool add)
    {
        M::group_mma(c, a, b, TURNED, add, value);
    }
};
using bf16 = element16<WG_BF16>;
using f16 = element16<WG_F16>;

#endif
