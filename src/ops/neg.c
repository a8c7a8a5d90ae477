/* y = -x. Numbers of any dtype; integers wrap around. dx = -dy. */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    return wgi_run_formula(r, WGI_FORMULA_neg, NULL);
}

static double formula(double x)
{
    return -x;
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference1(r, formula);
}

static void grad(wg_vjp *g)
{
    g->dx.t[0] = wg_neg(g->dy.t[0]);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, NULL, -3, 3);
}

const wg_op wgi_op_neg = {
    .name = "neg",
    .in = { "x" },
    .out = { "y" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE,
    .infer = wgi_infer_number,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_neg(wg_tensor *x)
{
    return wg_apply(&wgi_op_neg, WG_LIST(x), NULL, NULL);
}
