/* Norms of rows that a block keeps in registers: every operand is read once, forward and backward. Thread t has elements
 * (c blockDim + t) V .. + V - 1 of chunk c, which it reads and writes 16 bytes at a time. */
#include "cuda/block.cuh"

namespace
{

using wgi::row;

template <class A> constexpr int V = wgi::width<A>;

/* Where chunk c of this thread begins, and how many elements it has there (none: <= 0). */
template <class A> __device__ __forceinline__ int64_t begin_of(int c)
{
    return (int64_t(c) * blockDim.x + threadIdx.x) * V<A>;
}

template <class A> __device__ __forceinline__ int count_of(int64_t n, int64_t begin)
{
    return n - begin < V<A> ? int(n - begin) : V<A>;
}

/* Elements of (n) real numbers; `otherwise` where there are none. */
template <class A>
__device__ __forceinline__ void load_weight(const void *w, int64_t begin, int count, A otherwise,
                                            A (&v)[V<A>])
{
    if (w) {
        wgi::load_run<A, A, V<A>>(w, begin, 1, count, v, [](A x) { return x; });
        return;
    }
#pragma unroll
    for (int k = 0; k < V<A>; k++) v[k] = otherwise;
}

/* x, or x + added as the sum keeps it, which is written on the way. */
template <class A>
__device__ __forceinline__ void take(const wgi_norm_launch &l, int64_t r, int64_t begin, int count,
                                     A (&v)[V<A>])
{
    row(l.x, r).get(begin, count, v);
    if (!l.added.data) return;
    A more[V<A>];
    row(l.added, r).get(begin, count, more);
#pragma unroll
    for (int k = 0; k < V<A>; k++) v[k] = wgi::rounded<A>(v[k] + more[k], l.sum.type);
    row(l.sum, r).put(begin, count, v);
}

/* Variance in two passes; the second takes back what rounding the mean left. */
template <class A, int CHUNKS>
__global__ void __launch_bounds__(WGI_NORM_THREADS, 2)
    forward(const __grid_constant__ wgi_norm_launch l)
{
    for (int64_t r = blockIdx.x; r < l.rows; r += gridDim.x) {
        A x[CHUNKS][V<A>], mean = 0, first = 0, second = 0;
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const int64_t begin = begin_of<A>(c);
            const int count = count_of<A>(l.n, begin);
            if (count <= 0) continue;
            take<A>(l, r, begin, count, x[c]);
#pragma unroll
            for (int k = 0; k < V<A>; k++)
                if (k < count) mean += x[c][k];
        }
        mean = l.centered ? wgi::block_all(mean, wgi::add()) / A(l.n) : A(0);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const int count = count_of<A>(l.n, begin_of<A>(c));
#pragma unroll
            for (int k = 0; k < V<A>; k++)
                if (k < count) {
                    const A gap = x[c][k] - mean;
                    first += gap;
                    second += gap * gap;
                }
        }
        wgi::block_sums(first, second);
        const A rest = l.centered ? first / A(l.n) : A(0), variance = second / A(l.n) - rest * rest;
        const A rstd = 1 / wgi::sqrt_of<A>((variance < 0 ? A(0) : variance) + A(l.eps));
        mean += rest;
        if (threadIdx.x == 0 && l.mean) static_cast<A *>(l.mean)[r] = mean;
        if (threadIdx.x == 0 && l.rstd) static_cast<A *>(l.rstd)[r] = rstd;
        const row y(l.y, r);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const int64_t begin = begin_of<A>(c);
            const int count = count_of<A>(l.n, begin);
            if (count <= 0) continue;
            A w[V<A>], b[V<A>];
            load_weight<A>(l.weight, begin, count, A(1), w);
            load_weight<A>(l.bias, begin, count, A(0), b);
#pragma unroll
            for (int k = 0; k < V<A>; k++) w[k] = (x[c][k] - mean) * rstd * w[k] + b[k];
            y.put(begin, count, w);
        }
    }
}

/* What one row's gradient is made of. */
template <class A, int CHUNKS> struct operands {
    A x[CHUNKS][V<A>] = {}, dy[CHUNKS][V<A>] = {}, mean, rstd; /* beyond the row dy is 0 */
    __device__ __forceinline__ void take(const wgi_norm_launch &l, int64_t r)
    {
        const row from(l.x, r), d(l.dy, r);
        mean = l.mean ? static_cast<const A *>(l.mean)[r] : A(0);
        rstd = static_cast<const A *>(l.rstd)[r];
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const int64_t begin = begin_of<A>(c);
            const int count = count_of<A>(l.n, begin);
            if (count <= 0) continue;
            from.get(begin, count, x[c]);
            d.get(begin, count, dy[c]);
        }
    }
};

