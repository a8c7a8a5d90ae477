/* Parts of one axis: y[.., i, ..] = x[.., start + step i, ..].
 *   narrow: length elements from start (negative: from the end).
 *   select: element i, the axis goes.
 *   slice: start to stop as in Python (negative from the end, then clamped), step >= 1.
 *   x: any of at least one dimension -> y: view.
 *   gradient: dy at those places, zero elsewhere.
 *   errors: WG_EINDEX for an axis or range outside of x, WG_EARG for a step below 1. */
#include "ops/shape_op.h"

typedef struct {
    int64_t start, length;
    int axis;
} narrow_attr;
typedef struct {
    int64_t index;
    int axis;
} select_attr;
typedef struct {
    int64_t start, stop, step;
    int axis;
} slice_attr;

typedef struct { /* what all three come down to */
    int64_t start, step, length;
    int axis;
} range;

static wg_status axis_of(const wg_tensor *x, int axis, int *out)
{
    if (x->ndim == 0) return wg_raise(WG_EINDEX, "x has no dimensions");
    return wgi_axis(axis, x->ndim, out);
}

static wg_status narrow_range(const wg_tensor *x, const narrow_attr *n, range *r)
{
    wg_status s = axis_of(x, n->axis, &r->axis);
    if (s != WG_OK) return s;
    int64_t size = x->shape[r->axis];
    r->start = n->start < 0 ? n->start + size : n->start;
    r->length = n->length;
    r->step = 1;
    if (r->start >= 0 && r->start <= size && r->length >= 0 && r->length <= size - r->start)
        return WG_OK;
    return wg_raise(WG_EINDEX, "%lld elements from %lld on do not lie in axis %d of size %lld",
                    (long long)n->length, (long long)n->start, n->axis, (long long)size);
}

static wg_status select_range(const wg_tensor *x, const select_attr *e, range *r)
{
    wg_status s = axis_of(x, e->axis, &r->axis);
    if (s != WG_OK) return s;
    int64_t size = x->shape[r->axis];
    *r = (range) { e->index < 0 ? e->index + size : e->index, 1, 1, r->axis };
    if (r->start >= 0 && r->start < size) return WG_OK;
    return wg_raise(WG_EINDEX, "index %lld does not lie in axis %d of size %lld",
                    (long long)e->index, e->axis, (long long)size);
}

static int64_t clamped(int64_t i, int64_t size)
{
    if (i < 0) i += size;
    return i < 0 ? 0 : i > size ? size : i;
}

static wg_status slice_range(const wg_tensor *x, const slice_attr *l, range *r)
{
    if (l->step < 1) return wg_raise(WG_EARG, "step %lld is not positive", (long long)l->step);
    wg_status s = axis_of(x, l->axis, &r->axis);
    if (s != WG_OK) return s;
    int64_t size = x->shape[r->axis], stop = clamped(l->stop, size);
    r->start = clamped(l->start, size);
    r->step = l->step;
    r->length = stop > r->start ? (stop - r->start - 1) / l->step + 1 : 0;
    return WG_OK;
}

static wg_spec *view_range(wg_infer *c, const range *r)
{
    const wg_tensor *x = c->in.t[0];
    wg_spec *y = wgi_view_of_input(c, 0);
    y->offset = r->length ? r->start * x->strides[r->axis] : 0;
    y->shape.d[r->axis] = r->length;
    /* one element needs no step, which might overflow the stride */
    y->strides.d[r->axis] = r->length > 1 ? r->step * x->strides[r->axis] : x->strides[r->axis];
    return y;
}

static wg_status narrow_infer(wg_infer *c)
{
    range r;
    wg_status s = narrow_range(c->in.t[0], c->attr, &r);
    if (s == WG_OK) view_range(c, &r);
    return s;
}

static wg_status slice_infer(wg_infer *c)
{
    range r;
    wg_status s = slice_range(c->in.t[0], c->attr, &r);
    if (s == WG_OK) view_range(c, &r);
    return s;
}

static wg_status select_infer(wg_infer *c)
{
    range r;
    wg_status s = select_range(c->in.t[0], c->attr, &r);
    if (s != WG_OK) return s;
    wg_spec *y = view_range(c, &r);
    for (int a = r.axis; a + 1 < y->shape.n; a++) {
        y->shape.d[a] = y->shape.d[a + 1];
        y->strides.d[a] = y->strides.d[a + 1];
    }
    y->shape.n = --y->strides.n;
    return WG_OK;
}

