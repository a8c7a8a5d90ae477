/* Template: moves n elements of T between two lines, one of which may be addressed by indices, i[k
 * * i_step] * by. Wants NAME, T. */
static void NAME(void *to, int64_t to_step, const int64_t *to_i, const void *from,
                 int64_t from_step, const int64_t *from_i, int64_t i_step, int64_t by, int64_t n)
{
    T *t = to;
    const T *f = from;
    if (from_i)
        for (int64_t k = 0; k < n; k++) t[k * to_step] = f[k * from_step + from_i[k * i_step] * by];
    else if (to_i)
        for (int64_t k = 0; k < n; k++) t[k * to_step + to_i[k * i_step] * by] = f[k * from_step];
    else
        for (int64_t k = 0; k < n; k++) t[k * to_step] = f[k * from_step];
}
#undef NAME
#undef T
