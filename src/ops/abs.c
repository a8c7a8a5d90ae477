/* y = |x|. Numbers of any dtype. dx = dy sign(x), 0 at 0; saves x. */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    return wgi_run_formula(r, WGI_FORMULA_abs, NULL);
}

static double formula(double x)
{
    return x < 0 ? -x : x;
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference1(r, formula);
}

static void grad(wg_vjp *g)
{
    wg_tensor *x = g->x.t[0], *dy = g->dy.t[0];
    g->dx.t[0] = wg_mul(dy, wg_sign(x));
}

static void grad_fused(wg_vjp *g)
{
    wgi_unary_vjp(g, WGI_FORMULA_abs_backward, g->x.t[0], NULL);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, NULL, 0.1, 3);
}

const wg_op wgi_op_abs = {
    .name = "abs",
    .in = { "x" },
    .out = { "y" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE,
    .saves = WG_IN(0),
    .infer = wgi_infer_number,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .grad_fused = grad_fused,
    .samples = samples,
};

wg_tensor *wg_abs(wg_tensor *x)
{
    return wg_apply(&wgi_op_abs, WG_LIST(x), NULL, NULL);
}
