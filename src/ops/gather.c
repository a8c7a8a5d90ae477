/* gather: y[a, b, c] = x[a, i[a, b, c], c] for axis 1, and so on.
 *   x: (...) any, i: as many axes, i64 or i32, no larger than x except along axis -> y: i's shape, x's dtype.
 *   gradient: dx[a, i[a, b, c], c] = sum of dy[a, b, c] (gather_backward); saves i.
 *   errors: WG_ESHAPE for i; WG_EDTYPE for i; WG_EINDEX for the axis and for an index outside [0, size): negative ones,
 *   too. */
#include "ops/index_op.h"

/* The indices' shape fits the large side's along every axis but the gathered one. */
static wg_status check_shape(const wg_tensor *i, const wg_dims *large, int axis, const char *name)
{
    bool fits = i->ndim == large->n;
    for (int d = 0; fits && d < large->n; d++) fits = d == axis || i->shape[d] <= large->d[d];
    return fits ? WG_OK
                : wg_raise(WG_ESHAPE,
                           "i must have %s's number of axes and be no larger but along axis %d",
                           name, axis);
}

static wg_status infer(wg_infer *c)
{
    const wgi_axis_attr *a = c->attr;
    const wg_tensor *x = c->in.t[0], *i = c->in.t[1];
    const wg_dims large = wgi_shape(x);
    int axis;
    wg_status s = wgi_index_axis(a->axis, x, &axis);
    if (s == WG_OK) s = wgi_index_dtype(i);
    if (s == WG_OK) s = check_shape(i, &large, axis, "x");
    return s != WG_OK ? s : wgi_infer_shape(c, x, wgi_shape(i));
}

static void grad(wg_vjp *g)
{
    const wgi_axis_attr *a = g->attr;
    const wgi_axis_back_attr b = { a->axis, wg_vjp_in_shape(g, 0) };
    wg_vjp_apply(g, (int[]) { 0 }, &wgi_op_gather_backward, WG_LIST(g->dy.t[0], g->x.t[1]), &b);
}

/* Visits each index: its number, and the element that it names in a tensor of large's shape. */
static wg_status each(const wg_tensor *large, const wg_tensor *i, int axis,
                      void (*visit)(void *self, const int64_t *at, int64_t k, int64_t large),
                      void *self)
{
    if (axis < 0) axis += large->ndim;
    wg_status s = wgi_reference_check(i, large->shape[axis], false);
    for (int64_t k = 0; s == WG_OK && k < i->numel; k++) {
        int64_t at[WG_MAX_DIMS], rest = k, to = 0, step = 1;
        for (int d = i->ndim - 1; d >= 0; d--) {
            at[d] = rest % i->shape[d];
            rest /= i->shape[d];
            to += (d == axis ? wgi_reference_index(i, k) : at[d]) * step;
            step *= large->shape[d];
        }
        visit(self, at, k, to);
    }
    return s;
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
    return each(r->in.t[0], r->in.t[1], a->axis, take,
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
    if (s == WG_OK) s = check_shape(i, &a->shape, axis, "dx");
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
    return each(dx, r->in.t[1], a->axis, add,
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
    .reference = reference_backward,
    .grad = grad_backward,
    .samples = samples_backward,
};

/* ---- scatter_add: y = x, and y[a, i[a, b, c], c] += src[a, b, c] for axis 1, in the order of b.
 *   x: (...) any but bool, i: as many axes, no larger than src, nor than x except along axis; src: x's dtype -> y like x.
 *   16-bit floats add in f32 and round once.
 *   gradient: dx = dy; dsrc = gather(dy, axis, i), 0 where src is larger than i; saves i.
 *   errors: as gather's; WG_ESHAPE, WG_EDTYPE for src. */
static wg_status infer_add(wg_infer *c)
{
    const wgi_axis_attr *a = c->attr;
    const wg_tensor *x = c->in.t[0], *i = c->in.t[1], *src = c->in.t[2];
    const wg_dims large = wgi_shape(x), from = wgi_shape(src);
    int axis;
    wg_status s = wgi_index_axis(a->axis, x, &axis);
    if (s == WG_OK) s = wgi_index_dtype(i);
    if (s == WG_OK) s = wgi_index_addable(x, src);
    if (s == WG_OK) s = check_shape(i, &large, axis, "x");
    if (s == WG_OK) s = check_shape(i, &from, -1, "src");
    return s != WG_OK ? s : wgi_infer_shape(c, x, large);
}

static void grad_add(wg_vjp *g)
{
    const wgi_axis_attr *a = g->attr;
    if (g->wants[0]) g->dx.t[0] = g->dy.t[0];
    if (!g->wants[2]) return;
    wg_tensor *d = wg_gather(g->dy.t[0], a->axis, g->x.t[1]);
    wg_dims src = wg_vjp_in_shape(g, 2), before = { .n = src.n }, after = { .n = src.n };
    const wg_dims own = wg_shape(d);
    for (int k = 0; k < src.n; k++) {
        before.d[k] = 0;
        after.d[k] = src.d[k] - own.d[k];
    }
    g->dx.t[2] = wgi_dims_equal(&src, &own) ? d : wg_pad(d, before, after, 0);
}

static wg_status reference_add(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    const wg_tensor *y = r->out.t[0];
    const double *x = wg_run_in(r, 0);
    double *to = wg_run_out(r, 0);
    for (int64_t k = 0; k < y->numel; k++) to[k] = x[k];
    return each(y, r->in.t[1], a->axis, add, &(reference_pair) { wg_run_in(r, 2), to, r->in.t[2] });
}

static void samples_add(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4)), *src = wg_randn(WG_DIMS(2, 5, 4));
    wg_sample(s, "middle", WG_LIST(x, wg_randint(0, 3, WG_DIMS(2, 5, 4)), src), AXIS(1));
    wg_sample(s, "src larger", WG_LIST(x, wg_randint(0, 3, WG_DIMS(1, 4, 3)), src), AXIS(-2));
    wg_sample(s, "first",
              WG_LIST(x, wg_randint(0, 2, WG_DIMS(2, 3, 4)), wg_randn(WG_DIMS(2, 3, 4))), AXIS(0));
    wg_sample(s, "1-d",
              WG_LIST(wg_randn(WG_DIMS(3)), wg_randint(0, 3, WG_DIMS(6)), wg_randn(WG_DIMS(6))),
              AXIS(0));
    wg_sample_error(s, "src", WG_LIST(x, wg_randint(0, 3, WG_DIMS(2, 6, 4)), src), AXIS(1),
                    WG_ESHAPE, "scatter_add: ");
    wg_sample_error(s, "dtype",
                    WG_LIST(x, wg_randint(0, 3, WG_DIMS(2, 1, 4)), wg_cast(src, WG_F32)), AXIS(1),
                    WG_EDTYPE, "scatter_add: dtypes differ");
}

const wg_op wgi_op_scatter_add = {
    .name = "scatter_add",
    .in = { "x", "i", "src" },
    .out = { "y" },
    .attr_size = sizeof(wgi_axis_attr),
    .saves = WG_IN(1),
    .needed_by = { 0, WG_IN(2) },
    .zero_grad = WG_IN(1),
    .infer = infer_add,
    .cpu = wgi_cpu_scatter_add,
    .reference = reference_add,
    .grad = grad_add,
    .samples = samples_add,
};

wg_tensor *wg_scatter_add(wg_tensor *x, int axis, wg_tensor *i, wg_tensor *src)
{
    return wg_apply(&wgi_op_scatter_add, WG_LIST(x, i, src), AXIS(axis), NULL);
}
