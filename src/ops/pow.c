/* z = x^y, broadcast and promoted; C's pow. Integers: wrapping products, a negative power is the
 * reciprocal cut to an integer. The gradients are dz y x^(y-1) (0 where y = 0) and dz x^y log x
 * (0 where x = 0 and y >= 0). */
#include "ops/elementwise.h"

static wg_status run(const wg_run *r)
{
    return wgi_run_formula(r, WGI_FORMULA_pow, NULL);
}

static double formula(double x, double y)
{
    return pow(x, y);
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference2(r, formula);
}

/* A power that is a scalar stays one, on whatever device x lies: a result of scalars alone would be a tensor of the CPU. */
static wg_tensor *slope_of_scalar(wg_tensor *x, double p)
{
    return p == 0 ? wg_zeros_like(x) : wg_mul(wg_pow(x, wg_scalar(p - 1)), wg_scalar(p));
}

static void grad(wg_vjp *g)
{
    wg_tensor *dz = g->dy.t[0], *x = g->x.t[0], *y = g->x.t[1];
    if (g->wants[0] && !wgi_bad(y) && (y->flags & WGI_WEAK)) {
        g->dx.t[0] = wg_mul(dz, slope_of_scalar(x, wg_item(y)));
    } else if (g->wants[0]) {
        wg_tensor *slope = wg_mul(y, wg_pow(x, wg_sub(y, wg_scalar(1))));
        g->dx.t[0] = wg_mul(dz, wg_where(wg_eq(y, wg_scalar(0)), wg_scalar(0), slope));
    }
    if (g->wants[1]) {
        wg_tensor *still = wg_logical_and(wg_eq(x, wg_scalar(0)), wg_ge(y, wg_scalar(0)));
        wg_tensor *slope = wg_mul(wg_pow(x, y), wg_log(x));
        g->dx.t[1] = wg_mul(dz, wg_where(still, wg_scalar(0), slope));
    }
}

static void samples(wg_samples *s)
{
    wgi_binary_samples(s, 1.2, 3, -2, 2);
}

const wg_op wgi_op_pow = {
    .name = "pow",
    .in = { "x", "y" },
    .out = { "z" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE,
    .saves = WG_IN(0) | WG_IN(1),
    .infer = wgi_infer_binary,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_pow(wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_pow, WG_LIST(x, y), NULL, NULL);
}
