/* A residual sum and its norm in one pass over memory: s = x + r, y = norm(s), layer norm or RMS norm over the last axis.
 *   x, r: (..., C) any float, one shape; weight, bias: (C) any float or NULL -> s: the wider dtype of x and r; y: the
 *   same shape and dtype. y is made of s as it is stored: the same bits as add and layer_norm or rms_norm after it.
 *   gradient: ds + (the norm's gradient at s), into x and r alike; into weight and bias as in norm_backward.c. Saves s,
 *   weight, and mean and 1 / sqrt(var + eps) of the rows: what the two ops would save.
 *   errors: WG_ESHAPE for 0-d x, for r of another shape and for weights; WG_EDTYPE; WG_EARG for a negative eps.
 *   source: Ba, Kiros, Hinton, arXiv:1607.06450; Zhang & Sennrich, arXiv:1910.07467. */
#include "autograd/rule.h"
#include "cuda/cuda.h"
#include "ops/norm.h"

enum { WEIGHT = 2, BIAS = 3 }; /* inputs */

static wg_status infer(wg_infer *c)
{
    const bool centered = ((const wgi_norm_attr *)c->attr)->centered;
    const wg_tensor *x = c->in.t[0], *r = c->in.t[1];
    wg_status s = wgi_expect_float(c, 0, "x");
    if (s == WG_OK) s = wgi_expect_float(c, 1, "r");
    if (s == WG_OK) s = wgi_expect_same(c, 0, 1);
    if (s == WG_OK) s = wgi_norm_check(c, 1, centered);
    if (s != WG_OK) return s;
    const wg_dtype type = wgi_promote_dtypes((wg_dtype)x->dtype, (wg_dtype)r->dtype);
    for (int j = 0; j < c->n_out; j++) {
        wg_infer_like(c, j, x);
        c->out[j].dtype = j < 2 ? type : wgi_row_dtype(type);
        if (j >= 2) c->out[j].shape.n--;
    }
    return WG_OK;
}

static void *hidden(const wg_run *r, int64_t j)
{
    return j < r->out.n && r->out.t[j] ? wgi_data(r->out.t[j]) : NULL;
}

static wg_status cpu(const wg_run *r)
{
    const wgi_norm_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0];
    const int axis = x->ndim - 1;
    const wg_dtype real = wgi_row_dtype(r->out.t[1]->dtype);
    wgi_norm s = { .eps = a->eps, .centered = a->centered };
    s.x = wgi_rows_along(x, axis);
    s.added = wgi_rows_along(r->in.t[1], axis);
    s.y = wgi_rows_along(r->out.t[0], axis);
    s.sum = wgi_rows_along(r->out.t[1], axis);
    if (a->centered) s.mean = hidden(r, 2);
    s.rstd = hidden(r, a->centered ? 3 : 2);
    const int64_t strips = wgi_row_strips(s.x.rows, s.x.n / 2);
    wg_status e = wgi_flat(r, r->in.n > WEIGHT ? r->in.t[WEIGHT] : NULL, real, &s.weight);
    if (e == WG_OK) e = wgi_flat(r, r->in.n > BIAS ? r->in.t[BIAS] : NULL, real, &s.bias);
    if (e == WG_OK) e = wgi_row_scratch(r, strips * 3 * s.x.n, real, &s.buffer);
    if (e != WG_OK) return e;
    wgi_row_parallel(s.x.rows, strips, WGI_PICK(wgi_norm_kernels)->add_forward[real == WG_F64], &s);
    return WG_OK;
}

static wg_status cuda(const wg_run *r)
{
    const wgi_norm_attr *a = r->attr;
    return wgi_cuda_add_row_norm(r, a->eps, a->centered);
}

static wg_status reference(const wg_run *r)
{
    const wgi_norm_attr *a = r->attr;
    const wg_tensor *t = r->in.t[0];
    const double *x = wg_run_in(r, 0), *added = wg_run_in(r, 1), *w = wg_run_in(r, WEIGHT),
                 *b = wg_run_in(r, BIAS);
    double *y = wg_run_out(r, 0), *s = wg_run_out(r, 1), *mean = wg_run_out(r, 2),
           *rstd = wg_run_out(r, a->centered ? 3 : 2);
    const int64_t n = t->shape[t->ndim - 1];
    for (int64_t i = 0; i < t->numel; i++) s[i] = x[i] + added[i];
    for (int64_t i = 0; i < t->numel; i++) {
        const wgi_reference_moments m = wgi_moments(s + i / n * n, n, a->centered, a->eps);
        y[i] = (s[i] - m.mean) * m.rstd * (w ? w[i % n] : 1) + (b ? b[i % n] : 0);
        if (a->centered && mean) mean[i / n] = m.mean;
        if (rstd) rstd[i / n] = m.rstd;
    }
    return WG_OK;
}

