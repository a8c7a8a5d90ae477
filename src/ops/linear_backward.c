/* dx[.., i] = sum_o dy[.., o] w[o, i]: wg_linear's gradient for w in blocks, dequantised in tiles.
 *   dy: (.., out) floating, w: (out, in) in blocks -> dx: (.., in), dy's dtype; summed in f32 (f64
 *   for f64).
 *   gradient: ddy = linear(ddx, w) with all of w dequantised; saves w.
 *   errors: WG_ESHAPE if a size differs; WG_EDTYPE for another w. */
#include "cpu/quant_linear.h"
#include "cuda/cuda.h"
#include "ops/product_op.h"

static wg_status infer(wg_infer *c)
{
    const wg_tensor *dy = c->in.t[0], *w = c->in.t[1];
    if (dy->ndim == 0 || w->ndim != 2 || dy->shape[dy->ndim - 1] != w->shape[0])
        return wg_raise(WG_ESHAPE, "dy must be (.., out) and w (out, in)");
    if (!wgi_is_float(dy->dtype) || !(wgi_in_blocks(w->dtype) || wgi_is_float(w->dtype)))
        return wg_raise(WG_EDTYPE, "dy must be floating, and w in blocks");
    wg_infer_like(c, 0, dy);
    c->out[0].shape.d[dy->ndim - 1] = w->shape[1];
    return WG_OK;
}

static wg_status run(const wg_run *r)
{
    const wg_tensor *dy = r->in.t[0], *w = r->in.t[1], *dx = r->out.t[0];
    wg_dims batch = wgi_shape(dy);
    batch.n--;
    wgi_gemm_args g = {
        .m = 1,
        .n = w->shape[1],
        .k = w->shape[0],
        .a = wgi_matrix_of(dy, false, true),
        .b = { wgi_data(w), (wg_dtype)w->dtype, w->strides[0], w->strides[1], { 0 } },
        .c = wgi_matrix_of(dx, false, true),
        .alpha = 1,
        .beta = r->accumulate ? 1 : 0,
        .batch_dims = batch.n
    };
    memcpy(g.batch_shape, batch.d, sizeof g.batch_shape);
    wgi_matrix_batch(&g.a, dy, 1, &batch);
    wgi_matrix_batch(&g.c, dx, 1, &batch);
    wgi_fold_batch(&g);
    const bool blocks = wgi_in_blocks(w->dtype);
    if (dx->device.kind == WG_CUDA)
        return blocks ? wgi_cuda_blocks_product_back(r, &g) : wgi_cuda_gemm(r, &g);
    return blocks ? wgi_quant_product_back(&g) : wgi_gemm(&g);
}

static void grad(wg_vjp *g)
{
    wg_tensor *w = wg_cast(g->x.t[1], wg_vjp_in_dtype(g, 0)); /* the adjoint's own adjoint: exact */
    if (g->wants[0])
        wg_vjp_apply(g, &(int) { 0 }, &wgi_op_linear, WG_LIST(g->dy.t[0], w, NULL), NULL);
}

static double flops(const wg_infer *c)
{
    double dx = 2.0 * (double)c->in.t[1]->shape[0];
    for (int a = 0; a < c->out[0].shape.n; a++) dx *= (double)c->out[0].shape.d[a];
    return dx;
}

static wg_status reference(const wg_run *r)
{
    const double *dy = wg_run_in(r, 0), *w = wg_run_in(r, 1);
    double *dx = wg_run_out(r, 0);
    const int64_t out = r->in.t[1]->shape[0], in = r->in.t[1]->shape[1];
    for (int64_t e = 0; e < r->out.t[0]->numel; e++) {
        dx[e] = 0;
        for (int64_t o = 0; o < out; o++) dx[e] += dy[e / in * out + o] * w[o * in + e % in];
    }
    return WG_OK;
}

static void samples(wg_samples *s)
{
    wg_tensor *w = wg_cast(wg_randn(WG_DIMS(3, 64)), WG_Q5_0);
    wg_sample(s, "rows", WG_LIST(wg_randn(WG_DIMS(2, 3)), w), NULL);
    wg_sample(s, "vector", WG_LIST(wg_randn(WG_DIMS(3)), wg_cast(w, WG_Q4_0)), NULL);
    wg_sample(s, "no rows", WG_LIST(wg_zeros(WG_DIMS(0, 2, 3)), w), NULL);
    wg_sample_error(s, "sizes", WG_LIST(wg_randn(WG_DIMS(2, 4)), w), NULL, WG_ESHAPE,
                    "linear_backward: dy must be");
}

const wg_op wgi_op_linear_backward = {
    .name = "linear_backward",
    .in = { "dy", "w" },
    .out = { "dx" },
    .flags = WG_OP_ACCUMULATE | WG_OP_BLOCKS,
    .saves = WG_IN(1),
    .no_grad = WG_IN(1),
    .infer = infer,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .flops = flops,
    .samples = samples,
};
