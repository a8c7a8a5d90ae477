/* var and std: y = sum (x - mean)^2 / max(0, n - correction) over axes, n elements in a group; std
 * is its root.
 *   x: (...) floating -> y: x's shape without the axes (1 in their places with keepdim), x's dtype;
 *   two passes in f32 (f64 for f64). correction: 1 unless given (Bessel's), WG_JUST(0) for the
 *   population's. n <= correction: 0 / 0 and the like, as in PyTorch.
 *   gradient: var: dx = dy 2 (x - mean) / (n - correction); std: dx = dy (x - mean) / ((n -
 *   correction) y), 0 where y is 0.
 *   saves x (and y for std).     errors: WG_EDTYPE if x is not floating; WG_EINDEX, WG_EARG for the
 *   axes. */
#include <math.h>

#include "ops/reduce_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wgi_var_attr *a = c->attr;
    return wgi_reduce_infer(c, &a->axes, a->keepdim, WGI_FLOAT_DTYPE);
}

/* x - mean. */
static wg_tensor *centred(wg_vjp *g, const wgi_var_attr *a)
{
    return wg_sub(g->x.t[0], wg_mean(g->x.t[0], a->axes, true));
}

static double divisor(wg_vjp *g, const wgi_var_attr *a)
{
    const wg_dims x = wg_vjp_in_shape(g, 0), y = wg_vjp_out_shape(g, 0);
    const int64_t groups = wgi_numel(&y), n = groups > 0 ? wgi_numel(&x) / groups : 0;
    return n > a->correction ? (double)n - (double)a->correction : 0;
}

static void grad_var(wg_vjp *g)
{
    const wgi_var_attr *a = g->attr;
    wg_tensor *dy = wgi_reduce_keep(g, g->dy.t[0], &a->axes);
    g->dx.t[0] = wg_mul(centred(g, a), wg_affine(dy, 2 / divisor(g, a), 0));
}

static void grad_std(wg_vjp *g)
{
    const wgi_var_attr *a = g->attr;
    wg_tensor *y = wgi_reduce_keep(g, g->y.t[0], &a->axes), *flat = wg_eq(y, wg_scalar(0));
    wg_tensor *dy = wg_masked_fill(wgi_reduce_keep(g, g->dy.t[0], &a->axes), flat, 0);
    wg_tensor *scale = wg_div(dy, wg_affine(wg_masked_fill(y, flat, 1), divisor(g, a), 0));
    g->dx.t[0] = wg_mul(centred(g, a), scale);
}

static wg_status reference_of(const wg_run *r, bool deviation)
{
    const wgi_var_attr *a = r->attr;
    const wgi_grouping g = wgi_grouping_of(r->in.t[0], &a->axes);
    for (int64_t o = 0; o < g.groups; o++) {
        long double mean = 0, sum = 0;
        for (int64_t e = 0; e < g.count; e++) mean += wgi_group_value(&g, o, e);
        mean /= (long double)g.count;
        for (int64_t e = 0; e < g.count; e++) {
            const long double away = wgi_group_value(&g, o, e) - mean;
            sum += away * away;
        }
        const double y = (double)sum / fmax(0, (double)(g.count - a->correction));
        wgi_reference_put(r, o, deviation ? sqrt(y) : y);
    }
    return WG_OK;
}

static wg_status reference_var(const wg_run *r)
{
    return reference_of(r, false);
}

static wg_status reference_std(const wg_run *r)
{
    return reference_of(r, true);
}

static double flops(const wg_infer *c)
{
    return 4 * (double)c->in.t[0]->numel;
}

#define VAR(c, ...) (&(wgi_var_attr) { .correction = c, .axes = __VA_ARGS__ })

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "all", WG_LIST(x), VAR(1, WG_ALL));
    wg_sample(s, "last, kept", WG_LIST(x), VAR(1, WG_DIMS(-1), true));
    wg_sample(s, "population", WG_LIST(x), VAR(0, WG_DIMS(0, 2)));
    wg_sample(s, "correction 2", WG_LIST(x), VAR(2, WG_DIMS(2)));
    wg_sample(s, "1-d, far from 0", WG_LIST(wg_affine(wg_randn(WG_DIMS(9)), 1, 100)),
              VAR(1, WG_DIMS(0)));
    wg_sample(s, "no groups", WG_LIST(wg_zeros(WG_DIMS(3, 0))), VAR(1, WG_DIMS(0)));
    wg_sample_error(s, "integers", WG_LIST(wg_arange(0, 4)), VAR(1, WG_ALL), WG_EDTYPE, "");
    wg_sample_error(s, "axis", WG_LIST(x), VAR(1, WG_DIMS(3)), WG_EINDEX, "");
}

const wg_op wgi_op_var = {
    .name = "var",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_var_attr),
    .flags = WG_OP_FULL,
    .saves = WG_IN(0),
    .infer = infer,
    .cpu = wgi_cpu_var,
    .cuda = wgi_cuda_var,
    .reference = reference_var,
    .grad = grad_var,
    .flops = flops,
    .samples = samples,
};

const wg_op wgi_op_std = {
    .name = "std",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_var_attr),
    .flags = WG_OP_FULL,
    .saves = WG_IN(0) | WG_OUT(0),
    .infer = infer,
    .cpu = wgi_cpu_std,
    .cuda = wgi_cuda_std,
    .reference = reference_std,
    .grad = grad_std,
    .flops = flops,
    .samples = samples,
};

/* No axes given means all, as in PyTorch: the variance of single elements says nothing. */
static wgi_var_attr attributes(wg_dims axes, bool keepdim, wg_maybe correction)
{
    return (wgi_var_attr) { axes.n == 0 ? WG_ALL : axes, keepdim,
                            correction.set ? correction.value : 1 };
}

wg_tensor *wg_var_call(wg_var_args a)
{
    const wgi_var_attr attr = attributes(a.axes, a.keepdim, a.correction);
    return wg_apply(&wgi_op_var, WG_LIST(a.x), &attr, NULL);
}

wg_tensor *wg_std_call(wg_std_args a)
{
    const wgi_var_attr attr = attributes(a.axes, a.keepdim, a.correction);
    return wg_apply(&wgi_op_std, WG_LIST(a.x), &attr, NULL);
}
