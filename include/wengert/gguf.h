/* GGUF, the file format of llama.cpp and ggml: metadata of named values, tensors in ggml's types.
 * Versions 2 and 3, little-endian.
 * Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
#ifndef WENGERT_GGUF_H
#define WENGERT_GGUF_H
#include "base.h"
#ifdef __cplusplus
extern "C" {
#endif

/** The types of metadata, numbered as in files. */
typedef enum {
    WG_GGUF_NONE = -1, /**< there is no such key */
    WG_GGUF_U8,
    WG_GGUF_I8,
    WG_GGUF_U16,
    WG_GGUF_I16,
    WG_GGUF_U32,
    WG_GGUF_I32,
    WG_GGUF_F32,
    WG_GGUF_BOOL,
    WG_GGUF_STRING,
    WG_GGUF_ARRAY, /**< of one type, never of arrays: those are refused */
    WG_GGUF_U64,
    WG_GGUF_I64,
    WG_GGUF_F64
} wg_gguf_type;

/* ---- reading --------------------------------------------------------------------------------- */
/** An open file. May be read by many threads. */
typedef struct wg_gguf wg_gguf;
/** Maps the file and checks all of its header before anything is made of it: counts and lengths
 * against the bytes that are left, at most 4 dimensions whose product fits, rows of whole blocks,
 * data aligned, inside the file and without overlap, keys and names that occur once. Yours, to be
 * closed. NULL and WG_ENOTFOUND, WG_EIO, WG_EFORMAT (with the key or tensor and what is wrong) or
 * WG_EMEM. */
WG_API wg_gguf *wg_gguf_open(const char *path);
/** NULL is fine. Tensors got from the file live on. */
WG_API void wg_gguf_close(wg_gguf *f);
/** 2 or 3; 0 for NULL. */
WG_API int wg_gguf_version(const wg_gguf *f);

/** How many keys; 0 for NULL. */
WG_API int64_t wg_gguf_key_count(const wg_gguf *f);
/** Key i in the file's order, valid until the file is closed; NULL out of range. */
WG_API const char *wg_gguf_key(const wg_gguf *f, int64_t i);
WG_API bool wg_gguf_has(const wg_gguf *f, const char *key);
WG_API wg_gguf_type wg_gguf_key_type(const wg_gguf *f, const char *key);
/** The type of an array's elements; WG_GGUF_NONE for what is no array. */
WG_API wg_gguf_type wg_gguf_array_type(const wg_gguf *f, const char *key);
/** The value of an integer or bool; `otherwise` if there is no such key. A value of another type,
 * or above the range: `otherwise` and WG_EFORMAT. */
WG_API int64_t wg_gguf_int(const wg_gguf *f, const char *key, int64_t otherwise);
/** The same for any number. */
WG_API double wg_gguf_double(const wg_gguf *f, const char *key, double otherwise);
/** A string, terminated by a NUL and valid until the file is closed; *bytes (may be NULL) without
 * the NUL, for strings that hold one. NULL if there is no such key, and for a value of another type
 * (WG_EFORMAT). */
WG_API const char *wg_gguf_string(const wg_gguf *f, const char *key, int64_t *bytes);
/** Elements of an array; -1 if there is no such key or it is no array. */
WG_API int64_t wg_gguf_array_size(const wg_gguf *f, const char *key);
/** Element i, as wg_gguf_string gives one. WG_EFORMAT: no array of strings; WG_EINDEX. The time
 * does not depend on the array's size. */
WG_API const char *wg_gguf_array_string(const wg_gguf *f, const char *key, int64_t i,
                                        int64_t *bytes);
/** Element i; 0 and WG_EFORMAT if this is no array of integers (of numbers), WG_EINDEX. */
WG_API int64_t wg_gguf_array_int(const wg_gguf *f, const char *key, int64_t i);
WG_API double wg_gguf_array_double(const wg_gguf *f, const char *key, int64_t i);

/** How many tensors; 0 for NULL. */
WG_API int64_t wg_gguf_count(const wg_gguf *f);
/** The name of tensor i in the file's order, valid until the file is closed; NULL out of range. */
WG_API const char *wg_gguf_name(const wg_gguf *f, int64_t i);
/** Its dtype; 0 for one of ggml's types that this library lacks (it cannot be got), and out of
 * range. */
