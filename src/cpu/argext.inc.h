/* Template: where the first greatest (or smallest, or first NaN) of a run is. Wants NAME, T,
 * IS_NAN(v), BETTER(a, b). */

/* position (w) and best (w): updated by row number e. */
static void WGI_JOIN(lanes, NAME)(void *best, int64_t *position, const void *row, int64_t e,
                                  int64_t w)
{
    T *restrict b = best;
    const T *restrict x = row;
    for (int64_t j = 0; j < w; j++) {
        const bool better = BETTER(x[j], b[j]) || (IS_NAN(x[j]) && !IS_NAN(b[j]));
        position[j] = better ? e : position[j];
        b[j] = better ? x[j] : b[j];
    }
}

/* x (n) begins at element e of the group; m is its extremum. */
static void WGI_JOIN(search, NAME)(void *best, int64_t *position, const void *extremum,
                                   const void *from, int64_t e, int64_t n)
{
    T *b = best;
    const T m = *(const T *)extremum, *x = from;
    if (e > 0 && !(BETTER(m, *b) || (IS_NAN(m) && !IS_NAN(*b)))) return;
    int64_t k = 0;
    if (IS_NAN(m))
        while (k < n && !IS_NAN(x[k])) k++;
    else
        while (k < n && x[k] != m) k++;
    *b = m;
    *position = e + k;
}
#undef NAME
#undef T
#undef BETTER
