/* One thread, one group of neighbours: everything is loaded before anything is stored, so that
 * operands may be changed in place. */
#include "cuda/block.cuh"

#include "cpu/loss_kind.h"
#include "cuda/pointwise.h"
#include "tensor/philox.h"

#define A float
#define N(name) loss_##name##_f32
#define F(name) wgi_##name##_f32
#include "cpu/loss_formula.h"
#undef A
#undef N
#undef F
#define A double
#define N(name) loss_##name##_f64
#define F(name) wgi_##name##_f64
#include "cpu/loss_formula.h"
#undef A
#undef N
#undef F

namespace
{

enum { THREADS = 256, PIECE = 16384 /* elements of a partial sum */ };

template <class T> constexpr int group = sizeof(T) == 4 ? 4 : 2;

/* y = f(x, t, p, c) of the kind's value (WHAT 0), its slope by x (1) or by the target (2). */
#define LOSS(NAME, T, SUFFIX)                                                                      \
    template <int WHAT> __device__ __forceinline__ T NAME(int kind, T x, T t, T p, T c)            \
    {                                                                                              \
        switch (kind) {                                                                            \
        case WGI_MSE:                                                                              \
            return WHAT == 0   ? loss_mse##SUFFIX(x, t, p, c)                                      \
                   : WHAT == 1 ? loss_mse_dx##SUFFIX(x, t, p, c)                                   \
                               : loss_mse_dt##SUFFIX(x, t, p, c);                                  \
        case WGI_L1:                                                                               \
            return WHAT == 0   ? loss_l1##SUFFIX(x, t, p, c)                                       \
                   : WHAT == 1 ? loss_l1_dx##SUFFIX(x, t, p, c)                                    \
                               : loss_l1_dt##SUFFIX(x, t, p, c);                                   \
        case WGI_HUBER:                                                                            \
            return WHAT == 0   ? loss_huber##SUFFIX(x, t, p, c)                                    \
                   : WHAT == 1 ? loss_huber_dx##SUFFIX(x, t, p, c)                                 \
                               : loss_huber_dt##SUFFIX(x, t, p, c);                                \
        case WGI_BCE:                                                                              \
            return WHAT == 0   ? loss_bce##SUFFIX(x, t, p, c)                                      \
                   : WHAT == 1 ? loss_bce_dx##SUFFIX(x, t, p, c)                                   \
                               : loss_bce_dt##SUFFIX(x, t, p, c);                                  \
        case WGI_KL:                                                                               \
            return WHAT == 0   ? loss_kl##SUFFIX(x, t, p, c)                                       \
                   : WHAT == 1 ? loss_kl_dx##SUFFIX(x, t, p, c)                                    \
                               : loss_kl_dt##SUFFIX(x, t, p, c);                                   \
        default:                                                                                   \
            return WHAT == 0   ? loss_kl_log##SUFFIX(x, t, p, c)                                   \
                   : WHAT == 1 ? loss_kl_log_dx##SUFFIX(x, t, p, c)                                \
                               : loss_kl_log_dt##SUFFIX(x, t, p, c);                               \
        }                                                                                          \
    }
LOSS(loss_of, float, _f32)
LOSS(loss_of, double, _f64)
#undef LOSS

#define FORMULA(name)                                                                              \
    __device__ __forceinline__ float name##_of(float x)                                            \
    {                                                                                              \
        return wgi_##name##_f32(x);                                                                \
    }                                                                                              \
    __device__ __forceinline__ double name##_of(double x)                                          \
    {                                                                                              \
        return wgi_##name##_f64(x);                                                                \
    }
FORMULA(sigmoid)
FORMULA(silu)
#undef FORMULA

/* Operand k of the group, `otherwise` where it is absent. */
template <class T, int V>
__device__ __forceinline__ void read(const wgi_pass &p, int k, const wgi_group &g, T (&v)[V],
                                     T otherwise = T(0))
{
    if (p.o[k].kind == WGI_OPERAND_ABSENT) {
#pragma unroll
        for (int i = 0; i < V; i++) v[i] = otherwise;
    } else {
        wgi::load_operand<T, V>(p, k, g, v);
    }
}

/* Writes, or adds to what is there; nothing if the operand is absent. */
template <class T, int V>
__device__ __forceinline__ void write(const wgi_pass &p, int k, const wgi_group &g, T (&v)[V],
                                      bool accumulate)
{
    if (p.o[k].kind == WGI_OPERAND_ABSENT) return;
    if (accumulate) {
        T old[V];
        wgi::load_operand<T, V>(p, k, g, old);
#pragma unroll
        for (int i = 0; i < V; i++) v[i] += old[i];
    }
    wgi::store_operand<T, V>(p, k, g, v);
}

template <class T, int V> __device__ void dropout(const wgi_pointwise_launch &l, const wgi_group &g)
{
    T x[V];
    const float p = float(l.k[0]);
    const T factor = T(l.k[1]);
    wgi_philox4 w = {};
    read<T, V>(l.pass, 0, g, x);
#pragma unroll
    for (int k = 0; k < V; k++) {
        const int64_t i = g.index + k;
        if (k == 0 || i % 4 == 0) w = wgi_philox(l.random[0], l.random[1] + uint64_t(i) / 4);
        const int lane = int(i % 4);
        const uint32_t word = lane == 0 ? w.v[0] : lane == 1 ? w.v[1] : lane == 2 ? w.v[2] : w.v[3];
        x[k] = wgi_uniform24(word) >= p ? x[k] * factor : T(0);
    }
    write<T, V>(l.pass, 1, g, x, l.accumulate);
}

template <class T, int V> __device__ void swiglu(const wgi_pointwise_launch &l, const wgi_group &g)
{
    T gate[V], up[V];
    read<T, V>(l.pass, 0, g, gate);
    read<T, V>(l.pass, 1, g, up);
#pragma unroll
    for (int k = 0; k < V; k++) up[k] *= silu_of(gate[k]);
    write<T, V>(l.pass, 2, g, up, l.accumulate);
}

template <class T, int V>
__device__ void swiglu_backward(const wgi_pointwise_launch &l, const wgi_group &g)
{
    T gate[V], up[V], dy[V];
    read<T, V>(l.pass, 0, g, gate);
    read<T, V>(l.pass, 1, g, up);
    read<T, V>(l.pass, 2, g, dy);
#pragma unroll
    for (int k = 0; k < V; k++) {
        const T x = gate[k], s = sigmoid_of(x);
        gate[k] = dy[k] * up[k] * (s * (1 + x * (1 - s)));
        up[k] = dy[k] * (x * s);
    }
    write<T, V>(l.pass, 3, g, gate, l.accumulate);
    write<T, V>(l.pass, 4, g, up, l.accumulate);
}

/* The weighted losses of a group's elements. */
template <class T, int V>
__device__ __forceinline__ void losses(const wgi_pointwise_launch &l, const wgi_group &g, T (&x)[V])
{
    T t[V], w[V], p[V];
    read<T, V>(l.pass, 0, g, x);
    read<T, V>(l.pass, 1, g, t);
    read<T, V>(l.pass, 2, g, w, T(1));
    read<T, V>(l.pass, 3, g, p, T(1));
#pragma unroll
    for (int k = 0; k < V; k++) x[k] = loss_of<0>(l.loss, x[k], t[k], p[k], T(l.k[0])) * w[k];
}

template <class T, int V>
__device__ void loss_backward(const wgi_pointwise_launch &l, const wgi_group &g)
{
    T x[V], t[V], w[V], p[V], dy[V];
    read<T, V>(l.pass, 0, g, x);
    read<T, V>(l.pass, 1, g, t);
    read<T, V>(l.pass, 2, g, w, T(1));
    read<T, V>(l.pass, 3, g, p, T(1));
    read<T, V>(l.pass, 4, g, dy);
    if (l.scalar) {
        const T all = T(wgi::load<double>(l.scalar, 0, l.scalar_type) / l.k[1]);
#pragma unroll
        for (int k = 0; k < V; k++) dy[k] = all;
    }
#pragma unroll
    for (int k = 0; k < V; k++) {
        const T slope = l.of_target ? loss_of<2>(l.loss, x[k], t[k], p[k], T(l.k[0]))
                                    : loss_of<1>(l.loss, x[k], t[k], p[k], T(l.k[0]));
        x[k] = slope * w[k] * dy[k];
    }
    write<T, V>(l.pass, 5, g, x, l.accumulate);
}

template <class T, int V> __device__ void scale(const wgi_pointwise_launch &l, const wgi_group &g)
{
    const double f = l.k[0] / (wgi::load<double>(l.scalar, 0, l.scalar_type) + 1e-6);
    const T factor = T(f > 1 ? 1 : f);
    T x[V];
    if (f >= 1) return;
    read<T, V>(l.pass, 0, g, x);
#pragma unroll
    for (int k = 0; k < V; k++) x[k] *= factor;
    write<T, V>(l.pass, 0, g, x, false);
}

template <class T, int KIND>
__global__ void __launch_bounds__(THREADS, 4)
    pointwise(const __grid_constant__ wgi_pointwise_launch l, int64_t groups)
{
    constexpr int V = group<T>;
    const int64_t step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < groups; i += step) {
        wgi_group g;
        wgi_pass_locate(&l.pass, V, i, &g);
        if constexpr (KIND == WGI_POINT_DROPOUT) dropout<T, V>(l, g);
        if constexpr (KIND == WGI_POINT_SWIGLU) swiglu<T, V>(l, g);
        if constexpr (KIND == WGI_POINT_SWIGLU_BACKWARD) swiglu_backward<T, V>(l, g);
        if constexpr (KIND == WGI_POINT_LOSS) {
            T y[V];
            losses<T, V>(l, g, y);
            write<T, V>(l.pass, 4, g, y, false);
        }
        if constexpr (KIND == WGI_POINT_LOSS_BACKWARD) loss_backward<T, V>(l, g);
        if constexpr (KIND == WGI_POINT_SCALE) scale<T, V>(l, g);
    }
}

