/* Modules: named parameters, buffers and children; everything that walks over them. */
#ifndef WENGERT_MODULE_H
#define WENGERT_MODULE_H
#include "base.h"
#include "scope.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct wg_module wg_module;
typedef struct wg_module_type wg_module_type;

/** The head of every layer's struct: `typedef struct { wg_module base; ... } my_layer;` */
struct wg_module {
    const wg_module_type *type;
    struct wg_module_state *state; /**< the library's own */
    bool training;
};
struct wg_module_type {
    const char *name;
    size_t size;                                      /**< of the layer's struct */
    void (*init)(wg_module *m, const void *config);   /**< runs in a scope of its own; may raise */
    wg_tensor *(*forward)(wg_module *m, wg_tensor *x); /**< may be NULL: then only a typed forward exists */
    void (*destroy)(wg_module *m);                    /**< only for what was not registered; may be NULL */
};

/** Allocates type->size zeroed bytes, runs init. When init raised: everything is freed, NULL. */
WG_API wg_module *wg_module_new(const wg_module_type *type, const void *config);
/** Frees the module, its children and its parameters. NULL is fine. */
WG_API void wg_module_free(wg_module *m);

/* ---- inside init ------------------------------------------------------------------------------------------ */
/** Registers value as a parameter (a leaf that requires a gradient) under name and stores it in *slot. */
WG_API void wg_param(wg_module *m, const char *name, wg_tensor **slot, wg_tensor *value);
/** The same for a tensor that is saved and moved but not trained. */
WG_API void wg_buffer(wg_module *m, const char *name, wg_tensor **slot, wg_tensor *value);
/** Takes over child (freed with m, and at once if this fails). Dotted names are allowed; "" is transparent in paths. */
WG_API void wg_child(wg_module *m, const char *name, wg_module **slot, wg_module *child);
/** The parameter at path becomes the same tensor as the one at `to`. It counts once, under its first name. */
WG_API void wg_tie(wg_module *m, const char *path, const char *to);

/* ---- running ------------------------------------------------------------------------------------------------ */
/** type->forward in a scope of its own, with the module's path, device and dtype, hooks, and recomputation if flagged. */
WG_API wg_tensor *wg_forward(wg_module *m, wg_tensor *x);
/** The same for a forward of any signature: end it with wg_scope_return. */
WG_API wg_scope wg_module_enter(wg_module *m);
typedef void (*wg_forward_hook)(void *self, wg_module *m, wg_tensor *x, wg_tensor *y);
/** Called after every wg_forward of m. */
WG_API void wg_module_hook(wg_module *m, wg_forward_hook fn, void *self);

/* ---- looking: paths are dotted, `h.3.mlp.gate.weight` -------------------------------------------------------- */
typedef struct {
    const char *name;
    wg_tensor *tensor;
    wg_module *owner;
} wg_param_ref;
typedef struct {
    int64_t n;
    const wg_param_ref *p;
} wg_params;
typedef struct {
    const char *name;
    wg_module *module;
} wg_named_module;
typedef struct {
    int64_t n;
    const wg_named_module *m;
} wg_modules;
/** Parameters in order of registration, tied ones once. These lists live as long as the innermost scope. */
WG_API wg_params wg_module_params(wg_module *m);
WG_API wg_params wg_module_buffers(wg_module *m);
/** Parameters and buffers: what is saved. */
WG_API wg_params wg_module_state(wg_module *m);
/** m itself ("") and everything below it, depth first. */
WG_API wg_modules wg_module_all(wg_module *m);
/** NULL and WG_ENOTFOUND where there is none. */
WG_API wg_module *wg_module_at(wg_module *m, const char *path);
WG_API wg_tensor *wg_module_tensor(wg_module *m, const char *path);
WG_API bool wg_module_is(const wg_module *m, const wg_module_type *type);
/** m as a type's struct; NULL and an error if it is another. */
WG_API void *wg_module_as(wg_module *m, const wg_module_type *type);
/** Replaces the child at path; returns the old one, now yours. other = NULL leaves the place empty until the next swap. */
WG_API wg_module *wg_module_swap(wg_module *m, const char *path, wg_module *other);
/** Glob: `*` any run of characters, `?` one. */
WG_API bool wg_match(const char *pattern, const char *name);

/* ---- changing all of it ----------------------------------------------------------------------------------------- */
/** Parameters and buffers move; the tensors stay the same handles. Raises while a graph holds one. */
WG_API void wg_module_to(wg_module *m, wg_device d);
/** Floating parameters and buffers change dtype. */
WG_API void wg_module_cast(wg_module *m, wg_dtype t);
WG_API void wg_module_train(wg_module *m, bool on);
WG_API void wg_module_freeze(wg_module *m, bool frozen);
/** Marks m: wg_forward keeps none of its intermediates and computes them again in backward. */
WG_API void wg_module_recompute(wg_module *m, bool on);
WG_API void wg_module_apply(wg_module *m, void (*fn)(void *self, wg_module *m), void *self);
/** A table of modules with shapes, parameters, and for an input x FLOPs and output shapes (run on `meta`). x may be NULL. */
WG_API void wg_module_summary(FILE *f, wg_module *m, wg_tensor *x);
/** wg_gradcheck of the module's forward with respect to x and every parameter. */
WG_API wg_status wg_module_gradcheck(wg_module *m, wg_tensor *x, FILE *report);

/* ---- state dict: safetensors ------------------------------------------------------------------------------------ */
/** strict: every tensor of the file is used and every one of the module is found; shapes must match. */
WG_API WG_MUST_CHECK wg_status wg_module_load(wg_module *m, const char *path, bool strict);
/** Written whole or not at all. */
WG_API WG_MUST_CHECK wg_status wg_module_save(wg_module *m, const char *path);

#ifdef __cplusplus
}
#endif
#define wg_forward(...) WG_HERE(wg_forward(__VA_ARGS__))
#define wg_module_enter(...) WG_HERE(wg_module_enter(__VA_ARGS__))
#define wg_module_new(...) WG_HERE(wg_module_new(__VA_ARGS__))
#define wg_module_at(...) WG_HERE(wg_module_at(__VA_ARGS__))
#define wg_module_tensor(...) WG_HERE(wg_module_tensor(__VA_ARGS__))
#endif
