/* RMS norm over the last axis: y = x / sqrt(mean(x^2) + eps) weight.
 *   x: (..., C) any float; weight: (C) any float or NULL -> y: shape and dtype of x, whatever the weight's (16-bit x is
 *   computed in f32); eps 1e-5 unless given (PyTorch's default is the dtype's epsilon).
 *   gradient: see norm_backward.c; into x and weight; saves the operands, and 1 / sqrt(mean(x^2) + eps) of the rows.
 *   errors: WG_ESHAPE for 0-d x and for the weight, WG_EDTYPE, WG_EARG for a negative eps.
 *   source: Zhang & Sennrich, arXiv:1910.07467. */
#include "ops/norm.h"

static wg_status rms_norm_infer(wg_infer *c)
{
    wg_status s = wgi_norm_check(c, 0, false);
    if (s != WG_OK) return s;
    wg_dims rows = wgi_shape(c->in.t[0]);
    rows.n--;
    wgi_norm_outputs(c, 0, rows);
    return WG_OK;
}

static wg_status rms_norm_reference(const wg_run *r)
{
    const wgi_norm_attr *a = r->attr;
    const wg_tensor *t = r->in.t[0];
    const double *x = wg_run_in(r, 0), *w = wg_run_in(r, 1);
    double *y = wg_run_out(r, 0), *rstd = wg_run_out(r, 1);
    const int64_t n = t->shape[t->ndim - 1];
    for (int64_t i = 0; i < t->numel; i++) {
        const wgi_reference_moments m = wgi_moments(x + i / n * n, n, false, a->eps);
        y[i] = x[i] * m.rstd * (w ? w[i % n] : 1);
        if (rstd) rstd[i / n] = m.rstd;
    }
    return WG_OK;
}

static void rms_norm_composite(void *self, wg_list in, wg_list out)
{
    const wgi_norm_attr *a = self;
    wg_tensor *x = wgi_widened(in.t[0]), *weight = in.n > 1 ? in.t[1] : NULL;
    wg_tensor *y =
        wg_mul(x, wg_rsqrt(wg_affine(wg_mean(wg_square(x), WG_DIMS(-1), WG_KEEPDIM), 1, a->eps)));
    if (weight) y = wg_mul(y, wg_cast(weight, wg_dtype_of(x)));
    out.t[0] = wg_cast(y, wg_dtype_of(in.t[0]));
}

static void rms_norm_grad_fused(wg_vjp *g)
{
    wg_tensor *weight = g->x.n > 1 ? g->x.t[1] : NULL;
    const int to[] = { wgi_wanted(g, 0), weight ? wgi_wanted(g, 1) : -1 };
    wg_vjp_apply(g, to, &wgi_op_norm_backward,
                 WG_LIST(g->dy.t[0], g->x.t[0], weight, NULL, g->y.t[1]), g->attr);
}

static void rms_norm_samples(wg_samples *s)
{
    const wgi_norm_attr a = wgi_norm_of(1e-5, 0, false), large = wgi_norm_of(0.5, 0, false);
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 5)), *w = wg_randn(WG_DIMS(5)), *no = NULL;
    wg_sample(s, "plain", WG_LIST(x, no), &a);
    wg_sample(s, "weight", WG_LIST(x, w), &a);
    wg_sample(s, "large eps", WG_LIST(x, w), &large);
    wg_sample(s, "vector", WG_LIST(wg_randn(WG_DIMS(5)), w), &a);
    wg_sample(s, "no rows", WG_LIST(wg_zeros(WG_DIMS(0, 5)), w), &a);
    wg_sample_error(s, "0-d", WG_LIST(wg_randn(WG_DIMS()), no), &a, WG_ESHAPE,
                    "rms_norm: x should have at least 1");
    wg_sample_error(s, "weight's shape", WG_LIST(x, wg_ones(WG_DIMS(3))), &a, WG_ESHAPE,
                    "rms_norm: weight should be (5), is (3)");
    wg_sample_error(s, "integers", WG_LIST(wg_arange(0, 5), w), &a, WG_EDTYPE,
                    "rms_norm: x should be floating");
}

const wg_op wgi_op_rms_norm = {
    .name = "rms_norm",
    .in = { "x", "weight?" },
    .out = { "y", "rstd" },
    .attr_size = sizeof(wgi_norm_attr),
    .saves = WG_IN(0) | WG_IN(1) | WG_OUT(1),
    .hidden = WG_OUT(1),
    .infer = rms_norm_infer,
    .cpu = wgi_norm_cpu,
    .cuda = wgi_norm_cuda,
    .reference = rms_norm_reference,
    .composite = rms_norm_composite,
    .grad_fused = rms_norm_grad_fused,
    .samples = rms_norm_samples,
};

wg_tensor *wg_rms_norm_call(wg_rms_norm_args a)
{
    const wgi_norm_attr attr = wgi_norm_of(a.eps == 0 ? 1e-5 : a.eps, 0, false);
    return wg_apply(&wgi_op_rms_norm, WG_LIST(a.x, a.weight), &attr, NULL);
}
