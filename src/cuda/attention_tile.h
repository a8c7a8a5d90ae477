/* Attention by tensor cores: tiles in shared memory and their two products, in terms of a machine
 * M, which is the GPU (attention_gpu.cuh) or an emulation of it on the CPU (tests/emulated_block.h,
 * tests/emulation/cuda/attention_gpu.cuh).
 *
 * M has, all static:
 *   thread(), block(); sync(), of the block's threads
 *   here(v): v, and what is computed of it is computed behind this, where registers do not last to keep it
 *   memory(): the first byte of shared memory, a multiple of 128
 *   copy16(to, from, there): 16 bytes to shared memory at byte `to`, asynchronously, or zeros
 *   commit(), wait<N>(): for all but the last N committed groups of copies
 *   ldmatrix(r, at), ldmatrix_trans(r, at): four 8 x 8 matrices of 16-bit elements, whose rows
 *     begin at the lanes' `at`
 *   shuffle_xor(v, n); any(b): whether it is so in a lane of the warp; exp2(x), log2(x), exp(x), log(x)
 *   load16(p): 16 bytes of global memory; get<T>(at), put(at, v): shared memory
 * E, an element type, has pack(low, high), low(u), high(u) and mma<M>(c, a, b0, b1):
 *   c (16, 8) += a (16, 16) b (16, 8).
 *   source: Dao, arXiv:2307.08691; for who holds what, the PTX ISA on mma.m16n8k16, ldmatrix. */
#ifndef WGI_CUDA_ATTENTION_TILE_H
#define WGI_CUDA_ATTENTION_TILE_H
#include "cuda/attention_element.h"

namespace wgi
{

/* Byte at which the 16-byte chunk of a tile's row lies: rows of HD elements, their chunks
 * exchanged so that eight rows' chunks of one column lie in different banks. */
template <int HD> WGI_TILE constexpr int swizzled(int row, int chunk)
{
    return (row * (HD / 8) + (HD % 64 == 0 ? chunk ^ (row & 7) : chunk ^ (row >> 1 & 3))) * 16;
}

/* From the place of chunk 0 or 1 of a row to that of the chunk 2 * pair further: an exclusive or
 * within 128 bytes (64), to which tiles are aligned, and a constant, so that a lane needs one
 * address and not one a pair. Rows 8 further are HD * 16 bytes further. */
template <int HD> WGI_TILE constexpr int pair_at(int at, int pair)
{
    constexpr int group = HD % 64 == 0 ? 4 : 2;
    return (at ^ pair % group * 32) + pair / group * group * 32;
}

template <int HD> WGI_MAP constexpr int tile_bytes(int rows)
{
    return rows * HD * 2;
}

/* An accumulator's element c of (16, 8): row lane / 4, or 8 below; columns 2 (lane % 4) and the
 * next. */
WGI_TILE int fragment_row(int lane, int c)
{
    return lane / 4 + (c >> 1) * 8;
}

WGI_TILE int fragment_column(int lane, int c)
{
    return lane % 4 * 2 + (c & 1);
}

/* The tiles of these products: ROWS rows one behind the other. */
template <int HD, int ROWS> struct by_rows {
    static constexpr int head = HD, rows = ROWS, bytes = tile_bytes<HD>(ROWS);
    WGI_TILE_MEMBER static constexpr int at(int row, int chunk) { return swizzled<HD>(row, chunk); }
};

/* c (MT * 16, NT * 8) += A B^T: A rows [row, ...) of the tile at a, B the tile at b. */
template <class M, class E, int HD, int MT, int NT>
WGI_TILE void product_of_rows(float (&c)[MT][NT][4], int a, int row, int b)
{
    const int lane = M::thread() % 32;
    const int a_at = a + swizzled<HD>(row + lane % 16, lane / 16),
              b_at = b + swizzled<HD>(lane % 8 + lane / 16 * 8, lane / 8 % 2);
#pragma unroll
    for (int k = 0; k < HD / 16; k++) {
        uint32_t left[MT][4];
#pragma unroll
        for (int m = 0; m < MT; m++) M::ldmatrix(left[m], pair_at<HD>(a_at, k) + m * HD * 32);
#pragma unroll
        for (int n = 0; n < NT; n += 2) { /* rows n * 8 .. + 15 of B */
            uint32_t right[4];
            M::ldmatrix(right, pair_at<HD>(b_at, k) + n * HD * 16);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                E::template mma<M>(c[m][n], left[m], right[0], right[1]);
                E::template mma<M>(c[m][n + 1], left[m], right[2], right[3]);
            }
        }
    }
}

/* c (MT * 16, NT * 8) += A B: A in fragments, B columns [column, ...) of the tile at b (KT * 16
 * rows); column a multiple of 64. */
template <class M, class E, int HD, int MT, int KT, int NT>
WGI_TILE void product_of_columns(float (&c)[MT][NT][4], const uint32_t (&left)[MT][KT][4], int b,
                                 int column)
{
    const int lane = M::thread() % 32;
    const int b_at = b + column * 2 + swizzled<HD>(lane % 16, lane / 16);
#pragma unroll
    for (int k = 0; k < KT; k++) {
#pragma unroll
        for (int n = 0; n < NT; n += 2) {
            uint32_t right[4];
            M::ldmatrix_trans(right, pair_at<HD>(b_at, n / 2) + k * HD * 32);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                E::template mma<M>(c[m][n], left[m][k], right[0], right[1]);
                E::template mma<M>(c[m][n + 1], left[m][k], right[2], right[3]);
            }
        }
    }
}

