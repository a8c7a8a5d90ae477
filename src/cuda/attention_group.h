/* Attention by products of warpgroups (wgmma, compute capability 9.0): 128 threads multiply 64 rows at a time, and read at
 * least the right operand where it lies in shared memory. Each warp of a group has 16 of the rows, in the fragments of
 * attention_tile.h, so that what lies between the products is the same code; so are the passes: dq by queries, dk and dv by
 * keys, each owning its sums.
 *
 * Beside what attention_tile.h asks of it, the machine M has
 *   sent(): what this thread has written to shared memory, and what has arrived for it, is seen by products that are
 *     started behind the next barrier
 *   start(c): products may be added to the registers c from here on
 *   close(), finish<N>(c): the products started so far are one batch; all batches but the last N are done, and c may be read
 *   keep(left): the fragments stay as they are until here, or are what they are from here on
 *   uniform(at): a place in shared memory that is the same in all lanes of the warp, and known to be
 * and E, an element type, has products of 64 x (NT * 8) by 16, c = [c +] a b:
 *   group_mma<M, NT, TURNED>(c, a, b, add): a a descriptor, or a fragment; TURNED: b's rows are those of the sum
 * source: Shah et al., arXiv:2407.08608; the PTX ISA on wgmma, its descriptors and their layouts with 128-byte swizzle. */
#ifndef WGI_CUDA_ATTENTION_GROUP_H
#define WGI_CUDA_ATTENTION_GROUP_H
#include "cuda/attention_backward.h"
#include "cuda/attention_forward.h"