/* ---- gradient ------------------------------------------------------------------------------------------------- */
static wg_tensor *row_mean(wg_tensor *x)
{
    return wg_mean(x, WG_DIMS(-1), WG_KEEPDIM);
}

static void put_sum(wg_vjp *g, wg_tensor *ds)
{
    for (int i = 0; i < 2; i++)
        if (g->wants[i]) g->dx.t[i] = ds;
}

/* With z = (s - mean) rstd and u = dy weight: ds + rstd (u - mean(u) - z mean(u z)); dweight = dy z, dbias = dy, whose rows
 * the engine sums. mean and rstd are made of s anew, so that the rule has derivatives. */
static void grad(wg_vjp *g)
{
    const wgi_norm_attr *a = g->attr;
    if (!g->dy.t[0]) {
        put_sum(g, g->dy.t[1]);
        return;
    }
    wg_tensor *s = wgi_widened(g->y.t[1]), *dy = wgi_widened(g->dy.t[0]), *ds = g->dy.t[1],
              *weight = g->x.n > WEIGHT ? g->x.t[WEIGHT] : NULL;
    wg_tensor *gap = a->centered ? wg_sub(s, row_mean(s)) : s;
    wg_tensor *rstd = wg_rsqrt(wg_affine(row_mean(wg_square(gap)), 1, a->eps));
    wg_tensor *z = wg_mul(gap, rstd);
    wg_tensor *u = weight ? wg_mul(dy, wg_cast(weight, wg_dtype_of(s))) : dy;
    wg_tensor *d = wg_sub(u, wg_mul(z, row_mean(wg_mul(u, z))));
    if (a->centered) d = wg_sub(d, row_mean(u));
    d = wg_mul(rstd, d);
    put_sum(g, ds ? wg_add(ds, d) : d);
    if (weight && g->wants[WEIGHT]) g->dx.t[WEIGHT] = wg_mul(dy, z);
    if (g->dx.n > BIAS && g->wants[BIAS]) g->dx.t[BIAS] = dy;
}

/* The norm's own kernel, which adds to the residual's cotangent where it lies. */
static void grad_fused(wg_vjp *g)
{
    const wgi_norm_attr *a = g->attr;
    wg_tensor *dy = g->dy.t[0], *ds = g->dy.t[1], *weight = g->x.n > WEIGHT ? g->x.t[WEIGHT] : NULL;
    wg_tensor *mean = a->centered ? g->y.t[2] : NULL, *rstd = g->y.t[a->centered ? 3 : 2];
    if (!dy) {
        put_sum(g, ds);
        return;
    }
    const int sum = g->wants[0] ? 0 : 1,
              to[] = { sum, weight ? wgi_wanted(g, WEIGHT) : -1, wgi_wanted(g, BIAS) };
    const wg_op *op = to[2] >= 0 ? &wgi_op_layer_norm_backward : &wgi_op_norm_backward;
    wg_list in = WG_LIST(dy, g->y.t[1], weight, mean, rstd);
    put_sum(g, wgi_vjp_apply_onto(g, ds, to, op, in, a));
}

