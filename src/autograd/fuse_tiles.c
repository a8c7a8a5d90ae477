/* Tiles of a fused function: traced once for each shape that they have, then run on the threads of the CPU, each in the
 * caller's settings; errors are carried back. */
#include "autograd/fuse.h"

#include <stdlib.h>

#include "cpu/parallel.h"
#include "cpu/stream.h"
#include "wengert/ops.h"

enum {
    SENT_BYTES = 32 << 20
}; /* results of this size are not found in a cache by whoever reads them */

/* ---- a thread's context while it runs tiles --------------------------------------------------------------------- */
typedef struct { /* as it was, to be put back */
    const wg_op *op;
    wg_list operands;
    wgi_segment *segment;
    const wgi_fusion *fusion;
    struct wgi_program *program;
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
                            .program = c->program,
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
    c->program = NULL;
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
    c->program = was->program;
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
wgi_tiled *wgi_fuse_job_make(wgi_fuse_job *j, wgi_context *c, wg_list in, int64_t from, int64_t to)
{
    const wgi_closure *k = wgi_closure_of(in.t[0]);
    *j = (wgi_fuse_job) { .closure = k,
                          .in = wgi_fuse_inputs(in),
                          .fusion.in = wg_list_new(in.n),
                          .caller = c,
                          .file = c->file,
                          .line = c->line };
    const int64_t n = j->in.n;
    wgi_tiled *o = wg_scope_alloc((size_t)(n + from + to) * sizeof *o);
    j->from = wg_scope_alloc((size_t)(n + from) * sizeof *j->from);
    j->to = wg_scope_alloc((size_t)to * sizeof *j->to);
    if (!o || !j->from || !j->to || wg_error_code()) return NULL;
    for (int64_t i = 0; i < n; i++) {
        wg_tensor *t = j->in.t[i];
        const wg_dims shape = t ? wgi_shape(t) : wgi_dims(0, NULL);
        j->fusion.in.t[i + 1] = t;
        j->from[i] = (wgi_fuse_part) { t, (int)i };
        o[i] = wgi_tiled_of(&k->shape, &shape, t ? t->strides : NULL);
    }
    j->n_from = n;
    return o;
}

/* ---- the trace ----------------------------------------------------------------------------------------------------- */
wg_tensor *wgi_fuse_twin(wgi_context *c, wg_tensor *t, const wg_dims *shape, const wg_dims *strides)
{
    wg_tensor *x = t;
    if (!(t->flags & WGI_WEAK)) x = wgi_tensor_new_at(c, (wg_dtype)t->dtype, wg_meta(), shape);
    if (wgi_bad(x)) return x;
    x = wgi_tensor_view_at(c, x, shape, strides, x->offset);
    if (!wgi_bad(x)) x->flags |= (uint8_t)(WGI_FUSED | (t->flags & (WGI_WEAK | WGI_PARAMETER)));
    return x;
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

/* Whether a result may be made right in its part of the tensor: of that dtype, both contiguous, and its memory is no
 * other's. */
static bool placeable(const wgi_fuse_job *j, const wgi_fuse_code *code, const wgi_tile *at,
                      int64_t to)
{
    const wgi_fuse_part *part = &j->to[to];
    const wgi_operand *y = &code->program.operand[code->to[to]];
    if (!part->t || part->t->dtype != y->like.dtype || !wgi_is_contiguous(&y->like)) return false;
    const wgi_value *v = &code->program.value[y->value];
    if (!v->made || y->like.offset ||
        v->storage->bytes != wgi_bytes_of(part->t->dtype, y->like.numel))
        return false;
    for (int64_t k = 0; k < to; k++)
        if (code->to[k] >= 0 && code->program.operand[code->to[k]].value == y->value) return false;
    wg_dims shape, strides;
    wgi_tile_part(&j->tiling, at, part->operand, &shape, &strides);
    const wg_dims own = wgi_shape(&y->like);
    int64_t step = 1;
    for (int a = shape.n - 1; a >= 0; step *= shape.d[a--])
        if (shape.d[a] != 1 && strides.d[a] != step) return false;
    return wgi_dims_equal(&own, &shape);
}

static wgi_fuse_way way_of(const wgi_fuse_job *j, const wgi_fuse_code *code, const wgi_tile *at,
                           int64_t to)
{
    if (code->to[to] < 0) return WGI_FUSE_NONE;
    if (!placeable(j, code, at, to)) return WGI_FUSE_PUT;
    return j->to[to].t->storage->bytes < SENT_BYTES ? WGI_FUSE_MADE : WGI_FUSE_SENT;
}

/* What the function does on a tile of this shape. The trace's tensors live in the scope. */
static void note(wgi_fuse_job *j, wgi_context *c, wgi_fuse_code *code, const wgi_tile *at)
{
    wg_list from = wg_list_new(j->n_from), to = wg_list_new(j->n_to);
    if (wg_error_code()) return;
    for (int64_t k = 0; k < from.n; k++) {
        code->from[k] = -1;
        if (!j->from[k].t) continue;
        wg_dims shape, strides;
        wgi_tile_part(&j->tiling, at, j->from[k].operand, &shape, &strides);
        from.t[k] = wgi_fuse_twin(c, j->from[k].t, &shape, &strides);
        if (wgi_bad(from.t[k])) return;
        if (from.t[k]->flags & WGI_WEAK) continue; /* noted as what it is: a constant */
        if ((code->from[k] = wgi_program_bind(&code->program, from.t[k])) < 0) return;
    }
    const double flops = wg_flops();
    j->trace(j, c, at, from, to);
    code->program.flops = wg_flops() - flops;
    for (int64_t k = 0; k < to.n && !wg_error_code(); k++)
        code->to[k] = to.t[k] ? wgi_program_result(&code->program, to.t[k]) : -1;
}

static wg_status trace(wgi_fuse_job *j, wgi_context *c, const wgi_tile *at)
{
    wgi_fuse_code *code = &j->code[j->codes++];
    *code = (wgi_fuse_code) { .length = at->length,
                              .from = wg_scope_alloc((size_t)j->n_from * sizeof *code->from),
                              .to = wg_scope_alloc((size_t)j->n_to * sizeof *code->to),
                              .way = wg_scope_alloc((size_t)j->n_to * sizeof *code->way) };
    if (!code->from || !code->to || !code->way) return wg_error_code();
    thread_state was;
    double flops;
    enter(j, c, &was);
    c->now.device = wg_meta();
    c->program = &code->program;
    note(j, c, code, at);
    if (!wg_error_code()) wgi_program_close(&code->program, code->to, j->n_to);
    for (int64_t k = 0; k < j->n_to && !wg_error_code(); k++) {
        code->way[k] = way_of(j, code, at, k);
        code->puts |= code->way[k] == WGI_FUSE_PUT;
    }
    wgi_error_put(c, leave(j, c, &was, &flops));
    return wg_error_code();
}

/* ---- the run ------------------------------------------------------------------------------------------------------- */
static void *place_of(const wgi_tiling *t, const wgi_tile *at, const wgi_fuse_part *part)
{
    return (char *)wgi_data(part->t) +
           wgi_tile_offset(t, at, part->operand) * (int64_t)wg_dtype_size((wg_dtype)part->t->dtype);
}

static int value_of(const wgi_fuse_code *code, int64_t to)
{
    return code->program.operand[code->to[to]].value;
}

/* What the next tile reads and writes: a wish, so it is taken to be contiguous and as long as this one. */
static void look_ahead(const wgi_fuse_job *j, const wgi_tile *next, const wgi_fuse_code *code,
                       wgi_replay *r)
{
    for (int64_t k = 0; k < j->n_from; k++)
        if (code->from[k] >= 0)
            wgi_replay_ahead(r, code->from[k], place_of(&j->tiling, next, &j->from[k]));
    for (int64_t k = 0; k < j->n_to; k++)
        if (code->way[k] == WGI_FUSE_MADE)
            wgi_replay_ahead(r, value_of(code, k), place_of(&j->tiling, next, &j->to[k]));
}

static void put_results(wgi_fuse_job *j, wgi_context *c, int64_t range, const wgi_tile *at,
                        const wgi_fuse_code *code, wgi_replay *r)
{
    const wg_scope scope = (wg_scope_push)();
    c->file = j->file;
    c->line = j->line;
    for (int64_t k = 0; k < j->n_to && !wg_error_code(); k++)
        if (code->way[k] == WGI_FUSE_PUT) j->put(j, c, range, at, k, &r->operand[code->to[k]]);
    (wg_scope_return)(scope, NULL);
}

static void run_tile(wgi_fuse_job *j, wgi_context *c, int64_t range, const wgi_tile *at,
                     const wgi_tile *next, const wgi_fuse_code *code, wgi_replay *r)
{
    for (int64_t k = 0; k < j->n_from; k++)
        if (code->from[k] >= 0)
            wgi_replay_bind(r, code->from[k], place_of(&j->tiling, at, &j->from[k]));
    for (int64_t k = 0; k < j->n_to; k++)
        if (code->way[k] == WGI_FUSE_MADE)
            wgi_replay_bind(r, value_of(code, k), place_of(&j->tiling, at, &j->to[k]));
    if (next) look_ahead(j, next, code, r);
    if (wgi_replay_run(r, c) != WG_OK) return;
    for (int64_t k = 0; k < j->n_to; k++)
        if (code->way[k] == WGI_FUSE_SENT)
            WGI_PICK(wgi_chain_kernels)
                ->send(place_of(&j->tiling, at, &j->to[k]), wgi_data(&r->operand[code->to[k]]),
                       r->storage[value_of(code, k)].bytes);
    if (code->puts) put_results(j, c, range, at, code, r);
}

static void run_tiles(wgi_fuse_job *j, wgi_context *c, int64_t range)
{
    wgi_replay r[2] = { 0 };
    wg_status s = WG_OK;
    for (int k = 0; k < j->codes && s == WG_OK; k++)
        s = wgi_replay_open(&r[k], &j->code[k].program);
    if (s == WG_OK && j->begin) j->begin(j, c, range);
    const int64_t end = wgi_range_end(&j->tiling, range);
    wgi_tile next = wgi_tile_at(&j->tiling, range * j->tiling.per_range);
    for (int64_t i = range * j->tiling.per_range; i < end && !c->error.code; i++) {
        const wgi_tile at = next;
        const bool more = i + 1 < end;
        if (more) wgi_tile_next(&j->tiling, &next);
        const int k = at.length != j->code[0].length;
        run_tile(j, c, range, &at, more ? &next : NULL, &j->code[k], &r[k]);
        if (atomic_load_explicit(&j->failed, memory_order_relaxed)) break;
    }
    wgi_stream_end();
    for (int k = 0; k < j->codes; k++) wgi_replay_close(&r[k]);
}

static void run_range(void *self, int64_t range)
{
    wgi_fuse_job *j = self;
    if (atomic_load_explicit(&j->failed, memory_order_relaxed)) return;
    wgi_context *c = wgi_ctx();
    thread_state was;
    double flops;
    enter(j, c, &was);
    run_tiles(j, c, range);
    wgi_held_error e = leave(j, c, &was, &flops);
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
    const wgi_tiling *t = &j->tiling;
    const wgi_tile first = wgi_tile_at(t, 0), last = wgi_tile_at(t, t->tiles - 1);
    wg_status s = trace(j, c, &first);
    if (s == WG_OK && last.length != first.length) s = trace(j, c, &last);
    if (s == WG_OK) {
        wgi_parallel_tasks(t->ranges, run_range, j);
        const int64_t shorter = j->codes > 1 ? wgi_tiling_ends(t) : 0;
        wgi_count_flops((double)(t->tiles - shorter) * j->code[0].program.flops +
                        (double)shorter * j->code[1].program.flops);
        if (atomic_load_explicit(&j->failed, memory_order_relaxed)) wgi_error_put(c, j->error);
    }
    for (int k = 0; k < j->codes; k++) wgi_program_free(&j->code[k].program);
    return wg_error_code();
}

/* ---- forward ----------------------------------------------------------------------------------------------------------- */
static void trace_forward(wgi_fuse_job *j, wgi_context *c, const wgi_tile *at, wg_list from,
                          wg_list to)
{
    wgi_fuse_tile_call(j, c, at, from, to);
}

static void put_forward(wgi_fuse_job *j, wgi_context *c, int64_t range, const wgi_tile *at,
                        int64_t k, wg_tensor *y)
{
    (void)range;
    wg_tensor *to = wgi_tile_view(c, &j->tiling, at, j->to[k].operand, j->to[k].t);
    if (!wgi_bad(to)) (void)wgi_copy_elements(to, y);
}

/* Kernels do not allocate: this one runs the kernels of others. */
wg_status wgi_fuse_forward(const wg_run *r)
{
    wgi_context *c = wgi_ctx();
    wgi_fuse_job j;
    wgi_tiled *o = wgi_fuse_job_make(&j, c, r->in, 0, r->out.n);
    if (!o) return wg_error_code();
    j.grad = j.closure->settings.grad;
    j.trace = trace_forward;
    j.put = put_forward;
    j.n_to = r->out.n;
    const int64_t n = j.n_from;
    for (int64_t k = 0; k < r->out.n; k++) {
        j.to[k] = (wgi_fuse_part) { r->out.t[k], (int)(n + k) };
        o[n + k] = wgi_tiled_of(&j.closure->shape, &j.closure->shape, r->out.t[k]->strides);
    }
    wgi_tiling_make(&j.tiling, &j.closure->shape, (int)(n + r->out.n), o, -1);
    return wgi_fuse_job_run(&j, c);
}
