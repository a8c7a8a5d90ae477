/* dw = dy^T x and dbias = sum of the rows of dy: the gradients of a linear layer's weight and bias, in one product on CUDA
 * (cuBLASLt sums the cotangent's rows while it reads them).
 *   dy: (rows, out), x: (rows, in), floating -> dw: (out, in), the wider dtype of the two; dbias: (out), dy's dtype. Sums
 *   of 16-bit operands are f32, rounded once into what they are added to.
 *   gradient: none; linear's rule uses it where no higher derivative is wanted.
 *   errors: WG_ESHAPE unless both are matrices with as many rows; WG_EDTYPE. */
#include "cpu/elementwise.h"
#include "cuda/cuda.h"
#include "ops/network.h"
#include "ops/product_op.h"

static wg_status infer(wg_infer *c)
{
    const wg_tensor *dy = c->in.t[0], *x = c->in.t[1];
    wg_status s = wgi_expect_float(c, 0, "dy");
    if (s == WG_OK) s = wgi_expect_float(c, 1, "x");
    if (s != WG_OK) return s;
    if (dy->ndim != 2 || x->ndim != 2 || dy->shape[0] != x->shape[0])
        return wg_raise(WG_ESHAPE, "dy must be (rows, out) and x (rows, in)");
    for (int j = 0; j < c->n_out; j++) wg_infer_like(c, j, dy);
    c->out[0].shape = WG_DIMS(dy->shape[1], x->shape[1]);
    c->out[1].shape = WG_DIMS(dy->shape[1]);
    c->out[0].dtype = wgi_promote_dtypes((wg_dtype)dy->dtype, (wg_dtype)x->dtype);
    return WG_OK;
}

static wgi_gemm_args weight_product(const wg_run *r)
{
    const wg_tensor *dy = r->in.t[0], *x = r->in.t[1];
    wgi_gemm_args g = { .m = dy->shape[1],
                        .n = x->shape[1],
                        .k = dy->shape[0],
                        .a = wgi_matrix_of(dy, true, true),
                        .b = wgi_matrix_of(x, true, true),
                        .c = wgi_matrix_of(r->out.t[0], true, true),
                        .alpha = 1,
                        .beta = r->accumulate ? 1 : 0 };
    const int64_t row = g.a.row; /* dy^T */
    g.a.row = g.a.column;
    g.a.column = row;
    return g;
}

/* The sum of dy's rows as a product with a row of ones. */
static wg_status sum_rows(const wg_run *r)
{
    const wg_tensor *dy = r->in.t[0], *dbias = r->out.t[1];
    wgi_gemm_args g = { .m = 1,
                        .n = dy->shape[1],
                        .k = dy->shape[0],
                        .a = { NULL, (wg_dtype)dy->dtype, dy->shape[0], 1, { 0 } },
                        .b = wgi_matrix_of(dy, true, true),
                        .c = wgi_matrix_of(dbias, false, true),
                        .alpha = 1,
                        .beta = r->accumulate ? 1 : 0 };
    const bool cuda = dbias->device.kind == WG_CUDA;
    const int64_t one = 1;
    wg_status s = wgi_row_scratch(r, g.k, g.a.type, &g.a.data);
    if (s == WG_OK && cuda && g.k > 0)
        s = wgi_cuda_fill_strided(r, g.a.data, g.a.type, &one, 1, &g.k, 1);
    for (int64_t i = 0; s == WG_OK && !cuda && i < g.k; i++)
        wgi_store((char *)g.a.data + i * (int64_t)wg_dtype_size(g.a.type), g.a.type, 1);
    if (s != WG_OK) return s;
    return cuda ? wgi_cuda_gemm(r, &g) : wgi_gemm(&g);
}

static wg_status cpu(const wg_run *r)
{
    const wgi_gemm_args g = weight_product(r);
    const wg_status s = wgi_gemm(&g);
    return s == WG_OK ? sum_rows(r) : s;
}

static wg_status cuda(const wg_run *r)
{
    const wgi_gemm_args g = weight_product(r);
    bool summed;
    const wg_status s = wgi_cuda_gemm_bgrad(r, &g, r->out.t[1], &summed);
    return s == WG_OK && !summed ? sum_rows(r) : s;
}

static double flops(const wg_infer *c)
{
    return (2 * (double)c->in.t[1]->shape[1] + 1) * (double)wg_numel(c->in.t[0]);
}

static wg_status reference(const wg_run *r)
{
    const double *dy = wg_run_in(r, 0), *x = wg_run_in(r, 1);
    double *dw = wg_run_out(r, 0), *dbias = wg_run_out(r, 1);
    const int64_t rows = r->in.t[0]->shape[0], out = r->in.t[0]->shape[1],
                  in = r->in.t[1]->shape[1];
    for (int64_t o = 0; o < out; o++) {
        dbias[o] = 0;
        for (int64_t k = 0; k < rows; k++) dbias[o] += dy[k * out + o];
        for (int64_t i = 0; i < in; i++) {
            dw[o * in + i] = 0;
            for (int64_t k = 0; k < rows; k++) dw[o * in + i] += dy[k * out + o] * x[k * in + i];
        }
    }
    return WG_OK;
}

static void samples(wg_samples *s)
{
    wg_tensor *dy = wg_randn(WG_DIMS(5, 4)), *x = wg_randn(WG_DIMS(5, 3));
    wg_sample(s, "rows", WG_LIST(dy, x), NULL);
    wg_sample(s, "wide", WG_LIST(wg_randn(WG_DIMS(16, 24)), wg_randn(WG_DIMS(16, 8))), NULL);
    wg_sample(s, "one row", WG_LIST(wg_randn(WG_DIMS(1, 4)), wg_randn(WG_DIMS(1, 3))), NULL);
    wg_sample(s, "no rows", WG_LIST(wg_zeros(WG_DIMS(0, 4)), wg_zeros(WG_DIMS(0, 3))), NULL);
    wg_sample(s, "no inputs", WG_LIST(dy, wg_zeros(WG_DIMS(5, 0))), NULL);
    wg_sample_error(s, "rows differ", WG_LIST(dy, wg_randn(WG_DIMS(4, 3))), NULL, WG_ESHAPE,
                    "linear_weight_backward: dy must be (rows, out)");
    wg_sample_error(s, "integers", WG_LIST(dy, wg_cast(x, WG_I64)), NULL, WG_EDTYPE,
                    "linear_weight_backward: x should be floating");
}

const wg_op wgi_op_linear_weight_backward = {
    .name = "linear_weight_backward",
    .in = { "dy", "x" },
    .out = { "dw", "dbias" },
    .flags = WG_OP_GRAD_NONE | WG_OP_ACCUMULATE,
    .infer = infer,
    .cpu = cpu,
    .cuda = cuda,
    .reference = reference,
    .flops = flops,
    .samples = samples,
};
