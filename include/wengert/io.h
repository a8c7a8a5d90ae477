/* Files: safetensors, checkpoints. */
#ifndef WENGERT_IO_H
#define WENGERT_IO_H
#include "base.h"
#include "module.h"
#include "optim.h"
#ifdef __cplusplus
extern "C" {
#endif

/* ---- safetensors: 8 bytes header size, JSON header, data -------------------------------------------------- */
typedef struct wg_safetensors wg_safetensors;
/** Maps the file and checks all of it before anything else is allocated; NULL and WG_EFORMAT, WG_EIO, WG_ENOTFOUND. */
WG_API wg_safetensors *wg_safetensors_open(const char *path);
WG_API void wg_safetensors_close(wg_safetensors *f);
WG_API int64_t wg_safetensors_count(const wg_safetensors *f);
WG_API const char *wg_safetensors_name(const wg_safetensors *f, int64_t i);
/** The tensor by name, sharing the mapping (read-only); NULL if there is none (no error). */
WG_API wg_tensor *wg_safetensors_get(wg_safetensors *f, const char *name);
/** The value of a `__metadata__` key; NULL if there is none. */
WG_API const char *wg_safetensors_metadata(const wg_safetensors *f, const char *key);
typedef struct {
    const char *key, *value;
} wg_pair;
/** Writes tensors (any strides and device) under a temporary name, then renames: whole or not at all. */
WG_API WG_MUST_CHECK wg_status wg_safetensors_write(const char *path, wg_params tensors, const wg_pair *metadata, int64_t n);

/* ---- checkpoints --------------------------------------------------------------------------------------------- */
typedef struct wg_checkpoint wg_checkpoint;
/** Binds once what is saved and loaded alike; the random state always is. A crash at any moment leaves the last whole
 * checkpoint. */
WG_API wg_checkpoint *wg_checkpoint_new(void);
WG_API void wg_checkpoint_free(wg_checkpoint *c);
WG_API void wg_checkpoint_module(wg_checkpoint *c, const char *name, wg_module *m);
WG_API void wg_checkpoint_optim(wg_checkpoint *c, const char *name, wg_optim *o);
WG_API void wg_checkpoint_int(wg_checkpoint *c, const char *name, int64_t *v);
WG_API void wg_checkpoint_double(wg_checkpoint *c, const char *name, double *v);
struct wg_loader;
WG_API void wg_checkpoint_loader(wg_checkpoint *c, const char *name, struct wg_loader *l);
WG_API WG_MUST_CHECK wg_status wg_checkpoint_save(wg_checkpoint *c, const char *folder);
/** WG_ENOTFOUND where there is none. Changes nothing unless all of it fits. */
WG_API WG_MUST_CHECK wg_status wg_checkpoint_load(wg_checkpoint *c, const char *folder);

#ifdef __cplusplus
}
#endif
#endif
