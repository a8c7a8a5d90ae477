/* Attention for any floating dtypes, strides and head sizes, computed in R (float or double), in
 * terms of the machine M of attention_tile.h: tiles of 32 queries by 32 keys, by 128 threads. A
 * block makes 64 columns of its outputs; where there are more, the scores are computed again for
 * them. A warp has 8 rows, a thread 4 of them and 2 or 4 columns. */
#ifndef WGI_CUDA_ATTENTION_PLAIN_H
#define WGI_CUDA_ATTENTION_PLAIN_H
#include "cuda/attention_element.h"

namespace wgi
{

enum { PLAIN_TILE = 32, PLAIN_COLUMNS = 64, PLAIN_THREADS = 128, PLAIN_PITCH = PLAIN_TILE + 1 };

/* Shared memory, in elements of R: parts of two operands, two tiles of weights, two parts of
 * right-hand operands. */
enum {
    PLAIN_B = PLAIN_TILE * PLAIN_PITCH,
    PLAIN_W = 2 * PLAIN_B,
    PLAIN_W2 = 3 * PLAIN_B,
    PLAIN_X = 4 * PLAIN_B,
    PLAIN_X2 = PLAIN_X + PLAIN_TILE * PLAIN_COLUMNS,
    PLAIN_FORWARD_WORDS = PLAIN_X2,
    PLAIN_WORDS = PLAIN_X2 + PLAIN_TILE * PLAIN_COLUMNS
};

/* Rows of a head: how many there are from `first` on. */
struct plain_rows {
    const wgi_attention_operand &o;
    int b, h, first, rows;
};

template <class M, class R> struct plain {
    static WGI_TILE_MEMBER R get(int word)
    {
        return M::template get<R>(M::memory() + word * int(sizeof(R)));
    }
    static WGI_TILE_MEMBER void put(int word, R v)
    {
        M::template put<R>(M::memory() + word * int(sizeof(R)), v);
    }
    static WGI_TILE_MEMBER int row() { return M::thread() / 16 * 4; } /* of its four */

    /* Columns [column, column + width) of 32 rows to `to`, with zeros behind what there is. */
    static WGI_TILE_MEMBER void stage(int to, int pitch, const plain_rows &x, int column, int width,
                                      int columns)
    {
        for (int n = M::thread(); n < PLAIN_TILE * width; n += PLAIN_THREADS) {
            const int i = n / width, c = n % width;
            const bool there = i < x.rows && column + c < columns;
            put(to + i * pitch + c,
                there ? element<R>(x.o, wgi_row_offset(&x.o, x.b, x.h, x.first + i) +
                                            (column + c) * x.o.stride[3])
                      : R(0));
        }
    }

    /* s (32, 32) = A B^T over `depth` columns; this thread's rows row() + r, columns 2 (thread %
     * 16) + c. */
    static WGI_TILE_MEMBER void dots(R (&s)[4][2], const plain_rows &a, const plain_rows &b,
                                     int depth)
    {
        const int column = M::thread() % 16 * 2;
#pragma unroll
        for (int r = 0; r < 4; r++) s[r][0] = s[r][1] = 0;
        for (int d = 0; d < depth; d += PLAIN_TILE) {
            M::sync();
            stage(0, PLAIN_PITCH, a, d, PLAIN_TILE, depth);
            stage(PLAIN_B, PLAIN_PITCH, b, d, PLAIN_TILE, depth);
            M::sync();
            for (int k = 0; k < PLAIN_TILE; k++)
#pragma unroll
                for (int c = 0; c < 2; c++) {
                    const R right = get(PLAIN_B + (column + c) * PLAIN_PITCH + k);
#pragma unroll
                    for (int r = 0; r < 4; r++)
                        s[r][c] = fma(get((row() + r) * PLAIN_PITCH + k), right, s[r][c]);
                }
        }
    }

    /* sum (32, 64) += W X, or W^T X; this thread's rows row() + r, columns 4 (thread % 16) + c. */
    template <bool TRANSPOSED> static WGI_TILE_MEMBER void add(R (&sum)[4][4], int w, int x)
    {
        const int column = M::thread() % 16 * 4;
        for (int k = 0; k < PLAIN_TILE; k++) {
            R right[4];
#pragma unroll
            for (int c = 0; c < 4; c++) right[c] = get(x + k * PLAIN_COLUMNS + column + c);
#pragma unroll
            for (int r = 0; r < 4; r++) {
                const R left = TRANSPOSED ? get(w + k * PLAIN_PITCH + row() + r)
                                          : get(w + (row() + r) * PLAIN_PITCH + k);
#pragma unroll
                for (int c = 0; c < 4; c++) sum[r][c] = fma(left, right[c], sum[r][c]);
            }
        }
    }

    static WGI_TILE_MEMBER void clear(R (&sum)[4][4])
    {
#pragma unroll
        for (int r = 0; r < 4; r++)
#pragma unroll
            for (int c = 0; c < 4; c++) sum[r][c] = 0;
    }

    /* Rows [first, rows) of an output, columns [column, ...) of `columns`. */
    static WGI_TILE_MEMBER void store(const wgi_attention_operand &o, int b, int h, int first,
                                      int rows, int column, int columns, const R (&v)[4][4],
                                      R factor, bool add_to)
    {
#pragma unroll
        for (int r = 0; r < 4; r++)
#pragma unroll
            for (int c = 0; c < 4; c++) {
                const int i = first + row() + r, at = column + M::thread() % 16 * 4 + c;
                if (i >= rows || at >= columns) continue;
                const int64_t place = wgi_row_offset(&o, b, h, i) + at * o.stride[3];
                const R own = v[r][c] * factor;
                set_element(o, place, double(add_to ? element<R>(o, place) + own : own));
            }
    }

    /* The score of a pair: -inf where it is not seen. */
    static WGI_TILE_MEMBER R score(const wgi_attention_pass &p, int b, int h, int i, int j, R dot)
    {
        if (i >= p.tq || j < wgi_first_key(&p, i) || j >= wgi_end_key(&p, i)) return R(-INFINITY);
        return dot * R(p.scale) + mask_value<R>(p, b, h, i, j);
    }
};

/* A block's number: its place's, times the parts of 64 columns there are, plus its part's. */
WGI_MAP int plain_parts(int columns)
{
    return columns > PLAIN_COLUMNS ? (columns + PLAIN_COLUMNS - 1) / PLAIN_COLUMNS : 1;
}

/* ---- forward ---- */

/* A warp's 8 rows of scores in W -> their powers; a lane has a key. */
template <class M, class R>
WGI_TILE void plain_soften(const wgi_attention_pass &p, const wgi_attention_place &at, int j,
                           R (&top)[8], R (&sum)[8], R (&shrink)[8])
{
    using P = plain<M, R>;
    const int lane = M::thread() % 32, warp = M::thread() / 32;
#pragma unroll
    for (int r = 0; r < 8; r++) {
        const int word = PLAIN_W + (warp * 8 + r) * PLAIN_PITCH + lane;
        R v = P::get(word), most = v == v ? v : R(-INFINITY); /* NaN is found by exp */
        for (int n = 16; n > 0; n /= 2) {
            const R other = M::shuffle_xor(most, n);
            most = other > most ? other : most;
        }
        most = most > top[r] ? most : top[r];
        const R base = most == R(-INFINITY) ? R(0) : most;
        shrink[r] = M::exp(top[r] - base);
        v = M::exp(v - base);
        R all = v;
        for (int n = 16; n > 0; n /= 2) all += M::shuffle_xor(all, n);
        sum[r] = sum[r] * shrink[r] + all;
        top[r] = most;
        if (p.dropout > 0 &&
            !keeps(p, score_index(p, at.b, at.h, at.first + warp * 8 + r, j + lane)))
            v = 0;
        P::put(word, v);
    }
}

template <class M, class R> WGI_TILE void plain_forward(const wgi_attention_pass &p)
{
    using P = plain<M, R>;
    const int parts = plain_parts(p.dv),
              column = int(uint32_t(M::block()) % uint32_t(parts)) * PLAIN_COLUMNS;
    const wgi_attention_place at =
        wgi_place_of_queries(&p, uint32_t(M::block()) / uint32_t(parts), PLAIN_TILE);
    const int kv = wgi_head_of_keys(&p, at.h), lane = M::thread() % 32;
    const plain_rows q = { p.q, at.b, at.h, at.first, p.tq - at.first };
    R o[4][4], top[8], sum[8], shrink[8];
    P::clear(o);
#pragma unroll
    for (int r = 0; r < 8; r++) {
        top[r] = R(-INFINITY);
        sum[r] = 0;
    }
    const wgi_attention_tiles tiles =
        wgi_key_tiles(&p, at.first, at.first + PLAIN_TILE, PLAIN_TILE);
    for (int tile = tiles.first; tile < tiles.end; tile++) {
        const int j = tile * PLAIN_TILE;
        const plain_rows k = { p.k, at.b, kv, j, p.tk - j }, v = { p.v, at.b, kv, j, p.tk - j };
        R s[4][2];
        P::dots(s, q, k, p.d);
        M::sync();
#pragma unroll
        for (int r = 0; r < 4; r++)
#pragma unroll
            for (int c = 0; c < 2; c++)
                P::put(PLAIN_W + (P::row() + r) * PLAIN_PITCH + lane % 16 * 2 + c,
                       P::score(p, at.b, at.h, at.first + P::row() + r, j + lane % 16 * 2 + c,
                                s[r][c]));
        P::stage(PLAIN_X, PLAIN_COLUMNS, v, column, PLAIN_COLUMNS, p.dv);
        M::sync();
        plain_soften<M, R>(p, at, j, top, sum, shrink);
        M::sync();
#pragma unroll
        for (int r = 0; r < 4; r++)
#pragma unroll
            for (int c = 0; c < 4; c++) o[r][c] *= lane < 16 ? shrink[r] : shrink[r + 4];
        P::template add<false>(o, PLAIN_W, PLAIN_X);
    }
#pragma unroll
    for (int r = 0; r < 4; r++) {
        const R own = lane < 16 ? sum[r] : sum[r + 4], high = lane < 16 ? top[r] : top[r + 4];
        const R factor = own == 0 ? R(0) : R(keep_factor(p)) / own;
        const int i = at.first + P::row() + r;
#pragma unroll
        for (int c = 0; c < 4; c++) o[r][c] *= factor;
        if (p.lse.data && column == 0 && lane % 16 == 0 && i < p.tq)
            set_element(p.lse, wgi_row_offset(&p.lse, at.b, at.h, i), double(high + M::log(own)));
    }
    P::store(p.y, at.b, at.h, at.first, p.tq, column, p.dv, o, R(1), false);
}

/* ---- backward ---- */

/* This thread's P (with dropout's factors) and dS / scale of a tile; the products' barriers are
 * inside. */
template <class M, class R>
WGI_TILE void plain_sharpen(const wgi_attention_pass &p, int b, int h, int i, int j,
                            R (&kept)[4][2], R (&ds)[4][2])
{
    using P = plain<M, R>;
    const int kv = wgi_head_of_keys(&p, h), column = j + M::thread() % 16 * 2;
    const plain_rows q = { p.q, b, h, i, p.tq - i }, dy = { p.dy, b, h, i, p.tq - i },
                     k = { p.k, b, kv, j, p.tk - j }, v = { p.v, b, kv, j, p.tk - j };
    R s[4][2], dp[4][2];
    P::dots(s, q, k, p.d);
    P::dots(dp, dy, v, p.dv);
#pragma unroll
    for (int r = 0; r < 4; r++) {
        const int row = i + P::row() + r;
        const int64_t at = wgi_head_rows(&p, b, h) + row;
        const R lse = static_cast<const R *>(p.row_lse)[at],
                delta = static_cast<const R *>(p.row_delta)[at];
#pragma unroll
        for (int c = 0; c < 2; c++) {
            const R prob = M::exp(P::score(p, b, h, row, column + c, s[r][c]) - lse);
            R factor = 1;
            if (p.dropout > 0)
                factor = keeps(p, score_index(p, b, h, row, column + c)) ? R(keep_factor(p)) : R(0);
            kept[r][c] = prob * factor;
            ds[r][c] = prob * (dp[r][c] * factor - delta);
        }
    }
}

template <class M, class R> WGI_TILE void plain_put(int w, const R (&v)[4][2])
{
    using P = plain<M, R>;
#pragma unroll
    for (int r = 0; r < 4; r++)
#pragma unroll
        for (int c = 0; c < 2; c++)
            P::put(w + (P::row() + r) * PLAIN_PITCH + M::thread() % 16 * 2 + c, v[r][c]);
}

template <class M, class R> WGI_TILE void plain_of_queries(const wgi_attention_pass &p)
{
    using P = plain<M, R>;
    const int parts = plain_parts(p.d),
              column = int(uint32_t(M::block()) % uint32_t(parts)) * PLAIN_COLUMNS;
    const wgi_attention_place at =
        wgi_place_of_queries(&p, uint32_t(M::block()) / uint32_t(parts), PLAIN_TILE);
    const int kv = wgi_head_of_keys(&p, at.h);
    R dq[4][4];
    P::clear(dq);
    const wgi_attention_tiles tiles =
        wgi_key_tiles(&p, at.first, at.first + PLAIN_TILE, PLAIN_TILE);
    for (int tile = tiles.first; tile < tiles.end; tile++) {
        const int j = tile * PLAIN_TILE;
        const plain_rows k = { p.k, at.b, kv, j, p.tk - j };
        R kept[4][2], ds[4][2];
        plain_sharpen<M, R>(p, at.b, at.h, at.first, j, kept, ds);
        M::sync();
        plain_put<M, R>(PLAIN_W, ds);
        P::stage(PLAIN_X, PLAIN_COLUMNS, k, column, PLAIN_COLUMNS, p.d);
        M::sync();
        P::template add<false>(dq, PLAIN_W, PLAIN_X);
    }
    P::store(p.dq, at.b, at.h, at.first, p.tq, column, p.d, dq, R(p.scale), p.accumulate);
}

template <class M, class R> WGI_TILE void plain_of_keys(const wgi_attention_pass &p)
{
    using P = plain<M, R>;
    const int parts = plain_parts(p.d > p.dv ? p.d : p.dv),
              column = int(uint32_t(M::block()) % uint32_t(parts)) * PLAIN_COLUMNS,
              group = p.heads / p.kv_heads;
    const wgi_attention_place at =
        wgi_place_of_keys(&p, uint32_t(M::block()) / uint32_t(parts), PLAIN_TILE);
    R dk[4][4], dv[4][4];
    P::clear(dk);
    P::clear(dv);
    const wgi_attention_tiles tiles =
        wgi_query_tiles(&p, at.first, at.first + PLAIN_TILE, PLAIN_TILE);
    for (int h = at.h * group; h < (at.h + 1) * group; h++)
        for (int tile = tiles.first; tile < tiles.end; tile++) {
            const int i = tile * PLAIN_TILE;
            const plain_rows q = { p.q, at.b, h, i, p.tq - i }, dy = { p.dy, at.b, h, i, p.tq - i };
            R kept[4][2], ds[4][2];
            plain_sharpen<M, R>(p, at.b, h, i, at.first, kept, ds);
            M::sync();
            plain_put<M, R>(PLAIN_W, kept);
            plain_put<M, R>(PLAIN_W2, ds);
            P::stage(PLAIN_X, PLAIN_COLUMNS, dy, column, PLAIN_COLUMNS, p.dv);
            P::stage(PLAIN_X2, PLAIN_COLUMNS, q, column, PLAIN_COLUMNS, p.d);
            M::sync();
            P::template add<true>(dv, PLAIN_W, PLAIN_X);
            P::template add<true>(dk, PLAIN_W2, PLAIN_X2);
        }
    P::store(p.dk, at.b, at.h, at.first, p.tk, column, p.d, dk, R(p.scale), p.accumulate);
    P::store(p.dv_out, at.b, at.h, at.first, p.tk, column, p.dv, dv, R(1), p.accumulate);
}

} // namespace wgi
#endif
