/* Scopes own tensors, lists and this thread's settings. */
#ifndef WENGERT_SCOPE_H
#define WENGERT_SCOPE_H
#include "base.h"
#ifdef __cplusplus
extern "C" {
#endif

/** A value, so that a stale one is recognised. */
typedef struct {
    uint64_t id;
} wg_scope;

/** Opens a scope: every tensor that an op returns from now on belongs to it. */
WG_API wg_scope wg_scope_push(void);
/** Ends s and inner scopes left open, releases what they own, restores the settings. Returns the pending error.
 * Errors: WG_ESCOPE if s is not open on this thread; then nothing is released. */
WG_API WG_MUST_CHECK wg_status wg_scope_pop(wg_scope s);
/** Hands t to the scope around s; s stays open. Returns t; NULL for NULL. */
WG_API wg_tensor *wg_scope_keep(wg_scope s, wg_tensor *t);
/** wg_scope_keep, then ends s. t may be NULL; errors stay pending. */
WG_API wg_tensor *wg_scope_return(wg_scope s, wg_tensor *t);

/* Settings: they hold until the innermost scope ends. */
/** Off: ops are not recorded, and tensors may be written in place. */
WG_API void wg_use_grad(bool on);
/** Where new tensors are made. Errors: WG_EDEVICE. */
WG_API void wg_use_device(wg_device d);
/** The dtype of new floating tensors: WG_F32 unless set. Errors: WG_EDTYPE unless t is floating. */
WG_API void wg_use_dtype(wg_dtype t);
/** Products and attention run in t (WG_BF16 or WG_F16), and embeddings of f32 parameters give t, so that what flows from
 * layer to layer has 16 bits; 0 ends it. Of each parameter that they take a copy in t is kept, tables too. Norms and losses
 * compute in f32, norms write x's dtype; softmax and losses give f32. */
WG_API void wg_use_autocast(wg_dtype t);
WG_API bool wg_grad_is_on(void);
WG_API wg_device wg_current_device(void);
WG_API wg_dtype wg_current_dtype(void);
WG_API wg_dtype wg_current_autocast(void);

/** One more reference, yours; returns t. */
WG_API wg_tensor *wg_ref(wg_tensor *t);
/** Drops a reference of yours and nulls *t. NULL is fine; without a wg_ref of yours: WG_ESCOPE, and nothing happens. */
WG_API void wg_unref(wg_tensor **t);
/** References the new, drops the old: tensors in structs. t may be NULL. */
WG_API void wg_set(wg_tensor **slot, wg_tensor *t);
/** n empty slots that live as long as the innermost scope; n = 0 on failure (raised). */
WG_API wg_list wg_list_new(int64_t n);
/** bytes of zeroed memory that live as long as the innermost scope; NULL on failure (raised). */
WG_API void *wg_scope_alloc(size_t bytes);

#ifdef __cplusplus
}
#endif
#define wg_scope_push() WG_HERE(wg_scope_push())
#define wg_ref(...) WG_HERE(wg_ref(__VA_ARGS__))
#endif