namespace wgi
{

/* A tile of ROWS rows in panels of 64 columns: 128 bytes a row, its eight chunks exchanged by the row's number. Tiles begin
 * at multiples of 1,024 bytes, as the exchange is by bits of the address. */
template <int HD, int ROWS> struct panels {
    static constexpr int head = HD, rows = ROWS, bytes = ROWS * HD * 2, panel = ROWS * 128;
    WGI_TILE_MEMBER static constexpr int at(int row, int chunk)
    {
        return chunk / 8 * panel + row * 128 + (chunk % 8 ^ (row & 7)) * 16;
    }
};

/* Where a matrix lies: address, and the bytes from one panel to the next (lead) and from eight rows to the next eight. */
WGI_TILE uint64_t descriptor(int at, int lead, int eight_rows)
{
    const uint64_t swizzle_128 = 1;
    return uint64_t(at >> 4 & 0x3fff) | uint64_t(lead >> 4) << 16 |
           uint64_t(eight_rows >> 4) << 32 | swizzle_128 << 62;
}

/* The rows from the one at byte `at` on, their first 16 columns: a left operand's, or a right one's whose columns are the
 * sum's. The next ones are columns_on<P>(k) further. */
WGI_TILE uint64_t columns_of(int at)
{
    return descriptor(at, 16, 1024);
}
template <class P> WGI_TILE constexpr int columns_on(int k)
{
    return (k / 4 * P::panel + k % 4 * 32) >> 4;
}

/* The first 16 rows, all columns: a right operand whose rows are the sum's. The next ones are rows_on(k) further. */
template <class P> WGI_TILE uint64_t rows_of(int tile)
{
    return descriptor(tile, P::panel, 1024);
}
WGI_TILE constexpr int rows_on(int k)
{
    return k * 16 * 128 >> 4;
}

/* c (64, NT * 8) = 64 rows of a tile of A, the first of them at byte a, times the transpose of the tile at b. a and b are
 * uniform. */
template <class M, class E, class A, class B, int NT>
WGI_TILE void start_rows(float (&c)[1][NT][4], int a, int b)
{
    static_assert(A::head == B::head && B::rows == NT * 8, "shapes");
    const uint64_t left = columns_of(a), right = columns_of(b);
    M::start(c);
#pragma unroll
    for (int k = 0; k < A::head / 16; k++)
        E::template group_mma<M, NT, false>(c[0], left + columns_on<A>(k), right + columns_on<B>(k),
                                            k > 0);
    M::close();
}

/* c (64, NT * 8) += left (64, KT * 16) times the tile at b, which is uniform. */
template <class M, class E, class B, int KT, int NT>
WGI_TILE void start_columns(float (&c)[1][NT][4], uint32_t (&left)[1][KT][4], int b)
{
    static_assert(B::head == NT * 8 && B::rows == KT * 16, "shapes");
    const uint64_t right = rows_of<B>(b);
    M::keep(left);
    M::start(c);
#pragma unroll
    for (int k = 0; k < KT; k++)
        E::template group_mma<M, NT, true>(c[0], left[0][k], right + rows_on(k), true);
    M::close();
}

/* The first of a group's 64 rows of the block. */
template <class M> WGI_TILE int group_row()
{
    return M::thread() / 128 * 64;
}

/* The tiles that these rows meet. */
struct group_tiles {
    wgi_attention_tiles own;
    WGI_TILE_MEMBER bool meets(int tile) const { return tile >= own.first && tile < own.end; }
};

template <class M, class S> WGI_TILE group_tiles tiles_of_group(const key_walk<M, S> &walk)
{
    const int i = walk.at.first + group_row<M>();
    group_tiles t = { { 0, 0 } };
    if (i < walk.p.tq) t.own = wgi_key_tiles(&walk.p, i, i + 64, S::keys_tile::rows);
    return t;
}

template <class M, class S> WGI_TILE group_tiles tiles_of_group(const query_walk<M, S> &walk)
{
    const int j = walk.at.first + group_row<M>();
    group_tiles t = { { 0, 0 } };
    if (j < walk.p.tk) t.own = wgi_query_tiles(&walk.p, j, j + 64, S::queries_tile::rows);
    return t;
}

/* What was asked for is here for all and for their products, and the other tile no longer read. */
template <class M> WGI_TILE void arrive()
{
    M::template wait<0>();
    M::sent();
    M::sync();
}

/* ---- forward ---- */

/* GROUPS warpgroups of 64 queries each; BLOCKS: how many fit a multiprocessor. */
template <int HD> struct group_forward_shape {
    static constexpr int head = HD, groups = 2, blocks = HD > 64 ? 1 : 2,
                         keys_a_tile = HD > 64 ? 128 : 64;
    static constexpr int threads = groups * 128, rows = groups * 64;
    static constexpr bool keeps = true;
    using queries_tile = panels<HD, rows>;
    using keys_tile = panels<HD, keys_a_tile>;
    static constexpr int kv = queries_tile::bytes, stage = 2 * keys_tile::bytes,
                         bytes = kv + 2 * stage; /* queries, then two of (keys, values) */
};

template <class M, class E, class S> WGI_TILE void group_forward(const wgi_attention_pass &p)
{
    using Q = typename S::queries_tile;
    using K = typename S::keys_tile;
    constexpr int NT = K::rows / 8, OT = S::head / 8;
    key_walk<M, S> walk(p);
    const group_tiles tiles = tiles_of_group<M, S>(walk);
    const int queries = M::uniform(M::memory() + Q::at(group_row<M>(), 0)),
              row = M::thread() / 32 * 16;
    walk.load_queries(p.q, p.d, M::memory());
    walk.load(walk.tiles.first);
    float o[1][OT][4];
    row_state<1> r;
    clear(o);
    r.top[0][0] = r.top[0][1] = -INFINITY;
    r.sum[0][0] = r.sum[0][1] = 0;
    for (int tile = walk.tiles.first; tile < walk.tiles.end; tile++) {
        const int keys = M::uniform(walk.keys(tile));
        arrive<M>();
        if (!tiles.meets(tile)) { /* products must not be started in a branch */
            walk.load(tile + 1);
            continue;
        }
        float s[1][NT][4];
        start_rows<M, E, Q, K, NT>(s, queries, keys);
        walk.load(tile + 1);
        M::template finish<0>(s);
        hide_scores<M, false, 1, NT>(p, walk.scores(row, tile), s);
        soften<M, 1, NT, OT>(s, o, r, score_unit<false>(p));
        uint32_t left[1][NT / 2][4];
        pack_left<E, 1, NT>(left, s);
        start_columns<M, E, K, NT / 2, OT>(o, left, keys + K::bytes);
        M::template finish<0>(o);
        M::keep(left);
    }
    M::template wait<0>();
    finish_rows<M, E, false, 1, OT>(p, walk.scores(row, 0), o, r);
}

/* ---- dq ---- */

template <int HD> struct group_query_shape {
    static constexpr int head = HD, groups = 2, blocks = 1, keys_a_tile = HD > 64 ? 64 : 128;
    static constexpr int threads = groups * 128, rows = groups * 64;
    static constexpr bool keeps = true;
    using queries_tile = panels<HD, rows>;
    using keys_tile = panels<HD, keys_a_tile>;
    static constexpr int dy = queries_tile::bytes, kv = 2 * dy, stage = 2 * keys_tile::bytes,
                         bytes = kv + 2 * stage; /* q, dy, then two of (k, v) */
};

template <class M, class E, class S> WGI_TILE void group_of_queries(const wgi_attention_pass &p)
{
    using Q = typename S::queries_tile;
    using K = typename S::keys_tile;
    constexpr int NT = K::rows / 8, OT = S::head / 8;
    key_walk<M, S> walk(p);
    const group_tiles tiles = tiles_of_group<M, S>(walk);
    const int queries = M::uniform(M::memory() + Q::at(group_row<M>(), 0)),
              row = M::thread() / 32 * 16;
    walk.load_queries(p.q, p.d, M::memory());
    walk.load_queries(p.dy, p.dv, M::memory() + S::dy);
    walk.load(walk.tiles.first);
    float dq[1][OT][4], lse[1][2], delta[1][2];
    clear(dq);
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int i = walk.at.first + row + fragment_row(M::thread() % 32, half * 2);
        lse[0][half] = *row_terms(p.row_lse, p, walk.at.b, walk.at.h, i);
        delta[0][half] = *row_terms(p.row_delta, p, walk.at.b, walk.at.h, i);
    }
    for (int tile = walk.tiles.first; tile < walk.tiles.end; tile++) {
        const int keys = M::uniform(walk.keys(tile));
        arrive<M>();
        if (!tiles.meets(tile)) { /* products must not be started in a branch */
            walk.load(tile + 1);
            continue;
        }
        const score_tile t = walk.scores(row, tile);
        float s[1][NT][4], dp[1][NT][4];
        start_rows<M, E, Q, K, NT>(s, queries, keys);
        start_rows<M, E, Q, K, NT>(dp, queries + S::dy, keys + K::bytes);
        walk.load(tile + 1);
        M::template finish<1>(s);
        hide_scores<M, false, 1, NT>(p, t, s);
        M::template finish<0>(dp);
        sharpen<M, false, 1, NT>(p, t, s, dp, lse, delta);
        uint32_t left[1][NT / 2][4];
        pack_left<E, 1, NT>(left, s);
        start_columns<M, E, K, NT / 2, OT>(dq, left, keys);
        M::template finish<0>(dq);
        M::keep(left);
    }
    M::template wait<0>();
    float scale[1][2];
    fill(scale, float(p.scale));
    store_rows<M, E, 1, OT>(p.dq, walk.at.b, walk.at.h, walk.at.first + row, p.tq, 0, p.d, dq,
                            scale, p.accumulate);
}

