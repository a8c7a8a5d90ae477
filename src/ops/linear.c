/* y[.., o] = sum_i x[.., i] w[o, i] + bias[o].
 *   x: (.., in), w: (out, in), bias: (out) or absent -> y: (.., out). Any dtype but bool, promoted;
 *   16-bit inputs are summed in f32 and the bias is added before the one rounding (on CUDA some
 *   algorithms round first: docs/cuda.md).
 *   w in blocks: x is floating, y has its dtype. Up to WGI_QUANT_FEW_ROWS rows of x in f32 or 16
 *   bits meet q4_0, q8_0, q4_k, q5_k and q6_k in 8 bits themselves, a scale for 32 (the error:
 *   src/cpu/quant_dot.h); more rows, f64 and other blocks meet the dequantised weights. So a row's
 *   result depends on the number of rows through that threshold alone. On CUDA x stays a float:
 *   src/cuda/cuda.h says in what the weights meet it.
 *   gradient: dx = dy w (w dequantised), dw = dy^T x over all rows, none for blocks, dbias = sum of
 *   the rows of dy; saves x for w's sake and w for x's.
 *   errors: WG_ESHAPE if x has no dimensions, w is no matrix or a size differs; WG_EDTYPE for
 *   bool, and for x that is not floating with w in blocks. */
#include "autograd/rule.h"
#include "cpu/quant_linear.h"
#include "cuda/cuda.h"
#include "ops/activation.h"
#include "ops/product_op.h"

static wg_status only_w_in_blocks(const wg_infer *c)
{
    const wg_tensor *x = c->in.t[0], *bias = c->in.n > 2 ? c->in.t[2] : NULL;
    if (!wgi_is_float(x->dtype) || (bias && !wgi_is_float(bias->dtype)))
        return wg_raise(WG_EDTYPE, "with w in blocks, x and bias are floating");
    return WG_OK;
}

static wg_status infer(wg_infer *c)
{
    if (wgi_in_blocks(c->in.t[0]->dtype)) return wg_raise(WG_EDTYPE, "only w may be in blocks");
    const wg_tensor *x = c->in.t[0], *w = c->in.t[1], *bias = c->in.t[2];
    if (x->ndim == 0) return wg_raise(WG_ESHAPE, "x has no dimensions");
    if (w->ndim != 2) return wg_raise(WG_ESHAPE, "w has %d dimensions, not 2", w->ndim);
    if (x->shape[x->ndim - 1] != w->shape[1])
        return wg_raise(WG_ESHAPE, "x's last size is %lld, w takes %lld",
                        (long long)x->shape[x->ndim - 1], (long long)w->shape[1]);
    wg_infer_like(c, 0, x);
    wg_spec *y = &c->out[0];
    const bool blocks = wgi_in_blocks(w->dtype);
    wg_status s = blocks ? only_w_in_blocks(c) : wgi_product_dtype(x, w, &y->dtype);
    if (s != WG_OK) return s;
    if (bias) {
        if ((s = wg_expect(c, 2, WG_DIMS(w->shape[0]))) != WG_OK) return s;
        if (!blocks) y->dtype = wgi_promote_dtypes(y->dtype, (wg_dtype)bias->dtype);
    }
    y->shape.d[y->shape.n - 1] = w->shape[0];
    return WG_OK;
}

wgi_gemm_args wgi_linear_args(const wg_run *r, const wg_tensor *y)
{
    const wg_tensor *x = r->in.t[0], *w = r->in.t[1], *bias = r->in.t[2];
    wg_dims batch = wgi_shape(x);
    batch.n--;
    wgi_gemm_args g = {
        /* every row a product, folded into one */
        .m = 1,
        .n = w->shape[0],
        .k = w->shape[1],
        .a = wgi_matrix_of(x, false, true),
        .b = { wgi_data(w), (wg_dtype)w->dtype, w->strides[1], w->strides[0], { 0 } },
        .c = wgi_matrix_of(y, false, true),
        .alpha = 1,
        .beta = r->accumulate ? 1 : 0,
        .batch_dims = batch.n,
    };
    if (bias) {
        g.bias = wgi_data(bias);
        g.bias_type = (wg_dtype)bias->dtype;
        g.bias_stride = bias->strides[0];
    }
    memcpy(g.batch_shape, batch.d, sizeof g.batch_shape);
    wgi_matrix_batch(&g.a, x, 1, &batch);
    wgi_matrix_batch(&g.c, y, 1, &batch);
    wgi_fold_batch(&g);
    return g;
}

