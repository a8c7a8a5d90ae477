/* Template (REAL, VEC, ..., NAME; see gemm_simd.c): products of few rows, where packing B would cost more than the
 * product. */
/* c[0 .. n) += sum over p of a[p] b[p][0 .. n), four rows of B at a time. */
static void NAME(thin_rows)(const REAL *a, int64_t a_column, const REAL *b, int64_t b_row,
                            int64_t k, int64_t n, REAL *c)
{
    int64_t p = 0;
    for (; p + 4 <= k; p += 4, b += 4 * b_row) {
        REAL x0 = a[p * a_column], x1 = a[(p + 1) * a_column], x2 = a[(p + 2) * a_column],
             x3 = a[(p + 3) * a_column];
        const REAL *b0 = b, *b1 = b + b_row, *b2 = b + 2 * b_row, *b3 = b + 3 * b_row;
        int64_t j = 0;
        for (; j + LANES <= n; j += LANES) {
            VEC s = FMA(SET(x0), LOAD(b0 + j), LOAD(c + j));
            s = FMA(SET(x1), LOAD(b1 + j), s);
            s = FMA(SET(x2), LOAD(b2 + j), s);
            STORE(c + j, FMA(SET(x3), LOAD(b3 + j), s));
        }
        for (; j < n; j++) c[j] = c[j] + x0 * b0[j] + x1 * b1[j] + x2 * b2[j] + x3 * b3[j];
    }
    for (; p < k; p++, b += b_row)
        for (int64_t j = 0; j < n; j++) c[j] += a[p * a_column] * b[j];
}

/* out[i][j] = sum over p of a[i][p] b[j][p], all contiguous along p: rows x columns vectors of sums,
 * each added pairwise at the end. */
static inline __attribute__((always_inline)) void NAME(dots)(const int rows, const int columns,
                                                             const REAL *a, int64_t a_row,
                                                             const REAL *b, int64_t b_column,
                                                             int64_t k, REAL out[DOTS][DOTS])
{
    VEC sum[DOTS][DOTS];
    int64_t p = 0;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 16
        for (int j = 0; j < columns; j++) sum[i][j] = SET(0);
    for (; p + LANES <= k; p += LANES)
#pragma GCC unroll 16
        for (int j = 0; j < columns; j++) {
            VEC y = LOAD(b + j * b_column + p);
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++) sum[i][j] = FMA(LOAD(a + i * a_row + p), y, sum[i][j]);
        }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            REAL lanes[LANES], rest = 0;
            STORE(lanes, sum[i][j]);
            for (int n = LANES / 2; n > 0; n /= 2)
                for (int l = 0; l < n; l++) lanes[l] += lanes[l + n];
            for (int64_t q = p; q < k; q++) rest += a[i * a_row + q] * b[j * b_column + q];
            out[i][j] = lanes[0] + rest;
        }
}

/* rows x columns of C, up to 4 x 4: few rows take more columns at once, to keep the sums apart. */
static int NAME(dot_block)(const wgi_gemm_block *g, const REAL *a, int64_t a_row, const REAL *b,
                           int64_t b_column, int64_t row, int64_t column)
{
    REAL out[DOTS][DOTS] = { { 0 } };
    int rows = (int)(g->m - row < DOTS ? g->m - row : DOTS);
    int columns = rows > 2 ? 2 : DOTS;
    if (g->n - column < columns) columns = 1;
    if (columns == 4 && rows == 1)
        NAME(dots)(1, 4, a, a_row, b, b_column, g->k, out);
    else if (columns == 4)
        NAME(dots)(2, 4, a, a_row, b, b_column, g->k, out);
    else if (columns == 2 && rows == 3)
        NAME(dots)(3, 2, a, a_row, b, b_column, g->k, out);
    else if (columns == 2)
        NAME(dots)(4, 2, a, a_row, b, b_column, g->k, out);
    else
        for (int i = 0; i < rows; i++) NAME(dots)(1, 1, a + i * a_row, 0, b, 0, g->k, out + i);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            REAL *c = (REAL *)g->c + (row + i) * g->c_row + column + j,
                 sum = (REAL)g->alpha * out[i][j];
            *c = g->add ? *c + sum : sum;
        }
    return columns;
}

