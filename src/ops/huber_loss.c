/* Huber's loss of d = x - t: d^2 / 2 for |d| <= delta, else delta (|d| - delta / 2).
 *   x: (...) any float, target: same shape, any dtype (integers as numbers); delta > 0, 1 unless given
 *   -> (): the mean or the sum; (...) for WG_NONE; f64 if an operand is, else f32.
 *   gradient: clamp(d, -delta, delta) dy into x, its negative into target.
 *   errors: WG_ESHAPE if the shapes differ (nothing is broadcast), WG_EDTYPE, WG_EARG for delta and the reduction.
 *   source: Huber, "Robust estimation of a location parameter", 1964; as PyTorch's huber_loss. */
#include "ops/pointwise_loss.h"

#include <math.h>

static wg_status huber_loss_infer(wg_infer *c)
{
    const wgi_loss_attr *a = c->attr;
    if (!(a->delta > 0)) return wg_raise(WG_EARG, "delta %g is not positive", a->delta);
    return wgi_loss_infer(c, "x");
}

static double value(double x, double t, double w, double p, const wgi_loss_attr *a)
{
    (void)w, (void)p;
    const double d = fabs(x - t);
    return d <= a->delta ? d * d / 2 : a->delta * (d - a->delta / 2);
}

static wg_status huber_loss_reference(const wg_run *r)
{
    return wgi_loss_reference(r, value);
}

/* With c = clamp(d, -delta, delta): c (d - c / 2), whose derivative is c. */
static void huber_loss_composite(void *self, wg_list in, wg_list out)
{
    const wgi_loss_attr *a = self;
    wg_tensor *d = wg_sub(wgi_loss_operand(in, 0), wgi_loss_operand(in, 1)),
              *c = wg_clamp(d, -a->delta, a->delta);
    out.t[0] = wgi_loss_reduced(wg_mul(c, wg_sub(d, wg_affine(c, 0.5, 0))), a);
}

static void huber_loss_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 4, 3)), *t = wg_randn(WG_DIMS(2, 4, 3));
    const char *label[] = { "mean", "sum", "none" };
    for (int k = WG_MEAN; k <= WG_NONE; k++) {
        const wgi_loss_attr a = wgi_loss_of(WGI_HUBER, (wg_reduction)k, 0.7);
        wg_sample(s, label[k], WG_LIST(x, t), &a);
    }
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS()), wg_full(WG_DIMS(), 5)),
              &(wgi_loss_attr) { .kind = WGI_HUBER, .delta = 1 });
    wg_sample_error(s, "delta", WG_LIST(x, t), &(wgi_loss_attr) { .kind = WGI_HUBER, .delta = -1 },
                    WG_EARG, "huber_loss: delta -1 is not positive");
    wgi_loss_errors(s, "huber_loss", "x should be floating, is i64",
                    wgi_loss_of(WGI_HUBER, WG_MEAN, 1));
}

const wg_op wgi_op_huber_loss = {
    .name = "huber_loss",
    .in = { "x", "target" },
    .out = { "loss" },
    .attr_size = sizeof(wgi_loss_attr),
    .flags = WG_OP_FULL,
    .saves = WG_IN(0) | WG_IN(1),
    .infer = huber_loss_infer,
    .cpu = wgi_loss_cpu,
    .cuda = wgi_loss_cuda,
    .reference = huber_loss_reference,
    .composite = huber_loss_composite,
    .grad_fused = wgi_loss_grad_fused,
    .samples = huber_loss_samples,
};

wg_tensor *wg_huber_loss_call(wg_huber_loss_args a)
{
    const wgi_loss_attr attr = wgi_loss_of(WGI_HUBER, a.reduction, a.delta == 0 ? 1 : a.delta);
    return wg_apply(&wgi_op_huber_loss, WG_LIST(a.x, a.target), &attr, NULL);
}