static wg_status run(const wg_run *r)
{
    const wgi_gemm_args g = wgi_linear_args(r, r->out.t[0]);
    const bool blocks = wgi_in_blocks(r->in.t[1]->dtype);
    if (r->out.t[0]->device.kind == WG_CUDA)
        return blocks ? wgi_cuda_blocks_product(r, &g) : wgi_cuda_gemm(r, &g);
    return blocks ? wgi_quant_product(&g) : wgi_gemm(&g);
}

/* x is linear_act's result: its h gets the cotangent, without x's. Returns whether it does: not where x's would be rounded
 * to another dtype on the way. */
static bool past_activation(wg_vjp *g, wg_tensor *dy)
{
    wg_tensor *w = g->x.t[1], *h;
    const void *attr;
    if (!wgi_vjp_behind(g, 0, &wgi_op_linear_act, 1, &h, &attr)) return false;
    if (!wgi_is_float(w->dtype) || !wgi_is_float(dy->dtype) ||
        wgi_promote_dtypes((wg_dtype)dy->dtype, (wg_dtype)w->dtype) != (wg_dtype)h->dtype)
        return false;
    wgi_vjp_put_behind(g, 0, 1,
                       wg_apply(&wgi_op_linear_act_backward, WG_LIST(dy, w, h), attr, NULL));
    return true;
}

/* x (.., n) -> (rows, n), whatever the number of rows is. */
static wg_tensor *rows_of(wg_tensor *x, int64_t n)
{
    int64_t rows = 1;
    for (int a = 0; a + 1 < wg_ndim(x); a++) rows *= wg_size(x, a);
    return wg_reshape(x, WG_DIMS(rows, n));
}

/* On CUDA the weight's product of 16-bit operands sums dy's rows, too. */
static bool sums_on_the_way(const wg_tensor *dy, const wg_tensor *x)
{
    return dy->device.kind == WG_CUDA && dy->dtype == x->dtype && wgi_is_16bit(dy->dtype);
}

void wgi_linear_vjp(wg_vjp *g, wg_tensor *dy, bool fused)
{
    wg_tensor *x = g->x.t[0], *w = g->x.t[1];
    const bool blocks = w && wgi_in_blocks(w->dtype);
    if (g->wants[0] && !(fused && past_activation(g, dy)))
        wg_vjp_apply(g, &(int) { 0 }, blocks ? &wgi_op_linear_backward : &wgi_op_matmul,
                     WG_LIST(dy, w), NULL);
    if (fused && g->wants[1] && g->wants[2] && sums_on_the_way(dy, x)) {
        wg_tensor *d = rows_of(dy, wg_vjp_in_shape(g, 1).d[0]),
                  *rows = rows_of(x, wg_vjp_in_shape(g, 1).d[1]);
        wg_vjp_apply(g, (const int[]) { 1, 2 }, &wgi_op_linear_weight_backward, WG_LIST(d, rows),
                     NULL);
        return;
    }
    if (g->wants[1]) {
        const wg_dims ws = wg_vjp_in_shape(g, 1);
        wg_tensor *d = wg_transpose(rows_of(dy, ws.d[0]), 0, 1);
        wg_vjp_apply(g, &(int) { 1 }, &wgi_op_matmul, WG_LIST(d, rows_of(x, ws.d[1])), NULL);
    }
    if (g->wants[2]) g->dx.t[2] = dy; /* the engine sums its rows */
}

static void grad(wg_vjp *g)
{
    wgi_linear_vjp(g, g->dy.t[0], false);
}

static void grad_fused(wg_vjp *g)
{
    wgi_linear_vjp(g, g->dy.t[0], true);
}

static double flops(const wg_infer *c)
{
    double y = 2.0 * (double)c->in.t[1]->shape[1];
    for (int a = 0; a < c->out[0].shape.n; a++) y *= (double)c->out[0].shape.d[a];
    return y;
}

