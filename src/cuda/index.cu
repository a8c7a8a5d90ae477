#include "cuda/index.h"

#include "cuda/element.cuh"

namespace
{

enum { THREADS = 256, EACH = 4, CHUNK = THREADS * EACH };

__global__ void __launch_bounds__(THREADS) read_indices(const __grid_constant__ wgi_index_reading r)
{
    const int64_t step = int64_t(gridDim.x) * THREADS;
    for (int64_t k = int64_t(blockIdx.x) * THREADS + threadIdx.x; k < r.axes.count; k += step) {
        const int64_t v = wgi::load<int64_t>(r.from, wgi_axes_offset(&r.axes, k), r.type);
        const bool good = v >= (r.wrap ? -r.size : 0) && v < r.size;
        if (!good) wgi_fault(r.fault, r.source, k, v, 0);
        r.to[k] = !good ? -1 : v < 0 ? v + r.size : v;
    }
}

__global__ void __launch_bounds__(THREADS) places(const __grid_constant__ wgi_index_places p)
{
    const int64_t step = int64_t(gridDim.x) * THREADS;
    for (int64_t e = int64_t(blockIdx.x) * THREADS + threadIdx.x; e < p.count; e += step) {
        int64_t sum = 0;
        bool good = true;
        for (int k = 0; k < p.n; k++) {
            int64_t rest = e, from = 0;
            for (int d = p.ndim - 1; d >= 0; d--) {
                from += rest % p.shape[d] * p.step[k][d];
                rest /= p.shape[d];
            }
            const int64_t i = p.i[k][from];
            good = good && i >= 0;
            sum += i * p.stride[k];
        }
        p.where[e] = good ? sum : -1;
    }
}

template <class S>
__global__ void __launch_bounds__(THREADS)
    take(const __grid_constant__ wgi_index_axes m, int64_t count, const S *large, S *small)
{
    const int64_t step = int64_t(gridDim.x) * THREADS;
    for (int64_t e = int64_t(blockIdx.x) * THREADS + threadIdx.x; e < count; e += step) {
        int64_t rest = e, from = 0, to = 0, index = 0;
        for (int d = m.n - 1; d >= 0; d--) {
            const int64_t at = wgi_index_coordinate(&rest, m.shape[d]);
            to += at * m.small[d];
            index += at * m.index[d];
            if (d != m.axis) from += at * m.large[d];
        }
        const int64_t i = m.i[index];
        small[to] = i < 0 ? S(0) : large[from + i * m.large[m.axis]];
    }
}

__global__ void __launch_bounds__(THREADS)
    make_keys(const __grid_constant__ wgi_index_plan p, uint64_t *keys, int64_t *items)
{
    const int64_t step = int64_t(gridDim.x) * THREADS;
    for (int64_t k = int64_t(blockIdx.x) * THREADS + threadIdx.x; k < p.item_count; k += step) {
        keys[k] = wgi_index_key(&p, k);
        items[k] = k;
    }
}

/* Sorted items are cut into chunks, and a place's items where a chunk ends, so that a place that many go to has many threads.
 * A part of a place's items that the place does not own alone is summed into a slot of its chunk: 0 if it begins with the
 * chunk, else 1. */
template <class A>
__global__ void __launch_bounds__(THREADS)
    add_sorted(const __grid_constant__ wgi_index_plan p, const uint64_t *keys, const int64_t *items,
               A *large, const void *small, int type, A *parts)
{
    const int64_t n = p.item_count * p.lane_count, step = int64_t(gridDim.x) * THREADS;
    for (int64_t t = int64_t(blockIdx.x) * THREADS + threadIdx.x; t < n; t += step) {
        const int64_t s = t / p.lane_count;
        const uint64_t key = keys[s];
        const bool begins = s == 0 || keys[s - 1] != key;
        if (key == p.nowhere || (!begins && s % WGI_INDEX_CHUNK != 0)) continue;
        A *part = parts + (s / WGI_INDEX_CHUNK * 2 + (s % WGI_INDEX_CHUNK != 0)) * p.lane_count +
                  t % p.lane_count;
        int64_t k = s, to, from;
        wgi_index_lane(&p, t % p.lane_count, &to, &from);
        A sum = A(0);
        do {
            sum = wgi::plus<A>(sum, wgi::load<A>(small, wgi_index_item(&p, items[k]) + from, type));
            k++;
        } while (k % WGI_INDEX_CHUNK != 0 && k < p.item_count && keys[k] == key);
        if (begins && (k == p.item_count || keys[k] != key)) {
            part = large + int64_t(key) + to;
            sum = wgi::plus<A>(*part, sum);
        }
        *part = sum;
    }
}

/* Places whose items go on into other chunks: the parts, in order. A thread for every lane and chunk but the last. */
template <class A>
__global__ void __launch_bounds__(THREADS)
    join_parts(const __grid_constant__ wgi_index_plan p, const uint64_t *keys, A *large,
               const A *parts)
{
    const int64_t chunks = (p.item_count + WGI_INDEX_CHUNK - 1) / WGI_INDEX_CHUNK,
                  n = (chunks - 1) * p.lane_count, step = int64_t(gridDim.x) * THREADS;
    for (int64_t t = int64_t(blockIdx.x) * THREADS + threadIdx.x; t < n; t += step) {
        const int64_t lane = t % p.lane_count;
        int64_t chunk = t / p.lane_count, at = chunk * WGI_INDEX_CHUNK, to, from;
        const uint64_t key = keys[at + WGI_INDEX_CHUNK - 1];
        if (key == p.nowhere || keys[at + WGI_INDEX_CHUNK] != key) continue;
        const bool whole = keys[at] == key;                   /* nothing else in the chunk */
        if (whole && at > 0 && keys[at - 1] == key) continue; /* it began before */
        wgi_index_lane(&p, lane, &to, &from);
        A sum = wgi::plus<A>(large[int64_t(key) + to],
                             parts[(chunk * 2 + (whole ? 0 : 1)) * p.lane_count + lane]);
        for (chunk++; chunk < chunks && keys[chunk * WGI_INDEX_CHUNK] == key; chunk++)
            sum = wgi::plus<A>(sum, parts[chunk * 2 * p.lane_count + lane]);
        large[int64_t(key) + to] = sum;
    }
}

__device__ bool is_last(const wgi_index_plan &p, const uint64_t *keys, int64_t s)
{
    return s + 1 == p.item_count || keys[s + 1] != keys[s];
}

template <class S>
__global__ void __launch_bounds__(THREADS)
    write_sorted(const __grid_constant__ wgi_index_plan p, const uint64_t *keys,
                 const int64_t *items, S *large, const S *small)
{
    const int64_t n = p.item_count * p.lane_count, step = int64_t(gridDim.x) * THREADS;
    for (int64_t t = int64_t(blockIdx.x) * THREADS + threadIdx.x; t < n; t += step) {
        const int64_t s = t / p.lane_count;
        const uint64_t key = keys[s];
        if (key == p.nowhere || !is_last(p, keys, s)) continue;
        int64_t to, lane;
        wgi_index_lane(&p, t % p.lane_count, &to, &lane);
        large[int64_t(key) + to] = small[wgi_index_item(&p, items[s]) + lane];
    }
}

__global__ void __launch_bounds__(THREADS)
    last(const __grid_constant__ wgi_index_plan p, const uint64_t *keys, const int64_t *items,
         uint8_t *y)
{
    const int64_t step = int64_t(gridDim.x) * THREADS;
    for (int64_t s = int64_t(blockIdx.x) * THREADS + threadIdx.x; s < p.item_count; s += step)
        y[items[s]] = keys[s] != p.nowhere && is_last(p, keys, s);
}

/* ---- nonzero: chunks are counted, the counts summed up, the chunks written ------------------------ */

__device__ bool is_set(const wgi_nonzero_pass &p, int64_t e)
{
    if (e >= p.axes.count) return false;
    const int64_t at = wgi_axes_offset(&p.axes, e);
    switch (p.type) {
    case WG_F64:
    case WG_F32:
    case WG_BF16:
    case WG_F16: return wgi::load<double>(p.x, at, p.type) != 0;
    default: return wgi::load<int64_t>(p.x, at, p.type) != 0;
    }
}

/* v of the threads before this one; *all: of all. */
__device__ int64_t scan(int64_t v, int64_t *all)
{
    __shared__ int64_t s[THREADS];
    const int me = int(threadIdx.x);
    s[me] = v;
    __syncthreads();
    for (int reach = 1; reach < THREADS; reach *= 2) {
        const int64_t left = me >= reach ? s[me - reach] : 0;
        __syncthreads();
        s[me] += left;
        __syncthreads();
    }
    const int64_t before = s[me] - v;
    *all = s[THREADS - 1];
    __syncthreads();
    return before;
}

__global__ void __launch_bounds__(THREADS)
    count_chunks(const __grid_constant__ wgi_nonzero_pass p, int64_t chunks)
{
    for (int64_t c = blockIdx.x; c < chunks; c += gridDim.x) {
        int64_t mine = 0, all;
        for (int k = 0; k < EACH; k++) mine += is_set(p, c * CHUNK + threadIdx.x * EACH + k);
        scan(mine, &all);
        if (threadIdx.x == 0) p.count[c] = all;
    }
}

/* One block: count[c] becomes the number of all before chunk c. */
__global__ void __launch_bounds__(THREADS) sum_counts(int64_t *count, int64_t chunks)
{
    int64_t before = 0;
    for (int64_t first = 0; first < chunks; first += THREADS) {
        const int64_t c = first + threadIdx.x;
        int64_t all;
        const int64_t at = scan(c < chunks ? count[c] : 0, &all);
        if (c < chunks) count[c] = before + at;
        before += all;
    }
}

__global__ void __launch_bounds__(THREADS)
    write_chunks(const __grid_constant__ wgi_nonzero_pass p, int64_t chunks)
{
    for (int64_t c = blockIdx.x; c < chunks; c += gridDim.x) {
        const int64_t first = c * CHUNK + threadIdx.x * EACH;
        int64_t mine = 0, all;
        for (int k = 0; k < EACH; k++) mine += is_set(p, first + k);
        int64_t to = p.count[c] + scan(mine, &all);
        for (int k = 0; k < EACH; k++) {
            if (!is_set(p, first + k) || to >= p.most) continue;
            int64_t rest = first + k;
            for (int d = p.ndim - 1; d >= 0; d--) {
                p.y[to * p.ndim + d] = rest % p.shape[d];
                rest /= p.shape[d];
            }
            to++;
        }
    }
}

} // namespace

