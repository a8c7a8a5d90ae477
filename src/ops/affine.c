/* y = a x + b, computed in x's dtype (integers: the current dtype). dx = a dy, dy itself where a is 1. */
#include "ops/elementwise.h"

typedef struct {
    double a, b;
} affine;

static wg_status run(const wg_run *r)
{
    const affine *c = r->attr;
    const wgi_numbers p = { .a = c->a, .b = c->b };
    return wgi_run_formula(r, WGI_FORMULA_affine, &p);
}

static wg_status reference(const wg_run *r)
{
    const affine *c = r->attr;
    const double *x = wg_run_in(r, 0);
    double *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++) y[i] = c->a * x[i] + c->b;
    return WG_OK;
}

static void grad(wg_vjp *g)
{
    const affine *c = g->attr;
    const affine scale = { c->a, 0 };
    if (c->a == 1) {
        g->dx.t[0] = g->dy.t[0];
        return;
    }
    wg_vjp_apply(g, (const int[]) { 0 }, &wgi_op_affine, WG_LIST(g->dy.t[0]), &scale);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, &(const affine) { -1.5, 0.25 }, -3, 3);
    wg_sample(s, "shifted", WG_LIST(wg_randn(WG_DIMS(2, 3))), &(const affine) { 1, -0.5 });
    wg_sample(s, "constant", WG_LIST(wg_randn(WG_DIMS(3))), &(const affine) { 0, 2 });
}

const wg_op wgi_op_affine = {
    .name = "affine",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(affine),
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE,
    .infer = wgi_infer_float,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_affine(wg_tensor *x, double a, double b)
{
    return wg_apply(&wgi_op_affine, WG_LIST(x), &(const affine) { a, b }, NULL);
}
