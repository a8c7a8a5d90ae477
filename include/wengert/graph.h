/* A training step as a CUDA graph: the step's kernels are recorded and given to the device at once. */
#ifndef WENGERT_GRAPH_H
#define WENGERT_GRAPH_H
#include "base.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Runs a function of the caller's, again and again, on one device. On CUDA each run calls the function anew while its
 * kernels are recorded instead of started, brings the device's graph of the run before up to date (or makes a new one
 * where the kernels are others), and launches it. Since the function itself runs every time, nothing can go stale:
 * shapes, branches, learning rates, Adam's t and the counters of random numbers are this run's, and the results are the
 * same bits as without a graph. What it saves is the time between the kernels of a step.
 *
 *     static void step(void *self)                      // struct trainer *
 *     {
 *         trainer *t = self;
 *         wg_scope s = wg_scope_push();
 *         wg_loader_next(t->batches, &x, &y);           // copies to the device are recorded too
 *         wg_tensor *loss = wg_transformer_loss(t->model, x, y);
 *         wg_backward(loss);
 *         wg_optim_step(t->optimizer);
 *         wg_set(&t->loss, loss);                       // what leaves is valid behind wg_graph_run
 *         wg_scope_return(s, NULL);
 *     }
 *     wg_graph *g = wg_graph_new(wg_cuda(0));           // NULL: an error is pending
 *     while (wg_graph_run(g, step, t) == WG_OK) ...
 *
 * On the CPU and on meta wg_graph_run only calls the function; so it does on CUDA while a profile is open and under
 * WG_CUDA_SYNC=1 and WG_NO_CACHE=1, which look at single kernels. A graph is used by one thread at a time. */
typedef struct wg_graph wg_graph;

/** A graph on d, to be freed with wg_graph_free. NULL and WG_EDEVICE without such a device, WG_EMEM. */
WG_API wg_graph *wg_graph_new(wg_device d);
/** Waits for the device and gives memory and graph back; tensors that runs made live on. NULL is fine. WG_EARG and
 * nothing freed while it runs. */
WG_API void wg_graph_free(wg_graph *g);

/** Calls fn(self) once, as said above; returns the pending error. The first run of a graph is not recorded: it loads
 * kernels and libraries and makes what lasts (an optimizer's state). While one is recorded nothing can be waited for:
 * on this thread wg_item, wg_read, wg_print, wg_to the CPU or another device, and wg_synchronize raise WG_EDEVICE. Other
 * threads go on as always, and what they launch runs before the graph; a second graph of the device waits for the first.
 *
 * After an error in fn, what was recorded before it is launched: the device is where it would be without a graph. If CUDA
 * itself refuses the graph (a kernel of one's own that synchronised, no memory for the graph), the run is lost: what it
 * was to write to older tensors is not written, and tensors that it made have no value: reading one raises WG_EDEVICE.
 * Drop the gradients, and load a checkpoint if the optimizer had taken its step.
 *
 * Errors: WG_EARG: g or fn is NULL, g runs already, or a graph is being captured on this thread; WG_EDEVICE; WG_EMEM.
 * With an error pending fn is not called. */
WG_API wg_status wg_graph_run(wg_graph *g, void (*fn)(void *self), void *self);
/** The next `runs` runs are not recorded, as the first one: for a step of another kind. WG_EARG if runs is negative. */
WG_API wg_status wg_graph_warm(wg_graph *g, int64_t runs);

typedef struct {
    int64_t plain;    /**< runs that only called the function */
    int64_t launched; /**< runs that were one launch */
    int64_t
        instantiated; /**< those that needed a new graph: the first, and where the kernels changed */
    int64_t nodes;    /**< kernels and copies of the last one launched */
} wg_graph_counts;
/** What has happened so far; zeros for NULL. */
WG_API wg_graph_counts wg_graph_stats(const wg_graph *g);

#ifdef __cplusplus
}
#endif
#define wg_graph_new(...) WG_HERE(wg_graph_new(__VA_ARGS__))
#define wg_graph_run(...) WG_HERE(wg_graph_run(__VA_ARGS__))
#define wg_graph_warm(...) WG_HERE(wg_graph_warm(__VA_ARGS__))
#endif
