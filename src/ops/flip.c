/* y[.., i, ..] = x[.., n - 1 - i, ..] along each of the axes.
 *   x: any -> y: a copy, same shape and dtype.   gradient: dx = dy flipped.
 *   errors: WG_EINDEX for an axis out of range, WG_EARG for one named twice. */
#include "ops/shape_op.h"

static wg_status infer(wg_infer *c)
{
    unsigned mask;
    wg_infer_like(c, 0, c->in.t[0]);
    return wgi_axes(c->attr, c->in.t[0]->ndim, &mask);
}

static wg_status run(const wg_run *r)
{
    const wg_tensor *x = r->in.t[0];
    wg_tensor *y = r->out.t[0];
    unsigned mask;
    wg_status s = wgi_axes(r->attr, x->ndim, &mask);
    if (s != WG_OK || x->numel == 0) return s;
    const char *from = wgi_data(x);
    int64_t strides[WG_MAX_DIMS];
    for (int a = 0; a < x->ndim; a++) {
        bool back = mask >> a & 1;
        strides[a] = back ? -x->strides[a] : x->strides[a];
        if (back) from += (x->shape[a] - 1) * x->strides[a] * (int64_t)wgi_dtype_bytes[x->dtype];
    }
    return wgi_run_copy(r, wgi_data(y), y->strides, x, from, strides, x->ndim, x->shape);
}

static void grad(wg_vjp *g)
{
    g->dx.t[0] = wg_flip(g->dy.t[0], *(const wg_dims *)g->attr);
}

static int64_t source(const wg_run *r, const int64_t *i)
{
    const wg_tensor *x = r->in.t[0];
    const wg_dims *axes = r->attr;
    int64_t from[WG_MAX_DIMS];
    for (int a = 0; a < x->ndim; a++) {
        bool back = wgi_is_all(axes);
        for (int k = 0; k < axes->n; k++) back |= axes->d[k] == a || axes->d[k] + x->ndim == a;
        from[a] = back ? x->shape[a] - 1 - i[a] : i[a];
    }
    return wgi_element_at(x, from);
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference_gather(r, source);
}

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "one axis", WG_LIST(x), WGI_DIMS_AT(1));
    wg_sample(s, "two axes", WG_LIST(x), WGI_DIMS_AT(0, -1));
    wg_sample(s, "all", WG_LIST(x), &WG_ALL);
    wg_sample(s, "none", WG_LIST(x), WGI_DIMS_AT());
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), &WG_ALL);
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(0, 2))), WGI_DIMS_AT(0));
    wg_sample_error(s, "axis", WG_LIST(x), WGI_DIMS_AT(3), WG_EINDEX, "flip: ");
    wg_sample_error(s, "twice", WG_LIST(x), WGI_DIMS_AT(1, -2), WG_EARG, "flip: ");
}

const wg_op wgi_op_flip = {
    .name = "flip",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wg_dims),
    .infer = infer,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_flip(wg_tensor *x, wg_dims axes)
{
    return wg_apply(&wgi_op_flip, WG_LIST(x), &axes, NULL);
}
