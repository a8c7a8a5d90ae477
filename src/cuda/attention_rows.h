/* What attention's gradient needs of each row of y and dy, in terms of the machine M of
 * attention_tile.h. */
#ifndef WGI_CUDA_ATTENTION_ROWS_H
#define WGI_CUDA_ATTENTION_ROWS_H
#include "cuda/attention_element.h"

namespace wgi
{

enum { ROWS_THREADS = 128 };

/* delta of row `row`, summed over LANES neighbouring lanes; all of them get it. */
template <class M, class R, int LANES>
WGI_TILE R row_delta(const wgi_attention_pass &p, int b, int h, int i)
{
    R sum = 0;
    if (i < p.tq) {
        const int64_t y = wgi_row_offset(&p.y, b, h, i), dy = wgi_row_offset(&p.dy, b, h, i);
        for (int c = M::thread() % LANES; c < p.dv; c += LANES)
            sum = fma(element<R>(p.y, y + c * p.y.stride[3]),
                      element<R>(p.dy, dy + c * p.dy.stride[3]), sum);
    }
    for (int n = LANES / 2; n > 0; n /= 2) sum += M::shuffle_xor(sum, n);
    return sum;
}

WGI_TILE float half_of(int type, uint32_t u, bool high)
{
    const uint16_t v = uint16_t(high ? u >> 16 : u);
    return type == WG_BF16 ? wgi_bf16_to_f32(v) : wgi_f16_to_f32(v);
}

/* The same where y and dy have one 16-bit type, rows of 16-byte chunks. */
struct chunk16 {
    uint32_t v[4];
};
template <class M, int LANES>
WGI_TILE float row_delta_of_chunks(const wgi_attention_pass &p, int b, int h, int i)
{
    float sum = 0;
    if (i < p.tq) {
        const chunk16 *y = reinterpret_cast<const chunk16 *>(p.y.data +
                                                             wgi_row_offset(&p.y, b, h, i) * 2),
                      *dy = reinterpret_cast<const chunk16 *>(p.dy.data +
                                                              wgi_row_offset(&p.dy, b, h, i) * 2);
        for (int c = M::thread() % LANES; c < p.dv / 8; c += LANES) {
            const chunk16 left = M::load16(y + c), right = M::load16(dy + c);
#pragma unroll
            for (int n = 0; n < 4; n++) {
                sum = fma(half_of(p.y.type, left.v[n], false), half_of(p.y.type, right.v[n], false),
                          sum);
                sum = fma(half_of(p.y.type, left.v[n], true), half_of(p.y.type, right.v[n], true),
                          sum);
            }
        }
    }
    for (int n = LANES / 2; n > 0; n /= 2) sum += M::shuffle_xor(sum, n);
    return sum;
}

/* row_delta and row_lse of all rows, also those behind tq. CHUNKS: by chunks, 8 lanes a row; else
 * 32. */
template <class M, class R, bool CHUNKS>
WGI_TILE void attention_rows(const wgi_attention_pass &p, R unit)
{
    constexpr int lanes = CHUNKS ? 8 : 32;
    constexpr int each = ROWS_THREADS / lanes;
    const int64_t row = M::block() * each + M::thread() / lanes;
    int i, h, b;
    if constexpr (
        CHUNKS) { /* narrow divisions: the grid has fewer than 2^31 blocks, a block's rows are of one head */
        const uint32_t blocks = uint32_t(p.rows / each), block = uint32_t(M::block());
        const uint32_t head = block / blocks;
        i = int(block - head * blocks) * each + M::thread() / lanes;
        b = int(head / uint32_t(p.heads));
        h = int(head) - b * p.heads;
    } else { /* p.rows is a multiple of 128: a block's rows are all there */
        i = int(row % p.rows);
        h = int(row / p.rows % p.heads);
        b = int(row / p.rows / p.heads);
    }
    R delta;
    if constexpr (CHUNKS)
        delta = row_delta_of_chunks<M, lanes>(p, b, h, i);
    else
        delta = row_delta<M, R, lanes>(p, b, h, i);
    if (M::thread() % lanes) return;
    R lse = R(INFINITY);
    if (i < p.tq) lse = element<R>(p.lse, wgi_row_offset(&p.lse, b, h, i)) * unit;
    static_cast<R *>(p.row_lse)[row] = lse == R(-INFINITY) ? R(INFINITY) : lse;
    static_cast<R *>(p.row_delta)[row] = delta;
}

} // namespace wgi
#endif
