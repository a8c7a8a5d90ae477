/* CUB's radix sort, by std::stable_sort. */
#pragma once
namespace cub {

template <class T> struct DoubleBuffer {
    T *buffers[2];
    int selector = 0;
    DoubleBuffer(T *a, T *b) : buffers { a, b } {}
};

struct DeviceRadixSort {
    template <class K, class V>
    static cudaError_t SortPairs(void *space, size_t &bytes, DoubleBuffer<K> &keys,
                                 DoubleBuffer<V> &values, int64_t n, int, int end, cudaStream_t s)
    {
        if (!space) return bytes = 16, cudaSuccess;
        const K mask = end >= 64 ? ~K(0) : (K(1) << end) - 1;
        const K *from = keys.buffers[0];
        const V *with = values.buffers[0];
        K *to = keys.buffers[1];
        V *to_with = values.buffers[1];
        keys.selector = values.selector = 1;
        return emulation::enqueue(s, emulation::KERNEL, [=] {
            std::vector<int64_t> order(n);
            std::iota(order.begin(), order.end(), 0);
            std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
                return (from[a] & mask) < (from[b] & mask);
            });
            for (int64_t i = 0; i < n; i++) {
                to[i] = from[order[i]];
                to_with[i] = with[order[i]];
            }
        });
    }
};

} // namespace cub
