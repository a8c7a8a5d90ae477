#include "cuda/reduce.h"

#include "cuda/element.cuh"

namespace
{

enum { THREADS = 256, WARPS = THREADS / 32 };

/* A NaN on either side stays. */
template <class A> __device__ __forceinline__ A combine(int op, A a, A b)
{
    switch (op) {
    case WGI_FOLD_SUM: return wgi::plus<A>(a, b);
    case WGI_FOLD_PROD:
        if constexpr (A(0.5) == A(0)) /* int64_t */
            return wgi_mul_i64(a, b);
        else
            return a * b;
    case WGI_FOLD_MAX: return a > b || a != a ? a : b;
    default: return a < b || a != a ? a : b;
    }
}

template <class A> __device__ __forceinline__ A neutral(int op)
{
    constexpr bool whole = A(0.5) == A(0);
    switch (op) {
    case WGI_FOLD_SUM: return A(0);
    case WGI_FOLD_PROD: return A(1);
    case WGI_FOLD_MAX: return whole ? A(INT64_MIN) : A(-INFINITY);
    default: return whole ? A(INT64_MAX) : A(INFINITY);
    }
}

template <class A> __device__ __forceinline__ A mapped(int map, A x, A p);
template <> __device__ __forceinline__ int64_t mapped<int64_t>(int map, int64_t x, int64_t)
{
    return map == WGI_MAP_NONZERO ? x != 0 : x;
}
#define MAPPED(A, SUFFIX, POW)                                                                     \
    template <> __device__ __forceinline__ A mapped<A>(int map, A x, A p)                          \
    {                                                                                              \
        switch (map) {                                                                             \
        case WGI_MAP_NONE: return x;                                                               \
        case WGI_MAP_ABS: return wgi_abs##SUFFIX(x);                                               \
        case WGI_MAP_SQUARE: return x * x;                                                         \
        case WGI_MAP_NONZERO: return x != 0 ? A(1) : A(0);                                         \
        case WGI_MAP_POWER: return POW(wgi_abs##SUFFIX(x), p);                                     \
        default: return wgi_exp##SUFFIX(x);                                                        \
        }                                                                                          \
    }
MAPPED(float, _f32, powf)
MAPPED(double, _f64, pow)
#undef MAPPED

template <class A>
__device__ __forceinline__ A element(const wgi_fold_pass &f, int64_t at, A centre)
{
    A x = wgi::load<A>(f.x, at, f.type);
    if (f.centre) x = x - centre;
    return mapped<A>(f.map, x, A(f.p));
}

/* One warp a chunk of a group: lanes take every 32nd element, then join as a tree. */
template <class A>
__global__ void __launch_bounds__(THREADS)
    fold_rows(const __grid_constant__ wgi_fold_pass f, int64_t tasks)
{
    const int lane = int(threadIdx.x) % 32;
    const int64_t step = int64_t(gridDim.x) * WARPS;
    for (int64_t t = int64_t(blockIdx.x) * WARPS + threadIdx.x / 32; t < tasks; t += step) {
        const int64_t group = t / f.chunks, first = t % f.chunks * f.chunk;
        const int64_t last = first + f.chunk < f.reduced.count ? first + f.chunk : f.reduced.count;
        const int64_t base = wgi_axes_offset(&f.kept, group);
        const A centre = f.centre ? static_cast<const A *>(f.centre)[group] : A(0);
        A acc = neutral<A>(f.op);
        for (int64_t e = first + lane; e < last; e += 32)
            acc =
                combine<A>(f.op, acc, element<A>(f, base + wgi_axes_offset(&f.reduced, e), centre));
        for (int half = 16; half > 0; half /= 2)
            acc = combine<A>(f.op, acc, __shfl_down_sync(0xffffffffu, acc, half));
        if (lane == 0) static_cast<A *>(f.out)[t] = acc;
    }
}

/* One thread a chunk of a group; neighbouring threads have neighbouring groups. */
template <class A>
__global__ void __launch_bounds__(THREADS)
    fold_columns(const __grid_constant__ wgi_fold_pass f, int64_t tasks)
{
    const int64_t step = int64_t(gridDim.x) * THREADS;
    for (int64_t t = int64_t(blockIdx.x) * THREADS + threadIdx.x; t < tasks; t += step) {
        const int64_t group = t % f.kept.count, first = t / f.kept.count * f.chunk;
        const int64_t last = first + f.chunk < f.reduced.count ? first + f.chunk : f.reduced.count;
        const int64_t base = wgi_axes_offset(&f.kept, group);
        const A centre = f.centre ? static_cast<const A *>(f.centre)[group] : A(0);
        A acc = neutral<A>(f.op);
        for (int64_t e = first; e < last; e++)
            acc =
                combine<A>(f.op, acc, element<A>(f, base + wgi_axes_offset(&f.reduced, e), centre));
        static_cast<A *>(f.out)[t] = acc;
    }
}

template <class A> void fold(const wgi_fold_pass *f, cudaStream_t s)
{
    const int64_t tasks = f->kept.count * f->chunks;
    if (f->columns)
        fold_columns<A><<<wgi::blocks_for(tasks, THREADS), THREADS, 0, s>>>(*f, tasks);
    else
        fold_rows<A><<<wgi::blocks_for(tasks, WARPS), THREADS, 0, s>>>(*f, tasks);
}

/* ---- what comes after a fold -------------------------------------------------------------------- */

template <class A>
__global__ void __launch_bounds__(THREADS)
    finish(wgi_finish what, A *acc, const A *other, int64_t n, double number)
{
    const int64_t step = int64_t(gridDim.x) * THREADS;
    for (int64_t i = int64_t(blockIdx.x) * THREADS + threadIdx.x; i < n; i += step) {
        const A a = acc[i];
        switch (what) {
        case WGI_FINISH_DIVIDE: acc[i] = a / A(number); break;
        case WGI_FINISH_DIVIDE_F64: acc[i] = A(double(a) / number); break;
        case WGI_FINISH_ROOT: acc[i] = number == 2 ? A(sqrt(a)) : A(pow(a, A(1 / number))); break;
        case WGI_FINISH_FINITE: acc[i] = a == A(INFINITY) || a == A(-INFINITY) ? A(0) : a; break;
        case WGI_FINISH_LOG: acc[i] = other[i] + A(log(a)); break;
        }
    }
}

/* ---- the place of the extremum ------------------------------------------------------------------- */

template <class A> struct best {
    A value;
    int64_t at; /* -1: nothing yet */
};

/* The first of the greatest (smallest); a NaN is taken for it, the first of them. */
template <class A>
__device__ __forceinline__ best<A> better(bool smallest, const best<A> &a, const best<A> &b)
{
    if (a.at < 0) return b;
    if (b.at < 0) return a;
    const bool na = a.value != a.value, nb = b.value != b.value;
    if (na != nb) return na ? a : b;
    if (!na) {
        if (smallest ? a.value < b.value : a.value > b.value) return a;
        if (smallest ? b.value < a.value : b.value > a.value) return b;
    }
    return a.at < b.at ? a : b;
}

template <class A>
__device__ __forceinline__ best<A> best_of(const wgi_extremum_pass &p, int64_t base, int64_t first,
                                           int64_t step)
{
    best<A> found = { A(0), -1 };
    for (int64_t e = first; e < p.reduced.count; e += step) {
        const best<A> now = { wgi::load<A>(p.x, base + wgi_axes_offset(&p.reduced, e), p.type), e };
        found = better<A>(p.smallest, found, now);
    }
    return found;
}

template <class A>
__global__ void __launch_bounds__(THREADS)
    extremum_threads(const __grid_constant__ wgi_extremum_pass p)
{
    const int64_t step = int64_t(gridDim.x) * THREADS;
    for (int64_t g = int64_t(blockIdx.x) * THREADS + threadIdx.x; g < p.kept.count; g += step)
        p.out[g] = best_of<A>(p, wgi_axes_offset(&p.kept, g), 0, 1).at;
}

template <class A>
__global__ void __launch_bounds__(THREADS)
    extremum_blocks(const __grid_constant__ wgi_extremum_pass p)
{
    __shared__ A values[THREADS];
    __shared__ int64_t places[THREADS];
    for (int64_t g = blockIdx.x; g < p.kept.count; g += gridDim.x) {
        best<A> mine = best_of<A>(p, wgi_axes_offset(&p.kept, g), threadIdx.x, THREADS);
        for (int half = THREADS / 2; half > 0; half /= 2) {
            values[threadIdx.x] = mine.value;
            places[threadIdx.x] = mine.at;
            __syncthreads();
            if (int(threadIdx.x) < half) {
                const best<A> other = { values[threadIdx.x + half], places[threadIdx.x + half] };
                mine = better<A>(p.smallest, mine, other);
            }
            __syncthreads();
        }
        if (threadIdx.x == 0) p.out[g] = mine.at;
    }
}

template <class A> void extremum(const wgi_extremum_pass *p, cudaStream_t s)
{
    if (p->reduced.count <= 64)
        extremum_threads<A><<<wgi::blocks_for(p->kept.count, THREADS), THREADS, 0, s>>>(*p);
    else
        extremum_blocks<A><<<wgi::blocks_for(p->kept.count, 1), THREADS, 0, s>>>(*p);
}

/* ---- running sums: A is double or int64_t -------------------------------------------------------- */

template <class A>
__global__ void __launch_bounds__(THREADS) cumsum_threads(const __grid_constant__ wgi_cumsum_pass c)
{
    const int64_t step = int64_t(gridDim.x) * THREADS;
    for (int64_t l = int64_t(blockIdx.x) * THREADS + threadIdx.x; l < c.x_lines.count; l += step) {
        const int64_t x = wgi_axes_offset(&c.x_lines, l), y = wgi_axes_offset(&c.y_lines, l);
        A sum = 0;
        for (int64_t e = 0; e < c.n; e++) {
            sum = wgi::plus<A>(sum, wgi::load<A>(c.x, x + e * c.x_step, c.x_type));
            wgi::store<A>(c.y, y + e * c.y_step, c.y_type, sum);
        }
    }
}

/* A block a line, a piece of as many elements as threads at a time. */
template <class A>
__global__ void __launch_bounds__(THREADS) cumsum_blocks(const __grid_constant__ wgi_cumsum_pass c)
{
    __shared__ A s[THREADS];
    const int me = int(threadIdx.x);
    for (int64_t l = blockIdx.x; l < c.x_lines.count; l += gridDim.x) {
        const int64_t x = wgi_axes_offset(&c.x_lines, l), y = wgi_axes_offset(&c.y_lines, l);
        A before = 0;
        for (int64_t first = 0; first < c.n; first += THREADS) {
            const int64_t e = first + me;
            s[me] = e < c.n ? wgi::load<A>(c.x, x + e * c.x_step, c.x_type) : A(0);
            __syncthreads();
            for (int reach = 1; reach < THREADS; reach *= 2) {
                const A left = me >= reach ? s[me - reach] : A(0);
                __syncthreads();
                s[me] = wgi::plus<A>(left, s[me]);
                __syncthreads();
            }
            if (e < c.n)
                wgi::store<A>(c.y, y + e * c.y_step, c.y_type, wgi::plus<A>(before, s[me]));
            before = wgi::plus<A>(before, s[THREADS - 1]);
            __syncthreads();
        }
    }
}

template <class A> void cumsum(const wgi_cumsum_pass *c, cudaStream_t s)
{
    if (c->n <= 64 || c->x_lines.count >= 16384)
        cumsum_threads<A><<<wgi::blocks_for(c->x_lines.count, THREADS), THREADS, 0, s>>>(*c);
    else
        cumsum_blocks<A><<<wgi::blocks_for(c->x_lines.count, 1), THREADS, 0, s>>>(*c);
}

} // namespace

extern "C" void wgi_launch_fold(const wgi_fold_pass *f, void *stream)
{
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (f->kind == WGI_ACC_F32) fold<float>(f, s);
    if (f->kind == WGI_ACC_F64) fold<double>(f, s);
    if (f->kind == WGI_ACC_I64) fold<int64_t>(f, s);
}

extern "C" void wgi_launch_finish(wgi_finish what, wgi_acc kind, void *acc, const void *other,
                                  int64_t n, double number, void *stream)
{
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    const unsigned blocks = wgi::blocks_for(n, THREADS);
    if (kind == WGI_ACC_F32)
        finish<float><<<blocks, THREADS, 0, s>>>(what, static_cast<float *>(acc),
                                                 static_cast<const float *>(other), n, number);
    if (kind == WGI_ACC_F64)
        finish<double><<<blocks, THREADS, 0, s>>>(what, static_cast<double *>(acc),
                                                  static_cast<const double *>(other), n, number);
}

extern "C" void wgi_launch_extremum(const wgi_extremum_pass *e, void *stream)
{
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (e->kind == WGI_ACC_F32) extremum<float>(e, s);
    if (e->kind == WGI_ACC_F64) extremum<double>(e, s);
    if (e->kind == WGI_ACC_I64) extremum<int64_t>(e, s);
}

extern "C" void wgi_launch_cumsum(const wgi_cumsum_pass *c, void *stream)
{
    if (c->kind == WGI_ACC_I64)
        cumsum<int64_t>(c, static_cast<cudaStream_t>(stream));
    else
        cumsum<double>(c, static_cast<cudaStream_t>(stream));
}
