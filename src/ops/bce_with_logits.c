/* Binary cross-entropy of logits: w (-p t log s(x) - (1 - t) log(1 - s(x))), s(x) = 1 / (1 + e^-x),
 * computed as w (p t softplus(-x) + (1 - t) softplus(x)), which loses nothing in the tails.
 *   logits x: (...) any float, target t: same shape, any dtype; weight w and pos_weight p: any
 *   float, broadcast to x, 1 where NULL -> (): the mean over all elements or the sum; (...) for
 *   WG_NONE; f64 if x or t is, else f32.
 *   gradient: w ((1 - t) s(x) - p t s(-x)) dy into x, w (p softplus(-x) - softplus(x)) dy into
 *   target, none into the weights.
 *   errors: WG_ESHAPE, WG_EDTYPE, WG_EARG for the reduction. */
#include "ops/pointwise_loss.h"

#include <math.h>

static wg_status bce_infer(wg_infer *c)
{
    return wgi_loss_infer(c, "logits");
}

static double value(double x, double t, double w, double p, const wgi_loss_attr *a)
{
    (void)a;
    return w * (p * t * log1p(exp(-x)) + (1 - t) * (x + log1p(exp(-x))));
}

static wg_status bce_reference(const wg_run *r)
{
    return wgi_loss_reference(r, value);
}

static void bce_composite(void *self, wg_list in, wg_list out)
{
    wg_tensor *x = wgi_loss_operand(in, 0), *t = wgi_loss_operand(in, 1);
    wg_tensor *weight = in.n > 2 ? in.t[2] : NULL, *p = in.n > 3 ? in.t[3] : NULL;
    const wg_dtype real = wg_dtype_of(x);
    wg_tensor *yes = wg_mul(t, wg_softplus(wg_neg(x)));
    if (p) yes = wg_mul(yes, wg_cast(p, real));
    wg_tensor *y = wg_add(yes, wg_mul(wg_affine(t, -1, 1), wg_softplus(x)));
    if (weight) y = wg_mul(y, wg_cast(weight, real));
    out.t[0] = wgi_loss_reduced(y, self);
}

static void bce_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 4, 3)), *t = wg_rand(WG_DIMS(2, 4, 3)), *no = NULL;
    wg_tensor *p = wg_affine(wg_rand(WG_DIMS(3)), 1, 0.5),
              *w = wg_affine(wg_rand(WG_DIMS(4, 1)), 1, 0.5);
    const char *label[] = { "mean", "sum", "none" };
    for (int k = WG_MEAN; k <= WG_NONE; k++) {
        const wgi_loss_attr a = wgi_loss_of(WGI_BCE, (wg_reduction)k, 0);
        wg_sample(s, label[k], WG_LIST(x, t, no, no), &a);
        wg_sample(s, "weights", WG_LIST(x, t, w, p), &a);
        wg_sample(s, "positive weight", WG_LIST(x, t, no, p), &a);
    }
    const wgi_loss_attr a = wgi_loss_of(WGI_BCE, WG_MEAN, 0);
    wg_sample(s, "tails", WG_LIST(wg_affine(x, 20, 0), wg_gt(t, wg_scalar(0.5)), no, no), &a);
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS()), wg_rand(WG_DIMS()), no, no), &a);
    wg_sample_error(s, "weight", WG_LIST(x, t, wg_ones(WG_DIMS(5, 2, 4, 3)), no), &a, WG_ESHAPE,
                    "bce_with_logits: weight does not broadcast to the logits");
    wgi_loss_errors(s, "bce_with_logits", "logits should be floating, is i64", a);
}

const wg_op wgi_op_bce_with_logits = {
    .name = "bce_with_logits",
    .in = { "logits", "target", "weight?", "pos_weight?" },
    .out = { "loss" },
    .attr_size = sizeof(wgi_loss_attr),
    .flags = WG_OP_FULL,
    .saves = WG_IN(0) | WG_IN(1) | WG_IN(2) | WG_IN(3),
    .no_grad = WG_IN(2) | WG_IN(3),
    .infer = bce_infer,
    .cpu = wgi_loss_cpu,
    .cuda = wgi_loss_cuda,
    .reference = bce_reference,
    .composite = bce_composite,
    .grad_fused = wgi_loss_grad_fused,
    .samples = bce_samples,
};

wg_tensor *wg_bce_with_logits_call(wg_bce_with_logits_args a)
{
    const wgi_loss_attr attr = wgi_loss_of(WGI_BCE, a.reduction, 0);
    return wg_apply(&wgi_op_bce_with_logits, WG_LIST(a.logits, a.target, a.weight, a.pos_weight),
                    &attr, NULL);
}
