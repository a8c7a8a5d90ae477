/* y = sum of x over axes.
 *   x: (...) any -> y: x's shape without the axes (1 in their places with keepdim), x's dtype; i64
 * for integers and bool. Accumulated in f32 (f64 for f64), pairwise over blocks of a fixed size,
 * rounded once. Over nothing: 0. gradient: dx = dy, repeated along the axes.     errors: WG_EINDEX,
 * WG_EARG for the axes. */
#include "ops/reduce_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wgi_reduce_attr *a = c->attr;
    return wgi_reduce_infer(c, &a->axes, a->keepdim, WGI_SUM_DTYPE);
}

static void grad(wg_vjp *g)
{
    const wgi_reduce_attr *a = g->attr;
    g->dx.t[0] = wgi_reduce_expand(g, g->dy.t[0], &a->axes);
}

static wg_status reference(const wg_run *r)
{
    const wgi_reduce_attr *a = r->attr;
    const wgi_grouping g = wgi_grouping_of(r->in.t[0], &a->axes);
    for (int64_t o = 0; o < g.groups; o++) {
        double sum = 0;
        for (int64_t e = 0; e < g.count; e++) sum += wgi_group_value(&g, o, e);
        wgi_reference_put(r, o, sum);
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
    wg_sample(s, "all, kept", WG_LIST(x), WGI_REDUCE_AT(WG_ALL, true));
    wg_sample(s, "last", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(-1)));
    wg_sample(s, "first", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(0)));
    wg_sample(s, "middle, kept", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(1), true));
    wg_sample(s, "two", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(0, -1)));
    wg_sample(s, "none", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS()));
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), WGI_REDUCE_AT(WG_ALL));
    wg_sample(s, "over nothing", WG_LIST(wg_zeros(WG_DIMS(3, 0))), WGI_REDUCE_AT(WG_DIMS(1)));
    wg_sample(s, "no groups", WG_LIST(wg_zeros(WG_DIMS(3, 0))), WGI_REDUCE_AT(WG_DIMS(0)));
    wg_sample(s, "integers", WG_LIST(wg_randint(-9, 9, WG_DIMS(3, 4))), WGI_REDUCE_AT(WG_DIMS(0)));
    wg_sample_error(s, "axis", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(3)), WG_EINDEX, "sum: ");
    wg_sample_error(s, "twice", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(0, -3)), WG_EARG, "sum: ");
}

const wg_op wgi_op_sum = {
    .name = "sum",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_reduce_attr),
    .flags = WG_OP_ACCUMULATE | WG_OP_FULL,
    .infer = infer,
    .cpu = wgi_cpu_sum,
    .cuda = wgi_cuda_sum,
    .reference = reference,
    .grad = grad,
    .flops = flops,
    .samples = samples,
};

wg_tensor *wg_sum(wg_tensor *x, wg_dims axes, bool keepdim)
{
    return wg_apply(&wgi_op_sum, WG_LIST(x), WGI_REDUCE_AT(axes, keepdim), NULL);
}