/* Accumulators (MT * 16, NT * 8), rounded, as the left operand of a product. */
template <class E, int MT, int NT>
WGI_TILE void pack_left(uint32_t (&to)[MT][NT / 2][4], const float (&c)[MT][NT][4])
{
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++) {
            to[m][n / 2][n % 2 * 2] = E::pack(c[m][n][0], c[m][n][1]);
            to[m][n / 2][n % 2 * 2 + 1] = E::pack(c[m][n][2], c[m][n][3]);
        }
}

template <int MT, int NT> WGI_TILE void clear(float (&c)[MT][NT][4])
{
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) c[m][n][e] = 0;
}

template <int MT> WGI_TILE void fill(float (&factor)[MT][2], float v)
{
#pragma unroll
    for (int m = 0; m < MT; m++) factor[m][0] = factor[m][1] = v;
}

/* Two neighbours times factor, to where they belong or added to what is there. */
template <class E> WGI_TILE void store_two(uint32_t *to, float low, float high, bool add)
{
    if (add) {
        const uint32_t there = *to;
        low += E::low(there);
        high += E::high(there);
    }
    *to = E::pack(low, high);
}

/* Accumulators times factor to rows [i, rows) of an operand, columns [column, ...) of `columns`. */
template <class M, class E, int MT, int NT>
WGI_TILE void store_rows(const wgi_attention_operand &o, int b, int h, int i, int rows, int column,
                         int columns, const float (&c)[MT][NT][4], const float (&factor)[MT][2],
                         bool add)
{
    const int lane = M::thread() % 32;
    constexpr bool fast = MT * NT <= 16; /* with more there is no register left */
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int row = i + m * 16 + fragment_row(lane, half * 2);
            if (row >= rows) continue;
            uint32_t *to = reinterpret_cast<uint32_t *>(o.data) + wgi_row_offset(&o, b, h, row) / 2;
            if (fast && columns - column >= NT * 8) { /* no pair is asked whether it is there */
                uint32_t *own = to + (column + fragment_column(lane, 0)) / 2;
#pragma unroll
                for (int n = 0; n < NT; n++)
                    store_two<E>(own + n * 4, c[m][n][half * 2] * factor[m][half],
                                 c[m][n][half * 2 + 1] * factor[m][half], add);
            } else {
#pragma unroll
                for (int n = 0; n < NT; n++) {
                    const int at = column + n * 8 + fragment_column(lane, 0);
                    if (at < columns)
                        store_two<E>(to + at / 2, c[m][n][half * 2] * factor[m][half],
                                     c[m][n][half * 2 + 1] * factor[m][half], add);
                }
            }
        }
}

/* ---- scores ---- */

/* The tile of scores that a warp has: head (b, h), its first query and key. */
struct score_tile {
    int b, h, i, j;
};

/* What a score is multiplied by when it becomes a power: without EXTRA a fused multiply-add does it then, and p.scale is
 * positive, so that -inf stays what it is; with it hide_scores has done it. */
template <bool EXTRA> WGI_TILE float score_unit(const wgi_attention_pass &p)
{
    return EXTRA ? 1.0f : float(p.scale) * log2_e;
}

template <int MT, int NT> WGI_TILE void multiply(float (&s)[MT][NT][4], float by)
{
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int c = 0; c < 4; c++) s[m][n][c] *= by;
}

/* Scores (queries by keys): -inf where they are not seen. EXTRA: in units of log 2 from here on, with the mask. */
template <class M, bool EXTRA, int MT, int NT>
WGI_TILE void hide_scores(const wgi_attention_pass &p, const score_tile &t, float (&s)[MT][NT][4])
{
    const int lane = M::thread() % 32;
    const bool cut = wgi_tile_is_cut(&p, t.i, t.i + MT * 16, t.j, t.j + NT * 8);
    if (EXTRA) multiply(s, float(p.scale) * log2_e);
    if (!cut && !(EXTRA && p.mask.data)) return;
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int c = 0; c < 4; c++) {
            const int i = t.i + m * 16 + fragment_row(lane, c);
            const int low = wgi_first_key(&p, i), high = wgi_end_key(&p, i);
#pragma unroll
            for (int n = 0; n < NT; n++) {
                const int j = t.j + n * 8 + fragment_column(lane, c);
                if (EXTRA && p.mask.data && i < p.tq && j < p.tk)
                    s[m][n][c] += mask_value<float>(p, t.b, t.h, i, j) * log2_e;
                if (j < low || j >= high) s[m][n][c] = -INFINITY;
            }
        }
}

/* The same of the transpose: keys by queries. */
template <class M, bool EXTRA, int MT, int NT>
WGI_TILE void hide_scores_of_keys(const wgi_attention_pass &p, const score_tile &t,
                                  float (&s)[MT][NT][4])
{
    const int lane = M::thread() % 32;
    const bool cut = wgi_tile_is_cut(&p, t.i, t.i + NT * 8, t.j, t.j + MT * 16);
    if (EXTRA) multiply(s, float(p.scale) * log2_e);
    if (!cut && !(EXTRA && p.mask.data)) return;
#pragma unroll
    for (int n = 0; n < NT; n++)
#pragma unroll
        for (int c = 0; c < 4; c++) {
            const int i = t.i + n * 8 + fragment_column(lane, c);
            const int low = wgi_first_key(&p, i), high = wgi_end_key(&p, i);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                const int j = t.j + m * 16 + fragment_row(lane, c);
                if (EXTRA && p.mask.data && i < p.tq && j < p.tk)
                    s[m][n][c] += mask_value<float>(p, t.b, t.h, i, j) * log2_e;
                if (j < low || j >= high) s[m][n][c] = -INFINITY;
            }
        }
}

} // namespace wgi
#endif
