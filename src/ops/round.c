/* y = the nearest integer, halves to even, in x's dtype; integers stay. Its gradient is zero. */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    return wgi_run_formula(r, WGI_FORMULA_round, NULL);
}

static double formula(double x)
{
    return rint(x);
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference1(r, formula);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, NULL, 0.6, 1.4);
}

const wg_op wgi_op_round = {
    .name = "round",
    .in = { "x" },
    .out = { "y" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE | WG_OP_GRAD_ZERO,
    .infer = wgi_infer_number,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .samples = samples,
};

wg_tensor *wg_round(wg_tensor *x)
{
    return wg_apply(&wgi_op_round, WG_LIST(x), NULL, NULL);
}
