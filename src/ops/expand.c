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
    bool fits = to->n >= x->ndim && to->n <= WG_MAX_DIMS;
    int lead = fits ? to->n - x->ndim : 0;
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

/* Axis by axis, so that no shape passes 8 dimensions: (outer, size, inner) -> (outer, times, size,
 * inner). */
static wg_tensor *repeat_axis(wg_tensor *x, int axis, int64_t times)
{
    if (wgi_bad(x)) return &wgi_error_tensor;
    wg_dims shape = wg_shape(x);
    int64_t outer = 1, inner = 1, size = shape.d[axis];
    for (int a = 0; a < axis; a++) outer *= shape.d[a];
    for (int a = axis + 1; a < shape.n; a++) inner *= shape.d[a];
    wg_tensor *y = wg_reshape(x, WG_DIMS(outer, 1, size, inner));
    y = wg_expand(y, WG_DIMS(outer, times, size, inner));
    if (__builtin_mul_overflow(size, times, &shape.d[axis]))
        return wg_fail(WG_ESHAPE, "repeat: the sizes overflow");
    return wg_reshape(y, shape);
}

wg_tensor *wg_repeat(wg_tensor *x, wg_dims times)
{
    if (wgi_refuse(x, "repeat")) return &wgi_error_tensor;
    if (times.n < x->ndim || times.n > WG_MAX_DIMS)
        return wg_fail(WG_EARG, "repeat: %d times for %d dimensions", times.n, x->ndim);
    for (int a = 0; a < times.n; a++)
        if (times.d[a] < 0) return wg_fail(WG_EARG, "repeat: %lld times", (long long)times.d[a]);
    wg_dims shape = { .n = times.n };
    for (int a = 0, lead = times.n - x->ndim; a < times.n; a++)
        shape.d[a] = a < lead ? 1 : x->shape[a - lead];
    wg_tensor *y = wg_reshape(x, shape);
    for (int a = times.n - 1; a >= 0; a--)
        if (times.d[a] != 1) y = repeat_axis(y, a, times.d[a]);
    return y;
}
