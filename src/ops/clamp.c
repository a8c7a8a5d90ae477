/* y = min(max(x, low), high); NaN stays. Numbers of any dtype; limits of integers must be
 * integral or infinite. dx = dy where low <= x <= high, else 0; saves x. low > high: everything
 * is high, as in PyTorch. NaN limits raise WG_EARG. */
#include "ops/elementwise.h"

typedef struct {
    double low, high;
} clamp;

static wg_status infer(wg_infer *c)
{
    const clamp *a = c->attr;
    bool whole =
        (isinf(a->low) || a->low == floor(a->low)) && (isinf(a->high) || a->high == floor(a->high));
    if (isnan(a->low) || isnan(a->high)) return wg_raise(WG_EARG, "a limit is NaN");
    if (!whole && !wgi_is_float(c->in.t[0]->dtype))
        return wg_raise(WG_EARG, "limits %g, %g of integers are not whole", a->low, a->high);
    return wgi_infer_number(c);
}

static int64_t saturated(double v)
{
    return v >= 0x1p63 ? INT64_MAX : v <= -0x1p63 ? INT64_MIN : (int64_t)v;
}

static wgi_numbers limits(const void *attr)
{
    const clamp *c = attr;
    const wgi_numbers p = {
        .a = c->low, .b = c->high, .integer_a = saturated(c->low), .integer_b = saturated(c->high)
    };
    return p;
}

static wg_status run(const wg_run *r)
{
    const wgi_numbers p = limits(r->attr);
    return wgi_run_formula(r, WGI_FORMULA_clamp, &p);
}

static wg_status reference(const wg_run *r)
{
    const clamp *c = r->attr;
    const double *x = wg_run_in(r, 0);
    double *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++) {
        double v = x[i] < c->low ? c->low : x[i];
        y[i] = v > c->high ? c->high : v;
    }
    return WG_OK;
}

static void grad(wg_vjp *g)
{
    const clamp *c = g->attr;
    wg_tensor *x = g->x.t[0];
    wg_tensor *inside = wg_logical_and(wg_ge(x, wg_scalar(c->low)), wg_le(x, wg_scalar(c->high)));
    g->dx.t[0] = wg_where(inside, g->dy.t[0], wg_scalar(0));
}

static void grad_fused(wg_vjp *g)
{
    const wgi_numbers p = limits(g->attr);
    wgi_unary_vjp(g, WGI_FORMULA_clamp_backward, g->x.t[0], &p);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, &(const clamp) { -1, 0.5 }, -0.9, 0.4);
    wg_sample(s, "outside", WG_LIST(wgi_uniform(WG_DIMS(6), 0.6, 3)), &(const clamp) { -1, 0.5 });
    wg_sample(s, "one side", WG_LIST(wgi_uniform(WG_DIMS(6), 0.1, 3)),
              &(const clamp) { 0, INFINITY });
    wg_sample_error(s, "NaN", WG_LIST(wg_randn(WG_DIMS(2))), &(const clamp) { NAN, 1 }, WG_EARG,
                    "");
}

const wg_op wgi_op_clamp = {
    .name = "clamp",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(clamp),
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE,
    .saves = WG_IN(0),
    .infer = infer,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .grad_fused = grad_fused,
    .samples = samples,
};

wg_tensor *wg_clamp(wg_tensor *x, double low, double high)
{
    return wg_apply(&wgi_op_clamp, WG_LIST(x), &(const clamp) { low, high }, NULL);
}
