/* Attention forward by tensor cores: a block has a tile of queries, walks over the tiles of keys
 * that they see, with a running maximum and sum a row (Dao, arXiv:2307.08691, algorithm 1). A warp
 * owns MT * 16 rows; what it computes of the scores stays in its registers. Two tiles of keys and
 * values are in shared memory: one is read while the next arrives. */
#ifndef WGI_CUDA_ATTENTION_FORWARD_H
#define WGI_CUDA_ATTENTION_FORWARD_H
#include "cuda/attention_walk.h"

namespace wgi
{

/* By head size: WARPS warps of MT * 16 queries, KEYS keys a tile. */
template <int HD, bool EXTRA> struct forward_shape {
    static constexpr int head = HD, warps = 4, mt = HD > 128 || EXTRA ? 1 : 2,
                         keys = HD > 128 || (HD == 128 && !EXTRA) ? 32 : 64;
    static constexpr int threads = warps * 32, rows = warps * mt * 16;
    static constexpr bool keeps = HD < 128;
    using queries_tile = by_rows<HD, rows>;
    using keys_tile = by_rows<HD, keys>;
    static constexpr int kv = queries_tile::bytes, stage = 2 * keys_tile::bytes,
                         bytes = kv + 2 * stage; /* queries, then two of (keys, values) */
};

/* A row's maximum of scores and this lane's part of the sum of their powers. */
template <int MT> struct row_state {
    float top[MT][2], sum[MT][2];
};

/* Scores, in units of 1 / unit log 2, -> powers; what was summed so far shrinks where a maximum moved. */
template <class M, int MT, int NT, int OT>
WGI_TILE void soften(float (&s)[MT][NT][4], float (&o)[MT][OT][4], row_state<MT> &r, float unit)
{
    float shrink[MT][2];
    bool moved = false;
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float top = r.top[m][half];
#pragma unroll
            for (int n = 0; n < NT; n++) /* NaN is passed over here and found by exp2 */
                top = fmaxf(top, fmaxf(s[m][n][half * 2], s[m][n][half * 2 + 1]));
            top = fmaxf(top, M::shuffle_xor(top, 1)); /* four lanes have the row's columns */
            top = fmaxf(top, M::shuffle_xor(top, 2));
            const float base = top == -INFINITY ? 0.0f : top * unit;
            /* by the products as they were rounded: 1 exactly where the maximum stays */
            shrink[m][half] = top == r.top[m][half] ? 1.0f : M::exp2(r.top[m][half] * unit - base);
            moved = moved || shrink[m][half] != 1;
            float sum[2] = { r.sum[m][half] * shrink[m][half], 0 }; /* half a chain of sums each */
#pragma unroll
            for (int n = 0; n < NT; n++)
#pragma unroll
                for (int e = 0; e < 2; e++)
                    sum[e] += s[m][n][half * 2 + e] =
                        M::exp2(fmaf(s[m][n][half * 2 + e], unit, -base));
            r.top[m][half] = top;
            r.sum[m][half] = sum[0] + sum[1];
        }
    if (!M::any(moved)) return;
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < OT; n++)
#pragma unroll
            for (int c = 0; c < 4; c++) o[m][n][c] *= shrink[m][c / 2];
}

/* Probabilities (queries by keys) that dropout takes become zero. */
template <class M, int MT, int NT>
WGI_TILE void drop(const wgi_attention_pass &p, const score_tile &t, float (&s)[MT][NT][4])
{
    const int lane = M::thread() % 32;
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int c = 0; c < 4; c++) {
                const int i = t.i + m * 16 + fragment_row(lane, c),
                          j = t.j + n * 8 + fragment_column(lane, c);
                if (!keeps(p, score_index(p, t.b, t.h, i, j))) s[m][n][c] = 0;
            }
}

/* y = o / sum, lse = top + log sum; zeros and -inf where nothing was seen. */
template <class M, class E, bool EXTRA, int MT, int OT>
WGI_TILE void finish_rows(const wgi_attention_pass &p, const score_tile &t,
                          const float (&o)[MT][OT][4], const row_state<MT> &r)
{
    const int lane = M::thread() % 32;
    const float kept = EXTRA ? float(keep_factor(p)) : 1.0f, unit = score_unit<EXTRA>(p);
    float factor[MT][2];
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float sum = r.sum[m][half];
            sum += M::shuffle_xor(sum, 1);
            sum += M::shuffle_xor(sum, 2);
            factor[m][half] = sum == 0 ? 0.0f : kept / sum;
            const int i = t.i + m * 16 + fragment_row(lane, half * 2);
            if (p.lse.data && lane % 4 == 0 && i < p.tq)
                reinterpret_cast<float *>(p.lse.data)[wgi_row_offset(&p.lse, t.b, t.h, i)] =
                    (r.top[m][half] * unit + M::log2(sum)) * ln_2;
        }
    store_rows<M, E, MT, OT>(p.y, t.b, t.h, t.i, p.tq, 0, p.dv, o, factor, false);
}

/* EXTRA: with a mask or dropout. */
template <class M, class E, class S, bool EXTRA>
WGI_TILE void attention_forward(const wgi_attention_pass &p)
{
    constexpr int HD = S::head, MT = S::mt, NT = S::keys / 8;
    key_walk<M, S> walk(p);
    const int row = M::thread() / 32 * MT * 16;
    walk.load_queries(p.q, p.d, M::memory());
    walk.load(walk.tiles.first);
    float o[MT][HD / 8][4];
    row_state<MT> r;
    clear(o);
#pragma unroll
    for (int m = 0; m < MT; m++) {
        r.top[m][0] = r.top[m][1] = -INFINITY;
        r.sum[m][0] = r.sum[m][1] = 0;
    }
    for (int tile = walk.tiles.first; tile < walk.tiles.end; tile++) {
        M::template wait<0>();
        M::sync(); /* the tile is here for all, and the other one no longer read */
        walk.load(tile + 1);
        const int keys = walk.keys(tile);
        const score_tile t = walk.scores(row, tile);
        float s[MT][NT][4];
        clear(s);
        product_of_rows<M, E, HD, MT, NT>(s, M::memory(), row, keys);
        hide_scores<M, EXTRA, MT, NT>(p, t, s);
        soften<M, MT, NT, HD / 8>(s, o, r, score_unit<EXTRA>(p));
        if (EXTRA && p.dropout > 0) drop<M, MT, NT>(p, t, s);
        uint32_t left[MT][NT / 2][4];
        pack_left<E, MT, NT>(left, s);
        product_of_columns<M, E, HD, MT, NT / 2, HD / 8>(o, left, keys + S::stage / 2, 0);
    }
    M::template wait<0>();
    finish_rows<M, E, EXTRA, MT, HD / 8>(p, walk.scores(row, 0), o, r);
}

} // namespace wgi
#endif
