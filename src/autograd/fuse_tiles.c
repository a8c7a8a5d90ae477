/* Tiles of a fused function on the threads of the CPU: each thread in the caller's settings, errors carried back. */
#include "autograd/fuse.h"

#include <stdlib.h>

#include "cpu/parallel.h"
#include "wengert/ops.h"

/* ---- a thread's context while it runs tiles --------------------------------------------------------------------- */
typedef struct { /* as it was, to be put back */
    const wg_op *op;
    wg_list operands;
    wgi_segment *segment;
    const wgi_fusion *fusion;
    struct wgi_profile *profile;
    void *path;
    const char *file;
    int line;
    double flops;
    wgi_held_error error; /* of something else that this thread did */
    wg_scope scope;
} thread_state;

static void enter(const wgi_fuse_job *j, wgi_context *c, thread_state *was)
{
    *was = (thread_state) { .op = c->op,
                            .operands = c->operands,
                            .segment = c->segment,
                            .fusion = c->fusion,
                            .profile = c->profile,
                            .path = c->path,
                            .file = c->file,
                            .line = c->line,
                            .flops = wg_flops(),
                            .error = wgi_error_take(c) };
    was->scope = (wg_scope_push)();
    c->op = NULL;
    c->operands = WG_NO_LIST;
    c->segment = NULL;
    c->fusion = NULL;
    c->profile = NULL; /* the whole is one op there */
    c->path = NULL;
    const char *path = (const char *)j->closure + j->closure->path;
    if (*path) wgi_path_push(path);
    c->now = j->closure->settings;
    c->now.grad = j->grad;
}

/* Returns what is pending. */
static wgi_held_error leave(const wgi_fuse_job *j, wgi_context *c, const thread_state *was,
                            double *flops)
{
    (wg_scope_return)(was->scope, NULL);
    c->op = was->op;
    c->operands = was->operands;
    c->segment = was->segment;
    c->fusion = was->fusion;
    c->profile = was->profile;
    c->path = was->path;
    c->file = was->file;
    c->line = was->line;
    *flops = wg_flops() - was->flops;
    wgi_count_flops(-*flops);
    wgi_held_error e = wgi_error_take(c);
    wgi_error_put(c, was->error);
    if (c != j->caller) wgi_memory_thread_end(); /* what it has counted is seen by all */
    return e;
}

/* ---- a job --------------------------------------------------------------------------------------------------------- */
wgi_tiled *wgi_fuse_job_make(wgi_fuse_job *j, wgi_context *c, wg_list in, int64_t more)
{
    const wgi_closure *k = wgi_closure_of(in.t[0]);
    *j = (wgi_fuse_job) { .closure = k,
                          .in = wgi_fuse_inputs(in),
                          .fusion.in = wg_list_new(in.n),
                          .caller = c,
                          .file = c->file,
                          .line = c->line };
    wgi_tiled *o = wg_scope_alloc((size_t)(in.n + more) * sizeof *o);
    if (!o || wg_error_code()) return NULL;
    for (int64_t i = 0; i < j->in.n; i++) {
        const wg_tensor *t = j->in.t[i];
        const wg_dims shape = t ? wgi_shape(t) : wgi_dims(0, NULL);
        j->fusion.in.t[i + 1] = j->in.t[i];
        o[i] = wgi_tiled_of(&k->shape, &shape, t ? t->strides : NULL);
    }
    return o;
}

static void run_range(void *self, int64_t range)
{
    wgi_fuse_job *j = self;
    if (atomic_load_explicit(&j->failed, memory_order_relaxed)) return;
    wgi_context *c = wgi_ctx();
    thread_state was;
    enter(j, c, &was);
    if (j->begin && !c->error.code) j->begin(j, c, range);
    const int64_t end = wgi_range_end(&j->tiling, range);
    for (int64_t i = range * j->tiling.per_range; i < end && !c->error.code; i++) {
        const wgi_tile at = wgi_tile_at(&j->tiling, i);
        wg_scope scope = (wg_scope_push)();
        c->file = j->file; /* the tile before has left its own */
        c->line = j->line;
        j->tile(j, c, range, &at);
        (wg_scope_return)(scope, NULL);
        if (atomic_load_explicit(&j->failed, memory_order_relaxed)) break;
    }
    wgi_held_error e = leave(j, c, &was, &j->flops[range]);
    if (e.error.code == WG_OK) return;
    if (!atomic_exchange_explicit(&j->failed, true, memory_order_relaxed)) {
        j->error = e;
        return;
    }
    free(e.message); /* another thread was first */
    free(e.module);
}

