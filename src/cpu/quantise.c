/* f32 to blocks; compiled once per level. Values that are no numbers become some code within range:
 * the conversion to an integer saturates, NaN is 0. */
#include "cpu/quant.h"

#include <math.h>

#include "tensor/half.h"

static inline void put_f16(uint8_t *y, float v)
{
    const uint16_t h = wgi_f32_to_f16(v);
    memcpy(y, &h, sizeof h);
}

/* v truncated, within 0 .. most. */
static inline uint8_t code(float v, float most)
{
    return (uint8_t)(int)(v < most ? v > 0 ? v : 0 : v == v ? most : 0);
}

/* The element that is largest in magnitude, the first of equals. */
static inline float farthest(const float *x)
{
    float most = 0, at = 0;
    for (int i = 0; i < 32; i++)
        if (fabsf(x[i]) > most) {
            most = fabsf(x[i]);
            at = x[i];
        }
    return at;
}

static inline float inverse(float d)
{
    return d != 0 ? 1 / d : 0;
}

/* Codes around a middle: x / d + middle + 1/2, rounded once as a fused multiply-add would. */
static inline void codes_around(uint8_t *q, const float *x, float d, double middle, float most)
{
    const double by = inverse(d);
    for (int i = 0; i < 32; i++) q[i] = code((float)((double)x[i] * by + (middle + 0.5)), most);
}

/* Codes above the least: (x - least) / d + 1/2. Returns least, and d in *scale. */
static inline float codes_above(uint8_t *q, const float *x, float most, float *scale)
{
    float low = x[0], high = x[0];
    for (int i = 1; i < 32; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    *scale = (high - low) / most;
    const float by = inverse(*scale);
    for (int i = 0; i < 32; i++) q[i] = code((x[i] - low) * by + 0.5f, most);
    return low;
}

static inline void put_nibbles(uint8_t *y, const uint8_t *q)
{
    for (int i = 0; i < 16; i++) y[i] = (uint8_t)((q[i] & 15) | q[16 + i] << 4);
}

static inline void put_fifth_bits(uint8_t *y, const uint8_t *q)
{
    uint32_t bits = 0;
    for (int i = 0; i < 32; i++) bits |= (uint32_t)(q[i] >> 4) << i;
    memcpy(y, &bits, sizeof bits);
}

static void q4_0(void *to, const float *x, int64_t blocks)
{
    uint8_t *y = to, q[32];
    for (int64_t b = 0; b < blocks; b++, x += 32, y += 18) {
        const float d = farthest(x) / -8;
        codes_around(q, x, d, 8, 15);
        put_f16(y, d);
        put_nibbles(y + 2, q);
    }
}

static void q4_1(void *to, const float *x, int64_t blocks)
{
    uint8_t *y = to, q[32];
    for (int64_t b = 0; b < blocks; b++, x += 32, y += 20) {
        float d, m = codes_above(q, x, 15, &d);
        put_f16(y, d);
        put_f16(y + 2, m);
        put_nibbles(y + 4, q);
    }
}

static void q5_0(void *to, const float *x, int64_t blocks)
{
    uint8_t *y = to, q[32];
    for (int64_t b = 0; b < blocks; b++, x += 32, y += 22) {
        const float d = farthest(x) / -16;
        codes_around(q, x, d, 16, 31);
        put_f16(y, d);
        put_fifth_bits(y + 2, q);
        put_nibbles(y + 6, q);
    }
}

static void q5_1(void *to, const float *x, int64_t blocks)
{
    uint8_t *y = to, q[32];
    for (int64_t b = 0; b < blocks; b++, x += 32, y += 24) {
        float d, m = codes_above(q, x, 31, &d);
        put_f16(y, d);
        put_f16(y + 2, m);
        put_fifth_bits(y + 4, q);
        put_nibbles(y + 8, q);
    }
}

static void q8_0(void *to, const float *x, int64_t blocks)
{
    uint8_t *y = to;
    for (int64_t b = 0; b < blocks; b++, x += 32, y += 34) {
        const float d = fabsf(farthest(x)) / 127, by = inverse(d);
        put_f16(y, d);
        for (int i = 0; i < 32; i++) { /* half away from zero */
            const float v = fabsf(x[i] * by), whole = floorf(v),
                        round = whole + floorf(2 * (v - whole));
            const int q = code(round, 127);
            y[2 + i] = (uint8_t)(x[i] < 0 ? -q : q);
        }
    }
}

const wgi_quantise_kernels WGI_AT_LEVEL(wgi_quantise_kernels) = {
    .to = { [WG_Q4_0 - WG_Q4_0] = q4_0,
            [WG_Q4_1 - WG_Q4_0] = q4_1,
            [WG_Q5_0 - WG_Q4_0] = q5_0,
            [WG_Q5_1 - WG_Q4_0] = q5_1,
            [WG_Q8_0 - WG_Q4_0] = q8_0 },
};
