/* Norms of rows and of groups of channels, of any length: the steps of src/cpu/norm_template.h. Rows that fit into a block's
 * registers go to norm_rows.cu. */
#include "cuda/block.cuh"

namespace
{

using wgi::row;

enum { COLUMNS = 128 };

/* Element i's weight or bias. */
template <class A>
__device__ __forceinline__ A of_channel(const wgi_norm_launch &l, const void *w, int64_t r,
                                        int64_t i, A otherwise)
{
    if (!w) return otherwise;
    const int64_t at = l.groups ? r % l.groups * (l.n / l.run) + i / l.run : i;
    return static_cast<const A *>(w)[at];
}

/* In two passes; the second takes back what rounding the mean left. */
template <class A>
__global__ void __launch_bounds__(wgi::ROW_THREADS, 4)
    forward(const __grid_constant__ wgi_norm_launch l)
{
    for (int64_t r = blockIdx.x; r < l.rows; r += gridDim.x) {
        const row from(l.x, r), added(l.added, r), sum(l.sum, r), y(l.y, r),
            &x = l.added.data ? sum : from; /* a thread reads what it has written itself */
        A mean = 0, first = 0, second = 0;
        for (int64_t i = threadIdx.x; l.added.data && i < l.n; i += blockDim.x)
            sum.put<A>(i, from.get<A>(i) + added.get<A>(i), false);
        if (l.centered) {
            for (int64_t i = threadIdx.x; i < l.n; i += blockDim.x) mean += x.get<A>(i);
            mean = wgi::block_all(mean, wgi::add()) / A(l.n);
        }
        for (int64_t i = threadIdx.x; i < l.n; i += blockDim.x) {
            const A gap = x.get<A>(i) - mean;
            first += gap;
            second += gap * gap;
        }
        first = wgi::block_all(first, wgi::add());
        second = wgi::block_all(second, wgi::add());
        const A rest = l.centered ? first / A(l.n) : A(0), variance = second / A(l.n) - rest * rest;
        const A rstd = 1 / wgi::sqrt_of<A>((variance < 0 ? A(0) : variance) + A(l.eps));
        mean += rest;
        if (threadIdx.x == 0 && l.mean) static_cast<A *>(l.mean)[r] = mean;
        if (threadIdx.x == 0 && l.rstd) static_cast<A *>(l.rstd)[r] = rstd;
        for (int64_t i = threadIdx.x; i < l.n; i += blockDim.x)
            y.put<A>(i,
                     (x.get<A>(i) - mean) * rstd * of_channel<A>(l, l.weight, r, i, A(1)) +
                         of_channel<A>(l, l.bias, r, i, A(0)),
                     false);
    }
}

/* With z = (x - mean) rstd and g = dy w: dx = rstd (g - mean(g) - z mean(g z)). */
template <class A>
__global__ void __launch_bounds__(wgi::ROW_THREADS, 4)
    backward(const __grid_constant__ wgi_norm_launch l)
{
    for (int64_t r = blockIdx.x; r < l.rows; r += gridDim.x) {
        const row x(l.x, r), dy(l.dy, r), dx(l.dx, r);
        const A mean = l.mean ? static_cast<const A *>(l.mean)[r] : A(0),
                rstd = static_cast<const A *>(l.rstd)[r];
        A g = 0, gz = 0;
        for (int64_t i = threadIdx.x; i < l.n; i += blockDim.x) {
            const A u = dy.get<A>(i) * of_channel<A>(l, l.weight, r, i, A(1));
            g += u;
            gz += u * ((x.get<A>(i) - mean) * rstd);
        }
        g = l.centered ? wgi::block_all(g, wgi::add()) / A(l.n) : A(0);
        gz = wgi::block_all(gz, wgi::add()) / A(l.n);
        for (int64_t i = threadIdx.x; i < l.n; i += blockDim.x) {
            const A u = dy.get<A>(i) * of_channel<A>(l, l.weight, r, i, A(1));
            const A z = (x.get<A>(i) - mean) * rstd;
            dx.put<A>(i, rstd * (u - g - z * gz), l.accumulate);
        }
    }
}

/* Partial sums of dweight and dbias: a thread a column of a block of rows. */
template <class A>
__global__ void __launch_bounds__(COLUMNS) columns(const __grid_constant__ wgi_norm_launch l)
{
    const int64_t i = int64_t(blockIdx.x) * COLUMNS + threadIdx.x;
    if (i >= l.n) return;
    for (int64_t b = blockIdx.y; b * WGI_NORM_ROWS < l.rows; b += gridDim.y) {
        const int64_t first = b * WGI_NORM_ROWS,
                      last = first + WGI_NORM_ROWS < l.rows ? first + WGI_NORM_ROWS : l.rows;
        A dw = 0, db = 0;
        for (int64_t r = first; r < last; r++) {
            const row x(l.x, r), dy(l.dy, r);
            const A mean = l.mean ? static_cast<const A *>(l.mean)[r] : A(0), d = dy.get<A>(i);
            dw += d * ((x.get<A>(i) - mean) * static_cast<const A *>(l.rstd)[r]);
            db += d;
        }
        if (l.dweight) static_cast<A *>(l.dweight)[b * l.n + i] = dw;
        if (l.dbias) static_cast<A *>(l.dbias)[b * l.n + i] = db;
    }
}

/* The same of groups: a block a channel of a row. */
template <class A>
__global__ void __launch_bounds__(wgi::ROW_THREADS, 4)
    channels(const __grid_constant__ wgi_norm_launch l)
{
    const int64_t each = l.n / l.run, tasks = l.rows * each;
    for (int64_t t = blockIdx.x; t < tasks; t += gridDim.x) {
        const int64_t r = t / each, start = t % each * l.run;
        const row x(l.x, r), dy(l.dy, r);
        const A mean = static_cast<const A *>(l.mean)[r], rstd = static_cast<const A *>(l.rstd)[r];
        A dw = 0, db = 0;
        for (int64_t i = threadIdx.x; i < l.run; i += blockDim.x) {
            const A d = dy.get<A>(start + i);
            dw += d * ((x.get<A>(start + i) - mean) * rstd);
            db += d;
        }
        dw = wgi::block_all(dw, wgi::add());
        db = wgi::block_all(db, wgi::add());
        if (threadIdx.x == 0 && l.dweight) static_cast<A *>(l.dweight)[t] = dw;
        if (threadIdx.x == 0 && l.dbias) static_cast<A *>(l.dbias)[t] = db;
    }
}

template <class A>
__global__ void __launch_bounds__(COLUMNS)
    sum_blocks(const A *partial, int64_t blocks, int64_t n, void *out, int type, int64_t stride,
               bool accumulate)
{
    const int64_t i = int64_t(blockIdx.x) * COLUMNS + threadIdx.x;
    if (i >= n) return;
    double sum = 0;
    for (int64_t b = 0; b < blocks; b++) sum += double(partial[b * n + i]);
    if (accumulate) sum += wgi::load<double>(out, i * stride, type);
    wgi::store<double>(out, i * stride, type, sum);
}

template <class A> void run_backward(const wgi_norm_launch *l, cudaStream_t s)
{
    if (!l->groups && wgi_norm_chunks(l->n, l->f64) > 0) {
        wgi_launch_norm_rows_backward(l, s);
        return;
    }
    if (l->dx.data && l->rows > 0)
        backward<A><<<wgi::blocks_for(l->rows, 1), wgi::threads_for(l->n), 0, s>>>(*l);
    if (!l->dweight && !l->dbias) return;
    if (l->groups) {
        const int64_t tasks = l->rows * (l->n / l->run);
        if (tasks > 0)
            channels<A><<<wgi::blocks_for(tasks, 1), wgi::threads_for(l->run), 0, s>>>(*l);
        return;
    }
    const int64_t blocks = (l->rows + WGI_NORM_ROWS - 1) / WGI_NORM_ROWS;
    if (blocks > 0)
        columns<A><<<dim3(unsigned((l->n + COLUMNS - 1) / COLUMNS),
                          unsigned(blocks < 65535 ? blocks : 65535)),
                     COLUMNS, 0, s>>>(*l);
}

} // namespace

