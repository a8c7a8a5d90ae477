/* Values that everything else is written in: dimensions, lists, dtypes, devices, status codes.
 * Plain C17, also C++17. */
#ifndef WENGERT_BASE_H
#define WENGERT_BASE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if defined(__GNUC__)
#define WG_API __attribute__((visibility("default")))
#define WG_MUST_CHECK __attribute__((warn_unused_result))
#define WG_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define WG_API
#define WG_MUST_CHECK
#define WG_PRINTF(f, a)
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum { WG_MAX_DIMS = 8, WG_MAX_INPUTS = 8, WG_MAX_OUTPUTS = 8 };

/** A tensor: a view (dtype, shape, element strides, offset) on a reference-counted storage. */
typedef struct wg_tensor wg_tensor;

/** A shape, axes, sizes or strides, by value. n > 8 or n < 0 marks an invalid value, which raises where it is used. */
typedef struct {
    int n;
    int64_t d[WG_MAX_DIMS];
} wg_dims;

/** Tensors borrowed for a call; a NULL entry is an absent optional input. */
typedef struct {
    int64_t n;
    wg_tensor **t;
} wg_list;

/** An option whose 0 is a real choice: `.ignore_index = WG_JUST(0)`. */
typedef struct {
    bool set;
    int64_t value;
} wg_maybe;

typedef enum { WG_CPU, WG_CUDA, WG_META } wg_device_kind;

/** Where data lies. Device `meta` has shapes and dtypes and no data. */
typedef struct {
    wg_device_kind kind;
    int index;
} wg_device;

/** Element types. 0 is none: in options it means "the default". */
typedef enum {
    WG_F64 = 1,
    WG_F32,
    WG_BF16,
    WG_F16,
    WG_I64,
    WG_I32,
    WG_U8,
    WG_BOOL,
    WG_DTYPE_COUNT, /**< the types above have an element each; those below come in blocks */
    WG_Q4_0 = 32,   /**< block-quantised weights, read-only, in GGUF's layouts */
    WG_Q4_1,
    WG_Q5_0,
    WG_Q5_1,
    WG_Q8_0,
    WG_Q2_K,
    WG_Q3_K,
    WG_Q4_K,
    WG_Q5_K,
    WG_Q6_K,
    WG_BLOCK_DTYPE_END
} wg_dtype;

typedef enum {
    WG_OK,
    WG_EARG,      /**< an argument is out of its range */
    WG_ESHAPE,    /**< shapes do not fit */
    WG_EDTYPE,    /**< a dtype does not fit */
    WG_EDEVICE,   /**< devices do not fit, or a device failed */
    WG_EINDEX,    /**< an index is out of range */
    WG_EGRAD,     /**< the tape cannot do what was asked */
    WG_ESCOPE,    /**< a scope or a handle was used after its end */
    WG_EMEM,      /**< out of memory */
    WG_EIO,       /**< the operating system refused a file */
    WG_EFORMAT,   /**< a file's content is malformed */
    WG_ENOTFOUND, /**< no such file, parameter, child */
    WG_ENUMERIC   /**< a value that must be finite is not */
} wg_status;

typedef enum { WG_MEAN, WG_SUM, WG_NONE } wg_reduction;
/** wg_gelu, with tanh false and true; wg_relu; wg_silu. */
typedef enum { WG_ACT_GELU, WG_ACT_GELU_TANH, WG_ACT_RELU, WG_ACT_SILU } wg_activation;

static inline wg_device wg_cpu(void)
{
    wg_device d = { WG_CPU, 0 };
    return d;
}
static inline wg_device wg_cuda(int index)
{
    wg_device d = { WG_CUDA, index };
    return d;
}
static inline wg_device wg_meta(void)
{
    wg_device d = { WG_META, 0 };
    return d;
}

/** Bytes of one element; 0 for an unknown dtype and for one that comes in blocks. */
WG_API size_t wg_dtype_size(wg_dtype t);
/** Elements of a block, consecutive along the last axis: 32 or 256; 1 for types with an element
 * each; 0 for an unknown dtype. */
WG_API int64_t wg_dtype_block(wg_dtype t);
/** Bytes of a block. */
WG_API size_t wg_dtype_block_bytes(wg_dtype t);
/** "f32", "bf16", "i64", ... */
WG_API const char *wg_dtype_name(wg_dtype t);
/** f64, f32, bf16, f16. */
WG_API bool wg_dtype_is_float(wg_dtype t);
/** "WG_ESHAPE", ... */
WG_API const char *wg_status_name(wg_status s);

/** All axes, as in `wg_sum(x, WG_ALL, false)`; `WG_DIMS()` is none (0-d). */
extern WG_API const wg_dims WG_ALL;
#define WG_KEEPDIM true

/** n > 8: an invalid value, which raises where it is used. */
WG_API wg_dims wg_dims_make(int n, const int64_t *d);

/** Notes the caller's place for error messages: two thread-local stores. */
WG_API void wg_at(const char *file, int line);

#ifdef __cplusplus
}
#endif

/* The library's own calls keep the place of the outermost user's call. */
#ifdef WG_BUILDING
#define WG_HERE(call) (call)
#else
#define WG_HERE(call) (wg_at(__FILE__, __LINE__), call)
#endif

#ifndef __cplusplus
#define WG_COUNT(...) ((int)(sizeof((const int64_t[]) { 0, __VA_ARGS__ }) / sizeof(int64_t)) - 1)
#define WG_DIMS(...) wg_dims_make(WG_COUNT(__VA_ARGS__), (const int64_t[]) { 0, __VA_ARGS__ } + 1)
#define WG_LIST(...)                                                                               \
    ((wg_list) { sizeof((wg_tensor *[]) { __VA_ARGS__ }) / sizeof(wg_tensor *),                    \
                 (wg_tensor *[]) { __VA_ARGS__ } })
#define WG_NO_LIST ((wg_list) { 0, NULL })
#define WG_ARGS(T, ...) ((T) { __VA_ARGS__, .end = 0 })
#define WG_JUST(v) ((wg_maybe) { true, (v) })
#else
#include <initializer_list>
template <class... A> static inline wg_dims wg_dims_of(A... a)
{
    const int64_t d[] = { 0, (int64_t)a... };
    return wg_dims_make((int)sizeof...(a), d + 1);
}
static inline wg_list wg_list_of(std::initializer_list<wg_tensor *> l)
{
    wg_list r = { (int64_t)l.size(), const_cast<wg_tensor **>(l.begin()) };
    return r;
}
#define WG_DIMS(...) wg_dims_of(__VA_ARGS__)
#define WG_LIST(...) wg_list_of({ __VA_ARGS__ })
#define WG_NO_LIST wg_list_of({})
#define WG_ARGS(T, ...)                                                                            \
    T                                                                                              \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define WG_JUST(v)                                                                                 \
    wg_maybe                                                                                       \
    {                                                                                              \
        true, (v)                                                                                  \
    }
#endif
#endif
