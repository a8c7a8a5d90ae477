/* Products of one tile of bf16 by bf16 into f32 in AMX's matrix registers: 32 x 32 sums in four of them, over 32 of k at a
 * time. Built where the compiler knows the instructions. They take denormals as zero, C's too where it is added to, and flush
 * sums to it (Intel's manual, TDPBF16PS). */
#include "cpu/gemm_amx_pack.h"
#include "cpu/stream.h"

enum { DEPTH = 256 }; /* of k that a panel of B has at most: 16 KiB, which stay in L1 */

/* One block of C. */
typedef struct {
    wgi_amx_rows a, rest; /* rest: steps that follow a's */
    const char *b;
    float *c;
    int64_t c_row;
    int rows, columns; /* that exist */
    const float *bias; /* (COLUMNS), NULL: none */
    float alpha;
    bool add, stream;
} block;

/* ---- a block --------------------------------------------------------------------------------- */
static void products(const block *u)
{
    wgi_amx_add_products(&u->a, u->b, u->rows, u->columns);
    wgi_amx_add_products(&u->rest, u->b + u->a.steps * 2 * REGISTER, u->rows, u->columns);
}

static void begin_with(const float *bias)
{
    _tile_loadd(0, bias, 0); /* every row the same */
    _tile_loadd(1, bias + SIDE, 0);
    _tile_loadd(2, bias, 0);
    _tile_loadd(3, bias + SIDE, 0);
}

/* What does not fill a block, or is multiplied by alpha, goes by way of memory. Sums begin with what C gets them added to, as
 * in whole blocks, so that a row has the same bits wherever it lies; but alpha must not multiply that. */
static void run_edge(const block *u)
{
    float sum[BLOCK][BLOCK] __attribute__((aligned(64))) = { 0 };
    float before[BLOCK][BLOCK] = { 0 };
    for (int i = 0; i < u->rows; i++)
        for (int j = 0; j < u->columns; j++)
            before[i][j] = u->add ? u->c[i * u->c_row + j] : u->bias ? u->bias[j] : 0;
    const bool scaled = u->alpha != 1;
    if (!scaled) memcpy(sum, before, sizeof sum);
    wgi_amx_memory_is_read();
    wgi_amx_load_sums(sum[0], BLOCK);
    products(u);
    wgi_amx_store_sums(sum[0], BLOCK);
    for (int i = 0; i < u->rows; i++)
        for (int j = 0; j < u->columns; j++)
            u->c[i * u->c_row + j] = scaled ? before[i][j] + u->alpha * sum[i][j] : sum[i][j];
}

static bool is_aligned(const block *u)
{
    return (uintptr_t)u->c % 64 == 0 && u->c_row % SIDE == 0;
}

/* A whole block that is new, past the caches. */
static void run_streamed(const block *u)
{
    float sum[BLOCK][BLOCK] __attribute__((aligned(64)));
    if (u->bias)
        begin_with(u->bias);
    else
        wgi_amx_zero_sums();
    products(u);
    wgi_amx_store_sums(sum[0], BLOCK);
    float *c = u->c;
    for (int i = 0; i < BLOCK; i++, c += u->c_row) {
        _mm512_stream_ps(c, _mm512_load_ps(sum[i]));
        _mm512_stream_ps(c + SIDE, _mm512_load_ps(sum[i] + SIDE));
    }
}

static void run_block(const block *u)
{
    if (u->rows < BLOCK || u->columns < BLOCK || u->alpha != 1) {
        run_edge(u);
        return;
    }
    if (u->stream && is_aligned(u)) {
        run_streamed(u);
        return;
    }
    if (u->add)
        wgi_amx_load_sums(u->c, u->c_row);
    else if (u->bias)
        begin_with(u->bias);
    else
        wgi_amx_zero_sums();
    products(u);
    wgi_amx_store_sums(u->c, u->c_row);
}

/* What the next block of C holds, or will, is on its way while this one is computed. */
static void fetch_sums(const float *c, int64_t row)
{
    for (int i = 0; i < BLOCK; i++, c += row) {
        __builtin_prefetch(c, 1);
        __builtin_prefetch(c + SIDE, 1);
    }
}

/* ---- what run works in, for one depth -------------------------------------------------------- */
typedef struct {
    int64_t depth;            /* of k at once, a multiple of BLOCK */
    int64_t blocks;           /* of A's rows */
    int64_t a_bytes, b_bytes; /* of a packed block of A's rows, of a panel of B */
    char *panels;             /* (panels, depth / 2, COLUMNS) pairs: B */
    wgi_amx_rows *a, *rest;   /* (blocks): A's rows, where they lie or packed */
    char *packed;             /* (blocks, depth / BLOCK, 2) registers */
    size_t bytes;
} room;

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static room room_of(const wgi_gemm_block *g)
{
    room r = { .blocks = ceil_div(g->m, BLOCK) };
    r.depth = ceil_div(ceil_div(g->k, ceil_div(g->k, DEPTH)), BLOCK) * BLOCK; /* equal pieces */
    r.a_bytes = r.b_bytes = r.depth / BLOCK * 2 * REGISTER;
    const int64_t list = ceil_div(r.blocks * (int64_t)sizeof(wgi_amx_rows), 64) * 64,
                  panels = ceil_div(g->n, COLUMNS) * r.b_bytes;
    r.bytes = (size_t)(panels + 2 * list + r.blocks * r.a_bytes);
    if (!g->scratch) return r;
    r.panels = g->scratch;
    r.a = (wgi_amx_rows *)(void *)(r.panels + panels);
    r.rest = (wgi_amx_rows *)(void *)(r.panels + panels + list);
    r.packed = r.panels + panels + 2 * list;
    return r;
}

