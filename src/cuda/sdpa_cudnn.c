/* Attention by cuDNN: a handle for each device, and a plan for each shape, kept as long as the program runs: a captured graph
 * may hold its kernels. */
#include "cuda/sdpa_cudnn.h"

#include <math.h>
#include <stdlib.h>

#include "cuda/record.h"
#include "cuda/sdpa_plan.h"

typedef struct {
    wgi_sdpa_key key;
    wgi_sdpa_graph graph;
    cudnnBackendDescriptor_t run; /* NULL: cuDNN has none */
    int64_t workspace;
} plan;

struct wgi_cuda_cudnn {
    pthread_mutex_t lock;
    const wgi_cudnn *lib;
    cudnnHandle_t handle;
    plan *plans[WGI_SDPA_PLANS];
    int n;
};

/* What cuDNN says besides: of this thread. */
typedef struct {
    char text[256];
} remark;

static remark remark_of(const wgi_cudnn *lib)
{
    remark r = { "" };
    lib->last(r.text, sizeof r.text);
    return r;
}

static wg_status raise(const wgi_cudnn *lib, cudnnStatus_t s, const char *step, remark r)
{
    const bool memory = s == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
                        s == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED;
    return wg_raise(memory ? WG_EMEM : WG_EDEVICE, "cuDNN: %s: %s%s%.200s", step, lib->text(s),
                    *r.text ? ": " : "", r.text);
}

/* ---- the device's ---------------------------------------------------------------------------------------------- */

static wg_status create_handle(wgi_cuda_device *d, wgi_cuda_cudnn *c)
{
    const enum cudaStreamCaptureMode before = wgi_cuda_relax(cudaStreamCaptureModeRelaxed);
    cudnnStatus_t s = c->lib->create(&c->handle);
    if (s != CUDNN_STATUS_SUCCESS && wgi_pool_trim(d->pool) > 0) s = c->lib->create(&c->handle);
    wgi_cuda_relax(before);
    return s == CUDNN_STATUS_SUCCESS ? WG_OK : raise(c->lib, s, "cudnnCreate", remark_of(c->lib));
}

static wgi_cuda_cudnn *cudnn_new(wgi_cuda_device *d)
{
    const wgi_cudnn *lib = wgi_cudnn_load();
    wgi_cuda_cudnn *c = lib ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        if (lib) wg_raise(WG_EMEM, "out of memory for cuDNN on cuda:%d", d->index);
        return NULL;
    }
    c->lib = lib;
    if (create_handle(d, c) != WG_OK) {
        free(c);
        return NULL;
    }
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

static wgi_cuda_cudnn *open_cudnn(wgi_cuda_device *d)
{
    static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&making);
    if (!d->cudnn) d->cudnn = cudnn_new(d);
    wgi_cuda_cudnn *c = d->cudnn;
    pthread_mutex_unlock(&making);
    return c;
}

/* ---- plans ----------------------------------------------------------------------------------------------------- */

typedef struct {
    wgi_cuda_device *device;
    plan *plan;
    remark remark;
} construction;

static void build(void *self)
{
    construction *b = self;
    plan *p = b->plan;
    const wgi_cuda_cudnn *c = b->device->cudnn;
    wgi_sdpa_describe(&p->graph, c->lib, &p->key, c->handle);
    p->run = wgi_sdpa_plan(&p->graph, c->handle, &p->workspace);
    if (p->run) return;
    b->remark = remark_of(c->lib);
    wgi_sdpa_forget(&p->graph);
}

/* It loads a module, which a capture may forbid. */
static bool construct(construction *b)
{
    if (!wgi_cuda_apart(b->device->index, build, b)) {
        b->plan->graph.status = CUDNN_STATUS_NOT_INITIALIZED;
        b->plan->graph.step = "cudaSetDevice";
    }
    return b->plan->run || wgi_cudnn_declines(b->plan->graph.status);
}

/* One that cuDNN declines is kept, too. What a module takes of the device is the driver's: where the pool holds all there is,
 * some goes back. */
static wg_status plan_new(wgi_cuda_device *d, const wgi_sdpa_key *key, plan **to)
{
    wgi_cuda_cudnn *c = d->cudnn;
    construction b = { d, calloc(1, sizeof *b.plan), { "" } };
    plan *p = b.plan;
    if (!p) return wg_raise(WG_EMEM, "out of memory for a plan of cuDNN's");
    p->key = *key;
    const bool known = construct(&b) || (wgi_pool_trim(d->pool) > 0 && construct(&b));
    wgi_log(1, "cuDNN, attention%s of (%lld, %lld, %lld, %lld) with %lld keys: %s",
            key->backward ? "'s gradient" : "", (long long)key->batch, (long long)key->heads,
            (long long)key->tq, (long long)key->d, (long long)key->tk,
            p->run ? "has a kernel" : c->lib->text(p->graph.status));
    if (!known) {
        const wg_status s = raise(c->lib, p->graph.status, p->graph.step, b.remark);
        free(p);
        return s;
    }
    *to = c->plans[c->n++] = p;
    return WG_OK;
}

/* *to NULL: there are too many. */
static wg_status find_plan(wgi_cuda_device *d, const wgi_sdpa_key *key, plan **to)
{
    const wgi_cuda_cudnn *c = d->cudnn;
    *to = NULL;
    for (int i = 0; i < c->n; i++)
        if (memcmp(&c->plans[i]->key, key, sizeof *key) == 0) {
            *to = c->plans[i];
            return WG_OK;
        }
    return c->n < WGI_SDPA_PLANS ? plan_new(d, key, to) : WG_OK;
}

