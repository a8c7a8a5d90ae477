/* Kernels of the reductions; the steps are those of src/cpu/reduce_ops.c. */
#include "cuda/reduce.h"

#include <math.h>

#include "cpu/index.h"
#include "cpu/reduce.h"
#include "cpu/scan.h"
#include "cuda/cuda.h"
#include "cuda/elementwise.h"
#include "cuda/operands.h"

static unsigned mask_of(const wg_run *r)
{
    unsigned mask = 0;
    const wgi_reduce_attr *a = r->attr; /* every attribute of the family begins with it */
    wgi_axes(&a->axes, r->in.t[0]->ndim, &mask);
    return mask;
}

static void axes_of(const wg_tensor *x, unsigned mask, wgi_axes_of *kept, wgi_axes_of *reduced)
{
    *kept = *reduced = (wgi_axes_of) { .count = 1 };
    for (int d = 0; d < x->ndim; d++)
        wgi_axes_push(mask >> d & 1 ? reduced : kept, x->shape[d], x->strides[d]);
}

/* One round after the other, until every group is one chunk. */
static wg_status fold_rounds(const wg_run *r, wgi_fold_pass *f, void *acc)
{
    for (;;) {
        const int64_t groups = f->kept.count;
        wgi_fold_plan(f);
        f->out =
            f->chunks == 1
                ? acc
                : wg_scratch(r, (size_t)(groups * f->chunks) * wgi_acc_bytes((wgi_acc)f->kind));
        if (!f->out) return WG_EMEM;
        wgi_launch_fold(f, r->stream);
        if (f->chunks == 1) return WG_OK;
        const wgi_fold_pass next = {
            .op = f->op, .kind = f->kind, .type = (int)wgi_acc_dtype((wgi_acc)f->kind), .x = f->out
        };
        const int64_t chunks = f->chunks;
        const bool columns = f->columns;
        *f = next;
        f->kept.count = f->reduced.count = 1;
        wgi_axes_push(&f->kept, groups, columns ? 1 : chunks);
        wgi_axes_push(&f->reduced, chunks, columns ? groups : 1);
    }
}

/* acc (kept) of `kind`: as wgi_fold_into. */
static wg_status fold_as(const wg_run *r, const wg_tensor *x, unsigned mask,
                         const wgi_fold_spec *spec, wgi_acc kind, void *acc)
{
    wgi_fold_pass f = { .op = (int)spec->op,
                        .map = (int)spec->map,
                        .kind = (int)kind,
                        .type = x->dtype,
                        .p = spec->p,
                        .x = wgi_data(x),
                        .centre = spec->centre };
    axes_of(x, mask, &f.kept, &f.reduced);
    return f.kept.count > 0 ? fold_rounds(r, &f, acc) : WG_OK;
}

static wg_status fold_into(const wg_run *r, const wg_tensor *x, unsigned mask,
                           const wgi_fold_spec *spec, void *acc)
{
    return fold_as(r, x, mask, spec, wgi_acc_of(x->dtype), acc);
}

void wgi_cuda_fold_store(const wg_run *r, const void *acc, wgi_acc kind, bool accumulate)
{
    const wg_tensor *out = r->out.t[0];
    if (acc == wgi_data(out) || out->numel == 0) return;
    const wg_dims shape = wgi_shape(out), strides = wgi_row_major(&shape);
    wgi_elementwise_launch l;
    memset(&l, 0, sizeof l);
    wgi_pass_of_two(&l.pass, out->ndim, out->shape, wgi_data(out), out->dtype, out->strides, acc,
                    (int)wgi_acc_dtype(kind), strides.d);
    l.code = WGI_GPU_COPY;
    l.compute = (int)wgi_acc_dtype(accumulate ? wgi_acc_of(out->dtype) : kind);
    l.accumulate = accumulate;
    wgi_launch_elementwise(&l, r->stream);
}

static wg_status store(const wg_run *r, const void *acc, wgi_acc kind)
{
    wgi_cuda_fold_store(r, acc, kind, r->accumulate);
    return WG_OK;
}

static wg_status fold_op_as(const wg_run *r, unsigned mask, const wgi_fold_spec *f, wgi_acc kind,
                            double divisor)
{
    const wg_tensor *x = r->in.t[0], *out = r->out.t[0];
    if (out->numel == 0) return WG_OK;
    void *acc = wgi_fold_place(r, out, kind);
    if (!acc) return WG_EMEM;
    wg_status s = fold_as(r, x, mask, f, kind, acc);
    if (s != WG_OK) return s;
    if (divisor != 1)
        wgi_launch_finish(WGI_FINISH_DIVIDE, kind, acc, NULL, out->numel, divisor, r->stream);
    return store(r, acc, kind);
}

