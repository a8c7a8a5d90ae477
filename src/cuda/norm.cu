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

/* A block has 32 columns; its warps share the partial sums of each, which are joined in their order. */
enum { SUM_COLUMNS = 32, SUM_PARTS = 16, SUM_THREADS = SUM_COLUMNS * SUM_PARTS };

template <class A>
__global__ void __launch_bounds__(SUM_THREADS)
    sum_blocks(const __grid_constant__ wgi_block_sums_launch l)
{
    __shared__ double part[SUM_PARTS][SUM_COLUMNS];
    const wgi_block_sums &o = l.of[blockIdx.y];
    const int column = int(threadIdx.x) % SUM_COLUMNS, own = int(threadIdx.x) / SUM_COLUMNS;
    const int64_t i = int64_t(blockIdx.x) * SUM_COLUMNS + column;
    double sum = 0;
    if (i < l.n) {
        const A *from = static_cast<const A *>(o.partial) + i;
#pragma unroll 4
        for (int64_t b = own; b < l.blocks; b += SUM_PARTS) sum += double(from[b * l.n]);
    }
    part[own][column] = sum;
    __syncthreads();
    if (own > 0 || i >= l.n) return;
    for (int k = 1; k < SUM_PARTS; k++) sum += part[k][column];
    if (l.accumulate) sum += wgi::load<double>(o.out, i * o.stride, o.type);
    wgi::store<double>(o.out, i * o.stride, o.type, sum);
}

template <class A> void run_backward(const wgi_norm_launch *l, cudaStream_t s)
{
    if (l->rows > 0 && wgi_norm_in_packs(l)) {
        wgi_launch_norm_packs(l, s);
        return;
    }
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
    if (wgi_norm_in_packs(l)) {
        wgi_launch_norm_packs(l, stream);
        return;
    }
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

extern "C" void wgi_launch_sum_blocks(const wgi_block_sums_launch *l, void *stream)
{
    const dim3 grid(unsigned((l->n + SUM_COLUMNS - 1) / SUM_COLUMNS), unsigned(l->count));
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (l->f64)
        sum_blocks<double><<<grid, SUM_THREADS, 0, s>>>(*l);
    else
        sum_blocks<float><<<grid, SUM_THREADS, 0, s>>>(*l);
}