/* With z = (x - mean) rstd and g = dy w: dx = rstd (g - mean(g) - z mean(g z)), dw += dy z, db += dy over the rows of a
 * block of partial sums, in order. The next row is on its way while this one's sums are joined. */
template <class A, int CHUNKS>
__global__ void __launch_bounds__(WGI_NORM_THREADS, CHUNKS == 1 ? 2 : 1)
    backward(const __grid_constant__ wgi_norm_launch l)
{
    for (int64_t b = blockIdx.x; b * WGI_NORM_ROWS < l.rows; b += gridDim.x) {
        const int64_t first = b * WGI_NORM_ROWS,
                      last = first + WGI_NORM_ROWS < l.rows ? first + WGI_NORM_ROWS : l.rows;
        A dw[CHUNKS][V<A>] = {}, db[CHUNKS][V<A>] = {}, w[CHUNKS][V<A>];
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
            load_weight<A>(l.weight, begin_of<A>(c), count_of<A>(l.n, begin_of<A>(c)), A(1), w[c]);
        operands<A, CHUNKS> next;
        next.take(l, first);
        for (int64_t r = first; r < last; r++) {
            operands<A, CHUNKS> o = next;
            const row dx(l.dx, r);
            A there[CHUNKS][V<A>] = {}, g = 0, gz = 0;
#pragma unroll
            for (int c = 0; c < CHUNKS; c++) {
                const int64_t begin = begin_of<A>(c);
                const int count = count_of<A>(l.n, begin);
                if (l.accumulate && l.dx.data && count > 0) dx.get(begin, count, there[c]);
#pragma unroll
                for (int k = 0; k < V<A>; k++) {
                    A &z = o.x[c][k];
                    const A d = o.dy[c][k];
                    z = (z - o.mean) * o.rstd;
                    g += d * w[c][k];
                    gz += d * w[c][k] * z;
                    dw[c][k] += d * z;
                    db[c][k] += d;
                }
            }
            if (r + 1 < last) next.take(l, r + 1);
            if (!l.dx.data) continue;
            wgi::block_sums(g, gz);
            g = l.centered ? g / A(l.n) : A(0);
            gz /= A(l.n);
#pragma unroll
            for (int c = 0; c < CHUNKS; c++) {
                const int64_t begin = begin_of<A>(c);
                const int count = count_of<A>(l.n, begin);
                if (count <= 0) continue;
#pragma unroll
                for (int k = 0; k < V<A>; k++)
                    there[c][k] += o.rstd * (o.dy[c][k] * w[c][k] - g - o.x[c][k] * gz);
                dx.put(begin, count, there[c]);
            }
        }
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const int64_t begin = begin_of<A>(c);
#pragma unroll
            for (int k = 0; k < V<A>; k++) {
                if (begin + k >= l.n) continue;
                if (l.dweight) static_cast<A *>(l.dweight)[b * l.n + begin + k] = dw[c][k];
                if (l.dbias) static_cast<A *>(l.dbias)[b * l.n + begin + k] = db[c][k];
            }
        }
    }
}

template <class A> void run_forward(const wgi_norm_launch *l, cudaStream_t s)
{
    const unsigned blocks = wgi::blocks_for(l->rows, 1);
    const int threads = wgi_norm_threads(l->n, l->f64);
    if (wgi_norm_chunks(l->n, l->f64) == 1)
        forward<A, 1><<<blocks, threads, 0, s>>>(*l);
    else
        forward<A, 2><<<blocks, threads, 0, s>>>(*l);
}

template <class A> void run_backward(const wgi_norm_launch *l, cudaStream_t s)
{
    const unsigned blocks = wgi::blocks_for(l->rows, WGI_NORM_ROWS);
    const int threads = wgi_norm_threads(l->n, l->f64);
    if (wgi_norm_chunks(l->n, l->f64) == 1)
        backward<A, 1><<<blocks, threads, 0, s>>>(*l);
    else
        backward<A, 2><<<blocks, threads, 0, s>>>(*l);
}

} // namespace

extern "C" void wgi_launch_norm_rows(const wgi_norm_launch *l, void *stream)
{
    if (l->f64)
        run_forward<double>(l, static_cast<cudaStream_t>(stream));
    else
        run_forward<float>(l, static_cast<cudaStream_t>(stream));
}

extern "C" void wgi_launch_norm_rows_backward(const wgi_norm_launch *l, void *stream)
{
    if (l->rows == 0) return;
    if (l->f64)
        run_backward<double>(l, static_cast<cudaStream_t>(stream));
    else
        run_backward<float>(l, static_cast<cudaStream_t>(stream));
}