extern "C" void wgi_launch_index_reading(const wgi_index_reading *r, void *stream)
{
    read_indices<<<wgi::blocks_for(r->axes.count, THREADS), THREADS, 0,
                   static_cast<cudaStream_t>(stream)>>>(*r);
}

extern "C" void wgi_launch_index_places(const wgi_index_places *p, void *stream)
{
    places<<<wgi::blocks_for(p->count, THREADS), THREADS, 0, static_cast<cudaStream_t>(stream)>>>(
        *p);
}

extern "C" void wgi_launch_take(const wgi_index_axes *m, int64_t count, const void *large,
                                void *small, int bytes, void *stream)
{
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    const unsigned blocks = wgi::blocks_for(count, THREADS);
#define TAKE(S)                                                                                    \
    take<S><<<blocks, THREADS, 0, s>>>(*m, count, static_cast<const S *>(large),                   \
                                       static_cast<S *>(small))
    if (bytes == 1) TAKE(uint8_t);
    if (bytes == 2) TAKE(uint16_t);
    if (bytes == 4) TAKE(uint32_t);
    if (bytes == 8) TAKE(uint64_t);
#undef TAKE
}

extern "C" void wgi_launch_index_keys(const wgi_index_plan *p, uint64_t *keys, int64_t *items,
                                      void *stream)
{
    make_keys<<<wgi::blocks_for(p->item_count, THREADS), THREADS, 0,
                static_cast<cudaStream_t>(stream)>>>(*p, keys, items);
}

