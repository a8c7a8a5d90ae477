/* cuDNN's kernel for a graph of attention. */
#ifndef WGI_CUDA_SDPA_PLAN_H
#define WGI_CUDA_SDPA_PLAN_H
#include "cuda/sdpa_graph.h"

/* How many ways cuDNN's heuristic knows to run the graph. device: a device's properties, for a graph of no handle; NULL. */
int64_t wgi_sdpa_ways(wgi_sdpa_graph *g, cudnnBackendDescriptor_t device);
/* The first that this device takes, compiled; its workspace in bytes. NULL: none (g->status declines), or the last one's
 * error. */
cudnnBackendDescriptor_t wgi_sdpa_plan(wgi_sdpa_graph *g, cudnnHandle_t handle, int64_t *workspace);
#endif
