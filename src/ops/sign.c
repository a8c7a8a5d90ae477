/* y = -1, 0, 1 by the sign of x (0 for NaN, as in PyTorch). Numbers of any dtype. Its gradient
 * is zero. */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    return wgi_run_formula(r, WGI_FORMULA_sign, NULL);
}

static double formula(double x)
{
    return x > 0 ? 1 : x < 0 ? -1 : 0;
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference1(r, formula);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, NULL, 0.1, 3);
}

const wg_op wgi_op_sign = {
    .name = "sign",
    .in = { "x" },
    .out = { "y" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE | WG_OP_GRAD_ZERO,
    .infer = wgi_infer_number,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .samples = samples,
};

wg_tensor *wg_sign(wg_tensor *x)
{
    return wg_apply(&wgi_op_sign, WG_LIST(x), NULL, NULL);
}