/* ---- samples -------------------------------------------------------------------------------------------------- */
static void samples_of(wg_samples *s, bool centered, const char *shape, const char *weight)
{
    const wgi_norm_attr a = wgi_norm_of(1e-5, 0, centered), large = wgi_norm_of(0.5, 0, centered),
                        negative = wgi_norm_of(-1, 0, centered);
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 5)), *r = wg_randn(WG_DIMS(2, 3, 5)),
              *w = wg_randn(WG_DIMS(5)), *b = wg_randn(WG_DIMS(5)), *no = NULL;
    const int64_t n = centered ? 4 : 3;
    wg_sample(s, "plain", (wg_list) { n, (wg_tensor *[]) { x, r, no, no } }, &a);
    wg_sample(s, "weight", (wg_list) { n, (wg_tensor *[]) { x, r, w, no } }, &a);
    if (centered) wg_sample(s, "bias", WG_LIST(x, r, no, b), &a);
    if (centered) wg_sample(s, "both", WG_LIST(x, r, w, b), &a);
    wg_sample(s, "large eps", (wg_list) { n, (wg_tensor *[]) { x, r, w, b } }, &large);
    wg_sample(s, "vector", (wg_list) { n, (wg_tensor *[]) { w, wg_randn(WG_DIMS(5)), w, b } }, &a);
    wg_tensor *none = wg_zeros(WG_DIMS(0, 5));
    wg_sample(s, "no rows", (wg_list) { n, (wg_tensor *[]) { none, none, w, b } }, &a);
    wg_tensor *point = wg_randn(WG_DIMS());
    wg_sample_error(s, "0-d", (wg_list) { n, (wg_tensor *[]) { point, point, no, no } }, &a,
                    WG_ESHAPE, "");
    wg_sample_error(s, "shapes", (wg_list) { n, (wg_tensor *[]) { x, w, no, no } }, &a, WG_ESHAPE,
                    shape);
    wg_sample_error(s, "weight's shape", (wg_list) { n, (wg_tensor *[]) { x, r, point, no } }, &a,
                    WG_ESHAPE, weight);
    wg_tensor *whole = wg_arange(0, 5);
    wg_sample_error(s, "integers", (wg_list) { n, (wg_tensor *[]) { whole, w, w, b } }, &a,
                    WG_EDTYPE, "");
    wg_sample_error(s, "eps", (wg_list) { n, (wg_tensor *[]) { x, r, w, b } }, &negative, WG_EARG,
                    "");
}

static void layer_norm_samples(wg_samples *s)
{
    samples_of(s, true, "add_layer_norm: r should be (2, 3, 5), is (5)",
               "add_layer_norm: weight should be (5), is ()");
}

static void rms_norm_samples(wg_samples *s)
{
    samples_of(s, false, "add_rms_norm: r should be (2, 3, 5), is (5)",
               "add_rms_norm: weight should be (5), is ()");
}

static double flops(const wg_infer *c)
{
    return 2 * (double)wg_numel(c->in.t[0]); /* as add's and the norm's */
}

const wg_op wgi_op_add_layer_norm = {
    .name = "add_layer_norm",
    .in = { "x", "r", "weight?", "bias?" },
    .out = { "y", "s", "mean", "rstd" },
    .attr_size = sizeof(wgi_norm_attr),
    .saves = WG_IN(2) | WG_OUT(1) | WG_OUT(2) | WG_OUT(3),
    .hidden = WG_OUT(2) | WG_OUT(3),
    .infer = infer,
    .cpu = cpu,
    .cuda = cuda,
    .reference = reference,
    .grad = grad,
    .grad_fused = grad_fused,
    .flops = flops,
    .samples = layer_norm_samples,
};

const wg_op wgi_op_add_rms_norm = {
    .name = "add_rms_norm",
    .in = { "x", "r", "weight?" },
    .out = { "y", "s", "rstd" },
    .attr_size = sizeof(wgi_norm_attr),
    .saves = WG_IN(2) | WG_OUT(1) | WG_OUT(2),
    .hidden = WG_OUT(2),
    .infer = infer,
    .cpu = cpu,
    .cuda = cuda,
    .reference = reference,
    .grad = grad,
    .grad_fused = grad_fused,
    .flops = flops,
    .samples = rms_norm_samples,
};

static wg_tensor *add_norm(const wg_op *op, wg_list in, double eps, bool centered, wg_tensor **sum)
{
    const wgi_norm_attr attr = wgi_norm_of(eps == 0 ? 1e-5 : eps, 0, centered);
    return wg_apply(op, in, &attr, sum);
}

wg_tensor *wg_add_layer_norm_call(wg_add_layer_norm_args a)
{
    return add_norm(&wgi_op_add_layer_norm, WG_LIST(a.x, a.r, a.weight, a.bias), a.eps, true,
                    a.sum);
}

wg_tensor *wg_add_rms_norm_call(wg_add_rms_norm_args a)
{
    return add_norm(&wgi_op_add_rms_norm, WG_LIST(a.x, a.r, a.weight), a.eps, false, a.sum);
}
