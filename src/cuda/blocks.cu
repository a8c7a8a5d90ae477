/* Blocks to plain dtypes, and back. */
#include "cuda/blocks.cuh"

#include "cpu/quantise_block.h"

namespace
{

enum { THREADS = 256, WARPS = THREADS / 32 };

/* Four neighbours of a row. */
__device__ __forceinline__ void put(const wgi_dequantise_launch &l, int64_t at, const float (&v)[4])
{
    using wgi::store_run;
    using out = wgi::to<float>;
    const int64_t step = l.to_step;
    switch (l.to_type) {
    case WG_F64:
        store_run<float, double, 4>(l.to, at, step, 4, v, [](float x) { return out::f64(x); });
        break;
    case WG_F32:
        store_run<float, float, 4>(l.to, at, step, 4, v, [](float x) { return out::f32(x); });
        break;
    case WG_BF16:
        store_run<float, uint16_t, 4>(l.to, at, step, 4, v, [](float x) { return out::bf16(x); });
        break;
    case WG_F16:
        store_run<float, uint16_t, 4>(l.to, at, step, 4, v, [](float x) { return out::f16(x); });
        break;
    default:
#pragma unroll
        for (int k = 0; k < 4; k++) wgi::store<float>(l.to, at + k * step, l.to_type, v[k]);
        break;
    }
}

/* A warp a span of a row. */
template <int T>
__global__ void __launch_bounds__(THREADS)
    dequantise(const __grid_constant__ wgi_dequantise_launch l, int64_t spans)
{
    using blocks = wgi::blocks_of<T>;
    const int lane = int(threadIdx.x) % 32, first = blocks::first(lane);
    const int64_t step = int64_t(gridDim.x) * WARPS;
    for (int64_t t = int64_t(blockIdx.x) * WARPS + threadIdx.x / 32; t < l.rows * spans;
         t += step) {
        const int64_t row = t / spans, begin = t % spans * wgi::SPAN;
        const int64_t source = l.index ? l.index[row] : row;
        if (source < 0 || begin + first >= l.width) continue;
        const int64_t at = wgi_axes_offset(&l.from_rows, source) + begin;
        const uint8_t *x =
            static_cast<const uint8_t *>(l.from) + at / blocks::elements * blocks::bytes;
        float w[8];
        wgi::weights<T, false>(x, lane, w);
        const int64_t to = wgi_axes_offset(&l.to_rows, row);
        put(l, to + (begin + first) * l.to_step, { w[0], w[1], w[2], w[3] });
        put(l, to + (begin + first + blocks::apart) * l.to_step, { w[4], w[5], w[6], w[7] });
    }
}

struct dequantising {
    const wgi_dequantise_launch *l;
    cudaStream_t stream;
    template <int T> void run() const
    {
        const int64_t spans = (l->width + wgi::SPAN - 1) / wgi::SPAN;
        const unsigned grid = wgi::blocks_for(l->rows * spans, WARPS);
        dequantise<T><<<grid, THREADS, 0, stream>>>(*l, spans);
    }
};

/* A thread a block of 32. */
__global__ void __launch_bounds__(THREADS)
    quantise(int type, uint8_t *to, const float *from, int64_t blocks)
{
    const int64_t step = int64_t(gridDim.x) * THREADS;
    for (int64_t b = int64_t(blockIdx.x) * THREADS + threadIdx.x; b < blocks; b += step) {
        const float *x = from + 32 * b;
        switch (type) {
        case WG_Q4_0: wgi_quantise_q4_0(to + 18 * b, x); break;
        case WG_Q4_1: wgi_quantise_q4_1(to + 20 * b, x); break;
        case WG_Q5_0: wgi_quantise_q5_0(to + 22 * b, x); break;
        case WG_Q5_1: wgi_quantise_q5_1(to + 24 * b, x); break;
        default: wgi_quantise_q8_0(to + 34 * b, x); break;
        }
    }
}

} // namespace

extern "C" void wgi_launch_dequantise(const wgi_dequantise_launch *l, void *stream)
{
    wgi::by_block_type(l->type, dequantising { l, static_cast<cudaStream_t>(stream) });
}

extern "C" void wgi_launch_quantise(int type, void *to, const float *from, int64_t blocks,
                                    void *stream)
{
    const unsigned grid = wgi::blocks_for(blocks, THREADS);
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    quantise<<<grid, THREADS, 0, s>>>(type, static_cast<uint8_t *>(to), from, blocks);
}
