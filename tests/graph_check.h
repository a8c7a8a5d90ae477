/* What the suites of graphs share: the device that runs are captured on, and work for a run. */
#ifndef TESTS_GRAPH_CHECK_H
#define TESTS_GRAPH_CHECK_H
#include <stdlib.h>

#include "suite.h"
#include "tensor/internal.h"

/* Of the emulation: what the driver has given and not got back; the runtime's own calls. NULL elsewhere. */
__attribute__((weak)) int64_t emulation_alive(void);
__attribute__((weak)) int cudaStreamSynchronize(void *stream);
__attribute__((weak)) int cudaGetLastError(void);

static inline wg_device device(void)
{
    return wg_cuda_device_count() > 0 ? wg_cuda(0) : wg_cpu();
}

/* Runs are captured here. */
static inline bool captures(void)
{
    if (wg_cuda_device_count() > 0 && !wgi_flag("WG_CUDA_SYNC") && !wgi_flag("WG_NO_CACHE"))
        return true;
    printf("skipped: nothing is captured here\n");
    return false;
}

static inline wg_graph *graph(int64_t warm)
{
    wg_graph *g = wg_graph_new(device());
    ck_assert_ptr_nonnull(g);
    ck_assert_int_eq(wg_graph_warm(g, warm), WG_OK);
    return g;
}

static inline wg_scope begin(void)
{
    wg_scope s = wg_scope_push();
    wg_use_device(device());
    return s;
}

typedef struct {
    int64_t n; /* elements sent */
    float value;
    wg_tensor *older, *kept; /* written in place; made by the run */
} work;

/* kept = older = older + value, value sent n times from the host's stack. */
static inline void add_sent(void *self)
{
    work *w = self;
    wg_scope s = wg_scope_push();
    float *host = wg_scope_alloc((size_t)w->n * sizeof *host);
    for (int64_t i = 0; host && i < w->n; i++) host[i] = w->value;
    wg_tensor *x = wg_from(host, (size_t)w->n * sizeof *host, WG_F32, WG_DIMS(w->n));
    wg_tensor *sum = wg_add(w->older, x);
    (void)!wg_assign(w->older, sum);
    wg_set(&w->kept, sum);
    wg_scope_return(s, NULL);
}

static inline void grow(void *self)
{
    work *w = self;
    wg_scope s = wg_scope_push();
    wg_set(&w->kept, wg_sum(wg_ones(WG_DIMS(w->n)), WG_ALL, false));
    wg_scope_return(s, NULL);
}
static inline void nothing(void *self)
{
    (*(int *)self)++;
}
#endif
