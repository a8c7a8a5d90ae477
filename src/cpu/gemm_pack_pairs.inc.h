/* Template (REAL, VEC, LANES, LOAD, STORE, TRANSPOSE, COLUMNS, NAME; see gemm_bf16.c and gemm_amx.c): B of bf16, packed so
 * that an element of 32 bits holds two neighbours along k, as the pair products take them; an odd k ends with a pair whose
 * second is zero. One of its strides is 1. */
typedef uint16_t pairs_half __attribute__((vector_size(2 * LANES)));
typedef uint16_t pairs_whole __attribute__((vector_size(4 * LANES)));

/* (x[0], y[0]), (x[1], y[1]), ... of LANES elements each. */
static inline void interleave(void *to, const void *x, const void *y)
{
    pairs_half a, b;
    memcpy(&a, x, sizeof a);
    memcpy(&b, y, sizeof b);
    pairs_whole z =
        __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24,
                                9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    memcpy(to, &z, sizeof z);
}

/* n <= LANES pairs of x's and y's elements (which may be the same: a broadcast row), zeros where y is NULL, and behind n up
 * to `width`. */
static inline void pair_up(void *to, const char *x, const char *y, int64_t n, int64_t width)
{
    if (y && n >= LANES && width >= LANES) {
        interleave(to, x, y);
        return;
    }
    memset(to, 0, 4 * (size_t)width);
    for (int64_t i = 0; i < width && i < n; i++) {
        memcpy((char *)to + 4 * i, x + 2 * i, 2);
        if (y) memcpy((char *)to + 4 * i + 2, y + 2 * i, 2);
    }
}

/* Steps [from, from + steps) of B's columns [column, column + width) -> (steps, COLUMNS) pairs. */
static void NAME(pack_b)(const wgi_gemm_block *g, int64_t from, int64_t steps, int64_t column,
                         int64_t width, REAL *panel, REAL *stage)
{
    (void)stage;
    const char *b = (const char *)g->b + 2 * (2 * from * g->b_row + column * g->b_column);
    const int64_t k = g->k - 2 * from, whole = 2 * steps <= k ? steps : steps - 1;
    if (g->b_row != 1 || g->b_column == 1) { /* rows lie contiguous: two of them at a time */
        const int64_t row = 2 * g->b_row;
        for (int64_t p = 0; p < steps; p++, b += 2 * row, panel += COLUMNS)
            for (int64_t j = 0; j < COLUMNS; j += LANES)
                pair_up(panel + j, b + 2 * j, p < whole ? b + row + 2 * j : NULL, width - j, LANES);
        return;
    }
    const int64_t next = 2 * g->b_column; /* columns lie contiguous, and so do their pairs */
    for (int64_t j = 0; j < COLUMNS; j += LANES) {
        int64_t p = 0;
        for (; width - j >= LANES && p + LANES <= whole; p += LANES) {
            VEC square[LANES];
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++)
                square[i] = LOAD((const REAL *)(const void *)(b + (j + i) * next + 4 * p));
            TRANSPOSE(square);
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++) STORE(panel + (p + i) * COLUMNS + j, square[i]);
        }
        for (; p < steps; p++)
            for (int64_t i = j; i < j + LANES; i++) {
                uint16_t pair[2] = { 0, 0 };
                if (i < width) memcpy(pair, b + i * next + 4 * p, p < whole ? 4 : 2);
                memcpy(panel + p * COLUMNS + i, pair, sizeof pair);
            }
    }
}
