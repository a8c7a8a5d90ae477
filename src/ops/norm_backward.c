/* The gradients of layer norm and RMS norm, and what both share. With z = (x - mean) rstd and g = dy weight:
 *   dx = rstd (g - mean(g) - z mean(g z)), without mean(g) for RMS norm; dweight = sum_rows dy z; dbias = sum_rows dy.
 *   source: Ba, Kiros, Hinton, arXiv:1607.06450; Zhang & Sennrich, arXiv:1910.07467. */
#include "ops/norm.h"

#include <math.h>

#include "cpu/parallel.h"
#include "cuda/cuda.h"

wg_status wgi_norm_check(const wg_infer *c, int first, bool bias)
{
    const wgi_norm_attr *a = c->attr;
    const wg_tensor *x = c->in.t[first];
    wg_status s = wgi_expect_float(c, first, "x");
    if (s == WG_OK) s = wgi_expect_dims(c, first, "x", 1);
    if (s == WG_OK) s = wgi_expect_float(c, first + 1, "weight");
    if (s == WG_OK && bias) s = wgi_expect_float(c, first + 2, "bias");
    if (s != WG_OK) return s;
    const wg_dims width = WG_DIMS(x->shape[x->ndim - 1]);
    s = wg_expect(c, first + 1, width);
    if (s == WG_OK && bias) s = wg_expect(c, first + 2, width);
    if (s == WG_OK && !(a->eps >= 0)) s = wg_raise(WG_EARG, "eps %g is negative", a->eps);
    return s;
}

void wgi_norm_outputs(wg_infer *c, int first, wg_dims rest)
{
    for (int j = 0; j < c->n_out; j++) {
        wg_infer_like(c, j, c->in.t[first]);
        if (j == 0) continue;
        c->out[j].dtype = wgi_row_dtype(c->in.t[first]->dtype);
        c->out[j].shape = rest;
    }
}

static void *hidden(const wg_run *r, int64_t j)
{
    return j < r->out.n && r->out.t[j] ? wgi_data(r->out.t[j]) : NULL;
}

wg_status wgi_norm_cpu(const wg_run *r)
{
    const wgi_norm_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0];
    const wg_dtype real = wgi_row_dtype(x->dtype);
    wgi_norm s = { .eps = a->eps, .centered = a->centered };
    s.x = wgi_rows_along(x, x->ndim - 1);
    s.y = wgi_rows_along(r->out.t[0], x->ndim - 1);
    if (a->centered) s.mean = hidden(r, 1);
    s.rstd = hidden(r, a->centered ? 2 : 1);
    const int64_t strips = wgi_row_strips(s.x.rows, s.x.n / 2);
    wg_status e = wgi_flat(r, r->in.n > 1 ? r->in.t[1] : NULL, real, &s.weight);
    if (e == WG_OK) e = wgi_flat(r, r->in.n > 2 ? r->in.t[2] : NULL, real, &s.bias);
    if (e == WG_OK) e = wgi_row_scratch(r, strips * 3 * s.x.n, real, &s.buffer);
    if (e != WG_OK) return e;
    wgi_row_parallel(s.x.rows, strips, WGI_PICK(wgi_norm_kernels)->forward[real == WG_F64], &s);
    return WG_OK;
}

wg_status wgi_norm_cuda(const wg_run *r)
{
    const wgi_norm_attr *a = r->attr;
    return wgi_cuda_row_norm(r, a->eps, a->centered);
}

/* ---- sums over blocks, in order and in f64 ------------------------------------------------------------------ */
enum { COLUMNS = 256 };

typedef struct {
    const void *partial;
    wg_dtype real;
    int64_t blocks, n;
    const wg_tensor *out;
    bool accumulate;
} block_sum;

static void sum_columns(void *self, int64_t first, int64_t last)
{
    const block_sum *b = self;
    const int64_t width = last - first;
    double sum[COLUMNS] = { 0 };
    for (int64_t k = 0; k < b->blocks; k++) {
        const double *d = (const double *)b->partial + k * b->n + first;
        const float *f = (const float *)b->partial + k * b->n + first;
        if (b->real == WG_F64) {
            for (int64_t i = 0; i < width; i++) sum[i] += d[i];
        } else {
            for (int64_t i = 0; i < width; i++) sum[i] += (double)f[i];
        }
    }
    const wg_dtype type = (wg_dtype)b->out->dtype;
    char *out = wgi_data(b->out);
    const int64_t step = b->out->strides[0] * (int64_t)wg_dtype_size(type);
    for (int64_t i = 0; i < width; i++) {
        char *p = out + (first + i) * step;
        wgi_store(p, type, b->accumulate ? wgi_load(p, type) + sum[i] : sum[i]);
    }
}

