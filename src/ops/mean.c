/* y = mean of x over axes.
 *   x: (...) floating -> y: x's shape without the axes (1 in their places with keepdim), x's dtype;
 * computed as sum's, divided and rounded once. Over nothing: NaN. gradient: dx = dy / n, repeated
 * along the axes, n elements in a group. errors: WG_EDTYPE if x is not floating; WG_EINDEX, WG_EARG
 * for the axes. */
#include "ops/reduce_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wgi_reduce_attr *a = c->attr;
    return wgi_reduce_infer(c, &a->axes, a->keepdim, WGI_FLOAT_DTYPE);
}

static int64_t numel(wg_dims shape)
{
    return wgi_numel(&shape);
}

static void grad(wg_vjp *g)
{
    const wgi_reduce_attr *a = g->attr;
    const double groups = (double)numel(wg_vjp_out_shape(g, 0));
    const double n = (double)numel(wg_vjp_in_shape(g, 0)) / (groups > 0 ? groups : 1);
    g->dx.t[0] = wgi_reduce_expand(g, wg_affine(g->dy.t[0], 1 / n, 0), &a->axes);
}

static wg_status reference(const wg_run *r)
{
    const wgi_reduce_attr *a = r->attr;
    const wgi_grouping g = wgi_grouping_of(r->in.t[0], &a->axes);
    for (int64_t o = 0; o < g.groups; o++) {
        double sum = 0;
        for (int64_t e = 0; e < g.count; e++) sum += wgi_group_value(&g, o, e);
        wgi_reference_put(r, o, sum / (double)g.count);
    }
    return WG_OK;
}

static double flops(const wg_infer *c)
{
    return (double)c->in.t[0]->numel;
}

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "all", WG_LIST(x), WGI_REDUCE_AT(WG_ALL));
    wg_sample(s, "last, kept", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(-1), true));
    wg_sample(s, "two", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(0, 1)));
    wg_sample(s, "1-d", WG_LIST(wg_randn(WG_DIMS(7))), WGI_REDUCE_AT(WG_DIMS(0)));
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), WGI_REDUCE_AT(WG_ALL));
    wg_sample(s, "no groups", WG_LIST(wg_zeros(WG_DIMS(3, 0))), WGI_REDUCE_AT(WG_DIMS(0)));
    wg_sample_error(s, "integers", WG_LIST(wg_arange(0, 4)), WGI_REDUCE_AT(WG_ALL), WG_EDTYPE,
                    "mean: x must be floating, is i64");
    wg_sample_error(s, "axis", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(-4)), WG_EINDEX, "mean: ");
}

const wg_op wgi_op_mean = {
    .name = "mean",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_reduce_attr),
    .flags = WG_OP_ACCUMULATE | WG_OP_FULL,
    .infer = infer,
    .cpu = wgi_cpu_mean,
    .cuda = wgi_cuda_mean,
    .reference = reference,
    .grad = grad,
    .flops = flops,
    .samples = samples,
};

wg_tensor *wg_mean(wg_tensor *x, wg_dims axes, bool keepdim)
{
    return wg_apply(&wgi_op_mean, WG_LIST(x), WGI_REDUCE_AT(axes, keepdim), NULL);
}
