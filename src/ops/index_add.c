/* index_add: y = x, and y[.., i[k], ..] += src[.., k, ..], in the order of k.
 *   x: (...) any but bool, src: x's shape with n along axis, x's dtype, i: (n) i64 or i32 -> y like
 *   x. 16-bit floats add in f32 and round once.     gradient: dx = dy; dsrc = index_select(dy,
 *   axis, i); saves i.
 *   errors: as index_select's; WG_ESHAPE, WG_EDTYPE for src. */
#include "ops/index_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wgi_axis_attr *a = c->attr;
    const wg_tensor *x = c->in.t[0], *i = c->in.t[1], *src = c->in.t[2];
    int axis;
    wg_status s = wgi_index_axis(a->axis, x, &axis);
    if (s == WG_OK) s = wgi_index_dtype(i);
    if (s == WG_OK) s = wgi_index_addable(x, src);
    if (s != WG_OK) return s;
    if (i->ndim != 1) return wg_raise(WG_ESHAPE, "i must have one axis, has %d", i->ndim);
    wg_dims shape = wgi_shape(x);
    shape.d[axis] = i->shape[0];
    s = wg_expect(c, 2, shape);
    return s != WG_OK ? s : wgi_infer_shape(c, x, wgi_shape(x));
}

static void grad(wg_vjp *g)
{
    const wgi_axis_attr *a = g->attr;
    if (g->wants[0]) g->dx.t[0] = g->dy.t[0];
    if (g->wants[2]) g->dx.t[2] = wg_index_select(g->dy.t[0], a->axis, g->x.t[1]);
}

typedef struct {
    const double *from;
    double *to;
} reference_pair;

static void add(void *self, int64_t small, int64_t large)
{
    const reference_pair *p = self;
    p->to[large] += p->from[small];
}

static wg_status reference(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    const wg_tensor *y = r->out.t[0];
    const double *x = wg_run_in(r, 0);
    double *to = wg_run_out(r, 0);
    for (int64_t k = 0; k < y->numel; k++) to[k] = x[k];
    return wgi_select_each(y, r->in.t[1], a->axis, add, &(reference_pair) { wg_run_in(r, 2), to });
}

#define AXIS(a) (&(wgi_axis_attr) { a })

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4)), *i = wg_randint(0, 3, WG_DIMS(5));
    wg_sample(s, "middle", WG_LIST(x, i, wg_randn(WG_DIMS(2, 5, 4))), AXIS(1));
    wg_sample(s, "last", WG_LIST(x, i, wg_randn(WG_DIMS(2, 3, 5))), AXIS(-1));
    wg_sample(s, "1-d", WG_LIST(wg_randn(WG_DIMS(3)), i, wg_randn(WG_DIMS(5))), AXIS(0));
    wg_sample(s, "none", WG_LIST(x, wg_randint(0, 3, WG_DIMS(0)), wg_zeros(WG_DIMS(2, 0, 4))),
              AXIS(1));
    wg_sample_error(s, "src", WG_LIST(x, i, wg_randn(WG_DIMS(2, 4, 4))), AXIS(1), WG_ESHAPE,
                    "index_add: src should be (2, 5, 4)");
    wg_sample_error(s, "dtype", WG_LIST(x, i, wg_randint(0, 2, WG_DIMS(2, 5, 4))), AXIS(1),
                    WG_EDTYPE, "index_add: dtypes differ");
    wg_sample_error(s, "index", WG_LIST(x, wg_arange(-1, 1), wg_randn(WG_DIMS(2, 2, 4))), AXIS(1),
                    WG_EINDEX, "index_add: i at (0) is -1, out of range for size 3");
}

const wg_op wgi_op_index_add = {
    .name = "index_add",
    .in = { "x", "i", "src" },
    .out = { "y" },
    .attr_size = sizeof(wgi_axis_attr),
    .saves = WG_IN(1),
    .needed_by = { 0, WG_IN(2) },
    .zero_grad = WG_IN(1),
    .infer = infer,
    .cpu = wgi_cpu_index_add,
    .cuda = wgi_cuda_index_add,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_index_add(wg_tensor *x, int axis, wg_tensor *i, wg_tensor *src)
{
    return wg_apply(&wgi_op_index_add, WG_LIST(x, i, src), AXIS(axis), NULL);
}
