/* Rows of weights in blocks against activations in 8 bits; compiled once per level. */
#include "cpu/quant_dot.h"

#include <math.h>

#include "cpu/vec.h"
#include "tensor/half.h"

static inline uint16_t u16_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return h;
}

/* ---- activations ----------------------------------------------------------------------------- */

/* 32 of them: codes, and their scale; NaN if one of them is no finite number. */
static inline float quantise_block(int8_t *restrict codes, const float *restrict x)
{
    uint32_t most = 0; /* of the bits: the largest magnitude, above it infinity and NaN */
    for (int i = 0; i < 32; i++) {
        const uint32_t u = wgi_f32_bits(x[i]) & 0x7fffffffu;
        most = u > most ? u : most;
    }
    const float scale = wgi_f32_from_bits(most) / 127, by = scale != 0 ? 1 / scale : 0;
    if (!(by <= 0x1p126f) || most >= 0x7f800000u) { /* no codes: values too small, or no numbers */
        memset(codes, 0, 32);
        return most >= 0x7f800000u ? NAN : 0;
    }
    for (int i = 0; i < 32; i++) {
        const float nearest =
            x[i] * by + 0x1.8p23f; /* its lowest bits: the integer, ties to even */
        codes[i] = (int8_t)(wgi_f32_bits(nearest) & 0xffu);
    }
    return scale;
}

static inline float shift_of(const int8_t *codes, float scale)
{
    int sum = 0;
    for (int i = 0; i < 32; i++) sum += codes[i];
    return -8 * scale * (float)sum;
}

#if defined(__AVX2__)

/* Eight blocks are a group: their scales lie in the order 0 2 4 6 1 3 5 7, so that a shuffle within
 * halves of a register spreads those of a pair of neighbours. In q4_0's order a pair's codes lie as
 * the weights' nibbles do: the first halves of both blocks, then the second halves. */
static inline int64_t place_of_scale(int64_t block, int64_t blocks)
{
    return block >= (blocks & ~7) ? block : (block & ~7) + (block & 7) / 2 + (block & 1) * 4;
}

static inline void quantise_row(void *to, const float *x, int64_t k, bool pairs)
{
    const int64_t blocks = k / 32;
    int8_t *codes = to, c[32];
    float *scales = (float *)((char *)to + k), *shifts = scales + blocks;
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t at = place_of_scale(b, blocks);
        scales[at] = quantise_block(c, x + b * 32);
        shifts[at] = shift_of(c, scales[at]);
        if (pairs && b < (blocks & ~7)) {
            int8_t *pair = codes + (b & ~1) * 32 + (b & 1) * 16;
            memcpy(pair, c, 16);
            memcpy(pair + 32, c + 16, 16);
        } else {
            memcpy(codes + b * 32, c, 32);
        }
    }
}

static void quantise_pairs(void *to, const float *x, int64_t k)
{
    quantise_row(to, x, k, true);
}

static void quantise_plain(void *to, const float *x, int64_t k)
{
    quantise_row(to, x, k, false);
}

/* The scales of a group of blocks, `size` bytes each, in the order above. */
static inline __attribute__((always_inline)) __m256 group_scales(const uint8_t *w, int size)
{
    __m128i h = _mm_cvtsi32_si128(u16_at(w));
    h = _mm_insert_epi16(h, u16_at(w + 2 * size), 1);
    h = _mm_insert_epi16(h, u16_at(w + 4 * size), 2);
    h = _mm_insert_epi16(h, u16_at(w + 6 * size), 3);
    h = _mm_insert_epi16(h, u16_at(w + size), 4);
    h = _mm_insert_epi16(h, u16_at(w + 3 * size), 5);
    h = _mm_insert_epi16(h, u16_at(w + 5 * size), 6);
    h = _mm_insert_epi16(h, u16_at(w + 7 * size), 7);
    return _mm256_cvtph_ps(h);
}

/* The weights of a group are asked for 4 KiB ahead: the processor's own prefetching stops at the
 * ends of pages (measured: 70% of the bandwidth without, 87% with it). */
static inline __attribute__((always_inline)) void prefetch(const uint8_t *w, int bytes)
{
    const uintptr_t ahead = (uintptr_t)w + 4096;
    for (int i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)(ahead + (uintptr_t)i), _MM_HINT_T0);
}

static inline float sum_of(__m256 v)
{
    float lanes[8];
    _mm256_storeu_ps(lanes, v);
    for (int n = 4; n > 0; n /= 2)
        for (int i = 0; i < n; i++) lanes[i] += lanes[i + n];
    return lanes[0];
}

#define NAME(x) x
#define TARGET
#include "cpu/quant_dot.inc.h"
#include "cpu/quant_dot_k.inc.h"
#include "cpu/quant_dot_q6_k.inc.h"
#undef NAME
#undef TARGET

/* The same with the instructions that add four products at once. */
#define NAME(x) x##_vnni
#define VNNI
#if defined(__AVX512F__)
#define TARGET __attribute__((target("avx512vnni")))
#define DPBUSD _mm256_dpbusd_epi32
#else
#define TARGET __attribute__((target("avxvnni")))
#define DPBUSD _mm256_dpbusd_avx_epi32
#endif
#include "cpu/quant_dot.inc.h"
#include "cpu/quant_dot_k.inc.h"
#undef NAME
#undef TARGET

#else

static void quantise_plain(void *to, const float *x, int64_t k)
{
    const int64_t blocks = k / 32;
    int8_t *codes = to;
    float *scales = (float *)((char *)to + k), *shifts = scales + blocks;
    for (int64_t b = 0; b < blocks; b++) {
        scales[b] = quantise_block(codes + b * 32, x + b * 32);
        shifts[b] = shift_of(codes + b * 32, scales[b]);
    }
}

