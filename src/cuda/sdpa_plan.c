#include "cuda/sdpa_plan.h"

typedef cudnnBackendDescriptor_t descriptor;

/* n values at most, *found of them. */
static void get(wgi_sdpa_graph *g, descriptor d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t n, int64_t *found, void *values)
{
    if (g->status != CUDNN_STATUS_SUCCESS) return;
    g->status = g->lib->get(d, name, type, n, found, values);
    g->step = "cudnnBackendGetAttribute";
}

/* The question, and how many answers there may be. */
static descriptor ask(wgi_sdpa_graph *g, descriptor device, int64_t *n)
{
    static const cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    descriptor d = wgi_sdpa_descriptor(g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    *n = 0;
    wgi_sdpa_set_descriptor(g, d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, g->graph);
    wgi_sdpa_set(g, d, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (device) wgi_sdpa_set_descriptor(g, d, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, device);
    wgi_sdpa_finish(g, d, "the heuristic");
    get(g, d, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, n, NULL);
    return d;
}

/* Compiled for the handle's device. */
static descriptor plan_of(wgi_sdpa_graph *g, cudnnHandle_t handle, descriptor config,
                          int64_t *workspace)
{
    int64_t n = 0;
    descriptor d = wgi_sdpa_descriptor(g, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    wgi_sdpa_set(g, d, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    wgi_sdpa_set_descriptor(g, d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    wgi_sdpa_finish(g, d, "the execution plan");
    get(g, d, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &n, workspace);
    return g->status == CUDNN_STATUS_SUCCESS ? d : NULL;
}

/* The ways that the heuristic has, up to n; how many. */
static int64_t configs_of(wgi_sdpa_graph *g, descriptor device, descriptor *configs, int64_t n)
{
    int64_t found = 0;
    descriptor d = ask(g, device, &found);
    if (found < n) n = found;
    for (int64_t i = 0; i < n; i++)
        configs[i] = wgi_sdpa_descriptor(g, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    get(g, d, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n, &n, configs);
    return g->status == CUDNN_STATUS_SUCCESS ? n : 0;
}

enum { TRIED = 8 };

int64_t wgi_sdpa_ways(wgi_sdpa_graph *g, descriptor device)
{
    descriptor configs[TRIED];
    return configs_of(g, device, configs, TRIED);
}

descriptor wgi_sdpa_plan(wgi_sdpa_graph *g, cudnnHandle_t handle, int64_t *workspace)
{
    descriptor configs[TRIED], plan = NULL;
    const int64_t n = configs_of(g, NULL, configs, TRIED);
    if (g->status != CUDNN_STATUS_SUCCESS) return NULL;
    g->status = CUDNN_STATUS_NOT_SUPPORTED;
    g->step = "the heuristic";
    for (int64_t i = 0; i < n && !plan; i++) {
        g->status = CUDNN_STATUS_SUCCESS;
        plan = plan_of(g, handle, configs[i], workspace);
    }
    return plan;
}
