/* exp of vectors, with the bits of wgi_exp_f32 and wgi_exp_f64. */
#ifndef WGI_CPU_VEC_EXP_H
#define WGI_CPU_VEC_EXP_H
#include "cpu/formula.h"
#include "cpu/vec.h"

static inline wgi_vf wgi_vf_exp(wgi_vf x)
{
    float v[WGI_VF];
#if defined(__AVX512F__) /* one instruction for all powers of two */
    float n[WGI_VF];
    const __m512 c = _mm512_max_ps(_mm512_set1_ps(-104), (__m512)x); /* x if that is NaN */
    wgi_vf_store(v, (wgi_vf)_mm512_min_ps(_mm512_set1_ps(89), c));
    for (int i = 0; i < WGI_VF; i++) {
        const wgi_exp_parts p = wgi_exp_reduce_f32(v[i]);
        v[i] = wgi_exp_rest_f32(p.r);
        n[i] = p.whole;
    }
    return (wgi_vf)_mm512_scalef_ps((__m512)wgi_vf_load(v), (__m512)wgi_vf_load(n));
#else
    wgi_vf_store(v, x);
    for (int i = 0; i < WGI_VF; i++) v[i] = wgi_exp_f32(v[i]);
    return wgi_vf_load(v);
#endif
}

static inline wgi_vd wgi_vd_exp(wgi_vd x)
{
    double v[WGI_VD];
    wgi_vd_store(v, x);
    for (int i = 0; i < WGI_VD; i++) v[i] = wgi_exp_f64(v[i]);
    return wgi_vd_load(v);
}
#endif
