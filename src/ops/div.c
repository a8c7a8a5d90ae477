/* z = x / y, broadcast and promoted; integers give the current float dtype, as in PyTorch. The
 * gradients are dz / y and -(dz / y) (x / y). */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    return wgi_run_formula(r, WGI_FORMULA_div, NULL);
}

static double formula(double x, double y)
{
    return x / y;
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference2(r, formula);
}

static void grad(wg_vjp *g)
{
    wg_tensor *dz = g->dy.t[0], *x = g->x.t[0], *y = g->x.t[1];
    if (g->wants[0]) wg_vjp_apply(g, (const int[]) { 0 }, &wgi_op_div, WG_LIST(dz, y), NULL);
    if (g->wants[1]) g->dx.t[1] = wg_neg(wg_mul(wg_div(dz, y), wg_div(x, y)));
}

static void samples(wg_samples *s)
{
    wgi_binary_samples(s, -3, 3, 0.3, 3);
}

const wg_op wgi_op_div = {
    .name = "div",
    .in = { "x", "y" },
    .out = { "z" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE | WG_OP_KEEP_STREAM,
    .saves = WG_IN(0) | WG_IN(1),
    .needed_by = { WG_IN(1), 0 },
    .infer = wgi_infer_float_binary,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_div(wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_div, WG_LIST(x, y), NULL, NULL);
}
