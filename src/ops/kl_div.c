/* Kullback-Leibler divergence, element by element: t (log t - x), 0 where t = 0; e^t (t - x) with log_target.
 *   log_probs x: (...) any float, target t: same shape -> (): the mean over all elements (PyTorch's "mean": divide a sum
 *   by the batch for the mathematical value) or the sum; (...) for WG_NONE; f64 if an operand is, else f32.
 *   gradient: -t dy into x, (log t + 1 - x) dy into target (0 where t = 0); with log_target -e^t dy and
 *   e^t (t - x + 1) dy.   errors: WG_ESHAPE if the shapes differ, WG_EDTYPE, WG_EARG for the reduction. */
#include "ops/pointwise_loss.h"

#include <math.h>

static wg_status kl_div_infer(wg_infer *c)
{
    return wgi_loss_infer(c, "log_probs");
}

static double value(double x, double t, double w, double p, const wgi_loss_attr *a)
{
    (void)w, (void)p;
    if (a->kind == WGI_KL_LOG) return exp(t) * (t - x);
    return t == 0 ? 0 : t * (log(t) - x);
}

static wg_status kl_div_reference(const wg_run *r)
{
    return wgi_loss_reference(r, value);
}

static void kl_div_composite(void *self, wg_list in, wg_list out)
{
    const wgi_loss_attr *a = self;
    wg_tensor *x = wgi_loss_operand(in, 0), *t = wgi_loss_operand(in, 1), *y;
    if (a->kind == WGI_KL_LOG) {
        y = wg_mul(wg_exp(t), wg_sub(t, x));
    } else {
        wg_tensor *zero = wg_eq(t, wg_scalar(0)), *safe = wg_masked_fill(t, zero, 1);
        y = wg_masked_fill(wg_mul(t, wg_sub(wg_log(safe), x)), zero, 0);
    }
    out.t[0] = wgi_loss_reduced(y, a);
}

static void kl_div_samples(wg_samples *s)
{
    wg_tensor *x = wg_log_softmax(wg_randn(WG_DIMS(2, 4, 3)), -1),
              *t = wg_softmax(wg_randn(WG_DIMS(2, 4, 3)), -1);
    const char *label[] = { "mean", "sum", "none" };
    for (int k = WG_MEAN; k <= WG_NONE; k++) {
        const wgi_loss_attr a = wgi_loss_of(WGI_KL, (wg_reduction)k, 0);
        const wgi_loss_attr b = wgi_loss_of(WGI_KL_LOG, (wg_reduction)k, 0);
        wg_sample(s, label[k], WG_LIST(x, t), &a);
        wg_sample(s, "logarithms", WG_LIST(x, wg_log(t)), &b);
    }
    const wgi_loss_attr a = wgi_loss_of(WGI_KL, WG_MEAN, 0);
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS()), wg_full(WG_DIMS(), 0.3)), &a);
    wg_sample(s, "integer target", WG_LIST(wg_randn(WG_DIMS(4)), wg_arange(0, 4)), &a);
    wgi_loss_errors(s, "kl_div", "log_probs should be floating, is i64", a);
}

const wg_op wgi_op_kl_div = {
    .name = "kl_div",
    .in = { "log_probs", "target" },
    .out = { "loss" },
    .attr_size = sizeof(wgi_loss_attr),
    .flags = WG_OP_FULL,
    .saves = WG_IN(0) | WG_IN(1),
    .infer = kl_div_infer,
    .cpu = wgi_loss_cpu,
    .cuda = wgi_loss_cuda,
    .reference = kl_div_reference,
    .composite = kl_div_composite,
    .grad_fused = wgi_loss_grad_fused,
    .samples = kl_div_samples,
};

wg_tensor *wg_kl_div_call(wg_kl_div_args a)
{
    const wgi_loss_attr attr = wgi_loss_of(a.log_target ? WGI_KL_LOG : WGI_KL, a.reduction, 0);
    return wg_apply(&wgi_op_kl_div, WG_LIST(a.log_probs, a.target), &attr, NULL);
}
