/* scatter_add: y = x, and y[a, i[a, b, c], c] += src[a, b, c] for axis 1, in the order of b.
 *   x: (...) any but bool, i: as many axes, no larger than src, nor than x except along axis; src:
 *   x's dtype -> y like x. 16-bit floats add in f32 and round once.
 *   gradient: dx = dy; dsrc = gather(dy, axis, i), 0 where src is larger than i; saves i.
 *   errors: as gather's; WG_ESHAPE, WG_EDTYPE for src. */
#include "ops/index_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wgi_axis_attr *a = c->attr;
    const wg_tensor *x = c->in.t[0], *i = c->in.t[1], *src = c->in.t[2];
    const wg_dims large = wgi_shape(x), from = wgi_shape(src);
    int axis;
    wg_status s = wgi_index_axis(a->axis, x, &axis);
    if (s == WG_OK) s = wgi_index_dtype(i);
    if (s == WG_OK) s = wgi_index_addable(x, src);
    if (s == WG_OK) s = wgi_gather_shape(i, &large, axis, "x");
    if (s == WG_OK) s = wgi_gather_shape(i, &from, -1, "src");
    return s != WG_OK ? s : wgi_infer_shape(c, x, large);
}

static void grad(wg_vjp *g)
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

typedef struct {
    const double *from;
    double *to;
    const wg_tensor *small;
} reference_pair;

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
    const wg_tensor *y = r->out.t[0];
    const double *x = wg_run_in(r, 0);
    double *to = wg_run_out(r, 0);
    for (int64_t k = 0; k < y->numel; k++) to[k] = x[k];
    return wgi_gather_each(y, r->in.t[1], a->axis, add,
                           &(reference_pair) { wg_run_in(r, 2), to, r->in.t[2] });
}

#define AXIS(a) (&(wgi_axis_attr) { a })

static void samples(wg_samples *s)
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
    .infer = infer,
    .cpu = wgi_cpu_scatter_add,
    .cuda = wgi_cuda_scatter_add,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_scatter_add(wg_tensor *x, int axis, wg_tensor *i, wg_tensor *src)
{
    return wg_apply(&wgi_op_scatter_add, WG_LIST(x, i, src), AXIS(axis), NULL);
}
