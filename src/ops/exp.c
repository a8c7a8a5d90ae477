/* y = e^x. dx = dy y; saves y. f32: 1 ulp. */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    return wgi_run_formula(r, WGI_FORMULA_exp, NULL);
}

static double formula(double x)
{
    return exp(x);
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference1(r, formula);
}

static void grad(wg_vjp *g)
{
    wg_tensor *y = g->y.t[0], *dy = g->dy.t[0];
    g->dx.t[0] = wg_mul(dy, y);
}

static void grad_fused(wg_vjp *g)
{
    wgi_unary_vjp(g, WGI_FORMULA_exp_backward, g->y.t[0], NULL);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, NULL, -3, 3);
}

const wg_op wgi_op_exp = {
    .name = "exp",
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

wg_tensor *wg_exp(wg_tensor *x)
{
    return wg_apply(&wgi_op_exp, WG_LIST(x), NULL, NULL);
}
