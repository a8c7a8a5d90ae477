/* The plain product: one thread an element of C, sums in their order. For integers, for sums of
 * nothing, and for what cuBLASLt declines. */
#include "cuda/product.h"

#include "cuda/element.cuh"

namespace
{

enum { THREADS = 256 };

template <class A>
__global__ void __launch_bounds__(THREADS)
    product(const __grid_constant__ wgi_product_launch p, int64_t count)
{
    const int64_t step = int64_t(gridDim.x) * THREADS;
    for (int64_t t = int64_t(blockIdx.x) * THREADS + threadIdx.x; t < count; t += step) {
        const int64_t j = t % p.n, i = t / p.n % p.m;
        int64_t rest = t / p.n / p.m;
        int64_t a = i * p.a.row, b = j * p.b.column, c = i * p.c.row + j * p.c.column;
        for (int d = p.batch_dims - 1; d >= 0; d--) {
            const int64_t at = rest % p.batch_shape[d];
            rest /= p.batch_shape[d];
            a += at * p.a.batch[d];
            b += at * p.b.batch[d];
            c += at * p.c.batch[d];
        }
        A sum = 0;
        for (int64_t k = 0; k < p.k; k++) {
            const A x = wgi::load<A>(p.a.data, a + k * p.a.column, p.a.type);
            const A y = wgi::load<A>(p.b.data, b + k * p.b.row, p.b.type);
            if constexpr (A(0.5) == A(0)) /* int64_t */
                sum = wgi_add_i64(sum, wgi_mul_i64(x, y));
            else
                sum += x * y;
        }
        sum = A(p.alpha) * sum;
        if (p.bias) sum = wgi::plus<A>(sum, wgi::load<A>(p.bias, j * p.bias_stride, p.bias_type));
        if (p.beta != 0) sum = wgi::plus<A>(sum, A(p.beta) * wgi::load<A>(p.c.data, c, p.c.type));
        wgi::store<A>(p.c.data, c, p.c.type, sum);
    }
}

} // namespace

extern "C" void wgi_launch_product(const wgi_product_launch *p, void *stream)
{
    const int64_t count = p->m * p->n * p->batch;
    const unsigned blocks = wgi::blocks_for(count, THREADS);
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (p->compute == WG_F64) product<double><<<blocks, THREADS, 0, s>>>(*p, count);
    if (p->compute == WG_F32) product<float><<<blocks, THREADS, 0, s>>>(*p, count);
    if (p->compute == WG_I64) product<int64_t><<<blocks, THREADS, 0, s>>>(*p, count);
}
