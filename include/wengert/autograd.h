/* The tape: backward, gradients, hooks, recomputation, gradient checks. */
#ifndef WENGERT_AUTOGRAD_H
#define WENGERT_AUTOGRAD_H
#include "base.h"
#include "op.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Marks a leaf as requiring a gradient; returns t. Floating dtypes only. A tensor with a history is an error. */
WG_API wg_tensor *wg_require_grad(wg_tensor *t);
WG_API bool wg_requires_grad(const wg_tensor *t);
/** The same data without history. */
WG_API wg_tensor *wg_detach(wg_tensor *t);
/** The gradient that backward accumulated into a leaf: borrowed; NULL if none. */
WG_API wg_tensor *wg_grad_of(const wg_tensor *leaf);
/** Drops the leaf's gradient. */
WG_API void wg_drop_grad(wg_tensor *leaf);
/** Replaces the leaf's gradient (same shape; NULL drops it). */
WG_API wg_status wg_set_grad(wg_tensor *leaf, wg_tensor *grad);

typedef struct {
    wg_tensor *loss, *cotangent;
    bool retain_graph, create_graph;
    char end;
} wg_backward_args;
/** d loss / d leaf, added to every leaf's gradient. loss has one element, or a cotangent of its shape is given.
 * Frees what the tape saved as it goes, unless retain_graph. */
WG_API wg_status wg_backward_call(wg_backward_args a);
#define wg_backward(...) WG_HERE(wg_backward_call(WG_ARGS(wg_backward_args, __VA_ARGS__)))

enum { WG_CREATE_GRAPH = 1, WG_RETAIN_GRAPH = 2, WG_ALLOW_UNUSED = 4 };
/** dx[i] = sum_j (d y[j] / d x[i])^T dy[j]; leaves' gradients stay untouched. dy.n = 0: ones for one-element outputs.
 * An x that no y depends on raises WG_EGRAD, or gives NULL with WG_ALLOW_UNUSED. The results belong to the innermost
 * scope; with WG_CREATE_GRAPH they have a history (and the graph is retained). */
WG_API wg_status wg_grad(wg_list y, wg_list x, wg_list dy, unsigned flags, wg_list dx);

/** Sees, and may replace by its return value (NULL: keep), the gradient of t during backward. */
typedef wg_tensor *(*wg_tensor_hook)(void *self, wg_tensor *grad);
/** Returns an id for wg_unhook; 0 on failure. */
WG_API uint64_t wg_hook(wg_tensor *t, wg_tensor_hook fn, void *self);
/** Runs once per backward, after a leaf's accumulated gradient is complete. */
WG_API uint64_t wg_hook_leaf(wg_tensor *leaf, void (*fn)(void *self, wg_tensor *leaf_grad),
                             void *self);
WG_API void wg_unhook(wg_tensor *t, uint64_t id);

/** Runs fn(self, in) -> out keeping none of its intermediates: the tape's saved tensors are filled by one recomputation,
 * on first use, with the same random numbers, settings and modes. Copies *self. Gradients are bit-identical. */
WG_API void wg_recompute(wg_fn fn, const void *self, size_t bytes, wg_list in, wg_list out);

/** Runs fn(self, in) -> out, a composition of elementwise ops, tile by tile in cache: y[j][i] = fn_j(x[0][i], x[1][i], ...).
 * The contract of wg_recompute: it keeps the inputs and none of the intermediates, and copies *self; backward runs fn again,
 * with the settings and modes of the first run.
 *   in: any dtypes and strides, broadcast against each other; NULL is an absent one. out: any number, each of the inputs'
 *   common shape (WG_ESHAPE), written once.
 *   fn is called a few times, on meta: on the whole, and on a tile of each shape that there is. The kernels that it came by
 * are then run on every tile, by all threads, each result in cache until the next ones have read it; so fn sees shapes (a
 * tile's) but no numbers: wg_item raises. It reads *self, which may hold numbers, and 0-d tensors that require no gradient
 * and stay as they are until backward. What it calls must be elementwise: a row with WG_OP_ELEMENTWISE. Errors by
 * name: WG_EARG for another op, for a random one, for a captured tensor with dimensions and for writing in place; WG_EGRAD
 * for a captured tensor that requires a gradient; WG_EDEVICE for one on another device; WG_EDTYPE for blocks. What a kernel
 * raises on any thread is pending on the caller's afterwards, with the op's place in fn.
 *   gradient: that of the ops; of an input that was broadcast, summed in f64 over fixed ranges in a fixed order: the same
 *   bits for any number of threads. With create_graph, fn on whole tensors, differentiated by the tape.
 * On meta and on CUDA there are no tiles: fn is checked in the same way and runs under wg_recompute. In another fused
 * function it is part of that one. */
WG_API void wg_fuse(wg_fn fn, const void *self, size_t bytes, wg_list in, wg_list out);

/** Options of the gradient checks; zero means the default in brackets. */
typedef struct {
    int outputs;       /**< how many outputs fn fills [1] */
    double step;       /**< of the central difference, relative to max(1, |x|) [1e-6] */
    double rtol, atol; /**< [1e-5, 1e-7] for f64 */
    int directions; /**< random directions an input [4]; the full Jacobian is made only to report a failure */
    FILE *report; /**< where the worst element is printed; NULL: only in the error's message */
} wg_check;
/** Central differences against the tape, with a random cotangent: |<dy, J v> - <J^T dy, v>| small for random v. Floating
 * inputs are checked (f64 wanted), others passed. Rewinds the random generator for each evaluation. */
WG_API wg_status wg_gradcheck(wg_fn fn, void *self, wg_list in, const wg_check *options);
/** The same for second derivatives: checks the gradient of <dy, fn(x)> as a function of x and dy. */
WG_API wg_status wg_gradgradcheck(wg_fn fn, void *self, wg_list in, const wg_check *options);

#ifdef __cplusplus
}
#endif
#define wg_grad(...) WG_HERE(wg_grad(__VA_ARGS__))
#define wg_detach(...) WG_HERE(wg_detach(__VA_ARGS__))
#define wg_require_grad(...) WG_HERE(wg_require_grad(__VA_ARGS__))
#define wg_gradcheck(...) WG_HERE(wg_gradcheck(__VA_ARGS__))
#define wg_gradgradcheck(...) WG_HERE(wg_gradgradcheck(__VA_ARGS__))
#define wg_recompute(...) WG_HERE(wg_recompute(__VA_ARGS__))
#define wg_fuse(...) WG_HERE(wg_fuse(__VA_ARGS__))
#endif
