/* z = x y, broadcast and promoted; of bools: and. The gradients are dz y and dz x; saves the
 * factor that the other's gradient needs. */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    return wgi_run_formula(r, WGI_FORMULA_mul, NULL);
}

static double formula(double x, double y)
{
    return x * y;
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference2(r, formula);
}

static void grad(wg_vjp *g)
{
    wg_tensor *dz = g->dy.t[0];
    if (g->wants[0])
        wg_vjp_apply(g, (const int[]) { 0 }, &wgi_op_mul, WG_LIST(dz, g->x.t[1]), NULL);
    if (g->wants[1])
        wg_vjp_apply(g, (const int[]) { 1 }, &wgi_op_mul, WG_LIST(dz, g->x.t[0]), NULL);
}

static void samples(wg_samples *s)
{
    wgi_binary_samples(s, -3, 3, -3, 3);
}

const wg_op wgi_op_mul = {
    .name = "mul",
    .in = { "x", "y" },
    .out = { "z" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE | WG_OP_KEEP_STREAM,
    .saves = WG_IN(0) | WG_IN(1),
    .needed_by = { WG_IN(1), WG_IN(0) },
    .infer = wgi_infer_binary,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_mul(wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_mul, WG_LIST(x, y), NULL, NULL);
}