template <class T, int KIND> void run(const wgi_pointwise_launch *l, cudaStream_t s)
{
    const int64_t groups = wgi_pass_groups(&l->pass, group<T>);
    pointwise<T, KIND><<<wgi::blocks_for(groups, THREADS), THREADS, 0, s>>>(*l, groups);
}

template <class T> void dispatch(const wgi_pointwise_launch *l, cudaStream_t s)
{
    switch (l->kind) {
    case WGI_POINT_DROPOUT: run<T, WGI_POINT_DROPOUT>(l, s); break;
    case WGI_POINT_SWIGLU: run<T, WGI_POINT_SWIGLU>(l, s); break;
    case WGI_POINT_SWIGLU_BACKWARD: run<T, WGI_POINT_SWIGLU_BACKWARD>(l, s); break;
    case WGI_POINT_LOSS: run<T, WGI_POINT_LOSS>(l, s); break;
    case WGI_POINT_LOSS_BACKWARD: run<T, WGI_POINT_LOSS_BACKWARD>(l, s); break;
    default: run<T, WGI_POINT_SCALE>(l, s); break;
    }
}

/* ---- sums: a block a piece, then one block over the pieces ------------------------------------- */

template <class T>
__global__ void __launch_bounds__(THREADS)
    partials(const __grid_constant__ wgi_pointwise_launch l, int64_t groups, int64_t per_piece,
             int64_t pieces, double *partial)
{
    constexpr int V = group<T>;
    for (int64_t b = blockIdx.x; b < pieces; b += gridDim.x) {
        const int64_t first = b * per_piece,
                      last = first + per_piece < groups ? first + per_piece : groups;
        double sum = 0;
        for (int64_t i = first + threadIdx.x; i < last; i += THREADS) {
            wgi_group g;
            T x[V];
            wgi_pass_locate(&l.pass, V, i, &g);
            losses<T, V>(l, g, x);
#pragma unroll
            for (int k = 0; k < V; k++)
                if (k < g.count) sum += double(x[k]);
        }
        sum = wgi::block_sum<THREADS>(sum);
        if (threadIdx.x == 0) partial[b] = sum;
        __syncthreads();
    }
}

