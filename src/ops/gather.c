/* gather: y[a, b, c] = x[a, i[a, b, c], c] for axis 1, and so on.
 *   x: (...) any, i: as many axes, i64 or i32, no larger than x except along axis -> y: i's shape,
 *   x's dtype.
 *   gradient: dx[a, i[a, b, c], c] = sum of dy[a, b, c] (gather_backward); saves i.
 *   errors: WG_ESHAPE for i; WG_EDTYPE for i; WG_EINDEX for the axis and for an index outside [0,
 *   size): negative ones, too. */
#include "ops/index_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wgi_axis_attr *a = c->attr;
    const wg_tensor *x = c->in.t[0], *i = c->in.t[1];
    const wg_dims large = wgi_shape(x);
    int axis;
    wg_status s = wgi_index_axis(a->axis, x, &axis);
    if (s == WG_OK) s = wgi_index_dtype(i);
    if (s == WG_OK) s = wgi_gather_shape(i, &large, axis, "x");
    return s != WG_OK ? s : wgi_infer_shape(c, x, wgi_shape(i));
}

static void grad(wg_vjp *g)
{
    const wgi_axis_attr *a = g->attr;
    const wgi_axis_back_attr b = { a->axis, wg_vjp_in_shape(g, 0) };
    wg_vjp_apply(g, (int[]) { 0 }, &wgi_op_gather_backward, WG_LIST(g->dy.t[0], g->x.t[1]), &b);
}

typedef struct {
    const double *from;
    double *to;
    const wg_tensor *small;
} reference_pair;

static void take(void *self, const int64_t *at, int64_t k, int64_t large)
{
    const reference_pair *p = self;
    (void)at;
    p->to[k] = p->from[large];
}

static void add(void *self, const int64_t *at, int64_t k, int64_t large)
{
    const reference_pair *p = self;
    int64_t from = 0; /* src may be larger than the indices */
    (void)k;
    for (int d = 0; d < p->small->ndim; d++) from = from * p->small->shape[d] + at[d];
    p->to[large] += p->from[from];
}

static wg_status reference(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    return wgi_gather_each(r->in.t[0], r->in.t[1], a->axis, take,
                           &(reference_pair) { wg_run_in(r, 0), wg_run_out(r, 0), NULL });
}

#define AXIS(a) (&(wgi_axis_attr) { a })

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "first", WG_LIST(x, wg_randint(0, 2, WG_DIMS(3, 2, 4))), AXIS(0));
    wg_sample(s, "middle", WG_LIST(x, wg_randint(0, 3, WG_DIMS(2, 5, 3))), AXIS(1));
    wg_sample(s, "last", WG_LIST(x, wg_cast(wg_randint(0, 4, WG_DIMS(1, 3, 2)), WG_I32)), AXIS(-1));
    wg_sample(s, "1-d", WG_LIST(wg_randn(WG_DIMS(5)), wg_randint(0, 5, WG_DIMS(7))), AXIS(0));
    wg_sample(s, "none", WG_LIST(x, wg_randint(0, 4, WG_DIMS(2, 0, 4))), AXIS(1));
    wg_sample_error(s, "index", WG_LIST(wg_randn(WG_DIMS(3)), wg_arange(0, 4)), AXIS(0), WG_EINDEX,
                    "gather: i at (3) is 3, out of range for size 3");
    wg_sample_error(s, "negative", WG_LIST(wg_randn(WG_DIMS(3)), wg_arange(-1, 1)), AXIS(0),
                    WG_EINDEX, "gather: i at (0) is -1, out of range for size 3");
    wg_sample_error(s, "axes", WG_LIST(x, wg_arange(0, 1)), AXIS(0), WG_ESHAPE, "gather: ");
    wg_sample_error(s, "larger", WG_LIST(x, wg_randint(0, 2, WG_DIMS(2, 4, 4))), AXIS(0), WG_ESHAPE,
                    "gather: ");
    wg_sample_error(s, "float", WG_LIST(x, x), AXIS(0), WG_EDTYPE, "gather: ");
}

const wg_op wgi_op_gather = {
    .name = "gather",
    .in = { "x", "i" },
    .out = { "y" },
    .attr_size = sizeof(wgi_axis_attr),
    .saves = WG_IN(1),
    .zero_grad = WG_IN(1),
    .infer = infer,
    .cpu = wgi_cpu_gather,
    .cuda = wgi_cuda_gather,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_gather(wg_tensor *x, int axis, wg_tensor *i)
{
    return wg_apply(&wgi_op_gather, WG_LIST(x, i), AXIS(axis), NULL);
}

/* ---- gather_backward: zeros of a shape with dy scattered into them ---- */
static wg_status infer_backward(wg_infer *c)
{
    const wgi_axis_back_attr *a = c->attr;
    const wg_tensor *dy = c->in.t[0], *i = c->in.t[1];
    int axis;
    wg_status s = wgi_index_axis(a->axis, dy, &axis);
    if (s == WG_OK) s = wgi_index_dtype(i);
    if (s == WG_OK) s = wgi_gather_shape(i, &a->shape, axis, "dx");
    if (s == WG_OK) s = wg_expect(c, 0, wgi_shape(i));
    return s != WG_OK ? s : wgi_infer_shape(c, dy, a->shape);
}

static void grad_backward(wg_vjp *g)
{
    const wgi_axis_back_attr *a = g->attr;
    g->dx.t[0] = wg_gather(g->dy.t[0], a->axis, g->x.t[1]);
}

static wg_status reference_backward(const wg_run *r)
{
    const wgi_axis_back_attr *a = r->attr;
    const wg_tensor *dx = r->out.t[0];
    double *to = wg_run_out(r, 0);
    for (int64_t k = 0; k < dx->numel; k++) to[k] = 0;
    return wgi_gather_each(dx, r->in.t[1], a->axis, add,
                           &(reference_pair) { wg_run_in(r, 0), to, r->in.t[0] });
}

static void samples_backward(wg_samples *s)
{
    wg_tensor *dy = wg_randn(WG_DIMS(2, 5, 3)), *i = wg_randint(0, 4, WG_DIMS(2, 5, 3));
    wg_sample(s, "middle", WG_LIST(dy, i), &(wgi_axis_back_attr) { 1, WG_DIMS(2, 4, 4) });
    wg_sample(s, "last", WG_LIST(dy, i), &(wgi_axis_back_attr) { -1, WG_DIMS(2, 5, 4) });
    wg_sample(s, "1-d", WG_LIST(wg_randn(WG_DIMS(6)), wg_randint(0, 3, WG_DIMS(6))),
              &(wgi_axis_back_attr) { 0, WG_DIMS(3) });
    wg_sample_error(s, "shape", WG_LIST(dy, i), &(wgi_axis_back_attr) { 1, WG_DIMS(2, 4, 2) },
                    WG_ESHAPE, "gather_backward: ");
}

const wg_op wgi_op_gather_backward = {
    .name = "gather_backward",
    .in = { "dy", "i" },
    .out = { "dx" },
    .attr_size = sizeof(wgi_axis_back_attr),
    .flags = WG_OP_ACCUMULATE,
    .saves = WG_IN(1),
    .zero_grad = WG_IN(1),
    .infer = infer_backward,
    .cpu = wgi_cpu_gather_backward,
    .cuda = wgi_cuda_gather_backward,
    .reference = reference_backward,
    .grad = grad_backward,
    .samples = samples_backward,
};
