/* linear_cross_entropy: the logits of a chunk of rows at a time, by a product; in the gradient they
 * are made again and become their own gradient in place. */
#include "cpu/rows.h"
#include "cuda/cuda.h"
#include "cuda/operands.h"
#include "cuda/rows.h"
#include "ops/linear_cross_entropy.h"

enum { X, W, TARGET, LSE, DENOMINATOR, DY };
static const int64_t chunk_bytes = 1 << 30; /* of logits, unless the caller says how many rows */

typedef struct {
    const wg_tensor *x, *w, *bias; /* contiguous */
    wg_dtype real;
    int64_t rows, width, classes, chunk; /* x (rows, width), w (classes, width) */
    const int64_t *target;
    void *logits; /* (chunk, classes) real */
} linear_loss;

static void *at(const linear_loss *l, const void *p, int64_t i) /* element i of p (real) */
{
    return (char *)(uintptr_t)p + i * (int64_t)wg_dtype_size(l->real);
}

static wg_status begin(const wg_run *r, const wgi_cuda_class_loss *a, int64_t chunk,
                       const wg_tensor *bias, linear_loss *l)
{
    const wg_tensor *x = r->in.t[X], *w = r->in.t[W];
    const bool f64 = x->dtype == WG_F64 || w->dtype == WG_F64 || (bias && bias->dtype == WG_F64);
    *l = (linear_loss) { .x = x,
                         .w = w,
                         .bias = bias,
                         .real = f64 ? WG_F64 : WG_F32,
                         .rows = r->in.t[TARGET]->numel,
                         .width = w->shape[1],
                         .classes = w->shape[0] };
    if (chunk == 0) chunk = wgi_linear_loss_chunk(l->rows, l->classes, l->real, chunk_bytes);
    l->chunk = chunk < l->rows ? chunk : l->rows;
    const wg_dims size = { 2, { l->chunk, l->classes } };
    const int64_t numel = wgi_numel(&size);
    if (numel < 0)
        return wg_raise(WG_EMEM, "a chunk of %lld rows is too large", (long long)l->chunk);
    const wg_status s =
        wgi_cuda_read_targets(r, r->in.t[TARGET], l->classes, a->ignore, &l->target);
    return s == WG_OK ? wgi_row_scratch(r, numel, l->real, &l->logits) : s;
}

static wgi_matrix rows_of_x(const linear_loss *l, int64_t first)
{
    const wg_tensor *x = l->x;
    return (wgi_matrix) { .data = (char *)wgi_data(x) +
                                  first * l->width * (int64_t)wg_dtype_size((wg_dtype)x->dtype),
                          .type = (wg_dtype)x->dtype,
                          .row = l->width,
                          .column = 1 };
}

static wgi_matrix logits_matrix(const linear_loss *l)
{
    return (wgi_matrix) { .data = l->logits, .type = l->real, .row = l->classes, .column = 1 };
}

/* Rows [first, first + n) of the logits. */
static wg_status make_logits(const wg_run *r, const linear_loss *l, int64_t first, int64_t n)
{
    const wgi_gemm_args g = { .m = n,
                              .n = l->classes,
                              .k = l->width,
                              .a = rows_of_x(l, first),
                              .b = { .data = wgi_data(l->w),
                                     .type = (wg_dtype)l->w->dtype,
                                     .row = 1,
                                     .column = l->width },
                              .c = logits_matrix(l),
                              .bias = l->bias ? wgi_data(l->bias) : NULL,
                              .bias_type = l->bias ? (wg_dtype)l->bias->dtype : l->real,
                              .bias_stride = 1,
                              .alpha = 1 };
    return wgi_cuda_gemm(r, &g);
}

/* The row kernels' view of them. */
static wgi_classes_launch classes_of(const linear_loss *l, const wgi_cuda_class_loss *a,
                                     int64_t first, int64_t n)
{
    wgi_classes_launch c = { .f64 = l->real == WG_F64,
                             .rows = n,
                             .n = l->classes,
                             .target = l->target + first,
                             .ignore = a->ignore,
                             .smoothing = a->smoothing };
    c.x =
        (wgi_lines) { .data = l->logits, .type = (int)l->real, .lines = { .count = 1 }, .step = 1 };
    wgi_axes_push(&c.x.lines, n, l->classes);
    return c;
}

static int64_t chunk_at(const linear_loss *l, int64_t first)
{
    return l->rows - first < l->chunk ? l->rows - first : l->chunk;
}

wg_status wgi_cuda_linear_loss(const wg_run *r, const wgi_cuda_class_loss *a, int64_t chunk,
                               const wg_tensor *bias)
{
    linear_loss l;
    void *loss = a->reduction == WG_NONE ? wg_run_out(r, 0) : NULL, *lse = wg_run_out(r, 1);
    wg_status s = begin(r, a, chunk, bias, &l);
    if (s == WG_OK && !loss) s = wgi_row_scratch(r, l.rows, l.real, &loss);
    if (s == WG_OK && !lse) s = wgi_row_scratch(r, l.rows, l.real, &lse);
    for (int64_t first = 0; s == WG_OK && first < l.rows; first += l.chunk) {
        const int64_t n = chunk_at(&l, first);
        if ((s = make_logits(r, &l, first, n)) != WG_OK) break;
        wgi_classes_launch c = classes_of(&l, a, first, n);
        c.loss = at(&l, loss, first);
        c.lse = at(&l, lse, first);
        wgi_launch_classes(&c, r->stream);
    }
    if (s != WG_OK) return s;
    const wg_tensor *y = r->out.t[0], *d = r->out.n > 2 ? r->out.t[2] : NULL;
    const wgi_class_sum sum = { .f64 = l.real == WG_F64,
                                .mean = a->reduction == WG_MEAN,
                                .rows = l.rows,
                                .loss = loss,
                                .target = l.target,
                                .ignore = a->ignore,
                                .out = a->reduction == WG_NONE ? NULL : wgi_data(y),
                                .at = d ? wgi_data(d) : NULL,
                                .out_type = y->dtype,
                                .at_type = d ? d->dtype : WG_F32 };
    if (sum.out || sum.at) wgi_launch_class_sum(&sum, r->stream);
    return WG_OK;
}