void wgi_norm_sum_blocks(const void *partial, wg_dtype real, int64_t blocks, int64_t n,
                         const wg_tensor *out, bool accumulate)
{
    if (!out || n == 0) return;
    block_sum b = { partial, real, blocks, n, out, accumulate };
    wgi_parallel_for(n, COLUMNS, sum_columns, &b);
}

/* ---- the gradient op ----------------------------------------------------------------------------------------- */
static wg_status backward_infer(wg_infer *c)
{
    wg_status s = wgi_norm_check(c, 1, false);
    if (s == WG_OK) s = wgi_expect_same(c, 1, 0);
    if (s != WG_OK) return s;
    const wg_tensor *x = c->in.t[1];
    wg_dims rows = wgi_shape(x);
    rows.n--;
    s = wg_expect(c, 3, rows);
    if (s == WG_OK) s = wg_expect(c, 4, rows);
    if (s == WG_OK) wgi_norm_outputs(c, 1, WG_DIMS(x->shape[x->ndim - 1]));
    return s;
}

/* weight as real, ones where there is none. */
static wg_status weight_or_ones(const wg_run *r, const wg_tensor *weight, wg_dtype real, int64_t n,
                                const void **out)
{
    if (weight) return wgi_flat(r, weight, real, out);
    void *ones = NULL;
    wg_status s = wgi_row_scratch(r, n, real, &ones);
    if (s != WG_OK) return s;
    for (int64_t i = 0; i < n; i++) {
        if (real == WG_F64)
            ((double *)ones)[i] = 1;
        else
            ((float *)ones)[i] = 1;
    }
    *out = ones;
    return WG_OK;
}

static wg_status backward_cpu(const wg_run *r)
{
    const wgi_norm_attr *a = r->attr;
    const wg_tensor *x = r->in.t[1], *dx = r->out.t[0];
    const wg_dtype real = wgi_row_dtype(x->dtype);
    const void *mean = NULL, *rstd = NULL;
    wgi_norm s = { .centered = a->centered, .accumulate = r->accumulate };
    s.dy = wgi_rows_along(r->in.t[0], x->ndim - 1);
    s.x = wgi_rows_along(x, x->ndim - 1);
    s.dx = wgi_rows_along(dx, x->ndim - 1);
    const int64_t n = s.x.n, blocks = (s.x.rows + WGI_NORM_BLOCK - 1) / WGI_NORM_BLOCK;
    const int64_t strips = wgi_row_strips(blocks, WGI_NORM_BLOCK * n);
    wg_status e = weight_or_ones(r, r->in.t[2], real, n, &s.weight);
    if (e == WG_OK) e = wgi_flat(r, r->in.t[3], real, &mean);
    if (e == WG_OK) e = wgi_flat(r, r->in.t[4], real, &rstd);
    if (e == WG_OK) e = wgi_row_scratch(r, strips * 3 * n, real, &s.buffer);
    if (e == WG_OK) e = wgi_row_scratch(r, blocks * n, real, &s.dweight);
    if (e == WG_OK) e = wgi_row_scratch(r, blocks * n, real, &s.dbias);
    if (e != WG_OK) return e;
    s.mean = (void *)(uintptr_t)mean;
    s.rstd = (void *)(uintptr_t)rstd;
    wgi_row_parallel(blocks, strips, WGI_PICK(wgi_norm_kernels)->backward[real == WG_F64], &s);
    wgi_norm_sum_blocks(s.dweight, real, blocks, n, r->out.t[1], r->accumulate);
    if (r->out.n > 2) wgi_norm_sum_blocks(s.dbias, real, blocks, n, r->out.t[2], r->accumulate);
    return WG_OK;
}

static wg_status backward_cuda(const wg_run *r)
{
    return wgi_cuda_row_norm_backward(r, ((const wgi_norm_attr *)r->attr)->centered);
}

wgi_reference_moments wgi_moments(const double *x, int64_t n, bool centered, double eps)
{
    wgi_reference_moments m = { 0, 0 };
    double variance = 0;
    for (int64_t i = 0; i < n && centered; i++) m.mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++) variance += (x[i] - m.mean) * (x[i] - m.mean) / (double)n;
    m.rstd = 1 / sqrt(variance + eps);
    return m;
}

