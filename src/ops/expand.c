/* y = x broadcast to `shape`: axes of size 1, and new leading ones, repeat by a stride of 0.
 *   x: any -> y: view; a size of -1 keeps x's.   gradient: dx = dy summed over what was repeated.
 *   errors: WG_ESHAPE if x does not broadcast to the shape. */
#include "ops/shape_op.h"

static wg_status infer(wg_infer *c)
{
    const wg_dims *to = c->attr;
    const wg_tensor *x = c->in.t[0];
    char text[256];
    wg_spec *y = wgi_view_of_input(c, 0);
    int lead = to->n - x->ndim;
    bool fits = to->n <= WG_MAX_DIMS && lead >= 0;
    for (int a = 0; fits && a < to->n; a++) {
        int64_t size = a < lead ? 1 : x->shape[a - lead];
        int64_t wanted = a >= lead && to->d[a] == -1 ? size : to->d[a];
        fits = wanted >= 0 && (size == wanted || size == 1);
        y->shape.d[a] = wanted;
        y->strides.d[a] = size == wanted && a >= lead ? x->strides[a - lead] : 0;
    }
    y->shape.n = y->strides.n = to->n;
    if (fits && wgi_numel(&y->shape) >= 0) return WG_OK;
    wgi_shape_text(text, sizeof text, to);
    return wg_raise(WG_ESHAPE, "x does not broadcast to %s", text);
}

static void grad(wg_vjp *g) /* the engine sums it to x's shape */
{
    g->dx.t[0] = g->dy.t[0];
}

static int64_t source(const wg_run *r, const int64_t *i)
{
    const wg_tensor *x = r->in.t[0];
    int lead = r->out.t[0]->ndim - x->ndim;
    int64_t from[WG_MAX_DIMS];
    for (int a = 0; a < x->ndim; a++) from[a] = x->shape[a] == 1 ? 0 : i[a + lead];
    return wgi_element_at(x, from);
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference_gather(r, source);
}

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(3, 1));
    wg_sample(s, "last axis", WG_LIST(x), WGI_DIMS_AT(3, 4));
    wg_sample(s, "new axes", WG_LIST(x), WGI_DIMS_AT(2, 1, 3, 2));
    wg_sample(s, "kept size", WG_LIST(x), WGI_DIMS_AT(2, -1, 4));
    wg_sample(s, "to none", WG_LIST(x), WGI_DIMS_AT(3, 0));
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), WGI_DIMS_AT(2, 3));
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(0, 1))), WGI_DIMS_AT(2, 0, 3));
    wg_sample_error(s, "size", WG_LIST(x), WGI_DIMS_AT(2, 4), WG_ESHAPE, "expand: ");
    wg_sample_error(s, "fewer axes", WG_LIST(x), WGI_DIMS_AT(3), WG_ESHAPE, "expand: ");
    wg_sample_error(s, "new axis -1", WG_LIST(x), WGI_DIMS_AT(-1, 3, 1), WG_ESHAPE, "expand: ");
}

const wg_op wgi_op_expand = {
    .name = "expand",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wg_dims),
    .flags = WG_OP_VIEW,
    .infer = infer,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_expand(wg_tensor *x, wg_dims shape)
{
    return wg_apply(&wgi_op_expand, WG_LIST(x), &shape, NULL);
}
