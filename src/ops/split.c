/* Cuts one axis into consecutive parts.
 *   split: parts of the given sizes, which sum to the axis.
 *   chunk: parts of ceil(size / chunks), the last one shorter; there may be fewer than asked for, as
 *   in PyTorch.
 *   x: any of at least one dimension -> views.
 *   gradient: the parts' cotangents side by side, zero for an unused part.
 *   errors: WG_ESHAPE if the sizes do not sum to the axis, WG_EINDEX for the axis, WG_EARG for
 *   chunks < 1. */
#include "ops/shape_op.h"

typedef struct {
    wg_dims sizes;
    int axis;
} split_attr;
typedef struct {
    int64_t part; /* elements of every part but the last */
    int axis;
} chunk_attr;

static void view_part(wg_infer *c, int i, int axis, int64_t start, int64_t length)
{
    wg_spec *y = wgi_view_of_input(c, i);
    y->shape.d[axis] = length;
    y->offset = length ? start * y->strides.d[axis] : 0;
}

static wg_status split_infer(wg_infer *c)
{
    const split_attr *p = c->attr;
    const wg_tensor *x = c->in.t[0];
    int axis;
    int64_t rest = 0;
    if (x->ndim == 0) return wg_raise(WG_EINDEX, "x has no dimensions");
    wg_status s = wgi_axis(p->axis, x->ndim, &axis);
    if (s != WG_OK) return s;
    if (p->sizes.n < 1 || p->sizes.n > WG_MAX_DIMS)
        return wg_raise(WG_EARG, "%d sizes: between 1 and %d are possible, wg_chunk makes more",
                        p->sizes.n, WG_MAX_DIMS);
    rest = x->shape[axis];
    for (int i = 0; i < p->sizes.n && rest >= 0; i++)
        rest = p->sizes.d[i] < 0 || p->sizes.d[i] > rest ? -1 : rest - p->sizes.d[i];
    if (rest != 0) {
        char text[256];
        wgi_shape_text(text, sizeof text, &p->sizes);
        return wg_raise(WG_ESHAPE, "sizes %s do not sum to %lld", text, (long long)x->shape[axis]);
    }
    s = wg_infer_outputs(c, p->sizes.n);
    for (int i = 0; s == WG_OK && i < p->sizes.n; i++) {
        view_part(c, i, axis, rest, p->sizes.d[i]);
        rest += p->sizes.d[i];
    }
    return s;
}

static wg_status chunk_infer(wg_infer *c)
{
    const chunk_attr *p = c->attr;
    const wg_tensor *x = c->in.t[0];
    int axis;
    if (x->ndim == 0) return wg_raise(WG_EINDEX, "x has no dimensions");
    wg_status s = wgi_axis(p->axis, x->ndim, &axis);
    if (s != WG_OK) return s;
    int64_t size = x->shape[axis];
    if (p->part < 1) return wg_raise(WG_EARG, "parts of %lld elements", (long long)p->part);
    int64_t parts = size == 0 ? 1 : (size - 1) / p->part + 1;
    if (parts > INT32_MAX) return wg_raise(WG_EARG, "%lld parts", (long long)parts);
    s = wg_infer_outputs(c, (int)parts);
    for (int64_t i = 0; s == WG_OK && i < parts; i++)
        view_part(c, (int)i, axis, i * p->part, i + 1 < parts ? p->part : size - i * p->part);
    return s;
}

/* dx = (dy_0, dy_1, ...) along axis. */
static void join(wg_vjp *g, int axis)
{
    wg_list dy = wg_list_new(g->dy.n);
    for (int64_t i = 0; i < dy.n; i++) {
        wg_dtype t = wg_vjp_out_dtype(g, (int)i);
        dy.t[i] = g->dy.t[i] ? g->dy.t[i] : wg_cast(wg_zeros(wg_vjp_out_shape(g, (int)i)), t);
    }
    g->dx.t[0] = wg_cat(dy, axis);
}

static void split_grad(wg_vjp *g)
{
    join(g, ((const split_attr *)g->attr)->axis);
}

static void chunk_grad(wg_vjp *g)
{
    join(g, ((const chunk_attr *)g->attr)->axis);
}

