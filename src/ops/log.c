/* y = log x (natural): -inf at 0, NaN below. dx = dy / x; saves x. f32: 1 ulp. */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    return wgi_run_formula(r, WGI_FORMULA_log, NULL);
}

static double formula(double x)
{
    return log(x);
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference1(r, formula);
}

static void grad(wg_vjp *g)
{
    wg_tensor *x = g->x.t[0], *dy = g->dy.t[0];
    g->dx.t[0] = wg_div(dy, x);
}

static void grad_fused(wg_vjp *g)
{
    wgi_unary_vjp(g, WGI_FORMULA_log_backward, g->x.t[0], NULL);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, NULL, 0.2, 4);
}

const wg_op wgi_op_log = {
    .name = "log",
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

wg_tensor *wg_log(wg_tensor *x)
{
    return wg_apply(&wgi_op_log, WG_LIST(x), NULL, NULL);
}
