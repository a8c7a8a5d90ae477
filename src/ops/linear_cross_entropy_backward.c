/* linear_cross_entropy's gradient, a chunk of rows at a time: the chunk's logits are computed again and become dlogits
 * in place, with p = softmax(logits), b the target distribution, s the row's cotangent (divided by the count for a mean):
 *   dlogits = s (p - b),  dx = dlogits w,  dw = sum over chunks of dlogits^T x,  dbias = column sums of dlogits.
 *   x (..., C), w (V, C), target (...), lse (...), the mean's denominator (), dy () or (...), bias (V)
 *   -> dx, dw and, in the second op, dbias.
 * On the CPU dlogits is rounded once, to bf16, where x and w are bf16; logits, p and all sums stay f32. A result is then
 * off by at most 2^-9 times its sum of magnitudes, as dx = |dlogits| |w|, besides its own rounding: no more than x and w
 * are off by themselves, and what PyTorch's autocast does. Else dlogits is f32, or f64 where an operand is. */
#include "ops/linear_cross_entropy.h"

#include <math.h>

#include "cpu/gemm.h"
#include "wengert/ops.h"
#include "cuda/cuda.h"

enum { X, W, TARGET, LSE, DENOMINATOR, DY, BIAS };

static wg_status backward_infer(wg_infer *c)
{
    const wg_tensor *bias = c->in.n > BIAS ? c->in.t[BIAS] : NULL;
    wg_status s = wgi_linear_loss_check(c, bias);
    if (s != WG_OK) return s;
    const wgi_linear_loss_attr *attr = c->attr;
    const wg_dims rows = wgi_shape(c->in.t[TARGET]);
    if ((s = wg_expect(c, LSE, rows)) != WG_OK ||
        (s = wg_expect(c, DENOMINATOR, WG_DIMS())) != WG_OK)
        return s;
    if ((s = wg_expect(c, DY, attr->loss.reduction == WG_NONE ? rows : WG_DIMS())) != WG_OK)
        return s;
    if (!wgi_is_float(c->in.t[LSE]->dtype) || !wgi_is_float(c->in.t[DY]->dtype))
        return wg_raise(WG_EDTYPE, "lse and dy should be floating");
    wg_infer_like(c, 0, c->in.t[X]);
    wg_infer_like(c, 1, c->in.t[W]);
    if (c->n_out > 2) wg_infer_like(c, 2, bias);
    return WG_OK;
}

/* Where a gradient is summed over the chunks: in place, or in `real` first, so that a 16-bit one is rounded once. */
typedef struct {
    wg_tensor *out;
    wgi_matrix matrix;
    wg_tensor view; /* the sum as a tensor, if it is not in place */
    bool apart;
} gathered;

static wg_status gather_begin(const wg_run *r, const wgi_linear_loss *l, int output, gathered *g)
{
    wg_tensor *out = r->out.t[output];
    *g = (gathered) { .out = out };
    const bool matrix = out->ndim == 2;
    g->apart = wgi_is_16bit(out->dtype) && l->chunk < l->classes.rows;
    g->matrix = (wgi_matrix) { .data = wgi_data(out),
                               .type = (wg_dtype)out->dtype,
                               .row = matrix ? out->strides[0] : 0,
                               .column = out->strides[out->ndim - 1] };
    if (!g->apart) return WG_OK;
    g->matrix.type = l->classes.type;
    g->matrix.row = matrix ? out->shape[1] : 0;
    g->matrix.column = 1;
    return wgi_row_scratch(r, out->numel, l->classes.type, &g->matrix.data);
}

/* Adds or copies what was summed apart into the output; rounded once. */
static void gather_end(const wg_run *r, const wgi_linear_loss *l, const gathered *g)
{
    if (!g->apart) return;
    const wg_tensor *out = g->out;
    const int64_t columns = out->shape[out->ndim - 1];
    for (int64_t i = 0; i < out->numel; i++) {
        const int64_t at = (out->ndim == 2 ? i / columns * out->strides[0] : 0) +
                           i % columns * out->strides[out->ndim - 1];
        char *p = (char *)wgi_data(out) + (size_t)at * wg_dtype_size((wg_dtype)out->dtype);
        const double sum = wgi_load(wgi_linear_loss_at(l, g->matrix.data, i), l->classes.type);
        wgi_store(p, (wg_dtype)out->dtype,
                  r->accumulate ? sum + wgi_load(p, (wg_dtype)out->dtype) : sum);
    }
}

