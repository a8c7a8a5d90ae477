/* dx = formula(saved, dy): the gradient of a unary elementwise op in one pass. Internal; it has
 * no gradient of its own, the ops' `grad` rules serve higher orders. attr: wgi_unary_backward. */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    const wgi_unary_backward *a = r->attr;
    return wgi_run_formula(r, (wgi_formula)a->formula, &a->numbers);
}

const wg_op wgi_op_unary_backward = {
    .name = "unary_backward",
    .in = { "saved", "dy" },
    .out = { "dx" },
    .attr_size = sizeof(wgi_unary_backward),
    .flags = WG_OP_ACCUMULATE | WG_OP_GRAD_NONE,
    .infer = wgi_infer_binary,
    .cpu = run,
};