static void narrow_grad(wg_vjp *g)
{
    const narrow_attr *n = g->attr;
    wg_dims shape = wg_vjp_in_shape(g, 0);
    int axis = wgi_axis_or_none(n->axis, shape.n);
    int64_t start = n->start < 0 ? n->start + shape.d[axis] : n->start;
    g->dx.t[0] = wgi_unslice(g->dy.t[0], shape, axis, start, 1);
}

static void slice_grad(wg_vjp *g)
{
    const slice_attr *l = g->attr;
    wg_dims shape = wg_vjp_in_shape(g, 0);
    int axis = wgi_axis_or_none(l->axis, shape.n);
    g->dx.t[0] = wgi_unslice(g->dy.t[0], shape, axis, clamped(l->start, shape.d[axis]), l->step);
}

static void select_grad(wg_vjp *g)
{
    const select_attr *e = g->attr;
    wg_dims shape = wg_vjp_in_shape(g, 0);
    int axis = wgi_axis_or_none(e->axis, shape.n);
    int64_t i = e->index < 0 ? e->index + shape.d[axis] : e->index;
    g->dx.t[0] = wgi_unslice(wg_unsqueeze(g->dy.t[0], axis), shape, axis, i, 1);
}

/* ---- references: start + step i along the axis, written anew --------------------------------- */
static int64_t narrow_source(const wg_run *r, const int64_t *i)
{
    const narrow_attr *n = r->attr;
    const wg_tensor *x = r->in.t[0];
    int axis = n->axis < 0 ? n->axis + x->ndim : n->axis;
    int64_t from[WG_MAX_DIMS];
    for (int a = 0; a < x->ndim; a++) from[a] = i[a];
    from[axis] += n->start < 0 ? x->shape[axis] + n->start : n->start;
    return wgi_element_at(x, from);
}

static int64_t slice_source(const wg_run *r, const int64_t *i)
{
    const slice_attr *l = r->attr;
    const wg_tensor *x = r->in.t[0];
    int axis = l->axis < 0 ? l->axis + x->ndim : l->axis;
    int64_t from[WG_MAX_DIMS], start = l->start < 0 ? x->shape[axis] + l->start : l->start;
    for (int a = 0; a < x->ndim; a++) from[a] = i[a];
    from[axis] = (start < 0 ? 0 : start) + l->step * i[axis];
    return wgi_element_at(x, from);
}

static int64_t select_source(const wg_run *r, const int64_t *i)
{
    const select_attr *e = r->attr;
    const wg_tensor *x = r->in.t[0];
    int axis = e->axis < 0 ? e->axis + x->ndim : e->axis;
    int64_t from[WG_MAX_DIMS];
    for (int a = 0; a < x->ndim; a++)
        from[a] = a < axis       ? i[a]
                  : a > axis     ? i[a - 1]
                  : e->index < 0 ? x->shape[a] + e->index
                                 : e->index;
    return wgi_element_at(x, from);
}

static wg_status narrow_reference(const wg_run *r)
{
    return wgi_reference_gather(r, narrow_source);
}

static wg_status slice_reference(const wg_run *r)
{
    return wgi_reference_gather(r, slice_source);
}

static wg_status select_reference(const wg_run *r)
{
    return wgi_reference_gather(r, select_source);
}

/* ---- samples --------------------------------------------------------------------------------- */
static void narrow_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 5, 3));
    wg_sample(s, "middle", WG_LIST(x), &(narrow_attr) { 1, 3, 1 });
    wg_sample(s, "from the end", WG_LIST(x), &(narrow_attr) { -2, 2, -1 });
    wg_sample(s, "all", WG_LIST(x), &(narrow_attr) { 0, 2, 0 });
    wg_sample(s, "none", WG_LIST(x), &(narrow_attr) { 5, 0, 1 });
    wg_sample(s, "vector", WG_LIST(wg_randn(WG_DIMS(4))), &(narrow_attr) { 1, 2, 0 });
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(0, 3))), &(narrow_attr) { 1, 2, 1 });
    wg_sample_error(s, "too long", WG_LIST(x), &(narrow_attr) { 3, 3, 1 }, WG_EINDEX, "narrow: 3 ");
    wg_sample_error(s, "negative", WG_LIST(x), &(narrow_attr) { 3, -1, 1 }, WG_EINDEX, "narrow: ");
    wg_sample_error(s, "before", WG_LIST(x), &(narrow_attr) { -6, 1, 1 }, WG_EINDEX, "narrow: ");
    wg_sample_error(s, "axis", WG_LIST(x), &(narrow_attr) { 0, 1, 3 }, WG_EINDEX, "narrow: ");
    wg_sample_error(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), &(narrow_attr) { 0, 1, 0 }, WG_EINDEX,
                    "narrow: x has no dimensions");
}

