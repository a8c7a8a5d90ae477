/* Products of one tile of bf16 by bf16 into f32 in AMX's matrix registers: 32 x 32 sums in four of them, over 32 of k at a
 * time, 15 times the rate of AVX-512-BF16's pairs. Built where the compiler knows the instructions. They take bf16 denormals
 * as zero, and flush sums to it (Intel's manual, TDPBF16PS). */
#include <immintrin.h>

#include "cpu/gemm_ahead.h"
#include "cpu/gemm_kernel.h"
#include "cpu/vec.h"

enum {
    SIDE = 16,            /* rows of a register, and 32-bit columns */
    BLOCK = 2 * SIDE,     /* rows and columns of sums at once */
    REGISTER = 64 * SIDE, /* bytes */
    DEPTH = 128, /* pairs along k that a panel of B has at most: 32 KiB, which stay in L1 */
};

#define REAL float
#define VEC wgi_vf
#define LANES WGI_VF
#define COLUMNS BLOCK
#define LOAD wgi_vf_load
#define STORE wgi_vf_store
#define TRANSPOSE wgi_vf_transpose
#define NAME(x) x##_amx
#include "cpu/gemm_pack_pairs.inc.h"

/* The rows of a register lie `stride` bytes apart, the second 16 rows at `half`, the next SIDE pairs of k at `step`. */
typedef struct {
    const char *p;
    int64_t stride, half, step, steps;
} left;

/* One block of C. */
typedef struct {
    left a, rest; /* rest: steps that follow a's */
    const char *b;
    float *c;
    int64_t c_row;
    int rows, columns; /* that exist */
    const float *bias; /* (COLUMNS), NULL: none */
    float alpha;
    bool add;
} block;

/* Stores made before are what registers load after: the compiler's loads of them say nothing of memory. */
static inline void memory_is_read(void)
{
    __asm__ volatile("" ::: "memory");
}

