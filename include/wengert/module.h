/* Modules: named parameters, buffers and children; everything that walks over them.
 *
 * A module owns its parameters, buffers and children, and one parent (or the user) owns it. Every
 * function takes a NULL module and answers with WG_EARG (wg_module_free and wg_module_is: with
 * nothing). Forward only reads a module, so that threads may share one; changing it is one thread's
 * business. */
#ifndef WENGERT_MODULE_H
#define WENGERT_MODULE_H
#include "base.h"
#include "op.h"
#include "scope.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct wg_module wg_module;
typedef struct wg_module_type wg_module_type;

/** The head of every layer's struct: `typedef struct { wg_module base; ... } my_layer;`. training
 * starts true. */
struct wg_module {
    const wg_module_type *type;
    struct wg_module_state *state; /**< the library's own */
    bool training;                 /**< set by wg_module_train; dropout and its like read it */
};
struct wg_module_type {
    const char *name;
    size_t size;                                    /**< of the layer's struct */
    void (*init)(wg_module *m, const void *config); /**< runs in a scope of its own; may raise */
    wg_tensor *(*forward)(wg_module *m,
                          wg_tensor *x); /**< may be NULL: then only a typed forward exists */
    void (*destroy)(wg_module *m);       /**< only for what was not registered; may be NULL */
};

/** Allocates type->size zeroed bytes and runs init, with gradients off, in a scope of its own. When
 * init raised: destroy runs, everything is freed, NULL. NULL also while an error is pending:
 * constructors nest without checks. */
WG_API wg_module *wg_module_new(const wg_module_type *type, const void *config);
/** Frees the module, its children and its parameters. NULL is fine. A module that has a parent is
 * refused (WG_EARG): wg_module_swap takes it out first. */
WG_API void wg_module_free(wg_module *m);

/* ---- inside init ----------------------------------------------------------------------------- */
/** Registers value as a parameter (a contiguous leaf that requires a gradient: detached if it has a
 * history) under name, holds a reference and stores it in *slot. Floating dtypes only. A value that
 * is a parameter already is tied; a read-only one (a file's) is copied.
 * WG_EARG: no name, no slot, or a name that is taken. */
WG_API void wg_param(wg_module *m, const char *name, wg_tensor **slot, wg_tensor *value);
/** The same for a tensor that is saved and moved but not trained. */
WG_API void wg_buffer(wg_module *m, const char *name, wg_tensor **slot, wg_tensor *value);
/** Takes over child (freed with m, and at once if this fails) and stores it in *slot, which must
 * not move afterwards. Dotted names are allowed; "" is transparent in paths: the child's names
 * appear as m's own. A NULL child is an error, so that a constructor's result is given directly.
 * WG_EARG: a name that is taken; a child that has a parent. */
WG_API void wg_child(wg_module *m, const char *name, wg_module **slot, wg_module *child);
/** The parameter at path becomes the same tensor as the one at `to` (its own is dropped, whatever
 * its dtype and device). It counts once, under its first name. WG_ENOTFOUND; WG_ESHAPE for another
 * shape, or a buffer with a parameter. */
WG_API void wg_tie(wg_module *m, const char *path, const char *to);

/* ---- running --------------------------------------------------------------------------------- */
/** type->forward in a scope of its own, with the module's path (for messages), the device and dtype
 * of its first floating parameter (for new tensors), hooks, and recomputation if flagged. The error
 * tensor for NULL and error arguments and for a type without forward. */
WG_API wg_tensor *wg_forward(wg_module *m, wg_tensor *x);
/** The same scope, path, device and dtype for a forward of any signature: end it with
 * wg_scope_return. Hooks belong to wg_forward alone; recomputation: wg_module_run. */
WG_API wg_scope wg_module_enter(wg_module *m);
/** fn(self, in) -> out, between wg_module_enter and wg_scope_return: through wg_recompute if m is
 * flagged (and gradients are on), in the training mode of the first run; else directly. *self is
 * copied. Tensors that want gradients go through `in` (NULL: absent). */
WG_API void wg_module_run(wg_module *m, wg_fn fn, const void *self, size_t bytes, wg_list in,
                          wg_list out);
typedef void (*wg_forward_hook)(void *self, wg_module *m, wg_tensor *x, wg_tensor *y);
/** Called after every wg_forward of m, inside its scope, in order of registration; not again by a
 * recomputation. */
WG_API void wg_module_hook(wg_module *m, wg_forward_hook fn, void *self);

/* ---- looking: paths are dotted, `h.3.mlp.gate.weight` ---------------------------------------- */
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
/** Parameters, a module's own before its children's, in order of registration, tied ones once,
 * frozen ones too. These lists live as long as the innermost scope. */
WG_API wg_params wg_module_params(wg_module *m);
WG_API wg_params wg_module_buffers(wg_module *m);
/** Parameters and buffers: what is saved. */
WG_API wg_params wg_module_state(wg_module *m);
/** m itself ("") and everything below it, depth first; what stands in a transparent place has its
 * parent's name. */