wg_status wgi_fuse_job_run(wgi_fuse_job *j, wgi_context *c)
{
    const int64_t n = j->tiling.ranges;
    j->flops = wg_scope_alloc((size_t)n * sizeof *j->flops);
    if (!j->flops) return wg_error_code();
    wgi_parallel_tasks(n, run_range, j);
    double flops = 0;
    for (int64_t i = 0; i < n; i++) flops += j->flops[i];
    wgi_count_flops(flops);
    if (atomic_load_explicit(&j->failed, memory_order_relaxed)) wgi_error_put(c, j->error);
    return wg_error_code();
}

/* ---- a tile ---------------------------------------------------------------------------------------------------------- */
void wgi_fuse_views(const wgi_fuse_job *j, wgi_context *c, const wgi_tile *at, wg_list x)
{
    for (int64_t i = 0; i < x.n; i++) {
        wg_tensor *t = j->in.t[i];
        x.t[i] = t ? wgi_tile_view(c, &j->tiling, at, (int)i, t) : NULL;
        if (t && !wgi_bad(x.t[i]))
            x.t[i]->flags |= (uint8_t)(WGI_FUSED | (t->flags & (WGI_WEAK | WGI_PARAMETER)));
    }
}

wg_status wgi_fuse_tile_call(const wgi_fuse_job *j, wgi_context *c, const wgi_tile *at, wg_list x,
                             wg_list y)
{
    if (wg_error_code()) return wg_error_code();
    wgi_fuse_call(c, j->closure, &j->fusion, x, y);
    if (wg_error_code()) return wg_error_code();
    const wg_dims shape = wgi_tile_shape(&j->tiling, at);
    for (int64_t i = 0; i < y.n; i++) {
        if (wgi_refuse(y.t[i], "fuse")) return wg_error_code();
        const wg_dims own = wgi_shape(y.t[i]);
        if (wgi_dims_equal(&own, &shape) && y.t[i]->dtype == wgi_closure_dtype(j->closure, i))
            continue;
        char is[192], want[160];
        wgi_tensor_text(is, sizeof is, y.t[i]);
        wgi_shape_text(want, sizeof want, &shape);
        return wg_raise(WG_ESHAPE, "fuse: output %lld of a tile should be %s %s, is %s",
                        (long long)i, want, wg_dtype_name(wgi_closure_dtype(j->closure, i)), is);
    }
    return WG_OK;
}

/* ---- forward ----------------------------------------------------------------------------------------------------------- */
typedef struct {
    wgi_fuse_job job;
    wg_list out;
} forward_job;

static void forward_tile(wgi_fuse_job *job, wgi_context *c, int64_t range, const wgi_tile *at)
{
    (void)range;
    const forward_job *f = (const forward_job *)job;
    wg_list x = wg_list_new(job->in.n), y = wg_list_new(f->out.n);
    wgi_fuse_views(job, c, at, x);
    if (wgi_fuse_tile_call(job, c, at, x, y) != WG_OK) return;
    for (int64_t j = 0; j < y.n; j++) {
        wg_tensor *to = wgi_tile_view(c, &job->tiling, at, (int)(x.n + j), f->out.t[j]);
        if (wgi_bad(to) || wgi_copy_elements(to, y.t[j]) != WG_OK) return;
    }
}

/* Kernels do not allocate: this one runs the kernels of others. */
wg_status wgi_fuse_forward(const wg_run *r)
{
    wgi_context *c = wgi_ctx();
    forward_job f;
    wgi_tiled *o = wgi_fuse_job_make(&f.job, c, r->in, r->out.n);
    if (!o) return wg_error_code();
    f.out = r->out;
    f.job.grad = f.job.closure->settings.grad;
    f.job.tile = forward_tile;
    const int64_t n = f.job.in.n;
    for (int64_t j = 0; j < r->out.n; j++)
        o[n + j] = wgi_tiled_of(&f.job.closure->shape, &f.job.closure->shape, r->out.t[j]->strides);
    wgi_tiling_make(&f.job.tiling, &f.job.closure->shape, (int)(n + r->out.n), o, -1);
    return wgi_fuse_job_run(&f.job, c);
}
