/* cuDNN's kernel for a graph of attention. */
#ifndef WGI_CUDA_SDPA_PLAN_H
#define WGI_CUDA_SDPA_PLAN_H
#include "cuda/sdpa_graph.h"

/* What cuDNN's heuristic knows to do with the graph, best first: a descriptor to ask for them, and their number in *n.
 * device: a device's properties, for a graph of no handle; NULL. */
cudnnBackendDescriptor_t wgi_sdpa_ask(wgi_sdpa_graph *g, cudnnBackendDescriptor_t device,
                                      int64_t *n);
/* The first that this device takes, compiled; its workspace in bytes. NULL: none (g->status declines), or an error. */
cudnnBackendDescriptor_t wgi_sdpa_plan(wgi_sdpa_graph *g, cudnnHandle_t handle, int64_t *workspace);
#endif