/* Output i is x shifted by the sizes of the outputs before it. */
static wg_status reference_parts(const wg_run *r, int axis)
{
    const wg_tensor *x = r->in.t[0];
    const double *from = wg_run_in(r, 0);
    int64_t start = 0;
    if (axis < 0) axis += x->ndim;
    for (int64_t k = 0; k < r->out.n; k++) {
        const wg_tensor *part = r->out.t[k];
        double *y = wg_run_out(r, (int)k);
        int64_t index[WG_MAX_DIMS] = { 0 };
        for (int64_t e = 0; e < part->numel; e++) {
            int64_t i[WG_MAX_DIMS];
            for (int a = 0; a < x->ndim; a++) i[a] = index[a] + (a == axis ? start : 0);
            y[e] = from[wgi_element_at(x, i)];
            wgi_next_index(part, index);
        }
        start += part->shape[axis];
    }
    return WG_OK;
}

static wg_status split_reference(const wg_run *r)
{
    return reference_parts(r, ((const split_attr *)r->attr)->axis);
}

static wg_status chunk_reference(const wg_run *r)
{
    return reference_parts(r, ((const chunk_attr *)r->attr)->axis);
}

static void split_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 6, 2));
    wg_sample(s, "three", WG_LIST(x), &(split_attr) { WG_DIMS(1, 3, 2), 1 });
    wg_sample(s, "last axis", WG_LIST(x), &(split_attr) { WG_DIMS(1, 1), -1 });
    wg_sample(s, "one", WG_LIST(x), &(split_attr) { WG_DIMS(2), 0 });
    wg_sample(s, "an empty part", WG_LIST(x), &(split_attr) { WG_DIMS(0, 6), 1 });
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(0, 4))), &(split_attr) { WG_DIMS(2, 2), 1 });
    wg_sample_error(s, "sum", WG_LIST(x), &(split_attr) { WG_DIMS(2, 3), 1 }, WG_ESHAPE,
                    "split: sizes (2, 3) do not sum to 6");
    wg_sample_error(s, "negative", WG_LIST(x), &(split_attr) { WG_DIMS(7, -1), 1 }, WG_ESHAPE,
                    "split: ");
    wg_sample_error(s, "no sizes", WG_LIST(x), &(split_attr) { WG_DIMS(), 1 }, WG_EARG, "split: ");
    wg_sample_error(s, "axis", WG_LIST(x), &(split_attr) { WG_DIMS(2), 3 }, WG_EINDEX, "split: ");
}

static void chunk_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(11, 2));
    wg_sample(s, "eleven", WG_LIST(x), &(chunk_attr) { 1, 0 });
    wg_sample(s, "last shorter", WG_LIST(x), &(chunk_attr) { 4, 0 });
    wg_sample(s, "whole", WG_LIST(x), &(chunk_attr) { 5, -1 });
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(0, 2))), &(chunk_attr) { 1, 0 });
    wg_sample_error(s, "axis", WG_LIST(x), &(chunk_attr) { 1, 2 }, WG_EINDEX, "chunk: ");
}

const wg_op wgi_op_split = {
    .name = "split",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(split_attr),
    .flags = WG_OP_VIEW | WG_OP_PARTIAL,
    .infer = split_infer,
    .reference = split_reference,
    .grad = split_grad,
    .samples = split_samples,
};

const wg_op wgi_op_chunk = {
    .name = "chunk",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(chunk_attr),
    .flags = WG_OP_VIEW | WG_OP_PARTIAL,
    .infer = chunk_infer,
    .reference = chunk_reference,
    .grad = chunk_grad,
    .samples = chunk_samples,
};

void wg_split(wg_tensor *x, wg_dims sizes, int axis, wg_tensor **out)
{
    /* an invalid number of sizes leaves nothing to fill but the first place */
    int64_t n = sizes.n >= 1 && sizes.n <= WG_MAX_DIMS ? sizes.n : 1;
    wg_apply_list(&wgi_op_split, WG_LIST(x), &(split_attr) { sizes, axis }, (wg_list) { n, out });
}

wg_list wg_chunk(wg_tensor *x, int64_t chunks, int axis)
{
    if (wgi_refuse(x, "chunk")) return WG_NO_LIST;
    int a = wgi_axis_or_none(axis, x->ndim);
    if (chunks < 1) {
        wg_raise(WG_EARG, "chunk: %lld chunks", (long long)chunks);
        return WG_NO_LIST;
    }
    int64_t size = a < 0 || x->ndim == 0 ? 1 : x->shape[a];
    int64_t part = size == 0 ? 1 : (size - 1) / chunks + 1;
    wg_list out = wg_list_new(size == 0 ? 1 : (size - 1) / part + 1);
    if (out.n) wg_apply_list(&wgi_op_chunk, WG_LIST(x), &(chunk_attr) { part, axis }, out);
    return out;
}
