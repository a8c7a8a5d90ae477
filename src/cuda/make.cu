#include "cuda/make.h"

#include "cuda/element.cuh"

#include "cpu/normal.h"
#include "tensor/philox.h"

namespace
{

enum { THREADS = 256 };

__device__ double value_of(const wgi_make_launch &l, int64_t i)
{
    if (l.kind == WGI_MAKE_STEPPED) return l.a + double(i) * l.b;
    const int64_t n = l.size;
    const double step = n > 1 ? (l.b - l.a) / double(n - 1) : 0;
    return i < n / 2 || n == 1 ? l.a + double(i) * step : l.b - double(n - 1 - i) * step;
}

__device__ int64_t hot(const wgi_make_launch &l, int64_t i)
{
    const int64_t row = i / l.size, column = i % l.size,
                  value = wgi::load<int64_t>(l.x, row, l.x_type);
    if (column == 0 && (value < 0 || value >= l.size)) wgi_fault(l.fault, l.source, row, value, 0);
    return value == column;
}

/* Element i as it is where the triangle keeps it. */
template <class S> __device__ void keep(const wgi_make_launch &l, int64_t i)
{
    const int64_t column = i % l.size, row = i / l.size % l.rows;
    const bool kept = l.kind == WGI_MAKE_TRIL ? column - row <= l.low : column - row >= l.low;
    static_cast<S *>(l.y)[i] = kept ? static_cast<const S *>(l.x)[i] : S(0);
}

__global__ void __launch_bounds__(THREADS)
    make(const __grid_constant__ wgi_make_launch l, int bytes)
{
    const int64_t step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < l.n; i += step) {
        switch (l.kind) {
        case WGI_MAKE_COUNT: static_cast<int64_t *>(l.y)[i] = l.low + i; break;
        case WGI_MAKE_EYE:
            wgi::store<int64_t>(l.y, i, l.type, i % (l.size + 1) == 0 ? 1 : 0);
            break;
        case WGI_MAKE_ONE_HOT: static_cast<int64_t *>(l.y)[i] = hot(l, i); break;
        case WGI_MAKE_TRIL:
        case WGI_MAKE_TRIU:
            if (bytes == 1) keep<uint8_t>(l, i);
            if (bytes == 2) keep<uint16_t>(l, i);
            if (bytes == 4) keep<uint32_t>(l, i);
            if (bytes == 8) keep<uint64_t>(l, i);
            break;
        default: wgi::store<double>(l.y, i, l.type, value_of(l, i)); break;
        }
    }
}

/* ---- random numbers: a thread makes what one block of four words gives -------------------------- */

__device__ double uniform53(uint32_t a, uint32_t b)
{
    return (double(a >> 5) * 0x1p26 + double(b >> 6)) * 0x1p-53;
}

__device__ void one_uniform(const wgi_make_launch &l, int64_t i, uint32_t word)
{
    const uint32_t mask = l.type == WG_BF16 ? 0xff000000u : l.type == WG_F16 ? 0xffe00000u : ~0u;
    wgi::store<float>(l.y, i, l.type, wgi_uniform24(word & mask));
}

__device__ void one_truth(const wgi_make_launch &l, int64_t i, uint32_t word)
{
    const double p = wgi::load<double>(l.x, i, l.x_type);
    if (!(p >= 0 && p <= 1)) {
        wgi_fault(l.fault, l.source, i, 0, p);
        return;
    }
    wgi::store<int64_t>(l.y, i, l.type, double(wgi_uniform24(word)) < p ? 1 : 0);
}

/* Values 2j and 2j + 1. */
__device__ void two_normals(const wgi_make_launch &l, int64_t i, uint32_t a, uint32_t b)
{
    if (l.type == WG_F64) {
        double v[2];
        wgi_normal_pair_f64(a, b, v);
        if (i < l.n) static_cast<double *>(l.y)[i] = v[0];
        if (i + 1 < l.n) static_cast<double *>(l.y)[i + 1] = v[1];
        return;
    }
    const wgi_normal_pair v = wgi_normal_pair_f32(a, b);
    if (i < l.n) wgi::store<float>(l.y, i, l.type, v.x);
    if (i + 1 < l.n) wgi::store<float>(l.y, i + 1, l.type, v.y);
}

__global__ void __launch_bounds__(THREADS)
    random(const __grid_constant__ wgi_make_launch l, int64_t blocks, int per)
{
    const int64_t step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t b = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; b < blocks; b += step) {
        const wgi_philox4 w = wgi_philox(l.key, l.counter + uint64_t(b));
        if (l.kind == WGI_RANDOM_NORMAL) {
            two_normals(l, 4 * b, w.v[0], w.v[1]);
            two_normals(l, 4 * b + 2, w.v[2], w.v[3]);
            continue;
        }
#pragma unroll
        for (int k = 0; k < 4; k++) {
            if (per == 2 && k >= 2) break;
            const int64_t i = 4 / per * b + k;
            if (i >= l.n) break;
            const uint32_t word = w.v[k];
            const uint32_t high = k == 0 ? w.v[0] : w.v[2], low = k == 0 ? w.v[1] : w.v[3];
            if (l.kind == WGI_RANDOM_UNIFORM && per == 1) one_uniform(l, i, word);
            if (l.kind == WGI_RANDOM_UNIFORM && per == 2)
                static_cast<double *>(l.y)[i] = uniform53(high, low);
            if (l.kind == WGI_RANDOM_TRUTH) one_truth(l, i, word);
            if (l.kind == WGI_RANDOM_NARROW)
                static_cast<int64_t *>(l.y)[i] =
                    int64_t(uint64_t(l.low) + (uint64_t(word) * l.range >> 32));
            if (l.kind == WGI_RANDOM_WIDE)
                static_cast<int64_t *>(l.y)[i] =
                    int64_t(uint64_t(l.low) + ((uint64_t(high) << 32 | low) % l.range));
        }
    }
}