/* bf16 where both products then take it by pairs, at twice the rate of f32. Not f16: products of it are made in f32 all
 * the same, and a mean's dlogits, p over the count, fall below its 6e-8. */
static wg_dtype dlogits_type(const wgi_linear_loss *l)
{
    const bool pairs = l->x->dtype == WG_BF16 && l->w->dtype == WG_BF16;
    return pairs && l->classes.type == WG_F32 ? WG_BF16 : l->classes.type;
}

/* Elements between rows of dlogits: a row lies over the front of its own logits, so that none of either is in another
 * row's way. */
static int64_t dlogits_stride(const wgi_linear_loss *l)
{
    return l->classes.classes *
           (int64_t)(wg_dtype_size(l->classes.type) / wg_dtype_size(dlogits_type(l)));
}

static wgi_matrix dlogits_matrix(const wgi_linear_loss *l) /* (chunk, V) */
{
    return (wgi_matrix) {
        .data = l->logits, .type = dlogits_type(l), .row = dlogits_stride(l), .column = 1
    };
}

/* The logits of n rows from `first` on become dlogits, each piece of a row after it was read. */
static void make_dlogits(const wgi_linear_loss *l, int64_t first, int64_t n, const void *lse,
                         const void *scale)
{
    wgi_cross_entropy rows = wgi_linear_loss_rows(l, first, n);
    rows.lse = wgi_linear_loss_at(l, lse, first);
    rows.scale = wgi_linear_loss_at(l, scale, first);
    rows.dlogits = wgi_rows_plain(l->logits, dlogits_type(l), n, l->classes.classes);
    rows.dlogits.strides[0] = dlogits_stride(l);
    wgi_cross_entropy_rows_backward(&rows, l->classes.type);
}

/* c = [c +] a b with the chunk's dlogits as a. */
static wg_status product(int64_t m, int64_t n, int64_t k, wgi_matrix a, wgi_matrix b, wgi_matrix c,
                         bool add)
{
    const wgi_gemm_args g = {
        .m = m, .n = n, .k = k, .a = a, .b = b, .c = c, .alpha = 1, .beta = add ? 1 : 0
    };
    return wgi_gemm(&g);
}

/* The axes over dx's rows as one, if its strides allow it. */
static bool rows_as_one(const wg_tensor *dx, int64_t n, int64_t c, wg_dims *strides)
{
    const wg_dims shape = wgi_shape(dx), have = wgi_strides(dx), to = { 2, { n, c } };
    return wgi_view_strides(&shape, &have, &to, strides);
}

static wg_status chunk_dx(const wg_run *r, const wgi_linear_loss *l, int64_t first, int64_t n)
{
    wg_tensor *dx = r->out.t[0];
    const size_t size = wg_dtype_size((wg_dtype)dx->dtype);
    const wgi_matrix d = dlogits_matrix(l);
    const wgi_matrix w = {
        .data = wgi_data(l->w), .type = (wg_dtype)l->w->dtype, .row = l->c, .column = 1
    };
    wgi_matrix to = { .type = (wg_dtype)dx->dtype };
    wg_dims s;
    if (rows_as_one(dx, l->classes.rows, l->c, &s)) {
        to.data = (char *)wgi_data(dx) + (size_t)(first * s.d[0]) * size;
        to.row = s.d[0];
        to.column = s.d[1];
        return product(n, l->c, l->classes.classes, d, w, to, r->accumulate);
    }
    const wgi_rows rows = wgi_rows_along(dx, dx->ndim - 1);
    for (int64_t i = 0; i < n; i++) { /* a place of scattered rows */
        wgi_matrix one = d;
        one.data = wgi_linear_loss_at(l, l->logits, i * l->classes.classes);
        to.data = wgi_row_at(&rows, first + i);
        to.row = to.column = rows.step;
        wg_status status = product(1, l->c, l->classes.classes, one, w, to, r->accumulate);
        if (status != WG_OK) return status;
    }
    return WG_OK;
}

