/* Moving elements as they are. Where source and destination run along different axes, tiles go
 * through shared memory, so that both sides are read and written in whole lines. */
#include "cuda/copy.h"
#include "cuda/element.cuh"

namespace
{

enum { THREADS = 256, TILE = 32, TILE_ROWS = 8 };

template <class S> constexpr int move_width = 16 / int(sizeof(S));

template <class S>
__global__ void __launch_bounds__(THREADS) move(const __grid_constant__ wgi_pass p, int64_t groups)
{
    constexpr int V = move_width<S>;
    const int64_t step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < groups; i += step) {
        wgi_group g;
        wgi_pass_locate(&p, V, i, &g);
        S v[V];
        const auto same = [](S x) { return x; };
        wgi::load_run<S, S, V>(p.o[1].data, g.offset[1], p.o[1].stride[p.ndim - 1], g.count, v,
                               same);
        wgi::store_run<S, S, V>(p.o[0].data, g.offset[0], p.o[0].stride[p.ndim - 1], g.count, v,
                                same);
    }
}

template <class S>
__global__ void __launch_bounds__(THREADS)
    fill(const __grid_constant__ wgi_pass p, int64_t groups, S value)
{
    constexpr int V = move_width<S>;
    const int64_t step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < groups; i += step) {
        wgi_group g;
        wgi_pass_locate(&p, V, i, &g);
        S v[V];
#pragma unroll
        for (int k = 0; k < V; k++) v[k] = value;
        wgi::store_run<S, S, V>(p.o[0].data, g.offset[0], p.o[0].stride[p.ndim - 1], g.count, v,
                                [](S x) { return x; });
    }
}

/* The last axis, along which the destination runs, and axis `across`, along which the source does;
 * blocks: tiles of the two, then the other axes. */
template <class S>
__global__ void __launch_bounds__(TILE *TILE_ROWS)
    move_tiles(const __grid_constant__ wgi_pass p, int across, int64_t column_tiles,
               int64_t row_tiles, int64_t tiles)
{
    __shared__ S tile[TILE][TILE + 1];
    const int last = p.ndim - 1;
    const int64_t columns = p.size[last], rows = p.size[across];
    for (int64_t b = blockIdx.x; b < tiles; b += gridDim.x) {
        const int64_t column = b % column_tiles * TILE, row = b / column_tiles % row_tiles * TILE;
        int64_t rest = b / column_tiles / row_tiles, to = 0, from = 0;
        for (int d = last - 1; d >= 0; d--) {
            if (d == across) continue;
            to += rest % p.size[d] * p.o[0].stride[d];
            from += rest % p.size[d] * p.o[1].stride[d];
            rest /= p.size[d];
        }
        const S *source = static_cast<const S *>(p.o[1].data) + from;
        S *target = static_cast<S *>(p.o[0].data) + to;
        for (int k = threadIdx.y; k < TILE; k += TILE_ROWS) /* the source runs along rows */
            if (column + k < columns && row + threadIdx.x < rows)
                tile[k][threadIdx.x] =
                    source[(column + k) * p.o[1].stride[last] + (row + threadIdx.x)];
        __syncthreads();
        for (int k = threadIdx.y; k < TILE; k += TILE_ROWS)
            if (row + k < rows && column + threadIdx.x < columns)
                target[(row + k) * p.o[0].stride[across] + (column + threadIdx.x)] =
                    tile[threadIdx.x][k];
        __syncthreads();
    }
}

/* The axis along which the source runs, if that is not the destination's and both are long; -1. */
int crossing_axis(const wgi_pass *p)
{
    const int last = p->ndim - 1;
    if (p->o[0].stride[last] != 1 || p->o[1].stride[last] == 1 || p->o[1].stride[last] == 0 ||
        p->size[last] < 8)
        return -1;
    for (int d = 0; d < last; d++)
        if (p->o[1].stride[d] == 1 && p->size[d] >= 8) return d;
    return -1;
}

template <class S> void launch_move(const wgi_pass *p, cudaStream_t s)
{
    const int across = crossing_axis(p);
    if (across < 0) {
        const int64_t groups = wgi_pass_groups(p, move_width<S>);
        move<S><<<wgi::blocks_for(groups, THREADS), THREADS, 0, s>>>(*p, groups);
        return;
    }
    const int64_t columns = (p->size[p->ndim - 1] + TILE - 1) / TILE,
                  rows = (p->size[across] + TILE - 1) / TILE;
    const int64_t tiles = p->numel / p->size[p->ndim - 1] / p->size[across] * columns * rows;
    move_tiles<S><<<wgi::blocks_for(tiles, 1), dim3(TILE, TILE_ROWS), 0, s>>>(*p, across, columns,
                                                                              rows, tiles);
}

template <class S> void launch_fill(const wgi_pass *p, uint64_t bits, cudaStream_t s)
{
    const int64_t groups = wgi_pass_groups(p, move_width<S>);
    fill<S><<<wgi::blocks_for(groups, THREADS), THREADS, 0, s>>>(*p, groups, S(bits));
}

} // namespace

extern "C" void wgi_launch_move(const wgi_pass *p, int bytes, void *stream)
{
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    switch (bytes) {
    case 1: launch_move<uint8_t>(p, s); break;
    case 2: launch_move<uint16_t>(p, s); break;
    case 4: launch_move<uint32_t>(p, s); break;
    default: launch_move<uint64_t>(p, s); break;
    }
}

extern "C" void wgi_launch_fill(const wgi_pass *p, int bytes, uint64_t bits, void *stream)
{
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    switch (bytes) {
    case 1: launch_fill<uint8_t>(p, bits, s); break;
    case 2: launch_fill<uint16_t>(p, bits, s); break;
    case 4: launch_fill<uint32_t>(p, bits, s); break;
    default: launch_fill<uint64_t>(p, bits, s); break;
    }
}
