/* How a product is cut into tiles for threads: as many as keep them busy, and no more, since every tile reads its rows of A
 * and its columns of B anew. */
#include "cpu/gemm.h"
#include "cpu/level.h"

/* Bringing a row of A, a column of B into a tile takes as long as so many of its elements of C; the other way round where A
 * is read in place. Between what a Xeon took for 768 x 128 x 512, 512 x 128 x 768 and 256 x 768 x 50257 in tiles of 64 to
 * 512. */
enum { ROW_COST = 24, COLUMN_COST = 12 };
enum { LEAST_ROWS = 64, LEAST_COLUMNS = 64 };
enum {
    LEAST_WORK = 2 << 20, /* operations of a tile: less is not worth a thread */
    MUCH_WORK =
        64 << 20,    /* of a thread, from which on it gets two tiles, for some cores are slower */
    MANY_ROUNDS = 8, /* of tiles: it no longer matters whether the last is full */
    FEW_ROWS = 16,   /* fewer take as long as so many: B comes from memory */
};

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t at_least(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* `size` in so many equal parts, all but the last whole multiples: of a vector's lanes at least, or bits would depend on where
 * tiles end. */
static int64_t part(int64_t size, int64_t parts, int64_t multiple)
{
    const int64_t even = ceil_div(ceil_div(size, parts), multiple) * multiple;
    return even < size ? even : size;
}

/* Tiles, of all entries, that give each thread enough. */
static int64_t tiles_for(double work, int64_t threads)
{
    const double most = work / LEAST_WORK;
    const bool uneven = threads > 1 && work / (double)threads > MUCH_WORK;
    const int64_t tiles = uneven ? 2 * threads : threads;
    return (double)tiles <= most ? tiles : most < 1 ? 1 : (int64_t)most;
}

/* Time that all tiles take, in elements of C that a thread makes. */
static int64_t cost(int64_t m, int64_t n, int64_t entries, int64_t threads, wgi_gemm_cut t,
                    bool a_in_place)
{
    const int64_t row = a_in_place ? COLUMN_COST : ROW_COST,
                  column = a_in_place ? ROW_COST : COLUMN_COST;
    const int64_t tiles = entries * ceil_div(m, t.rows) * ceil_div(n, t.columns);
    return ceil_div(tiles, threads) * (t.rows * t.columns + row * t.rows + column * t.columns);
}

/* The largest tile: one that leaves both operands' parts in the second-level cache. On Zen 5, whose is 1 MiB, one that leaves
 * A's there is faster (2% of a GPT-2 step). */
static wgi_gemm_cut largest(int64_t m, int64_t n)
{
    if (wgi_cpu_zen5()) return (wgi_gemm_cut) { 384, 768 };
    const int64_t side = m <= 512 || n <= 512 ? 384 : 512;
    return (wgi_gemm_cut) { side, side };
}

wgi_gemm_cut wgi_gemm_tile(int64_t m, int64_t n, int64_t k, int64_t entries, int64_t threads,
                           bool a_in_place)
{
    const wgi_gemm_cut most = largest(m, n);
    const double work =
        2.0 * (double)at_least(m, FEW_ROWS) * (double)n * (double)k * (double)entries;
    const int64_t wanted = /* tiles of an entry */
        ceil_div(tiles_for(work, threads), entries);
    int64_t down = ceil_div(m, most.rows), across = ceil_div(n, most.columns);
    wgi_gemm_cut best = { part(m, down, 16), part(n, across, 32) };
    if (down * across * entries >= MANY_ROUNDS * threads || wanted == 1) return best;
    int64_t least = INT64_MAX;
    const int64_t most_down = at_least(down, ceil_div(m, LEAST_ROWS)),
                  most_across = at_least(across, ceil_div(n, LEAST_COLUMNS));
    for (; down <= most_down; down++) {
        int64_t parts = at_least(across, ceil_div(wanted, down));
        if (parts > most_across) parts = most_across;
        const wgi_gemm_cut t = { part(m, down, 16), part(n, parts, 32) };
        const int64_t c = cost(m, n, entries, threads, t, a_in_place);
        if (c < least) {
            least = c;
            best = t;
        }
        if (down >= wanted) break; /* more parts down only add tiles */
    }
    return best;
}
