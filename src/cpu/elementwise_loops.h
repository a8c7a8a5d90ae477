/* Template: contiguous loops that apply a formula, for one element type. Wants T and L(name).
 * The formula is a constant argument of a function that is always inlined: the loops below are
 * what the compiler vectorises. */
#define INLINE static inline __attribute__((always_inline)) void

INLINE L(map1)(T (*f)(T), void *out, const void *const *in, int64_t n)
{
    T *restrict y = out;
    const T *x = in[0];
    for (int64_t i = 0; i < n; i++) y[i] = f(x[i]);
}

INLINE L(map1a)(T (*f)(T, T), void *out, const void *const *in, int64_t n, T a)
{
    T *restrict y = out;
    const T *x = in[0];
    for (int64_t i = 0; i < n; i++) y[i] = f(x[i], a);
}

INLINE L(map1ab)(T (*f)(T, T, T), void *out, const void *const *in, int64_t n, T a, T b)
{
    T *restrict y = out;
    const T *x = in[0];
    for (int64_t i = 0; i < n; i++) y[i] = f(x[i], a, b);
}

INLINE L(map2)(T (*f)(T, T), void *out, const void *const *in, int64_t n)
{
    T *restrict z = out;
    const T *x = in[0], *y = in[1];
    for (int64_t i = 0; i < n; i++) z[i] = f(x[i], y[i]);
}

INLINE L(map2a)(T (*f)(T, T, T), void *out, const void *const *in, int64_t n, T a)
{
    T *restrict z = out;
    const T *x = in[0], *y = in[1];
    for (int64_t i = 0; i < n; i++) z[i] = f(x[i], y[i], a);
}

INLINE L(map2ab)(T (*f)(T, T, T, T), void *out, const void *const *in, int64_t n, T a, T b)
{
    T *restrict z = out;
    const T *x = in[0], *y = in[1];
    for (int64_t i = 0; i < n; i++) z[i] = f(x[i], y[i], a, b);
}

INLINE L(compare)(bool (*f)(T, T), void *out, const void *const *in, int64_t n)
{
    uint8_t *restrict z = out;
    const T *x = in[0], *y = in[1];
    for (int64_t i = 0; i < n; i++) z[i] = f(x[i], y[i]);
}

INLINE L(choose)(T (*f)(uint8_t, T, T), void *out, const void *const *in, int64_t n)
{
    T *restrict z = out;
    const uint8_t *c = in[0];
    const T *x = in[1], *y = in[2];
    for (int64_t i = 0; i < n; i++) z[i] = f(c[i], x[i], y[i]);
}

INLINE L(fill)(void *out, const void *const *in, int64_t n, T value)
{
    T *restrict z = out;
    const T *x = in[0];
    const uint8_t *mask = in[1];
    for (int64_t i = 0; i < n; i++) z[i] = mask[i] ? value : x[i];
}

/* y += x */
static inline void L(accumulate)(void *out, const void *in, int64_t n)
{
    T *restrict y = out;
    const T *x = in;
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

#undef INLINE
#undef T
#undef L
