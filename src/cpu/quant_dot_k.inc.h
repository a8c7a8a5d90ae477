/* Template: q4_k and q5_k as quant_dot.inc.h does q4_0 and q8_0, whose NAME, TARGET and products it
 * uses. A block of 256 is a group of eight, so that nothing is left behind the groups. */

/* The 6-bit scales and minima of eight parts, as bytes in the order of a group's scales. */
static inline __attribute__((always_inline)) TARGET __m128i NAME(k_scales)(const uint8_t *s)
{
    uint32_t a, b, c;
    memcpy(&a, s, 4);
    memcpy(&b, s + 4, 4);
    memcpy(&c, s + 8, 4);
    const uint32_t scale[2] = { a & 0x3f3f3f3f, (c & 0x0f0f0f0f) | (a >> 6 & 0x03030303) << 4 },
                   least[2] = { b & 0x3f3f3f3f, (c >> 4 & 0x0f0f0f0f) | (b >> 6 & 0x03030303)
                                                                            << 4 };
    const __m128i all = _mm_set_epi32((int)least[1], (int)least[0], (int)scale[1], (int)scale[0]);
    return _mm_shuffle_epi8(all,
                            _mm_set_epi8(15, 13, 11, 9, 14, 12, 10, 8, 7, 5, 3, 1, 6, 4, 2, 0));
}

/* Parts 2 p and 2 p + 1 of a block: low and high nibbles of 32 bytes, and their fifth bits. */
static inline __attribute__((always_inline)) TARGET void NAME(two_parts)(
    __m256i nibbles, __m256i high, const bool five, const int8_t *const *q, float (*t)[8],
    const int p, const int m, __m256 *sum)
{
    const __m256i low = _mm256_set1_epi8(15), sixteen = _mm256_set1_epi8(16);
    __m256i u = _mm256_and_si256(nibbles, low),
            v = _mm256_and_si256(_mm256_srli_epi16(nibbles, 4), low);
    if (five) {
        const __m256i a = _mm256_set1_epi8((char)(1 << 2 * p)),
                      b = _mm256_set1_epi8((char)(2 << 2 * p));
        const __m256i in_u = _mm256_cmpeq_epi8(_mm256_and_si256(high, a), a),
                      in_v = _mm256_cmpeq_epi8(_mm256_and_si256(high, b), b);
        u = _mm256_or_si256(u, _mm256_and_si256(in_u, sixteen));
        v = _mm256_or_si256(v, _mm256_and_si256(in_v, sixteen));
    }
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) {
        const __m256i *x = (const __m256i *)(const void *)(q[i] + 64 * p);
        const __m256i a = NAME(products)(u, _mm256_loadu_si256(x)),
                      b = NAME(products)(v, _mm256_loadu_si256(x + 1));
        sum[2 * i] =
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(a), _mm256_broadcast_ss(&t[i][p]), sum[2 * i]);
        sum[2 * i + 1] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(b), _mm256_broadcast_ss(&t[i][4 + p]),
                                         sum[2 * i + 1]);
    }
}

/* m rows of x from row `first` on; m and five are constants of the caller's. */
static inline __attribute__((always_inline)) TARGET void NAME(rows_q45_k)(
    float *y, int64_t y_row, const uint8_t *w, const wgi_q8_rows *x, int64_t first, const int m,
    const bool five)
{
    const int64_t blocks = x->k / 32;
    const int size = five ? 176 : 144;
    const int8_t *q[4];
    const float *scales[4];
    __m256 sum[8];
    float t[4][8];
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) {
        q[i] = (const int8_t *)x->data + (size_t)(first + i) * x->row;
        scales[i] = (const float *)(const void *)(q[i] + x->k);
        sum[2 * i] = sum[2 * i + 1] = _mm256_setzero_ps();
    }
    for (int64_t b = 0; b + 8 <= blocks; b += 8, w += size) {
        prefetch(w, size);
        const __m128i bytes = NAME(k_scales)(w + 4);
        const __m256 d = _mm256_set1_ps(wgi_f16_to_f32(u16_at(w))),
                     dmin =
                         _mm256_set1_ps(wgi_f16_to_f32(u16_at(w + 2)) / 8); /* shifts are by -8 */
        const __m256 scale = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)));
        const __m256 least =
            _mm256_mul_ps(dmin, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))));
#pragma GCC unroll 4
        for (int i = 0; i < m; i++) {
            _mm256_storeu_ps(t[i], _mm256_mul_ps(scale, _mm256_loadu_ps(scales[i] + b)));
            sum[2 * i] =
                _mm256_fmadd_ps(least, _mm256_loadu_ps(scales[i] + blocks + b), sum[2 * i]);
        }
        const __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(w + 16));
        const __m256i *n = (const __m256i *)(const void *)(w + size - 128);
        NAME(two_parts)(_mm256_loadu_si256(n), high, five, q, t, 0, m, sum);
        NAME(two_parts)(_mm256_loadu_si256(n + 1), high, five, q, t, 1, m, sum);
        NAME(two_parts)(_mm256_loadu_si256(n + 2), high, five, q, t, 2, m, sum);
        NAME(two_parts)(_mm256_loadu_si256(n + 3), high, five, q, t, 3, m, sum);
#pragma GCC unroll 4
        for (int i = 0; i < m; i++) q[i] += 256;
    }
#pragma GCC unroll 4
    for (int i = 0; i < m; i++)
        y[(first + i) * y_row] = sum_of(_mm256_add_ps(sum[2 * i], sum[2 * i + 1]));
}

static TARGET void NAME(dots_q4_k)(float *y, int64_t y_row, const void *w, const wgi_q8_rows *x)
{
    int64_t i = 0;
    for (; i + 4 <= x->m; i += 4) NAME(rows_q45_k)(y, y_row, w, x, i, 4, false);
    for (; i < x->m; i++) NAME(rows_q45_k)(y, y_row, w, x, i, 1, false);
}

static TARGET void NAME(dots_q5_k)(float *y, int64_t y_row, const void *w, const wgi_q8_rows *x)
{
    int64_t i = 0;
    for (; i + 4 <= x->m; i += 4) NAME(rows_q45_k)(y, y_row, w, x, i, 4, true);
    for (; i < x->m; i++) NAME(rows_q45_k)(y, y_row, w, x, i, 1, true);
}