template <class A>
static void add_items(const wgi_index_plan *p, const uint64_t *keys, const int64_t *items,
                      void *large, const void *small, int type, void *parts, cudaStream_t s)
{
    const unsigned blocks = wgi::blocks_for(p->item_count * p->lane_count, THREADS);
    add_sorted<A><<<blocks, THREADS, 0, s>>>(*p, keys, items, static_cast<A *>(large), small, type,
                                             static_cast<A *>(parts));
    if (p->item_count <= WGI_INDEX_CHUNK) return;
    const unsigned few = wgi::blocks_for(p->item_count / WGI_INDEX_CHUNK * p->lane_count, THREADS);
    join_parts<A>
        <<<few, THREADS, 0, s>>>(*p, keys, static_cast<A *>(large), static_cast<const A *>(parts));
}

extern "C" void wgi_launch_index_add(const wgi_index_plan *p, const uint64_t *keys,
                                     const int64_t *items, void *large, int kind, const void *small,
                                     int type, void *parts, void *stream)
{
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (kind == WGI_ACC_F32) add_items<float>(p, keys, items, large, small, type, parts, s);
    if (kind == WGI_ACC_F64) add_items<double>(p, keys, items, large, small, type, parts, s);
    if (kind == WGI_ACC_I64) add_items<int64_t>(p, keys, items, large, small, type, parts, s);
}

extern "C" void wgi_launch_index_write(const wgi_index_plan *p, const uint64_t *keys,
                                       const int64_t *items, void *large, const void *small,
                                       int bytes, void *stream)
{
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    const unsigned blocks = wgi::blocks_for(p->item_count * p->lane_count, THREADS);
#define WRITE(S)                                                                                   \
    write_sorted<S><<<blocks, THREADS, 0, s>>>(*p, keys, items, static_cast<S *>(large),           \
                                               static_cast<const S *>(small))
    if (bytes == 1) WRITE(uint8_t);
    if (bytes == 2) WRITE(uint16_t);
    if (bytes == 4) WRITE(uint32_t);
    if (bytes == 8) WRITE(uint64_t);
#undef WRITE
}

extern "C" void wgi_launch_index_last(const wgi_index_plan *p, const uint64_t *keys,
                                      const int64_t *items, uint8_t *y, void *stream)
{
    last<<<wgi::blocks_for(p->item_count, THREADS), THREADS, 0,
           static_cast<cudaStream_t>(stream)>>>(*p, keys, items, y);
}

extern "C" void wgi_launch_nonzero(const wgi_nonzero_pass *p, void *stream)
{
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    const int64_t chunks = (p->axes.count + CHUNK - 1) / CHUNK;
    const unsigned blocks = wgi::blocks_for(chunks, 1);
    count_chunks<<<blocks, THREADS, 0, s>>>(*p, chunks);
    sum_counts<<<1, THREADS, 0, s>>>(p->count, chunks);
    write_chunks<<<blocks, THREADS, 0, s>>>(*p, chunks);
}
