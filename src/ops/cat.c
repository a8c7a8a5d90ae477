/* y = x_0, x_1, ... side by side along axis.
 *   x_i: (.., n_i, ..), equal but along axis, at least one dimension
 *   -> y: (.., sum n_i, ..) in the promoted dtype.
 *   gradient: dx_i = its part of dy.
 *   errors: WG_EARG for no input, WG_ESHAPE for unequal ones, WG_EINDEX for the axis. */
#include "ops/shape_op.h"

static wg_status infer(wg_infer *c)
{
    int axis;
    if (c->in.n == 0) return wg_raise(WG_EARG, "no inputs");
    for (int64_t i = 0; i < c->in.n; i++)
        if (!c->in.t[i]) return wg_raise(WG_EARG, "x %lld is NULL", (long long)i);
    const wg_tensor *first = c->in.t[0];
    if (first->ndim == 0) return wg_raise(WG_ESHAPE, "x 0 has no dimensions: use wg_stack");
    wg_status s = wgi_axis(*(const int *)c->attr, first->ndim, &axis);
    if (s != WG_OK) return s;
    wg_infer_like(c, 0, first);
    wg_spec *y = &c->out[0];
    for (int64_t i = 1; i < c->in.n; i++) {
        const wg_tensor *x = c->in.t[i];
        bool fits = x->ndim == first->ndim;
        for (int a = 0; fits && a < x->ndim; a++)
            fits = a == axis || x->shape[a] == first->shape[a];
        if (!fits)
            return wg_raise(WG_ESHAPE, "x %lld does not fit x 0 along axis %d", (long long)i, axis);
        if (__builtin_add_overflow(y->shape.d[axis], x->shape[axis], &y->shape.d[axis]))
            return wg_raise(WG_ESHAPE, "the sizes overflow");
        y->dtype = wgi_promote_dtypes(y->dtype, (wg_dtype)x->dtype);
    }
    return WG_OK;
}

static wg_status run(const wg_run *r)
{
    wg_tensor *y = r->out.t[0];
    int axis = wgi_axis_or_none(*(const int *)r->attr, y->ndim);
    int64_t start = 0;
    wg_status s = WG_OK;
    for (int64_t i = 0; i < r->in.n && s == WG_OK; i++) {
        const wg_tensor *x = r->in.t[i];
        if (x->numel)
            s = wgi_run_copy(r, wgi_byte_at(y, axis, start), y->strides, x, wgi_data(x), x->strides,
                             x->ndim, x->shape);
        start += x->shape[axis];
    }
    return s;
}

static void grad(wg_vjp *g)
{
    int axis = wgi_axis_or_none(*(const int *)g->attr, wg_vjp_in_shape(g, 0).n);
    int64_t start = 0;
    for (int64_t i = 0; i < g->dx.n; i++) {
        int64_t n = wg_vjp_in_shape(g, (int)i).d[axis];
        if (g->wants[i]) g->dx.t[i] = wg_narrow(g->dy.t[0], axis, start, n);
        start += n;
    }
}

static wg_status reference(const wg_run *r)
{
    const wg_tensor *y = r->out.t[0];
    double *to = wg_run_out(r, 0);
    int axis = *(const int *)r->attr;
    int64_t index[WG_MAX_DIMS] = { 0 };
    if (axis < 0) axis += y->ndim;
    for (int64_t e = 0; e < y->numel; e++) {
        int64_t i[WG_MAX_DIMS], k = 0;
        for (int a = 0; a < y->ndim; a++) i[a] = index[a];
        for (; i[axis] >= r->in.t[k]->shape[axis]; k++) i[axis] -= r->in.t[k]->shape[axis];
        to[e] = ((const double *)wg_run_in(r, (int)k))[wgi_element_at(r->in.t[k], i)];
        wgi_next_index(y, index);
    }
    return WG_OK;
}

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3)), *z = wg_randn(WG_DIMS(4, 3)), *v = wg_randn(WG_DIMS(3));
    wg_sample(s, "rows", WG_LIST(x, z, x), &(int) { 0 });
    wg_sample(s, "last axis", WG_LIST(x, wg_randn(WG_DIMS(2, 1))), &(int) { -1 });
    wg_sample(s, "vectors", WG_LIST(v, wg_randn(WG_DIMS(2))), &(int) { 0 });
    wg_sample(s, "one", WG_LIST(x), &(int) { 1 });
    wg_sample(s, "middle", WG_LIST(wg_randn(WG_DIMS(2, 1, 2)), wg_randn(WG_DIMS(2, 3, 2))),
              &(int) { 1 });
    wg_sample(s, "an empty one", WG_LIST(wg_zeros(WG_DIMS(0, 3)), x), &(int) { 0 });
    wg_sample_error(s, "sizes", WG_LIST(x, z), &(int) { 1 }, WG_ESHAPE,
                    "cat: x 1 does not fit x 0");
    wg_sample_error(s, "ranks", WG_LIST(x, v), &(int) { 0 }, WG_ESHAPE, "cat: x 1 ");
    wg_sample_error(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), &(int) { 0 }, WG_ESHAPE, "cat: ");
    wg_sample_error(s, "axis", WG_LIST(x, z), &(int) { 2 }, WG_EINDEX, "cat: ");
    wg_sample_error(s, "NULL", WG_LIST(x, NULL), &(int) { 0 }, WG_EARG, "cat: x 1 is NULL");
    wg_sample_error(s, "nothing", WG_NO_LIST, &(int) { 0 }, WG_EARG, "cat: no inputs");
}

const wg_op wgi_op_cat = {
    .name = "cat",
    .in = { "x*" },
    .out = { "y" },
    .attr_size = sizeof(int),
    .infer = infer,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_cat(wg_list x, int axis)
{
    return wg_apply(&wgi_op_cat, x, &axis, NULL);
}

wg_tensor *wg_stack(wg_list x, int axis)
{
    if (x.n < 1 || !x.t) return wg_fail(WG_EARG, "stack: no inputs");
    wg_list with_axis = wg_list_new(x.n);
    if (!with_axis.n) return &wgi_error_tensor;
    for (int64_t i = 0; i < x.n; i++) with_axis.t[i] = wg_unsqueeze(x.t[i], axis);
    return wg_cat(with_axis, axis);
}
