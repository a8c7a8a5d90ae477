/* A fused function's gradient: on a tile the function again, recorded, and backward through that small graph, traced once
 * and run on every tile. An input
 * that is as large as the outputs gets its gradient tile by tile, right where it belongs. One that was broadcast gets sums:
 * each range of tiles adds up its own in order, and the ranges' sums are added in order, so that the bits do not depend on
 * the threads. */
#include "autograd/fuse.h"
#include "autograd/run.h"
#include "wengert/ops.h"

typedef struct {
    int input, operand; /* of the function; of the tiling */
    bool summed;
    /* tile by tile: */
    wgi_place place;
    wg_tensor *whole; /* dx, to be written; where place.into, to be added to */
    /* summed: */
    wg_tensor **sum; /* (ranges) of a range, f64, flat; NULL: not made. One reference each */
    int64_t *begins; /* (ranges) the element of dx with which it begins */
} input_gradient;

typedef struct {
    wgi_fuse_job job;
    wg_list dy;         /* (outputs) NULL: zero */
    int64_t n;          /* inputs that want a gradient */
    input_gradient *dx; /* (n) the job's results */
} backward_job;

/* ---- on a tile ------------------------------------------------------------------------------------------------- */
/* The elements of dx that a range of tiles adds to: from *begin to before *end. */
static void range_extent(const wgi_tiling *t, int64_t range, int operand, int64_t *begin,
                         int64_t *end)
{
    *begin = INT64_MAX;
    *end = 0;
    for (int64_t i = range * t->per_range; i < wgi_range_end(t, range); i++) {
        const wgi_tile at = wgi_tile_at(t, i);
        wg_dims shape, strides;
        const int64_t first = wgi_tile_part(t, &at, operand, &shape, &strides);
        int64_t last = first;
        for (int a = 0; a < shape.n; a++) last += (shape.d[a] - 1) * strides.d[a];
        if (first < *begin) *begin = first;
        if (last >= *end) *end = last + 1;
    }
}

static void begin_sums(wgi_fuse_job *job, wgi_context *c, int64_t range)
{
    backward_job *b = (backward_job *)job;
    for (int64_t k = 0; k < b->n; k++) {
        input_gradient *g = &b->dx[k];
        if (!g->summed) continue;
        int64_t end;
        range_extent(&job->tiling, range, g->operand, &g->begins[range], &end);
        const wg_dims size = { .n = 1, .d = { end - g->begins[range] } };
        wg_tensor *sum = g->sum[range] = wgi_tensor_make_at(c, WG_F64, wg_cpu(), &size);
        if (!sum) return;
        if (wgi_zero_bytes(sum->device, wgi_data(sum), (size_t)sum->numel * sizeof(double)) !=
            WG_OK)
            return;
    }
}

static wg_status add_into(wgi_context *c, wg_tensor *to, wg_tensor *d)
{
    if (wgi_bad(to)) return wg_error_code();
    return wgi_run_into(c, &wgi_op_add, WG_LIST(to, d), NULL, &to, 1, false);
}

/* The gradient d of a tile's part of an input goes where it belongs. */
static void put(wgi_fuse_job *job, wgi_context *c, int64_t range, const wgi_tile *at, int64_t k,
                wg_tensor *d)
{
    const backward_job *b = (const backward_job *)job;
    const input_gradient *g = &b->dx[k];
    if (g->summed) {
        wg_dims shape, strides;
        const int64_t first = wgi_tile_part(&job->tiling, at, g->operand, &shape, &strides);
        add_into(
            c, wgi_tensor_view_at(c, g->sum[range], &shape, &strides, first - g->begins[range]), d);
        return;
    }
    wg_tensor *to = wgi_tile_view(c, &job->tiling, at, g->operand, g->whole);
    if (g->place.into)
        add_into(c, to, d);
    else if (!wgi_bad(to))
        (void)wgi_copy_elements(to, d);
}

/* from: the inputs, then the cotangents that there are; to: the wanted gradients. */
static void trace_backward(wgi_fuse_job *job, wgi_context *c, const wgi_tile *at, wg_list from,
                           wg_list to)
{
    const backward_job *b = (const backward_job *)job;
    wg_list x = { job->in.n, from.t }, y = wg_list_new(b->dy.n), dy = wg_list_new(b->dy.n);
    wg_list wanted = wg_list_new(b->n);
    if (wg_error_code()) return;
    for (int64_t k = 0; k < b->n; k++) wanted.t[k] = (wg_require_grad)(x.t[b->dx[k].input]);
    if (wgi_fuse_tile_call(job, c, at, x, y) != WG_OK) return;
    int64_t n = 0, given = x.n; /* outputs with a cotangent that depend on something wanted */
    for (int64_t j = 0; j < b->dy.n; j++) {
        if (!b->dy.t[j]) continue;
        wg_tensor *d = from.t[given++];
        if (!y.t[j]->node) continue;
        y.t[n] = y.t[j];
        dy.t[n++] = d;
    }
    y.n = dy.n = n;
    if (n) (void)(wg_grad)(y, wanted, dy, WG_ALLOW_UNUSED, to);
}

/* ---- before and after the tiles ------------------------------------------------------------------------------------ */
/* dx of input i along the tiling's axes: contiguous, of the input's shape. */
static wgi_tiled gradient_operand(const backward_job *b, int i)
{
    const wg_dims shape = wgi_shape(b->job.in.t[i]);
    int64_t strides[WG_MAX_DIMS];
    wgi_row_major_into(&shape, strides);
    return wgi_tiled_of(&b->job.closure->shape, &shape, strides);
}

