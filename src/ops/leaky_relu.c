/* y = x where x > 0, else slope x. dx = dy, or slope dy where x <= 0; saves x. */
#include "ops/elementwise.h"

typedef struct {
    double slope;
} leaky_relu;

static wg_status run(const wg_run *r)
{
    const wgi_numbers p = { .a = ((const leaky_relu *)r->attr)->slope };
    return wgi_run_formula(r, WGI_FORMULA_leaky_relu, &p);
}

static wg_status reference(const wg_run *r)
{
    const double slope = ((const leaky_relu *)r->attr)->slope, *x = wg_run_in(r, 0);
    double *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++) y[i] = x[i] > 0 ? x[i] : slope * x[i];
    return WG_OK;
}

static void grad(wg_vjp *g)
{
    const double slope = ((const leaky_relu *)g->attr)->slope;
    wg_tensor *x = g->x.t[0], *dy = g->dy.t[0];
    g->dx.t[0] = wg_where(wg_gt(x, wg_scalar(0)), dy, wg_affine(dy, slope, 0));
}

static void grad_fused(wg_vjp *g)
{
    const wgi_numbers p = { .a = ((const leaky_relu *)g->attr)->slope };
    wgi_unary_vjp(g, WGI_FORMULA_leaky_relu_backward, g->x.t[0], &p);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, &(const leaky_relu) { 0.3 }, 0.1, 3);
    wg_sample(s, "negative", WG_LIST(wgi_uniform(WG_DIMS(5), -3, -0.1)),
              &(const leaky_relu) { 1.2 });
}

const wg_op wgi_op_leaky_relu = {
    .name = "leaky_relu",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(leaky_relu),
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE,
    .saves = WG_IN(0),
    .infer = wgi_infer_float,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .grad_fused = grad_fused,
    .samples = samples,
};

wg_tensor *wg_leaky_relu(wg_tensor *x, double slope)
{
    return wg_apply(&wgi_op_leaky_relu, WG_LIST(x), &(const leaky_relu) { slope }, NULL);
}
