/* The gradients' norm, by chunks of the optimizer's table, and what follows from it: one thread's work, on the device. */
#include "cuda/block.cuh"
#include "cuda/update.cuh"

namespace
{

using wgi::get, wgi::number;

enum { THREADS = 256 };

__device__ __forceinline__ double square_sum(const wgi_update_entry &e, int64_t first)
{
    constexpr int V = 4;
    const int64_t left = e.n - first;
    const int count = int(left < WGI_UPDATE_CHUNK ? left : int64_t(WGI_UPDATE_CHUNK));
    double sum = 0;
    for (int i = int(threadIdx.x) * V; i < count; i += THREADS * V) {
        double x[V];
        get<double, V>(e.data[WGI_UPDATE_G], e.type[WGI_UPDATE_G], first + i,
                       count - i < V ? count - i : V, x);
#pragma unroll
        for (int k = 0; k < V; k++) sum += x[k] * x[k]; /* beyond the end: 0 */
    }
    return sum;
}

__global__ void __launch_bounds__(THREADS)
    squares(const __grid_constant__ wgi_update_table t, double *partial)
{
    for (int64_t c = blockIdx.x; c < t.chunks; c += gridDim.x) {
        const wgi_update_entry &e = t.entry[wgi_update_entry_of(&t, c)];
        const double sum = wgi::block_sum<THREADS>(square_sum(e, (c - e.first) * WGI_UPDATE_CHUNK));
        if (threadIdx.x == 0) partial[c] = sum;
        __syncthreads();
    }
}

__global__ void clip_factor(const wgi_clip_factor_launch l)
{
    *l.factor = wgi_clip_factor(number(l.norm, l.norm_type, 0), l.max_norm,
                                number(l.scale, l.scale_type, 1), l.scaled);
}

__global__ void loss_scale(const wgi_loss_scale_launch l)
{
    double scale = number(l.scale, l.scale_type, 1);
    int64_t good = *l.good;
    const bool none = wgi_loss_scale_next(&l.rule, number(l.norm, l.norm_type, 0), &scale, &good);
    wgi::store<double>(l.scale, 0, l.scale_type, scale);
    *l.good = good;
    if (none && l.skipped) *l.skipped += 1;
}

} // namespace

extern "C" void wgi_launch_squares(const wgi_update_table *t, double *partial, void *stream)
{
    squares<<<wgi::blocks_for(t->chunks, 1), THREADS, 0, static_cast<cudaStream_t>(stream)>>>(
        *t, partial);
}

extern "C" void wgi_launch_clip_factor(const wgi_clip_factor_launch *l, void *stream)
{
    clip_factor<<<1, 1, 0, static_cast<cudaStream_t>(stream)>>>(*l);
}

extern "C" void wgi_launch_loss_scale(const wgi_loss_scale_launch *l, void *stream)
{
    loss_scale<<<1, 1, 0, static_cast<cudaStream_t>(stream)>>>(*l);
}
