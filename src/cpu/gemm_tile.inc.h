/* A tile's product in type REAL; gemm_simd.c includes this once a type. B is packed to panels of
 * two vectors' columns, DEPTH of k at a time, so that a panel stays in L1 while all rows of A pass
 * it; A is read where it lies, by broadcasts. The scheme is that of Goto and van de Geijn, "Anatomy
 * of high-performance matrix multiplication", ACM TOMS 34(3), 2008, without packing A: tiles of a
 * few hundred rows leave too little use of a packed A. */
#define COLUMNS (2 * LANES)

/* ---- the micro-kernel: rows x COLUMNS sums over k -------------------------------------------- */
typedef struct {
    int64_t k, a_row, a_column, b_row, c_row;
    const REAL *a, *b;
    REAL *c;
    REAL alpha;
    int columns; /* of C that exist; B's panel has COLUMNS */
    bool add;
} NAME(micro);

static inline __attribute__((always_inline)) void NAME(micro_rows)(const NAME(micro) *restrict g,
                                                                   const int rows)
{
    VEC sum[ROWS][2];
    const REAL *a = g->a, *b = g->b;
    const int64_t a_row = g->a_row, a_column = g->a_column, b_row = g->b_row;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = SET(0);
    for (int64_t p = 0; p < g->k; p++) {
        VEC b0 = LOAD(b), b1 = LOAD(b + LANES);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            VEC x = SET(a[i * a_row]);
            sum[i][0] = FMA(x, b0, sum[i][0]);
            sum[i][1] = FMA(x, b1, sum[i][1]);
        }
        a += a_column;
        b += b_row;
    }
    if (g->alpha != 1) {
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            sum[i][0] *= SET(g->alpha);
            sum[i][1] *= SET(g->alpha);
        }
    }
    if (g->columns == COLUMNS) {
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            REAL *c = g->c + i * g->c_row;
            STORE(c, g->add ? LOAD(c) + sum[i][0] : sum[i][0]);
            STORE(c + LANES, g->add ? LOAD(c + LANES) + sum[i][1] : sum[i][1]);
        }
        return;
    }
    REAL edge[ROWS][COLUMNS];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        STORE(edge[i], sum[i][0]);
        STORE(edge[i] + LANES, sum[i][1]);
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < g->columns; j++) {
            REAL *c = g->c + i * g->c_row + j;
            *c = g->add ? *c + edge[i][j] : edge[i][j];
        }
}

/* One instance for every number of rows. */
static void NAME(micro_run)(const NAME(micro) * g, int rows)
{
    switch (rows) {
#if defined(__AVX512F__)
    case 14: NAME(micro_rows)(g, 14); break;
    case 13: NAME(micro_rows)(g, 13); break;
    case 12: NAME(micro_rows)(g, 12); break;
    case 11: NAME(micro_rows)(g, 11); break;
    case 10: NAME(micro_rows)(g, 10); break;
    case 9: NAME(micro_rows)(g, 9); break;
    case 8: NAME(micro_rows)(g, 8); break;
    case 7: NAME(micro_rows)(g, 7); break;
#endif
    case 6: NAME(micro_rows)(g, 6); break;
    case 5: NAME(micro_rows)(g, 5); break;
    case 4: NAME(micro_rows)(g, 4); break;
    case 3: NAME(micro_rows)(g, 3); break;
    case 2: NAME(micro_rows)(g, 2); break;
    default: NAME(micro_rows)(g, 1); break;
    }
}

/* ---- packing --------------------------------------------------------------------------------- */
static int64_t NAME(depth)(int64_t k) /* equal pieces of at most DEPTH */
{
    int64_t pieces = (k + DEPTH - 1) / DEPTH;
    return pieces == 0 ? 1 : (k + pieces - 1) / pieces;
}

/* Element (row, column) of B's or A's block on. */
static const char *NAME(at)(const void *x, int64_t size, int64_t offset)
{
    return (const char *)x + offset * size;
}

/* rows x n elements that lie side by side along n, `stride` apart along rows, as REAL into to
 * (rows, to_row); NULL convert: nothing to do, the original is returned with its stride. */
static const REAL *NAME(stage)(const void *x, int64_t size, wgi_gemm_convert convert, int64_t rows,
                               int64_t n, int64_t *stride, REAL *to, int64_t to_row)
{
    if (!convert) return x;
    for (int64_t i = 0; i < rows; i++) convert(to + i * to_row, NAME(at)(x, size, i * *stride), n);
    *stride = to_row;
    return to;
}

/* B's rows lie contiguous: (k, width) at b -> panel (k, COLUMNS), zero beyond width. */
static void NAME(pack_rows)(const REAL *b, int64_t b_row, int64_t k, int64_t width, REAL *panel)
{
    for (int64_t p = 0; p < k; p++, b += b_row, panel += COLUMNS) {
        if (width == COLUMNS) {
            STORE(panel, LOAD(b));
            STORE(panel + LANES, LOAD(b + LANES));
            continue;
        }
        for (int64_t j = 0; j < COLUMNS; j++) panel[j] = j < width ? b[j] : 0;
    }
}