extern "C" void wgi_launch_norm(const wgi_norm_launch *l, void *stream)
{
    if (!l->groups && wgi_norm_chunks(l->n, l->f64) > 0) {
        wgi_launch_norm_rows(l, stream);
        return;
    }
    const unsigned blocks = wgi::blocks_for(l->rows, 1);
    const int threads = wgi::threads_for(l->n);
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (l->f64)
        forward<double><<<blocks, threads, 0, s>>>(*l);
    else
        forward<float><<<blocks, threads, 0, s>>>(*l);
}

extern "C" void wgi_launch_norm_backward(const wgi_norm_launch *l, void *stream)
{
    if (l->f64)
        run_backward<double>(l, static_cast<cudaStream_t>(stream));
    else
        run_backward<float>(l, static_cast<cudaStream_t>(stream));
}

extern "C" void wgi_launch_sum_blocks(const void *partial, bool f64, int64_t blocks, int64_t n,
                                      void *out, int type, int64_t stride, bool accumulate,
                                      void *stream)
{
    const unsigned grid = unsigned((n + COLUMNS - 1) / COLUMNS);
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (f64)
        sum_blocks<double><<<grid, COLUMNS, 0, s>>>(static_cast<const double *>(partial), blocks, n,
                                                    out, type, stride, accumulate);
    else
        sum_blocks<float><<<grid, COLUMNS, 0, s>>>(static_cast<const float *>(partial), blocks, n,
                                                   out, type, stride, accumulate);
}
