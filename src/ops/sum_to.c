/* y = x summed down to `shape`, which broadcasts to x's: what undoes a broadcast.
 *   x: (...) any -> y: shape, x's dtype; i64 for integers and bool.
 *   gradient: dx = dy, expanded.     errors: WG_ESHAPE if shape does not broadcast to x's. */
#include "ops/reduce_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wgi_sum_to_attr *a = c->attr;
    const wg_tensor *x = c->in.t[0];
    bool fits = a->shape.n >= 0 && a->shape.n <= x->ndim;
    const int lead = fits ? x->ndim - a->shape.n : 0;
    for (int d = 0; fits && d < a->shape.n; d++)
        fits = a->shape.d[d] == 1 || a->shape.d[d] == x->shape[lead + d];
    if (!fits) {
        char text[256];
        wgi_shape_text(text, sizeof text, &a->shape);
        return wg_raise(WG_ESHAPE, "%s does not broadcast to x", text);
    }
    wg_infer_like(c, 0, x);
    c->out[0].shape = a->shape;
    if (!wgi_is_float(x->dtype)) c->out[0].dtype = WG_I64;
    return WG_OK;
}

static void grad(wg_vjp *g)
{
    g->dx.t[0] = wg_expand(g->dy.t[0], wg_vjp_in_shape(g, 0));
}

/* Every element of x is added where its index, with summed axes at 0, points to. */
static wg_status reference(const wg_run *r)
{
    const wg_tensor *x = r->in.t[0], *y = r->out.t[0];
    const double *from = wgi_data(x);
    double *to = wgi_data(y);
    for (int64_t i = 0; i < y->numel; i++) to[i] = 0;
    for (int64_t i = 0; i < x->numel; i++) {
        int64_t rest = i, at = 0, stride = 1;
        for (int d = x->ndim - 1; d >= x->ndim - y->ndim; d--) {
            const int64_t size = y->shape[d - (x->ndim - y->ndim)];
            at += rest % x->shape[d] % size * stride;
            rest /= x->shape[d];
            stride *= size;
        }
        to[at] += from[i];
    }
    return WG_OK;
}

static double flops(const wg_infer *c)
{
    return (double)c->in.t[0]->numel;
}

#define TO(...) (&(wgi_sum_to_attr) { WG_DIMS(__VA_ARGS__) })

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "bias", WG_LIST(x), TO(4));
    wg_sample(s, "kept axis", WG_LIST(x), TO(2, 1, 4));
    wg_sample(s, "both", WG_LIST(x), TO(3, 1));
    wg_sample(s, "to a scalar", WG_LIST(x), TO());
    wg_sample(s, "the same", WG_LIST(x), TO(2, 3, 4));
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), TO());
    wg_sample(s, "over nothing", WG_LIST(wg_zeros(WG_DIMS(0, 3))), TO(1, 3));
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(2, 0))), TO(0));
    wg_sample_error(s, "size", WG_LIST(x), TO(3), WG_ESHAPE, "sum_to: (3) does not broadcast to x");
    wg_sample_error(s, "more axes", WG_LIST(x), TO(1, 2, 3, 4), WG_ESHAPE, "sum_to: ");
}

const wg_op wgi_op_sum_to = {
    .name = "sum_to",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_sum_to_attr),
    .flags = WG_OP_ACCUMULATE,
    .infer = infer,
    .cpu = wgi_cpu_sum_to,
    .cuda = wgi_cuda_sum_to,
    .reference = reference,
    .grad = grad,
    .flops = flops,
    .samples = samples,
};

wg_tensor *wg_sum_to(wg_tensor *x, wg_dims shape)
{
    return wg_apply(&wgi_op_sum_to, WG_LIST(x), &(wgi_sum_to_attr) { shape }, NULL);
}