static wg_status backward_reference(const wg_run *r)
{
    const wgi_norm_attr *a = r->attr;
    const wg_tensor *t = r->in.t[1];
    const double *dy = wg_run_in(r, 0), *x = wg_run_in(r, 1), *w = wg_run_in(r, 2),
                 *mean = wg_run_in(r, 3);
    const double *rstd = wg_run_in(r, 4);
    double *dx = wg_run_out(r, 0), *dw = wg_run_out(r, 1), *db = wg_run_out(r, 2);
    const int64_t n = t->shape[t->ndim - 1];
    for (int64_t j = 0; j < n; j++) {
        if (dw) dw[j] = 0;
        if (db) db[j] = 0;
    }
    for (int64_t i = 0; i < t->numel; i++) {
        const int64_t row = i / n, j = i % n;
        double mean_g = 0, mean_gz = 0;
        for (int64_t k = 0; k < n; k++) {
            const double g = dy[row * n + k] * (w ? w[k] : 1) / (double)n;
            mean_g += g;
            mean_gz += g * (x[row * n + k] - (mean ? mean[row] : 0)) * rstd[row];
        }
        const double z = (x[i] - (mean ? mean[row] : 0)) * rstd[row];
        dx[i] = rstd[row] * (dy[i] * (w ? w[j] : 1) - (a->centered ? mean_g : 0) - z * mean_gz);
        if (dw) dw[j] += dy[i] * z;
        if (db) db[j] += dy[i];
    }
    return WG_OK;
}

static void samples_of(wg_samples *s, const char *error)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 5)), *dy = wg_randn(WG_DIMS(2, 3, 5)),
              *w = wg_randn(WG_DIMS(5)), *no = NULL;
    wg_tensor *mean = wg_randn(WG_DIMS(2, 3)), *rstd = wg_affine(wg_rand(WG_DIMS(2, 3)), 1, 0.5);
    const wgi_norm_attr centered = wgi_norm_of(1e-5, 0, true), not = wgi_norm_of(1e-5, 0, false);
    wg_sample(s, "centred", WG_LIST(dy, x, w, mean, rstd), &centered);
    wg_sample(s, "no weight", WG_LIST(dy, x, no, mean, rstd), &centered);
    wg_sample(s, "not centred", WG_LIST(dy, x, w, no, rstd), &not );
    wg_sample(s, "vector",
              WG_LIST(wg_select(wg_select(dy, 0, 0), 0, 0), w, w, wg_randn(WG_DIMS()),
                      wg_ones(WG_DIMS())),
              &centered);
    wg_sample(s, "no rows",
              WG_LIST(wg_zeros(WG_DIMS(0, 5)), wg_zeros(WG_DIMS(0, 5)), w, wg_zeros(WG_DIMS(0)),
                      wg_zeros(WG_DIMS(0))),
              &centered);
    wg_sample_error(s, "cotangent", WG_LIST(w, x, w, mean, rstd), &centered, WG_ESHAPE, error);
}

static void layer_norm_backward_samples(wg_samples *s)
{
    samples_of(s, "layer_norm_backward: dy should be (2, 3, 5), is (5)");
}

static void norm_backward_samples(wg_samples *s)
{
    samples_of(s, "norm_backward: dy should be (2, 3, 5), is (5)");
}

/* With the gradient of a bias, and without: one that is not wanted would keep the others from their places. */
const wg_op wgi_op_layer_norm_backward = {
    .name = "layer_norm_backward",
    .in = { "dy", "x", "weight?", "mean?", "rstd" },
    .out = { "dx", "dweight", "dbias" },
    .attr_size = sizeof(wgi_norm_attr),
    .flags = WG_OP_GRAD_NONE | WG_OP_ACCUMULATE,
    .infer = backward_infer,
    .cpu = backward_cpu,
    .cuda = backward_cuda,
    .reference = backward_reference,
    .samples = layer_norm_backward_samples,
};

const wg_op wgi_op_norm_backward = {
    .name = "norm_backward",
    .in = { "dy", "x", "weight?", "mean?", "rstd" },
    .out = { "dx", "dweight" },
    .attr_size = sizeof(wgi_norm_attr),
    .flags = WG_OP_GRAD_NONE | WG_OP_ACCUMULATE,
    .infer = backward_infer,
    .cpu = backward_cpu,
    .cuda = backward_cuda,
    .reference = backward_reference,
    .samples = norm_backward_samples,
};