static wg_status fold_op(const wg_run *r, unsigned mask, const wgi_fold_spec *f, double divisor)
{
    return fold_op_as(r, mask, f, wgi_acc_of(r->in.t[0]->dtype), divisor);
}

wg_status wgi_cuda_sum(const wg_run *r)
{
    return fold_op(r, mask_of(r), &(wgi_fold_spec) { .op = WGI_FOLD_SUM }, 1);
}

wg_status wgi_cuda_sum_to(const wg_run *r)
{
    const wgi_sum_to_attr *a = r->attr;
    return fold_op(r, wgi_sum_to_mask(r->in.t[0], &a->shape),
                   &(wgi_fold_spec) { .op = WGI_FOLD_SUM }, 1);
}

/* Summed in f64: the mean of equal elements is the element, so that gaps to it are zero. */
wg_status wgi_cuda_mean(const wg_run *r)
{
    const unsigned mask = mask_of(r);
    return fold_op_as(r, mask, &(wgi_fold_spec) { .op = WGI_FOLD_SUM }, WGI_ACC_F64,
                      (double)wgi_reduced_count(r->in.t[0], mask));
}

wg_status wgi_cuda_max(const wg_run *r)
{
    return fold_op(r, mask_of(r), &(wgi_fold_spec) { .op = WGI_FOLD_MAX }, 1);
}

wg_status wgi_cuda_min(const wg_run *r)
{
    return fold_op(r, mask_of(r), &(wgi_fold_spec) { .op = WGI_FOLD_MIN }, 1);
}

wg_status wgi_cuda_prod(const wg_run *r)
{
    return fold_op(r, mask_of(r), &(wgi_fold_spec) { .op = WGI_FOLD_PROD }, 1);
}

/* Over nothing the neutral element would be an infinity. */
static wg_status truth(const wg_run *r, wgi_fold_op op, bool over_nothing)
{
    const wg_tensor *out = r->out.t[0];
    if (out->numel == 0) return WG_OK;
    if (r->in.t[0]->numel == 0) return wgi_cuda_full(r, over_nothing);
    return fold_op(r, mask_of(r), &(wgi_fold_spec) { .op = op, .map = WGI_MAP_NONZERO }, 1);
}

wg_status wgi_cuda_any(const wg_run *r)
{
    return truth(r, WGI_FOLD_MAX, false);
}

wg_status wgi_cuda_all(const wg_run *r)
{
    return truth(r, WGI_FOLD_MIN, true);
}

/* ---- folds with something before or after ----------------------------------------------------- */
typedef struct {
    wgi_acc kind;
    unsigned mask;
    int64_t n;
    void *acc;
} groups;

static wg_status groups_start(const wg_run *r, groups *g)
{
    *g = (groups) { wgi_acc_of(r->in.t[0]->dtype), mask_of(r), r->out.t[0]->numel, NULL };
    if (g->n == 0) return WG_OK;
    g->acc = wgi_fold_place(r, r->out.t[0], g->kind);
    return g->acc ? WG_OK : WG_EMEM;
}

static void *groups_scratch(const wg_run *r, const groups *g)
{
    return wg_scratch(r, (size_t)g->n * wgi_acc_bytes(g->kind));
}

static void finish(const wg_run *r, const groups *g, wgi_finish what, void *acc, const void *other,
                   double number)
{
    wgi_launch_finish(what, g->kind, acc, other, g->n, number, r->stream);
}

wg_status wgi_cuda_norm(const wg_run *r)
{
    const wgi_norm_attr *a = r->attr;
    groups g;
    wg_status s = groups_start(r, &g);
    if (s != WG_OK || g.n == 0) return s;
    wgi_fold_spec f = { .op = WGI_FOLD_SUM, .p = a->p };
    if (isinf(a->p)) {
        f.op = a->p > 0 ? WGI_FOLD_MAX : WGI_FOLD_MIN;
        f.map = WGI_MAP_ABS;
    } else {
        f.map = a->p == 0   ? WGI_MAP_NONZERO
                : a->p == 1 ? WGI_MAP_ABS
                : a->p == 2 ? WGI_MAP_SQUARE
                            : WGI_MAP_POWER;
    }
    if (r->in.t[0]->numel == 0) return wgi_cuda_full(r, 0); /* also the maximum over nothing */
    s = fold_into(r, r->in.t[0], g.mask, &f, g.acc);
    if (s != WG_OK) return s;
    if (f.map == WGI_MAP_SQUARE || f.map == WGI_MAP_POWER)
        finish(r, &g, WGI_FINISH_ROOT, g.acc, NULL, a->p);
    return store(r, g.acc, g.kind);
}

