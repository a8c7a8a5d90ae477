/* Numbers on the device, for the kernels that test the interpreter. */
#ifndef WENGERT_TESTS_PTX_DEVICE_ARRAY_H
#define WENGERT_TESTS_PTX_DEVICE_ARRAY_H
#include <cuda_runtime.h>
#include <stdint.h>

#include <cstring>
#include <vector>

/* n values on the device: those of fn(i), or none yet. */
template <class T> struct array {
    T *p = nullptr;
    int n;
    explicit array(int count) : n(count) { cudaMalloc(reinterpret_cast<void **>(&p), bytes()); }
    template <class F> array(int count, F fn) : array(count)
    {
        std::vector<T> v;
        for (int i = 0; i < n; i++) v.push_back(T(fn(i)));
        cudaMemcpyAsync(p, v.data(), bytes(), cudaMemcpyHostToDevice, nullptr);
    }
    ~array() { cudaFree(p); }
    array(const array &) = delete;
    array &operator=(const array &) = delete;
    size_t bytes() const { return size_t(n) * sizeof(T); }
    /* How many are not fn(i). */
    template <class F> int unlike(F fn) const
    {
        std::vector<T> v;
        v.resize(size_t(n));
        cudaMemcpyAsync(v.data(), p, bytes(), cudaMemcpyDeviceToHost, nullptr);
        int count = 0;
        for (int i = 0; i < n; i++) count += v[size_t(i)] != T(fn(i));
        return count;
    }
};

#endif
