/* z[.., i, j] = sum_p x[.., i, p] y[.., p, j].
 *   x: (.., m, k) or (k), y: (.., k, n) or (k); leading axes broadcast; an axis that a 1-d operand
 *   lacks is not in z. Any dtype but bool, promoted; 16-bit inputs are summed in f32.
 *   gradient: dx = dz y^T, dy = x^T dz, summed over what was broadcast; saves x and y, each for the
 *   other's sake.
 *   errors: WG_ESHAPE for 0-d operands, inner sizes that differ, leading axes that do not broadcast;
 *   WG_EDTYPE for bool. */
#include "ops/product_op.h"
#include "cuda/cuda.h"

/* x's and y's leading axes. */
static wg_dims leading(const wg_tensor *t)
{
    wg_dims d = wgi_shape(t);
    d.n = t->ndim > 2 ? t->ndim - 2 : 0;
    return d;
}

static int64_t inner_x(const wg_tensor *x)
{
    return x->shape[x->ndim - 1];
}

static int64_t inner_y(const wg_tensor *y)
{
    return y->ndim == 1 ? y->shape[0] : y->shape[y->ndim - 2];
}

static wg_status infer(wg_infer *c)
{
    const wg_tensor *x = c->in.t[0], *y = c->in.t[1];
    if (x->ndim == 0 || y->ndim == 0) return wg_raise(WG_ESHAPE, "an operand has no dimensions");
    if (inner_x(x) != inner_y(y))
        return wg_raise(WG_ESHAPE, "inner sizes differ: %lld and %lld", (long long)inner_x(x),
                        (long long)inner_y(y));
    wg_infer_like(c, 0, x);
    wg_spec *z = &c->out[0];
    wg_status s = wgi_product_dtype(x, y, &z->dtype);
    if (s != WG_OK) return s;
    wg_dims a = leading(x), b = leading(y);
    if ((s = wgi_broadcast(&a, &b, &z->shape)) != WG_OK) return s;
    if (x->ndim > 1) z->shape.d[z->shape.n++] = x->shape[x->ndim - 2];
    if (y->ndim > 1) z->shape.d[z->shape.n++] = y->shape[y->ndim - 1];
    return WG_OK;
}

static wg_status run(const wg_run *r)
{
    const wg_tensor *x = r->in.t[0], *y = r->in.t[1], *z = r->out.t[0];
    bool rows = x->ndim > 1, columns = y->ndim > 1;
    wg_dims batch = wgi_shape(z);
    batch.n -= rows + columns;
    wgi_gemm_args g = {
        .m = rows ? x->shape[x->ndim - 2] : 1,
        .n = columns ? y->shape[y->ndim - 1] : 1,
        .k = inner_x(x),
        .a = wgi_matrix_of(x, rows, true),
        .b = wgi_matrix_of(y, true, columns),
        .c = wgi_matrix_of(z, rows, columns),
        .alpha = 1,
        .beta = r->accumulate ? 1 : 0,
        .batch_dims = batch.n,
    };
    memcpy(g.batch_shape, batch.d, sizeof g.batch_shape);
    wgi_matrix_batch(&g.a, x, 1 + rows, &batch);
    wgi_matrix_batch(&g.b, y, 1 + columns, &batch);
    wgi_matrix_batch(&g.c, z, rows + columns, &batch);
    wgi_fold_batch(&g);
    return r->out.t[0]->device.kind == WG_CUDA ? wgi_cuda_gemm(r, &g) : wgi_gemm(&g);
}

/* x (.., k) -> (M, k), whatever M is. */
static wg_tensor *as_rows(wg_tensor *x, int64_t k)
{
    int64_t rows = 1;
    for (int a = 0; a + 1 < wg_ndim(x); a++) rows *= wg_size(x, a);
    return wg_reshape(x, WG_DIMS(rows, k));
}

static void grad(wg_vjp *g)
{
    wg_tensor *x = g->x.t[0], *y = g->x.t[1], *dz = g->dy.t[0];
    wg_dims xs = wg_vjp_in_shape(g, 0), ys = wg_vjp_in_shape(g, 1);
    wg_tensor *d = dz; /* (.., m, n) */
    if (ys.n == 1) d = wg_unsqueeze(d, -1);
    if (xs.n == 1) d = wg_unsqueeze(d, -2);
    if (g->wants[0]) {
        wg_tensor *yt = ys.n == 1 ? wg_unsqueeze(y, 0) : wg_transpose(y, -1, -2); /* (.., n, k) */
        wg_vjp_apply(g, &(int) { 0 }, &wgi_op_matmul, WG_LIST(d, yt), NULL);
    }
    if (!g->wants[1]) return;
    int64_t k = xs.d[xs.n - 1];
    if (ys.n > 2) {
        wg_tensor *xt = xs.n == 1 ? wg_unsqueeze(x, -1) : wg_transpose(x, -1, -2); /* (.., k, m) */
        wg_vjp_apply(g, &(int) { 1 }, &wgi_op_matmul, WG_LIST(xt, d), NULL);
    } else {                                               /* one product over all rows of x */
        wg_tensor *xt = wg_transpose(as_rows(x, k), 0, 1); /* (k, M) */
        wg_tensor *rows = ys.n == 1 ? wg_reshape(dz, WG_DIMS(wg_size(xt, 1))) : as_rows(d, ys.d[1]);
        wg_vjp_apply(g, &(int) { 1 }, &wgi_op_matmul, WG_LIST(xt, rows), NULL);
    }
}