/* Cuts the job: its operands are the inputs, the cotangents that there are, the gradients wanted. */
static void cut(backward_job *b, wgi_tiled *o)
{
    wgi_fuse_job *job = &b->job;
    const wg_dims *all = &job->closure->shape;
    int64_t n = job->in.n, largest = 0;
    int shared = -1;
    for (int64_t j = 0; j < b->dy.n; j++) {
        if (!b->dy.t[j]) continue;
        job->from[n] = (wgi_fuse_part) { b->dy.t[j], (int)n };
        o[n++] = wgi_tiled_of(all, all, b->dy.t[j]->strides);
    }
    job->n_from = n;
    job->n_to = b->n;
    for (int64_t k = 0; k < b->n; k++) {
        input_gradient *g = &b->dx[k];
        const wg_tensor *x = job->in.t[g->input];
        g->operand = (int)n;
        g->summed = x->numel != wgi_numel(all);
        if (g->summed && x->numel > largest) {
            largest = x->numel;
            shared = g->operand;
        }
        job->to[k] = (wgi_fuse_part) { NULL, (int)n };
        o[n++] = gradient_operand(b, g->input);
    }
    wgi_tiling_make(&job->tiling, all, (int)n, o, shared);
}

/* Finds, or makes, what the gradients are put into. Several inputs may be one tensor, and have one place: a tile adds
 * theirs one after the other. */
static void open_places(backward_job *b, wgi_rule *rule)
{
    wgi_context *c = rule->context;
    const int64_t ranges = b->job.tiling.ranges;
    wgi_place *held = wg_scope_alloc((size_t)b->n * sizeof *held);
    int n = 0;
    for (int64_t k = 0; k < b->n && held && !wg_error_code(); k++) {
        input_gradient *g = &b->dx[k];
        if (g->summed) {
            g->sum = wg_scope_alloc((size_t)ranges * sizeof(wg_tensor *));
            g->begins = wg_scope_alloc((size_t)ranges * sizeof *g->begins);
            continue;
        }
        wgi_place_find(rule->run, rule->node, g->input + 1, held, n, &g->place);
        held[n++] = g->place;
        g->whole = g->place.into;
        if (!g->whole)
            b->job.to[k].t = g->whole =
                wgi_tensor_new(c, (wg_dtype)g->place.meta.dtype, wg_cpu(),
                               wgi_dims(g->place.meta.ndim, g->place.meta.shape));
    }
}

/* The ranges' sums, added in order, in the input's shape and dtype. */
static wg_tensor *total(wgi_context *c, const input_gradient *g, int64_t ranges, const wg_tensor *x)
{
    const wg_dims shape = wgi_shape(x), one = { .n = 1, .d = { 1 } };
    wg_tensor *t = wgi_tensor_new_at(c, WG_F64, wg_cpu(), &shape);
    wg_tensor *d = wgi_tensor_new_at(c, (wg_dtype)x->dtype, wg_cpu(), &shape);
    if (wgi_bad(t) || wgi_bad(d)) return &wgi_error_tensor;
    if (wgi_zero_bytes(t->device, wgi_data(t), (size_t)t->numel * sizeof(double)) != WG_OK)
        return &wgi_error_tensor;
    for (int64_t i = 0; i < ranges; i++) {
        const wg_dims size = wgi_shape(g->sum[i]);
        if (add_into(c, wgi_tensor_view_at(c, t, &size, &one, g->begins[i]), g->sum[i]) != WG_OK)
            return &wgi_error_tensor;
    }
    return wgi_copy_elements(d, t) == WG_OK ? d : &wgi_error_tensor;
}

/* Hands the gradients on, after the places are left. */
static void close_places(backward_job *b, wgi_rule *rule, wg_vjp *v)
{
    const wgi_tiling *t = &b->job.tiling;
    for (int64_t k = 0; k < b->n; k++) wgi_place_leave(&b->dx[k].place);
    for (int64_t k = 0; k < b->n && !wg_error_code(); k++) {
        input_gradient *g = &b->dx[k];
        const wgi_fuse_code *code = b->job.code;
        if (b->job.codes > 1 && (code[0].to[k] < 0) != (code[1].to[k] < 0)) {
            wg_raise(WG_EGRAD, "fuse: the function is not the same on every tile");
        } else if (code[0].to[k] < 0) { /* no output depends on it */
        } else if (g->summed) {
            v->dx.t[g->input + 1] = total(rule->context, g, t->ranges, b->job.in.t[g->input]);
        } else {
            rule->placed[g->input + 1] = true;
            if (!g->place.into) wgi_deliver(rule->run, g->place.edge, &g->place.meta, g->whole);
        }
    }
    for (int64_t k = 0; k < b->n; k++)
        for (int64_t i = 0; i < t->ranges && b->dx[k].sum; i++) wgi_unref(b->dx[k].sum[i]);
}

void wgi_fuse_backward(wg_vjp *v)
{
    wgi_rule *rule = v->engine;
    wgi_context *c = rule->context;
    backward_job b;
    wgi_tiled *o = wgi_fuse_job_make(&b.job, c, v->x, v->dy.n, v->x.n);
    b.dy = v->dy;
    b.dx = wg_scope_alloc((size_t)v->x.n * sizeof *b.dx);
    b.n = 0;
    if (!o || !b.dx) return;
    for (int64_t i = 0; i < b.job.in.n; i++)
        if (v->wants[i + 1] && b.job.in.t[i]) b.dx[b.n++].input = (int)i;
    b.job.grad = true;
    b.job.begin = begin_sums;
    b.job.trace = trace_backward;
    b.job.put = put;
    cut(&b, o);
    open_places(&b, rule);
    if (!wg_error_code()) wgi_fuse_job_run(&b.job, c);
    close_places(&b, rule, v);
}
