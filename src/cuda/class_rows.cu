/* Cross-entropy of rows that lie whole: a block reads a row's logits once for its maximum and sum, and where the gradient
 * is wanted once more, from the cache, to write it over them. For a product's own logits (linear_loss.c), which nobody
 * else holds. */
#include "cuda/block.cuh"

namespace
{

/* Rows of 50,000 classes of 16 bits, of so many blocks a multiprocessor, are together less than a large GPU's second cache,
 * where they are met again. */
enum { THREADS = 512, BLOCKS = 2, V = 16 };

/* e to the x - top. LOW: to the precision that 16-bit logits have, by one instruction of the device. */
template <bool LOW> __device__ __forceinline__ float power(float x, float top)
{
    if constexpr (LOW)
        return exp2f((x - top) * 1.44269504088896340736f);
    else
        return wgi::exp_of<float>(x - top);
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

template <bool LOW> __device__ __forceinline__ void take(running &r, const float (&x)[V], int count)
{
    float top = r.top;
#pragma unroll
    for (int k = 0; k < V; k++)
        if (k < count) top = wgi::greatest()(x[k], top);
    const float base = base_of(top);
    float powers = r.powers * power<LOW>(r.top, base);
#pragma unroll
    for (int k = 0; k < V; k++)
        if (k < count) {
            powers += power<LOW>(x[k], base);
            r.sum += x[k];
        }
    r.top = top;
    r.powers = powers;
}

__device__ __forceinline__ int width_at(int64_t n, int64_t j)
{
    return n - j < V ? int(n - j) : int(V);
}

/* The row's cotangent; without one, what makes gradients multiples of the unit. */
__device__ __forceinline__ float scale_of(const wgi_classes_launch &l, int64_t r)
{
    if (l.scale) return static_cast<const float *>(l.scale)[r];
    if (!l.dy) return float(1 / l.unit);
    return float(wgi::load<double>(l.dy, 0, l.dy_type) /
                 wgi::load<double>(l.denominator, 0, l.denominator_type));
}

/* d_j = scale (exp(x_j - lse) - b_j), b the target distribution; 0 for a row that does not count. */
template <bool LOW>
__device__ void make_gradient(const wgi_classes_launch &l, int64_t r, int64_t target, float lse)
{
    const wgi::row x(l.x, r), dx(l.dx, r);
    const bool counts = target != l.ignore;
    const float scale = scale_of(l, r), keep = float(1 - l.smoothing),
                spread = float(l.smoothing / double(l.n));
    for (int64_t j = int64_t(threadIdx.x) * V; j < l.n; j += int64_t(blockDim.x) * V) {
        const int count = width_at(l.n, j);
        float v[V];
        x.get<float, V>(j, count, v);
#pragma unroll
        for (int k = 0; k < V; k++) {
            const float mass = j + k == target ? spread + keep : spread;
            v[k] = counts ? scale * (power<LOW>(v[k], lse) - mass) : 0.0f;
        }
        dx.put<float, V>(j, count, v);
    }
}

template <bool LOW>
__global__ void __launch_bounds__(THREADS, BLOCKS)
    class_rows(const __grid_constant__ wgi_classes_launch l)
{
    float *loss = static_cast<float *>(l.loss), *lse = static_cast<float *>(l.lse);
    for (int64_t r = blockIdx.x; r < l.rows; r += gridDim.x) {
        const int64_t target = l.target[r];
        const wgi::row x(l.x, r);
        running own;
        float at_target = 0, total = 0;
        if (target != l.ignore) {
            at_target = x.get<float>(
                target); /* before it becomes its gradient, behind the barriers below */
            for (int64_t j = int64_t(threadIdx.x) * V; j < l.n; j += int64_t(blockDim.x) * V) {
                const int count = width_at(l.n, j);
                float v[V];
                x.get<float, V>(j, count, v);
                take<LOW>(own, v, count);
            }
            const float top = wgi::block_all(own.top, wgi::greatest()), base = base_of(top);
            const double powers =
                wgi::block_all(double(own.powers * power<LOW>(own.top, base)), wgi::add());
            const float log_sum = float(wgi_log_f64(powers));
            total = top + log_sum;
            if (l.smoothing == 0) {
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
        if (l.dx.data) make_gradient<LOW>(l, r, target, total);
    }
}

} // namespace

extern "C" void wgi_launch_class_rows(const wgi_classes_launch *l, void *stream)
{
    const int64_t chunks = (l->n + V - 1) / V, most = int64_t(THREADS);
    const int threads = chunks < 1 ? 32 : int(chunks < most ? (chunks + 31) / 32 * 32 : most);
    const unsigned blocks = wgi::blocks_for(l->rows, 1);
    const bool low = l->x.type == WG_BF16 || l->x.type == WG_F16;
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (low) class_rows<true><<<blocks, threads, 0, s>>>(*l);
    if (!low) class_rows<false><<<blocks, threads, 0, s>>>(*l);
}
