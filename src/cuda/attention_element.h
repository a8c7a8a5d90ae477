/* Elements of attention's operands on either machine, masks, and dropout. */
#ifndef WGI_CUDA_ATTENTION_ELEMENT_H
#define WGI_CUDA_ATTENTION_ELEMENT_H
#include <math.h>

#include "cuda/attention.h"
#include "ops/sdpa_mask.h"

#ifdef __CUDACC__
#define WGI_TILE static __device__ __forceinline__
#define WGI_TILE_MEMBER __device__ __forceinline__
#ifndef WGI_DEVICE
#define WGI_DEVICE static __host__ __device__ __forceinline__
#endif
#else
#define WGI_TILE static inline
#define WGI_TILE_MEMBER inline
#endif
#include "tensor/half.h"
#include "tensor/philox.h"
#include "wengert/base.h"

namespace wgi
{

constexpr float log2_e = 1.44269504088896340736f, ln_2 = 0.69314718055994530942f;

template <class R> WGI_TILE R element(const wgi_attention_operand &o, int64_t at)
{
    switch (o.type) {
    case WG_F64: return R(reinterpret_cast<const double *>(o.data)[at]);
    case WG_F32: return R(reinterpret_cast<const float *>(o.data)[at]);
    case WG_BF16: return R(wgi_bf16_to_f32(reinterpret_cast<const uint16_t *>(o.data)[at]));
    default: return R(wgi_f16_to_f32(reinterpret_cast<const uint16_t *>(o.data)[at]));
    }
}

WGI_TILE void set_element(const wgi_attention_operand &o, int64_t at, double v)
{
    switch (o.type) {
    case WG_F64: reinterpret_cast<double *>(o.data)[at] = v; break;
    case WG_F32: reinterpret_cast<float *>(o.data)[at] = float(v); break;
    case WG_BF16:
        reinterpret_cast<uint16_t *>(o.data)[at] = wgi_f32_to_bf16(wgi_f64_to_odd_f32(v));
        break;
    default:
        reinterpret_cast<uint16_t *>(o.data)[at] = wgi_f32_to_f16(wgi_f64_to_odd_f32(v));
        break;
    }
}

/* What the mask adds to the score of query i and key j; 0 without a mask. */
template <class R> WGI_TILE R mask_value(const wgi_attention_pass &p, int b, int h, int i, int j)
{
    const wgi_attention_operand &m = p.mask;
    if (!m.data) return R(0);
    const int64_t at = wgi_row_offset(&m, b, h, i) + j * m.stride[3];
    if (m.type == WG_BOOL) return m.data[at] ? R(0) : R(-INFINITY);
    const R value = element<R>(m, at);
    return value < R(WGI_MASK_HIDES) ? R(-INFINITY) : value;
}

/* Dropout keeps the probability with this number: the CPU's words. */
WGI_TILE bool keeps(const wgi_attention_pass &p, int64_t index)
{
    const wgi_philox4 w = wgi_philox(p.random[0], p.random[1] + uint64_t(index) / 4);
    const int place = int(index & 3); /* not an index into v: that would be memory */
    const uint32_t low = place & 1 ? w.v[1] : w.v[0], high = place & 1 ? w.v[3] : w.v[2];
    return wgi_uniform24(place & 2 ? high : low) >= float(p.dropout);
}

WGI_TILE int64_t score_index(const wgi_attention_pass &p, int b, int h, int i, int j)
{
    return ((int64_t(b) * p.heads + h) * p.tq + i) * p.tk + j;
}

/* What kept probabilities are multiplied by; with dropout 1 none is kept. */
WGI_TILE double keep_factor(const wgi_attention_pass &p)
{
    return p.dropout < 1 ? 1 / (1 - p.dropout) : 0;
}

} // namespace wgi
#endif
