/* linear_cross_entropy's gradient, a chunk of rows and a block of classes at a time: their logits are computed again and become
 * dlogits, with p = softmax(logits), b the target distribution, s the row's cotangent (divided by the count for a mean):
 *   dlogits = s (p - b),  dx = sum over blocks of dlogits w,  dw = sum over chunks of dlogits^T x,
 *   dbias = column sums of dlogits.
 *   x (..., C), w (V, C), target (...), lse (...), the mean's denominator (), dy () or (...), bias (V)
 *   -> dx, dw and, in the second op, dbias.
 * On the CPU dlogits is rounded once, to bf16, where x and w are bf16; logits, p and all sums stay f32. A result is then
 * off by at most 2^-9 times its sum of magnitudes, as dx = |dlogits| |w|, besides its own rounding: no more than x and w
 * are off by themselves, and what PyTorch's autocast does. Else dlogits is f32, or f64 where an operand is. */
#include "ops/linear_cross_entropy.h"

#include <math.h>

#include "cpu/gemm.h"
#include "cpu/parallel.h"
#include "wengert/ops.h"
#include "cuda/cuda.h"

enum { X, W, TARGET, LSE, DENOMINATOR, DY, BIAS };
/* Of dlogits at a time, but a strip at least: what the last level of cache holds besides w's part, for the two products that
 * read it. */
enum { BLOCK_BYTES = 16 << 20 };

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

/* A call on its way through the backward pass. */
typedef struct {
    const wg_run *run;
    const wgi_linear_loss *l;
    const void *lse, *scale; /* (N) real */
    wgi_logits at;           /* the block */
    int64_t columns;         /* of a block, whole strips; dlogits' row stride */
    wgi_matrix dlogits;      /* (rows, columns) */
    /* Gradients where they are summed: in place, or as "real" in scratch where a 16-bit one would be rounded more than once,
     * or dx's rows lie scattered. dx: a chunk's rows. */
    wgi_matrix dx, dw, db;
    bool dx_apart, dw_apart, db_apart;
} backward;

/* bf16 where both products then take it by pairs, at twice the rate of f32. Not f16: products of it are made in f32 all
 * the same, and a mean's dlogits, p over the count, fall below its 6e-8. */
static wg_dtype dlogits_type(const wgi_linear_loss *l)
{
    const bool pairs = l->x->dtype == WG_BF16 && l->w->dtype == WG_BF16;
    return pairs && l->classes.type == WG_F32 ? WG_BF16 : l->classes.type;
}

static wg_status take_dlogits(backward *b)
{
    const wgi_linear_loss *l = b->l;
    const wg_dtype type = dlogits_type(l);
    const int64_t size = (int64_t)wg_dtype_size(type), rows = l->rows > 0 ? l->rows : 1,
                  strips = BLOCK_BYTES / (rows * size * WGI_LOGITS_STRIP);
    b->columns = (strips > 0 ? strips : 1) * WGI_LOGITS_STRIP;
    if (b->columns > l->classes.classes) b->columns = l->classes.classes;
    void *data = wg_scratch(b->run, (size_t)(l->rows * b->columns * size));
    b->dlogits = (wgi_matrix) { .data = data, .type = type, .row = b->columns, .column = 1 };
    return data ? WG_OK : WG_EMEM;
}

/* ---- where gradients are summed ------------------------------------------------------------------------------------ */
static wg_status take_sums(const backward *b, int64_t rows, int64_t columns, wgi_matrix *sums)
{
    *sums = (wgi_matrix) { .type = b->l->classes.type, .row = columns, .column = 1 };
    return wgi_row_scratch(b->run, rows * columns, sums->type, &sums->data);
}

/* dw's and dbias's. */
static wg_status place_sums(const backward *b, int output, wgi_matrix *m, bool *apart)
{
    const wg_tensor *out = b->run->out.t[output];
    const bool matrix = out->ndim == 2;
    *apart = wgi_is_16bit(out->dtype) && b->l->rows < b->l->classes.rows;
    if (*apart) return take_sums(b, matrix ? out->shape[0] : 1, out->shape[out->ndim - 1], m);
    *m = (wgi_matrix) { .data = wgi_data(out),
                        .type = (wg_dtype)out->dtype,
                        .row = matrix ? out->strides[0] : 0,
                        .column = out->strides[out->ndim - 1] };
    return WG_OK;
}

