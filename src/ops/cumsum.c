/* cumsum: y[.., k, ..] = sum of x[.., 0 .. k, ..] along axis.
 *   x: (...) any -> y: x's shape and dtype; i64 for integers and bool. Accumulated in f64.
 *   gradient: dx = the running sum of dy from the end.     errors: WG_EINDEX for the axis. */
#include "cpu/scan.h"
#include "ops/index_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wgi_axis_attr *a = c->attr;
    const wg_tensor *x = c->in.t[0];
    int axis;
    wg_infer_like(c, 0, x);
    if (!wgi_is_float(x->dtype)) c->out[0].dtype = WG_I64;
    return wgi_axis(a->axis, x->ndim, &axis);
}

static void grad(wg_vjp *g)
{
    const wgi_axis_attr *a = g->attr;
    if (wg_vjp_in_shape(g, 0).n == 0) {
        g->dx.t[0] = g->dy.t[0];
        return;
    }
    const wg_dims axis = WG_DIMS(a->axis);
    g->dx.t[0] = wg_flip(wg_cumsum(wg_flip(g->dy.t[0], axis), a->axis), axis);
}

static wg_status reference(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0], *y = r->out.t[0];
    const int axis = a->axis < 0 ? a->axis + (x->ndim ? x->ndim : 1) : a->axis;
    const int64_t n = x->ndim ? x->shape[axis] : 1, inner = x->ndim ? wgi_size_after(x, axis) : 1;
    for (int64_t k = 0; k < x->numel; k++) {
        const size_t from = (size_t)k * wg_dtype_size((wg_dtype)x->dtype);
        const size_t to = (size_t)k * wg_dtype_size((wg_dtype)y->dtype);
        const size_t before = (size_t)(k - inner) * wg_dtype_size((wg_dtype)y->dtype);
        double v = wgi_load((const char *)wgi_data(x) + from, (wg_dtype)x->dtype);
        if (k / inner % n > 0)
            v += wgi_load((const char *)wgi_data(y) + before, (wg_dtype)y->dtype);
        wgi_store((char *)wgi_data(y) + to, (wg_dtype)y->dtype, v);
    }
    return WG_OK;
}

#define AXIS(a) (&(wgi_axis_attr) { a })

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "first", WG_LIST(x), AXIS(0));
    wg_sample(s, "middle", WG_LIST(x), AXIS(1));
    wg_sample(s, "last", WG_LIST(x), AXIS(-1));
    wg_sample(s, "1-d", WG_LIST(wg_randn(WG_DIMS(9))), AXIS(0));
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), AXIS(0));
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(2, 0))), AXIS(1));
    wg_sample(s, "integers", WG_LIST(wg_randint(-5, 5, WG_DIMS(3, 4))), AXIS(0));
    wg_sample_error(s, "axis", WG_LIST(x), AXIS(3), WG_EINDEX, "cumsum: ");
}

const wg_op wgi_op_cumsum = {
    .name = "cumsum",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_axis_attr),
    .flags = WG_OP_FULL,
    .infer = infer,
    .cpu = wgi_cpu_cumsum,
    .cuda = wgi_cuda_cumsum,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_cumsum(wg_tensor *x, int axis)
{
    return wg_apply(&wgi_op_cumsum, WG_LIST(x), AXIS(axis), NULL);
}