WG_API wg_modules wg_module_all(wg_module *m);
/** The module at path, "" for m itself; NULL and WG_ENOTFOUND where there is none (the message
 * names what there is). */
WG_API wg_module *wg_module_at(wg_module *m, const char *path);
/** The parameter or buffer at path, borrowed; NULL and WG_ENOTFOUND where there is none. */
WG_API wg_tensor *wg_module_tensor(wg_module *m, const char *path);
WG_API bool wg_module_is(const wg_module *m, const wg_module_type *type);
/** m as a type's struct; NULL and an error if it is another. */
WG_API void *wg_module_as(wg_module *m, const wg_module_type *type);
/** Puts other at path ("": the transparent child) and into its parent's slot; returns the old one,
 * now yours. other = NULL leaves the place empty until the next swap. Takes other over: it is freed
 * at once if the path is not found. Names and lists that were taken before keep naming the old one.
 */
WG_API wg_module *wg_module_swap(wg_module *m, const char *path, wg_module *other);
/** Glob over the whole name: `*` any run of characters (dots too), `?` one. NULL matches nothing.
 */
WG_API bool wg_match(const char *pattern, const char *name);

/* ---- changing all of it ---------------------------------------------------------------------- */
/** Parameters, gradients and buffers move; the tensors stay the same handles, so that optimizers,
 * ties and pointers stay valid. WG_EGRAD, and nothing is changed, while a graph holds one for
 * backward. One tensor moves at a time; out of memory half-way leaves the others where they were.
 */
WG_API void wg_module_to(wg_module *m, wg_device d);
/** The same for dtype: floating parameters, gradients and buffers change. Those in blocks are dequantised, mapped ones
 * get memory of their own that can be written; both stay frozen until wg_module_freeze(m, false). */
WG_API void wg_module_cast(wg_module *m, wg_dtype t);
/** The parameter or buffer at path (any of a tied one's names) takes over value's storage, dtype and device; the handle
 * stays. The memory is shared: nothing is copied unless value is not contiguous. A parameter whose value is in blocks or
 * read-only (mapped) is frozen from then on; the gradient of the old value is dropped. WG_ENOTFOUND; WG_ESHAPE names both
 * shapes; WG_EDTYPE for a parameter that would be neither floating nor in blocks; WG_EGRAD while a graph holds it. */
WG_API void wg_module_put(wg_module *m, const char *path, wg_tensor *value);
/** The weights of all Linears here and below, those whose full name matches the glob (NULL: every one), become blocks of
 * t: q4_0, q4_1, q5_0, q5_1 or q8_0; they are frozen from then on. Left as they are: weights whose rows the block does not
 * divide, those kept as (in, out), and embeddings, unless they are tied to such a weight. Weights in other blocks are
 * quantised anew. WG_EDTYPE for another t, WG_ENOTFOUND if no name matches, WG_EGRAD (and nothing is changed) while a graph
 * holds one. */
WG_API void wg_module_quantize(wg_module *m, const char *pattern, wg_dtype t);
/** Sets `training` here and below. */
WG_API void wg_module_train(wg_module *m, bool on);
/** Frozen parameters require no gradient (and lose the one they have), here and below; a tied one
 * wherever it is. frozen = false: a mapped parameter is copied into memory of its own (WG_EGRAD while a graph holds it),
 * one in blocks stays frozen: wg_module_cast makes floats of it. */
WG_API void wg_module_freeze(wg_module *m, bool frozen);
/** Marks m (not what is below): wg_forward keeps none of its intermediates and computes them again
 * in backward, with the same random numbers and mode. Gradients are bit-identical. */
WG_API void wg_module_recompute(wg_module *m, bool on);
/** Calls fn for everything below m, then for m. */
WG_API void wg_module_apply(wg_module *m, void (*fn)(void *self, wg_module *m), void *self);
/** A table of modules with parameters and their share, and for an input x with output shapes and
 * FLOPs: m runs forward on `meta` with x's shape and dtype, computing nothing. x may be NULL. A
 * module that was only entered, not run by wg_forward, shows "-". */
WG_API void wg_module_summary(FILE *f, wg_module *m, wg_tensor *x);
/** wg_gradcheck of the module's forward with respect to x and every parameter that is not frozen:
 * f64 is wanted. */
WG_API wg_status wg_module_gradcheck(wg_module *m, wg_tensor *x, FILE *report);

/* ---- state dict: safetensors ----------------------------------------------------------------- */
/** Copies the file's tensors into parameters and buffers of the same names, converting dtypes;
 * handles stay. A tied tensor is found under any of its names, the first one counts. strict: every
 * tensor of the file is used and every one of the module is found (WG_ENOTFOUND otherwise). Shapes
 * must match (WG_ESHAPE). Nothing is changed on failure. A module on `meta` gets its data here, on
 * the current device; a mapped parameter gets memory of its own and stays frozen; one in blocks takes none (WG_EDTYPE). */
WG_API WG_MUST_CHECK wg_status wg_module_load(wg_module *m, const char *path, bool strict);
/** Parameters and buffers under their first names; written whole or not at all. WG_EDTYPE for blocks, which safetensors
 * lacks. */
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
