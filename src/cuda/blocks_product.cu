/* Products of few rows with weights in blocks, which are met as they lie. A thread block owns a few
 * rows of w; its warps share out the spans of a row, every lane dequantises its eight weights of each
 * in registers and meets all rows of x with them. Sums are f32, in an order that k alone decides. */
#include "cuda/blocks.cuh"

namespace
{

enum { WARPS = WGI_BLOCKS_WARPS, OUTPUTS = WGI_BLOCKS_OUTPUTS };

/* sum += w . x of a lane's eight. */
__device__ __forceinline__ float dot(const float (&w)[8], const float4 &a, const float4 &b,
                                     float sum)
{
    sum = fmaf(w[0], a.x, sum);
    sum = fmaf(w[1], a.y, sum);
    sum = fmaf(w[2], a.z, sum);
    sum = fmaf(w[3], a.w, sum);
    sum = fmaf(w[4], b.x, sum);
    sum = fmaf(w[5], b.y, sum);
    sum = fmaf(w[6], b.z, sum);
    return fmaf(w[7], b.w, sum);
}

/* The warp's part of rows first .. first + OUTPUTS - 1 of w (those beyond the last are the last)
 * against m <= M rows of x. */
template <int T, int M>
__device__ __forceinline__ void part(const wgi_blocks_few &l, int64_t first, int warp, int lane,
                                     float (&sum)[OUTPUTS][M])
{
    using blocks = wgi::blocks_of<T>;
    const int own = blocks::first(lane);
    for (int64_t at = int64_t(warp) * wgi::SPAN; at + own < l.k; at += WARPS * wgi::SPAN) {
        float w[OUTPUTS][8];
#pragma unroll
        for (int r = 0; r < OUTPUTS; r++) {
            const int64_t o = first + r < l.n ? first + r : l.n - 1;
            wgi::weights<T, true>(static_cast<const uint8_t *>(l.w) + o * l.w_row +
                                      at / blocks::elements * blocks::bytes,
                                  lane, w[r]);
        }
#pragma unroll
        for (int i = 0; i < M; i++) {
            if (i >= l.m) break;
            const float *x = l.x + i * l.x_row + at + own;
            const float4 a = *reinterpret_cast<const float4 *>(x),
                         b = *reinterpret_cast<const float4 *>(x + blocks::apart);
#pragma unroll
            for (int r = 0; r < OUTPUTS; r++) sum[r][i] = dot(w[r], a, b, sum[r][i]);
        }
    }
}

__device__ __forceinline__ void put(const wgi_blocks_few &l, int64_t i, int64_t o, float v)
{
    const int64_t at = wgi_axes_offset(&l.y_rows, i) + o * l.y_column;
    if (l.bias) v += wgi::load<float>(l.bias, o * l.bias_stride, l.bias_type);
    if (l.accumulate) v += wgi::load<float>(l.y, at, l.y_type);
    wgi::store<float>(l.y, at, l.y_type, v);
}

template <int T, int M>
__global__ void __launch_bounds__(WARPS * 32, 4) few(const __grid_constant__ wgi_blocks_few l)
{
    __shared__ float parts[WARPS][OUTPUTS * M];
    const int thread = int(threadIdx.x), lane = thread % 32, warp = thread / 32;
    const int64_t step = int64_t(gridDim.x) * OUTPUTS;
    for (int64_t first = int64_t(blockIdx.x) * OUTPUTS; first < l.n; first += step) {
        float sum[OUTPUTS][M] = {};
        part<T, M>(l, first, warp, lane, sum);
#pragma unroll
        for (int r = 0; r < OUTPUTS; r++)
#pragma unroll
            for (int i = 0; i < M; i++) {
                float v = sum[r][i];
#pragma unroll
                for (int half = 16; half > 0; half /= 2) v += __shfl_xor_sync(0xffffffffu, v, half);
                if (lane == 0) parts[warp][r * M + i] = v;
            }
        __syncthreads();
        if (thread < OUTPUTS * M) {
            const int64_t i = thread % M, o = first + thread / M;
            float v = parts[0][thread];
            for (int w = 1; w < WARPS; w++) v += parts[w][thread];
            if (i < l.m && o < l.n) put(l, i, o, v);
        }
        __syncthreads(); /* the parts have been read */
    }
}

struct multiplying {
    const wgi_blocks_few *l;
    cudaStream_t stream;
    template <int T> void run() const
    {
        const unsigned grid = wgi::blocks_for(l->n, OUTPUTS);
        constexpr int threads = WARPS * 32;
        if (l->m == 1)
            few<T, 1><<<grid, threads, 0, stream>>>(*l);
        else if (l->m == 2)
            few<T, 2><<<grid, threads, 0, stream>>>(*l);
        else if (l->m <= 4)
            few<T, 4><<<grid, threads, 0, stream>>>(*l);
        else
            few<T, 8><<<grid, threads, 0, stream>>>(*l);
    }
};

} // namespace

extern "C" void wgi_launch_blocks_few(const wgi_blocks_few *l, void *stream)
{
    wgi::by_block_type(l->type, multiplying { l, static_cast<cudaStream_t>(stream) });
}
