/* q6_k for AVX2, part of quant_dot_simd.c: 32 codes of 6 bits less 32 against 32 activations, two
 * scales of 8 bits among them. */

/* Part j of a block (32 elements): codes q, the block's 16 scales in both halves of `scales`. */
static inline __attribute__((always_inline)) void part_q6_k(__m256i codes, __m256i scales,
                                                            const int8_t *const *q, float (*t)[8],
                                                            const int j, const int m, __m256 *sum)
{
    const __m256i n = _mm256_sub_epi8(codes, _mm256_set1_epi8(32)), u = _mm256_abs_epi8(n);
    /* each half's scale as the upper byte of 16 bits, brought down with its sign */
    const __m256i from = _mm256_set_m128i(_mm_set1_epi16((short)((2 * j + 1) << 8 | 0x80)),
                                          _mm_set1_epi16((short)((2 * j) << 8 | 0x80)));
    const __m256i scale = _mm256_srai_epi16(_mm256_shuffle_epi8(scales, from), 8);
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) {
        const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(q[i] + 32 * j));
        const __m256i p = _mm256_madd_epi16(_mm256_maddubs_epi16(u, _mm256_sign_epi8(x, n)), scale);
        const __m256 by = _mm256_broadcast_ss(&t[i][j / 2 + j % 2 * 4]);
        sum[2 * i + j % 2] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(p), by, sum[2 * i + j % 2]);
    }
}

/* Half h of a block, 128 elements: 64 bytes of nibbles, 32 of pairs of bits. */
static inline __attribute__((always_inline)) void half_q6_k(const uint8_t *w, __m256i scales,
                                                            const int8_t *const *q, float (*t)[8],
                                                            const int h, const int m, __m256 *sum)
{
    const __m256i low = _mm256_set1_epi8(15), pair = _mm256_set1_epi8(0x30);
    const __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(w + 64 * h)),
                  b = _mm256_loadu_si256((const __m256i *)(const void *)(w + 64 * h + 32)),
                  c = _mm256_loadu_si256((const __m256i *)(const void *)(w + 128 + 32 * h));
    const __m256i q0 =
        _mm256_or_si256(_mm256_and_si256(a, low), _mm256_and_si256(_mm256_slli_epi16(c, 4), pair));
    const __m256i q1 =
        _mm256_or_si256(_mm256_and_si256(b, low), _mm256_and_si256(_mm256_slli_epi16(c, 2), pair));
    const __m256i q2 =
        _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(a, 4), low), _mm256_and_si256(c, pair));
    const __m256i q3 = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(b, 4), low),
                                       _mm256_and_si256(_mm256_srli_epi16(c, 2), pair));
    part_q6_k(q0, scales, q, t, 4 * h, m, sum);
    part_q6_k(q1, scales, q, t, 4 * h + 1, m, sum);
    part_q6_k(q2, scales, q, t, 4 * h + 2, m, sum);
    part_q6_k(q3, scales, q, t, 4 * h + 3, m, sum);
}

static inline __attribute__((always_inline)) void rows_q6_k(float *y, int64_t y_row,
                                                            const uint8_t *w, const wgi_q8_rows *x,
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
    for (int64_t b = 0; b + 8 <= blocks; b += 8, w += 210) {
        prefetch(w, 210);
        const __m256 d = _mm256_set1_ps(wgi_f16_to_f32(u16_at(w + 208)));
        const __m256i parts =
            _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(w + 192)));
#pragma GCC unroll 4
        for (int i = 0; i < m; i++)
            _mm256_storeu_ps(t[i], _mm256_mul_ps(d, _mm256_loadu_ps(scales[i] + b)));
        half_q6_k(w, parts, q, t, 0, m, sum);
        half_q6_k(w, parts, q, t, 1, m, sum);
#pragma GCC unroll 4
        for (int i = 0; i < m; i++) q[i] += 256;
    }
#pragma GCC unroll 4
    for (int i = 0; i < m; i++)
        y[(first + i) * y_row] = sum_of(_mm256_add_ps(sum[2 * i], sum[2 * i + 1]));
}

static void dots_q6_k(float *y, int64_t y_row, const void *w, const wgi_q8_rows *x)
{
    int64_t i = 0;
    for (; i + 4 <= x->m; i += 4) rows_q6_k(y, y_row, w, x, i, 4);
    for (; i < x->m; i++) rows_q6_k(y, y_row, w, x, i, 1);
}
