/* Template: to[i] = LOAD(from[i * stride]). Wants NAME, FROM, TO, LOAD(v). */
static void NAME(void *to, const void *from, int64_t n, int64_t stride)
{
    TO *restrict t = to;
    const FROM *restrict p = from;
    if (stride == 1)
        for (int64_t i = 0; i < n; i++) t[i] = LOAD(p[i]);
    else
        for (int64_t i = 0; i < n; i++) t[i] = LOAD(p[i * stride]);
}
#undef NAME
#undef FROM
#undef TO
#undef LOAD
