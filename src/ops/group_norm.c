/* Group norm: the channels of x (N, C, ...) in `groups` groups of C / groups neighbours; over each group of each sample
 *   y = (x - mean) / sqrt(var + eps) weight_c + bias_c, var the mean of squares.
 *   x: (N, C, ...) any float; weight, bias: (C) any float or NULL -> y: shape and dtype of x (16-bit x is computed in
 *   f32); eps 1e-5 unless given.   gradient: as layer norm's (norm_backward.c), weight and bias by channel; saves the operands, and
 *   mean and 1 / sqrt(var + eps) (N, groups).
 *   errors: WG_ESHAPE for x of less than two dimensions and for weights, WG_EARG if groups does not divide C or eps is
 *   negative, WG_EDTYPE.   source: Wu & He, arXiv:1803.08494. */
#include "ops/norm.h"
#include "cuda/cuda.h"

static wg_status check(const wg_infer *c, int first)
{
    const wgi_norm_attr *a = c->attr;
    wg_status s = wgi_expect_float(c, first, "x");
    if (s == WG_OK) s = wgi_expect_dims(c, first, "x", 2);
    if (s == WG_OK) s = wgi_expect_float(c, first + 1, "weight");
    if (s != WG_OK) return s;
    const int64_t channels = c->in.t[first]->shape[1];
    if (a->groups < 1 || channels % a->groups)
        return wg_raise(WG_EARG, "%lld groups do not divide %lld channels", (long long)a->groups,
                        (long long)channels);
    if (!(a->eps >= 0)) return wg_raise(WG_EARG, "eps %g is negative", a->eps);
    return wg_expect(c, first + 1, WG_DIMS(channels));
}

static wg_status group_norm_infer(wg_infer *c)
{
    wg_status s = check(c, 0);
    if (s == WG_OK) s = wgi_expect_float(c, 2, "bias");
    if (s == WG_OK) s = wg_expect(c, 2, WG_DIMS(c->in.t[0]->shape[1]));
    if (s != WG_OK) return s;
    wgi_norm_outputs(c, 0, WG_DIMS(c->in.t[0]->shape[0], ((const wgi_norm_attr *)c->attr)->groups));
    return WG_OK;
}

/* Rows of the groups of a contiguous x. */
static wgi_rows group_rows(const wg_tensor *t, int64_t groups)
{
    const int64_t rows = t->shape[0] * groups;
    return wgi_rows_plain(wgi_data(t), (wg_dtype)t->dtype, rows, rows > 0 ? t->numel / rows : 0);
}

static void use_groups(wgi_norm *s, const wg_run *r, const wg_tensor *x)
{
    const wgi_norm_attr *a = r->attr;
    s->eps = a->eps;
    s->centered = true;
    s->groups = a->groups;
    s->x = group_rows(x, a->groups);
    s->run = 1;
    for (int d = 2; d < x->ndim; d++) s->run *= x->shape[d];
}

static wg_status group_norm_cpu(const wg_run *r)
{
    const wg_tensor *x = r->in.t[0];
    const wg_dtype real = wgi_row_dtype(x->dtype);
    wgi_norm s = { 0 };
    use_groups(&s, r, x);
    s.y = group_rows(r->out.t[0], s.groups);
    s.mean = wg_run_out(r, 1);
    s.rstd = wg_run_out(r, 2);
    const int64_t strips = wgi_row_strips(s.x.rows, s.x.n / 2);
    wg_status e = wgi_flat(r, r->in.n > 1 ? r->in.t[1] : NULL, real, &s.weight);
    if (e == WG_OK) e = wgi_flat(r, r->in.n > 2 ? r->in.t[2] : NULL, real, &s.bias);
    if (e == WG_OK) e = wgi_row_scratch(r, strips * 3 * s.x.n, real, &s.buffer);
    if (e == WG_OK)
        wgi_row_parallel(s.x.rows, strips,
                         WGI_PICK(wgi_norm_kernels)->group_forward[real == WG_F64], &s);
    return e;
}

