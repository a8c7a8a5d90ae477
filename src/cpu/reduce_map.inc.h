/* Template: the maps of a floating type. Wants NAME, T, ABS, EXP, POW. centre: (w), each row's. */
static void NAME(const wgi_fold_spec *f, void *data, int64_t rows, int64_t w, const void *centre)
{
    T *restrict p = data;
    const T *restrict c = centre;
    const T power = (T)f->p;
    const int64_t n = rows * w;
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
    case WGI_MAP_CENTRED_SQUARE:
        if (w == 1) {
            const T centre0 = c[0];
            for (int64_t i = 0; i < n; i++) p[i] = (p[i] - centre0) * (p[i] - centre0);
            break;
        }
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < w; j++)
                p[i * w + j] = (p[i * w + j] - c[j]) * (p[i * w + j] - c[j]);
        break;
    case WGI_MAP_CENTRED_EXP:
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < w; j++) p[i * w + j] = EXP(p[i * w + j] - c[j]);
        break;
    }
}
#undef NAME
#undef T
#undef ABS
#undef EXP
#undef POW
