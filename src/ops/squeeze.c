/* Drops axes of size 1, or inserts one.
 *   squeeze: of the named axes (WG_ALL: all) those of size 1 go; others stay.
 *   unsqueeze: y has size 1 at `axis`.
 *   x: any -> y: view.   gradient: dx = dy in x's shape.
 *   errors: WG_EINDEX for an axis out of range, WG_ESHAPE for more than 8 dimensions. */
#include "ops/shape_op.h"

static wg_status squeeze_infer(wg_infer *c)
{
    const wg_tensor *x = c->in.t[0];
    unsigned mask;
    wg_status s = wgi_axes(c->attr, x->ndim, &mask);
    if (s != WG_OK) return s;
    wg_spec *y = wgi_view_of_input(c, 0);
    int n = 0;
    for (int a = 0; a < x->ndim; a++) {
        if ((mask >> a & 1) && x->shape[a] == 1) continue;
        y->shape.d[n] = x->shape[a];
        y->strides.d[n++] = x->strides[a];
    }
    y->shape.n = y->strides.n = n;
    return WG_OK;
}

static wg_status unsqueeze_infer(wg_infer *c)
{
    const wg_tensor *x = c->in.t[0];
    int axis;
    if (x->ndim == WG_MAX_DIMS) return wg_raise(WG_ESHAPE, "more than %d dimensions", WG_MAX_DIMS);
    wg_status s = wgi_axis(*(const int *)c->attr, x->ndim + 1, &axis);
    if (s != WG_OK) return s;
    wg_spec *y = wgi_view_of_input(c, 0);
    y->shape.n = y->strides.n = x->ndim + 1;
    for (int a = x->ndim; a > axis; a--) {
        y->shape.d[a] = x->shape[a - 1];
        y->strides.d[a] = x->strides[a - 1];
    }
    y->shape.d[axis] = 1;
    y->strides.d[axis] = axis < x->ndim ? x->shape[axis] * x->strides[axis] : 1;
    return WG_OK;
}

static void grad(wg_vjp *g)
{
    g->dx.t[0] = wg_reshape(g->dy.t[0], wg_vjp_in_shape(g, 0));
}

static int64_t source(const wg_run *r, const int64_t *i)
{
    return wgi_element_at(r->out.t[0], i);
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference_gather(r, source);
}

static void squeeze_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(1, 3, 1, 2));
    wg_sample(s, "all", WG_LIST(x), &WG_ALL);
    wg_sample(s, "one", WG_LIST(x), WGI_DIMS_AT(-2));
    wg_sample(s, "none", WG_LIST(x), WGI_DIMS_AT());
    wg_sample(s, "not of size 1", WG_LIST(x), WGI_DIMS_AT(0, 1));
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), &WG_ALL);
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(1, 0))), &WG_ALL);
    wg_sample_error(s, "axis", WG_LIST(x), WGI_DIMS_AT(4), WG_EINDEX, "squeeze: ");
}

static void unsqueeze_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3));
    for (int axis = -3; axis < 3; axis++) wg_sample(s, "axis", WG_LIST(x), &axis);
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), &(int) { 0 });
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(0))), &(int) { -1 });
    wg_sample_error(s, "axis", WG_LIST(x), &(int) { 3 }, WG_EINDEX, "unsqueeze: ");
    wg_sample_error(s, "full", WG_LIST(wg_zeros(WG_DIMS(1, 1, 1, 1, 1, 1, 1, 1))), &(int) { 0 },
                    WG_ESHAPE, "unsqueeze: more than 8 dimensions");
}

const wg_op wgi_op_squeeze = {
    .name = "squeeze",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wg_dims),
    .flags = WG_OP_VIEW,
    .infer = squeeze_infer,
    .reference = reference,
    .grad = grad,
    .samples = squeeze_samples,
};

const wg_op wgi_op_unsqueeze = {
    .name = "unsqueeze",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(int),
    .flags = WG_OP_VIEW,
    .infer = unsqueeze_infer,
    .reference = reference,
    .grad = grad,
    .samples = unsqueeze_samples,
};

wg_tensor *wg_squeeze(wg_tensor *x, wg_dims axes)
{
    return wg_apply(&wgi_op_squeeze, WG_LIST(x), &axes, NULL);
}

wg_tensor *wg_unsqueeze(wg_tensor *x, int axis)
{
    return wg_apply(&wgi_op_unsqueeze, WG_LIST(x), &axis, NULL);
}