/* ---- gradient ---- */

/* A gradient that is summed apart, contiguous and in `real`, and put into its place at the end: any
 * strides, rounded once. */
static wg_status put_apart(const wg_run *r, const linear_loss *l, int output, const void *from)
{
    const wg_tensor *out = r->out.t[output];
    const wg_dims shape = wgi_shape(out), strides = wgi_row_major(&shape);
    return wgi_cuda_add_strided(r, wgi_data(out), (wg_dtype)out->dtype, out->strides, from, l->real,
                                strides.d, out->ndim, out->shape, r->accumulate);
}

typedef struct {
    void *dx, *dw, *dbias; /* real: (rows, width), (classes, width), (classes) */
} sums;

static wg_status open_sums(const wg_run *r, const linear_loss *l, sums *s)
{
    *s = (sums) { 0 };
    wg_status e = wgi_row_scratch(r, l->rows * l->width, l->real, &s->dx);
    if (e == WG_OK) e = wgi_row_scratch(r, l->classes * l->width, l->real, &s->dw);
    if (e == WG_OK && r->out.n > 2) e = wgi_row_scratch(r, l->classes, l->real, &s->dbias);
    return e;
}

/* dx = dlogits w, dw += dlogits^T x, dbias += the columns' sums of dlogits; of one chunk. */
static wg_status add_chunk(const wg_run *r, const linear_loss *l, const sums *s, int64_t first,
                           int64_t n)
{
    const wgi_matrix d = logits_matrix(l), turned = {
        .data = l->logits, .type = l->real, .row = 1, .column = l->classes
    };
    const wgi_gemm_args dx = { .m = n,
                               .n = l->width,
                               .k = l->classes,
                               .a = d,
                               .b = { .data = wgi_data(l->w),
                                      .type = (wg_dtype)l->w->dtype,
                                      .row = l->width,
                                      .column = 1 },
                               .c = { .data = at(l, s->dx, first * l->width),
                                      .type = l->real,
                                      .row = l->width,
                                      .column = 1 },
                               .alpha = 1 };
    const wgi_gemm_args dw = {
        .m = l->classes,
        .n = l->width,
        .k = n,
        .a = turned,
        .b = rows_of_x(l, first),
        .c = { .data = s->dw, .type = l->real, .row = l->width, .column = 1 },
        .alpha = 1,
        .beta = first > 0
    };
    wg_status e = n > 0 ? wgi_cuda_gemm(r, &dx) : WG_OK;
    if (e == WG_OK) e = wgi_cuda_gemm(r, &dw); /* over no rows it writes zeros */
    if (e == WG_OK && s->dbias && l->classes > 0)
        wgi_launch_sum_blocks(l->logits, l->real == WG_F64, n, l->classes, s->dbias, (int)l->real,
                              1, first > 0, r->stream);
    return e;
}

wg_status wgi_cuda_linear_loss_backward(const wg_run *r, const wgi_cuda_class_loss *a,
                                        int64_t chunk, const wg_tensor *bias)
{
    const wg_tensor *dy = r->in.t[DY], *denominator = r->in.t[DENOMINATOR];
    const void *lse = NULL, *scale = NULL;
    linear_loss l;
    sums sum;
    wg_status s = begin(r, a, chunk, bias, &l);
    if (s == WG_OK) s = wgi_flat(r, r->in.t[LSE], l.real, &lse);
    if (s == WG_OK && a->reduction == WG_NONE) s = wgi_flat(r, dy, l.real, &scale);
    if (s == WG_OK) s = open_sums(r, &l, &sum);
    if (s == WG_OK && l.rows == 0) s = add_chunk(r, &l, &sum, 0, 0);
    for (int64_t first = 0; s == WG_OK && first < l.rows; first += l.chunk) {
        const int64_t n = chunk_at(&l, first);
        if ((s = make_logits(r, &l, first, n)) != WG_OK) break;
        wgi_classes_launch c = classes_of(&l, a, first, n);
        c.dx = c.x;
        c.lse = at(&l, lse, first);
        c.scale = scale ? at(&l, scale, first) : NULL;
        c.dy = wgi_data(dy);
        c.dy_type = dy->dtype;
        c.denominator = wgi_data(denominator);
        c.denominator_type = denominator->dtype;
        if (l.classes > 0) wgi_launch_classes_backward(&c, r->stream);
        s = add_chunk(r, &l, &sum, first, n);
    }
    if (s == WG_OK) s = put_apart(r, &l, 0, sum.dx);
    if (s == WG_OK) s = put_apart(r, &l, 1, sum.dw);
    return s == WG_OK && sum.dbias ? put_apart(r, &l, 2, sum.dbias) : s;
}