/* B's columns lie contiguous: transposed in squares of registers. */
static void NAME(pack_columns)(const REAL *b, int64_t b_column, int64_t k, int64_t width,
                               REAL *panel)
{
    for (int64_t j = 0; j < COLUMNS; j += LANES) {
        int64_t p = 0;
        for (; width - j >= LANES && p + LANES <= k; p += LANES) {
            VEC square[LANES];
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++) square[i] = LOAD(b + (j + i) * b_column + p);
            TRANSPOSE(square);
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++) STORE(panel + (p + i) * COLUMNS + j, square[i]);
        }
        for (; p < k; p++)
            for (int64_t i = j; i < j + LANES; i++)
                panel[p * COLUMNS + i] = i < width ? b[i * b_column + p] : 0;
    }
}

/* Columns [column, column + width) of k rows of B from row `from` on. stage: (DEPTH, COLUMNS)
 * elements. */
static void NAME(pack_b)(const wgi_gemm_block *g, int64_t from, int64_t k, int64_t column,
                         int64_t width, REAL *panel, REAL *stage)
{
    const char *b = NAME(at)(g->b, g->b_size, from * g->b_row + column * g->b_column);
    if (g->b_column == 1) {
        int64_t row = g->b_row;
        const REAL *x = NAME(stage)(b, g->b_size, g->b_convert, k, width, &row, stage, COLUMNS);
        NAME(pack_rows)(x, row, k, width, panel);
    } else if (g->b_row == 1) {
        int64_t row = g->b_column;
        const REAL *x = NAME(stage)(b, g->b_size, g->b_convert, width, k, &row, stage, k);
        NAME(pack_columns)(x, row, k, width, panel);
    } else {
        for (int64_t p = 0; p < k; p++)
            for (int64_t j = 0; j < COLUMNS; j++) {
                const char *x = NAME(at)(b, g->b_size, p * g->b_row + j * g->b_column);
                REAL *to = panel + p * COLUMNS + j;
                if (j >= width)
                    *to = 0;
                else if (g->b_convert)
                    g->b_convert(to, x, 1);
                else
                    *to = *(const REAL *)x;
            }
    }
}

/* k columns of A from column `from` on, as REAL: A itself, or converted into to. */
static const REAL *NAME(take_a)(const wgi_gemm_block *g, int64_t from, int64_t k, REAL *to,
                                int64_t *row, int64_t *column)
{
    const char *a = NAME(at)(g->a, g->a_size, from * g->a_column);
    *row = g->a_row;
    *column = g->a_column;
    if (!g->a_convert) return (const REAL *)a;
    if (g->a_row == 1) {
        NAME(stage)(a, g->a_size, g->a_convert, k, g->m, column, to, g->m);
        return to;
    }
    if (g->a_column == 1) {
        NAME(stage)(a, g->a_size, g->a_convert, g->m, k, row, to, k);
        return to;
    }
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t p = 0; p < k; p++)
            g->a_convert(to + i * k + p, NAME(at)(a, g->a_size, i * *row + p * *column), 1);
    *row = k;
    *column = 1;
    return to;
}

/* ---- few rows: B passes once, unpacked ------------------------------------------------------- */
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
    REAL out[DOTS][DOTS];
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
    if (g->b_row == 1 && g->b_column != 1) return g->m <= THIN_ROWS;
    return g->m == 1 && g->b_column == 1 && !g->b_convert;
}

static void NAME(run_thin)(const wgi_gemm_block *g)
{
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

/* ---- the tile -------------------------------------------------------------------------------- */
/* All rows of A, k deep, against one panel of B. */
static void NAME(run_panel)(const wgi_gemm_block *g, NAME(micro) * u, int64_t column)
{
    const REAL *a = u->a;
    u->columns = (int)(g->n - column < COLUMNS ? g->n - column : COLUMNS);
    for (int64_t i = 0; i < g->m; i += ROWS) {
        u->a = a + i * u->a_row;
        u->c = (REAL *)g->c + i * g->c_row + column;
        NAME(micro_run)(u, (int)(g->m - i < ROWS ? g->m - i : ROWS));
    }
    u->a = a;
}

static void NAME(run)(const wgi_gemm_block *g)
{
    if (NAME(is_thin)(g)) {
        NAME(run_thin)(g);
        return;
    }
    int64_t depth = NAME(depth)(g->k);
    bool in_place = g->m <= UNPACKED_ROWS && g->b_column == 1 && !g->b_convert;
    REAL *panel = g->scratch, *stage = panel + DEPTH * COLUMNS, *block = stage + DEPTH * COLUMNS;
    NAME(micro) u = { .c_row = g->c_row, .alpha = (REAL)g->alpha, .add = g->add };
    for (int64_t from = 0; from < g->k; from += depth) {
        u.k = g->k - from < depth ? g->k - from : depth;
        u.a = NAME(take_a)(g, from, u.k, block, &u.a_row, &u.a_column);
        for (int64_t column = 0; column < g->n; column += COLUMNS) {
            int64_t width = g->n - column < COLUMNS ? g->n - column : COLUMNS;
            if (in_place && width == COLUMNS) {
                u.b = (const REAL *)g->b + from * g->b_row + column;
                u.b_row = g->b_row;
            } else {
                NAME(pack_b)(g, from, u.k, column, width, panel, stage);
                u.b = panel;
                u.b_row = COLUMNS;
            }
            NAME(run_panel)(g, &u, column);
        }
        u.add = true;
    }
}

static size_t NAME(scratch)(const wgi_gemm_block *g)
{
    int64_t n = NAME(is_thin)(g) ? (g->m + DOTS) * g->k
                                 : 2 * DEPTH * COLUMNS + (g->a_convert ? g->m * DEPTH : 0);
    return (size_t)n * sizeof(REAL);
}
#undef COLUMNS
