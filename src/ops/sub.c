/* z = x - y, broadcast and promoted; not of bools. The gradients are dz and -dz. */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    return wgi_run_formula(r, WGI_FORMULA_sub, NULL);
}

static double formula(double x, double y)
{
    return x - y;
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference2(r, formula);
}

static wg_status infer(wg_infer *c)
{
    wg_status s = wgi_infer_binary(c);
    if (s == WG_OK && c->out[0].dtype == WG_BOOL)
        return wg_raise(WG_EDTYPE, "bool has no difference");
    return s;
}

static void grad(wg_vjp *g)
{
    wg_tensor *dz = g->dy.t[0];
    if (g->wants[0]) g->dx.t[0] = dz;
    if (g->wants[1]) g->dx.t[1] = wg_neg(dz);
}

static void samples(wg_samples *s)
{
    wgi_binary_samples(s, -3, 3, -3, 3);
}

const wg_op wgi_op_sub = {
    .name = "sub",
    .in = { "x", "y" },
    .out = { "z" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE | WG_OP_KEEP_STREAM,
    .infer = infer,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_sub(wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_sub, WG_LIST(x, y), NULL, NULL);
}
