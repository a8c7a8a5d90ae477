#include "cuda/record.h"

#include <stdlib.h>

#include "cuda/pinned.h"

enum { TURNS = 2 };

/* What a run leaves behind until the device has finished it. */
typedef struct {
    wgi_pinned kept;         /* what the host sent */
    cudaEvent_t done;        /* recorded behind the launch */
    cudaGraphExec_t retired; /* the graph that this run replaced; NULL: none */
} turn;

typedef struct {
    wgi_cuda_device *device;
    cudaStream_t stream;  /* is captured; nothing ever runs in it */
    cudaGraphExec_t exec; /* the last run's; NULL: none yet */
    uint64_t noted;       /* hash of what this capture has noted so far */
    uint64_t of_exec;     /* of all that exec's capture noted */
    turn turns[TURNS];    /* run n has turn n % TURNS: the host may be so many runs ahead */
    int now;
} recorder;

static _Thread_local recorder *capturing; /* by this thread; NULL: none */

/* ---- what the other files ask ---------------------------------------------------------------- */

bool wgi_cuda_records(void)
{
    return wgi_cuda_caches() && !wgi_cuda_waits();
}

bool wgi_cuda_captures(void)
{
    return capturing != NULL;
}

bool wgi_cuda_recording(const wgi_cuda_device *d)
{
    return capturing && capturing->device == d;
}

cudaStream_t wgi_cuda_stream(const wgi_cuda_device *d)
{
    return wgi_cuda_recording(d) ? capturing->stream : d->stream;
}

void *wgi_recorder_keep(const void *from, size_t bytes)
{
    void *to = wgi_pinned_take(&capturing->turns[capturing->now].kept, bytes);
    if (to) memcpy(to, from, bytes);
    return to;
}