/* mean (n) of the accumulator's type, summed in f64: of equal elements it is the element. */
static wg_status means(const wg_run *r, const groups *g, const void **mean)
{
    static const int64_t one = 1;
    const wg_tensor *x = r->in.t[0];
    void *sum = wg_scratch(r, (size_t)g->n * sizeof(double)), *to = groups_scratch(r, g);
    if (!sum || !to) return WG_EMEM;
    *mean = to;
    const wg_status s =
        fold_as(r, x, g->mask, &(wgi_fold_spec) { .op = WGI_FOLD_SUM }, WGI_ACC_F64, sum);
    if (s != WG_OK) return s;
    wgi_launch_finish(WGI_FINISH_DIVIDE, WGI_ACC_F64, sum, NULL, g->n,
                      (double)wgi_reduced_count(x, g->mask), r->stream);
    return wgi_cuda_copy_strided(r, to, wgi_acc_dtype(g->kind), &one, sum, WG_F64, &one, 1, &g->n);
}

/* Two passes: the mean, then the squares around it. */
static wg_status variance(const wg_run *r, bool deviation)
{
    const wgi_var_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0];
    groups g;
    wg_status s = groups_start(r, &g);
    if (s != WG_OK || g.n == 0) return s;
    const int64_t count = wgi_reduced_count(x, g.mask);
    wgi_fold_spec squares = { .op = WGI_FOLD_SUM, .map = WGI_MAP_SQUARE };
    s = means(r, &g, &squares.centre);
    if (s == WG_OK) s = fold_into(r, x, g.mask, &squares, g.acc);
    if (s != WG_OK) return s;
    finish(r, &g, WGI_FINISH_DIVIDE_F64, g.acc, NULL,
           count > a->correction ? (double)count - (double)a->correction : 0.0);
    if (deviation) finish(r, &g, WGI_FINISH_ROOT, g.acc, NULL, 2);
    return store(r, g.acc, g.kind);
}

wg_status wgi_cuda_var(const wg_run *r)
{
    return variance(r, false);
}

wg_status wgi_cuda_std(const wg_run *r)
{
    return variance(r, true);
}

/* m + log(sum(exp(x - m))), m the maximum; 0 instead of an infinite m. */
wg_status wgi_cuda_logsumexp(const wg_run *r)
{
    const wg_tensor *x = r->in.t[0];
    groups g;
    wg_status s = groups_start(r, &g);
    if (s != WG_OK || g.n == 0) return s;
    void *top = groups_scratch(r, &g);
    if (!top) return WG_EMEM;
    s = fold_into(r, x, g.mask, &(wgi_fold_spec) { .op = WGI_FOLD_MAX }, top);
    if (s != WG_OK) return s;
    finish(r, &g, WGI_FINISH_FINITE, top, NULL, 0);
    s = fold_into(r, x, g.mask,
                  &(wgi_fold_spec) { .op = WGI_FOLD_SUM, .map = WGI_MAP_EXP, .centre = top },
                  g.acc);
    if (s != WG_OK) return s;
    finish(r, &g, WGI_FINISH_LOG, g.acc, top, 0);
    return store(r, g.acc, g.kind);
}

/* ---- places and running sums -------------------------------------------------------------------- */

static wg_status extremum(const wg_run *r, bool smallest)
{
    const wg_tensor *x = r->in.t[0], *out = r->out.t[0];
    if (out->numel == 0) return WG_OK;
    wgi_extremum_pass e = { .x = wgi_data(x),
                            .out = wgi_data(out),
                            .type = x->dtype,
                            .kind = (int)wgi_acc_of(x->dtype),
                            .smallest = smallest };
    axes_of(x, mask_of(r), &e.kept, &e.reduced);
    wgi_launch_extremum(&e, r->stream);
    return WG_OK;
}

wg_status wgi_cuda_argmax(const wg_run *r)
{
    return extremum(r, false);
}

wg_status wgi_cuda_argmin(const wg_run *r)
{
    return extremum(r, true);
}

wg_status wgi_cuda_cumsum(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0], *y = r->out.t[0];
    const int axis = a->axis < 0 ? a->axis + (x->ndim ? x->ndim : 1) : a->axis;
    if (x->numel == 0) return WG_OK;
    wgi_cumsum_pass c = { .x = wgi_data(x),
                          .y = wgi_data(y),
                          .x_type = x->dtype,
                          .y_type = y->dtype,
                          .kind = (int)wgi_acc_of(x->dtype),
                          .n = 1 };
    c.x_lines.count = c.y_lines.count = 1;
    for (int d = 0; d < x->ndim; d++) {
        if (d == axis) {
            c.n = x->shape[d];
            c.x_step = x->strides[d];
            c.y_step = y->strides[d];
            continue;
        }
        wgi_axes_push(&c.x_lines, x->shape[d], x->strides[d]);
        wgi_axes_push(&c.y_lines, x->shape[d], y->strides[d]);
    }
    wgi_launch_cumsum(&c, r->stream);
    return WG_OK;
}
