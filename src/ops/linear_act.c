/* y = act(h), h = x w^T + bias: a linear layer and its activation, applied while a tile of the product is in cache (CPU) or
 * in the product's epilogue (CUDA).
 *   x: (.., in), w: (out, in), bias: (out) or absent -> y: (.., out), floating; dtypes and w in blocks as in linear. y is
 *   made of h as it would be stored: the bits of linear and the activation after it (on CUDA within h's rounding).
 *   gradient: dh = dy act'(h), then as linear's. A linear layer that y goes into gives dh itself, in one op with its own
 *   gradient (linear_act_backward.c): it comes as h's cotangent then. Saves h, and x and w as linear does.
 *   errors: as linear; WG_EDTYPE if nothing is floating; WG_EARG for another activation.
 *   source: linear.c, gelu.c, relu.c, silu.c. */
#include "cpu/quant_linear.h"
#include "cuda/cuda.h"
#include "ops/activation.h"
#include "ops/elementwise.h"
#include "ops/product_op.h"

static wg_activation act_of(const void *attr)
{
    return ((const wgi_linear_act *)attr)->act;
}

static wg_status infer(wg_infer *c)
{
    wg_status s = wgi_expect_activation(act_of(c->attr));
    if (s == WG_OK) s = wgi_op_linear.infer(c);
    if (s != WG_OK) return s;
    if (!wgi_is_float(c->out[0].dtype)) return wg_raise(WG_EDTYPE, "no operand is floating");
    for (int j = 1; j < c->n_out; j++) c->out[j] = c->out[0];
    return WG_OK;
}

/* Products that are not made in tiles. */
typedef struct {
    wgi_gemm_act *act;
    const wgi_gemm_args *g;
    int64_t width;
} whole;

static void activate_rows(void *self, int64_t first, int64_t last)
{
    const whole *w = self;
    wgi_gemm_activate(w->act, w->g, first * w->width, last - first, w->width);
}

static wg_status run(const wg_run *r)
{
    const wg_tensor *w = r->in.t[1], *y = r->out.t[0],
                    *h = r->out.n > 1 && r->out.t[1] ? r->out.t[1] : y;
    wgi_gemm_args g = wgi_linear_args(r, h);
    wgi_gemm_act act = { .formula = wgi_activation_formula(act_of(r->attr)), .to = wgi_data(y) };
    if (y->device.kind == WG_CUDA) return wgi_cuda_gemm_act(r, &g, act_of(r->attr), h);
    if (!wgi_in_blocks(w->dtype)) {
        g.made = wgi_gemm_activate;
        g.made_self = &act;
        return wgi_gemm(&g);
    }
    wg_status s = wgi_quant_product(&g);
    if (s != WG_OK || y->numel == 0) return s;
    const int64_t width = w->shape[0];
    wgi_gemm_args rows = { .c = { wgi_data(h), (wg_dtype)h->dtype, width, 1, { 0 } } };
    wgi_parallel_for(y->numel / width, WGI_GRAIN / 4 / width + 1, activate_rows,
                     &(whole) { &act, &rows, width });
    return WG_OK;
}

/* h's cotangent: what came through y, and what came to h itself. */
static wg_tensor *sum_of(wg_tensor *a, wg_tensor *b)
{
    return !a ? b : !b ? a : wg_add(a, b);
}

static void grad(wg_vjp *g)
{
    wg_tensor *dy = g->dy.t[0];
    if (dy) dy = wgi_activation_grad(act_of(g->attr), g->y.t[1], dy);
    wgi_linear_vjp(g, sum_of(dy, g->dy.t[1]), false);
}

static void grad_fused(wg_vjp *g)
{
    wg_tensor *dy = g->dy.t[0];
    wgi_unary_backward a;
    memset(&a, 0, sizeof a);
    a.formula = (int)wgi_activation_backward(act_of(g->attr));
    if (dy) dy = wg_apply(&wgi_op_unary_backward, WG_LIST(g->y.t[1], dy), &a, NULL);
    wgi_linear_vjp(g, sum_of(dy, g->dy.t[1]), true);
}

static double flops(const wg_infer *c)
{
    return wgi_op_linear.flops(c) + (double)wgi_numel(&c->out[0].shape); /* as the two ops' */
}

