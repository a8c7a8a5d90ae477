/* Tiles of f32 rounded to bf16 in pairs of neighbours along k, as the instructions for bf16 take them. Only for files that are
 * compiled for AVX-512-BF16. */
#ifndef WGI_CPU_ATTENTION_PAIRS_H
#define WGI_CPU_ATTENTION_PAIRS_H
#include <immintrin.h>
#include <stdint.h>

enum { WGI_PAIRS = 16 }; /* of a vector */

/* Each column's two elements, x's below y's. */
static inline __m512i wgi_pairs_of(__m512 x, __m512 y)
{
    static const uint16_t order[32] = { 0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                        21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                        11, 27, 12, 28, 13, 29, 14, 30, 15, 31 };
    return _mm512_permutexvar_epi16(_mm512_loadu_si512(order), (__m512i)_mm512_cvtne2ps_pbh(y, x));
}

/* The first n of 16 elements, zeros behind them. */
static inline __m512 wgi_first(const float *x, int64_t n)
{
    if (n <= 0) return _mm512_setzero_ps();
    return _mm512_maskz_loadu_ps((__mmask16)(n < WGI_PAIRS ? (1u << n) - 1 : 0xffffu), x);
}

/* The first n of 32 neighbours, zeros behind them: 16 pairs. */
static inline __m512i wgi_pairs_along(const float *x, int64_t n)
{
    return (__m512i)_mm512_cvtne2ps_pbh(wgi_first(x + WGI_PAIRS, n - WGI_PAIRS), wgi_first(x, n));
}

/* k rows of a panel of `columns`, 16 or 32, to (rows, 32) pairs: zeros behind k. */
static inline void wgi_lay_panel(char *to, int64_t rows, const float *b, int64_t ldb, int64_t k,
                                 int64_t columns)
{
    enum { BYTES = 2 * 4 * WGI_PAIRS };
    const int64_t whole = k / 2;
    for (int64_t p = 0; p < whole; p++, b += 2 * ldb, to += BYTES)
        for (int64_t c = 0; c < columns; c += WGI_PAIRS)
            _mm512_store_si512(to + c * 4,
                               wgi_pairs_of(_mm512_loadu_ps(b + c), _mm512_loadu_ps(b + ldb + c)));
    for (int64_t p = whole; p < rows; p++, to += BYTES)
        for (int64_t c = 0; c < columns; c += WGI_PAIRS)
            _mm512_store_si512(to + c * 4,
                               p > whole || k % 2 == 0
                                   ? _mm512_setzero_si512()
                                   : wgi_pairs_of(_mm512_loadu_ps(b + c), _mm512_setzero_ps()));
}
#endif