static wg_status place_dx(backward *b)
{
    const wg_tensor *dx = b->run->out.t[0];
    const wgi_rows rows = wgi_rows_along(dx, dx->ndim - 1);
    b->dx_apart = rows.ndim > 1 || (wgi_is_16bit(dx->dtype) && b->columns < b->l->classes.classes);
    if (b->dx_apart) return take_sums(b, b->l->rows, b->l->c, &b->dx);
    b->dx = (wgi_matrix) {
        .data = rows.data, .type = (wg_dtype)dx->dtype, .row = rows.strides[0], .column = rows.step
    };
    return WG_OK;
}

/* Rows [first, first + n) of a result from sums apart, each element rounded once. */
typedef struct {
    wgi_rows to;
    const wgi_matrix *sums;
    int64_t first;
    bool accumulate;
} settled;

static void settle_rows(void *self, int64_t first, int64_t last)
{
    const settled *g = self;
    const wg_dtype type = (wg_dtype)g->to.type, real = g->sums->type;
    for (int64_t i = first; i < last; i++) {
        const char *from =
            (const char *)g->sums->data + (size_t)(i * g->sums->row) * wg_dtype_size(real);
        char *to = wgi_row_at(&g->to, g->first + i);
        if (!g->accumulate) {
            wgi_copy_strided(to, type, &g->to.step, from, real, (int64_t[]) { 1 }, 1, &g->to.n);
            continue;
        }
        for (int64_t j = 0; j < g->to.n; j++) {
            char *p = to + j * g->to.step * g->to.bytes;
            wgi_store(p, type,
                      wgi_load(p, type) + wgi_load(from + (size_t)j * wg_dtype_size(real), real));
        }
    }
}

static void settle(const backward *b, int output, const wgi_matrix *sums, int64_t first, int64_t n)
{
    const wg_tensor *out = b->run->out.t[output];
    const settled g = { wgi_rows_along(out, out->ndim - 1), sums, first, b->run->accumulate };
    wgi_parallel_for(n, WGI_GRAIN / (g.to.n > 0 ? g.to.n : 1) + 1, settle_rows,
                     (void *)(uintptr_t)&g);
}

/* ---- a block ------------------------------------------------------------------------------------------------------- */
static void make_dlogits(void *self, const wgi_cross_entropy *tile, const wgi_logits *at)
{
    const backward *b = self;
    wgi_cross_entropy part = *tile;
    const wg_dtype real = b->l->classes.type, type = b->dlogits.type;
    const int64_t place = (at->first - b->at.first) * b->columns + at->from - b->at.from;
    part.lse = wgi_linear_loss_at(b->l, b->lse, at->first);
    part.scale = wgi_linear_loss_at(b->l, b->scale, at->first);
    part.dlogits = wgi_rows_plain((char *)b->dlogits.data + (size_t)place * wg_dtype_size(type),
                                  type, at->n, at->v);
    part.dlogits.strides[0] = b->columns;
    wgi_cross_entropy_part_backward(&part, real);
}

/* c = [c +] a b, c from element `at` on. */
static wg_status product(int64_t m, int64_t n, int64_t k, const wgi_matrix *a, const wgi_matrix *b,
                         const wgi_matrix *c, int64_t at, bool add)
{
    wgi_gemm_args g = {
        .m = m, .n = n, .k = k, .a = *a, .b = *b, .c = *c, .alpha = 1, .beta = add ? 1 : 0
    };
    g.c.data = (char *)c->data + at * (int64_t)wg_dtype_size(c->type);
    return wgi_gemm(&g);
}