/* ---- dk, dv ---- */

template <int HD> struct group_key_shape {
    static constexpr int head = HD, groups = 2, blocks = 1;
    static constexpr int threads = groups * 128, rows = groups * 64;
    static constexpr bool keeps = true;
    using keys_tile = panels<HD, rows>;
    using queries_tile = panels<HD, 64>;
    static constexpr int v = keys_tile::bytes, qdy = 2 * v,
                         stage = 2 * queries_tile::bytes +
                                 1024, /* lse and delta, then up to whole 1,024 */
        bytes = qdy + 2 * stage;       /* k, v, then two of (q, dy, lse, delta) */
};

/* One step: the tile of queries at byte `at`, the group's keys at `keys`; the next tile is asked for while the first products
 * run. */
template <class M, class E, class S>
WGI_TILE void add_group_queries(query_walk<M, S> &walk, const score_tile &t, int at, int keys,
                                float (&dk)[1][S::head / 8][4], float (&dv)[1][S::head / 8][4])
{
    using K = typename S::keys_tile;
    using Q = typename S::queries_tile;
    constexpr int NT = Q::rows / 8, OT = S::head / 8;
    const wgi_attention_pass &p = walk.p;
    const int terms = at + 2 * Q::bytes;
    float s[1][NT][4], dp[1][NT][4];
    uint32_t left[1][NT / 2][4];
    start_rows<M, E, K, Q, NT>(s, keys, at);
    start_rows<M, E, K, Q, NT>(dp, keys + S::v, at + Q::bytes);
    walk.load();
    M::template finish<1>(s);
    hide_scores_of_keys<M, false, 1, NT>(p, t, s);
    probabilities_of_keys<M, false, 1, NT>(p, t, s, terms);
    pack_kept<E, 1, NT>(left, s);
    start_columns<M, E, Q, NT / 2, OT>(dv, left, at + Q::bytes);
    M::template finish<1>(dp);
    sharpen_keys<M, false, 1, NT>(p, s, dp, terms + Q::rows * 4);
    M::template finish<0>(dv);
    M::keep(left);
    pack_left<E, 1, NT>(left, s);
    start_columns<M, E, Q, NT / 2, OT>(dk, left, at);
    M::template finish<0>(dk);
    M::keep(left);
}

template <class M, class E, class S> WGI_TILE void group_of_keys(const wgi_attention_pass &p)
{
    using K = typename S::keys_tile;
    constexpr int OT = S::head / 8;
    const int row = M::thread() / 32 * 16,
              keys = M::uniform(M::memory() + K::at(group_row<M>(), 0));
    query_walk<M, S> walk(p, row);
    const wgi_attention_place &at = walk.at;
    const group_tiles tiles = tiles_of_group<M, S>(walk);
    walk.load_keys(p.k, p.d, M::memory());
    walk.load_keys(p.v, p.dv, M::memory() + S::v);
    score_tile t = walk.loads, next = t;
    walk.load();
    float dk[1][OT][4], dv[1][OT][4];
    clear(dk);
    clear(dv);
    for (int step = 0; step < walk.steps; step++, t = next) {
        const int queries = M::uniform(walk.place(step));
        arrive<M>();
        next = walk.loads;
        if (!tiles.meets(t.i / S::queries_tile::rows)) { /* as above */
            walk.load();
            continue;
        }
        add_group_queries<M, E, S>(walk, t, queries, keys, dk, dv);
    }
    M::template wait<0>();
    float factor[1][2];
    fill(factor, float(p.scale));
    store_rows<M, E, 1, OT>(p.dk, at.b, at.h, at.first + row, p.tk, 0, p.d, dk, factor,
                            p.accumulate);
    fill(factor, 1.0f);
    store_rows<M, E, 1, OT>(p.dv_out, at.b, at.h, at.first + row, p.tk, 0, p.dv, dv, factor,
                            p.accumulate);
}

} // namespace wgi
#endif
