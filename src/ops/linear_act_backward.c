/* dh = (dy w) act'(h): what flows back through a linear layer w and the activation of linear_act before it, in one op. The
 * activation's gradient meets a tile of the product in cache (CPU), or in the product's epilogue (CUDA).
 *   dy: (.., out), w: (out, in), h: (.., in), floating -> dh: (.., in), the wider dtype of dy and w; the product is rounded
 *   to it before the activation's gradient, as by the separate ops (but not in an epilogue).
 *   gradient: none; linear's rule uses it where no higher derivative is wanted.
 *   errors: WG_ESHAPE if a size differs, WG_EDTYPE, WG_EARG for another activation. */
#include "cuda/cuda.h"
#include "ops/activation.h"
#include "ops/elementwise.h"
#include "ops/network.h"
#include "ops/product_op.h"

static wg_activation act_of(const void *attr)
{
    return ((const wgi_linear_act *)attr)->act;
}

static wg_status infer(wg_infer *c)
{
    const wg_tensor *dy = c->in.t[0], *w = c->in.t[1];
    wg_status s = wgi_expect_activation(act_of(c->attr));
    if (s == WG_OK) s = wgi_expect_float(c, 0, "dy");
    if (s == WG_OK) s = wgi_expect_float(c, 1, "w");
    if (s == WG_OK) s = wgi_expect_float(c, 2, "h");
    if (s != WG_OK) return s;
    if (dy->ndim == 0 || w->ndim != 2 || dy->shape[dy->ndim - 1] != w->shape[0])
        return wg_raise(WG_ESHAPE, "dy must be (.., out) and w (out, in)");
    wg_infer_like(c, 0, dy);
    c->out[0].shape.d[dy->ndim - 1] = w->shape[1];
    c->out[0].dtype = wgi_promote_dtypes((wg_dtype)dy->dtype, (wg_dtype)w->dtype);
    return wg_expect(c, 2, c->out[0].shape);
}

static wgi_gemm_args product_of(const wg_run *r)
{
    const wg_tensor *dy = r->in.t[0], *w = r->in.t[1], *dh = r->out.t[0];
    wg_dims batch = wgi_shape(dy);
    batch.n--;
    wgi_gemm_args g = { .m = 1, /* every row a product, folded into one */
                        .n = w->shape[1],
                        .k = w->shape[0],
                        .a = wgi_matrix_of(dy, false, true),
                        .b = wgi_matrix_of(w, true, true),
                        .c = wgi_matrix_of(dh, false, true),
                        .alpha = 1,
                        .batch_dims = batch.n };
    memcpy(g.batch_shape, batch.d, sizeof g.batch_shape);
    wgi_matrix_batch(&g.a, dy, 1, &batch);
    wgi_matrix_batch(&g.c, dh, 1, &batch);
    wgi_fold_batch(&g);
    return g;
}

static wg_status cpu(const wg_run *r)
{
    const wg_tensor *h = r->in.t[2];
    wgi_gemm_args g = product_of(r);
    wgi_gemm_act act = { .formula = wgi_activation_backward(act_of(r->attr)),
                         .saved_type = (wg_dtype)h->dtype,
                         .to = g.c.data };
    wg_status s = wgi_flat(r, h, act.saved_type, &act.saved);
    g.made = wgi_gemm_activate;
    g.made_self = &act;
    return s == WG_OK ? wgi_gemm(&g) : s;
}

static wg_status cuda(const wg_run *r)
{
    const wgi_gemm_args g = product_of(r);
    return wgi_cuda_gemm_act_backward(r, &g, act_of(r->attr), r->in.t[2]);
}

static double flops(const wg_infer *c)
{
    return (2 * (double)c->in.t[1]->shape[0] + 1) * (double)wgi_numel(&c->out[0].shape);
}

static wg_status reference(const wg_run *r)
{
    const double *dy = wg_run_in(r, 0), *w = wg_run_in(r, 1), *h = wg_run_in(r, 2);
    double *dh = wg_run_out(r, 0);
    const int64_t out = r->in.t[1]->shape[0], in = r->in.t[1]->shape[1];
    for (int64_t e = 0; e < r->out.t[0]->numel; e++) {
        dh[e] = 0;
        for (int64_t o = 0; o < out; o++) dh[e] += dy[e / in * out + o] * w[o * in + e % in];
        dh[e] *= wgi_activation_slope(act_of(r->attr), h[e]);
    }
    return WG_OK;
}

static void samples(wg_samples *s)
{
    static const char *const names[] = { "gelu", "gelu tanh", "relu", "silu" };
    wg_tensor *w = wg_randn(WG_DIMS(4, 3)), *dy = wg_randn(WG_DIMS(2, 2, 4)),
              *h = wg_randn(WG_DIMS(2, 2, 3));
    for (int act = 0; act < 4; act++)
        wg_sample(s, names[act], WG_LIST(dy, w, h), &(wgi_linear_act) { (wg_activation)act });
    const wgi_linear_act a = { WG_ACT_GELU_TANH }, none = { (wg_activation)4 };
    wg_sample(s, "vector", WG_LIST(wg_randn(WG_DIMS(4)), w, wg_randn(WG_DIMS(3))), &a);
    wg_sample(s, "wide",
              WG_LIST(wg_randn(WG_DIMS(3, 8)), wg_randn(WG_DIMS(8, 16)), wg_randn(WG_DIMS(3, 16))),
              &a);
    wg_sample(s, "no rows", WG_LIST(wg_zeros(WG_DIMS(0, 4)), w, wg_zeros(WG_DIMS(0, 3))), &a);
    wg_sample(s, "empty sums",
              WG_LIST(wg_zeros(WG_DIMS(2, 0)), wg_zeros(WG_DIMS(0, 3)), wg_randn(WG_DIMS(2, 3))),
              &a);
    wg_sample_error(s, "sizes", WG_LIST(h, w, h), &a, WG_ESHAPE,
                    "linear_act_backward: dy must be (.., out) and w (out, in)");
    wg_sample_error(s, "h", WG_LIST(dy, w, dy), &a, WG_ESHAPE,
                    "linear_act_backward: h should be (2, 2, 3), is (2, 2, 4)");
    wg_sample_error(s, "integers", WG_LIST(wg_arange(0, 4), w, h), &a, WG_EDTYPE,
                    "linear_act_backward: dy should be floating");
    wg_sample_error(s, "activation", WG_LIST(dy, w, h), &none, WG_EARG,
                    "linear_act_backward: activation 4 is none of wg_activation");
}

const wg_op wgi_op_linear_act_backward = {
    .name = "linear_act_backward",
    .in = { "dy", "w", "h" },
    .out = { "dh" },
    .attr_size = sizeof(wgi_linear_act),
    .flags = WG_OP_GRAD_NONE,
    .infer = infer,
    .cpu = cpu,
    .cuda = cuda,
    .reference = reference,
    .flops = flops,
    .samples = samples,
};