/* ---- draws: the running sums of a row are added by one thread, so that the bits are the CPU's ---- */

__global__ void __launch_bounds__(THREADS)
    cumulate(const __grid_constant__ wgi_multinomial_launch l)
{
    const int64_t row = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (row >= l.rows) return;
    double sum = 0, *cumulated = l.cumulated + row * l.size;
    wgi_fault_source s = l.source;
    for (int64_t k = 0; k < l.size; k++) {
        const double v = wgi::load<double>(l.weights, row * l.size + k, l.type);
        if (!(v >= 0 && v <= 1.7976931348623157e308)) {
            s.kind = WGI_FAULT_WEIGHT;
            wgi_fault(l.fault, s, row, 0, v);
            for (; k < l.size; k++) cumulated[k] = 0; /* the draws read them all the same */
            return;
        }
        cumulated[k] = sum += v;
    }
    if (sum > 0 && sum <= 1.7976931348623157e308) return;
    s.kind = sum > 0 ? WGI_FAULT_HEAVY : WGI_FAULT_NO_WEIGHT;
    wgi_fault(l.fault, s, row, 0, 0);
}

__global__ void __launch_bounds__(THREADS) draw(const __grid_constant__ wgi_multinomial_launch l)
{
    const int64_t n = l.rows * l.draws, step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) {
        const wgi_philox4 w = wgi_philox(l.key, l.counter + uint64_t(i) / 2);
        const bool odd = i & 1;
        const double *cumulated = l.cumulated + i / l.draws * l.size, all = cumulated[l.size - 1];
        const double target = uniform53(odd ? w.v[2] : w.v[0], odd ? w.v[3] : w.v[1]) * all;
        int64_t low = 0, high = l.size - 1;
        while (low < high) {
            const int64_t middle = low + (high - low) / 2;
            if (cumulated[middle] > target)
                high = middle;
            else
                low = middle + 1;
        }
        l.out[i] = low;
    }
}

/* ---- windows ------------------------------------------------------------------------------------ */

__global__ void __launch_bounds__(THREADS) windows(const __grid_constant__ wgi_fold_launch l)
{
    const int64_t step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t e = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; e < l.numel; e += step) {
        int64_t rest = e, from = 0, t = 0;
        for (int d = l.ndim - 1; d >= 0; d--) {
            const int64_t i = rest % l.shape[d];
            rest /= l.shape[d];
            if (d == l.axis)
                t = i;
            else
                from += i * l.stride[d];
        }
        const int64_t first = t < l.size ? 0 : (t - l.size) / l.step + 1,
                      last = t / l.step < l.windows - 1 ? t / l.step : l.windows - 1;
        double sum = 0;
        for (int64_t w = first; w <= last; w++)
            sum += wgi::load<double>(l.x, from + w * l.stride[l.axis] + (t - w * l.step) * l.inside,
                                     l.type);
        wgi::store<double>(l.y, e, l.type, sum);
    }
}

int bytes_of(int type)
{
    return type == WG_F64 || type == WG_I64    ? 8
           : type == WG_F32 || type == WG_I32  ? 4
           : type == WG_BF16 || type == WG_F16 ? 2
                                               : 1;
}

} // namespace

extern "C" void wgi_launch_make(const wgi_make_launch *l, void *stream)
{
    make<<<wgi::blocks_for(l->n, THREADS), THREADS, 0, static_cast<cudaStream_t>(stream)>>>(
        *l, bytes_of(l->type));
}

extern "C" void wgi_launch_random(const wgi_make_launch *l, void *stream)
{
    const bool two =
        l->kind == WGI_RANDOM_WIDE || (l->kind == WGI_RANDOM_UNIFORM && l->type == WG_F64);
    const int per = two ? 2 : 1;
    const int64_t blocks = (l->n * per + 3) / 4;
    random<<<wgi::blocks_for(blocks, THREADS), THREADS, 0, static_cast<cudaStream_t>(stream)>>>(
        *l, blocks, per);
}

extern "C" void wgi_launch_multinomial(const wgi_multinomial_launch *l, void *stream)
{
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    cumulate<<<unsigned((l->rows + THREADS - 1) / THREADS), THREADS, 0, s>>>(*l);
    draw<<<wgi::blocks_for(l->rows * l->draws, THREADS), THREADS, 0, s>>>(*l);
}

extern "C" void wgi_launch_windows(const wgi_fold_launch *l, void *stream)
{
    windows<<<wgi::blocks_for(l->numel, THREADS), THREADS, 0, static_cast<cudaStream_t>(stream)>>>(
        *l);
}
