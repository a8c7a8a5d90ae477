/* floor_divide: z = floor(x / y).  remainder: z = x - y floor(x / y), with the sign of y.
 * Broadcast and promoted, as in Python. Integers: division by zero raises WG_EARG. Gradients:
 * floor_divide's is zero; remainder's are dz and -dz floor(x / y). */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r, wgi_formula f)
{
    int zero = 0;
    const wgi_numbers p = { .zero_divisor = &zero };
    wg_status s = wgi_run_formula(r, f, &p);
    return s ? s : zero ? wg_raise(WG_EARG, "integer division by zero") : WG_OK;
}

static wg_status run_floor_divide(const wg_run *r)
{
    return run(r, WGI_FORMULA_floor_divide);
}

static wg_status run_remainder(const wg_run *r)
{
    return run(r, WGI_FORMULA_remainder);
}

static double quotient(double x, double y)
{
    return floor(x / y);
}

static double rest(double x, double y)
{
    return x - y * floor(x / y);
}

static wg_status reference_floor_divide(const wg_run *r)
{
    return wgi_reference2(r, quotient);
}

static wg_status reference_remainder(const wg_run *r)
{
    return wgi_reference2(r, rest);
}

static wg_status infer(wg_infer *c)
{
    wg_status s = wgi_infer_binary(c);
    if (s == WG_OK && c->out[0].dtype == WG_BOOL)
        return wg_raise(WG_EDTYPE, "bool has no division");
    return s;
}

static void grad_remainder(wg_vjp *g)
{
    wg_tensor *dz = g->dy.t[0];
    if (g->wants[0]) g->dx.t[0] = dz;
    if (g->wants[1]) g->dx.t[1] = wg_neg(wg_mul(dz, wg_floor_divide(g->x.t[0], g->x.t[1])));
}

static void samples(
    wg_samples *s) /* quotients between 0.1 and 0.9 and their negatives: away from the steps */
{
    wgi_binary_samples(s, 0.3, 0.9, 1, 3);
    wgi_binary_samples(s, 0.3, 0.9, -3, -1);
}

const wg_op wgi_op_floor_divide = {
    .name = "floor_divide",
    .in = { "x", "y" },
    .out = { "z" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE | WG_OP_GRAD_ZERO,
    .infer = infer,
    .cpu = run_floor_divide,
    .cuda = run_floor_divide,
    .reference = reference_floor_divide,
    .samples = samples,
};

const wg_op wgi_op_remainder = {
    .name = "remainder",
    .in = { "x", "y" },
    .out = { "z" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE,
    .saves = WG_IN(0) | WG_IN(1),
    .needed_by = { WG_IN(1), WG_IN(1) },
    .infer = infer,
    .cpu = run_remainder,
    .cuda = run_remainder,
    .reference = reference_remainder,
    .grad = grad_remainder,
    .samples = samples,
};

wg_tensor *wg_floor_divide(wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_floor_divide, WG_LIST(x, y), NULL, NULL);
}

wg_tensor *wg_remainder(wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_remainder, WG_LIST(x, y), NULL, NULL);
}
