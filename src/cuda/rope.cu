/* Rotary positions: cosines and sines of every position once, then rotations of pairs. */
#include "cuda/block.cuh"

namespace
{

enum { THREADS = 256 };

template <class A>
__global__ void __launch_bounds__(THREADS) angles(const __grid_constant__ wgi_rope_launch l)
{
    const int64_t half = l.n / 2, n = l.positions * half, step = int64_t(gridDim.x) * THREADS;
    for (int64_t t = int64_t(blockIdx.x) * THREADS + threadIdx.x; t < n; t += step) {
        const int64_t i = t / half, k = t % half;
        const double position = double(l.given ? l.given[i] : i % l.t) + double(l.offset);
        double frequency = pow(l.base, -2.0 * double(k) / double(l.n));
        if (l.factors) frequency /= l.factors[k];
        static_cast<A *>(l.cos)[t] = A(cos(position * frequency));
        static_cast<A *>(l.sin)[t] = A(sin(position * frequency));
    }
}

template <class A>
__global__ void __launch_bounds__(THREADS) rotate(const __grid_constant__ wgi_rope_launch l)
{
    const int64_t half = l.n / 2, n = l.rows * half, step = int64_t(gridDim.x) * THREADS;
    for (int64_t t = int64_t(blockIdx.x) * THREADS + threadIdx.x; t < n; t += step) {
        const int64_t r = t / half, k = t % half;
        const int64_t place = (r % l.t + (l.batch_rows ? r / l.batch_rows * l.t : 0)) * half + k;
        const wgi::row x(l.x, r), y(l.y, r);
        const int64_t i = l.adjacent ? 2 * k : k, j = l.adjacent ? 2 * k + 1 : k + half;
        const A c = static_cast<const A *>(l.cos)[place],
                s = l.inverse ? -static_cast<const A *>(l.sin)[place]
                              : static_cast<const A *>(l.sin)[place];
        const A a = x.get<A>(i), b = x.get<A>(j);
        y.put<A>(i, a * c - b * s, l.accumulate);
        y.put<A>(j, b * c + a * s, l.accumulate);
    }
}

template <class A> void run(const wgi_rope_launch *l, cudaStream_t s)
{
    angles<A><<<wgi::blocks_for(l->positions * (l->n / 2), THREADS), THREADS, 0, s>>>(*l);
    rotate<A><<<wgi::blocks_for(l->rows * (l->n / 2), THREADS), THREADS, 0, s>>>(*l);
}

} // namespace

extern "C" void wgi_launch_rope(const wgi_rope_launch *l, void *stream)
{
    if (l->f64)
        run<double>(l, static_cast<cudaStream_t>(stream));
    else
        run<float>(l, static_cast<cudaStream_t>(stream));
}
