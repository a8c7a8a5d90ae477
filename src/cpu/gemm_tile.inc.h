/* Template (REAL, VEC, ..., NAME; see gemm_simd.c): a tile's product. B is packed to panels of two vectors' columns,
 * DEPTH of k at a time, which all rows of A pass; A is packed once a depth where it is transposed, or its rows would
 * fall on each other in L1, and on Zen 5 less often. While rows pass a panel, the next panel's part of B is fetched, and where it pays of A's
 * next depth. The scheme is that of Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS
 * 34(3), 2008. */

/* The panel of B after the one at (from, column), that is fetched in so many pieces. */
static wgi_ahead NAME(next_b)(const wgi_gemm_block *g, int64_t from, int64_t depth, int64_t column,
                              int64_t pieces)
{
    column += COLUMNS;
    if (column >= g->n) {
        column = 0;
        from += depth;
    }
    const int64_t left = g->k - from, width = g->n - column < COLUMNS ? g->n - column : COLUMNS;
    if (left <= 0) return (wgi_ahead) { .lines = 0 };
    return wgi_look_ahead(NAME(at)(g->b, g->b_size, from * g->b_row + column * g->b_column),
                          g->b_size, g->b_row, g->b_column, left < depth ? left : depth, width,
                          pieces);
}

/* A's next columns after those from `from` on. */
static wgi_ahead NAME(next_a)(const wgi_gemm_block *g, int64_t from, int64_t depth, int64_t pieces)
{
    from += depth;
    const int64_t left = g->k - from;
    if (left <= 0 || !g->fetches_a) return (wgi_ahead) { .lines = 0 };
    return wgi_look_ahead(NAME(at)(g->a, g->a_size, from * g->a_column), g->a_size, g->a_row,
                          g->a_column, g->m, left < depth ? left : depth, pieces);
}

/* ---- the tile -------------------------------------------------------------------------------- */
/* All rows of A, k deep, against one panel of B. */
static void NAME(run_panel)(const wgi_gemm_block *g, NAME(micro) * u, const NAME(left) * a,
                            int64_t column)
{
    REAL bias[COLUMNS];
    u->columns = (int)(g->n - column < COLUMNS ? g->n - column : COLUMNS);
    u->bias = NULL;
    if (g->bias && !u->add) {
        for (int j = 0; j < COLUMNS; j++)
            bias[j] = j < u->columns ? ((const REAL *)g->bias)[column + j] : 0;
        u->bias = bias;
    }
    u->a_row = a->row;
    u->a_column = a->column;
    const int64_t blocks = (g->m + ROWS - 1) / ROWS;
    for (int64_t q = 0; q < blocks; q++) {
        const int64_t block = g->zen5 ? wgi_gemm_inwards(q, blocks) : q, i = block * ROWS;
        u->a = a->p + block * a->step;
        u->c = (REAL *)g->c + i * g->c_row + column;
        NAME(micro_run)(u, (int)(g->m - i < ROWS ? g->m - i : ROWS));
    }
}

static bool NAME(packs_a)(const wgi_gemm_block *g)
{
    if (PER_STEP > 1 || g->a_convert) return true;
    const int64_t size = (int64_t)sizeof(REAL);
    if (g->m <= ROWS || (g->a_column == 1 && !wgi_gemm_rows_collide(g->a_row * size, ROWS)))
        return false;
    if (g->zen5 && g->a_row == 1 && !wgi_gemm_columns_collide(g->a_column * size)) return false;
    return g->n >= (g->zen5 ? ZEN5_COLUMNS : PACKED_COLUMNS);
}

static bool NAME(reads_b_in_place)(const wgi_gemm_block *g)
{
    return PER_STEP == 1 && g->m <= UNPACKED_ROWS && g->b_column == 1 && !g->b_convert;
}

/* Elements of REAL that run_tile takes: a panel of B, what pack_b and pack_a stage, A. */
static int64_t NAME(staged)(const wgi_gemm_block *g)
{
    return DEPTH * COLUMNS > g->m ? DEPTH * COLUMNS : g->m;
}

static int64_t NAME(tile_scratch)(const wgi_gemm_block *g)
{
    return DEPTH * COLUMNS + NAME(staged)(g) + (NAME(packs_a)(g) ? NAME(packed_a)(g->m, DEPTH) : 0);
}

/* All of k in one depth, C's rows aligned. */
static bool NAME(streams)(const wgi_gemm_block *g, int64_t steps, int64_t depth)
{
    const uintptr_t place = (uintptr_t)g->c | (uintptr_t)(g->c_row * (int64_t)sizeof(REAL));
    return g->stream && !g->add && steps <= depth && place % WGI_LINE == 0;
}

static void NAME(run_tile)(const wgi_gemm_block *g)
{
    const int64_t steps = (g->k + PER_STEP - 1) / PER_STEP, depth = NAME(depth)(steps);
    const int64_t calls = (g->m + ROWS - 1) / ROWS, panels = (g->n + COLUMNS - 1) / COLUMNS;
    const bool in_place = NAME(reads_b_in_place)(g);
    REAL *panel = g->scratch, *stage = panel + DEPTH * COLUMNS, *block = stage + NAME(staged)(g);
    NAME(micro) u = { .c_row = g->c_row, .alpha = (REAL)g->alpha, .add = g->add };
    u.stream = NAME(streams)(g, steps, depth);
    for (int64_t from = 0; from < steps; from += depth) {
        u.k = steps - from < depth ? steps - from : depth;
        const int64_t bursts = NAME(bursts)(u.k);
        u.c_each = u.stream ? 0 : (int)((ROWS + bursts - 1) / bursts);
        const NAME(left) a = NAME(packs_a)(g)
                                 ? NAME(pack_a)(g, from, u.k, block, stage)
                                 : (NAME(left)) { (const REAL *)g->a + from * g->a_column, g->a_row,
                                                  g->a_column, ROWS * g->a_row };
        u.next_a = NAME(next_a)(g, from * PER_STEP, u.k * PER_STEP, bursts * calls * panels);
        for (int64_t column = 0; column < g->n; column += COLUMNS) {
            int64_t width = g->n - column < COLUMNS ? g->n - column : COLUMNS;
            u.next_b = NAME(next_b)(g, from * PER_STEP, u.k * PER_STEP, column, bursts * calls);
            if (in_place && width == COLUMNS) {
                u.b = (const REAL *)g->b + from * g->b_row + column;
                u.b_row = g->b_row;
            } else {
                NAME(pack_b)(g, from, u.k, column, width, panel, stage);
                u.b = panel;
                u.b_row = COLUMNS;
            }
            NAME(run_panel)(g, &u, &a, column);
        }
        u.add = true;
    }
    if (u.stream) wgi_stream_end();
}
