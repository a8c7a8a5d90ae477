/* index_select: y[.., k, ..] = x[.., i[k], ..] along axis.
 *   x: (...) any, i: (n) i64 or i32 -> y: x's shape with n along axis, x's dtype.
 *   gradient: dx = sum of dy over the places where an index stands (index_select_backward); saves
 *   i.
 *   errors: WG_ESHAPE if i is not 1-d or x 0-d; WG_EDTYPE for i; WG_EINDEX for the axis and for an
 *   index outside [0, size): negative ones, too. */
#include "ops/index_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wgi_axis_attr *a = c->attr;
    const wg_tensor *x = c->in.t[0], *i = c->in.t[1];
    int axis;
    wg_status s = wgi_index_axis(a->axis, x, &axis);
    if (s == WG_OK) s = wgi_index_dtype(i);
    if (s != WG_OK) return s;
    if (i->ndim != 1) return wg_raise(WG_ESHAPE, "i must have one axis, has %d", i->ndim);
    wg_dims shape = wgi_shape(x);
    shape.d[axis] = i->shape[0];
    return wgi_infer_shape(c, x, shape);
}

static void grad(wg_vjp *g)
{
    const wgi_axis_attr *a = g->attr;
    const wgi_axis_back_attr b = { a->axis, wg_vjp_in_shape(g, 0) };
    wg_vjp_apply(g, (int[]) { 0 }, &wgi_op_index_select_backward, WG_LIST(g->dy.t[0], g->x.t[1]),
                 &b);
}

typedef struct {
    const double *from;
    double *to;
} reference_pair;

static void take(void *self, int64_t small, int64_t large)
{
    const reference_pair *p = self;
    p->to[small] = p->from[large];
}

static void add(void *self, int64_t small, int64_t large)
{
    const reference_pair *p = self;
    p->to[large] += p->from[small];
}

static wg_status reference(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    return wgi_select_each(r->in.t[0], r->in.t[1], a->axis, take,
                           &(reference_pair) { wg_run_in(r, 0), wg_run_out(r, 0) });
}

#define AXIS(a) (&(wgi_axis_attr) { a })

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "first", WG_LIST(x, wg_randint(0, 2, WG_DIMS(3))), AXIS(0));
    wg_sample(s, "middle", WG_LIST(x, wg_randint(0, 3, WG_DIMS(4))), AXIS(1));
    wg_sample(s, "last", WG_LIST(x, wg_randint(0, 4, WG_DIMS(2))), AXIS(-1));
    wg_sample(s, "1-d",
              WG_LIST(wg_randn(WG_DIMS(5)), wg_cast(wg_randint(0, 5, WG_DIMS(7)), WG_I32)),
              AXIS(0));
    wg_sample(s, "none", WG_LIST(x, wg_randint(0, 4, WG_DIMS(0))), AXIS(2));
    wg_sample_error(s, "index", WG_LIST(x, wg_arange(0, 4)), AXIS(1), WG_EINDEX,
                    "index_select: i at (3) is 3, out of range for size 3");
    wg_sample_error(s, "axis", WG_LIST(x, wg_arange(0, 1)), AXIS(3), WG_EINDEX, "index_select: ");
    wg_sample_error(s, "2-d", WG_LIST(x, wg_randint(0, 2, WG_DIMS(1, 2))), AXIS(0), WG_ESHAPE,
                    "index_select: ");
    wg_sample_error(s, "float", WG_LIST(x, wg_randn(WG_DIMS(2))), AXIS(0), WG_EDTYPE,
                    "index_select: ");
}

const wg_op wgi_op_index_select = {
    .name = "index_select",
    .in = { "x", "i" },
    .out = { "y" },
    .attr_size = sizeof(wgi_axis_attr),
    .saves = WG_IN(1),
    .zero_grad = WG_IN(1),
    .infer = infer,
    .cpu = wgi_cpu_index_select,
    .cuda = wgi_cuda_index_select,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_index_select(wg_tensor *x, int axis, wg_tensor *i)
{
    return wg_apply(&wgi_op_index_select, WG_LIST(x, i), AXIS(axis), NULL);
}

/* ---- index_select_backward: dx[.., i[k], ..] = sum of dy[.., k, ..] ---- */
static wg_status infer_backward(wg_infer *c)
{
    const wgi_axis_back_attr *a = c->attr;
    const wg_tensor *dy = c->in.t[0], *i = c->in.t[1];
    int axis;
    wg_status s = wgi_index_axis(a->axis, dy, &axis);
    if (s == WG_OK) s = wgi_index_dtype(i);
    if (s != WG_OK) return s;
    wg_dims shape = a->shape;
    shape.d[axis] = i->numel;
    s = wg_expect(c, 0, shape);
    return s != WG_OK ? s : wgi_infer_shape(c, dy, a->shape);
}

static void grad_backward(wg_vjp *g)
{
    const wgi_axis_back_attr *a = g->attr;
    g->dx.t[0] = wg_index_select(g->dy.t[0], a->axis, g->x.t[1]);
}

static wg_status reference_backward(const wg_run *r)
{
    const wgi_axis_back_attr *a = r->attr;
    const wg_tensor *dx = r->out.t[0];
    double *to = wg_run_out(r, 0);
    for (int64_t k = 0; k < dx->numel; k++) to[k] = 0;
    return wgi_select_each(dx, r->in.t[1], a->axis, add, &(reference_pair) { wg_run_in(r, 0), to });
}

static void samples_backward(wg_samples *s)
{
    wg_tensor *dy = wg_randn(WG_DIMS(2, 5, 3));
    wg_tensor *i = wg_randint(0, 4, WG_DIMS(5));
    wg_sample(s, "middle", WG_LIST(dy, i), &(wgi_axis_back_attr) { 1, WG_DIMS(2, 4, 3) });
    wg_sample(s, "last", WG_LIST(wg_randn(WG_DIMS(2, 5)), i),
              &(wgi_axis_back_attr) { -1, WG_DIMS(2, 4) });
    wg_sample(s, "1-d", WG_LIST(wg_randn(WG_DIMS(5)), i), &(wgi_axis_back_attr) { 0, WG_DIMS(6) });
    wg_sample_error(s, "shape", WG_LIST(dy, i), &(wgi_axis_back_attr) { 1, WG_DIMS(2, 4, 4) },
                    WG_ESHAPE, "index_select_backward: ");
}

const wg_op wgi_op_index_select_backward = {
    .name = "index_select_backward",
    .in = { "dy", "i" },
    .out = { "dx" },
    .attr_size = sizeof(wgi_axis_back_attr),
    .flags = WG_OP_ACCUMULATE,
    .saves = WG_IN(1),
    .zero_grad = WG_IN(1),
    .infer = infer_backward,
    .cpu = wgi_cpu_index_select_backward,
    .cuda = wgi_cuda_index_select_backward,
    .reference = reference_backward,
    .grad = grad_backward,
    .samples = samples_backward,
};
