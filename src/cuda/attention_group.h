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
 *   uniform(d): a descriptor that is the same in all lanes of the warp, and known to be
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

/* The rows from `row` on, their first 16 columns: a left operand's, or a right one's whose columns are the sum's. The next
 * ones are columns_on<P>(k) further. */
template <class P> WGI_TILE uint64_t columns_of(int tile, int row)
{
    return descriptor(tile + row * 128, 16, 1024);
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

/* c (64, NT * 8) = rows [row, row + 64) of the tile at a, times the transpose of the tile at b. */
template <class M, class E, class A, class B, int NT>
WGI_TILE void start_rows(float (&c)[1][NT][4], int a, int row, int b)
{
    static_assert(A::head == B::head && B::rows == NT * 8, "shapes");
    const uint64_t left = M::uniform(columns_of<A>(a, row)),
                   right = M::uniform(columns_of<B>(b, 0));
    M::start(c);
#pragma unroll
    for (int k = 0; k < A::head / 16; k++)
        E::template group_mma<M, NT, false>(c[0], left + columns_on<A>(k), right + columns_on<B>(k),
                                            k > 0);
    M::close();
}

/* c (64, NT * 8) += left (64, KT * 16) times the tile at b. */
template <class M, class E, class B, int KT, int NT>
WGI_TILE void start_columns(float (&c)[1][NT][4], uint32_t (&left)[1][KT][4], int b)
{
    static_assert(B::head == NT * 8 && B::rows == KT * 16, "shapes");
    const uint64_t right = M::uniform(rows_of<B>(b));
    M::keep(left);
    M::start(c);
#pragma unroll
    for (int k = 0; k < KT; k++)
        E::template group_mma<M, NT, true>(c[0], left[0][k], right + rows_on(k), true);
    M::close();
}

/* ---- forward ---- */

/* GROUPS warpgroups of 64 queries each; BLOCKS: how many fit a multiprocessor. */
template <int HD> struct group_forward_shape {
    static constexpr int head = HD, groups = 2, blocks = HD > 64 ? 1 : 2,
                         keys_a_tile = HD > 64 ? 128 : 64;
    static constexpr int threads = groups * 128, rows = groups * 64;
    using queries = panels<HD, rows>;
    using keys = panels<HD, keys_a_tile>;
    static constexpr int kv = queries::bytes, stage = 2 * keys::bytes,
                         bytes = kv + 2 * stage; /* queries, then two of (keys, values) */
};

/* A block's walk over the tiles of keys that its queries see. Two tiles of keys and values are in shared memory: one is read
 * while the next arrives. */
template <class M, class S> struct key_walk {
    using P = typename S::keys;
    const wgi_attention_pass &p;
    wgi_attention_place at;
    int kv, group;          /* the head of keys; the group's first row in the block */
    int first, end;         /* the block's tiles */
    int own_first, own_end; /* the group's */

    WGI_TILE_MEMBER explicit key_walk(const wgi_attention_pass &p)
        : p(p), at(wgi_place_of_queries(&p, M::block(), S::rows)),
          kv(at.h / (p.heads / p.kv_heads)), group(M::thread() / 128 * 64), own_first(0), own_end(0)
    {
        wgi_key_tiles(&p, at.first, at.first + S::rows, P::rows, &first, &end);
        const int own = at.first + group;
        if (own < p.tq) wgi_key_tiles(&p, own, own + 64, P::rows, &own_first, &own_end);
    }
    /* Where tile `tile` of keys lies; its values behind them. */
    WGI_TILE_MEMBER int keys(int tile) const
    {
        return M::memory() + S::kv + (tile - first) % 2 * S::stage;
    }
    /* Rows of the block's queries from an operand to byte `to`. */
    WGI_TILE_MEMBER void load_queries(const wgi_attention_operand &o, int columns, int to) const
    {
        load_to<M, typename S::queries, S::head, S::rows, S::threads>(
            to, rows_at(o, at.b, at.h, at.first), o.stride[2], p.tq - at.first, columns);
    }
    WGI_TILE_MEMBER void load(int tile) const
    {
        const int to = keys(tile), j = tile * P::rows;
        if (tile < end) {
            load_to<M, P, S::head, P::rows, S::threads>(to, rows_at(p.k, at.b, kv, j),
                                                        p.k.stride[2], p.tk - j, p.d);
            load_to<M, P, S::head, P::rows, S::threads>(to + P::bytes, rows_at(p.v, at.b, kv, j),
                                                        p.v.stride[2], p.tk - j, p.dv);
        }
        M::commit();
    }
    /* The tile that was asked for is here for all, and the other one no longer read. */
    WGI_TILE_MEMBER void arrive() const
    {
        M::template wait<0>();
        M::sent();
        M::sync();
    }
    WGI_TILE_MEMBER bool sees(int tile) const { return tile >= own_first && tile < own_end; }
    /* The warp's first row, and its scores of a tile. */
    WGI_TILE_MEMBER int row() const { return at.first + M::thread() / 32 * 16; }
    WGI_TILE_MEMBER score_tile scores(int tile) const
    {
        const score_tile t = { at.b, at.h, row(), tile * P::rows };
        return t;
    }
};

template <class M, class E, class S> WGI_TILE void group_forward(const wgi_attention_pass &p)
{
    using Q = typename S::queries;
    using K = typename S::keys;
    constexpr int NT = K::rows / 8, OT = S::head / 8;
    const key_walk<M, S> walk(p);
    walk.load_queries(p.q, p.d, M::memory());
    walk.load(walk.first);
    float o[1][OT][4];
    row_state<1> r;
    clear(o);
    r.top[0][0] = r.top[0][1] = -INFINITY;
    r.sum[0][0] = r.sum[0][1] = 0;
    for (int tile = walk.first; tile < walk.end; tile++) {
        const int keys = walk.keys(tile);
        walk.arrive();
        if (!walk.sees(tile)) { /* products must not be started in a branch */
            walk.load(tile + 1);
            continue;
        }
        float s[1][NT][4];
        start_rows<M, E, Q, K, NT>(s, M::memory(), walk.group, keys);
        walk.load(tile + 1);
        M::template finish<0>(s);
        hide_scores<M, false, 1, NT>(p, walk.scores(tile), s);
        soften<M, 1, NT, OT>(s, o, r, score_unit<false>(p));
        uint32_t left[1][NT / 2][4];
        pack_left<E, 1, NT>(left, s);
        start_columns<M, E, K, NT / 2, OT>(o, left, keys + K::bytes);
        M::template finish<0>(o);
        M::keep(left);
    }
    M::template wait<0>();
    finish_rows<M, E, 1, OT>(p, walk.scores(0), o, r, score_unit<false>(p));
}

/* ---- dq ---- */

template <int HD> struct group_query_shape {
    static constexpr int head = HD, groups = 2, blocks = 1, keys_a_tile = HD > 64 ? 64 : 128;
    static constexpr int threads = groups * 128, rows = groups * 64;
    using queries = panels<HD, rows>;
    using keys = panels<HD, keys_a_tile>;
    static constexpr int dy = queries::bytes, kv = 2 * dy, stage = 2 * keys::bytes,
                         bytes = kv + 2 * stage; /* q, dy, then two of (k, v) */
};

template <class M, class E, class S> WGI_TILE void group_of_queries(const wgi_attention_pass &p)
{
    using Q = typename S::queries;
    using K = typename S::keys;
    constexpr int NT = K::rows / 8, OT = S::head / 8;
    const key_walk<M, S> walk(p);
    walk.load_queries(p.q, p.d, M::memory());
    walk.load_queries(p.dy, p.dv, M::memory() + S::dy);
    walk.load(walk.first);
    float dq[1][OT][4], lse[1][2], delta[1][2];
    clear(dq);
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int i = walk.row() + fragment_row(M::thread() % 32, half * 2);
        lse[0][half] = *row_terms(p.row_lse, p, walk.at.b, walk.at.h, i);
        delta[0][half] = *row_terms(p.row_delta, p, walk.at.b, walk.at.h, i);
    }
    for (int tile = walk.first; tile < walk.end; tile++) {
        const int keys = walk.keys(tile);
        walk.arrive();
        if (!walk.sees(tile)) { /* products must not be started in a branch */
            walk.load(tile + 1);
            continue;
        }
        const score_tile t = walk.scores(tile);
        float s[1][NT][4], dp[1][NT][4];
        start_rows<M, E, Q, K, NT>(s, M::memory(), walk.group, keys);
        start_rows<M, E, Q, K, NT>(dp, M::memory() + S::dy, walk.group, keys + K::bytes);
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
    store_rows<M, E, 1, OT>(p.dq, walk.at.b, walk.at.h, walk.row(), p.tq, 0, p.d, dq, scale,
                            p.accumulate);
}

/* ---- dk, dv ---- */

template <int HD> struct group_key_shape {
    static constexpr int head = HD, groups = 2, blocks = 1, queries = 64;
    static constexpr int threads = groups * 128, rows = groups * 64;
    using keys = panels<HD, rows>;
    using queries_tile = panels<HD, queries>;
    static constexpr int v = keys::bytes, qdy = 2 * v,
                         stage = 2 * queries_tile::bytes +
                                 1024, /* lse and delta, then up to whole 1,024 */
        bytes = qdy + 2 * stage;       /* k, v, then two of (q, dy, lse, delta) */
};

/* A tile of queries with their terms. */
template <class M, class S>
WGI_TILE void load_group_queries(const wgi_attention_pass &p, const score_tile &t, int to)
{
    using Q = typename S::queries_tile;
    load_to<M, Q, S::head, Q::rows, S::threads>(to, rows_at(p.q, t.b, t.h, t.i), p.q.stride[2],
                                                p.tq - t.i, p.d);
    load_to<M, Q, S::head, Q::rows, S::threads>(to + Q::bytes, rows_at(p.dy, t.b, t.h, t.i),
                                                p.dy.stride[2], p.tq - t.i, p.dv);
    load_terms<M, Q::rows>(p, t, to + 2 * Q::bytes);
}

/* One step: a tile of queries at byte `at`; load_next runs while the first products do. */
template <class M, class E, class S, class N>
WGI_TILE void add_group_queries(const wgi_attention_pass &p, const score_tile &t, int at, int group,
                                float (&dk)[1][S::head / 8][4], float (&dv)[1][S::head / 8][4],
                                const N &load_next)
{
    using K = typename S::keys;
    using Q = typename S::queries_tile;
    constexpr int NT = Q::rows / 8, OT = S::head / 8;
    const int terms = at + 2 * Q::bytes;
    float s[1][NT][4], dp[1][NT][4];
    uint32_t left[1][NT / 2][4];
    start_rows<M, E, K, Q, NT>(s, M::memory(), group, at);
    start_rows<M, E, K, Q, NT>(dp, M::memory() + S::v, group, at + Q::bytes);
    load_next();
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
    using K = typename S::keys;
    constexpr int OT = S::head / 8;
    const wgi_attention_place at = wgi_place_of_keys(&p, M::block(), S::rows);
    const int memory = M::memory(), row = M::thread() / 32 * 16, group = M::thread() / 128 * 64,
              shared_by = p.heads / p.kv_heads;
    int first, end;
    wgi_query_tiles(&p, at.first, at.first + S::rows, S::queries, &first, &end);
    const int steps = (end - first) * shared_by;
    int own_first = 0, own_end = 0; /* of the group's own keys */
    if (at.first + group < p.tk)
        wgi_query_tiles(&p, at.first + group, at.first + group + 64, S::queries, &own_first,
                        &own_end);
    score_tile t = { at.b, at.h * shared_by, first * S::queries, at.first + row }, next = t;
    load_to<M, K, S::head, S::rows, S::threads>(memory, rows_at(p.k, at.b, at.h, at.first),
                                                p.k.stride[2], p.tk - at.first, p.d);
    load_to<M, K, S::head, S::rows, S::threads>(memory + S::v, rows_at(p.v, at.b, at.h, at.first),
                                                p.v.stride[2], p.tk - at.first, p.dv);
    if (steps > 0) load_group_queries<M, S>(p, t, memory + S::qdy);
    M::commit();
    float dk[1][OT][4], dv[1][OT][4];
    clear(dk);
    clear(dv);
    for (int step = 0; step < steps; step++, t = next) {
        M::template wait<0>();
        M::sent();
        M::sync();
        next.i += S::queries;
        if (next.i >= end * S::queries) { /* the next head's */
            next.i = first * S::queries;
            next.h++;
        }
        const auto load_next = [&] {
            if (step + 1 < steps)
                load_group_queries<M, S>(p, next, memory + S::qdy + (step + 1) % 2 * S::stage);
            M::commit();
        };
        if (t.i < own_first * S::queries || t.i >= own_end * S::queries) {
            load_next();
            continue;
        }
        add_group_queries<M, E, S>(p, t, memory + S::qdy + step % 2 * S::stage, group, dk, dv,
                                   load_next);
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
