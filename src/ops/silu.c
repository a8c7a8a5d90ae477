/* y = x sigmoid(x). dx = dy s (1 + x (1 - s)), s = sigmoid(x); saves x.
 * source: Elfwing, Uchibe, Doya, arXiv:1702.03118. */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    return wgi_run_formula(r, WGI_FORMULA_silu, NULL);
}

static double formula(double x)
{
    return x / (1 + exp(-x));
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference1(r, formula);
}

static void grad(wg_vjp *g)
{
    wg_tensor *x = g->x.t[0], *dy = g->dy.t[0];
    wg_tensor *s = wg_sigmoid(x);
    g->dx.t[0] = wg_mul(dy, wg_mul(s, wg_affine(wg_mul(x, wg_affine(s, -1, 1)), 1, 1)));
}

static void grad_fused(wg_vjp *g)
{
    wgi_unary_vjp(g, WGI_FORMULA_silu_backward, g->x.t[0], NULL);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, NULL, -4, 4);
}

const wg_op wgi_op_silu = {
    .name = "silu",
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

wg_tensor *wg_silu(wg_tensor *x)
{
    return wg_apply(&wgi_op_silu, WG_LIST(x), NULL, NULL);
}
