/* Template (A, N): spans of elements of any dtype, `step` elements apart, as A; their sums and
 * maxima. Sums run in 64 lanes that are folded by a fixed tree: the same bits at every
 * instruction-set level. */

/* The span as A: where it lies if it is contiguous A already, else converted into buffer (n). */
static inline const A *N(load)(const void *p, int type, int64_t step, int64_t n, A *buffer)
{
    if (type == A_TYPE && step == 1) return p;
    switch (type) {
    case WG_F64: {
        const double *q = p;
        for (int64_t i = 0; i < n; i++) buffer[i] = (A)q[i * step];
        break;
    }
    case WG_F32: {
        const float *q = p;
        for (int64_t i = 0; i < n; i++) buffer[i] = (A)q[i * step];
        break;
    }
    case WG_BF16: {
        const uint16_t *q = p;
        for (int64_t i = 0; i < n; i++) buffer[i] = (A)wgi_bf16_to_f32(q[i * step]);
        break;
    }
    case WG_F16: {
        const uint16_t *q = p;
        for (int64_t i = 0; i < n; i++) buffer[i] = (A)wgi_f16_to_f32(q[i * step]);
        break;
    }
    case WG_I64: {
        const int64_t *q = p;
        for (int64_t i = 0; i < n; i++) buffer[i] = (A)q[i * step];
        break;
    }
    case WG_I32: {
        const int32_t *q = p;
        for (int64_t i = 0; i < n; i++) buffer[i] = (A)q[i * step];
        break;
    }
    default: { /* u8 and bool */
        const uint8_t *q = p;
        for (int64_t i = 0; i < n; i++) buffer[i] = (A)q[i * step];
        break;
    }
    }
    return buffer;
}

/* Where to compute a result of n elements that belongs at p: there, or in buffer, from which put()
 * brings it there. */
static inline A *N(place)(void *p, int type, int64_t step, bool accumulate, A *buffer)
{
    return type == A_TYPE && step == 1 && !accumulate ? (A *)p : buffer;
}

/* Stores (or adds) a result that was computed at `from`; nothing if that is p already. Floating
 * dtypes only. */
static inline void N(put)(const A *from, void *p, int type, int64_t step, int64_t n,
                          bool accumulate)
{
    if ((const void *)from == p) return;
    switch (type) {
    case WG_F64: {
        double *q = p;
        if (accumulate) {
            for (int64_t i = 0; i < n; i++) q[i * step] += (double)from[i];
        } else {
            for (int64_t i = 0; i < n; i++) q[i * step] = (double)from[i];
        }
        break;
    }
    case WG_F32: {
        float *q = p;
        if (accumulate) {
            for (int64_t i = 0; i < n; i++) q[i * step] += (float)from[i];
        } else {
            for (int64_t i = 0; i < n; i++) q[i * step] = (float)from[i];
        }
        break;
    }
    case WG_BF16: {
        uint16_t *q = p;
        if (accumulate) {
            for (int64_t i = 0; i < n; i++)
                q[i * step] = wgi_f32_to_bf16(wgi_bf16_to_f32(q[i * step]) + (float)from[i]);
        } else {
            for (int64_t i = 0; i < n; i++) q[i * step] = wgi_f32_to_bf16((float)from[i]);
        }
        break;
    }
    default: {
        uint16_t *q = p;
        if (accumulate) {
            for (int64_t i = 0; i < n; i++)
                q[i * step] = wgi_f32_to_f16(wgi_f16_to_f32(q[i * step]) + (float)from[i]);
        } else {
            for (int64_t i = 0; i < n; i++) q[i * step] = wgi_f32_to_f16((float)from[i]);
        }
        break;
    }
    }
}

/* Lane j + width is added to lane j for width 32, 16, ... 1: halves of vectors, which stay in registers at every level. */
typedef A N(bytes64) __attribute__((vector_size(64)));
typedef A N(bytes32) __attribute__((vector_size(32)));
typedef A N(bytes16) __attribute__((vector_size(16)));

static inline A N(fold)(const A lane[64])
{
    enum { VECTORS = sizeof(A), LAST = 16 / sizeof(A) };
    N(bytes64) v[VECTORS];
    N(bytes32) h[2];
    N(bytes16) q[2];
    A last[LAST];
    memcpy(v, lane, sizeof v);
#pragma GCC unroll 3
    for (int n = VECTORS / 2; n > 0; n /= 2)
#pragma GCC unroll 4
        for (int i = 0; i < n; i++) v[i] += v[i + n];
    memcpy(h, v, sizeof h);
    h[0] += h[1];
    memcpy(q, h, sizeof q);
    q[0] += q[1];
    memcpy(last, q, sizeof last);
#pragma GCC unroll 2
    for (int n = LAST / 2; n > 0; n /= 2)
#pragma GCC unroll 2
        for (int i = 0; i < n; i++) last[i] += last[i + n];
    return last[0];
}

static inline A N(sum)(const A *x, int64_t n)
{
    A lane[WGI_LANES] = { 0 };
    int64_t i = 0;
    for (; i + WGI_LANES <= n; i += WGI_LANES)
        for (int j = 0; j < WGI_LANES; j++) lane[j] += x[i + j];
    for (int64_t j = 0; i + j < n; j++) lane[j] += x[i + j];
    return N(fold)(lane);
}

/* -inf for n = 0; NaNs are passed over. */
static inline A N(max)(const A *x, int64_t n)
{
    A lane[WGI_LANES];
    for (int j = 0; j < WGI_LANES; j++) lane[j] = (A)-INFINITY;
    int64_t i = 0;
    for (; i + WGI_LANES <= n; i += WGI_LANES)
        for (int j = 0; j < WGI_LANES; j++) lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
    for (int64_t j = 0; i + j < n; j++) lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
    for (int width = 32; width > 0; width /= 2)
        for (int j = 0; j < width; j++)
            lane[j] = lane[j + width] > lane[j] ? lane[j + width] : lane[j];
    return lane[0];
}

/* sum exp(x - m) */
static inline A N(sum_exp)(const A *x, A m, int64_t n)
{
    A lane[WGI_LANES] = { 0 };
    int64_t i = 0;
    for (; i + WGI_LANES <= n; i += WGI_LANES)
        for (int j = 0; j < WGI_LANES; j++) lane[j] += F(exp)(x[i + j] - m);
    for (int64_t j = 0; i + j < n; j++) lane[j] += F(exp)(x[i + j] - m);
    return N(fold)(lane);
}

static inline A N(dot)(const A *x, const A *y, int64_t n)
{
    A lane[WGI_LANES] = { 0 };
    int64_t i = 0;
    for (; i + WGI_LANES <= n; i += WGI_LANES)
        for (int j = 0; j < WGI_LANES; j++) lane[j] += x[i + j] * y[i + j];
    for (int64_t j = 0; i + j < n; j++) lane[j] += x[i + j] * y[i + j];
    return N(fold)(lane);
}
