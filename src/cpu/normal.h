/* Two standard normal numbers of two random words (Box and Muller 1958): with u = (a + 1) 2^-32 and
 * v = b 2^-32, sqrt(-2 log u) times cos and sin of 2 pi v. In f32 by plain arithmetic, so that loops
 * of it vectorise and CUDA gives the same; in f64 by libm. */
#ifndef WGI_CPU_NORMAL_H
#define WGI_CPU_NORMAL_H
#include "cpu/formula_math.h"

typedef struct {
    float x, y;
} wgi_normal_pair;

/* -log((a + 1) 2^-32): above a half by what is missing to 1, which is exact. */
WGI_DEVICE float wgi_minus_log_word(uint32_t a)
{
    float missing = (float)(int32_t)(~a & 0x7fffffffu) * 0x1p-32f;
    float u = ((float)(int32_t)(a & 0x7fffffffu) + 1.0f) * 0x1p-32f;
    return a >= 0x80000000u ? -wgi_log1p_f32(-missing) : -wgi_log_f32(u);
}

/* Within 4 ulp of the exact pair (cos or sin near their zeros: of 2^-24 of the radius). */
WGI_DEVICE wgi_normal_pair wgi_normal_pair_f32(uint32_t a, uint32_t b)
{
    float radius = sqrtf(2.0f * wgi_minus_log_word(a));
    /* the angle is quadrant * pi/2 + t, |t| <= pi/4: cut in integers, so without error */
    uint32_t quadrant = (b + 0x20000000u) >> 30;
    float t = (float)(int32_t)(b - (quadrant << 30)) * 1.46291808e-9f, s = t * t;
    float p = wgi_fma_f32(wgi_fma_f32(-0.000195172353f, s, 0.008332178f), s, -0.166666552f);
    float sine = wgi_fma_f32(p * s, t, t);
    float q = wgi_fma_f32(wgi_fma_f32(2.44383791e-5f, s, -0.00138873665f), s, 0.0416666456f);
    float cosine = wgi_fma_f32(q * s, s, wgi_fma_f32(-0.5f, s, 1.0f));
    float x = quadrant & 1 ? sine : cosine, y = quadrant & 1 ? cosine : sine;
    x = (quadrant + 1) & 2 ? -x : x;
    y = quadrant & 2 ? -y : y;
    wgi_normal_pair n = { radius * x, radius * y };
    return n;
}

WGI_DEVICE void wgi_normal_pair_f64(uint32_t a, uint32_t b, double *out)
{
    double radius = sqrt(-2 * log(((double)a + 1) * 0x1p-32));
    double angle = 6.283185307179586477 * 0x1p-32 * (double)b;
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}
#endif
