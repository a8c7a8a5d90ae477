/* Vectors of the instruction-set level being compiled: for micro-kernels that need their sums kept in registers. Only for
 * files in simd_sources. f32: wgi_vf of WGI_VF lanes, f64: wgi_vd of WGI_VD lanes. +, -, * work on them as they are. */
#ifndef WGI_CPU_VEC_H
#define WGI_CPU_VEC_H
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { WGI_VBYTES = 64 };
#elif defined(__AVX2__)
enum { WGI_VBYTES = 32 };
#else
enum { WGI_VBYTES = 16 };
#endif
enum { WGI_VF = WGI_VBYTES / 4, WGI_VD = WGI_VBYTES / 8 };
typedef float wgi_vf __attribute__((vector_size(WGI_VBYTES)));
typedef double wgi_vd __attribute__((vector_size(WGI_VBYTES)));

static inline wgi_vf wgi_vf_load(const float *p) /* any alignment */
{
    wgi_vf v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void wgi_vf_store(float *p, wgi_vf v)
{
    memcpy(p, &v, sizeof v);
}
static inline wgi_vd wgi_vd_load(const double *p)
{
    wgi_vd v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void wgi_vd_store(double *p, wgi_vd v)
{
    memcpy(p, &v, sizeof v);
}

/* stream: an aligned store past the caches where the level has one. wgi_stream_end before another thread reads. */
#if defined(__AVX512F__)
static inline void wgi_vf_stream(float *p, wgi_vf v)
{
    _mm512_stream_ps(p, (__m512)v);
}
static inline void wgi_vd_stream(double *p, wgi_vd v)
{
    _mm512_stream_pd(p, (__m512d)v);
}
#elif defined(__AVX2__)
static inline void wgi_vf_stream(float *p, wgi_vf v)
{
    _mm256_stream_ps(p, (__m256)v);
}
static inline void wgi_vd_stream(double *p, wgi_vd v)
{
    _mm256_stream_pd(p, (__m256d)v);
}
#elif defined(__SSE2__)
static inline void wgi_vf_stream(float *p, wgi_vf v)
{
    _mm_stream_ps(p, (__m128)v);
}
static inline void wgi_vd_stream(double *p, wgi_vd v)
{
    _mm_stream_pd(p, (__m128d)v);
}
#else
static inline void wgi_vf_stream(float *p, wgi_vf v)
{
    wgi_vf_store(p, v);
}
static inline void wgi_vd_stream(double *p, wgi_vd v)
{
    wgi_vd_store(p, v);
}
#endif

/* set: all lanes x. fma: a * b + c, one rounding where the level has it, two elsewhere. max: b where a is NaN. */
#if defined(__AVX512F__)
static inline wgi_vf wgi_vf_set(float x)
{
    return _mm512_set1_ps(x);
}
static inline wgi_vd wgi_vd_set(double x)
{
    return _mm512_set1_pd(x);
}
static inline wgi_vf wgi_vf_fma(wgi_vf a, wgi_vf b, wgi_vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline wgi_vd wgi_vd_fma(wgi_vd a, wgi_vd b, wgi_vd c)
{
    return _mm512_fmadd_pd(a, b, c);
}
static inline wgi_vf wgi_vf_max(wgi_vf a, wgi_vf b)
{
    return _mm512_max_ps(a, b);
}
static inline wgi_vd wgi_vd_max(wgi_vd a, wgi_vd b)
{
    return _mm512_max_pd(a, b);
}
#elif defined(__AVX2__)
static inline wgi_vf wgi_vf_set(float x)
{
    return _mm256_set1_ps(x);
}
static inline wgi_vd wgi_vd_set(double x)
{
    return _mm256_set1_pd(x);
}
static inline wgi_vf wgi_vf_fma(wgi_vf a, wgi_vf b, wgi_vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
static inline wgi_vd wgi_vd_fma(wgi_vd a, wgi_vd b, wgi_vd c)
{
    return _mm256_fmadd_pd(a, b, c);
}
static inline wgi_vf wgi_vf_max(wgi_vf a, wgi_vf b)
{
    return _mm256_max_ps(a, b);
}
static inline wgi_vd wgi_vd_max(wgi_vd a, wgi_vd b)
{
    return _mm256_max_pd(a, b);
}
#else
static inline wgi_vf wgi_vf_set(float x)
{
    return (wgi_vf) { x, x, x, x };
}
static inline wgi_vd wgi_vd_set(double x)
{
    return (wgi_vd) { x, x };
}
static inline wgi_vf wgi_vf_fma(wgi_vf a, wgi_vf b, wgi_vf c)
{
    return a * b + c;
}
static inline wgi_vd wgi_vd_fma(wgi_vd a, wgi_vd b, wgi_vd c)
{
    return a * b + c;
}
#if defined(__x86_64__)
static inline wgi_vf wgi_vf_max(wgi_vf a, wgi_vf b)
{
    return _mm_max_ps(a, b);
}
static inline wgi_vd wgi_vd_max(wgi_vd a, wgi_vd b)
{
    return _mm_max_pd(a, b);
}
#else
static inline wgi_vf wgi_vf_max(wgi_vf a, wgi_vf b)
{
    for (int i = 0; i < WGI_VF; i++) b[i] = a[i] > b[i] ? a[i] : b[i];
    return b;
}
static inline wgi_vd wgi_vd_max(wgi_vd a, wgi_vd b)
{
    for (int i = 0; i < WGI_VD; i++) b[i] = a[i] > b[i] ? a[i] : b[i];
    return b;
}
#endif
#endif

/* Lane l of v where l + first is in [lo, hi), of rest elsewhere; all three fit 32 bits. */
static inline wgi_vf wgi_vf_within(wgi_vf v, int64_t first, int64_t lo, int64_t hi, wgi_vf rest)
{
    typedef int32_t lanes __attribute__((vector_size(WGI_VBYTES)));
    static const int32_t count[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    lanes at;
    memcpy(&at, count, sizeof at);
    at += (int32_t)first;
    const lanes in = (lanes)(at >= (int32_t)lo) & (lanes)(at < (int32_t)hi);
    return (wgi_vf)((in & (lanes)v) | (~in & (lanes)rest));
}
static inline wgi_vd wgi_vd_within(wgi_vd v, int64_t first, int64_t lo, int64_t hi, wgi_vd rest)
{
    typedef int64_t lanes __attribute__((vector_size(WGI_VBYTES)));
    static const int64_t count[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    lanes at;
    memcpy(&at, count, sizeof at);
    at += first;
    const lanes in = (lanes)(at >= lo) & (lanes)(at < hi);
    return (wgi_vd)((in & (lanes)v) | (~in & (lanes)rest));
}

/* Lanes 0, 0', 1, 1', ... of the lower and of the upper halves of a and b. */
#if defined(__AVX512F__)
#define WGI_VF_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define WGI_VF_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define WGI_VD_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define WGI_VD_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif defined(__AVX2__)
#define WGI_VF_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define WGI_VF_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#define WGI_VD_LOW 0, 4, 1, 5
#define WGI_VD_HIGH 2, 6, 3, 7
#else
#define WGI_VF_LOW 0, 4, 1, 5
#define WGI_VF_HIGH 2, 6, 3, 7
#define WGI_VD_LOW 0, 2
#define WGI_VD_HIGH 1, 3
#endif

/* The square block in a[0 .. lanes - 1] becomes its transpose: log2(lanes) perfect shuffles of the rows. */
static inline __attribute__((always_inline)) void wgi_vf_transpose(wgi_vf *a)
{
    wgi_vf t[WGI_VF];
    for (int round = 1; round < WGI_VF; round *= 2) {
        for (int i = 0; i < WGI_VF / 2; i++) {
            t[2 * i] = __builtin_shufflevector(a[i], a[i + WGI_VF / 2], WGI_VF_LOW);
            t[2 * i + 1] = __builtin_shufflevector(a[i], a[i + WGI_VF / 2], WGI_VF_HIGH);
        }
        for (int i = 0; i < WGI_VF; i++) a[i] = t[i];
    }
}
static inline __attribute__((always_inline)) void wgi_vd_transpose(wgi_vd *a)
{
    wgi_vd t[WGI_VD];
    for (int round = 1; round < WGI_VD; round *= 2) {
        for (int i = 0; i < WGI_VD / 2; i++) {
            t[2 * i] = __builtin_shufflevector(a[i], a[i + WGI_VD / 2], WGI_VD_LOW);
            t[2 * i + 1] = __builtin_shufflevector(a[i], a[i + WGI_VD / 2], WGI_VD_HIGH);
        }
        for (int i = 0; i < WGI_VD; i++) a[i] = t[i];
    }
}

/* Lane l of the result is the sum of a[l]'s lanes, added pairwise: lane i and i + lanes / 2 first. */
static inline __attribute__((always_inline)) wgi_vf wgi_vf_sums(wgi_vf *a)
{
    wgi_vf_transpose(a);
    for (int n = WGI_VF / 2; n > 0; n /= 2)
        for (int l = 0; l < n; l++) a[l] += a[l + n];
    return a[0];
}
static inline __attribute__((always_inline)) wgi_vd wgi_vd_sums(wgi_vd *a)
{
    wgi_vd_transpose(a);
    for (int n = WGI_VD / 2; n > 0; n /= 2)
        for (int l = 0; l < n; l++) a[l] += a[l + n];
    return a[0];
}

/* Lane l of the result is the largest of a[l]'s lanes. */
static inline __attribute__((always_inline)) wgi_vf wgi_vf_maxes(wgi_vf *a)
{
    wgi_vf_transpose(a);
    for (int n = WGI_VF / 2; n > 0; n /= 2)
        for (int l = 0; l < n; l++) a[l] = wgi_vf_max(a[l], a[l + n]);
    return a[0];
}
static inline __attribute__((always_inline)) wgi_vd wgi_vd_maxes(wgi_vd *a)
{
    wgi_vd_transpose(a);
    for (int n = WGI_VD / 2; n > 0; n /= 2)
        for (int l = 0; l < n; l++) a[l] = wgi_vd_max(a[l], a[l + n]);
    return a[0];
}
#endif