__global__ void __launch_bounds__(THREADS)
    total(const double *partial, int64_t n, double divisor, bool root, void *out, int type)
{
    double sum = 0;
    for (int64_t i = threadIdx.x; i < n; i += THREADS) sum += partial[i];
    sum = wgi::block_sum<THREADS>(sum);
    if (threadIdx.x != 0) return;
    sum /= divisor;
    wgi::store<double>(out, 0, type, root ? wgi_sqrt_f64(sum) : sum);
}

template <class T> void run_partials(const wgi_pointwise_launch *l, double *partial, cudaStream_t s)
{
    const int64_t groups = wgi_pass_groups(&l->pass, group<T>),
                  pieces = wgi_pass_partials(&l->pass), per_piece = (groups + pieces - 1) / pieces;
    partials<T>
        <<<wgi::blocks_for(pieces, 1), THREADS, 0, s>>>(*l, groups, per_piece, pieces, partial);
}

} // namespace

extern "C" void wgi_launch_pointwise(const wgi_pointwise_launch *l, void *stream)
{
    if (l->f64)
        dispatch<double>(l, static_cast<cudaStream_t>(stream));
    else
        dispatch<float>(l, static_cast<cudaStream_t>(stream));
}

extern "C" int64_t wgi_pass_partials(const wgi_pass *p)
{
    return p->numel > PIECE ? (p->numel + PIECE - 1) / PIECE : 1;
}

extern "C" void wgi_launch_partials(const wgi_pointwise_launch *l, double *partial, void *stream)
{
    if (l->f64)
        run_partials<double>(l, partial, static_cast<cudaStream_t>(stream));
    else
        run_partials<float>(l, partial, static_cast<cudaStream_t>(stream));
}

extern "C" void wgi_launch_total(const double *partial, int64_t n, double divisor, bool root,
                                 void *out, int type, void *stream)
{
    total<<<1, THREADS, 0, static_cast<cudaStream_t>(stream)>>>(partial, n, divisor, root, out,
                                                                type);
}
