/* y[.., j, .., i, ..] = x[.., i, .., j, ..]: axes a and b change places.
 *   x: any, of at least one dimension (0-d passes) -> y: view.   gradient: dx = dy transposed.
 *   errors: WG_EINDEX if an axis is out of range. */
#include "ops/shape_op.h"

typedef struct {
    int a, b;
} transpose_attr;

static wg_status infer(wg_infer *c)
{
    const transpose_attr *t = c->attr;
    const wg_tensor *x = c->in.t[0];
    int a, b;
    wg_status s = wgi_axis(t->a, x->ndim, &a);
    if (s == WG_OK) s = wgi_axis(t->b, x->ndim, &b);
    if (s != WG_OK) return s;
    wg_spec *y = wgi_view_of_input(c, 0);
    if (x->ndim == 0) return WG_OK;
    y->shape.d[a] = x->shape[b];
    y->shape.d[b] = x->shape[a];
    y->strides.d[a] = x->strides[b];
    y->strides.d[b] = x->strides[a];
    return WG_OK;
}

static void grad(wg_vjp *g)
{
    const transpose_attr *t = g->attr;
    g->dx.t[0] = wg_transpose(g->dy.t[0], t->a, t->b);
}

static int64_t source(const wg_run *r, const int64_t *i)
{
    const transpose_attr *t = r->attr;
    const wg_tensor *x = r->in.t[0];
    if (x->ndim == 0) return 0;
    int a = t->a < 0 ? t->a + x->ndim : t->a, b = t->b < 0 ? t->b + x->ndim : t->b;
    int64_t from[WG_MAX_DIMS];
    for (int k = 0; k < x->ndim; k++) from[k] = i[k == a ? b : k == b ? a : k];
    return wgi_element_at(x, from);
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference_gather(r, source);
}

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "first and last", WG_LIST(x), &(transpose_attr) { 0, -1 });
    wg_sample(s, "inner", WG_LIST(x), &(transpose_attr) { -1, 1 });
    wg_sample(s, "same axis", WG_LIST(x), &(transpose_attr) { 1, 1 });
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), &(transpose_attr) { 0, -1 });
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(0, 3))), &(transpose_attr) { 0, 1 });
    wg_sample_error(s, "axis", WG_LIST(x), &(transpose_attr) { 0, 3 }, WG_EINDEX, "transpose: ");
}

const wg_op wgi_op_transpose = {
    .name = "transpose",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(transpose_attr),
    .flags = WG_OP_VIEW,
    .infer = infer,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_transpose(wg_tensor *x, int a, int b)
{
    return wg_apply(&wgi_op_transpose, WG_LIST(x), &(transpose_attr) { a, b }, NULL);
}
