/* Template: the loops that convert every dtype to one. Wants TO (f32, ...), its element type T.
 * Each source is read as the natural C type of its values (see convert_simd.c), then stored by
 * wgi_TO_of_<that type>. */
#define LOOP(from) WGI_JOIN(TO, of_##from##_loop)
#define OF(middle) WGI_JOIN(WGI_JOIN(wgi, TO), of_##middle)

static void LOOP(f64)(void *to, const void *from, int64_t n)
{
    T *restrict y = to;
    const double *x = from;
    for (int64_t i = 0; i < n; i++) y[i] = OF(f64)(x[i]);
}

static void LOOP(f32)(void *to, const void *from, int64_t n)
{
    T *restrict y = to;
    const float *x = from;
    for (int64_t i = 0; i < n; i++) y[i] = OF(f32)(x[i]);
}

static void LOOP(bf16)(void *to, const void *from, int64_t n)
{
    T *restrict y = to;
    const uint16_t *x = from;
    for (int64_t i = 0; i < n; i++) y[i] = OF(f32)(wgi_bf16_to_f32(x[i]));
}

static void LOOP(f16)(void *to, const void *from, int64_t n)
{
    T *restrict y = to;
    const uint16_t *x = from;
    for (int64_t i = 0; i < n; i++) y[i] = OF(f32)(wgi_f16_to_f32(x[i]));
}

static void LOOP(i64)(void *to, const void *from, int64_t n)
{
    T *restrict y = to;
    const int64_t *x = from;
    for (int64_t i = 0; i < n; i++) y[i] = OF(i64)(x[i]);
}

static void LOOP(i32)(void *to, const void *from, int64_t n)
{
    T *restrict y = to;
    const int32_t *x = from;
    for (int64_t i = 0; i < n; i++) y[i] = OF(i32)(x[i]);
}

static void LOOP(u8)(void *to, const void *from, int64_t n) /* also bool */
{
    T *restrict y = to;
    const uint8_t *x = from;
    for (int64_t i = 0; i < n; i++) y[i] = OF(i32)(x[i]);
}

static const wgi_convert_fn WGI_JOIN(TO, row)[WG_DTYPE_COUNT] = {
    [WG_F64] = LOOP(f64), [WG_F32] = LOOP(f32), [WG_BF16] = LOOP(bf16), [WG_F16] = LOOP(f16),
    [WG_I64] = LOOP(i64), [WG_I32] = LOOP(i32), [WG_U8] = LOOP(u8),     [WG_BOOL] = LOOP(u8),
};

#undef LOOP
#undef OF
#undef TO
#undef T