static wg_status reference(const wg_run *r)
{
    double *y = wg_run_out(r, 0), *h = wg_run_out(r, 1);
    wg_status s = wgi_op_linear.reference(r);
    for (int64_t e = 0; s == WG_OK && e < r->out.t[0]->numel; e++) {
        if (h) h[e] = y[e];
        y[e] = wgi_activation_f64(act_of(r->attr), y[e]);
    }
    return s;
}

static void samples(wg_samples *s)
{
    static const char *const names[] = { "gelu", "gelu tanh", "relu", "silu" };
    wg_tensor *w = wg_affine(wg_randn(WG_DIMS(4, 3)), 0.5, 0), *bias = wg_randn(WG_DIMS(4)),
              *x = wg_randn(WG_DIMS(2, 2, 3));
    for (int act = 0; act < 4; act++) {
        const wgi_linear_act a = { (wg_activation)act };
        wg_tensor *away =
            act == WG_ACT_RELU ? wg_full(WG_DIMS(4), 12) : bias; /* from relu's kink */
        wg_sample(s, names[act], WG_LIST(x, w, away), &a);
    }
    const wgi_linear_act a = { WG_ACT_GELU_TANH }, none = { (wg_activation)4 };
    wg_sample(s, "no bias", WG_LIST(x, w, NULL), &a);
    wg_sample(s, "vector", WG_LIST(wg_randn(WG_DIMS(3)), w, bias), &a);
    wg_sample(s, "no rows", WG_LIST(wg_zeros(WG_DIMS(2, 0, 3)), w, bias), &a);
    wg_sample(s, "empty sums", WG_LIST(wg_zeros(WG_DIMS(2, 0)), wg_zeros(WG_DIMS(4, 0)), bias), &a);
    wg_sample(s, "wide",
              WG_LIST(wg_randn(WG_DIMS(3, 8)), wg_randn(WG_DIMS(16, 8)), wg_randn(WG_DIMS(16))),
              &a);
    wg_tensor *blocks = wg_cast(wg_randn(WG_DIMS(5, 96)), WG_Q8_0);
    wg_sample(s, "q8_0, many rows", /* few would be rounded to 8 bits, and so would h */
              WG_LIST(wg_randn(WG_DIMS(2, 20, 96)), blocks, wg_randn(WG_DIMS(5))), &a);
    wg_sample(s, "blocks, no rows", WG_LIST(wg_zeros(WG_DIMS(0, 96)), blocks, NULL), &a);
    wg_sample_error(s, "sizes", WG_LIST(bias, w, NULL), &a, WG_ESHAPE,
                    "linear_act: x's last size is 4, w takes 3");
    wg_sample_error(s, "bias", WG_LIST(x, w, wg_randn(WG_DIMS(3))), &a, WG_ESHAPE,
                    "linear_act: bias should be (4)");
    wg_sample_error(s, "integers", WG_LIST(wg_arange(0, 3), wg_cast(w, WG_I64), NULL), &a,
                    WG_EDTYPE, "linear_act: no operand is floating");
    wg_sample_error(s, "activation", WG_LIST(x, w, bias), &none, WG_EARG,
                    "linear_act: activation 4 is none of wg_activation");
}

const wg_op wgi_op_linear_act = {
    .name = "linear_act",
    .in = { "x", "w", "bias?" },
    .out = { "y", "h" },
    .attr_size = sizeof(wgi_linear_act),
    .flags = WG_OP_LOW | WG_OP_BLOCKS,
    .saves = WG_IN(0) | WG_IN(1) | WG_OUT(1),
    .hidden = WG_OUT(1),
    .needed_by = { WG_IN(1), WG_IN(0) },
    .infer = infer,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .grad_fused = grad_fused,
    .flops = flops,
    .samples = samples,
};

wg_tensor *wg_linear_act(wg_tensor *x, wg_tensor *w, wg_tensor *bias, wg_activation act)
{
    wgi_linear_act a;
    memset(&a, 0, sizeof a);
    a.act = act;
    return wg_apply(&wgi_op_linear_act, WG_LIST(x, w, bias), &a, NULL);
}