/* ---- A --------------------------------------------------------------------------------------- */
/* Rows [i, i + BLOCK) and k [from, to), by registers; a second one of rows that do not exist stays as it is, unread. */
static wgi_amx_rows pack_rows(const wgi_gemm_block *g, int64_t i, int64_t from, int64_t to,
                              char *into)
{
    const wgi_amx_rows a = { into, 64, REGISTER, 2 * REGISTER, ceil_div(to - from, BLOCK) };
    for (int64_t p = from; p < to; p += BLOCK, into += a.step)
        for (int64_t h = i; h < i + BLOCK && h < g->m; h += SIDE) {
            const char *x = (const char *)g->a + 2 * (h * g->a_row + p * g->a_column);
            char *half = into + (h - i) * 64;
            if (g->a_column == 1)
                bf16_rows(half, x, 2 * g->a_row, g->m - h, to - p);
            else
                bf16_columns(half, x, 2 * g->a_column, g->m - h, to - p);
        }
    return a;
}

/* k [from, to) of all rows. Whole blocks of contiguous rows are read where they lie (a), but for the end of k; that and what
 * does not lie so is packed (rest). Either may have no steps. */
static void take_rows(const wgi_gemm_block *g, const room *r, int64_t from, int64_t to)
{
    for (int64_t i = 0; i < r->blocks; i++) {
        const bool in_place = g->a_column == 1 && g->m - i * BLOCK >= BLOCK;
        const int64_t whole = in_place ? from + (to - from) / BLOCK * BLOCK : from,
                      row = 2 * g->a_row;
        r->a[i] = (wgi_amx_rows) { (const char *)g->a + i * BLOCK * row + 2 * from, row, SIDE * row,
                                   64, (whole - from) / BLOCK };
        r->rest[i] = pack_rows(g, i * BLOCK, whole, to, r->packed + i * r->a_bytes);
    }
}

/* ---- B --------------------------------------------------------------------------------------- */
/* A piece of B that is packed at once: k [from, to), columns [first, last). Where rows lie contiguous it is as wide as the
 * tile, since memory gives long pieces faster; else one panel, which is still in L1 when it is read. */
typedef struct {
    int64_t from, to, first, last;
} piece;

static piece piece_at(const wgi_gemm_block *g, int64_t from, int64_t depth, int64_t first)
{
    const int64_t to = g->k - from < depth ? g->k : from + depth,
                  last = g->b_column == 1 || g->n - first < COLUMNS ? g->n : first + COLUMNS;
    return (piece) { from, to, first, last };
}

/* BLOCK of k for every panel, then the next BLOCK. */
static void take_piece(const wgi_gemm_block *g, const room *r, const piece *x)
{
    for (int64_t p = x->from; p < x->to; p += BLOCK)
        for (int64_t column = x->first; column < x->last; column += COLUMNS) {
            const int64_t width = x->last - column < COLUMNS ? x->last - column : COLUMNS,
                          pairs = (x->to - p < BLOCK ? x->to - p + 1 : BLOCK) / 2;
            char *to = r->panels + (column - x->first) / COLUMNS * r->b_bytes +
                       (p - x->from) / 2 * COLUMNS * 4;
            pack_b_amx(g, p / 2, pairs, column, width, (REAL *)(void *)to, NULL);
            memset(to + pairs * COLUMNS * 4, 0, (size_t)(SIDE - pairs) * COLUMNS * 4);
        }
}

/* ---- the tile -------------------------------------------------------------------------------- */
/* All rows of A against a packed piece of B. */
static void run_piece(const wgi_gemm_block *g, const room *r, const piece *x)
{
    block u = { .c_row = g->c_row, .alpha = (float)g->alpha, .add = g->add || x->from > 0 };
    u.stream = g->stream && !u.add && g->k <= r->depth;
    for (int64_t column = x->first; column < x->last; column += COLUMNS) {
        u.b = r->panels + (column - x->first) / COLUMNS * r->b_bytes;
        u.columns = (int)(x->last - column < COLUMNS ? x->last - column : COLUMNS);
        if (g->bias) u.bias = (const float *)g->bias + column;
        for (int64_t i = 0; i < g->m; i += BLOCK) {
            u.a = r->a[i / BLOCK];
            u.rest = r->rest[i / BLOCK];
            u.rows = (int)(g->m - i < BLOCK ? g->m - i : BLOCK);
            u.c = (float *)g->c + i * g->c_row + column;
            if (i + 2 * BLOCK <= g->m && !u.stream) fetch_sums(u.c + BLOCK * g->c_row, g->c_row);
            run_block(&u);
        }
    }
}

static void run(const wgi_gemm_block *g)
{
    const room r = room_of(g);
    wgi_amx_configure();
    for (int64_t from = 0; from < g->k; from += r.depth) {
        take_rows(g, &r, from, g->k - from < r.depth ? g->k : from + r.depth);
        for (int64_t column = 0; column < g->n;) {
            const piece x = piece_at(g, from, r.depth, column);
            take_piece(g, &r, &x);
            wgi_amx_memory_is_read();
            run_piece(g, &r, &x);
            wgi_amx_memory_is_read();
            column = x.last;
        }
    }
    _tile_release();
    if (g->stream) wgi_stream_end();
}

static size_t scratch(const wgi_gemm_block *g)
{
    wgi_gemm_block unplaced = *g;
    unplaced.scratch = NULL;
    return room_of(&unplaced).bytes;
}

const wgi_gemm_kernel wgi_gemm_amx = { run, scratch, BLOCK };
