/* Template: the AVX2 kernels of quant_dot_simd.c, without VNNI and with it. Wants NAME and TARGET;
 * under VNNI also DPBUSD. u: codes from 0 on, s: signed codes, 32 of each. */

/* Eight sums of four products. */
static inline __attribute__((always_inline)) TARGET __m256i NAME(products)(__m256i u, __m256i s)
{
#ifdef VNNI
    return DPBUSD(_mm256_setzero_si256(), u, s);
#else
    return _mm256_madd_epi16(_mm256_maddubs_epi16(u, s), _mm256_set1_epi16(1));
#endif
}

/* Eight sums of four products of each of two; u, v at most 15: 16 bits hold the sums on the way. */
static inline __attribute__((always_inline)) TARGET __m256i NAME(products_of_two)(__m256i u,
                                                                                  __m256i s,
                                                                                  __m256i v,
                                                                                  __m256i t)
{
#ifdef VNNI
    return DPBUSD(DPBUSD(_mm256_setzero_si256(), u, s), v, t);
#else
    const __m256i sums = _mm256_add_epi16(_mm256_maddubs_epi16(u, s), _mm256_maddubs_epi16(v, t));
    return _mm256_madd_epi16(sums, _mm256_set1_epi16(1));
#endif
}

/* ---- q4_0 ------------------------------------------------------------------------------------ */

/* Pair j of a group: low nibbles of both blocks, high nibbles of both. */
static inline __attribute__((always_inline)) TARGET void NAME(pair)(const uint8_t *w,
                                                                    const int8_t *const *q,
                                                                    const __m256 *t, const int j,
                                                                    const int m, __m256 *sum)
{
    const __m256i low = _mm256_set1_epi8(15);
    const __m128i *a = (const __m128i *)(const void *)(w + 36 * j + 2),
                  *b = (const __m128i *)(const void *)(w + 36 * j + 20);
    const __m256i n =
        _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(a)), _mm_loadu_si128(b), 1);
    const __m256i u = _mm256_and_si256(n, low), v = _mm256_and_si256(_mm256_srli_epi16(n, 4), low);
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) {
        const __m256i *x = (const __m256i *)(const void *)(q[i] + 64 * j);
        const __m256i p =
            NAME(products_of_two)(u, _mm256_loadu_si256(x), v, _mm256_loadu_si256(x + 1));
        const __m256 scale = j == 0   ? _mm256_permute_ps(t[i], 0x00)
                             : j == 1 ? _mm256_permute_ps(t[i], 0x55)
                             : j == 2 ? _mm256_permute_ps(t[i], 0xaa)
                                      : _mm256_permute_ps(t[i], 0xff);
        sum[2 * i + j % 2] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(p), scale, sum[2 * i + j % 2]);
    }
}

/* What is left behind the groups, block by block; q: (32) codes of block b. */
static inline __attribute__((always_inline)) TARGET float NAME(rest_q4_0)(const uint8_t *w,
                                                                          const int8_t *q,
                                                                          const float *scales,
                                                                          const float *shifts,
                                                                          int64_t b, int64_t blocks)
{
    float sum = 0;
    for (; b < blocks; b++, w += 18, q += 32) {
        const __m128i n = _mm_loadu_si128((const __m128i *)(const void *)(w + 2));
        const __m256i u =
            _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(n, 4), n), _mm256_set1_epi8(15));
        const __m256i p = NAME(products)(u, _mm256_loadu_si256((const __m256i *)(const void *)q));
        const float d = wgi_f16_to_f32(u16_at(w));
        sum += d * scales[b] * sum_of(_mm256_cvtepi32_ps(p)) + d * shifts[b];
    }
    return sum;
}

/* m rows of x from row `first` on; m is a constant of the caller's. */
static inline __attribute__((always_inline)) TARGET void NAME(rows_q4_0)(float *y, int64_t y_row,
                                                                         const uint8_t *w,
                                                                         const wgi_q8_rows *x,
                                                                         int64_t first, const int m)
{
    const int64_t blocks = x->k / 32;
    const int8_t *q[4];
    const float *scales[4];
    __m256 sum[8], t[4];
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) {
        q[i] = (const int8_t *)x->data + (size_t)(first + i) * x->row;
        scales[i] = (const float *)(const void *)(q[i] + x->k);
        sum[2 * i] = sum[2 * i + 1] = _mm256_setzero_ps();
    }
    int64_t b = 0;
    for (; b + 8 <= blocks; b += 8, w += 144) {
        prefetch(w, 144);
        const __m256 d = group_scales(w, 18);
#pragma GCC unroll 4
        for (int i = 0; i < m; i++) {
            t[i] = _mm256_mul_ps(d, _mm256_loadu_ps(scales[i] + b));
            sum[2 * i] = _mm256_fmadd_ps(d, _mm256_loadu_ps(scales[i] + blocks + b), sum[2 * i]);
        }
        NAME(pair)(w, q, t, 0, m, sum);
        NAME(pair)(w, q, t, 1, m, sum);
        NAME(pair)(w, q, t, 2, m, sum);
        NAME(pair)(w, q, t, 3, m, sum);
#pragma GCC unroll 4
        for (int i = 0; i < m; i++) q[i] += 256;
    }