static atomic_llong runs;

int64_t wgi_cudnn_runs(void)
{
    return atomic_load_explicit(&runs, memory_order_relaxed);
}

/* ---- one call -------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t uid[WGI_SDPA_UIDS];
    void *data[WGI_SDPA_UIDS];
    int n;
    void *workspace;
} variant;

static void give(variant *v, wgi_sdpa_uid uid, void *data)
{
    if (!data) return;
    v->uid[v->n] = uid;
    v->data[v->n++] = data;
}

static void give_tensors(variant *v, const wgi_attention_pass *p)
{
    give(v, WGI_SDPA_Q, p->q.data);
    give(v, WGI_SDPA_K, p->k.data);
    give(v, WGI_SDPA_V, p->v.data);
    give(v, WGI_SDPA_Y, p->y.data);
    give(v, WGI_SDPA_LSE, p->lse.data);
    give(v, WGI_SDPA_DY, p->dy.data);
    give(v, WGI_SDPA_DQ, p->dq.data);
    give(v, WGI_SDPA_DK, p->dk.data);
    give(v, WGI_SDPA_DV, p->dv_out.data);
}

/* false: raised. */
static bool give_scratch(variant *v, const wg_run *r, const wgi_sdpa_key *k, const plan *p)
{
    const size_t rows = (size_t)(k->batch * k->heads * k->tq), head = (size_t)k->d;
    void *delta = NULL, *dq = NULL;
    if (p->workspace > 0 && !(v->workspace = wg_scratch(r, (size_t)p->workspace))) return false;
    if (!k->backward) return true;
    if (!(delta = wg_scratch(r, rows * sizeof(float))) ||
        !(dq = wg_scratch(r, rows * head * sizeof(float))))
        return false;
    give(v, WGI_SDPA_DELTA, delta);
    give(v, WGI_SDPA_DQ_SUM, dq);
    return true;
}

static cudnnStatus_t describe_variant(const wgi_cudnn *lib, cudnnBackendDescriptor_t d,
                                      const variant *v)
{
    cudnnStatus_t s =
        lib->set(d, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, v->n, v->uid);
    if (s == CUDNN_STATUS_SUCCESS)
        s = lib->set(d, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, v->n, v->data);
    if (s == CUDNN_STATUS_SUCCESS)
        s = lib->set(d, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &v->workspace);
    return s == CUDNN_STATUS_SUCCESS ? lib->finalize(d) : s;
}

/* The handle has one stream for all threads. */
static wg_status execute(wgi_cuda_cudnn *c, const plan *p, const variant *v, void *stream)
{
    cudnnBackendDescriptor_t d = NULL;
    cudnnStatus_t s = c->lib->descriptor_create(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &d);
    if (s == CUDNN_STATUS_SUCCESS) s = describe_variant(c->lib, d, v);
    pthread_mutex_lock(&c->lock);
    const enum cudaStreamCaptureMode before = wgi_cuda_relax(cudaStreamCaptureModeRelaxed);
    if (s == CUDNN_STATUS_SUCCESS) s = c->lib->set_stream(c->handle, stream);
    if (s == CUDNN_STATUS_SUCCESS) s = c->lib->execute(c->handle, p->run, d);
    wgi_cuda_relax(before);
    pthread_mutex_unlock(&c->lock);
    if (s == CUDNN_STATUS_SUCCESS) atomic_fetch_add_explicit(&runs, 1, memory_order_relaxed);
    const wg_status status =
        s == CUDNN_STATUS_SUCCESS ? WG_OK : raise(c->lib, s, "attention", remark_of(c->lib));
    if (d) c->lib->descriptor_destroy(d);
    return status;
}

static wg_status run(wgi_cuda_device *d, const wg_run *r, const wgi_sdpa_key *k,
                     const wgi_attention_pass *pass, bool *done)
{
    wgi_cuda_cudnn *c = d->cudnn;
    plan *p = NULL;
    float scale = (float)pass->scale, hidden = -INFINITY, one = 1;
    variant v = { .n = 0 };
    pthread_mutex_lock(&c->lock);
    wg_status s = find_plan(d, k, &p);
    pthread_mutex_unlock(&c->lock);
    if (s != WG_OK || !p || !p->run) return s;
    give_tensors(&v, pass);
    if (!give_scratch(&v, r, k, p)) return WG_EMEM;
    give(&v, WGI_SDPA_SCALE, &scale);
    if (k->causal) give(&v, WGI_SDPA_HIDDEN, &hidden);
    if (k->backward) give(&v, WGI_SDPA_ONE, &one);
    wgi_recorder_note(k, sizeof *k);
    *done = true;
    return execute(c, p, &v, r->stream);
}

static bool wanted(void)
{
    static atomic_int known = -1;
    return wgi_flag_once(&known, "WG_CUDA_CUDNN");
}

wg_status wgi_cuda_sdpa_cudnn(const wg_run *r, const wgi_attention_pass *p, bool *done)
{
    wgi_sdpa_key key;
    *done = false;
    if (!wanted() || !wgi_sdpa_key_of(&key, p)) return WG_OK;
    wgi_cuda_device *d = wgi_cuda_of(r->in.t[0]);
    if (!d) return wg_error_code();
    if (d->major > 9) return WG_OK;
    return open_cudnn(d) ? run(d, r, &key, p, done) : wg_error_code();
}