static double flops(const wg_infer *c)
{
    double z = 2.0 * (double)inner_x(c->in.t[0]);
    for (int a = 0; a < c->out[0].shape.n; a++) z *= (double)c->out[0].shape.d[a];
    return z;
}

/* Row-major number of the matrix or vector of t (its last `own` axes) under the batch index of z.
 */
static int64_t matrix_number(const wg_tensor *t, int own, int batch, const int64_t *index)
{
    int64_t e = 0;
    int lead = batch - (t->ndim - own);
    for (int a = 0; a < t->ndim - own; a++)
        e = e * t->shape[a] + (t->shape[a] == 1 ? 0 : index[a + lead]);
    return e;
}

static wg_status reference(const wg_run *r)
{
    const wg_tensor *x = r->in.t[0], *y = r->in.t[1], *z = r->out.t[0];
    const double *xd = wg_run_in(r, 0), *yd = wg_run_in(r, 1);
    double *zd = wg_run_out(r, 0);
    int rows = x->ndim > 1, columns = y->ndim > 1, batch = z->ndim - rows - columns;
    int64_t k = inner_x(x), m = rows ? x->shape[x->ndim - 2] : 1,
            n = columns ? y->shape[y->ndim - 1] : 1;
    int64_t index[WG_MAX_DIMS] = { 0 };
    for (int64_t e = 0; e < z->numel; e++) {
        int64_t i = rows ? index[batch] : 0, j = columns ? index[batch + rows] : 0;
        const double *row = xd + matrix_number(x, 1 + rows, batch, index) * m * k + i * k;
        const double *column = yd + matrix_number(y, 1 + columns, batch, index) * k * n + j;
        double sum = 0;
        for (int64_t p = 0; p < k; p++) sum += row[p] * column[p * n];
        zd[e] = sum;
        for (int a = z->ndim - 1; a >= 0 && ++index[a] == z->shape[a]; a--) index[a] = 0;
    }
    return WG_OK;
}

static void samples(wg_samples *s)
{
    wg_tensor *v = wg_randn(WG_DIMS(3)), *a = wg_randn(WG_DIMS(2, 3)), *b = wg_randn(WG_DIMS(3, 4));
    wg_tensor *x = wg_randn(WG_DIMS(2, 4, 3)), *y = wg_randn(WG_DIMS(2, 3, 2));
    wg_sample(s, "matrices", WG_LIST(a, b), NULL);
    wg_sample(s, "vectors", WG_LIST(v, wg_randn(WG_DIMS(3))), NULL);
    wg_sample(s, "vector and matrix", WG_LIST(v, b), NULL);
    wg_sample(s, "matrix and vector", WG_LIST(a, v), NULL);
    wg_sample(s, "batches", WG_LIST(x, y), NULL);
    wg_sample(s, "batched rows", WG_LIST(x, b), NULL);
    wg_sample(s, "batched columns", WG_LIST(a, y), NULL);
    wg_sample(s, "batch and vector", WG_LIST(x, v), NULL);
    wg_sample(s, "vector and batch", WG_LIST(v, y), NULL);
    wg_sample(s, "batches broadcast",
              WG_LIST(wg_randn(WG_DIMS(2, 1, 2, 3)), wg_randn(WG_DIMS(3, 3, 2))), NULL);
    wg_sample(s, "one entry under many", WG_LIST(wg_randn(WG_DIMS(1, 2, 3)), y), NULL);
    wg_sample(s, "no rows", WG_LIST(wg_zeros(WG_DIMS(0, 3)), b), NULL);
    wg_sample(s, "empty sums", WG_LIST(wg_zeros(WG_DIMS(2, 0)), wg_zeros(WG_DIMS(0, 3))), NULL);
    wg_sample(s, "no batches", WG_LIST(wg_zeros(WG_DIMS(0, 2, 3)), b), NULL);
    wg_sample_error(s, "inner sizes", WG_LIST(a, x), NULL, WG_ESHAPE,
                    "matmul: inner sizes differ: 3 and 4");
    wg_sample_error(s, "inner size of a vector", WG_LIST(b, v), NULL, WG_ESHAPE,
                    "matmul: inner sizes differ");
    wg_sample_error(s, "batches", WG_LIST(x, wg_randn(WG_DIMS(3, 3, 2))), NULL, WG_ESHAPE,
                    "matmul: ");
    wg_sample_error(s, "0-d", WG_LIST(wg_randn(WG_DIMS()), v), NULL, WG_ESHAPE, "matmul: ");
    wg_sample_error(s, "bool", WG_LIST(wg_cast(a, WG_BOOL), b), NULL, WG_EDTYPE,
                    "matmul: no product of bool");
}

const wg_op wgi_op_matmul = {
    .name = "matmul",
    .in = { "x", "y" },
    .out = { "z" },
    .flags = WG_OP_LOW | WG_OP_ACCUMULATE,
    .saves = WG_IN(0) | WG_IN(1),
    .needed_by = { WG_IN(1), WG_IN(0) },
    .infer = infer,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .flops = flops,
    .samples = samples,
};

wg_tensor *wg_matmul(wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_matmul, WG_LIST(x, y), NULL, NULL);
}

wg_tensor *wg_outer(wg_tensor *x, wg_tensor *y)
{
    if (wgi_refuse(x, "outer") || wgi_refuse(y, "outer")) return &wgi_error_tensor;
    if (x->ndim != 1 || y->ndim != 1)
        return wg_fail(WG_ESHAPE, "outer: x has %d dimensions and y %d: one each is wanted",
                       x->ndim, y->ndim);
    return wg_mul(wg_unsqueeze(x, 1), y);
}
