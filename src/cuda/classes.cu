/* Losses over classes by rows: the steps of src/cpu/cross_entropy_template.h. A row's masses b are
 * weight * target distribution: loss = sum_j b_j (lse - x_j), dx_j = scale (sum(b) exp(x_j - lse) -
 * b_j). */
#include "cuda/block.cuh"

namespace
{

using wgi::row;

enum { SUM_THREADS = 1024 };

__global__ void __launch_bounds__(256) targets(const __grid_constant__ wgi_target_reading t)
{
    const int64_t step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t k = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; k < t.axes.count; k += step) {
        const int64_t v = wgi::load<int64_t>(t.from, wgi_axes_offset(&t.axes, k), t.type);
        const bool good = v == t.ignore || (v >= 0 && v < t.classes);
        if (!good) wgi_fault(t.fault, t.source, k, v, 0);
        t.to[k] = good ? v : t.ignore;
    }
}

template <class A> __device__ __forceinline__ A weight_of(const wgi_classes_launch &l, int64_t j)
{
    return l.weight ? static_cast<const A *>(l.weight)[j] : A(1);
}

/* b_j of a row. */
template <class A>
__device__ __forceinline__ A mass(const wgi_classes_launch &l, const row &probs, int64_t target,
                                  int64_t j)
{
    const A keep = A(1 - l.smoothing), spread = A(l.smoothing / double(l.n));
    const A b = l.target ? spread + (j == target ? keep : A(0)) : probs.get<A>(j) * keep + spread;
    return b * weight_of<A>(l, j);
}

template <class A>
__global__ void __launch_bounds__(wgi::ROW_THREADS, 4)
    forward(const __grid_constant__ wgi_classes_launch l)
{
    A *loss = static_cast<A *>(l.loss), *lse = static_cast<A *>(l.lse);
    for (int64_t r = blockIdx.x; r < l.rows; r += gridDim.x) {
        const int64_t target = l.target ? l.target[r] : -1;
        if (l.target && target == l.ignore) {
            if (threadIdx.x == 0) loss[r] = lse[r] = 0;
            continue;
        }
        const row x(l.x, r), probs(l.probs, r);
        A m = A(-INFINITY), part = 0;
        for (int64_t j = threadIdx.x; j < l.n; j += blockDim.x) m = wgi::greatest()(x.get<A>(j), m);
        m = wgi::block_all(m, wgi::greatest());
        for (int64_t j = threadIdx.x; j < l.n; j += blockDim.x)
            part += wgi::exp_of<A>(x.get<A>(j) - m);
        const A log_sum = A(wgi_log_f64(wgi::block_all(double(part), wgi::add())));
        if (l.target && l.smoothing == 0) {
            if (threadIdx.x == 0)
                loss[r] = weight_of<A>(l, target) * ((m - x.get<A>(target)) + log_sum);
        } else {
            double sum = 0;
            for (int64_t j = threadIdx.x; j < l.n; j += blockDim.x)
                sum += double(mass<A>(l, probs, target, j) * ((m - x.get<A>(j)) + log_sum));
            sum = wgi::block_all(sum, wgi::add());
            if (threadIdx.x == 0) loss[r] = A(sum);
        }
        if (threadIdx.x == 0) lse[r] = m + log_sum;
    }
}

/* A row's cotangent. */
template <class A> __device__ __forceinline__ A scale_of(const wgi_classes_launch &l, int64_t r)
{
    if (l.scale) return static_cast<const A *>(l.scale)[r];
    return A(wgi::load<double>(l.dy, 0, l.dy_type) /
             wgi::load<double>(l.denominator, 0, l.denominator_type));
}

/* dlogits may be the logits themselves: an element is read and written by one thread. */
template <class A>
__global__ void __launch_bounds__(wgi::ROW_THREADS, 4)
    backward(const __grid_constant__ wgi_classes_launch l)
{
    for (int64_t r = blockIdx.x; r < l.rows; r += gridDim.x) {
        const row x(l.x, r), probs(l.probs, r), dx(l.dx, r);
        const int64_t target = l.target ? l.target[r] : -1;
        if (l.target && target == l.ignore) {
            for (int64_t j = threadIdx.x; j < l.n && !l.accumulate; j += blockDim.x)
                dx.put<A>(j, A(0), false);
            continue;
        }
        const A g = scale_of<A>(l, r), lse = static_cast<const A *>(l.lse)[r];
        A all;
        if (l.target && l.smoothing == 0) {
            all = weight_of<A>(l, target);
        } else {
            double sum = 0;
            for (int64_t j = threadIdx.x; j < l.n; j += blockDim.x)
                sum += double(mass<A>(l, probs, target, j));
            all = A(wgi::block_all(sum, wgi::add()));
        }
        for (int64_t j = threadIdx.x; j < l.n; j += blockDim.x)
            dx.put<A>(
                j, g * all * wgi::exp_of<A>(x.get<A>(j) - lse) - g * mass<A>(l, probs, target, j),
                l.accumulate);
    }
}

