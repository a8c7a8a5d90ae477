/* Graphs: whether a run is recorded, and what becomes of tensors whose run was lost. Capture and launch
 * are the backend's. */
#include "wengert/graph.h"

#include <stdlib.h>

#include "tensor/internal.h"

struct wg_graph {
    void *recorder; /* the backend's; NULL: runs only call the function */
    int64_t warm;   /* so many runs yet are not recorded */
    wg_graph_counts counts;
    atomic_bool running;
};

/* ---- what a run that is being captured makes ------------------------------------------------- */

static wgi_recording *recording_new(void)
{
    wgi_recording *r = wgi_malloc(sizeof *r);
    if (!r) {
        wg_raise(WG_EMEM, "graph_run: out of memory");
        return NULL;
    }
    atomic_init(&r->refs, 1);
    atomic_init(&r->lost, false);
    return r;
}

wgi_recording *wgi_recording_ref(wgi_recording *r)
{
    if (r) atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void wgi_recording_unref(wgi_recording *r)
{
    if (r && atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1) free(r);
}

wg_status wgi_refuse_lost(const char *function, wg_list l)
{
    for (int64_t i = 0; i < l.n; i++)
        if (l.t[i] && wgi_lost(l.t[i]))
            return wg_raise(WG_EDEVICE,
                            "%s%sa tensor has no value: the run of a graph that was to compute it "
                            "was lost",
                            function, *function ? ": " : "");
    return WG_OK;
}

/* ---- making and freeing ---------------------------------------------------------------------- */

wg_graph *(wg_graph_new)(wg_device d)
{
    if (wg_error_code()) return NULL;
    const bool gpu = d.kind == WG_CUDA;
    if (gpu && !wgi_cuda) {
        wg_raise(WG_EDEVICE, "graph_new: no cuda device: built without CUDA");
        return NULL;
    }
    if (!gpu && d.kind != WG_CPU && d.kind != WG_META) {
        wg_raise(WG_EDEVICE, "graph_new: %d is no kind of device", (int)d.kind);
        return NULL;
    }
    if (gpu && wgi_cuda->ready(d.index) != WG_OK) return NULL;
    wg_graph *g = wgi_malloc(sizeof *g);
    if (!g) {
        wg_raise(WG_EMEM, "graph_new: out of memory");
        return NULL;
    }
    *g = (wg_graph) { .warm = 1 };
    atomic_init(&g->running, false);
    if (!gpu || !wgi_cuda->records()) return g;
    g->recorder = wgi_cuda->recorder_new(d.index);
    if (g->recorder) return g;
    free(g);
    return NULL;
}

void wg_graph_free(wg_graph *g)
{
    if (!g) return;
    if (atomic_load(&g->running) || wgi_ctx()->recording) {
        wg_raise(WG_EARG, "graph_free: a graph is running");
        return;
    }
    if (g->recorder) wgi_cuda->recorder_free(g->recorder);
    free(g);
}

wg_status(wg_graph_warm)(wg_graph *g, int64_t runs)
{
    if (!g) return wg_raise(WG_EARG, "graph_warm: the graph is NULL");
    if (runs < 0) return wg_raise(WG_EARG, "graph_warm: %lld runs", (long long)runs);
    g->warm = runs;
    return WG_OK;
}

wg_graph_counts wg_graph_stats(const wg_graph *g)
{
    return g ? g->counts : (wg_graph_counts) { 0 };
}

/* ---- running --------------------------------------------------------------------------------- */

static void run_plain(wg_graph *g, void (*fn)(void *self), void *self)
{
    if (g->warm > 0) g->warm--;
    g->counts.plain++;
    fn(self);
}

/* An error in fn changes nothing here: what it launched before the error is to run. */
static void run_recorded(wgi_context *c, wg_graph *g, void (*fn)(void *self), void *self)
{
    wgi_recording *r = recording_new();
    if (!r) return;
    if (wgi_cuda->record(g->recorder) == WG_OK) {
        c->recording = r;
        fn(self);
        c->recording = NULL;
        int64_t nodes = 0;
        bool anew = false;
        if (wgi_cuda->launch(g->recorder, &nodes, &anew) != WG_OK) {
            atomic_store(&r->lost, true);
        } else {
            g->counts.launched++;
            g->counts.instantiated += anew;
            g->counts.nodes = nodes;
        }
    }
    wgi_recording_unref(r);
}

wg_status(wg_graph_run)(wg_graph *g, void (*fn)(void *self), void *self)
{
    wgi_context *c = wgi_ctx();
    if (wg_error_code()) return wg_error_code();
    if (!g || !fn) return wg_raise(WG_EARG, "graph_run: the %s is NULL", g ? "function" : "graph");
    if (c->recording) return wg_raise(WG_EARG, "graph_run: a graph is being captured already");
    if (atomic_exchange(&g->running, true))
        return wg_raise(WG_EARG, "graph_run: the graph is running already");
    if (!g->recorder || g->warm > 0 || c->profile)
        run_plain(g, fn, self);
    else
        run_recorded(c, g, fn, self);
    atomic_store(&g->running, false);
    return wg_error_code();
}
