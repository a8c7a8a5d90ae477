/* Attention's gradient by tensor cores, in two passes that each own what they sum, so that the
 * order is fixed: dq by tiles of queries, dk and dv by tiles of keys. P = exp(score - lse) is
 * computed again in each (Dao, arXiv:2307.08691, algorithm 2):
 *   dV = (M P)^T dY,  dS = P (M (dY V^T) - delta),  dQ = scale dS K,  dK = scale dS^T Q.
 * row_lse is in units of log 2 here. */
#ifndef WGI_CUDA_ATTENTION_BACKWARD_H
#define WGI_CUDA_ATTENTION_BACKWARD_H
#include "cuda/attention_walk.h"

namespace wgi
{

/* ---- dq: a block has a tile of queries and walks over keys
 * -------------------------------------- */

template <int HD, bool EXTRA> struct query_shape {
    static constexpr int head = HD, warps = 4, mt = HD > 128 || EXTRA ? 1 : 2,
                         keys = HD > 128  ? 16
                                : HD > 32 ? 32
                                          : 64;
    static constexpr int threads = warps * 32, rows = warps * mt * 16;
    static constexpr bool keeps = HD < 128;
    using queries_tile = by_rows<HD, rows>;
    using keys_tile = by_rows<HD, keys>;
    static constexpr int dy = queries_tile::bytes, kv = 2 * dy, stage = 2 * keys_tile::bytes,
                         bytes = kv + 2 * stage; /* q, dy, then two of (k, v) */
};

/* s: scores -> dS / scale, from dp = dY V^T. */
template <class M, bool EXTRA, int MT, int NT>
WGI_TILE void sharpen(const wgi_attention_pass &p, const score_tile &t, float (&s)[MT][NT][4],
                      const float (&dp)[MT][NT][4], const float (&lse)[MT][2],
                      const float (&delta)[MT][2])
{
    const int lane = M::thread() % 32;
    const float factor = float(keep_factor(p)), unit = score_unit<EXTRA>(p);
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int c = 0; c < 4; c++) {
                const int i = t.i + m * 16 + fragment_row(lane, c),
                          j = t.j + n * 8 + fragment_column(lane, c);
                float d = dp[m][n][c];
                if (EXTRA && p.dropout > 0)
                    d = keeps(p, score_index(p, t.b, t.h, i, j)) ? d * factor : 0.0f;
                s[m][n][c] =
                    M::exp2(fmaf(s[m][n][c], unit, -lse[m][c / 2])) * (d - delta[m][c / 2]);
            }
}

template <class M, class E, class S, bool EXTRA>
WGI_TILE void attention_of_queries(const wgi_attention_pass &p)
{
    constexpr int HD = S::head, MT = S::mt, NT = S::keys / 8;
    key_walk<M, S> walk(p);
    const int row = M::thread() / 32 * MT * 16;
    walk.load_queries(p.q, p.d, M::memory());
    walk.load_queries(p.dy, p.dv, M::memory() + S::dy);
    walk.load(walk.tiles.first);
    float dq[MT][HD / 8][4], lse[MT][2], delta[MT][2];
    clear(dq);
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int i = walk.at.first + row + m * 16 + fragment_row(M::thread() % 32, half * 2);
            lse[m][half] = *row_terms(p.row_lse, p, walk.at.b, walk.at.h, i);
            delta[m][half] = *row_terms(p.row_delta, p, walk.at.b, walk.at.h, i);
        }
    for (int tile = walk.tiles.first; tile < walk.tiles.end; tile++) {
        M::template wait<0>();
        M::sync();
        walk.load(tile + 1);
        const int keys = walk.keys(tile);
        const score_tile t = walk.scores(row, tile);
        float s[MT][NT][4], dp[MT][NT][4];
        clear(s);
        clear(dp);
        product_of_rows<M, E, HD, MT, NT>(s, M::memory(), row, keys);
        hide_scores<M, EXTRA, MT, NT>(p, t, s);
        product_of_rows<M, E, HD, MT, NT>(dp, M::memory() + S::dy, row, keys + S::stage / 2);
        sharpen<M, EXTRA, MT, NT>(p, t, s, dp, lse, delta);
        uint32_t left[MT][NT / 2][4];
        pack_left<E, MT, NT>(left, s);
        product_of_columns<M, E, HD, MT, NT / 2, HD / 8>(dq, left, keys, 0);
    }
    M::template wait<0>();
    float scale[MT][2];
    fill(scale, float(p.scale));
    store_rows<M, E, MT, HD / 8>(p.dq, walk.at.b, walk.at.h, walk.at.first + row, p.tq, 0, p.d, dq,
                                 scale, p.accumulate);
}

/* ---- dk, dv: a block has a tile of keys and walks over the queries of all heads that share it
 * ------ */

/* PARTS warps have the same keys, and each a part of the columns of dk and dv. */
template <int HD, bool EXTRA> struct key_shape {
    static constexpr int head = HD, warps = 4, parts = HD > 128 ? 2 : 1,
                         mt = HD > 64 || EXTRA ? 1 : 2, queries = HD == 64 && !EXTRA ? 16 : 32,
                         columns = HD / parts;
    static constexpr int threads = warps * 32, rows = warps / parts * mt * 16;
    static constexpr bool keeps = HD < 128;
    using keys_tile = by_rows<HD, rows>;
    using queries_tile = by_rows<HD, queries>;
    static constexpr int v = keys_tile::bytes, qdy = 2 * v,
                         stage = 2 * queries_tile::bytes + 2 * queries * 4,
                         bytes = qdy + 2 * stage; /* k, v, then two of (q, dy, lse, delta) */
};

