/* y[e] = x[e], elements e counted in row-major order.
 *   x: any -> y: `shape`, one size may be -1 (what is left); same dtype and device.
 *   gradient: dx = dy in x's shape.
 *   errors: WG_ESHAPE if the elements do not fit, or (view) if sharing is impossible.
 * The rows `view` and `reshape` differ only in their names: wg_reshape copies first where it must. */
#include "ops/shape_op.h"

/* Replaces a size of -1; false if x's elements do not fit. */
static bool resolve(int64_t numel, wg_dims *shape)
{
    int free_axis = -1;
    int64_t known = 1;
    if (shape->n < 0 || shape->n > WG_MAX_DIMS) return false;
    for (int a = 0; a < shape->n; a++) {
        if (shape->d[a] == -1 && free_axis < 0)
            free_axis = a;
        else if (shape->d[a] < 0 || __builtin_mul_overflow(known, shape->d[a], &known))
            return false;
    }
    if (free_axis < 0) return known == numel;
    if (known == 0 || numel % known != 0) return false;
    shape->d[free_axis] = numel / known;
    return true;
}

static wg_status infer(wg_infer *c)
{
    const wg_tensor *x = c->in.t[0];
    wg_dims to = *(const wg_dims *)c->attr, shape = wgi_shape(x), strides = wgi_strides(x);
    char text[256];
    if (!resolve(x->numel, &to)) {
        wgi_shape_text(text, sizeof text, &to);
        return wg_raise(WG_ESHAPE, "%lld elements do not fit shape %s", (long long)x->numel, text);
    }
    wg_spec *y = wgi_view_of_input(c, 0);
    y->shape = to;
    if (wgi_view_strides(&shape, &strides, &to, &y->strides)) return WG_OK;
    wgi_shape_text(text, sizeof text, &to);
    return wg_raise(WG_ESHAPE, "shape %s would need a copy: use wg_reshape", text);
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

static void samples(wg_samples *s)
{
    /* axes are split here and not joined: the tests also give x strides that cannot be joined */
    wg_tensor *x = wg_randn(WG_DIMS(6, 4)), *none = wg_zeros(WG_DIMS(0, 3));
    wg_sample(s, "split", WG_LIST(x), WGI_DIMS_AT(2, 3, 4));
    wg_sample(s, "free size", WG_LIST(x), WGI_DIMS_AT(6, -1, 2));
    wg_sample(s, "vector", WG_LIST(wg_randn(WG_DIMS(12))), WGI_DIMS_AT(3, 1, 2, 2));
    wg_sample(s, "one element to 0-d", WG_LIST(wg_randn(WG_DIMS(1, 1))), WGI_DIMS_AT());
    wg_sample(s, "0-d to one element", WG_LIST(wg_randn(WG_DIMS())), WGI_DIMS_AT(1));
    wg_sample(s, "empty", WG_LIST(none), WGI_DIMS_AT(3, 0, 2));
    wg_sample(s, "empty, free size", WG_LIST(none), WGI_DIMS_AT(-1, 3));
    wg_sample_error(s, "does not fit", WG_LIST(x), WGI_DIMS_AT(5, 5), WG_ESHAPE, "");
    wg_sample_error(s, "no free size fits", WG_LIST(x), WGI_DIMS_AT(5, -1), WG_ESHAPE, "");
    wg_sample_error(s, "two free sizes", WG_LIST(x), WGI_DIMS_AT(-1, -1), WG_ESHAPE, "");
    wg_sample_error(s, "free size beside 0", WG_LIST(none), WGI_DIMS_AT(0, -1), WG_ESHAPE, "");
    wg_sample_error(s, "product overflows", WG_LIST(x), WGI_DIMS_AT(INT64_MAX, 4, 24), WG_ESHAPE,
                    "");
}

const wg_op wgi_op_view = {
    .name = "view",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wg_dims),
    .flags = WG_OP_VIEW,
    .infer = infer,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

const wg_op wgi_op_reshape = {
    .name = "reshape",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wg_dims),
    .flags = WG_OP_VIEW,
    .infer = infer,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_view(wg_tensor *x, wg_dims shape)
{
    return wg_apply(&wgi_op_view, WG_LIST(x), &shape, NULL);
}

wg_tensor *wg_reshape(wg_tensor *x, wg_dims shape)
{
    if (!wgi_bad(x)) {
        wg_dims to = shape, from = wgi_shape(x), strides = wgi_strides(x), out;
        if (resolve(x->numel, &to) && !wgi_view_strides(&from, &strides, &to, &out))
            x = wg_contiguous(x);
    }
    return wg_apply(&wgi_op_reshape, WG_LIST(x), &shape, NULL);
}

wg_tensor *wg_flatten(wg_tensor *x, int first, int last)
{
    if (wgi_refuse(x, "flatten")) return &wgi_error_tensor;
    int a = wgi_axis_or_none(first, x->ndim), b = wgi_axis_or_none(last, x->ndim);
    if (a < 0 || b < 0)
        return wg_fail(WG_EINDEX, "flatten: axes %d to %d of %d dimensions", first, last, x->ndim);
    if (a > b) return wg_fail(WG_EARG, "flatten: axis %d comes after axis %d", first, last);
    wg_dims to = { .n = 0 };
    for (int i = 0; i < a; i++) to.d[to.n++] = x->shape[i];
    to.d[to.n] = 1;
    for (int i = a; i <= b && i < x->ndim; i++) to.d[to.n] *= x->shape[i];
    to.n++;
    for (int i = b + 1; i < x->ndim; i++) to.d[to.n++] = x->shape[i];
    return wg_reshape(x, to);
}
