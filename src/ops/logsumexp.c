/* y = log(sum(exp(x))) over axes, as m + log(sum(exp(x - m))), m the maximum.
 *   x: (...) floating -> y: x's shape without the axes (1 in their places with keepdim), x's dtype;
 * computed in f32 (f64 for f64). All -inf, and nothing, give -inf; +inf gives +inf; NaN stays.
 *   gradient: dx = dy * exp(x - y), the softmax; 0 where y is -inf. saves x, y.
 *   errors: WG_EDTYPE if x is not floating; WG_EINDEX, WG_EARG for the axes. */
#include <math.h>

#include "ops/reduce_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wgi_reduce_attr *a = c->attr;
    return wgi_reduce_infer(c, &a->axes, a->keepdim, WGI_FLOAT_DTYPE);
}

static void grad(wg_vjp *g)
{
    const wgi_reduce_attr *a = g->attr;
    wg_tensor *y = g->y.t[0];
    wg_tensor *finite =
        wg_masked_fill(y, wg_eq(y, wg_scalar(-INFINITY)), 0); /* -inf - -inf is no number */
    wg_tensor *p = wg_exp(wg_sub(g->x.t[0], wgi_reduce_keep(g, finite, &a->axes)));
    g->dx.t[0] = wg_mul(p, wgi_reduce_keep(g, g->dy.t[0], &a->axes));
}

static wg_status reference(const wg_run *r)
{
    const wgi_reduce_attr *a = r->attr;
    const wgi_grouping g = wgi_grouping_of(r->in.t[0], &a->axes);
    for (int64_t o = 0; o < g.groups; o++) {
        double sum = 0;
        for (int64_t e = 0; e < g.count; e++) sum += exp(wgi_group_value(&g, o, e));
        wgi_reference_put(r, o, log(sum));
    }
    return WG_OK;
}

static double flops(const wg_infer *c)
{
    return 3 * (double)c->in.t[0]->numel;
}

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "last", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(-1)));
    wg_sample(s, "all", WG_LIST(x), WGI_REDUCE_AT(WG_ALL));
    wg_sample(s, "two, kept", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(0, 2), true));
    wg_sample(s, "none", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS()));
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), WGI_REDUCE_AT(WG_ALL));
    wg_sample(s, "over nothing", WG_LIST(wg_zeros(WG_DIMS(2, 0))), WGI_REDUCE_AT(WG_DIMS(1)));
    wg_sample_error(s, "integers", WG_LIST(wg_arange(0, 4)), WGI_REDUCE_AT(WG_ALL), WG_EDTYPE,
                    "logsumexp: x must be floating, is i64");
    wg_sample_error(s, "axis", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(3)), WG_EINDEX, "logsumexp: ");
}

const wg_op wgi_op_logsumexp = {
    .name = "logsumexp",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_reduce_attr),
    .flags = WG_OP_FULL,
    .saves = WG_IN(0) | WG_OUT(0),
    .infer = infer,
    .cpu = wgi_cpu_logsumexp,
    .cuda = wgi_cuda_logsumexp,
    .reference = reference,
    .grad = grad,
    .flops = flops,
    .samples = samples,
};

wg_tensor *wg_logsumexp(wg_tensor *x, wg_dims axes, bool keepdim)
{
    return wg_apply(&wgi_op_logsumexp, WG_LIST(x), WGI_REDUCE_AT(axes, keepdim), NULL);
}
