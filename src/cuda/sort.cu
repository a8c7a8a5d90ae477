#include "cuda/sort.h"

#include <cub/device/device_radix_sort.cuh>

#include "cuda/element.cuh"

namespace
{

enum { THREADS = 256 };

/* As src/cpu/sort.c. */
__device__ uint64_t key_of(double v, bool descending, bool nans_first)
{
    if (v != v) return nans_first ? 0 : UINT64_MAX;
    v += 0.0; /* -0 becomes 0 */
    uint64_t u = uint64_t(__double_as_longlong(v));
    u = u >> 63 ? ~u : u | uint64_t(1) << 63;
    return descending ? ~u : u;
}

__global__ void __launch_bounds__(THREADS)
    make_keys(const __grid_constant__ wgi_sort_keys k, uint64_t *keys, int64_t *values)
{
    const int64_t count = k.lines.count * k.n, step = int64_t(gridDim.x) * THREADS;
    for (int64_t i = int64_t(blockIdx.x) * THREADS + threadIdx.x; i < count; i += step) {
        const int64_t at = wgi_axes_offset(&k.lines, i / k.n) + i % k.n * k.step;
        values[i] = i;
        if (k.kind == WGI_ACC_I64) {
            const uint64_t u = uint64_t(wgi::load<int64_t>(k.x, at, k.type)) ^ uint64_t(1) << 63;
            keys[i] = k.descending ? ~u : u;
        } else {
            keys[i] = key_of(wgi::load<double>(k.x, at, k.type), k.descending, k.nans_first);
        }
    }
}

__global__ void __launch_bounds__(THREADS)
    make_rows(const int64_t *values, uint64_t *keys, int64_t count, int64_t n)
{
    const int64_t step = int64_t(gridDim.x) * THREADS;
    for (int64_t i = int64_t(blockIdx.x) * THREADS + threadIdx.x; i < count; i += step)
        keys[i] = uint64_t(values[i] / n);
}

template <class S>
__global__ void __launch_bounds__(THREADS) put(const __grid_constant__ wgi_sort_result r)
{
    const int64_t count = r.x_lines.count * r.k, step = int64_t(gridDim.x) * THREADS;
    for (int64_t t = int64_t(blockIdx.x) * THREADS + threadIdx.x; t < count; t += step) {
        const int64_t row = t / r.k, e = t % r.k, from = r.order[row * r.n + e] % r.n;
        const int64_t x = wgi_axes_offset(&r.x_lines, row) + from * r.x_step;
        static_cast<S *>(r.y)[wgi_axes_offset(&r.y_lines, row) + e * r.y_step] =
            static_cast<const S *>(r.x)[x];
        r.i[wgi_axes_offset(&r.i_lines, row) + e * r.i_step] = from;
    }
}

} // namespace

extern "C" cudaError_t wgi_sort_space(int64_t n, size_t *bytes)
{
    cub::DoubleBuffer<uint64_t> keys(nullptr, nullptr);
    cub::DoubleBuffer<int64_t> values(nullptr, nullptr);
    *bytes = 0;
    const cudaError_t e =
        cub::DeviceRadixSort::SortPairs(nullptr, *bytes, keys, values, n, 0, 64, cudaStream_t(0));
    if (*bytes == 0) *bytes = 1; /* without space CUB would only tell how much it takes */
    return e;
}

extern "C" cudaError_t wgi_launch_sort(void *space, size_t space_bytes, uint64_t *keys[2],
                                       int64_t *values[2], int64_t n, int bits, void *stream,
                                       int *at)
{
    cub::DoubleBuffer<uint64_t> k(keys[0], keys[1]);
    cub::DoubleBuffer<int64_t> v(values[0], values[1]);
    const cudaError_t e = cub::DeviceRadixSort::SortPairs(space, space_bytes, k, v, n, 0, bits,
                                                          static_cast<cudaStream_t>(stream));
    *at = v.selector;
    return e;
}

extern "C" void wgi_launch_sort_keys(const wgi_sort_keys *k, uint64_t *keys, int64_t *values,
                                     void *stream)
{
    make_keys<<<wgi::blocks_for(k->lines.count * k->n, THREADS), THREADS, 0,
                static_cast<cudaStream_t>(stream)>>>(*k, keys, values);
}

extern "C" void wgi_launch_sort_rows(const int64_t *values, uint64_t *keys, int64_t count,
                                     int64_t n, void *stream)
{
    make_rows<<<wgi::blocks_for(count, THREADS), THREADS, 0, static_cast<cudaStream_t>(stream)>>>(
        values, keys, count, n);
}

extern "C" void wgi_launch_sort_result(const wgi_sort_result *r, void *stream)
{
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    const unsigned blocks = wgi::blocks_for(r->x_lines.count * r->k, THREADS);
    if (r->bytes == 1) put<uint8_t><<<blocks, THREADS, 0, s>>>(*r);
    if (r->bytes == 2) put<uint16_t><<<blocks, THREADS, 0, s>>>(*r);
    if (r->bytes == 4) put<uint32_t><<<blocks, THREADS, 0, s>>>(*r);
    if (r->bytes == 8) put<uint64_t><<<blocks, THREADS, 0, s>>>(*r);
}