static wg_status chunk_sums(const wg_run *r, const wgi_linear_loss *l, int64_t first, int64_t n,
                            gathered *dw, gathered *db)
{
    static const float one_f32 = 1;
    static const double one_f64 = 1;
    const wg_tensor *x = l->x;
    const bool add = first > 0 || (r->accumulate && !dw->apart),
               add_bias = first > 0 || (r->accumulate && !db->apart);
    const wgi_matrix d = dlogits_matrix(l);
    wgi_matrix turned = d;
    turned.row = d.column;
    turned.column = d.row;
    const wgi_matrix rows = { .data = (char *)wgi_data(x) +
                                      (size_t)(first * l->c) * wg_dtype_size((wg_dtype)x->dtype),
                              .type = (wg_dtype)x->dtype,
                              .row = l->c,
                              .column = 1 };
    wg_status s = product(l->classes.classes, l->c, n, turned, rows, dw->matrix, add);
    if (s != WG_OK || !db->out) return s;
    /* column sums: a row of ones times dlogits */
    const wgi_matrix ones = { .data = l->classes.type == WG_F64 ? (void *)(uintptr_t)&one_f64
                                                                : (void *)(uintptr_t)&one_f32,
                              .type = l->classes.type };
    return product(1, l->classes.classes, n, ones, d, db->matrix, add_bias);
}

/* A product over no rows still writes zeros. */
static wg_status backward_cpu(const wg_run *r)
{
    wgi_linear_loss l;
    gathered dw, db = { .out = NULL };
    const void *scale, *lse;
    wg_status s = wgi_linear_loss_begin(r, r->in.n > BIAS ? r->in.t[BIAS] : NULL, &l);
    if (s == WG_OK) s = wgi_class_scale(r, &l.classes, r->in.t[DY], r->in.t[DENOMINATOR], &scale);
    if (s == WG_OK) s = wgi_flat(r, r->in.t[LSE], l.classes.type, &lse);
    if (s == WG_OK) s = gather_begin(r, &l, 1, &dw);
    if (s == WG_OK && r->out.n > 2) s = gather_begin(r, &l, 2, &db);
    if (s == WG_OK && l.classes.rows == 0) s = chunk_sums(r, &l, 0, 0, &dw, &db);
    for (int64_t first = 0; first < l.classes.rows && s == WG_OK; first += l.chunk) {
        const int64_t n = l.classes.rows - first < l.chunk ? l.classes.rows - first : l.chunk;
        if ((s = wgi_linear_loss_logits(&l, first, n)) != WG_OK) break;
        make_dlogits(&l, first, n, lse, scale);
        if ((s = chunk_dx(r, &l, first, n)) == WG_OK) s = chunk_sums(r, &l, first, n, &dw, &db);
    }
    if (s != WG_OK) return s;
    gather_end(r, &l, &dw);
    if (db.out) gather_end(r, &l, &db);
    return WG_OK;
}

static wg_status backward_cuda(const wg_run *r)
{
    const wgi_linear_loss_attr *attr = r->attr;
    const wgi_cuda_class_loss a = { attr->loss.ignore, attr->loss.smoothing, attr->loss.reduction,
                                    false };
    return wgi_cuda_linear_loss_backward(r, &a, attr->chunk, r->in.n > BIAS ? r->in.t[BIAS] : NULL);
}

