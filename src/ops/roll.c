/* y[.., (i + shift) mod n, ..] = x[.., i, ..] along axis.
 *   x: any of at least one dimension -> y: a copy, same shape and dtype; shift may be negative.
 *   gradient: dx = dy rolled back.   errors: WG_EINDEX for the axis. */
#include "ops/shape_op.h"

typedef struct {
    int64_t shift;
    int axis;
} roll_attr;

static wg_status infer(wg_infer *c)
{
    const wg_tensor *x = c->in.t[0];
    int axis;
    if (x->ndim == 0) return wg_raise(WG_EINDEX, "x has no dimensions");
    wg_infer_like(c, 0, x);
    return wgi_axis(((const roll_attr *)c->attr)->axis, x->ndim, &axis);
}

static wg_status run(const wg_run *r)
{
    const roll_attr *o = r->attr;
    const wg_tensor *x = r->in.t[0];
    wg_tensor *y = r->out.t[0];
    if (x->numel == 0) return WG_OK;
    int axis = wgi_axis_or_none(o->axis, x->ndim);
    int64_t n = x->shape[axis], shift = (o->shift % n + n) % n, part[WG_MAX_DIMS];
    for (int a = 0; a < x->ndim; a++) part[a] = x->shape[a];
    part[axis] = n - shift; /* x's beginning, then its end */
    wg_status s = wgi_run_copy(r, wgi_byte_at(y, axis, shift), y->strides, x, wgi_data(x),
                               x->strides, x->ndim, part);
    part[axis] = shift;
    if (s == WG_OK)
        s = wgi_run_copy(r, wgi_data(y), y->strides, x, wgi_byte_at(x, axis, n - shift), x->strides,
                         x->ndim, part);
    return s;
}

static void grad(wg_vjp *g)
{
    const roll_attr *o = g->attr;
    int64_t n = wg_vjp_in_shape(g, 0).d[wgi_axis_or_none(o->axis, wg_vjp_in_shape(g, 0).n)];
    g->dx.t[0] = wg_roll(g->dy.t[0], n ? -(o->shift % n) : 0, o->axis);
}

static int64_t source(const wg_run *r, const int64_t *i)
{
    const roll_attr *o = r->attr;
    const wg_tensor *x = r->in.t[0];
    int axis = o->axis < 0 ? o->axis + x->ndim : o->axis;
    int64_t from[WG_MAX_DIMS], n = x->shape[axis];
    for (int a = 0; a < x->ndim; a++) from[a] = i[a];
    from[axis] = ((i[axis] - o->shift % n) % n + n) % n;
    return wgi_element_at(x, from);
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference_gather(r, source);
}

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 5, 2));
    wg_sample(s, "by two", WG_LIST(x), &(roll_attr) { 2, 1 });
    wg_sample(s, "back", WG_LIST(x), &(roll_attr) { -1, -1 });
    wg_sample(s, "round and round", WG_LIST(x), &(roll_attr) { -13, 1 });
    wg_sample(s, "none", WG_LIST(x), &(roll_attr) { 0, 0 });
    wg_sample(s, "farthest", WG_LIST(x), &(roll_attr) { INT64_MIN, 1 });
    wg_sample(s, "vector", WG_LIST(wg_randn(WG_DIMS(4))), &(roll_attr) { 1, 0 });
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(0, 2))), &(roll_attr) { 1, 0 });
    wg_sample_error(s, "axis", WG_LIST(x), &(roll_attr) { 1, 3 }, WG_EINDEX, "roll: ");
    wg_sample_error(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), &(roll_attr) { 1, 0 }, WG_EINDEX,
                    "roll: ");
}

const wg_op wgi_op_roll = {
    .name = "roll",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(roll_attr),
    .infer = infer,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_roll(wg_tensor *x, int64_t shift, int axis)
{
    return wg_apply(&wgi_op_roll, WG_LIST(x), &(roll_attr) { shift, axis }, NULL);
}