void wgi_recorder_note(const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    if (!capturing) return;
    uint64_t h = capturing->noted;
    for (size_t i = 0; i < n; i++) h = (h ^ b[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    capturing->noted = h;
}

wg_status wgi_cuda_may_wait(const char *what)
{
    if (!capturing) return WG_OK;
    return wg_raise(
        WG_EDEVICE,
        "%s: cuda:%d is being captured: nothing is computed before wg_graph_run returns", what,
        capturing->device->index);
}

enum cudaStreamCaptureMode wgi_cuda_relax(enum cudaStreamCaptureMode mode)
{
    if (capturing && cudaThreadExchangeStreamCaptureMode(&mode) != cudaSuccess)
        (void)cudaGetLastError();
    return mode;
}

/* ---- beside a capture ------------------------------------------------------------------------ */

typedef struct {
    void (*fn)(void *);
    void *self;
    int device;
    bool ran;
} errand;

static void *run_errand(void *self)
{
    errand *e = self;
    e->ran = cudaSetDevice(e->device) == cudaSuccess;
    if (e->ran) e->fn(e->self);
    return NULL;
}

bool wgi_cuda_apart(int device, void (*fn)(void *), void *self)
{
    pthread_t other;
    errand e = { fn, self, device, false };
    if (!wgi_cuda_captures() || pthread_create(&other, NULL, run_errand, &e) != 0) {
        fn(self);
        return true;
    }
    pthread_join(other, NULL);
    return e.ran;
}

/* ---- making and freeing ---------------------------------------------------------------------- */

static void retire(cudaGraphExec_t *exec)
{
    if (*exec && cudaGraphExecDestroy(*exec) != cudaSuccess) (void)cudaGetLastError();
    *exec = NULL;
}

void *wgi_recorder_new(int index)
{
    wgi_cuda_device *d = wgi_cuda_open(index);
    if (!d || wgi_cuda_may_wait("graph_new") != WG_OK) return NULL;
    recorder *r = wgi_malloc(sizeof *r);
    if (!r) {
        wg_raise(WG_EMEM, "out of memory for a graph of cuda:%d", index);
        return NULL;
    }
    *r = (recorder) { .device = d };
    wg_status s = wgi_cuda_check(cudaStreamCreateWithFlags(&r->stream, cudaStreamNonBlocking),
                                 "cudaStreamCreate");
    for (int i = 0; i < TURNS && s == WG_OK; i++)
        s = wgi_cuda_check(cudaEventCreateWithFlags(&r->turns[i].done, cudaEventDisableTiming),
                           "cudaEventCreate");
    if (s == WG_OK) return r;
    wgi_recorder_free(r);
    return NULL;
}

/* Its turns may still be running: each is waited for. */
void wgi_recorder_free(void *recorder_)
{
    recorder *r = recorder_;
    if (cudaSetDevice(r->device->index) != cudaSuccess) (void)cudaGetLastError();
    for (int i = 0; i < TURNS; i++) {
        turn *t = &r->turns[i];
        if (t->done && cudaEventSynchronize(t->done) != cudaSuccess) (void)cudaGetLastError();
    }
    retire(&r->exec);
    for (int i = 0; i < TURNS; i++) {
        turn *t = &r->turns[i];
        retire(&t->retired);
        wgi_pinned_free(&t->kept);
        if (t->done && cudaEventDestroy(t->done) != cudaSuccess) (void)cudaGetLastError();
    }
    if (r->stream && cudaStreamDestroy(r->stream) != cudaSuccess) (void)cudaGetLastError();
    free(r);
}

/* ---- one run --------------------------------------------------------------------------------- */

/* Memory is parked before the capture begins: no thread sees one without the other. */
wg_status wgi_recorder_begin(void *recorder_)
{
    recorder *r = recorder_;
    wgi_cuda_device *d = wgi_cuda_open(r->device->index);
    if (!d) return wg_error_code();
    pthread_mutex_lock(&d->capturing);
    r->now = (r->now + 1) % TURNS;
    turn *t = &r->turns[r->now];
    wg_status s = wgi_cuda_check(cudaEventSynchronize(t->done), "waiting for an earlier graph");
    if (s == WG_OK) {
        retire(&t->retired);
        wgi_pinned_reset(&t->kept);
        r->noted = UINT64_C(0xcbf29ce484222325);
        wgi_pool_park(d->pool);
        s = wgi_cuda_check(cudaStreamBeginCapture(r->stream, cudaStreamCaptureModeThreadLocal),
                           "cudaStreamBeginCapture");
        if (s == WG_OK)
            capturing = r;
        else
            wgi_pool_unpark(d->pool);
    }
    if (s != WG_OK) pthread_mutex_unlock(&d->capturing);
    return s;
}

/* A graph lives outside the pool: where the pool holds all of the device's memory, some goes back to the driver. */
static wg_status instantiate(recorder *r, cudaGraph_t graph)
{
    cudaError_t e = cudaGraphInstantiate(&r->exec, graph, 0);
    if (e == cudaErrorMemoryAllocation && wgi_pool_trim_captured(r->device->pool) > 0) {
        (void)cudaGetLastError();
        e = cudaGraphInstantiate(&r->exec, graph, 0);
    }
    if (e != cudaSuccess) r->exec = NULL;
    return wgi_cuda_check(e, "cudaGraphInstantiate");
}

/* The prepared graph becomes this one: by new parameters, or prepared anew. cudaGraphExecUpdate may put
 * another kernel in a node's place and report success while the node keeps the size of thread block cluster that it was
 * prepared with: wrong results, or a device that hangs, where one of cuBLASLt's kernels for 9.0 or 10.0 follows another, or
 * a kernel without clusters (ml-explore/mlx issue 2748 and pull request 2813; sgl-project/sglang pull request 37657). So it
 * is asked only where the same ops asked for the same products by the same algorithms, in the same order. */
static wg_status prepare(recorder *r, cudaGraph_t graph, bool *anew)
{
    cudaGraphExecUpdateResultInfo info;
    *anew = false;
    if (r->exec && r->noted == r->of_exec &&
        cudaGraphExecUpdate(r->exec, graph, &info) == cudaSuccess)
        return WG_OK;
    (void)cudaGetLastError();
    r->turns[r->now].retired = r->exec;
    r->exec = NULL;
    r->of_exec = r->noted;
    *anew = true;
    return instantiate(r, graph);
}

static wg_status launch(recorder *r, cudaGraph_t graph, int64_t *nodes, bool *anew)
{
    size_t n = 0;
    cudaStream_t to = r->device->stream;
    wg_status s = wgi_cuda_check(cudaGraphGetNodes(graph, NULL, &n), "cudaGraphGetNodes");
    *nodes = (int64_t)n;
    if (s != WG_OK || n == 0) return s;
    s = prepare(r, graph, anew);
    if (s == WG_OK) s = wgi_cuda_check(cudaGraphLaunch(r->exec, to), "cudaGraphLaunch");
    if (s == WG_OK)
        s = wgi_cuda_check(cudaEventRecord(r->turns[r->now].done, to), "cudaEventRecord");
    return s;
}

/* Blocks are free for other threads behind the launch: then what they start comes after it. */
wg_status wgi_recorder_launch(void *recorder_, int64_t *nodes, bool *anew)
{
    recorder *r = recorder_;
    wgi_cuda_device *d = r->device;
    cudaGraph_t graph = NULL;
    wg_status s = wgi_cuda_check(cudaSetDevice(d->index), "cudaSetDevice");
    const wg_status ended =
        wgi_cuda_check(cudaStreamEndCapture(r->stream, &graph), "a graph could not be captured");
    capturing = NULL;
    if (s == WG_OK) s = ended;
    if (s == WG_OK) s = launch(r, graph, nodes, anew);
    if (graph && cudaGraphDestroy(graph) != cudaSuccess) (void)cudaGetLastError();
    wgi_pool_unpark(d->pool);
    pthread_mutex_unlock(&d->capturing);
    return s;
}