/* ---- reference ------------------------------------------------------------------------------------------------- */
static wg_status backward_reference(const wg_run *r)
{
    const wgi_linear_loss_attr *attr = r->attr;
    const wg_tensor *target = r->in.t[TARGET];
    const double *x = wg_run_in(r, X), *w = wg_run_in(r, W), *bias = wg_run_in(r, BIAS),
                 *lse = wg_run_in(r, LSE);
    const double *dy = wg_run_in(r, DY), *denominator = wg_run_in(r, DENOMINATOR);
    const int64_t c = r->in.t[W]->shape[1], v = r->in.t[W]->shape[0];
    double *dx = wg_run_out(r, 0), *dw = wg_run_out(r, 1), *dbias = wg_run_out(r, 2);
    for (int i = 0; i < r->out.n; i++)
        if (r->out.t[i]->numel)
            memset(wgi_data(r->out.t[i]), 0, (size_t)r->out.t[i]->numel * sizeof(double));
    for (int64_t i = 0; i < target->numel; i++) {
        const wg_dtype type = (wg_dtype)target->dtype;
        const int64_t t =
            wgi_load_int((const char *)wgi_data(target) + (size_t)i * wg_dtype_size(type), type);
        const double s = attr->loss.reduction == WG_NONE ? dy[i] : dy[0] / denominator[0],
                     e = attr->loss.smoothing;
        for (int64_t j = 0; j < v && t != attr->loss.ignore; j++) {
            double logit = bias ? bias[j] : 0;
            for (int64_t l = 0; l < c; l++) logit += x[i * c + l] * w[j * c + l];
            const double d = s * (exp(logit - lse[i]) - (t == j ? 1 - e : 0) - e / (double)v);
            for (int64_t l = 0; l < c; l++) {
                dx[i * c + l] += d * w[j * c + l];
                dw[j * c + l] += d * x[i * c + l];
            }
            if (dbias) dbias[j] += d;
        }
    }
    return WG_OK;
}

/* The logits again, and two products. */
static double backward_flops(const wg_infer *c)
{
    return 6 * (double)c->in.t[X]->numel * (double)c->in.t[W]->shape[0];
}

static void samples(wg_samples *s, wg_tensor *bias)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4)), *w = wg_randn(WG_DIMS(5, 4)),
              *one = wg_randn(WG_DIMS());
    wg_tensor *t =
        wg_from((int64_t[]) { 0, 4, 2, -1, 2, 3 }, 6 * sizeof(int64_t), WG_I64, WG_DIMS(2, 3));
    wg_tensor *lse = wg_logsumexp(wg_linear(x, w, bias), WG_DIMS(-1), false),
              *five = wg_full(WG_DIMS(), 5);
    wgi_linear_loss_attr a = { wgi_class_loss(WG_JUST(-1), 0, WG_MEAN), 0 };
    wg_sample(s, "mean", WG_LIST(x, w, t, lse, five, one, bias), &a);
    a.chunk = 4;
    a.loss.smoothing = 0.2;
    wg_sample(s, "chunks, smoothed", WG_LIST(x, w, t, lse, five, one, bias), &a);
    wg_sample_error(s, "lse", WG_LIST(x, w, t, five, five, one, bias), &a, WG_ESHAPE,
                    "linear_cross_entropy_backward");
    a.loss.reduction = WG_NONE;
    wg_sample(s, "none", WG_LIST(x, w, t, lse, five, wg_randn(WG_DIMS(2, 3)), bias), &a);
}

static void plain_samples(wg_samples *s)
{
    samples(s, NULL);
}

static void bias_samples(wg_samples *s)
{
    samples(s, wg_randn(WG_DIMS(5)));
}

const wg_op wgi_op_linear_cross_entropy_backward = {
    .name = "linear_cross_entropy_backward",
    .in = { "x", "w", "target", "lse", "denominator", "dy", "bias?" }, /* bias is NULL */
    .out = { "dx", "dw" },
    .attr_size = sizeof(wgi_linear_loss_attr),
    .flags = WG_OP_GRAD_NONE | WG_OP_ACCUMULATE | WG_OP_CONTIGUOUS,
    .infer = backward_infer,
    .cpu = backward_cpu,
    .cuda = backward_cuda,
    .reference = backward_reference,
    .flops = backward_flops,
    .samples = plain_samples,
};

const wg_op wgi_op_linear_cross_entropy_backward_bias = {
    .name = "linear_cross_entropy_backward_bias",
    .in = { "x", "w", "target", "lse", "denominator", "dy", "bias" },
    .out = { "dx", "dw", "dbias" },
    .attr_size = sizeof(wgi_linear_loss_attr),
    .flags = WG_OP_GRAD_NONE | WG_OP_ACCUMULATE | WG_OP_CONTIGUOUS,
    .infer = backward_infer,
    .cpu = backward_cpu,
    .cuda = backward_cuda,
    .reference = backward_reference,
    .flops = backward_flops,
    .samples = bias_samples,
};