static wg_status add_dx(const backward *b)
{
    const wgi_linear_loss *l = b->l;
    const wgi_logits *at = &b->at;
    const wgi_matrix w = { .data = wgi_element(l->w, at->from * l->c),
                           .type = (wg_dtype)l->w->dtype,
                           .row = l->c,
                           .column = 1 };
    return product(at->n, l->c, at->v, &b->dlogits, &w, &b->dx,
                   b->dx_apart ? 0 : at->first * b->dx.row,
                   at->from > 0 || (b->run->accumulate && !b->dx_apart));
}

static wg_status add_sums(const backward *b)
{
    static const float one_f32 = 1;
    static const double one_f64 = 1;
    const wgi_linear_loss *l = b->l;
    const wgi_logits *at = &b->at;
    const bool accumulate = b->run->accumulate;
    wgi_matrix turned = b->dlogits;
    turned.row = b->dlogits.column;
    turned.column = b->dlogits.row;
    const wgi_matrix x = { .data = wgi_element(l->x, at->first * l->c),
                           .type = (wg_dtype)l->x->dtype,
                           .row = l->c,
                           .column = 1 };
    wg_status s = product(at->v, l->c, at->n, &turned, &x, &b->dw, at->from * b->dw.row,
                          at->first > 0 || (accumulate && !b->dw_apart));
    if (s != WG_OK || b->run->out.n < 3) return s;
    /* column sums: a row of ones times dlogits */
    const wgi_matrix ones = { .data = l->classes.type == WG_F64 ? (void *)(uintptr_t)&one_f64
                                                                : (void *)(uintptr_t)&one_f32,
                              .type = l->classes.type };
    return product(1, at->v, at->n, &ones, &b->dlogits, &b->db, at->from * b->db.column,
                   at->first > 0 || (accumulate && !b->db_apart));
}

/* Products over no rows or no classes still write zeros. */
static wg_status chunk_backward(backward *b)
{
    const int64_t classes = b->l->classes.classes;
    wg_status s = WG_OK;
    b->at.from = 0;
    do {
        const int64_t left = classes - b->at.from;
        b->at.v = left < b->columns ? left : b->columns;
        s = wgi_linear_loss_tiles(b->l, &b->at, make_dlogits, b);
        if (s == WG_OK) s = add_dx(b);
        if (s == WG_OK) s = add_sums(b);
        b->at.from += b->at.v;
    } while (s == WG_OK && b->at.from < classes);
    if (s == WG_OK && b->dx_apart) settle(b, 0, &b->dx, b->at.first, b->at.n);
    return s;
}

static wg_status all_chunks(backward *b)
{
    const int64_t rows = b->l->classes.rows;
    wg_status s = WG_OK;
    do {
        const int64_t left = rows - b->at.first;
        b->at.n = left < b->l->rows ? left : b->l->rows;
        s = chunk_backward(b);
        b->at.first += b->at.n;
    } while (s == WG_OK && b->at.first < rows);
    if (s == WG_OK && b->dw_apart) settle(b, 1, &b->dw, 0, b->l->classes.classes);
    if (s == WG_OK && b->db_apart) settle(b, 2, &b->db, 0, 1);
    return s;
}

static wg_status backward_cpu(const wg_run *r)
{
    wgi_linear_loss l;
    backward b = { .run = r, .l = &l };
    wg_status s = wgi_linear_loss_begin(r, r->in.n > BIAS ? r->in.t[BIAS] : NULL, &l);
    if (s == WG_OK) s = wgi_class_scale(r, &l.classes, r->in.t[DY], r->in.t[DENOMINATOR], &b.scale);
    if (s == WG_OK) s = wgi_flat(r, r->in.t[LSE], l.classes.type, &b.lse);
    if (s == WG_OK) s = take_dlogits(&b);
    if (s == WG_OK) s = place_dx(&b);
    if (s == WG_OK) s = place_sums(&b, 1, &b.dw, &b.dw_apart);
    if (s == WG_OK && r->out.n > 2) s = place_sums(&b, 2, &b.db, &b.db_apart);
    return s == WG_OK ? all_chunks(&b) : s;
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
