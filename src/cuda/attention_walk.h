/* How blocks of attention's kernels walk: over the tiles of keys that a tile of queries sees, or over the tiles of queries that
 * see a tile of keys. Two tiles are in shared memory, of which one is read while the next arrives. In terms of the machine M
 * of attention_tile.h and of a kernel's shape S, which has
 *   threads; rows: of the block's own tile; queries_tile, keys_tile: how tiles of them lie (by_rows)
 *   kv, or qdy: the first byte of the two tiles; stage: bytes of one
 *   keeps: has registers for more addresses: those of the next chunks through the walk, which else are computed for every
 *     tile, and those of a whole tile's rows */
#ifndef WGI_CUDA_ATTENTION_WALK_H
#define WGI_CUDA_ATTENTION_WALK_H
#include "cuda/attention_tile.h"

namespace wgi
{

/* Tiles of an operand's rows, one behind the other, on their way into shared memory, where they lie as P has it. A thread
 * keeps its column and the address of its next chunk, and of whole tiles no chunk is asked whether it is there: there are so
 * many of them that their addresses would count beside the products. */
template <class M, class S, class P> struct tile_copies {
    static constexpr int chunks = P::head / 8, threads = S::threads,
                         step = threads / chunks < 8 ? threads / chunks : threads / chunks / 8 * 8,
                         apart = P::rows < step ? P::rows : step; /* rows that go at a time */
    static_assert(P::rows % apart == 0, "whole steps");
    const int thread;
    const char *from;
    int at; /* its first chunk's place in a tile */

    /* From row i of head h on. */
    WGI_TILE_MEMBER tile_copies(const wgi_attention_operand &o, int b, int h, int i)
        : thread(S::keeps ? M::thread() : M::here(M::thread())), at(P::at(row(0), chunk()))
    {
        start(o, b, h, i);
    }
    WGI_TILE_MEMBER void start(const wgi_attention_operand &o, int b, int h, int i)
    {
        from = o.data + 2 * (wgi_row_offset(&o, b, h, i + row(0)) + chunk() * 8);
    }
    WGI_TILE_MEMBER int chunk() const { return thread % chunks; }
    WGI_TILE_MEMBER int row(int n) const { return thread / chunks + n; }
    /* Threads that have no chunk: where a row's chunks do not divide them, or rows are few. */
    WGI_TILE_MEMBER bool idle() const
    {
        return apart * chunks < threads && thread >= apart * chunks;
    }
    /* The place of the chunk n rows further: tiles repeat after eight rows. */
    WGI_TILE_MEMBER int place(int n) const
    {
        return apart % 8 == 0 ? at + P::at(n, 0) : P::at(row(n), chunk());
    }
    WGI_TILE_MEMBER static int64_t bytes_apart(const wgi_attention_operand &o)
    {
        return o.stride[2] * (2 * apart);
    }
    /* The next tile, all of it, to byte `to`. */
    WGI_TILE_MEMBER void whole(const wgi_attention_operand &o, int to)
    {
        if (idle()) return;
#pragma unroll
        for (int n = 0; n < P::rows; n += apart, from += bytes_apart(o))
            M::copy16(to + place(n), from, true);
    }
    /* The next tile; zeros behind `rows` and `columns`. */
    WGI_TILE_MEMBER void part(const wgi_attention_operand &o, int to, int rows, int columns)
    {
        if (idle()) return;
#pragma unroll 1
        for (int n = 0; n < P::rows; n += apart, from += bytes_apart(o))
            M::copy16(to + place(n), from, row(n) < rows && chunk() * 8 < columns);
    }
};

/* One tile: rows [i, limit) of head h, up to P::rows of them. */
template <class M, class S, class P>
WGI_TILE void load_tile(const wgi_attention_operand &o, int b, int h, int i, int limit, int columns,
                        int to)
{
    tile_copies<M, S, P> copies(o, b, h, i);
    if (S::keeps && limit - i >= P::rows && columns == P::head)
        copies.whole(o, to);
    else
        copies.part(o, to, limit - i, columns);
}

/* Tiles of two operands with the same rows, the second's behind the first's: keys and values, or queries and dy. */
template <class M, class S, class P> struct pair_copies {
    tile_copies<M, S, P> first, second;

    WGI_TILE_MEMBER pair_copies(const wgi_attention_operand &x, const wgi_attention_operand &y,
                                int b, int h, int i)
        : first(x, b, h, i), second(y, b, h, i)
    {
    }
    WGI_TILE_MEMBER void restart(const wgi_attention_operand &x, const wgi_attention_operand &y,
                                 int b, int h, int i)
    {
        first.start(x, b, h, i);
        second.start(y, b, h, i);
    }
    WGI_TILE_MEMBER void next(const wgi_attention_pass &p, const wgi_attention_operand &x,
                              const wgi_attention_operand &y, int to, int rows)
    {
        if (S::keeps && rows >= P::rows && p.d == P::head && p.dv == P::head) {
            first.whole(x, to);
            second.whole(y, to + P::bytes);
        } else {
            first.part(x, to, rows, p.d);
            second.part(y, to + P::bytes, rows, p.dv);
        }
    }
};

/* ---- over keys ---- */

template <class M, class S> struct key_walk {
    using P = typename S::keys_tile;
    const wgi_attention_pass &p;
    wgi_attention_place at;
    wgi_attention_tiles tiles;
    pair_copies<M, S, P> copies;

    WGI_TILE_MEMBER explicit key_walk(const wgi_attention_pass &p)
        : p(p), at(wgi_place_of_queries(&p, M::block(), S::rows)),
          tiles(wgi_key_tiles(&p, at.first, at.first + S::rows, P::rows)),
          copies(copies_from(tiles.first))
    {
    }
    WGI_TILE_MEMBER pair_copies<M, S, P> copies_from(int tile) const
    {
        return { p.k, p.v, at.b, wgi_head_of_keys(&p, at.h), tile * P::rows };
    }
    /* The block's rows of an operand of queries to byte `to`. */
    WGI_TILE_MEMBER void load_queries(const wgi_attention_operand &o, int columns, int to) const
    {
        load_tile<M, S, typename S::queries_tile>(o, at.b, at.h, at.first, p.tq, columns, to);
    }
    /* Where a tile of keys lies; its values are behind them. */
    WGI_TILE_MEMBER int keys(int tile) const
    {
        return M::memory() + S::kv + ((tile - tiles.first) & 1) * S::stage;
    }
    /* Asks for a tile, one behind the other, as a group of copies, which is empty behind the last. */
    WGI_TILE_MEMBER void load(int tile)
    {
        if (tile < tiles.end) {
            const int to = keys(tile), rows = p.tk - tile * P::rows;
            if (S::keeps)
                copies.next(p, p.k, p.v, to, rows);
            else
                copies_from(tile).next(p, p.k, p.v, to, rows);
        }
        M::commit();
    }
    /* The scores of a tile from the block's row `row` on. */
    WGI_TILE_MEMBER score_tile scores(int row, int tile) const
    {
        const score_tile t = { at.b, at.h, at.first + row, tile * P::rows };
        return t;
    }
};

/* ---- over queries, of all heads that share the keys ---- */

WGI_TILE const float *row_terms(const void *terms, const wgi_attention_pass &p, int b, int h, int i)
{
    return static_cast<const float *>(terms) + wgi_head_rows(&p, b, h) + i;
}

/* lse, then delta, of QUERIES queries into shared memory. */
template <class M, int QUERIES>
WGI_TILE void load_terms(const wgi_attention_pass &p, const score_tile &t, int to)
{
    constexpr int chunks = QUERIES / 4; /* four floats each */
    const int n = M::thread() % chunks;
    if (M::thread() < chunks)
        M::copy16(to + n * 16, row_terms(p.row_lse, p, t.b, t.h, t.i) + n * 4, true);
    else if (M::thread() < 2 * chunks)
        M::copy16(to + QUERIES * 4 + n * 16, row_terms(p.row_delta, p, t.b, t.h, t.i) + n * 4,
                  true);
}

template <class M, class S> struct query_walk {
    using P = typename S::queries_tile;
    const wgi_attention_pass &p;
    wgi_attention_place at;
    wgi_attention_tiles tiles;
    int shared_by, steps; /* heads; their tiles */
    int asked;            /* steps whose tile was asked for */
    score_tile loads;     /* the scores of the next one */
    pair_copies<M, S, P> copies;

    /* row: the first of the block's keys that the caller's scores have */
    WGI_TILE_MEMBER query_walk(const wgi_attention_pass &p, int row)
        : p(p), at(wgi_place_of_keys(&p, M::block(), S::rows)),
          tiles(wgi_query_tiles(&p, at.first, at.first + S::rows, P::rows)),
          shared_by(p.heads / p.kv_heads), steps((tiles.end - tiles.first) * shared_by),
          asked(0), loads { at.b, at.h * shared_by, tiles.first * P::rows, at.first + row },
          copies(copies_from(loads))
    {
    }
    WGI_TILE_MEMBER pair_copies<M, S, P> copies_from(const score_tile &t) const
    {
        return { p.q, p.dy, t.b, t.h, t.i };
    }
    /* The block's rows of an operand of keys to byte `to`. */
    WGI_TILE_MEMBER void load_keys(const wgi_attention_operand &o, int columns, int to) const
    {
        load_tile<M, S, typename S::keys_tile>(o, at.b, at.h, at.first, p.tk, columns, to);
    }
    /* Where a step's tile lies: q, dy, lse, delta. */
    WGI_TILE_MEMBER int place(int step) const
    {
        return M::memory() + S::qdy + (step & 1) * S::stage;
    }
    /* The scores of a step. */
    WGI_TILE_MEMBER score_tile scores(int step) const
    {
        const int each = tiles.end - tiles.first,
                  head = shared_by > 1 ? int(uint32_t(step) / uint32_t(each)) : 0;
        return { at.b, at.h * shared_by + head, (tiles.first + step - head * each) * P::rows,
                 loads.j };
    }
    /* Asks for the next step's tile as a group of copies, which is empty behind the last. */
    WGI_TILE_MEMBER void load()
    {
        if (asked < steps) {
            const int to = place(asked), rows = p.tq - loads.i;
            if (S::keeps)
                copies.next(p, p.q, p.dy, to, rows);
            else
                copies_from(loads).next(p, p.q, p.dy, to, rows);
            load_terms<M, P::rows>(p, loads, to + 2 * P::bytes);
            go_on();
        }
        M::commit();
    }
    WGI_TILE_MEMBER void go_on()
    {
        asked++;
        if (!S::keeps) {
            loads = scores(asked);
            return;
        }
        loads.i += P::rows;
        if (loads.i < tiles.end * P::rows) return;
        loads.i = tiles.first * P::rows; /* the next head's */
        loads.h++;
        copies.restart(p.q, p.dy, loads.b, loads.h, loads.i);
    }
};

} // namespace wgi
#endif
