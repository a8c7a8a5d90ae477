/* Elementwise passes: a thread takes a group of neighbours, loads them as the type that is computed
 * in, applies the formula and stores them. One kernel serves a family of formulas, chosen by a
 * switch that all threads take alike: families by cost, so that cheap ones keep few registers. */
#include "cuda/element.cuh"
#include "cuda/elementwise.h"

namespace
{

enum cost { CHEAP, DEAR, HEAVY };

/* Which family a formula is in; CHEAP unless it is named. */
__host__ __device__ constexpr cost cost_of(int code)
{
    switch (code) {
    case WGI_FORMULA_exp:
    case WGI_FORMULA_expm1:
    case WGI_FORMULA_log:
    case WGI_FORMULA_log1p:
    case WGI_FORMULA_tanh:
    case WGI_FORMULA_sigmoid:
    case WGI_FORMULA_softplus:
    case WGI_FORMULA_elu:
    case WGI_FORMULA_gelu:
    case WGI_FORMULA_gelu_tanh:
    case WGI_FORMULA_silu:
    case WGI_FORMULA_erf:
    case WGI_FORMULA_softplus_backward:
    case WGI_FORMULA_elu_backward:
    case WGI_FORMULA_gelu_backward:
    case WGI_FORMULA_gelu_tanh_backward:
    case WGI_FORMULA_silu_backward:
    case WGI_FORMULA_erf_backward: return DEAR;
    case WGI_FORMULA_sin:
    case WGI_FORMULA_cos:
    case WGI_FORMULA_pow:
    case WGI_FORMULA_floor_divide:
    case WGI_FORMULA_remainder:
    case WGI_FORMULA_sin_backward:
    case WGI_FORMULA_cos_backward: return HEAVY;
    default: return CHEAP;
    }
}

/* A heavy formula is not repeated for every element of a group; a dear one in f64 calls functions,
 * across which registers have to be kept. */
template <class T, cost C>
constexpr int group_width = C == HEAVY                    ? 1
                            : C == DEAR && sizeof(T) == 8 ? 2
                                                          : wgi::width<T>;

template <class T> struct numbers {
    T a, b;
};

/* y = formula(x...), for each type. Codes of other families and numbers of inputs are not compiled
 * in. */
#define EACH(expression)                                                                           \
    do {                                                                                           \
        _Pragma("unroll") for (int k = 0; k < V; k++) y[k] = (expression);                         \
    } while (0)
#define CASE(name, inputs, expression)                                                             \
    case WGI_FORMULA_##name:                                                                       \
        if constexpr (N == inputs && cost_of(WGI_FORMULA_##name) == C) EACH(expression);           \
        break;

template <int N, cost C, int V>
__device__ __forceinline__ void apply(int code, const float (&x)[N][V], numbers<float> p,
                                      float (&y)[V])
{
    switch (code) {
#define REAL1(name) CASE(name, 1, wgi_##name##_f32(x[0][k]))
#define REAL1A(name) CASE(name, 1, wgi_##name##_f32(x[0][k], p.a))
#define REAL1AB(name) CASE(name, 1, wgi_##name##_f32(x[0][k], p.a, p.b))
#define REAL2(name) CASE(name, 2, wgi_##name##_f32(x[0][k], x[1][k]))
#define REAL2A(name) CASE(name, 2, wgi_##name##_f32(x[0][k], x[1][k], p.a))
#define REAL2AB(name) CASE(name, 2, wgi_##name##_f32(x[0][k], x[1][k], p.a, p.b))
#define COMPARE(name) CASE(name, 2, wgi_##name##_f32(x[0][k], x[1][k]) ? 1.0f : 0.0f)
#include "cpu/formula_list.h"
    default: break;
    }
}

template <int N, cost C, int V>
__device__ __forceinline__ void apply(int code, const double (&x)[N][V], numbers<double> p,
                                      double (&y)[V])
{
    switch (code) {
#define REAL1(name) CASE(name, 1, wgi_##name##_f64(x[0][k]))
#define REAL1A(name) CASE(name, 1, wgi_##name##_f64(x[0][k], p.a))
#define REAL1AB(name) CASE(name, 1, wgi_##name##_f64(x[0][k], p.a, p.b))
#define REAL2(name) CASE(name, 2, wgi_##name##_f64(x[0][k], x[1][k]))
#define REAL2A(name) CASE(name, 2, wgi_##name##_f64(x[0][k], x[1][k], p.a))
#define REAL2AB(name) CASE(name, 2, wgi_##name##_f64(x[0][k], x[1][k], p.a, p.b))
#define COMPARE(name) CASE(name, 2, wgi_##name##_f64(x[0][k], x[1][k]) ? 1.0 : 0.0)
#include "cpu/formula_list.h"
    default: break;
    }
}

template <int N, cost C, int V>
__device__ __forceinline__ void apply(int code, const int64_t (&x)[N][V], numbers<int64_t> p,
                                      int64_t (&y)[V])
{
    switch (code) {
#define REAL1(name)
#define REAL1A(name)
#define REAL1AB(name)
#define REAL2(name)
#define REAL2A(name)
#define REAL2AB(name)
#define INTEGER1(name) CASE(name, 1, wgi_##name##_i64(x[0][k]))
#define INTEGER1AB(name) CASE(name, 1, wgi_##name##_i64(x[0][k], p.a, p.b))
#define INTEGER2(name) CASE(name, 2, wgi_##name##_i64(x[0][k], x[1][k]))
#define DIVIDE2(name) CASE(name, 2, wgi_##name##_i64(x[0][k], x[1][k]))
#define COMPARE(name) CASE(name, 2, wgi_##name##_i64(x[0][k], x[1][k]) ? 1 : 0)
#include "cpu/formula_list.h"
    default: break;
    }
}

template <class T> __device__ __forceinline__ T is_finite(T x)
{
    return x - x == 0 ? T(1) : T(0);
}

/* What is not in the list. */
template <class T, int N, int V>
__device__ __forceinline__ void apply_other(int code, const T (&x)[N][V], numbers<T> p, T (&y)[V])
{
    if constexpr (N == 1) {
        if (code == WGI_GPU_COPY) EACH(x[0][k]);
        if (code == WGI_GPU_ISFINITE) EACH(is_finite(x[0][k]));
        if (code == WGI_GPU_NOT) EACH(x[0][k] != 0 ? T(0) : T(1));
    } else if constexpr (N == 2) {
        if (code == WGI_GPU_AND) EACH(x[0][k] != 0 && x[1][k] != 0 ? T(1) : T(0));
        if (code == WGI_GPU_OR) EACH(x[0][k] != 0 || x[1][k] != 0 ? T(1) : T(0));
        if (code == WGI_GPU_XOR) EACH((x[0][k] != 0) != (x[1][k] != 0) ? T(1) : T(0));
        if (code == WGI_GPU_FILL) EACH(x[1][k] != 0 ? p.a : x[0][k]);
    } else {
        EACH(x[0][k] != 0 ? x[1][k] : x[2][k]);
    }
}

template <class T> __device__ __forceinline__ numbers<T> numbers_of(const wgi_elementwise_launch &l)
{
    return { T(l.a), T(l.b) };
}
template <>
__device__ __forceinline__ numbers<int64_t> numbers_of<int64_t>(const wgi_elementwise_launch &l)
{
    return { l.integer_a, l.integer_b };
}

/* Integers only: what divides by zero is reported. */
template <int V>
__device__ __forceinline__ void report_zeros(const wgi_elementwise_launch &l, const wgi_group &g,
                                             const int64_t (&divisor)[V])
{
#pragma unroll
    for (int k = 0; k < V; k++)
        if (k < g.count && divisor[k] == 0) wgi_fault(l.fault, l.source, g.index + k, 0, 0);
}

template <class T, int N, cost C>
__global__ void __launch_bounds__(256, 4)
    elementwise(const __grid_constant__ wgi_elementwise_launch l, int64_t groups)
{
    constexpr int V = group_width<T, C>;
    const numbers<T> p = numbers_of<T>(l);
    const int64_t step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < groups; i += step) {
        wgi_group g;
        wgi_pass_locate(&l.pass, V, i, &g);
        T x[N][V], y[V] = {};
#pragma unroll
        for (int n = 0; n < N; n++) wgi::load_operand<T, V>(l.pass, n + 1, g, x[n]);
        if constexpr (N <= 2) apply<N, C, V>(l.code, x, p, y);
        if constexpr (C == CHEAP) {
            if (l.code >= WGI_FORMULA_COUNT) apply_other<T, N, V>(l.code, x, p, y);
        }
        if constexpr (N == 2 && C == HEAVY && T(0.5) == T(0)) {
            if (l.code != WGI_FORMULA_pow) report_zeros<V>(l, g, x[1]);
        }
        if (l.accumulate) {
            T old[V];
            wgi::load_operand<T, V>(l.pass, 0, g, old);
#pragma unroll
            for (int k = 0; k < V; k++) y[k] = wgi::plus<T>(old[k], y[k]);
        }
        wgi::store_operand<T, V>(l.pass, 0, g, y);
    }
}

template <class T, int N, cost C> void launch(const wgi_elementwise_launch *l, cudaStream_t s)
{
    enum { THREADS = 256 };
    const int64_t groups = wgi_pass_groups(&l->pass, group_width<T, C>);
    elementwise<T, N, C><<<wgi::blocks_for(groups, THREADS), THREADS, 0, s>>>(*l, groups);
}

template <class T> bool launch_real(const wgi_elementwise_launch *l, cost c, cudaStream_t s)
{
    switch (l->pass.n) {
    case 2:
        if (c == CHEAP) launch<T, 1, CHEAP>(l, s);
        if (c == DEAR) launch<T, 1, DEAR>(l, s);
        if (c == HEAVY) launch<T, 1, HEAVY>(l, s);
        return true;
    case 3:
        if (c == CHEAP) launch<T, 2, CHEAP>(l, s);
        if (c == DEAR) launch<T, 2, DEAR>(l, s);
        if (c == HEAVY) launch<T, 2, HEAVY>(l, s);
        return true;
    default: launch<T, 3, CHEAP>(l, s); return true;
    }
}

/* Is there a formula of this name for integers? */
bool is_whole(int code)
{
    if (code >= WGI_FORMULA_COUNT) return code != WGI_GPU_ISFINITE;
    switch (code) {
#define REAL1(name)
#define REAL1A(name)
#define REAL1AB(name)
#define REAL2(name)
#define REAL2A(name)
#define REAL2AB(name)
#define INTEGER1(name) case WGI_FORMULA_##name:
#define INTEGER1AB(name) case WGI_FORMULA_##name:
#define INTEGER2(name) case WGI_FORMULA_##name:
#define DIVIDE2(name) case WGI_FORMULA_##name:
#define COMPARE(name) case WGI_FORMULA_##name:
#include "cpu/formula_list.h"
        return true;
    default: return false;
    }
}

bool launch_whole(const wgi_elementwise_launch *l, cost c, cudaStream_t s)
{
    if (!is_whole(l->code)) return false;
    if (l->pass.n == 2) {
        launch<int64_t, 1, CHEAP>(l, s);
    } else if (l->pass.n == 3) {
        if (c == HEAVY)
            launch<int64_t, 2, HEAVY>(l, s);
        else
            launch<int64_t, 2, CHEAP>(l, s);
    } else {
        launch<int64_t, 3, CHEAP>(l, s);
    }
    return true;
}

} // namespace

extern "C" bool wgi_launch_elementwise(const wgi_elementwise_launch *l, void *stream)
{
    const cost c = cost_of(l->code);
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (l->compute == WG_F64) return launch_real<double>(l, c, s);
    if (l->compute == WG_F32) return launch_real<float>(l, c, s);
    return launch_whole(l, c, s);
}