static wg_status group_norm_cuda(const wg_run *r)
{
    const wgi_norm_attr *a = r->attr;
    return wgi_cuda_group_norm(r, a->eps, a->groups);
}

static wg_status backward_cuda(const wg_run *r)
{
    return wgi_cuda_group_norm_backward(r, ((const wgi_norm_attr *)r->attr)->groups);
}

static wg_status backward_infer(wg_infer *c)
{
    wg_status s = check(c, 1);
    if (s == WG_OK) s = wgi_expect_same(c, 1, 0);
    if (s != WG_OK) return s;
    const wg_tensor *x = c->in.t[1];
    const wg_dims rows = WG_DIMS(x->shape[0], ((const wgi_norm_attr *)c->attr)->groups);
    s = wg_expect(c, 3, rows);
    if (s == WG_OK) s = wg_expect(c, 4, rows);
    if (s == WG_OK) wgi_norm_outputs(c, 1, WG_DIMS(x->shape[1]));
    return s;
}

static wg_status backward_cpu(const wg_run *r)
{
    const wg_tensor *x = r->in.t[1];
    const wg_dtype real = wgi_row_dtype(x->dtype);
    const int64_t samples = x->shape[0], channels = x->shape[1];
    const void *mean = NULL, *rstd = NULL;
    wgi_norm s = { 0 };
    use_groups(&s, r, x);
    s.dy = group_rows(r->in.t[0], s.groups);
    s.dx = group_rows(r->out.t[0], s.groups);
    const int64_t strips = wgi_row_strips(s.x.rows, s.x.n);
    wg_status e = wgi_flat(r, r->in.t[2], real, &s.weight);
    if (e == WG_OK) e = wgi_flat(r, r->in.t[3], real, &mean);
    if (e == WG_OK) e = wgi_flat(r, r->in.t[4], real, &rstd);
    if (e == WG_OK) e = wgi_row_scratch(r, strips * 3 * s.x.n, real, &s.buffer);
    if (e == WG_OK) e = wgi_row_scratch(r, samples * channels, real, &s.dweight);
    if (e == WG_OK) e = wgi_row_scratch(r, samples * channels, real, &s.dbias);
    if (e != WG_OK) return e;
    s.mean = (void *)(uintptr_t)mean;
    s.rstd = (void *)(uintptr_t)rstd;
    const int64_t rows = x->numel > 0 ? samples : 0; /* (rows, channels) partial sums */
    if (rows)
        wgi_row_parallel(s.x.rows, strips,
                         WGI_PICK(wgi_norm_kernels)->group_backward[real == WG_F64], &s);
    wgi_norm_sum_blocks(s.dweight, real, rows, channels, r->out.t[1], false);
    wgi_norm_sum_blocks(s.dbias, real, rows, channels, r->out.t[2], false);
    return WG_OK;
}

/* ---- references ------------------------------------------------------------------------------------------------ */
static wg_status group_norm_reference(const wg_run *r)
{
    const wgi_norm_attr *a = r->attr;
    const wg_tensor *t = r->in.t[0];
    const double *x = wg_run_in(r, 0), *w = wg_run_in(r, 1), *b = wg_run_in(r, 2);
    double *y = wg_run_out(r, 0), *mean = wg_run_out(r, 1), *rstd = wg_run_out(r, 2);
    for (int64_t i = 0; i < t->numel; i++) {
        const int64_t n = t->numel / (t->shape[0] * a->groups), row = i / n;
        const int64_t c = i / (t->numel / (t->shape[0] * t->shape[1])) % t->shape[1];
        const wgi_reference_moments m = wgi_moments(x + row * n, n, true, a->eps);
        y[i] = (x[i] - m.mean) * m.rstd * (w ? w[c] : 1) + (b ? b[c] : 0);
        if (mean) mean[row] = m.mean;
        if (rstd) rstd[row] = m.rstd;
    }
    return WG_OK;
}