template <class A>
__global__ void __launch_bounds__(256) picked(const __grid_constant__ wgi_classes_launch l)
{
    const int64_t step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t r = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; r < l.rows; r += step) {
        const int64_t target = l.target[r];
        const row x(l.x, r);
        static_cast<A *>(l.loss)[r] =
            target == l.ignore ? A(0) : -weight_of<A>(l, target) * x.get<A>(target);
    }
}

template <class A>
__global__ void __launch_bounds__(wgi::ROW_THREADS, 4)
    picked_backward(const __grid_constant__ wgi_classes_launch l)
{
    for (int64_t r = blockIdx.x; r < l.rows; r += gridDim.x) {
        const row dx(l.dx, r);
        const int64_t target = l.target[r];
        const A g = target == l.ignore ? A(0) : weight_of<A>(l, target) * scale_of<A>(l, r);
        for (int64_t j = threadIdx.x; j < l.n; j += blockDim.x)
            if (!l.accumulate || (j == target && target != l.ignore))
                dx.put<A>(j, j == target && target != l.ignore ? -g : A(0), l.accumulate);
    }
}

template <class A>
__global__ void __launch_bounds__(SUM_THREADS) class_sum(const __grid_constant__ wgi_class_sum l)
{
    double loss = 0, weight = 0;
#pragma unroll 4
    for (int64_t r = threadIdx.x; r < l.rows; r += SUM_THREADS) {
        if (l.loss) loss += double(static_cast<const A *>(l.loss)[r]);
        if (l.target && l.target[r] != l.ignore)
            weight += l.weight ? double(static_cast<const A *>(l.weight)[l.target[r]]) : 1;
    }
    loss = wgi::block_all(loss, wgi::add());
    weight = wgi::block_all(weight, wgi::add());
    if (threadIdx.x != 0) return;
    const double denominator = !l.mean ? 1 : l.target ? weight : double(l.rows);
    if (l.at) wgi::store<double>(l.at, 0, l.at_type, denominator);
    if (l.out) wgi::store<double>(l.out, 0, l.out_type, loss / denominator);
}

} // namespace

extern "C" void wgi_launch_targets(const wgi_target_reading *t, void *stream)
{
    targets<<<wgi::blocks_for(t->axes.count, 256), 256, 0, static_cast<cudaStream_t>(stream)>>>(*t);
}

extern "C" void wgi_launch_classes(const wgi_classes_launch *l, void *stream)
{
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    const unsigned blocks = wgi::blocks_for(l->rows, 1), few = wgi::blocks_for(l->rows, 256);
    const int threads = wgi::threads_for(l->n);
    if (l->nll && l->f64) picked<double><<<few, 256, 0, s>>>(*l);
    if (l->nll && !l->f64) picked<float><<<few, 256, 0, s>>>(*l);
    if (!l->nll && l->f64) forward<double><<<blocks, threads, 0, s>>>(*l);
    if (!l->nll && !l->f64) forward<float><<<blocks, threads, 0, s>>>(*l);
}

extern "C" void wgi_launch_classes_backward(const wgi_classes_launch *l, void *stream)
{
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    const unsigned blocks = wgi::blocks_for(l->rows, 1);
    const int threads = wgi::threads_for(l->n);
    if (l->nll && l->f64) picked_backward<double><<<blocks, threads, 0, s>>>(*l);
    if (l->nll && !l->f64) picked_backward<float><<<blocks, threads, 0, s>>>(*l);
    if (!l->nll && l->f64) backward<double><<<blocks, threads, 0, s>>>(*l);
    if (!l->nll && !l->f64) backward<float><<<blocks, threads, 0, s>>>(*l);
}

extern "C" void wgi_launch_class_sum(const wgi_class_sum *l, void *stream)
{
    if (l->f64)
        class_sum<double><<<1, SUM_THREADS, 0, static_cast<cudaStream_t>(stream)>>>(*l);
    else
        class_sum<float><<<1, SUM_THREADS, 0, static_cast<cudaStream_t>(stream)>>>(*l);
}
