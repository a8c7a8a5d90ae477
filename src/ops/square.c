/* y = x^2. Numbers of any dtype. dx = 2 x dy; saves x. */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    return wgi_run_formula(r, WGI_FORMULA_square, NULL);
}

static double formula(double x)
{
    return x * x;
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference1(r, formula);
}

static void grad(wg_vjp *g)
{
    wg_tensor *x = g->x.t[0], *dy = g->dy.t[0];
    g->dx.t[0] = wg_mul(wg_affine(x, 2, 0), dy);
}

static void grad_fused(wg_vjp *g)
{
    wgi_unary_vjp(g, WGI_FORMULA_square_backward, g->x.t[0], NULL);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, NULL, -3, 3);
}

const wg_op wgi_op_square = {
    .name = "square",
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

wg_tensor *wg_square(wg_tensor *x)
{
    return wg_apply(&wgi_op_square, WG_LIST(x), NULL, NULL);
}
