/* Elements of an optimizer's table, and single numbers on the device. */
#ifndef WGI_CUDA_UPDATE_CUH
#define WGI_CUDA_UPDATE_CUH
#include "cuda/element.cuh"

#if CUDART_VERSION < 12010
#error "the optimizer's table is an argument of more than 4 KB: CUDA 12.1 or newer"
#endif

#include "cuda/update.h"

static_assert(sizeof(wgi_update_table) <= 32764, "a kernel's arguments");

namespace wgi
{

/* `count` elements from `at` on, of a floating type. */
template <class T, int V>
__device__ __forceinline__ void get(const void *data, int type, int64_t at, int count, T (&v)[V])
{
    switch (type) {
    case WG_F64:
        wgi::load_run<T, double, V>(data, at, 1, count, v,
                                    [](double x) { return wgi::from<T>::f64(x); });
        break;
    case WG_F32:
        wgi::load_run<T, float, V>(data, at, 1, count, v,
                                   [](float x) { return wgi::from<T>::f32(x); });
        break;
    case WG_BF16:
        wgi::load_run<T, uint16_t, V>(data, at, 1, count, v, [](uint16_t x) {
            return wgi::from<T>::f32(wgi_bf16_to_f32(x));
        });
        break;
    default:
        wgi::load_run<T, uint16_t, V>(
            data, at, 1, count, v, [](uint16_t x) { return wgi::from<T>::f32(wgi_f16_to_f32(x)); });
        break;
    }
}

template <class T, int V>
__device__ __forceinline__ void put(void *data, int type, int64_t at, int count, const T (&v)[V])
{
    switch (type) {
    case WG_F64:
        wgi::store_run<T, double, V>(data, at, 1, count, v, [](T x) { return wgi::to<T>::f64(x); });
        break;
    case WG_F32:
        wgi::store_run<T, float, V>(data, at, 1, count, v, [](T x) { return wgi::to<T>::f32(x); });
        break;
    case WG_BF16:
        wgi::store_run<T, uint16_t, V>(data, at, 1, count, v,
                                       [](T x) { return wgi::to<T>::bf16(x); });
        break;
    default:
        wgi::store_run<T, uint16_t, V>(data, at, 1, count, v,
                                       [](T x) { return wgi::to<T>::f16(x); });
        break;
    }
}

__device__ __forceinline__ double number(const void *p, int type, double otherwise)
{
    return p ? wgi::load<double>(p, 0, type) : otherwise;
}

} // namespace wgi
#endif
