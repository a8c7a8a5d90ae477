/* norm: y = (sum |x|^p)^(1/p) over axes; p = 0 counts elements that are not 0, p = inf (-inf) takes
 * the greatest (smallest) |x|.
 *   x: (...) floating -> y: x's shape without the axes (1 in their places with keepdim), x's dtype;
 *   accumulated in f32 (f64 for f64). Over nothing: 0.
 *   gradient: dx = dy sign(x) (|x| / y)^(p-1), 0 where x or y is 0; p = inf: dy sign(x), shared
 *   equally among the elements of that size; p = 0: zero. saves x, y.
 *   errors: WG_EDTYPE if x is not floating; WG_EARG if p is NaN; WG_EINDEX, WG_EARG for the axes.
 *   source: torch.linalg.vector_norm. */
#include <math.h>

#include "ops/reduce_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wgi_norm_attr *a = c->attr;
    if (isnan(a->p)) return wg_raise(WG_EARG, "p is NaN");
    return wgi_reduce_infer(c, &a->axes, a->keepdim, WGI_FLOAT_DTYPE);
}

/* t with 1 where it is 0. */
static wg_tensor *without_zeros(wg_tensor *t)
{
    return wg_masked_fill(t, wg_eq(t, wg_scalar(0)), 1);
}

static wg_tensor *grad_extreme(wg_vjp *g, const wgi_norm_attr *a, wg_tensor *y, wg_tensor *dy)
{
    wg_tensor *x = g->x.t[0], *chosen = wg_eq(wg_abs(x), y);
    wg_tensor *n = wg_cast(wg_sum(chosen, a->axes, true), wg_vjp_out_dtype(g, 0));
    return wg_mul(wg_mul(wg_sign(x), wg_cast(chosen, wg_vjp_out_dtype(g, 0))), wg_div(dy, n));
}

static void grad(wg_vjp *g)
{
    const wgi_norm_attr *a = g->attr;
    wg_tensor *x = g->x.t[0];
    wg_tensor *y = wgi_reduce_keep(g, g->y.t[0], &a->axes),
              *dy = wgi_reduce_keep(g, g->dy.t[0], &a->axes);
    if (a->p == 0) return;
    if (isinf(a->p))
        g->dx.t[0] = grad_extreme(g, a, y, dy);
    else if (a->p == 1)
        g->dx.t[0] = wg_mul(wg_sign(x), dy);
    else if (a->p == 2)
        g->dx.t[0] = wg_mul(x, wg_div(dy, without_zeros(y)));
    else {
        wg_tensor *ratio = wg_div(without_zeros(wg_abs(x)), without_zeros(y));
        g->dx.t[0] = wg_mul(wg_mul(wg_sign(x), wg_pow(ratio, wg_scalar(a->p - 1))), dy);
    }
}

static wg_status reference(const wg_run *r)
{
    const wgi_norm_attr *a = r->attr;
    const wgi_grouping g = wgi_grouping_of(r->in.t[0], &a->axes);
    for (int64_t o = 0; o < g.groups; o++) {
        double sum = 0, high = 0, low = INFINITY;
        for (int64_t e = 0; e < g.count; e++) {
            const double v = fabs(wgi_group_value(&g, o, e));
            sum += a->p == 0 ? v != 0 : pow(v, a->p);
            high = fmax(high, v);
            low = fmin(low, v);
        }
        if (g.count == 0) low = 0;
        wgi_reference_put(r, o,
                          a->p == INFINITY    ? high
                          : a->p == -INFINITY ? low
                          : a->p == 0         ? sum
                                              : pow(sum, 1 / a->p));
    }
    return WG_OK;
}

static double flops(const wg_infer *c)
{
    return 2 * (double)c->in.t[0]->numel;
}

#define NORM(power, ...) (&(wgi_norm_attr) { .p = power, .axes = __VA_ARGS__ })

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "2, all", WG_LIST(x), NORM(2, WG_ALL));
    wg_sample(s, "2, last, kept", WG_LIST(x), NORM(2, WG_DIMS(-1), true));
    wg_sample(s, "1", WG_LIST(x), NORM(1, WG_DIMS(0, 1)));
    wg_sample(s, "0", WG_LIST(x), NORM(0, WG_DIMS(0)));
    wg_sample(s, "3", WG_LIST(x), NORM(3, WG_DIMS(1)));
    wg_sample(s, "1.5", WG_LIST(x), NORM(1.5, WG_DIMS(2)));
    wg_sample(s, "inf", WG_LIST(x), NORM(INFINITY, WG_DIMS(2)));
    wg_sample(s, "-inf", WG_LIST(x), NORM(-INFINITY, WG_DIMS(0, 2)));
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), NORM(2, WG_ALL));
    wg_sample(s, "over nothing", WG_LIST(wg_zeros(WG_DIMS(2, 0))), NORM(2, WG_DIMS(1)));
    wg_sample_error(s, "p", WG_LIST(x), NORM(NAN, WG_ALL), WG_EARG, "norm: p is NaN");
    wg_sample_error(s, "integers", WG_LIST(wg_arange(0, 4)), NORM(2, WG_ALL), WG_EDTYPE,
                    "norm: x must be floating");
    wg_sample_error(s, "axis", WG_LIST(x), NORM(2, WG_DIMS(3)), WG_EINDEX, "norm: ");
}

const wg_op wgi_op_norm = {
    .name = "norm",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_norm_attr),
    .flags = WG_OP_FULL,
    .saves = WG_IN(0) | WG_OUT(0),
    .infer = infer,
    .cpu = wgi_cpu_norm,
    .cuda = wgi_cuda_norm,
    .reference = reference,
    .grad = grad,
    .flops = flops,
    .samples = samples,
};

wg_tensor *wg_norm(wg_tensor *x, double p, wg_dims axes, bool keepdim)
{
    return wg_apply(&wgi_op_norm, WG_LIST(x), &(wgi_norm_attr) { axes, keepdim, p }, NULL);
}