static wg_status reference(const wg_run *r)
{
    const double *x = wg_run_in(r, 0), *w = wg_run_in(r, 1), *bias = wg_run_in(r, 2);
    double *y = wg_run_out(r, 0);
    int64_t out = r->in.t[1]->shape[0], in = r->in.t[1]->shape[1];
    for (int64_t e = 0; e < r->out.t[0]->numel; e++) {
        int64_t row = e / out, o = e % out;
        double sum = 0;
        for (int64_t i = 0; i < in; i++) sum += x[row * in + i] * w[o * in + i];
        y[e] = sum + (bias ? bias[o] : 0);
    }
    return WG_OK;
}

static void samples(wg_samples *s)
{
    wg_tensor *w = wg_randn(WG_DIMS(4, 3)), *bias = wg_randn(WG_DIMS(4)),
              *x = wg_randn(WG_DIMS(2, 3));
    wg_sample(s, "rows", WG_LIST(x, w, bias), NULL);
    wg_sample(s, "no bias", WG_LIST(x, w, NULL), NULL);
    wg_sample(s, "batch", WG_LIST(wg_randn(WG_DIMS(2, 2, 3)), w, bias), NULL);
    wg_sample(s, "vector", WG_LIST(wg_randn(WG_DIMS(3)), w, bias), NULL);
    wg_sample(s, "no rows", WG_LIST(wg_zeros(WG_DIMS(2, 0, 3)), w, bias), NULL);
    wg_sample(s, "empty sums", WG_LIST(wg_zeros(WG_DIMS(2, 0)), wg_zeros(WG_DIMS(4, 0)), bias),
              NULL);
    wg_tensor *wide = wg_randn(WG_DIMS(5, 96)), *half = wg_randn(WG_DIMS(3, 256));
    wg_sample(s, "q4_0", WG_LIST(wg_randn(WG_DIMS(2, 96)), wg_cast(wide, WG_Q4_0), NULL), NULL);
    wg_sample(s, "q8_0",
              WG_LIST(wg_randn(WG_DIMS(2, 3, 96)), wg_cast(wide, WG_Q8_0), wg_randn(WG_DIMS(5))),
              NULL);
    wg_sample(s, "q5_1", WG_LIST(wg_randn(WG_DIMS(96)), wg_cast(wide, WG_Q5_1), NULL), NULL);
    wg_sample(s, "q4_0, many rows",
              WG_LIST(wg_randn(WG_DIMS(2, 20, 256)), wg_cast(half, WG_Q4_0), wg_randn(WG_DIMS(3))),
              NULL);
    wg_sample(s, "blocks, no rows", WG_LIST(wg_zeros(WG_DIMS(0, 96)), wg_cast(wide, WG_Q8_0), NULL),
              NULL);
    wg_sample_error(s, "integers with blocks",
                    WG_LIST(wg_ones(WG_DIMS(2, 96)), wg_cast(wide, WG_Q8_0), wg_arange(0, 5)), NULL,
                    WG_EDTYPE, "linear: with w in blocks");
    wg_sample_error(s, "x in blocks", WG_LIST(wg_cast(wide, WG_Q8_0), wide, NULL), NULL, WG_EDTYPE,
                    "linear: only w may be in blocks");
    wg_sample_error(s, "sizes", WG_LIST(bias, w, NULL), NULL, WG_ESHAPE,
                    "linear: x's last size is 4, w takes 3");
    wg_sample_error(s, "w", WG_LIST(x, bias, NULL), NULL, WG_ESHAPE, "linear: w has 1 dimensions");
    wg_sample_error(s, "bias", WG_LIST(x, w, wg_randn(WG_DIMS(3))), NULL, WG_ESHAPE,
                    "linear: bias should be (4)");
    wg_sample_error(s, "0-d", WG_LIST(wg_randn(WG_DIMS()), w, NULL), NULL, WG_ESHAPE, "linear: ");
    wg_sample_error(s, "bool", WG_LIST(wg_cast(x, WG_BOOL), w, NULL), NULL, WG_EDTYPE,
                    "linear: no product");
}

const wg_op wgi_op_linear = {
    .name = "linear",
    .in = { "x", "w", "bias?" },
    .out = { "y" },
    .flags = WG_OP_LOW | WG_OP_ACCUMULATE | WG_OP_BLOCKS,
    .saves = WG_IN(0) | WG_IN(1),
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

wg_tensor *wg_linear(wg_tensor *x, wg_tensor *w, wg_tensor *bias)
{
    return wg_apply(&wgi_op_linear, WG_LIST(x, w, bias), NULL, NULL);
}
