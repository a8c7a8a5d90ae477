/* softmax and log-softmax: y = exp(x - m) / sum, or (x - m) - log(sum); the row passes three times,
 * from the cache where it fits. */
#include "cuda/block.cuh"

namespace
{

using wgi::row;

template <class A>
__global__ void __launch_bounds__(wgi::ROW_THREADS, 4)
    forward(const __grid_constant__ wgi_softmax_launch l)
{
    for (int64_t r = blockIdx.x; r < l.rows; r += gridDim.x) {
        const row x(l.x, r), y(l.y, r);
        A m = A(-INFINITY), sum = 0;
        for (int64_t i = threadIdx.x; i < l.n; i += blockDim.x) m = wgi::greatest()(x.get<A>(i), m);
        m = wgi::block_all(m, wgi::greatest());
        for (int64_t i = threadIdx.x; i < l.n; i += blockDim.x)
            sum += wgi::exp_of<A>(x.get<A>(i) - m);
        sum = wgi::block_all(sum, wgi::add());
        const A scale = 1 / sum, log_sum = wgi::log_of<A>(sum);
        for (int64_t i = threadIdx.x; i < l.n; i += blockDim.x) {
            const A gap = x.get<A>(i) - m;
            y.put<A>(i, l.log ? gap - log_sum : wgi::exp_of<A>(gap) * scale, false);
        }
    }
}

/* softmax: dx = y (dy - sum(dy y)).   log-softmax: dx = dy - exp(y) sum(dy). */
template <class A>
__global__ void __launch_bounds__(wgi::ROW_THREADS, 4)
    backward(const __grid_constant__ wgi_softmax_launch l)
{
    for (int64_t r = blockIdx.x; r < l.rows; r += gridDim.x) {
        const row y(l.y, r), dy(l.dy, r), dx(l.dx, r);
        A sum = 0;
        for (int64_t i = threadIdx.x; i < l.n; i += blockDim.x)
            sum += l.log ? dy.get<A>(i) : dy.get<A>(i) * y.get<A>(i);
        sum = wgi::block_all(sum, wgi::add());
        for (int64_t i = threadIdx.x; i < l.n; i += blockDim.x) {
            const A d = dy.get<A>(i), v = y.get<A>(i);
            dx.put<A>(i, l.log ? d - wgi::exp_of<A>(v) * sum : v * (d - sum), l.accumulate);
        }
    }
}

} // namespace

extern "C" void wgi_launch_softmax(const wgi_softmax_launch *l, void *stream)
{
    const unsigned blocks = wgi::blocks_for(l->rows, 1);
    const int threads = wgi::threads_for(l->n);
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (l->f64)
        forward<double><<<blocks, threads, 0, s>>>(*l);
    else
        forward<float><<<blocks, threads, 0, s>>>(*l);
}

extern "C" void wgi_launch_softmax_backward(const wgi_softmax_launch *l, void *stream)
{
    const unsigned blocks = wgi::blocks_for(l->rows, 1);
    const int threads = wgi::threads_for(l->n);
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (l->f64)
        backward<double><<<blocks, threads, 0, s>>>(*l);
    else
        backward<float><<<blocks, threads, 0, s>>>(*l);
}