static wg_status backward_reference(const wg_run *r)
{
    const wgi_norm_attr *a = r->attr;
    const wg_tensor *t = r->in.t[1];
    const double *dy = wg_run_in(r, 0), *x = wg_run_in(r, 1), *w = wg_run_in(r, 2),
                 *mean = wg_run_in(r, 3);
    const double *rstd = wg_run_in(r, 4);
    double *dx = wg_run_out(r, 0), *dw = wg_run_out(r, 1), *db = wg_run_out(r, 2);
    for (int64_t c = 0; c < t->shape[1]; c++) dw[c] = db[c] = 0;
    for (int64_t i = 0; i < t->numel; i++) {
        const int64_t n = t->numel / (t->shape[0] * a->groups), row = i / n;
        const int64_t run = t->numel / (t->shape[0] * t->shape[1]), c = i / run % t->shape[1];
        double mean_g = 0, mean_gz = 0;
        for (int64_t k = row * n; k < (row + 1) * n; k++) {
            const double g = dy[k] * (w ? w[k / run % t->shape[1]] : 1) / (double)n;
            mean_g += g;
            mean_gz += g * (x[k] - mean[row]) * rstd[row];
        }
        const double z = (x[i] - mean[row]) * rstd[row];
        dx[i] = rstd[row] * (dy[i] * (w ? w[c] : 1) - mean_g - z * mean_gz);
        dw[c] += dy[i] * z;
        db[c] += dy[i];
    }
    return WG_OK;
}

/* ---- gradient ----------------------------------------------------------------------------------------------------- */
/* A (C) vector against x (N, C, ...). */
static wg_tensor *by_channel(wg_tensor *v, wg_tensor *x)
{
    wg_dims shape = wg_shape(x);
    for (int d = 0; d < shape.n; d++)
        if (d != 1) shape.d[d] = 1;
    return wg_reshape(wg_cast(v, wg_dtype_of(x)), shape);
}

static void group_norm_composite(void *self, wg_list in, wg_list out)
{
    const wgi_norm_attr *a = self;
    wg_tensor *x = wgi_widened(in.t[0]), *weight = in.n > 1 ? in.t[1] : NULL,
              *bias = in.n > 2 ? in.t[2] : NULL;
    const int64_t samples = wg_size(x, 0), rows = samples * a->groups;
    wg_tensor *rows_of_x =
        wg_reshape(x, WG_DIMS(samples, a->groups, rows ? wg_numel(x) / rows : 0));
    wg_tensor *gap = wg_sub(rows_of_x, wg_mean(rows_of_x, WG_DIMS(-1), WG_KEEPDIM));
    wg_tensor *variance = wg_mean(wg_square(gap), WG_DIMS(-1), WG_KEEPDIM);
    wg_tensor *y = wg_reshape(wg_mul(gap, wg_rsqrt(wg_affine(variance, 1, a->eps))), wg_shape(x));
    if (weight) y = wg_mul(y, by_channel(weight, x));
    if (bias) y = wg_add(y, by_channel(bias, x));
    out.t[0] = wg_cast(y, wg_dtype_of(in.t[0]));
}

static void group_norm_grad_fused(wg_vjp *g)
{
    wg_tensor *weight = g->x.n > 1 ? g->x.t[1] : NULL;
    const int to[] = { wgi_wanted(g, 0), weight ? wgi_wanted(g, 1) : -1, wgi_wanted(g, 2) };
    wg_vjp_apply(g, to, &wgi_op_group_norm_backward,
                 WG_LIST(g->dy.t[0], g->x.t[0], weight, g->y.t[1], g->y.t[2]), g->attr);
}