#pragma GCC unroll 4
    for (int i = 0; i < m; i++)
        y[(first + i) * y_row] = sum_of(_mm256_add_ps(sum[2 * i], sum[2 * i + 1])) +
                                 NAME(rest_q4_0)(w, q[i], scales[i], scales[i] + blocks, b, blocks);
}

static TARGET void NAME(dots_q4_0)(float *y, int64_t y_row, const void *w, const wgi_q8_rows *x)
{
    int64_t i = 0;
    for (; i + 4 <= x->m; i += 4) NAME(rows_q4_0)(y, y_row, w, x, i, 4);
    if (i + 2 <= x->m) {
        NAME(rows_q4_0)(y, y_row, w, x, i, 2);
        i += 2;
    }
    if (i < x->m) NAME(rows_q4_0)(y, y_row, w, x, i, 1);
}

/* ---- q8_0 ------------------------------------------------------------------------------------ */

/* Block j of a group. |w| x sign(w) is w x: the unsigned factor is at most 128, the signed 127. */
static inline __attribute__((always_inline)) TARGET void NAME(block)(const uint8_t *w,
                                                                     const int8_t *const *q,
                                                                     float (*t)[8], const int j,
                                                                     const int m, __m256 *sum)
{
    const __m256i n = _mm256_loadu_si256((const __m256i *)(const void *)(w + 34 * j + 2));
    const __m256i u = _mm256_abs_epi8(n);
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) {
        const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(q[i] + 32 * j));
        const __m256i p = NAME(products)(u, _mm256_sign_epi8(x, n));
        const __m256 scale = _mm256_broadcast_ss(&t[i][j / 2 + j % 2 * 4]);
        sum[2 * i + j % 2] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(p), scale, sum[2 * i + j % 2]);
    }
}

static inline __attribute__((always_inline)) TARGET float NAME(rest_q8_0)(const uint8_t *w,
                                                                          const int8_t *q,
                                                                          const float *scales,
                                                                          int64_t b, int64_t blocks)
{
    float sum = 0;
    for (; b < blocks; b++, w += 34, q += 32) {
        const __m256i n = _mm256_loadu_si256((const __m256i *)(const void *)(w + 2)),
                      x = _mm256_loadu_si256((const __m256i *)(const void *)q);
        const __m256i p = NAME(products)(_mm256_abs_epi8(n), _mm256_sign_epi8(x, n));
        sum += wgi_f16_to_f32(u16_at(w)) * scales[b] * sum_of(_mm256_cvtepi32_ps(p));
    }
    return sum;
}

static inline __attribute__((always_inline)) TARGET void NAME(rows_q8_0)(float *y, int64_t y_row,
                                                                         const uint8_t *w,
                                                                         const wgi_q8_rows *x,
                                                                         int64_t first, const int m)
{
    const int64_t blocks = x->k / 32;
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
    int64_t b = 0;
    for (; b + 8 <= blocks; b += 8, w += 272) {
        prefetch(w, 272);
        const __m256 d = group_scales(w, 34);
#pragma GCC unroll 4
        for (int i = 0; i < m; i++)
            _mm256_storeu_ps(t[i], _mm256_mul_ps(d, _mm256_loadu_ps(scales[i] + b)));
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) NAME(block)(w, q, t, j, m, sum);
#pragma GCC unroll 4
        for (int i = 0; i < m; i++) q[i] += 256;
    }
#pragma GCC unroll 4
    for (int i = 0; i < m; i++)
        y[(first + i) * y_row] = sum_of(_mm256_add_ps(sum[2 * i], sum[2 * i + 1])) +
                                 NAME(rest_q8_0)(w, q[i], scales[i], b, blocks);
}

static TARGET void NAME(dots_q8_0)(float *y, int64_t y_row, const void *w, const wgi_q8_rows *x)
{
    int64_t i = 0;
    for (; i + 4 <= x->m; i += 4) NAME(rows_q8_0)(y, y_row, w, x, i, 4);
    if (i + 2 <= x->m) {
        NAME(rows_q8_0)(y, y_row, w, x, i, 2);
        i += 2;
    }
    if (i < x->m) NAME(rows_q8_0)(y, y_row, w, x, i, 1);
}
