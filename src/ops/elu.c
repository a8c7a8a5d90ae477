/* y = x where x > 0, else alpha (e^x - 1). dx = dy, or dy alpha e^x where x <= 0; saves x.
 * source: Clevert, Unterthiner, Hochreiter, arXiv:1511.07289. */
#include "ops/elementwise.h"

typedef struct {
    double alpha;
} elu;

static wg_status run(const wg_run *r)
{
    const wgi_numbers p = { .a = ((const elu *)r->attr)->alpha };
    return wgi_run_formula(r, WGI_FORMULA_elu, &p);
}

static wg_status reference(const wg_run *r)
{
    const double alpha = ((const elu *)r->attr)->alpha, *x = wg_run_in(r, 0);
    double *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++)
        y[i] = x[i] > 0 ? x[i] : alpha * expm1(x[i]);
    return WG_OK;
}

static void grad(wg_vjp *g)
{
    const double alpha = ((const elu *)g->attr)->alpha;
    wg_tensor *x = g->x.t[0], *dy = g->dy.t[0];
    /* e^min(x, 0): the branch that is not taken must not overflow, or its second derivative
     * would be 0 times infinity */
    wg_tensor *below = wg_affine(wg_exp(wg_clamp(x, -INFINITY, 0)), alpha, 0);
    g->dx.t[0] = wg_mul(dy, wg_where(wg_gt(x, wg_scalar(0)), wg_scalar(1), below));
}

static void grad_fused(wg_vjp *g)
{
    const wgi_numbers p = { .a = ((const elu *)g->attr)->alpha };
    wgi_unary_vjp(g, WGI_FORMULA_elu_backward, g->x.t[0], &p);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, &(const elu) { 0.3 }, 0.1, 3);
    wg_sample(s, "negative", WG_LIST(wgi_uniform(WG_DIMS(5), -3, -0.1)), &(const elu) { 1.2 });
}

const wg_op wgi_op_elu = {
    .name = "elu",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(elu),
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE,
    .saves = WG_IN(0),
    .infer = wgi_infer_float,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .grad_fused = grad_fused,
    .samples = samples,
};

wg_tensor *wg_elu(wg_tensor *x, double alpha)
{
    return wg_apply(&wgi_op_elu, WG_LIST(x), &(const elu) { alpha }, NULL);
}
