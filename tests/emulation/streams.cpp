#include "streams.h"

#include <cstdlib>
#include <mutex>
#include <set>
#include <thread>

struct node {
    emulation::node_kind kind;
    std::function<void()> work;
};

struct CUgraph_st {
    std::vector<node> nodes;
};
struct CUgraphExec_st {
    std::vector<node> nodes;
};
struct CUstream_st {
    std::vector<node> launched; /* what has not run yet */
    CUgraph_st *graph;          /* being captured; NULL: not */
    bool spoilt;
    std::thread::id owner; /* of the capture */
};
struct CUevent_st {
    CUstream_st *stream; /* it was recorded in; NULL: not yet */
    bool captured;
};

namespace emulation
{

std::atomic<int64_t> alive;
const bool backwards = std::getenv("WG_EMULATED_BACKWARDS") != nullptr;
const bool dry = std::getenv("WG_EMULATED_DRY") != nullptr;

namespace
{

std::recursive_mutex lock; /* the device does one thing at a time */
std::set<CUstream_st *> streams;
thread_local CUstream_st *capturing;
thread_local cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
thread_local cudaError_t last = cudaSuccess;

void finish(CUstream_st *s)
{
    std::vector<node> now;
    now.swap(s->launched);
    for (const node &n : now) n.work();
}

} // namespace

cudaError_t fail(cudaError_t e)
{
    return last = e;
}

bool unsafe()
{
    if (!capturing || mode == cudaStreamCaptureModeRelaxed) return false;
    return capturing->spoilt = true;
}

void finish_all()
{
    const std::lock_guard<std::recursive_mutex> held(lock);
    for (CUstream_st *s : streams) finish(s);
}

cudaError_t enqueue(cudaStream_t s, node_kind kind, const std::function<void()> &work)
{
    const std::lock_guard<std::recursive_mutex> held(lock);
    if (s && s->graph) {
        if (s->spoilt) return fail(cudaErrorStreamCaptureInvalidated);
        s->graph->nodes.push_back({ kind, work });
        return cudaSuccess;
    }
    if (dry) return cudaSuccess;
    if (s && kind == SEND) return s->launched.push_back({ kind, work }), cudaSuccess;
    if (s) finish(s);
    work();
    return cudaSuccess;
}

} // namespace emulation

using namespace emulation;

extern "C" {

/* For tests. */
int64_t emulation_alive()
{
    return alive;
}
cudaError_t emulation_enqueue(cudaStream_t s, void (*fn)(const void *), const void *self,
                              size_t bytes)
{
    const std::vector<char> copy(static_cast<const char *>(self),
                                 static_cast<const char *>(self) + bytes);
    return enqueue(s, KERNEL, [=] { fn(copy.data()); });
}

cudaError_t cudaGetLastError()
{
    const cudaError_t e = last;
    return last = cudaSuccess, e;
}

cudaError_t cudaPeekAtLastError()
{
    return last;
}

/* ---- streams ---- */
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned)
{
    if (unsafe()) return fail(cudaErrorStreamCaptureUnsupported);
    const std::lock_guard<std::recursive_mutex> held(lock);
    *s = new CUstream_st();
    streams.insert(*s);
    return alive++, cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    const std::lock_guard<std::recursive_mutex> held(lock);
    finish(s);
    streams.erase(s);
    delete s;
    return alive--, cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    const std::lock_guard<std::recursive_mutex> held(lock);
    if (s->graph) s->spoilt = true;
    if (s->graph || unsafe()) return fail(cudaErrorStreamCaptureUnsupported);
    return finish(s), cudaSuccess;
}

/* ---- events ---- */
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned)
{
    return *e = new CUevent_st(), alive++, cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    return delete e, alive--, cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    e->captured = s->graph != nullptr;
    return e->stream = s, cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    const std::lock_guard<std::recursive_mutex> held(lock);
    if (e->captured || unsafe()) return fail(cudaErrorStreamCaptureUnsupported);
    if (e->stream) finish(e->stream);
    return cudaSuccess;
}

/* ---- captures ---- */
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode *m)
{
    std::swap(*m, mode);
    return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode m)
{
    if (s->graph || capturing || m == cudaStreamCaptureModeGlobal)
        return fail(cudaErrorInvalidValue);
    s->graph = new CUgraph_st();
    s->spoilt = false;
    s->owner = std::this_thread::get_id();
    capturing = s;
    return alive++, cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g)
{
    *g = nullptr;
    if (!s->graph || s->owner != std::this_thread::get_id())
        return fail(cudaErrorStreamCaptureWrongThread);
    CUgraph_st *graph = s->graph;
    s->graph = nullptr;
    capturing = nullptr;
    if (!s->spoilt) return *g = graph, cudaSuccess;
    delete graph;
    return alive--, fail(cudaErrorStreamCaptureInvalidated);
}

/* ---- graphs ---- */
cudaError_t cudaGraphGetNodes(cudaGraph_t g, cudaGraphNode_t *, size_t *n)
{
    return *n = g->nodes.size(), cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
    return delete g, alive--, cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *x, cudaGraph_t g, unsigned long long)
{
    if (std::getenv("WG_EMULATED_NO_GRAPH")) return fail(cudaErrorMemoryAllocation);
    return *x = new CUgraphExec_st { g->nodes }, alive++, cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t x)
{
    return delete x, alive--, cudaSuccess;
}
/* In one stream the nodes are a chain: its topology is their number. A node's kind cannot change. */
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t x, cudaGraph_t g, cudaGraphExecUpdateResultInfo *i)
{
    i->result = x->nodes.size() == g->nodes.size() ? cudaGraphExecUpdateSuccess
                                                   : cudaGraphExecUpdateErrorTopologyChanged;
    for (size_t n = 0; n < x->nodes.size() && i->result == cudaGraphExecUpdateSuccess; n++)
        if (x->nodes[n].kind != g->nodes[n].kind)
            i->result = cudaGraphExecUpdateErrorNodeTypeChanged;
    if (i->result != cudaGraphExecUpdateSuccess) return fail(cudaErrorGraphExecUpdateFailure);
    return x->nodes = g->nodes, cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t x, cudaStream_t s)
{
    const std::lock_guard<std::recursive_mutex> held(lock);
    if (s->graph) return fail(cudaErrorStreamCaptureUnsupported);
    if (dry) return cudaSuccess;
    s->launched.insert(s->launched.end(), x->nodes.begin(), x->nodes.end());
    return cudaSuccess;
}
}
