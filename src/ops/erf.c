/* y = 2/sqrt(pi) times the integral of e^-t^2 from 0 to x. dx = dy 2/sqrt(pi) e^-x^2; saves x. */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    return wgi_run_formula(r, WGI_FORMULA_erf, NULL);
}

static double formula(double x)
{
    return erf(x);
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference1(r, formula);
}

static void grad(wg_vjp *g)
{
    wg_tensor *x = g->x.t[0], *dy = g->dy.t[0];
    g->dx.t[0] = wg_mul(dy, wg_affine(wg_exp(wg_neg(wg_square(x))), 1.12837916709551257390, 0));
}

static void grad_fused(wg_vjp *g)
{
    wgi_unary_vjp(g, WGI_FORMULA_erf_backward, g->x.t[0], NULL);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, NULL, -2, 2);
}

const wg_op wgi_op_erf = {
    .name = "erf",
    .in = { "x" },
    .out = { "y" },
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

wg_tensor *wg_erf(wg_tensor *x)
{
    return wg_apply(&wgi_op_erf, WG_LIST(x), NULL, NULL);
}
