/* Template: the maps of a floating type. Wants NAME, T, ABS, EXP, POW. centre: (w), each row's. */
static void WGI_JOIN(centre, NAME)(T *restrict p, int64_t rows, int64_t w, const T *restrict c)
{
    if (w == 1) /* rows are the elements of one group */
        for (int64_t i = 0; i < rows; i++) p[i] -= c[0];
    else
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < w; j++) p[i * w + j] -= c[j];
}

static void WGI_JOIN(map, NAME)(const wgi_fold_spec *f, void *data, int64_t rows, int64_t w,
                                const void *centre)
{
    T *restrict p = data;
    const T power = (T)f->p;
    const int64_t n = rows * w;
    if (centre) WGI_JOIN(centre, NAME)(p, rows, w, centre);
    switch (f->map) {
    case WGI_MAP_NONE: break;
    case WGI_MAP_ABS:
        for (int64_t i = 0; i < n; i++) p[i] = ABS(p[i]);
        break;
    case WGI_MAP_SQUARE:
        for (int64_t i = 0; i < n; i++) p[i] *= p[i];
        break;
    case WGI_MAP_NONZERO:
        for (int64_t i = 0; i < n; i++) p[i] = p[i] != 0 ? (T)1 : (T)0;
        break;
    case WGI_MAP_POWER:
        for (int64_t i = 0; i < n; i++) p[i] = POW(ABS(p[i]), power);
        break;
    case WGI_MAP_EXP:
        for (int64_t i = 0; i < n; i++) p[i] = EXP(p[i]);
        break;
    }
}
#undef NAME
#undef T
#undef ABS
#undef EXP
#undef POW