static void configure(void)
{
    struct {
        uint8_t palette, row, zero[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } c = { .palette = 1 };
    for (int i = 0; i < 8; i++) {
        c.bytes[i] = 64;
        c.rows[i] = SIDE;
    }
    memory_is_read();
    _tile_loadconfig(&c);
}

/* Registers 0 to 3 are sums of (first, second) rows by (first, second) columns; 4 and 5 hold A, 6 and 7 B. */
static inline __attribute__((always_inline)) void add_products(const left *a, const char *b,
                                                               bool two_rows, bool two_columns)
{
    const char *p = a->p;
    for (int64_t s = 0; s < a->steps; s++, p += a->step, b += 2 * REGISTER) {
        _tile_loadd(4, p, a->stride);
        _tile_loadd(6, b, 2 * 64);
        _tile_dpbf16ps(0, 4, 6);
        if (two_columns) {
            _tile_loadd(7, b + 64, 2 * 64);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (!two_rows) continue;
        _tile_loadd(5, p + a->half, a->stride);
        _tile_dpbf16ps(2, 5, 6);
        if (two_columns) _tile_dpbf16ps(3, 5, 7);
    }
}

static void products(const block *u)
{
    const bool two_rows = u->rows > SIDE, two_columns = u->columns > SIDE;
    const char *rest = u->b + u->a.steps * 2 * REGISTER;
    if (two_rows && two_columns) {
        add_products(&u->a, u->b, true, true);
        add_products(&u->rest, rest, true, true);
    } else if (two_rows) {
        add_products(&u->a, u->b, true, false);
        add_products(&u->rest, rest, true, false);
    } else if (two_columns) {
        add_products(&u->a, u->b, false, true);
        add_products(&u->rest, rest, false, true);
    } else {
        add_products(&u->a, u->b, false, false);
        add_products(&u->rest, rest, false, false);
    }
}

/* What the next block of C holds, or will, is on its way while this one is computed. */
static void fetch_sums(const float *c, int64_t row)
{
    for (int i = 0; i < BLOCK; i++, c += row) {
        __builtin_prefetch(c, 1);
        __builtin_prefetch(c + SIDE, 1);
    }
}

static void load_sums(const float *c, int64_t row)
{
    _tile_loadd(0, c, row * 4);
    _tile_loadd(1, c + SIDE, row * 4);
    _tile_loadd(2, c + SIDE * row, row * 4);
    _tile_loadd(3, c + SIDE * row + SIDE, row * 4);
}

static void store_sums(float *c, int64_t row)
{
    _tile_stored(0, c, row * 4);
    _tile_stored(1, c + SIDE, row * 4);
    _tile_stored(2, c + SIDE * row, row * 4);
    _tile_stored(3, c + SIDE * row + SIDE, row * 4);
}

static void begin_with(const float *bias)
{
    static const float zero[BLOCK];
    if (!bias) bias = zero;
    _tile_loadd(0, bias, 0); /* every row the same */
    _tile_loadd(1, bias + SIDE, 0);
    _tile_loadd(2, bias, 0);
    _tile_loadd(3, bias + SIDE, 0);
}

/* What does not fill a block, or is multiplied by alpha, is added to C by way of memory. */
static void run_edge(const block *u)
{
    float sum[BLOCK][BLOCK] __attribute__((aligned(64)));
    begin_with(NULL);
    products(u);
    store_sums(sum[0], BLOCK);
    for (int i = 0; i < u->rows; i++)
        for (int j = 0; j < u->columns; j++) {
            float *c = u->c + i * u->c_row + j;
            const float before = u->add ? *c : u->bias ? u->bias[j] : 0;
            *c = before + u->alpha * sum[i][j];
        }
}

static void run_block(const block *u)
{
    if (u->rows < BLOCK || u->columns < BLOCK || u->alpha != 1) {
        run_edge(u);
        return;
    }
    if (u->add)
        load_sums(u->c, u->c_row);
    else
        begin_with(u->bias);
    products(u);
    store_sums(u->c, u->c_row);
}

/* ---- A: rows of pairs, as registers hold them ------------------------------------------------ */
/* A's rows lie contiguous: up to SIDE of them, `bytes` of each, behind them zeros. */
static void copy_rows(char *to, const char *a, int64_t stride, int64_t rows, int64_t bytes)
{
    memset(to, 0, REGISTER);
    for (int64_t i = 0; i < rows; i++) memcpy(to + 64 * i, a + i * stride, (size_t)bytes);
}

/* A's columns lie contiguous, `stride` bytes apart: pairs of them, transposed. */
static void copy_columns(char *to, const char *a, int64_t stride, int64_t rows, int64_t k)
{
    VEC square[SIDE];
    for (int64_t p = 0; p < SIDE; p++) {
        const char *x = a + 2 * p * stride;
        REAL *z = (REAL *)&square[p];
        if (2 * p < k)
            pair_up(z, x, 2 * p + 1 < k ? x + stride : NULL, rows, SIDE);
        else
            memset(z, 0, 64);
    }
    TRANSPOSE(square);
    memcpy(to, square, REGISTER);
}

/* Rows [i, i + BLOCK) and k [from, to), by registers: (steps, 2). */
static left pack_rows(const wgi_gemm_block *g, int64_t i, int64_t from, int64_t to, char *into)
{
    const left a = { into, 64, REGISTER, 2 * REGISTER, (to - from + BLOCK - 1) / BLOCK };
    const int64_t row = 2 * g->a_row, column = 2 * g->a_column;
    for (int64_t p = from; p < to; p += BLOCK)
        for (int64_t h = i; h < i + BLOCK; h += SIDE, into += REGISTER) {
            const char *x = (const char *)g->a + h * row + p * column;
            const int64_t k = to - p < BLOCK ? to - p : BLOCK,
                          left = g->m - h < SIDE ? g->m - h : SIDE;
            if (left <= 0)
                continue; /* its sums are not used */
            else if (column == 2)
                copy_rows(into, x, row, left, 2 * k);
            else
                copy_columns(into, x, column, left, k);
        }
    return a;
}

/* Whole blocks of A's rows are read where they lie if they are contiguous, but for the end of k. */
static void take_rows(const wgi_gemm_block *g, int64_t i, int64_t from, int64_t to, char *into,
                      left *a, left *rest)
{
    rest->steps = 0;
    if (g->a_column != 1 || g->m - i < BLOCK) {
        *a = pack_rows(g, i, from, to, into);
        return;
    }
    const int64_t whole = from + (to - from) / BLOCK * BLOCK, row = 2 * g->a_row;
    *a = (left) { (const char *)g->a + i * row + 2 * from, row, SIDE * row, 64,
                  (whole - from) / BLOCK };
    if (whole < to) *rest = pack_rows(g, i, whole, to, into);
}

/* ---- the tile -------------------------------------------------------------------------------- */
/* Pairs in equal pieces of at most DEPTH, a multiple of SIDE. */
static int64_t depth_of(int64_t k)
{
    const int64_t pairs = (k + 1) / 2, pieces = (pairs + DEPTH - 1) / DEPTH;
    return ((pairs + pieces - 1) / pieces + SIDE - 1) / SIDE * SIDE;
}

static int64_t blocks_of(int64_t m)
{
    return (m + BLOCK - 1) / BLOCK;
}

static int64_t panels_of(int64_t n)
{
    return (n + COLUMNS - 1) / COLUMNS;
}

/* What run works in, for one depth. */
typedef struct {
    char *panels;         /* (panels, depth, COLUMNS) pairs: B */
    left *a, *rest;       /* (blocks): A's rows, where they lie or packed */
    char *packed;         /* (blocks, depth / SIDE, 2) registers */
    int64_t panel, block; /* bytes from one to the next */
    size_t bytes;
} room;

static room room_of(const wgi_gemm_block *g)
{
    const int64_t blocks = blocks_of(g->m), depth = depth_of(g->k);
    room r = { .panel = depth * COLUMNS * 4, .block = depth / SIDE * 2 * REGISTER };
    const int64_t list = (blocks * (int64_t)sizeof(left) + 63) / 64 * 64,
                  panels = panels_of(g->n) * r.panel;
    r.bytes = (size_t)(panels + 2 * list + blocks * r.block);
    if (!g->scratch) return r;
    r.panels = g->scratch;
    r.a = (left *)(void *)(r.panels + panels);
    r.rest = (left *)(void *)(r.panels + panels + list);
    r.packed = r.panels + panels + 2 * list;
    return r;
}

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

/* SIDE pairs of all panels after another. */
static void take_piece(const wgi_gemm_block *g, const piece *x, const room *r)
{
    for (int64_t p = x->from; p < x->to; p += BLOCK)
        for (int64_t column = x->first; column < x->last; column += COLUMNS) {
            const int64_t width = x->last - column < COLUMNS ? x->last - column : COLUMNS,
                          pairs = (x->to - p < BLOCK ? x->to - p + 1 : BLOCK) / 2;
            char *to = r->panels + (column - x->first) / COLUMNS * r->panel +
                       (p - x->from) / 2 * COLUMNS * 4;
            pack_b_amx(g, p / 2, pairs, column, width, (REAL *)(void *)to, NULL);
            memset(to + pairs * COLUMNS * 4, 0, (size_t)(SIDE - pairs) * COLUMNS * 4);
        }
}

/* Fetches the piece after x while x is multiplied, in so many calls. */
static wgi_ahead next_piece(const wgi_gemm_block *g, const piece *x, int64_t depth, int64_t calls)
{
    const bool across = x->last < g->n;
    const int64_t from = across ? x->from : x->to;
    if (from >= g->k) return (wgi_ahead) { .rows = 0 };
    const piece y = piece_at(g, from, depth, across ? x->last : 0);
    return wgi_look_ahead((const char *)g->b + 2 * (y.from * g->b_row + y.first * g->b_column), 2,
                          g->b_row, g->b_column, y.to - y.from, y.last - y.first, calls);
}

/* All rows of A against a packed piece of B. */
static void run_piece(const wgi_gemm_block *g, const room *r, const piece *x, wgi_ahead *ahead)
{
    block u = { .c_row = g->c_row, .alpha = (float)g->alpha, .add = g->add || x->from > 0 };
    for (int64_t column = x->first; column < x->last; column += COLUMNS) {
        u.b = r->panels + (column - x->first) / COLUMNS * r->panel;
        u.columns = (int)(x->last - column < COLUMNS ? x->last - column : COLUMNS);
        if (g->bias) u.bias = (const float *)g->bias + column;
        for (int64_t i = 0; i < g->m; i += BLOCK) {
            u.a = r->a[i / BLOCK];
            u.rest = r->rest[i / BLOCK];
            u.rows = (int)(g->m - i < BLOCK ? g->m - i : BLOCK);
            u.c = (float *)g->c + i * g->c_row + column;
            wgi_fetch(ahead);
            if (i + 2 * BLOCK <= g->m) fetch_sums(u.c + BLOCK * g->c_row, g->c_row);
            run_block(&u);
        }
    }
}

static void run(const wgi_gemm_block *g)
{
    const room r = room_of(g);
    const int64_t blocks = blocks_of(g->m), depth = 2 * depth_of(g->k);
    configure();
    for (int64_t from = 0; from < g->k; from += depth) {
        const int64_t to = g->k - from < depth ? g->k : from + depth;
        for (int64_t i = 0; i < blocks; i++)
            take_rows(g, i * BLOCK, from, to, r.packed + i * r.block, &r.a[i], &r.rest[i]);
        for (int64_t column = 0; column < g->n;) {
            const piece x = piece_at(g, from, depth, column);
            wgi_ahead ahead = next_piece(g, &x, depth, blocks * panels_of(x.last - x.first));
            take_piece(g, &x, &r);
            memory_is_read();
            run_piece(g, &r, &x, &ahead);
            column = x.last;
        }
    }
    _tile_release();
}

static size_t scratch(const wgi_gemm_block *g)
{
    wgi_gemm_block unplaced = *g;
    unplaced.scratch = NULL;
    return room_of(&unplaced).bytes;
}

const wgi_gemm_kernel wgi_gemm_amx = { run, scratch, BLOCK };
