/* y[.., start + step i, ..] = x[.., i, ..], zero elsewhere: the gradient of a slice, as an op with
 * a gradient of its own.
 *   x: (.., n, ..) -> y: `shape`, x's but along axis.   gradient: dx = the same slice of dy.
 *   errors: WG_ESHAPE if x is not such a slice of the shape. */
#include "ops/shape_op.h"

static wg_status infer(wg_infer *c)
{
    const wgi_unslice_attr *u = c->attr;
    const wg_tensor *x = c->in.t[0];
    bool fits =
        u->shape.n == x->ndim && u->axis >= 0 && u->axis < x->ndim && u->start >= 0 && u->step >= 1;
    for (int a = 0; fits && a < x->ndim; a++)
        fits = a == u->axis ? x->shape[a] == 0 ||
                                  (u->start < u->shape.d[a] &&
                                   x->shape[a] - 1 <= (u->shape.d[a] - 1 - u->start) / u->step)
                            : x->shape[a] == u->shape.d[a];
    if (!fits) return wg_raise(WG_ESHAPE, "x is not a slice of that shape");
    wg_infer_like(c, 0, x);
    c->out[0].shape = u->shape;
    return WG_OK;
}

static wg_status run(const wg_run *r)
{
    const wgi_unslice_attr *u = r->attr;
    const wg_tensor *x = r->in.t[0];
    wg_tensor *y = r->out.t[0];
    int64_t strides[WG_MAX_DIMS];
    if (y->numel == 0) return WG_OK;
    wg_status s =
        wgi_zero_bytes(y->device, wgi_data(y), (size_t)y->numel * wgi_dtype_bytes[y->dtype]);
    if (s != WG_OK || x->numel == 0) return s;
    for (int a = 0; a < y->ndim; a++) strides[a] = y->strides[a];
    if (x->shape[u->axis] > 1) strides[u->axis] *= u->step;
    return wgi_run_copy(r, wgi_byte_at(y, u->axis, u->start), strides, x, wgi_data(x), x->strides,
                        x->ndim, x->shape);
}

static void grad(wg_vjp *g)
{
    const wgi_unslice_attr *u = g->attr;
    wg_dims x = wg_vjp_in_shape(g, 0);
    int64_t n = x.d[u->axis], last = n ? u->start + u->step * (n - 1) : u->start - 1;
    g->dx.t[0] = wg_slice(g->dy.t[0], u->axis, u->start, last + 1, u->step);
}

static int64_t source(const wg_run *r, const int64_t *i)
{
    const wgi_unslice_attr *u = r->attr;
    const wg_tensor *x = r->in.t[0];
    int64_t from[WG_MAX_DIMS], at = i[u->axis] - u->start;
    if (at < 0 || at % u->step != 0 || at / u->step >= x->shape[u->axis]) return -1;
    for (int a = 0; a < x->ndim; a++) from[a] = a == u->axis ? at / u->step : i[a];
    return wgi_element_at(x, from);
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference_gather(r, source);
}

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3));
    wg_sample(s, "rows", WG_LIST(x), &(wgi_unslice_attr) { WG_DIMS(5, 3), 1, 3, 0 });
    wg_sample(s, "columns", WG_LIST(x), &(wgi_unslice_attr) { WG_DIMS(2, 6), 1, 2, 1 });
    wg_sample(s, "none", WG_LIST(wg_zeros(WG_DIMS(2, 0))),
              &(wgi_unslice_attr) { WG_DIMS(2, 3), 1, 1, 1 });
    wg_sample_error(s, "too long", WG_LIST(x), &(wgi_unslice_attr) { WG_DIMS(2, 5), 1, 2, 1 },
                    WG_ESHAPE, "unslice: ");
}

const wg_op wgi_op_unslice = {
    .name = "unslice",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_unslice_attr),
    .infer = infer,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wgi_unslice(wg_tensor *x, wg_dims shape, int axis, int64_t start, int64_t step)
{
    wgi_unslice_attr u = { shape, start, step, axis };
    return wg_apply(&wgi_op_unslice, WG_LIST(x), &u, NULL);
}
