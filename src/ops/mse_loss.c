/* Squared error: (x - t)^2.
 *   x: (...) any float, target: same shape, any dtype (integers as numbers) -> (): the mean or the sum; (...) for WG_NONE;
 *   f64 if an operand is, else f32.   gradient: 2 (x - t) dy into x, its negative into target.
 *   errors: WG_ESHAPE if the shapes differ (nothing is broadcast), WG_EDTYPE, WG_EARG for the reduction. */
#include "ops/pointwise_loss.h"

static wg_status mse_loss_infer(wg_infer *c)
{
    return wgi_loss_infer(c, "x");
}

static double value(double x, double t, double w, double p, const wgi_loss_attr *a)
{
    (void)w, (void)p, (void)a;
    return (x - t) * (x - t);
}

static wg_status mse_loss_reference(const wg_run *r)
{
    return wgi_loss_reference(r, value);
}

static void mse_loss_composite(void *self, wg_list in, wg_list out)
{
    out.t[0] =
        wgi_loss_reduced(wg_square(wg_sub(wgi_loss_operand(in, 0), wgi_loss_operand(in, 1))), self);
}

static void mse_loss_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 4, 3)), *t = wg_randn(WG_DIMS(2, 4, 3));
    const char *label[] = { "mean", "sum", "none" };
    for (int k = WG_MEAN; k <= WG_NONE; k++) {
        const wgi_loss_attr a = wgi_loss_of(WGI_MSE, (wg_reduction)k, 0);
        wg_sample(s, label[k], WG_LIST(x, t), &a);
        wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS()), wg_randn(WG_DIMS())), &a);
    }
    wg_sample(s, "integer target", WG_LIST(wg_randn(WG_DIMS(4)), wg_arange(0, 4)),
              &(wgi_loss_attr) { .kind = WGI_MSE });
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(0, 3)), wg_zeros(WG_DIMS(0, 3))),
              &(wgi_loss_attr) { .kind = WGI_MSE, .reduction = WG_SUM });
    wgi_loss_errors(s, "mse_loss", "x should be floating, is i64",
                    wgi_loss_of(WGI_MSE, WG_MEAN, 0));
}

const wg_op wgi_op_mse_loss = {
    .name = "mse_loss",
    .in = { "x", "target" },
    .out = { "loss" },
    .attr_size = sizeof(wgi_loss_attr),
    .flags = WG_OP_FULL,
    .saves = WG_IN(0) | WG_IN(1),
    .infer = mse_loss_infer,
    .cpu = wgi_loss_cpu,
    .cuda = wgi_loss_cuda,
    .reference = mse_loss_reference,
    .composite = mse_loss_composite,
    .grad_fused = wgi_loss_grad_fused,
    .samples = mse_loss_samples,
};

wg_tensor *wg_mse_loss_call(wg_mse_loss_args a)
{
    const wgi_loss_attr attr = wgi_loss_of(WGI_MSE, a.reduction, 0);
    return wg_apply(&wgi_op_mse_loss, WG_LIST(a.x, a.target), &attr, NULL);
}
