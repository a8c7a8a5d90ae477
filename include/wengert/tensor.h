/* Tensors: what they are, their data, memory, random numbers, printing. */
#ifndef WENGERT_TENSOR_H
#define WENGERT_TENSOR_H
#include "base.h"
#ifdef __cplusplus
extern "C" {
#endif

/* ---- what a tensor is; on the error tensor sizes are 1 ------------------------------------------------ */
/** The sizes; entries past n are 1. */
WG_API wg_dims wg_shape(const wg_tensor *t);
/** In elements. */
WG_API wg_dims wg_strides(const wg_tensor *t);
/** Size along axis (negative: from the end). 1 for an error tensor, so that x / size cannot trap.
 * Errors: WG_EINDEX. */
WG_API int64_t wg_size(const wg_tensor *t, int axis);
WG_API int64_t wg_numel(const wg_tensor *t);
WG_API int wg_ndim(const wg_tensor *t);
WG_API wg_dtype wg_dtype_of(const wg_tensor *t);
WG_API wg_device wg_device_of(const wg_tensor *t);
WG_API bool wg_is_contiguous(const wg_tensor *t);

/* ---- data in and out -----------------------------------------------------------------------------------
 * Tensors in blocks (q4_0, ... : wg_dtype_block) are weights, read and never written: their last size is a multiple of
 * the block, bytes are counted in whole blocks, memory is aligned to 2; sizes, strides and offsets are in elements as
 * always. Views keep blocks whole (WG_ESHAPE otherwise): any along the leading axes, the last one stays side by side.
 * They have no gradient. wg_cast turns them into floats, and floats into q4_0, q4_1, q5_0, q5_1, q8_0. */
/** A new tensor on the current device with a copy of data: elements of t in row-major order.
 * Errors: WG_EARG unless bytes is the product of the sizes times the element's; WG_ESHAPE; WG_EMEM. */
WG_API wg_tensor *wg_from(const void *data, size_t bytes, wg_dtype t, wg_dims shape);
/** A tensor on the caller's memory, on the CPU. strides: in elements, not negative; WG_DIMS() means row-major.
 * release(owner) runs once, when nothing uses the memory any more (may be NULL), on whatever thread that is; after an
 * error it does not run. Errors: WG_EARG if an element lies outside `bytes` or data is not aligned for t. */
WG_API wg_tensor *wg_wrap(void *data, size_t bytes, wg_dtype t, wg_dims shape, wg_dims strides,
                          void (*release)(void *owner), void *owner);
/** Copies all elements out in row-major order, converted to `as`; any device, strides and dtype. Floats become integers
 * by truncation, kept within the range, NaN 0; 16-bit floats are rounded to nearest even.
 * Errors: WG_EARG unless bytes is what the elements take; WG_EDEVICE on meta (no data); WG_EDTYPE for blocks that
 * nothing is quantised to (q2_k .. q6_k), unless t has them. */
WG_API WG_MUST_CHECK wg_status wg_read(wg_tensor *t, void *data, size_t bytes, wg_dtype as);
/** into <- from, in place: from is broadcast to into's shape and cast to its dtype, from any device; where they share
 * memory, as if from were copied first. Never recorded: WG_EGRAD while gradients are on and either requires one. Other
 * errors: WG_ESHAPE; WG_EARG for read-only memory or an into whose elements overlap; WG_EDTYPE for an into in blocks;
 * WG_EDEVICE from meta. */
WG_API WG_MUST_CHECK wg_status wg_assign(wg_tensor *into, wg_tensor *from);
/** The one element as a double: NaN and an error if t has not exactly one. */
WG_API double wg_item(wg_tensor *t);
/** The same as an integer (floats are truncated): exact for i64; 0 and an error if t has not exactly one element. */
WG_API int64_t wg_item_int(wg_tensor *t);
/** The first element, on the CPU; NULL for an empty tensor; NULL and WG_EDEVICE on another device. */
WG_API const void *wg_data(wg_tensor *t);
/** The same for writing: bumps the version; refuses read-only and self-overlapping tensors, and blocks. */
WG_API void *wg_data_write(wg_tensor *t);
/** Prints as NumPy does with precision 4; beyond 1,000 elements three at both ends of each axis. Behind the numbers what
 * they do not show: the shape if it is shortened or empty, the dtype unless it is f32, the device unless it is the CPU:
 * `[1 2 3] i64`. Of blocks the dequantised values. */
WG_API void wg_print(FILE *f, wg_tensor *t);

/* ---- memory ---------------------------------------------------------------------------------------------- */
typedef struct {
    int64_t current; /**< bytes in live storages */
    int64_t peak;    /**< the largest `current` since the start or wg_memory_reset_peak */
    int64_t cached;  /**< bytes kept for reuse */
    int64_t tensors; /**< live storages */
} wg_memory;
/** By device (the 16th CUDA device and later ones together); `meta` counts what would be allocated. Exact for what this thread did and for ended threads; of
 * another running thread up to 64 KiB may be missing. */
WG_API wg_memory wg_memory_stats(wg_device d);
WG_API void wg_memory_reset_peak(wg_device d);
/** Gives memory kept for reuse back to the system (what other running threads keep for themselves stays). */
WG_API void wg_memory_trim(void);

/* ---- CUDA devices ------------------------------------------------------------------------------------------- */
/** How many CUDA devices there are; 0 without a driver, and in a library built without CUDA. Raises nothing. */
WG_API int wg_cuda_device_count(void);
/** Waits until everything that was asked of a CUDA device is done, and raises what its kernels have reported meanwhile
 * (an index out of range, with the op's name). Nothing to wait for on the CPU and on meta.
 * Errors: WG_EDEVICE without such a device, and for a failure of the device; WG_EINDEX and others from kernels. */
WG_API wg_status wg_synchronize(wg_device d);

/* ---- random numbers: Philox 4x32-10 (Salmon et al. 2011), one generator per thread ------------------------- */
typedef struct {
    uint64_t seed, offset;
} wg_generator;
/** Seeds this thread's generator and sets its offset to 0. Every thread begins with seed 0: give each its own. */
WG_API void wg_seed(uint64_t seed);
WG_API wg_generator wg_generator_get(void);
WG_API void wg_generator_set(wg_generator g);

/* ---- threads ------------------------------------------------------------------------------------------------ */
/** Threads that kernels use; n = 0: all that the affinity mask allows. Results do not depend on it. */
WG_API void wg_use_threads(int n);
WG_API int wg_threads(void);

#ifdef __cplusplus
}
#endif
#define wg_from(...) WG_HERE(wg_from(__VA_ARGS__))
#define wg_wrap(...) WG_HERE(wg_wrap(__VA_ARGS__))
#define wg_read(...) WG_HERE(wg_read(__VA_ARGS__))
#define wg_assign(...) WG_HERE(wg_assign(__VA_ARGS__))
#define wg_item(...) WG_HERE(wg_item(__VA_ARGS__))
#define wg_item_int(...) WG_HERE(wg_item_int(__VA_ARGS__))
#define wg_data(...) WG_HERE(wg_data(__VA_ARGS__))
#define wg_data_write(...) WG_HERE(wg_data_write(__VA_ARGS__))
#endif