/* LANES columns of C's only row: the sums of dots, in the same order, added for all columns at once.
 */
static void NAME(dot_row)(const wgi_gemm_block *g, const REAL *a, const REAL *b, int64_t b_column,
                          REAL *c)
{
    VEC sum[LANES];
    REAL out[LANES];
    int64_t p = 0;
#pragma GCC unroll 16
    for (int j = 0; j < LANES; j++) sum[j] = SET(0);
    for (; p + LANES <= g->k; p += LANES) {
        const VEC x = LOAD(a + p);
#pragma GCC unroll 16
        for (int j = 0; j < LANES; j++) sum[j] = FMA(x, LOAD(b + j * b_column + p), sum[j]);
    }
    STORE(out, SUMS(sum));
    for (int j = 0; j < LANES; j++) {
        REAL rest = 0;
        for (int64_t q = p; q < g->k; q++) rest += a[q] * b[j * b_column + q];
        const REAL y = (REAL)g->alpha * (out[j] + rest);
        c[j] = g->add ? c[j] + y : y;
    }
}

/* B's columns are contiguous, and so is each row of a. */
static void NAME(thin_columns)(const wgi_gemm_block *g, const REAL *a, int64_t a_row, REAL *stage)
{
    int64_t step = 0, done = 0;
    if (g->m == 1 && !g->b_convert)
        for (; done + LANES <= g->n; done += LANES) NAME(dot_row)
    (g, a, (const REAL *)g->b + done * g->b_column, g->b_column, (REAL *)g->c + done);
    for (int64_t j = done; j < g->n; j += step) {
        int64_t stride = g->b_column, left = g->n - j < DOTS ? g->n - j : DOTS;
        const REAL *b = NAME(stage)(NAME(at)(g->b, g->b_size, j * stride), g->b_size, g->b_convert,
                                    left, g->k, &stride, stage, g->k);
        step = left;
        for (int64_t i = 0; i < g->m; i += DOTS)
            for (int64_t c = 0; c < left;)
                c += NAME(dot_block)(g, a + i * a_row, a_row, b + c * stride, stride, i, j + c);
    }
}

static bool NAME(is_thin)(const wgi_gemm_block *g)
{
    if (g->b_row == 1 && g->b_column != 1) return g->all_rows <= THIN_ROWS;
    return g->all_rows == 1 && g->b_column == 1 && !g->b_convert;
}

static int64_t NAME(thin_scratch)(const wgi_gemm_block *g)
{
    return (g->m + DOTS) * g->k;
}

static void NAME(run_thin)(const wgi_gemm_block *whole)
{
    wgi_gemm_block with_bias = *whole, *g = &with_bias;
    if (g->bias && !g->add) {
        for (int64_t i = 0; i < g->m; i++)
            memcpy((REAL *)g->c + i * g->c_row, g->bias, (size_t)g->n * sizeof(REAL));
        g->add = true;
    }
    REAL *rows = g->scratch,
         *stage = rows + g->m * g->k; /* (m, k): A, contiguous, times alpha for rows of B */
    bool columns = g->b_row == 1 && g->b_column != 1;
    for (int64_t i = 0; i < g->m; i++) {
        const char *a = NAME(at)(g->a, g->a_size, i * g->a_row);
        REAL *to = rows + i * g->k;
        if (g->a_convert && g->a_column == 1) {
            g->a_convert(to, a, g->k);
        } else {
            for (int64_t p = 0; p < g->k; p++) {
                const char *x = NAME(at)(a, g->a_size, p * g->a_column);
                if (g->a_convert)
                    g->a_convert(to + p, x, 1);
                else
                    to[p] = *(const REAL *)x;
            }
        }
        for (int64_t p = 0; !columns && g->alpha != 1 && p < g->k; p++) to[p] *= (REAL)g->alpha;
    }
    if (columns) {
        NAME(thin_columns)(g, rows, g->k, stage);
        return;
    }
    for (int64_t i = 0; i < g->m; i++) {
        REAL *c = (REAL *)g->c + i * g->c_row;
        for (int64_t j = 0; !g->add && j < g->n; j++) c[j] = 0;
        NAME(thin_rows)(rows + i * g->k, 1, g->b, g->b_row, g->k, g->n, c);
    }
}
