/* max and min: y = the greatest (smallest) element of x over axes; NaN if there is one.
 *   x: (...) any -> y: x's shape without the axes (1 in their places with keepdim), x's dtype.
 *   gradient: dy, shared equally among the elements that are equal to y (as PyTorch's amax). saves
 * x, y. errors: WG_ESHAPE over nothing; WG_EINDEX, WG_EARG for the axes. */
#include <math.h>

#include "ops/reduce_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wgi_reduce_attr *a = c->attr;
    wg_status s = wgi_reduce_refuse_empty(c, &a->axes);
    return s != WG_OK ? s : wgi_reduce_infer(c, &a->axes, a->keepdim, WGI_SAME_DTYPE);
}

/* dx = [x = y] dy / n, n = sum [x = y]. */
static void grad(wg_vjp *g)
{
    const wgi_reduce_attr *a = g->attr;
    wg_tensor *x = g->x.t[0], *y = wgi_reduce_keep(g, g->y.t[0], &a->axes);
    wg_tensor *dy = wgi_reduce_keep(g, g->dy.t[0], &a->axes);
    wg_tensor *chosen = wg_eq(x, y);
    wg_tensor *n = wg_cast(wg_sum(chosen, a->axes, true), wg_vjp_out_dtype(g, 0));
    g->dx.t[0] = wg_mul(wg_cast(chosen, wg_vjp_out_dtype(g, 0)), wg_div(dy, n));
}

static wg_status reference_of(const wg_run *r, double sign)
{
    const wgi_reduce_attr *a = r->attr;
    const wgi_grouping g = wgi_grouping_of(r->in.t[0], &a->axes);
    for (int64_t o = 0; o < g.groups; o++) {
        double best = -INFINITY;
        for (int64_t e = 0; e < g.count; e++) {
            const double v = sign * wgi_group_value(&g, o, e);
            if (isnan(v) || v > best) best = v;
        }
        wgi_reference_put(r, o, sign * best);
    }
    return WG_OK;
}

static wg_status reference_max(const wg_run *r)
{
    return reference_of(r, 1);
}

static wg_status reference_min(const wg_run *r)
{
    return reference_of(r, -1);
}

static double flops(const wg_infer *c)
{
    return (double)c->in.t[0]->numel;
}

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "all", WG_LIST(x), WGI_REDUCE_AT(WG_ALL));
    wg_sample(s, "last", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(-1)));
    wg_sample(s, "first, kept", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(0), true));
    wg_sample(s, "two", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(0, 2)));
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), WGI_REDUCE_AT(WG_ALL));
    wg_sample(s, "no groups", WG_LIST(wg_zeros(WG_DIMS(3, 0))), WGI_REDUCE_AT(WG_DIMS(0)));
    wg_sample(s, "integers", WG_LIST(wg_randint(-9, 9, WG_DIMS(3, 4))), WGI_REDUCE_AT(WG_DIMS(1)));
    wg_sample_error(s, "over nothing", WG_LIST(wg_zeros(WG_DIMS(3, 0))), WGI_REDUCE_AT(WG_DIMS(1)),
                    WG_ESHAPE, "m");
    wg_sample_error(s, "axis", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(3)), WG_EINDEX, "m");
}

const wg_op wgi_op_max = {
    .name = "max",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_reduce_attr),
    .saves = WG_IN(0) | WG_OUT(0),
    .infer = infer,
    .cpu = wgi_cpu_max,
    .cuda = wgi_cuda_max,
    .reference = reference_max,
    .grad = grad,
    .flops = flops,
    .samples = samples,
};

const wg_op wgi_op_min = {
    .name = "min",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_reduce_attr),
    .saves = WG_IN(0) | WG_OUT(0),
    .infer = infer,
    .cpu = wgi_cpu_min,
    .cuda = wgi_cuda_min,
    .reference = reference_min,
    .grad = grad,
    .flops = flops,
    .samples = samples,
};

wg_tensor *wg_max(wg_tensor *x, wg_dims axes, bool keepdim)
{
    return wg_apply(&wgi_op_max, WG_LIST(x), WGI_REDUCE_AT(axes, keepdim), NULL);
}

wg_tensor *wg_min(wg_tensor *x, wg_dims axes, bool keepdim)
{
    return wg_apply(&wgi_op_min, WG_LIST(x), WGI_REDUCE_AT(axes, keepdim), NULL);
}
