/* dx = formula(saved, dy): the gradient of a unary elementwise op in one pass. Internal; it has
 * no gradient of its own, the ops' `grad` rules serve higher orders. attr: wgi_unary_backward. */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    const wgi_unary_backward *a = r->attr;
    return wgi_run_formula(r, (wgi_formula)a->formula, &a->numbers);
}

/* silu's: the samples' one formula; every op's own rule holds its formula against the rule by ops. */
static double silu_backward(double x, double dy)
{
    const double s = 1 / (1 + exp(-x));
    return dy * s * (1 + x * (1 - s));
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference2(r, silu_backward);
}

static void samples(wg_samples *s)
{
    const wgi_unary_backward a = { .formula = WGI_FORMULA_silu_backward };
    wg_sample(s, "1-d", WG_LIST(wg_randn(WG_DIMS(7)), wg_randn(WG_DIMS(7))), &a);
    wg_sample(s, "3-d", WG_LIST(wg_randn(WG_DIMS(2, 3, 4)), wg_randn(WG_DIMS(2, 3, 4))), &a);
    wg_sample_error(s, "shapes", WG_LIST(wg_randn(WG_DIMS(7)), wg_randn(WG_DIMS(6))), &a, WG_ESHAPE,
                    "unary_backward: shapes do not broadcast");
}

const wg_op wgi_op_unary_backward = {
    .name = "unary_backward",
    .in = { "saved", "dy" },
    .out = { "dx" },
    .attr_size = sizeof(wgi_unary_backward),
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE | WG_OP_GRAD_NONE,
    .infer = wgi_infer_binary,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .samples = samples,
};
