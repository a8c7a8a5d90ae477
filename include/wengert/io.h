/* Files: raw bytes, safetensors, checkpoints. */
#ifndef WENGERT_IO_H
#define WENGERT_IO_H
#include "base.h"
#include "module.h"
#include "optim.h"
#ifdef __cplusplus
extern "C" {
#endif

/* ---- bytes ----------------------------------------------------------------------------------- */
/** A whole file, mapped read-only. May be read by many threads. */
typedef struct wg_file wg_file;
/** Yours, to be closed; NULL and WG_ENOTFOUND, WG_EIO or WG_EMEM. */
WG_API wg_file *wg_file_open(const char *path);
/** NULL is fine. Tensors got from the file live on. */
WG_API void wg_file_close(wg_file *f);
/** Its bytes, valid until it is closed; NULL for an empty file. */
WG_API const void *wg_file_data(const wg_file *f);
WG_API int64_t wg_file_bytes(const wg_file *f);
/** The row-major tensor that begins at byte `offset`, in the innermost scope, on the CPU. It shares
 * the mapping and refuses writes; one that lies misaligned is copied. WG_EARG: it does not lie in
 * the file; WG_ESHAPE, WG_EDTYPE. */
WG_API wg_tensor *wg_file_tensor(wg_file *f, int64_t offset, wg_dtype t, wg_dims shape);

/* ---- safetensors ----------------------------------------------------------------------------- */
/** An open file: 8 bytes header size, JSON header, data (https://github.com/huggingface/safetensors,
 * "Format"). May be read by many threads. */
typedef struct wg_safetensors wg_safetensors;
/** Maps the file and checks all of its header before anything is made of it: sizes without
 * overflow, offsets in bounds that match dtype and shape, no overlaps, no holes, no duplicate
 * names, at most 8 dimensions and 100 MB of header; dtypes F64 F32 F16 BF16 I64 I32 U8 BOOL. Yours,
 * to be closed; NULL and WG_ENOTFOUND, WG_EIO, WG_EFORMAT or WG_EMEM. */
WG_API wg_safetensors *wg_safetensors_open(const char *path);
/** NULL is fine. Tensors got from the file live on. */
WG_API void wg_safetensors_close(wg_safetensors *f);
/** How many tensors; 0 for NULL. */
WG_API int64_t wg_safetensors_count(const wg_safetensors *f);
/** The name of tensor i in the header's order, valid until the file is closed; NULL out of range.
 */
WG_API const char *wg_safetensors_name(const wg_safetensors *f, int64_t i);
/** The tensor by name, in the innermost scope, on the CPU. It shares the mapping and refuses
 * writes; one that lies misaligned in the file is copied. NULL if there is none (no error). A BOOL
 * that is neither 0 nor 1: WG_EFORMAT. */
WG_API wg_tensor *wg_safetensors_get(wg_safetensors *f, const char *name);
/** The value of a `__metadata__` key, valid until the file is closed; NULL if there is none. */
WG_API const char *wg_safetensors_metadata(const wg_safetensors *f, const char *key);
/** An entry of `__metadata__`. */
typedef struct {
    const char *key, *value;
} wg_pair;
/** Writes tensors (any strides and device; `owner` is not looked at) and n metadata pairs. Written
 * to PATH.tmp, synced, renamed: whole or not at all, and nothing left behind by a failure. Wide
 * dtypes come first, so that all lie aligned. A pending error is returned and nothing is written.
 * Errors: WG_EARG (a name twice, no UTF-8), WG_EDEVICE (meta), WG_EIO (also: another process is
 * writing the same file). */
WG_API WG_MUST_CHECK wg_status wg_safetensors_write(const char *path, wg_params tensors,
                                                    const wg_pair *metadata, int64_t n);

/* ---- checkpoints ----------------------------------------------------------------------------- */
/** What is saved and loaded alike, bound once by name; the thread's random state always is. Saved
 * as one safetensors file, FOLDER/checkpoint.safetensors, all numbers exactly, so that a resumed
 * run gives the same bits. */
typedef struct wg_checkpoint wg_checkpoint;
/** Yours, to be freed with wg_checkpoint_free; NULL and WG_EMEM. */
WG_API wg_checkpoint *wg_checkpoint_new(void);
/** NULL is fine. What was bound is not touched. */
WG_API void wg_checkpoint_free(wg_checkpoint *c);
/** Each of these binds something, which has to outlive c, under a name. WG_EARG if a name is taken,
 * is "random", or is the beginning of another up to a dot. */
WG_API void wg_checkpoint_module(wg_checkpoint *c, const char *name, wg_module *m);
WG_API void wg_checkpoint_optim(wg_checkpoint *c, const char *name, wg_optim *o);
WG_API void wg_checkpoint_scaler(wg_checkpoint *c, const char *name, wg_scaler *s);
WG_API void wg_checkpoint_int(wg_checkpoint *c, const char *name, int64_t *v);
WG_API void wg_checkpoint_double(wg_checkpoint *c, const char *name, double *v);
struct wg_loader;
WG_API void wg_checkpoint_loader(wg_checkpoint *c, const char *name, struct wg_loader *l);
/** Makes the folder if need be and replaces the checkpoint in it. A crash at any moment leaves the
 * last whole one. While an error is pending it changes nothing and returns it. */
WG_API WG_MUST_CHECK wg_status wg_checkpoint_save(wg_checkpoint *c, const char *folder);
/** Puts back everything that is bound. WG_ENOTFOUND where there is no checkpoint; WG_EFORMAT,
 * WG_ESHAPE, WG_EDTYPE, WG_EARG where it does not fit what is bound, to the last name: nothing is
 * changed then. */
WG_API WG_MUST_CHECK wg_status wg_checkpoint_load(wg_checkpoint *c, const char *folder);

#ifdef __cplusplus
}
#endif
#define wg_file_open(...) WG_HERE(wg_file_open(__VA_ARGS__))
#define wg_file_tensor(...) WG_HERE(wg_file_tensor(__VA_ARGS__))
#define wg_safetensors_open(...) WG_HERE(wg_safetensors_open(__VA_ARGS__))
#define wg_safetensors_get(...) WG_HERE(wg_safetensors_get(__VA_ARGS__))
#define wg_safetensors_write(...) WG_HERE(wg_safetensors_write(__VA_ARGS__))
#define wg_checkpoint_new(...) WG_HERE(wg_checkpoint_new(__VA_ARGS__))
#define wg_checkpoint_module(...) WG_HERE(wg_checkpoint_module(__VA_ARGS__))
#define wg_checkpoint_optim(...) WG_HERE(wg_checkpoint_optim(__VA_ARGS__))
#define wg_checkpoint_scaler(...) WG_HERE(wg_checkpoint_scaler(__VA_ARGS__))
#define wg_checkpoint_int(...) WG_HERE(wg_checkpoint_int(__VA_ARGS__))
#define wg_checkpoint_double(...) WG_HERE(wg_checkpoint_double(__VA_ARGS__))
#define wg_checkpoint_loader(...) WG_HERE(wg_checkpoint_loader(__VA_ARGS__))
#define wg_checkpoint_save(...) WG_HERE(wg_checkpoint_save(__VA_ARGS__))
#define wg_checkpoint_load(...) WG_HERE(wg_checkpoint_load(__VA_ARGS__))
#endif
