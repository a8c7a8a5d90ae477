/* What the threads of a block do together, and rows. */
#ifndef WGI_CUDA_BLOCK_CUH
#define WGI_CUDA_BLOCK_CUH
#include "cuda/element.cuh"
#include "cuda/rows.h"

namespace wgi
{

enum { ROW_THREADS = 256 };

struct add {
    template <class T> __device__ __forceinline__ T operator()(T a, T b) const { return a + b; }
};
struct greatest {
    template <class T> __device__ __forceinline__ T operator()(T a, T b) const
    {
        return a > b ? a : b;
    }
};

/* v of all threads joined, in every thread: by a tree within warps, then over them. All threads of
 * the block take part, a multiple of 32. */
template <class T, class Op> __device__ T block_all(T v, Op op)
{
    __shared__ T s[32];
    const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32,
              warps = int(blockDim.x) / 32;
    for (int half = 16; half > 0; half /= 2) v = op(v, __shfl_xor_sync(0xffffffffu, v, half));
    if (warps == 1) {
        __syncwarp(); /* as the barriers below: what was read before may be written behind it */
        return v;
    }
    __syncthreads(); /* what was there before has been read */
    if (lane == 0) s[warp] = v;
    __syncthreads();
    T all = s[0];
    for (int w = 1; w < warps; w++) all = op(all, s[w]);
    return all;
}

/* The sum over the block's THREADS threads, a power of two, by a tree over all of them; valid in thread 0. */
template <int THREADS> __device__ double block_sum(double v)
{
    __shared__ double s[THREADS];
    s[threadIdx.x] = v;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (int(threadIdx.x) < half) s[threadIdx.x] += s[threadIdx.x + half];
        __syncthreads();
    }
    return s[0];
}

/* The sums of a and of b over all threads, in every thread, as block_all adds. */
template <class T> __device__ void block_sums(T &a, T &b)
{
    __shared__ T s[2][32];
    const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32,
              warps = int(blockDim.x) / 32;
    for (int half = 16; half > 0; half /= 2) {
        a += __shfl_xor_sync(0xffffffffu, a, half);
        b += __shfl_xor_sync(0xffffffffu, b, half);
    }
    if (warps == 1) {
        __syncwarp();
        return;
    }
    __syncthreads(); /* what was there before has been read */
    if (lane == 0) {
        s[0][warp] = a;
        s[1][warp] = b;
    }
    __syncthreads();
    a = s[0][0];
    b = s[1][0];
    for (int w = 1; w < warps; w++) {
        a += s[0][w];
        b += s[1][w];
    }
}

/* v as it will be read from memory of dtype `type`. */
template <class T> __device__ __forceinline__ T rounded(T v, int type)
{
    if (type == WG_BF16) return from<T>::f32(wgi_bf16_to_f32(to<T>::bf16(v)));
    if (type == WG_F16) return from<T>::f32(wgi_f16_to_f32(to<T>::f16(v)));
    return type == WG_F32 ? from<T>::f32(to<T>::f32(v)) : v;
}

/* One row of a tensor. */
struct row {
    void *data;
    int type;
    int64_t at, step;
    __device__ row(const wgi_lines &l, int64_t i)
        : data(l.data), type(l.type), at(l.data ? wgi_axes_offset(&l.lines, i) : 0), step(l.step)
    {
    }
    template <class T> __device__ __forceinline__ T get(int64_t i) const
    {
        return load<T>(data, at + i * step, type);
    }
    template <class T> __device__ __forceinline__ void put(int64_t i, T v, bool accumulate) const
    {
        if (accumulate) v += load<T>(data, at + i * step, type);
        store<T>(data, at + i * step, type, v);
    }
    /* `count` elements from i on, the others 0; in chunks of 16 bytes where they lie so. */
    template <class T, int V>
    __device__ __forceinline__ void get(int64_t i, int count, T (&v)[V]) const
    {
        load_group<T, V>(operand(), at + i * step, step, count, v);
    }
    template <class T, int V>
    __device__ __forceinline__ void put(int64_t i, int count, const T (&v)[V]) const
    {
        store_group<T, V>(operand(), at + i * step, step, count, v);
    }

  private:
    __device__ __forceinline__ wgi_operand operand() const
    {
        wgi_operand o;
        o.type = type;
        o.data = data;
        return o;
    }
};

template <class T> __device__ __forceinline__ T exp_of(T x);
template <> __device__ __forceinline__ float exp_of<float>(float x)
{
    return wgi_exp_f32(x);
}
template <> __device__ __forceinline__ double exp_of<double>(double x)
{
    return wgi_exp_f64(x);
}
template <class T> __device__ __forceinline__ T log_of(T x);
template <> __device__ __forceinline__ float log_of<float>(float x)
{
    return wgi_log_f32(x);
}
template <> __device__ __forceinline__ double log_of<double>(double x)
{
    return wgi_log_f64(x);
}
template <class T> __device__ __forceinline__ T sqrt_of(T x);
template <> __device__ __forceinline__ float sqrt_of<float>(float x)
{
    return wgi_sqrt_f32(x);
}
template <> __device__ __forceinline__ double sqrt_of<double>(double x)
{
    return wgi_sqrt_f64(x);
}

/* Threads of a block for rows of n: no more than there are elements, a multiple of 32. */
static inline int threads_for(int64_t n)
{
    return n >= ROW_THREADS ? int(ROW_THREADS) : n <= 32 ? 32 : int((n + 31) / 32 * 32);
}

} // namespace wgi
#endif
