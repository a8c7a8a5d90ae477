/* Cross-entropy of rows that lie whole: a block reads a row's logits once for its maximum and sum, and where the gradient
 * is wanted once more, from the cache, to write it over them. For a product's own logits (linear_loss.c), which nobody
 * else holds. */
#include <type_traits>

#include "cuda/block.cuh"
#include "cuda/pack.cuh"

namespace
{

/* Rows of 50,000 classes of 16 bits, of so many blocks a multiprocessor, are together less than a large GPU's second cache,
 * where they are met again. */
enum { THREADS = 512, BLOCKS = 2, V = 16 };

constexpr float LOG2_E = 1.44269504088896340736f;

/* e to the x - top: of 16 bits, LOW, in two instructions; exactly 1 where x is top only by `step`. */
template <bool LOW> struct powers_above {
    float top, turned; /* LOW: top as an exponent of 2, negative */
    __device__ __forceinline__ explicit powers_above(float t) : top(t), turned(-t * LOG2_E) {}
    __device__ __forceinline__ float operator()(float x) const
    {
        if constexpr (LOW)
            return wgi::power_of_two(fmaf(x, LOG2_E, turned));
        else
            return wgi::exp_of<float>(x - top);
    }
};
template <bool LOW> __device__ __forceinline__ float step(float from, float to)
{
    if constexpr (LOW)
        return wgi::power_of_two((from - to) * LOG2_E);
    else
        return wgi::exp_of<float>(from - to);
}

/* Of the elements that a thread has seen: the greatest, the sum of their powers above it, their sum. */
struct running {
    float top = -INFINITY, powers = 0, sum = 0;
};

/* NaN is passed over by the maximum and found by the powers; rows may hold -inf. */
__device__ __forceinline__ float base_of(float top)
{
    return top == -INFINITY ? 0.0f : top;
}

template <bool LOW>
__device__ __forceinline__ void take(running &r, const float (&x)[V], int count, bool sums)
{
    float top = r.top;
#pragma unroll
    for (int k = 0; k < V; k++)
        if (k < count) top = fmaxf(top, x[k]);
    const float base = base_of(top);
    const powers_above<LOW> above(base);
    float powers = top == r.top ? r.powers : r.powers * step<LOW>(r.top, base);
#pragma unroll
    for (int k = 0; k < V; k++)
        if (k < count) powers += above(x[k]);
    if (sums) {
#pragma unroll
        for (int k = 0; k < V; k++)
            if (k < count) r.sum += x[k];
    }
    r.top = top;
    r.powers = powers;
}

/* ---- how a row lies ---------------------------------------------------------------------------- */

/* Any type and step: V elements at a time, fewer at its end. */
struct any_row {
    enum { blocks = 1 };
    wgi::row at;
    __device__ any_row(const wgi_lines &l, int64_t r) : at(l, r) {}
    template <int> __device__ __forceinline__ void get(int64_t j, int count, float (&v)[V]) const
    {
        at.get<float, V>(j, count, v);
    }
    template <int>
    __device__ __forceinline__ void put(int64_t j, int count, const float (&v)[V]) const
    {
        at.put<float, V>(j, count, v);
    }
    template <class F> static __device__ __forceinline__ void walk(int64_t n, F fn)
    {
        for (int64_t j = int64_t(threadIdx.x) * V; j < n; j += int64_t(blockDim.x) * V)
            fn(j, n - j < V ? int(n - j) : int(V), std::integral_constant<int, 0>());
    }
};

/* Packs of 8 side by side; what is left at the end of the row one by one. */
template <class S> struct packed {
    enum { blocks = BLOCKS };
    void *at;
    __device__ packed(const wgi_lines &l, int64_t r) : at(l.data ? wgi::row_place<S>(l, r) : NULL)
    {
    }
    template <int COUNT> __device__ __forceinline__ void get(int64_t j, int, float (&v)[V]) const
    {
        if constexpr (COUNT == 1) {
            v[0] = wgi::load<float>(at, j, S::type);
        } else {
#pragma unroll
            for (int h = 0; h < V; h += wgi::PACK) {
                wgi::pack<S> p;
                p.load(wgi::place<S>(at, j + h));
                S::numbers(p.q[0], v + h);
            }
        }
    }
    template <int COUNT>
    __device__ __forceinline__ void put(int64_t j, int, const float (&v)[V]) const
    {
        if constexpr (COUNT == 1) {
            wgi::store<float>(at, j, S::type, v[0]);
        } else {
#pragma unroll
            for (int h = 0; h < V; h += wgi::PACK)
                *static_cast<uint4 *>(wgi::place<S>(at, j + h)) = S::chunk(v + h);
        }
    }
    template <class F> static __device__ __forceinline__ void walk(int64_t n, F fn)
    {
        for (int64_t j = int64_t(threadIdx.x) * V; j + V <= n; j += int64_t(blockDim.x) * V)
            fn(j, int(V), std::integral_constant<int, V>());
        const int64_t j = n / V * V + threadIdx.x;
        if (j < n) fn(j, 1, std::integral_constant<int, 1>());
    }
};

/* ---- a row ------------------------------------------------------------------------------------- */

/* The row's cotangent; without one, what makes gradients multiples of the unit. */
__device__ __forceinline__ float scale_of(const wgi_classes_launch &l, int64_t r)
{
    if (l.scale) return static_cast<const float *>(l.scale)[r];
    if (!l.dy) return float(1 / l.unit);
    return float(wgi::load<double>(l.dy, 0, l.dy_type) /
                 wgi::load<double>(l.denominator, 0, l.denominator_type));
}

/* d_j = scale (exp(x_j - lse) - b_j), b the target distribution; 0 for a row that does not count. */
template <class L, bool LOW>
__device__ void make_gradient(const wgi_classes_launch &l, int64_t r, int64_t target,
                              float at_target, float lse)
{
    const L x(l.x, r), dx(l.dx, r);
    if (target == l.ignore) {
        L::walk(l.n, [&](int64_t j, int count, auto constant) {
            const float v[V] = {};
            dx.template put<constant>(j, count, v);
        });
        return;
    }
    const float scale = scale_of(l, r), keep = float(1 - l.smoothing),
                spread = float(l.smoothing / double(l.n));
    const powers_above<LOW> above(lse);
    const float at_target_power = above(at_target);
    L::walk(l.n, [&](int64_t j, int count, auto constant) {
        float v[V];
        x.template get<constant>(j, count, v);
#pragma unroll
        for (int k = 0; k < V; k++)
            if (k < count) v[k] = scale * (above(v[k]) - spread);
        if (target >= j && target - j < count) {
            const float own = scale * ((at_target_power - spread) - keep);
#pragma unroll
            for (int k = 0; k < V; k++)
                if (target - j == k) v[k] = own;
        }
        dx.template put<constant>(j, count, v);
    });
}

template <class L, bool LOW>
__global__ void __launch_bounds__(THREADS, L::blocks)
    class_rows(const __grid_constant__ wgi_classes_launch l)
{
    float *loss = static_cast<float *>(l.loss), *lse = static_cast<float *>(l.lse);
    for (int64_t r = blockIdx.x; r < l.rows; r += gridDim.x) {
        const int64_t target = l.target[r];
        const L x(l.x, r);
        running own;
        float at_target = 0, total = 0;
        if (target != l.ignore) {
            float v[V];
            x.template get<1>(target, 1,
                              v); /* before it becomes its gradient, behind the barriers below */
            at_target = v[0];
            const bool sums = l.smoothing != 0;
            L::walk(l.n, [&](int64_t j, int count, auto constant) {
                float v[V];
                x.template get<constant>(j, count, v);
                take<LOW>(own, v, count, sums);
            });
            const float top = wgi::block_all(own.top, wgi::greatest()), base = base_of(top);
            const double powers =
                wgi::block_all(double(own.powers * step<LOW>(own.top, base)), wgi::add());
            const float log_sum = float(wgi_log_f64(powers));
            total = top + log_sum;
            if (!sums) {
                if (threadIdx.x == 0 && loss) loss[r] = (top - at_target) + log_sum;
            } else {
                const double sum = wgi::block_all(double(own.sum), wgi::add()),
                             gap = double(top) - double(at_target);
                const double spread = l.smoothing * (double(top) - sum / double(l.n));
                if (threadIdx.x == 0 && loss)
                    loss[r] = float(double(log_sum) + (1 - l.smoothing) * gap + spread);
            }
        } else if (threadIdx.x == 0 && loss) {
            loss[r] = 0;
        }
        if (threadIdx.x == 0 && lse) lse[r] = total;
        if (l.dx.data) make_gradient<L, LOW>(l, r, target, at_target, total);
    }
}

} // namespace

extern "C" void wgi_launch_class_rows(const wgi_classes_launch *l, void *stream)
{
    const int64_t chunks = (l->n + V - 1) / V, most = int64_t(THREADS);
    const int threads = chunks < 1 ? 32 : int(chunks < most ? (chunks + 31) / 32 * 32 : most);
    const unsigned blocks = wgi::blocks_for(l->rows, 1);
    const int type = l->x.type;
    const bool packs = wgi_lines_in_packs(&l->x, type) && wgi_lines_in_packs(&l->dx, type);
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (packs && type == WG_BF16)
        class_rows<packed<wgi::real_bf16>, true><<<blocks, threads, 0, s>>>(*l);
    else if (packs && type == WG_F16)
        class_rows<packed<wgi::real_f16>, true><<<blocks, threads, 0, s>>>(*l);
    else if (type == WG_BF16 || type == WG_F16)
        class_rows<any_row, true><<<blocks, threads, 0, s>>>(*l);
    else
        class_rows<any_row, false><<<blocks, threads, 0, s>>>(*l);
}
