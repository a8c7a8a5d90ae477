/* Template: one fold of one accumulator type. Wants NAME (suffix), T, VEC (a vector of LANES T),
 * LANES, ONE(a, b) and MANY(a, b): the op on T and on VEC. */
static void WGI_JOIN(run, NAME)(void *acc, const void *from, int64_t n)
{
    const T *p = from;
    int64_t i = 1;
    T a = p[0];
    if (n >= LANES) {
        VEC s = *(const VEC *)p;
        i = LANES;
        if (n >= 4 * LANES) {
            VEC s1 = *(const VEC *)(p + LANES), s2 = *(const VEC *)(p + 2 * LANES),
                s3 = *(const VEC *)(p + 3 * LANES);
            for (i = 4 * LANES; i + 4 * LANES <= n; i += 4 * LANES) {
                const VEC x0 = *(const VEC *)(p + i), x1 = *(const VEC *)(p + i + LANES);
                const VEC x2 = *(const VEC *)(p + i + 2 * LANES),
                          x3 = *(const VEC *)(p + i + 3 * LANES);
                s = MANY(s, x0);
                s1 = MANY(s1, x1);
                s2 = MANY(s2, x2);
                s3 = MANY(s3, x3);
            }
            s = MANY(s, s1);
            s2 = MANY(s2, s3);
            s = MANY(s, s2);
        }
        for (; i + LANES <= n; i += LANES) {
            const VEC x0 = *(const VEC *)(p + i);
            s = MANY(s, x0);
        }
        T lane[LANES];
        memcpy(lane, &s, sizeof lane);
        for (int w = LANES / 2; w > 0; w /= 2)
            for (int l = 0; l < w; l++) lane[l] = ONE(lane[l], lane[l + w]);
        a = lane[0];
    }
    for (; i < n; i++) a = ONE(a, p[i]);
    *(T *)acc = a;
}

static void WGI_JOIN(columns, NAME)(void *acc, const void *from, int64_t rows, int64_t stride,
                                    int64_t w)
{
    T *restrict a = acc;
    const T *p = from;
    int64_t i = 0;
    for (; i + 4 <= rows; i += 4, p += 4 * stride) {
        const T *p1 = p + stride, *p2 = p1 + stride, *p3 = p2 + stride;
        for (int64_t j = 0; j < w; j++) {
            const T u = ONE(p[j], p1[j]), v = ONE(p2[j], p3[j]), t = ONE(u, v);
            a[j] = ONE(a[j], t);
        }
    }
    for (; i < rows; i++, p += stride)
        for (int64_t j = 0; j < w; j++) a[j] = ONE(a[j], p[j]);
}
#undef NAME
#undef ONE
#undef MANY