WG_API wg_dtype wg_gguf_dtype(const wg_gguf *f, int64_t i);
/** Its shape, row-major: ggml's dimensions reversed. No dimensions out of range. */
WG_API wg_dims wg_gguf_shape(const wg_gguf *f, int64_t i);
/** The tensor by name, in the innermost scope, on the CPU. It shares the mapping and refuses
 * writes; one that lies misaligned is copied. NULL if there is none (no error); WG_EDTYPE, naming
 * tensor and type, for one of ggml's types that this library lacks. */
WG_API wg_tensor *wg_gguf_get(wg_gguf *f, const char *name);

/* ---- writing --------------------------------------------------------------------------------- */
/** What becomes a file, collected first: metadata are copied, tensors referenced. One thread's
 * business. A put that fails raises, and the pending error keeps wg_gguf_write from writing. */
typedef struct wg_gguf_writer wg_gguf_writer;
/** Yours, to be freed with wg_gguf_writer_free; NULL and WG_EMEM. */
WG_API wg_gguf_writer *wg_gguf_writer_new(void);
/** NULL is fine. */
WG_API void wg_gguf_writer_free(wg_gguf_writer *w);
/** Sets a key to an integer or bool of type t; as all of these it replaces what the key had.
 * WG_EARG: no writer, a key that is empty or above 65,535 bytes, another type, a value outside it.
 */
WG_API void wg_gguf_put_int(wg_gguf_writer *w, const char *key, wg_gguf_type t, int64_t value);
/** WG_GGUF_F32 or WG_GGUF_F64. */
WG_API void wg_gguf_put_double(wg_gguf_writer *w, const char *key, wg_gguf_type t, double value);
/** bytes -1: up to the NUL. */
WG_API void wg_gguf_put_string(wg_gguf_writer *w, const char *key, const char *text, int64_t bytes);
/** n numbers of type t (bools as bytes), in memory as in the file. */
WG_API void wg_gguf_put_array(wg_gguf_writer *w, const char *key, wg_gguf_type t,
                              const void *values, int64_t n);
/** bytes: (n), or NULL for strings up to their NULs. */
WG_API void wg_gguf_put_strings(wg_gguf_writer *w, const char *key, const char *const *texts,
                                const int64_t *bytes, int64_t n);
/** The key as f has it; NULL: every key of f. WG_ENOTFOUND. */
WG_API void wg_gguf_put_from(wg_gguf_writer *w, const wg_gguf *f, const char *key);
/** Adds a tensor and holds a reference to it: f32, f16, bf16, f64, i32, i64 or a block dtype, at
 * most 4 dimensions, any strides and device. WG_EARG: a name twice, empty, or above the 63 bytes
 * that ggml takes; WG_ESHAPE, WG_EDTYPE, WG_EDEVICE (meta). */
WG_API void wg_gguf_put_tensor(wg_gguf_writer *w, const char *name, wg_tensor *t);
/** Writes version 3: keys and tensors in the order they came, ggml's order of dimensions, data
 * aligned to 32 bytes or to the key general.alignment. Written to PATH.tmp, synced, renamed: whole
 * or not at all. A pending error is returned and nothing is written. WG_EIO, WG_EMEM, WG_EARG. */
WG_API WG_MUST_CHECK wg_status wg_gguf_write(wg_gguf_writer *w, const char *path);

#ifdef __cplusplus
}
#endif
#define wg_gguf_open(...) WG_HERE(wg_gguf_open(__VA_ARGS__))
#define wg_gguf_get(...) WG_HERE(wg_gguf_get(__VA_ARGS__))
#define wg_gguf_put_int(...) WG_HERE(wg_gguf_put_int(__VA_ARGS__))
#define wg_gguf_put_double(...) WG_HERE(wg_gguf_put_double(__VA_ARGS__))
#define wg_gguf_put_string(...) WG_HERE(wg_gguf_put_string(__VA_ARGS__))
#define wg_gguf_put_array(...) WG_HERE(wg_gguf_put_array(__VA_ARGS__))
#define wg_gguf_put_strings(...) WG_HERE(wg_gguf_put_strings(__VA_ARGS__))
#define wg_gguf_put_from(...) WG_HERE(wg_gguf_put_from(__VA_ARGS__))
#define wg_gguf_put_tensor(...) WG_HERE(wg_gguf_put_tensor(__VA_ARGS__))
#define wg_gguf_write(...) WG_HERE(wg_gguf_write(__VA_ARGS__))
#endif