/* s (keys by queries): scores -> P, -P where dropout takes it. lse: of the queries, in shared
 * memory. */
template <class M, bool EXTRA, int MT, int NT>
WGI_TILE void probabilities_of_keys(const wgi_attention_pass &p, const score_tile &t,
                                    float (&s)[MT][NT][4], int lse)
{
    const int lane = M::thread() % 32;
    const float unit = score_unit<EXTRA>(p);
#pragma unroll
    for (int n = 0; n < NT; n++)
#pragma unroll
        for (int c = 0; c < 4; c++) {
            const int column = n * 8 + fragment_column(lane, c);
            const float own = M::template get<float>(lse + column * 4);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                const int j = t.j + m * 16 + fragment_row(lane, c);
                s[m][n][c] = M::exp2(fmaf(s[m][n][c], unit, -own));
                if (EXTRA && p.dropout > 0 && !keeps(p, score_index(p, t.b, t.h, t.i + column, j)))
                    s[m][n][c] = -s[m][n][c];
            }
        }
}

/* Probabilities as the left operand; zero where dropout takes them. */
template <class E, int MT, int NT>
WGI_TILE void pack_kept(uint32_t (&to)[MT][NT / 2][4], const float (&s)[MT][NT][4])
{
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const float low = s[m][n][half * 2], high = s[m][n][half * 2 + 1];
                to[m][n / 2][n % 2 * 2 + half] =
                    E::pack(low < 0 ? 0.0f : low, high < 0 ? 0.0f : high);
            }
}

/* s: P -> dS / scale. */
template <class M, bool EXTRA, int MT, int NT>
WGI_TILE void sharpen_keys(const wgi_attention_pass &p, float (&s)[MT][NT][4],
                           const float (&dp)[MT][NT][4], int delta)
{
    const int lane = M::thread() % 32;
    const float factor = float(keep_factor(p));
#pragma unroll
    for (int n = 0; n < NT; n++)
#pragma unroll
        for (int c = 0; c < 4; c++) {
            const float own =
                M::template get<float>(delta + (n * 8 + fragment_column(lane, c)) * 4);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                const float prob = s[m][n][c];
                if (EXTRA && p.dropout > 0)
                    s[m][n][c] = prob < 0 ? prob * own : prob * (dp[m][n][c] * factor - own);
                else
                    s[m][n][c] = prob * (dp[m][n][c] - own);
            }
        }
}

/* One step: a tile of queries at byte `at`, the warp's keys from row `row` on. */
template <class M, class E, class S, bool EXTRA>
WGI_TILE void add_queries(const wgi_attention_pass &p, const score_tile &t, int at, int row,
                          int column, float (&dk)[S::mt][S::columns / 8][4],
                          float (&dv)[S::mt][S::columns / 8][4])
{
    constexpr int HD = S::head, MT = S::mt, NT = S::queries / 8, CT = S::columns / 8,
                  tile = tile_bytes<HD>(S::queries);
    float s[MT][NT][4], dp[MT][NT][4];
    uint32_t left[MT][NT / 2][4];
    clear(s);
    product_of_rows<M, E, HD, MT, NT>(s, M::memory(), row, at);
    hide_scores_of_keys<M, EXTRA, MT, NT>(p, t, s);
    probabilities_of_keys<M, EXTRA, MT, NT>(p, t, s, at + 2 * tile);
    pack_kept<E, MT, NT>(left, s);
    product_of_columns<M, E, HD, MT, NT / 2, CT>(dv, left, at + tile, column);
    clear(dp);
    product_of_rows<M, E, HD, MT, NT>(dp, M::memory() + S::v, row, at + tile);
    sharpen_keys<M, EXTRA, MT, NT>(p, s, dp, at + 2 * tile + S::queries * 4);
    pack_left<E, MT, NT>(left, s);
    product_of_columns<M, E, HD, MT, NT / 2, CT>(dk, left, at, column);
}

template <class M, class E, class S, bool EXTRA>
WGI_TILE void attention_of_keys(const wgi_attention_pass &p)
{
    constexpr int MT = S::mt, CT = S::columns / 8;
    const int warp = M::thread() / 32, row = warp / S::parts * MT * 16,
              column = warp % S::parts * S::columns;
    query_walk<M, S> walk(p, row);
    const wgi_attention_place &at = walk.at;
    walk.load_keys(p.k, p.d, M::memory());
    walk.load_keys(p.v, p.dv, M::memory() + S::v);
    walk.load();
    float dk[MT][CT][4], dv[MT][CT][4];
    clear(dk);
    clear(dv);
    for (int step = 0; step < walk.steps; step++) {
        M::template wait<0>();
        M::sync();
        walk.load();
        add_queries<M, E, S, EXTRA>(p, walk.scores(step), walk.place(step), row, column, dk, dv);
    }
    M::template wait<0>();
    float factor[MT][2];
    fill(factor, float(p.scale));
    store_rows<M, E, MT, CT>(p.dk, at.b, at.h, at.first + row, p.tk, column, p.d, dk, factor,
                             p.accumulate);
    fill(factor, EXTRA ? float(keep_factor(p)) : 1.0f);
    store_rows<M, E, MT, CT>(p.dv_out, at.b, at.h, at.first + row, p.tk, column, p.dv, dv, factor,
                             p.accumulate);
}

} // namespace wgi
#endif
