/* Template (REAL, VEC, ..., NAME; see gemm_simd.c): A and B of one element type or another, packed as REAL for the
 * micro-kernel. */
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

/* rows x columns elements of any strides, as REAL into to (rows, columns), to_row apart. */
static void NAME(collect)(const void *x, int64_t size, wgi_gemm_convert convert, int64_t rows,
                          int64_t columns, int64_t row, int64_t column, REAL *to, int64_t to_row)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            const char *from = NAME(at)(x, size, i * row + j * column);
            if (convert)
                convert(to + i * to_row + j, from, 1);
            else
                to[i * to_row + j] = *(const REAL *)from;
        }
}

/* ---- B: panels (k, COLUMNS), zero beyond width ----------------------------------------------- */
/* B's rows lie contiguous: (k, width) at b. */
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
        NAME(collect)(b, g->b_size, g->b_convert, k, width, g->b_row, g->b_column, panel, COLUMNS);
        for (int64_t p = 0; p < k; p++)
            for (int64_t j = width; j < COLUMNS; j++) panel[p * COLUMNS + j] = 0;
    }
}

/* ---- A: rows, or blocks of ROWS rows (k, A_PANEL) -------------------------------------------- */
/* A's columns lie contiguous: (k, m) at x. 16 columns at a time, to read few streams and to write
 * pieces that lie together. */
static void NAME(pack_a_columns)(const REAL *x, int64_t stride, int64_t m, int64_t k, REAL *to)
{
    for (int64_t first = 0; first < k; first += 16) {
        int64_t last = k - first < 16 ? k : first + 16;
        for (int64_t i = 0; i < m; i += ROWS)
            for (int64_t p = first; p < last; p++) {
                const REAL *from = x + p * stride + i;
                REAL *block = to + i / ROWS * k * A_PANEL + p * A_PANEL;
                if (m - i >= A_PANEL)
                    for (int l = 0; l < A_PANEL; l += LANES) STORE(block + l, LOAD(from + l));
                else
                    for (int l = 0; l < ROWS && l < m - i; l++) block[l] = from[l];
            }
    }
}

/* k columns of A from column `from` on, packed into to. stage: a column of m elements. */
static NAME(left)
    NAME(pack_a)(const wgi_gemm_block *g, int64_t from, int64_t k, REAL *to, REAL *stage)
{
    const char *a = NAME(at)(g->a, g->a_size, from * g->a_column);
    const int64_t row = k + A_PAD;
    if (g->a_row == 1 && g->a_column != 1 && g->a_convert) {
        for (int64_t p = 0; p < k; p++) {
            g->a_convert(stage, NAME(at)(a, g->a_size, p * g->a_column), g->m);
            for (int64_t i = 0; i < g->m; i++)
                to[(i / ROWS * k + p) * A_PANEL + i % ROWS] = stage[i];
        }
        return (NAME(left)) { to, 1, A_PANEL, k * A_PANEL };
    }
    if (g->a_row == 1 && g->a_column != 1) {
        NAME(pack_a_columns)((const REAL *)a, g->a_column, g->m, k, to);
        return (NAME(left)) { to, 1, A_PANEL, k * A_PANEL };
    }
    if (g->a_column != 1)
        NAME(collect)(a, g->a_size, g->a_convert, g->m, k, g->a_row, g->a_column, to, row);
    else if (g->a_convert)
        NAME(stage)(a, g->a_size, g->a_convert, g->m, k, &(int64_t) { g->a_row }, to, row);
    else
        for (int64_t i = 0; i < g->m; i++)
            memcpy(to + i * row, (const REAL *)a + i * g->a_row, (size_t)k * sizeof(REAL));
    return (NAME(left)) { to, row, 1, ROWS * row };
}
