/* y = 1 / x. dx = -dy y^2; saves y. */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    return wgi_run_formula(r, WGI_FORMULA_reciprocal, NULL);
}

static double formula(double x)
{
    return 1 / x;
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference1(r, formula);
}

static void grad(wg_vjp *g)
{
    wg_tensor *y = g->y.t[0], *dy = g->dy.t[0];
    g->dx.t[0] = wg_neg(wg_mul(dy, wg_square(y)));
}

static void grad_fused(wg_vjp *g)
{
    wgi_unary_vjp(g, WGI_FORMULA_reciprocal_backward, g->y.t[0], NULL);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, NULL, 0.3, 3);
}

const wg_op wgi_op_reciprocal = {
    .name = "reciprocal",
    .in = { "x" },
    .out = { "y" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE,
    .saves = WG_OUT(0),
    .infer = wgi_infer_float,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .grad_fused = grad_fused,
    .samples = samples,
};

wg_tensor *wg_reciprocal(wg_tensor *x)
{
    return wg_apply(&wgi_op_reciprocal, WG_LIST(x), NULL, NULL);
}
