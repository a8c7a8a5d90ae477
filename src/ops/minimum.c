/* z = the smaller of x and y, broadcast and promoted; NaN if either is. dz goes to the one
 * taken, and half to each at a tie. */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    return wgi_run_formula(r, WGI_FORMULA_minimum, NULL);
}

static double formula(double x, double y)
{
    return x < y ? x : y;
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference2(r, formula);
}

static void grad(wg_vjp *g)
{
    wg_tensor *dz = g->dy.t[0], *x = g->x.t[0], *y = g->x.t[1];
    wg_tensor *half = wg_where(wg_eq(x, y), wg_affine(dz, 0.5, 0), wg_scalar(0));
    if (g->wants[0]) g->dx.t[0] = wg_where(wg_lt(x, y), dz, half);
    if (g->wants[1]) g->dx.t[1] = wg_where(wg_lt(y, x), dz, half);
}

static void samples(wg_samples *s)
{
    wgi_binary_samples(s, -3, 3, -3, 3);
}

const wg_op wgi_op_minimum = {
    .name = "minimum",
    .in = { "x", "y" },
    .out = { "z" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE | WG_OP_KEEP_STREAM,
    .saves = WG_IN(0) | WG_IN(1),
    .infer = wgi_infer_binary,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_minimum(wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_minimum, WG_LIST(x, y), NULL, NULL);
}
