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
    __syncthreads(); /* what was there before has been read */
    if (lane == 0) s[warp] = v;
    __syncthreads();
    T all = s[0];
    for (int w = 1; w < warps; w++) all = op(all, s[w]);
    return all;
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
