/* y[i_axes[0], i_axes[1], ...] = x[i_0, i_1, ...]: axis k of y is axis axes[k] of x.
 *   x: any -> y: view.   gradient: dx = dy permuted back.
 *   errors: WG_EARG unless axes names every axis once; WG_EINDEX for one out of range. */
#include "ops/shape_op.h"

static wg_status infer(wg_infer *c)
{
    const wg_dims *axes = c->attr;
    const wg_tensor *x = c->in.t[0];
    unsigned mask;
    if (axes->n != x->ndim) return wg_raise(WG_EARG, "%d axes for %d dimensions", axes->n, x->ndim);
    wg_status s = wgi_axes(axes, x->ndim, &mask);
    if (s != WG_OK) return s;
    wg_spec *y = wgi_view_of_input(c, 0);
    for (int k = 0; k < x->ndim; k++) {
        int64_t a = axes->d[k] < 0 ? axes->d[k] + x->ndim : axes->d[k];
        y->shape.d[k] = x->shape[a];
        y->strides.d[k] = x->strides[a];
    }
    return WG_OK;
}

static void grad(wg_vjp *g)
{
    const wg_dims *axes = g->attr;
    wg_dims back = { .n = axes->n };
    for (int k = 0; k < axes->n; k++)
        back.d[axes->d[k] < 0 ? axes->d[k] + axes->n : axes->d[k]] = k;
    g->dx.t[0] = wg_permute(g->dy.t[0], back);
}

static int64_t source(const wg_run *r, const int64_t *i)
{
    const wg_dims *axes = r->attr;
    int64_t from[WG_MAX_DIMS];
    for (int k = 0; k < axes->n; k++)
        from[axes->d[k] < 0 ? axes->d[k] + axes->n : axes->d[k]] = i[k];
    return wgi_element_at(r->in.t[0], from);
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference_gather(r, source);
}

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "cycle", WG_LIST(x), WGI_DIMS_AT(2, 0, 1));
    wg_sample(s, "negative axes", WG_LIST(x), WGI_DIMS_AT(-2, -1, 0));
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), WGI_DIMS_AT());
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(2, 0))), WGI_DIMS_AT(1, 0));
    wg_sample_error(s, "too few", WG_LIST(x), WGI_DIMS_AT(0, 1), WG_EARG, "permute: ");
    wg_sample_error(s, "twice", WG_LIST(x), WGI_DIMS_AT(0, 1, 1), WG_EARG, "permute: ");
    wg_sample_error(s, "out of range", WG_LIST(x), WGI_DIMS_AT(0, 1, 3), WG_EINDEX, "permute: ");
}

const wg_op wgi_op_permute = {
    .name = "permute",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wg_dims),
    .flags = WG_OP_VIEW,
    .infer = infer,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_permute(wg_tensor *x, wg_dims axes)
{
    return wg_apply(&wgi_op_permute, WG_LIST(x), &axes, NULL);
}
