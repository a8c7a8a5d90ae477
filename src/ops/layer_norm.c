/* Layer norm over the last axis: y = (x - mean(x)) / sqrt(var(x) + eps) weight + bias, var the mean of squares.
 *   x: (..., C) any float; weight, bias: (C) any float or NULL -> y: shape and dtype of x, whatever the weights' (16-bit x
 *   is computed in f32); eps 1e-5 unless given.
 *   gradient: see norm_backward.c; into x, weight and bias; saves the operands, and mean and 1 / sqrt(var + eps) of the rows.
 *   errors: WG_ESHAPE for 0-d x and for weights, WG_EDTYPE, WG_EARG for a negative eps.
 *   source: Ba, Kiros, Hinton, arXiv:1607.06450. */
#include "ops/norm.h"

static wg_status layer_norm_infer(wg_infer *c)
{
    wg_status s = wgi_norm_check(c, 0, true);
    if (s != WG_OK) return s;
    wg_dims rows = wgi_shape(c->in.t[0]);
    rows.n--;
    wgi_norm_outputs(c, 0, rows);
    return WG_OK;
}

static wg_status layer_norm_reference(const wg_run *r)
{
    const wgi_norm_attr *a = r->attr;
    const wg_tensor *t = r->in.t[0];
    const double *x = wg_run_in(r, 0), *w = wg_run_in(r, 1), *b = wg_run_in(r, 2);
    double *y = wg_run_out(r, 0), *mean = wg_run_out(r, 1), *rstd = wg_run_out(r, 2);
    const int64_t n = t->shape[t->ndim - 1];
    for (int64_t i = 0; i < t->numel; i++) {
        const wgi_reference_moments m = wgi_moments(x + i / n * n, n, true, a->eps);
        y[i] = (x[i] - m.mean) * m.rstd * (w ? w[i % n] : 1) + (b ? b[i % n] : 0);
        if (mean) mean[i / n] = m.mean;
        if (rstd) rstd[i / n] = m.rstd;
    }
    return WG_OK;
}

static void layer_norm_composite(void *self, wg_list in, wg_list out)
{
    const wgi_norm_attr *a = self;
    wg_tensor *x = wgi_widened(in.t[0]), *weight = in.n > 1 ? in.t[1] : NULL,
              *bias = in.n > 2 ? in.t[2] : NULL;
    wg_tensor *gap = wg_sub(x, wg_mean(x, WG_DIMS(-1), WG_KEEPDIM));
    wg_tensor *variance = wg_mean(wg_square(gap), WG_DIMS(-1), WG_KEEPDIM);
    wg_tensor *y = wg_mul(gap, wg_rsqrt(wg_affine(variance, 1, a->eps)));
    if (weight) y = wg_mul(y, wg_cast(weight, wg_dtype_of(x)));
    if (bias) y = wg_add(y, wg_cast(bias, wg_dtype_of(x)));
    out.t[0] = wg_cast(y, wg_dtype_of(in.t[0]));
}

static void layer_norm_grad_fused(wg_vjp *g)
{
    wg_tensor *weight = g->x.n > 1 ? g->x.t[1] : NULL;
    const int to[] = { wgi_wanted(g, 0), weight ? wgi_wanted(g, 1) : -1, wgi_wanted(g, 2) };
    const wg_op *op = to[2] >= 0 ? &wgi_op_layer_norm_backward : &wgi_op_norm_backward;
    wg_vjp_apply(g, to, op, WG_LIST(g->dy.t[0], g->x.t[0], weight, g->y.t[1], g->y.t[2]), g->attr);
}

static void layer_norm_samples(wg_samples *s)
{
    const wgi_norm_attr a = wgi_norm_of(1e-5, 0, true), large = wgi_norm_of(0.5, 0, true),
                        negative = wgi_norm_of(-1, 0, true);
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 5)), *w = wg_randn(WG_DIMS(5)), *b = wg_randn(WG_DIMS(5)),
              *no = NULL;
    wg_sample(s, "plain", WG_LIST(x, no, no), &a);
    wg_sample(s, "weight", WG_LIST(x, w, no), &a);
    wg_sample(s, "bias", WG_LIST(x, no, b), &a);
    wg_sample(s, "both", WG_LIST(x, w, b), &a);
    wg_sample(s, "large eps", WG_LIST(x, w, b), &large);
    wg_sample(s, "far from zero", WG_LIST(wg_affine(x, 1, 3), w, b), &a);
    wg_sample(s, "vector", WG_LIST(wg_randn(WG_DIMS(5)), w, b), &a);
    wg_sample(s, "no rows", WG_LIST(wg_zeros(WG_DIMS(0, 5)), w, b), &a);
    wg_sample_error(s, "0-d", WG_LIST(wg_randn(WG_DIMS()), no, no), &a, WG_ESHAPE,
                    "layer_norm: x should have at least 1");
    wg_sample_error(s, "weight's shape", WG_LIST(x, wg_ones(WG_DIMS(3)), b), &a, WG_ESHAPE,
                    "layer_norm: weight should be (5), is (3)");
    wg_sample_error(s, "bias's shape", WG_LIST(x, w, wg_ones(WG_DIMS(1, 5))), &a, WG_ESHAPE,
                    "layer_norm: bias should be (5), is (1, 5)");
    wg_sample_error(s, "integers", WG_LIST(wg_arange(0, 5), w, b), &a, WG_EDTYPE,
                    "layer_norm: x should be floating");
    wg_sample_error(s, "eps", WG_LIST(x, w, b), &negative, WG_EARG,
                    "layer_norm: eps -1 is negative");
}

const wg_op wgi_op_layer_norm = {
    .name = "layer_norm",
    .in = { "x", "weight?", "bias?" },
    .out = { "y", "mean", "rstd" },
    .attr_size = sizeof(wgi_norm_attr),
    .saves = WG_IN(0) | WG_IN(1) | WG_IN(2) | WG_OUT(1) | WG_OUT(2),
    .hidden = WG_OUT(1) | WG_OUT(2),
    .infer = layer_norm_infer,
    .cpu = wgi_norm_cpu,
    .cuda = wgi_norm_cuda,
    .reference = layer_norm_reference,
    .composite = layer_norm_composite,
    .grad_fused = layer_norm_grad_fused,
    .samples = layer_norm_samples,
};

wg_tensor *wg_layer_norm_call(wg_layer_norm_args a)
{
    const wgi_norm_attr attr = wgi_norm_of(a.eps == 0 ? 1e-5 : a.eps, 0, true);
    return wg_apply(&wgi_op_layer_norm, WG_LIST(a.x, a.weight, a.bias), &attr, NULL);
}