static void slice_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 7, 3));
    wg_sample(s, "odd ones", WG_LIST(x), &(slice_attr) { 1, INT64_MAX, 2, 1 });
    wg_sample(s, "thirds", WG_LIST(x), &(slice_attr) { 0, -1, 3, -2 });
    wg_sample(s, "clamped", WG_LIST(x), &(slice_attr) { -100, 100, 1, 0 });
    wg_sample(s, "none", WG_LIST(x), &(slice_attr) { 5, 2, 1, 1 });
    wg_sample(s, "huge step", WG_LIST(x), &(slice_attr) { 2, 7, INT64_MAX, 1 });
    wg_sample(s, "vector", WG_LIST(wg_randn(WG_DIMS(5))), &(slice_attr) { -3, 5, 2, 0 });
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(0))), &(slice_attr) { 0, 5, 2, 0 });
    wg_sample_error(s, "step 0", WG_LIST(x), &(slice_attr) { 0, 2, 0, 1 }, WG_EARG,
                    "slice: step 0 ");
    wg_sample_error(s, "step -1", WG_LIST(x), &(slice_attr) { 0, 2, -1, 1 }, WG_EARG, "slice: ");
    wg_sample_error(s, "axis", WG_LIST(x), &(slice_attr) { 0, 2, 1, 3 }, WG_EINDEX, "slice: ");
}

static void select_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 4, 3));
    wg_sample(s, "first axis", WG_LIST(x), &(select_attr) { 1, 0 });
    wg_sample(s, "last of the middle", WG_LIST(x), &(select_attr) { -1, 1 });
    wg_sample(s, "last axis", WG_LIST(x), &(select_attr) { 0, -1 });
    wg_sample(s, "vector", WG_LIST(wg_randn(WG_DIMS(4))), &(select_attr) { 2, 0 });
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(0, 3))), &(select_attr) { 2, 1 });
    wg_sample_error(s, "after", WG_LIST(x), &(select_attr) { 4, 1 }, WG_EINDEX, "select: index 4 ");
    wg_sample_error(s, "before", WG_LIST(x), &(select_attr) { -5, 1 }, WG_EINDEX, "select: ");
    wg_sample_error(s, "axis", WG_LIST(x), &(select_attr) { 0, -4 }, WG_EINDEX, "select: ");
}

const wg_op wgi_op_narrow = {
    .name = "narrow",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(narrow_attr),
    .flags = WG_OP_VIEW | WG_OP_PARTIAL,
    .infer = narrow_infer,
    .reference = narrow_reference,
    .grad = narrow_grad,
    .samples = narrow_samples,
};

const wg_op wgi_op_slice = {
    .name = "slice",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(slice_attr),
    .flags = WG_OP_VIEW | WG_OP_PARTIAL,
    .infer = slice_infer,
    .reference = slice_reference,
    .grad = slice_grad,
    .samples = slice_samples,
};

const wg_op wgi_op_select = {
    .name = "select",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(select_attr),
    .flags = WG_OP_VIEW | WG_OP_PARTIAL,
    .infer = select_infer,
    .reference = select_reference,
    .grad = select_grad,
    .samples = select_samples,
};

wg_tensor *wg_narrow(wg_tensor *x, int axis, int64_t start, int64_t length)
{
    return wg_apply(&wgi_op_narrow, WG_LIST(x), &(narrow_attr) { start, length, axis }, NULL);
}

wg_tensor *wg_slice(wg_tensor *x, int axis, int64_t start, int64_t stop, int64_t step)
{
    return wg_apply(&wgi_op_slice, WG_LIST(x), &(slice_attr) { start, stop, step, axis }, NULL);
}

wg_tensor *wg_select(wg_tensor *x, int axis, int64_t i)
{
    return wg_apply(&wgi_op_select, WG_LIST(x), &(select_attr) { i, axis }, NULL);
}