static void group_norm_samples(wg_samples *s)
{
    const wgi_norm_attr two = wgi_norm_of(1e-5, 2, true), one = wgi_norm_of(1e-3, 1, true),
                        six = wgi_norm_of(0.1, 6, true);
    const wgi_norm_attr five = wgi_norm_of(1e-5, 5, true), zero = wgi_norm_of(1e-5, 0, true);
    wg_tensor *x = wg_randn(WG_DIMS(2, 6, 3)), *w = wg_randn(WG_DIMS(6)), *b = wg_randn(WG_DIMS(6)),
              *no = NULL;
    wg_sample(s, "plain", WG_LIST(x, no, no), &two);
    wg_sample(s, "both", WG_LIST(x, w, b), &two);
    wg_sample(s, "weight", WG_LIST(x, w, no), &one);
    wg_sample(s, "a channel each", WG_LIST(x, w, b), &six);
    wg_sample(s, "images", WG_LIST(wg_randn(WG_DIMS(2, 6, 2, 2)), w, b), &two);
    wg_sample(s, "no positions", WG_LIST(wg_randn(WG_DIMS(3, 6)), w, b), &two);
    wg_sample(s, "no samples", WG_LIST(wg_zeros(WG_DIMS(0, 6, 2)), w, b), &two);
    wg_sample_error(s, "groups", WG_LIST(x, w, b), &five, WG_EARG,
                    "group_norm: 5 groups do not divide 6 channels");
    wg_sample_error(s, "no groups", WG_LIST(x, w, b), &zero, WG_EARG, "group_norm: 0 groups");
    wg_sample_error(s, "vector", WG_LIST(w, no, no), &two, WG_ESHAPE,
                    "group_norm: x should have at least 2");
    wg_sample_error(s, "bias's shape", WG_LIST(x, w, wg_ones(WG_DIMS(3))), &two, WG_ESHAPE,
                    "group_norm: bias should be (6), is (3)");
    wg_sample_error(s, "integers", WG_LIST(wg_randint(0, 3, WG_DIMS(2, 6)), w, b), &two, WG_EDTYPE,
                    "group_norm: x should be floating");
}

static void backward_samples(wg_samples *s)
{
    const wgi_norm_attr two = wgi_norm_of(1e-5, 2, true);
    wg_tensor *x = wg_randn(WG_DIMS(2, 6, 3)), *dy = wg_randn(WG_DIMS(2, 6, 3)),
              *w = wg_randn(WG_DIMS(6)), *no = NULL;
    wg_tensor *mean = wg_randn(WG_DIMS(2, 2)), *rstd = wg_affine(wg_rand(WG_DIMS(2, 2)), 1, 0.5);
    wg_sample(s, "weight", WG_LIST(dy, x, w, mean, rstd), &two);
    wg_sample(s, "plain", WG_LIST(dy, x, no, mean, rstd), &two);
    wg_sample_error(s, "cotangent", WG_LIST(w, x, w, mean, rstd), &two, WG_ESHAPE,
                    "group_norm_backward: dy should be (2, 6, 3)");
}

const wg_op wgi_op_group_norm = {
    .name = "group_norm",
    .in = { "x", "weight?", "bias?" },
    .out = { "y", "mean", "rstd" },
    .attr_size = sizeof(wgi_norm_attr),
    .flags = WG_OP_CONTIGUOUS,
    .saves = WG_IN(0) | WG_IN(1) | WG_IN(2) | WG_OUT(1) | WG_OUT(2),
    .hidden = WG_OUT(1) | WG_OUT(2),
    .infer = group_norm_infer,
    .cpu = group_norm_cpu,
    .cuda = group_norm_cuda,
    .reference = group_norm_reference,
    .composite = group_norm_composite,
    .grad_fused = group_norm_grad_fused,
    .samples = group_norm_samples,
};

const wg_op wgi_op_group_norm_backward = {
    .name = "group_norm_backward",
    .in = { "dy", "x", "weight?", "mean", "rstd" },
    .out = { "dx", "dweight", "dbias" },
    .attr_size = sizeof(wgi_norm_attr),
    .flags = WG_OP_GRAD_NONE | WG_OP_CONTIGUOUS,
    .infer = backward_infer,
    .cpu = backward_cpu,
    .cuda = backward_cuda,
    .reference = backward_reference,
    .samples = backward_samples,
};

wg_tensor *wg_group_norm_call(wg_group_norm_args a)
{
    const wgi_norm_attr attr = wgi_norm_of(a.eps == 0 ? 1e-5 : a.eps, a.groups, true);
    return wg_apply(&wgi_op_group_norm, WG_LIST(a.x, a.weight, a.bias), &attr, NULL);
}