static void quantise_pairs(void *to, const float *x, int64_t k) /* pairs are AVX2's */
{
    quantise_plain(to, x, k);
}

static void dots_q4_0(float *y, int64_t y_row, const void *weights, const wgi_q8_rows *x)
{
    for (int64_t i = 0; i < x->m; i++) {
        const int8_t *q = (const int8_t *)x->data + (size_t)i * x->row;
        const float *scales = (const float *)(const void *)(q + x->k);
        const uint8_t *w = weights;
        float sum = 0;
        for (int64_t b = 0; b < x->k / 32; b++, w += 18, q += 32) {
            int dot = 0;
            for (int j = 0; j < 16; j++)
                dot += ((w[2 + j] & 15) - 8) * q[j] + ((w[2 + j] >> 4) - 8) * q[16 + j];
            sum += wgi_f16_to_f32(u16_at(w)) * scales[b] * (float)dot;
        }
        y[i * y_row] = sum;
    }
}

static void dots_q8_0(float *y, int64_t y_row, const void *weights, const wgi_q8_rows *x)
{
    for (int64_t i = 0; i < x->m; i++) {
        const int8_t *q = (const int8_t *)x->data + (size_t)i * x->row;
        const float *scales = (const float *)(const void *)(q + x->k);
        const uint8_t *w = weights;
        float sum = 0;
        for (int64_t b = 0; b < x->k / 32; b++, w += 34, q += 32) {
            int dot = 0;
            for (int j = 0; j < 32; j++) dot += (int8_t)w[2 + j] * q[j];
            sum += wgi_f16_to_f32(u16_at(w)) * scales[b] * (float)dot;
        }
        y[i * y_row] = sum;
    }
}

/* The other types by way of floats: the same sums, slower. */
static inline void dots_k(float *y, int64_t y_row, const void *weights, const wgi_q8_rows *x,
                          wg_dtype t, size_t size)
{
    float f[256];
    for (int64_t i = 0; i < x->m; i++) {
        const int8_t *q = (const int8_t *)x->data + (size_t)i * x->row;
        const float *scales = (const float *)(const void *)(q + x->k);
        float sum = 0;
        for (int64_t b = 0; b < x->k / 256; b++) {
            WGI_AT_LEVEL(wgi_dequantise_kernels)
                .of[t - WG_Q4_0](f, (const char *)weights + (size_t)b * size, 1);
            for (int64_t j = 0; j < 256; j++)
                sum += f[j] * scales[b * 8 + j / 32] * (float)q[b * 256 + j];
        }
        y[i * y_row] = sum;
    }
}

static void dots_q4_k(float *y, int64_t y_row, const void *w, const wgi_q8_rows *x)
{
    dots_k(y, y_row, w, x, WG_Q4_K, 144);
}

static void dots_q5_k(float *y, int64_t y_row, const void *w, const wgi_q8_rows *x)
{
    dots_k(y, y_row, w, x, WG_Q5_K, 176);
}

static void dots_q6_k(float *y, int64_t y_row, const void *w, const wgi_q8_rows *x)
{
    dots_k(y, y_row, w, x, WG_Q6_K, 210);
}

#endif

/* ---- dequantised weights --------------------------------------------------------------------- */

static void dots_f32(float *y, int64_t y_row, const float *w, const float *x, int64_t x_row,
                     int64_t m, int64_t k)
{
    for (int64_t i = 0; i < m; i++) {
        const float *a = x + i * x_row;
        wgi_vf s[4] = { wgi_vf_set(0), wgi_vf_set(0), wgi_vf_set(0), wgi_vf_set(0) };
        int64_t j = 0;
        for (; j + 4 * WGI_VF <= k; j += 4 * WGI_VF)
            for (int v = 0; v < 4; v++)
                s[v] = wgi_vf_fma(wgi_vf_load(a + j + v * WGI_VF), wgi_vf_load(w + j + v * WGI_VF),
                                  s[v]);
        float lanes[WGI_VF], rest = 0;
        wgi_vf_store(lanes, (s[0] + s[1]) + (s[2] + s[3]));
        for (int n = WGI_VF / 2; n > 0; n /= 2)
            for (int l = 0; l < n; l++) lanes[l] += lanes[l + n];
        for (; j < k; j++) rest += a[j] * w[j];
        y[i * y_row] += lanes[0] + rest;
    }
}

const wgi_quant_dots WGI_AT_LEVEL(wgi_quant_dots) = {
    .q8 = { [WG_Q4_0 - WG_Q4_0] = { quantise_pairs, dots_q4_0 },
            [WG_Q8_0 - WG_Q4_0] = { quantise_plain, dots_q8_0 },
            [WG_Q4_K - WG_Q4_0] = { quantise_plain, dots_q4_k },
            [WG_Q5_K - WG_Q4_0] = { quantise_plain, dots_q5_k },
            [WG_Q6_K - WG_Q4_0] = { quantise_plain, dots_q6_k } },
#if defined(__AVX2__)
    .q8_vnni = { [WG_Q4_0 - WG_Q4_0] = { quantise_pairs, dots_q4_0_vnni },
                 [WG_Q8_0 - WG_Q4_0] = { quantise_plain, dots_q8_0_vnni },
                 [WG_Q4_K - WG_Q4_0] = { quantise_plain, dots_q4_k_vnni },
                 [WG_Q5_K - WG_Q4_0] = { quantise_plain, dots_q5_k_vnni } },
#endif
    .f32 = dots_f32,
};
