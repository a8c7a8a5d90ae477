/* y = log(1 + e^x) = max(x, 0) + log1p(e^-|x|), which neither overflows nor loses the tail. dx =
 * dy sigmoid(x); saves x. */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    return wgi_run_formula(r, WGI_FORMULA_softplus, NULL);
}

static double formula(double x)
{
    return log1p(exp(x));
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference1(r, formula);
}

static void grad(wg_vjp *g)
{
    wg_tensor *x = g->x.t[0], *dy = g->dy.t[0];
    g->dx.t[0] = wg_mul(dy, wg_sigmoid(x));
}

static void grad_fused(wg_vjp *g)
{
    wgi_unary_vjp(g, WGI_FORMULA_softplus_backward, g->x.t[0], NULL);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, NULL, -4, 4);
}

const wg_op wgi_op_softplus = {
    .name = "softplus",
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

wg_tensor *wg_softplus(wg_tensor *x)
{
    return wg_apply(&wgi_op_softplus, WG_LIST(x), NULL, NULL);
}
