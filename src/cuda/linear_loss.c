/* linear_cross_entropy: the logits of a chunk of rows at a time, by a product; they become their own gradient in place.
 * Where the loss is reduced, the gradients with respect to x, w and bias are made right after the logits, for a cotangent
 * of 1 and without the mean's division, so that logits are made once. source: Hsu et al., arXiv:2410.10989, section 3.2. */
#include "cpu/rows.h"
#include "cuda/cuda.h"
#include "cuda/operands.h"
#include "cuda/rows.h"
#include "ops/linear_cross_entropy.h"
#include "ops/product_op.h"

enum { X, W, TARGET, LSE, DENOMINATOR, DY };
static const int64_t chunk_bytes = 1 << 30; /* of logits, unless the caller says how many rows */

typedef struct {
    const wg_tensor *x, *w, *bias; /* contiguous */
    wg_dtype real;                 /* of losses and sums: f32 or f64 */
    wg_dtype type; /* of logits: x's and w's where both have one 16-bit type, else real */
    int64_t rows, width, classes, chunk; /* x (rows, width), w (classes, width) */
    int64_t ld; /* of logits, so that their rows begin where products want them */
    const int64_t *target;
    void *logits; /* (chunk, ld) type */
    void *ones;   /* (chunk) type, where bias has a gradient */
    double unit;  /* what dlogits are multiples of */
} linear_loss;

/* Of f16 dlogits without a cotangent: probabilities down to 4e-9 are normal numbers then. */
static const double f16_unit = 0x1p-14;

/* Element i of p. */
static void *at(const void *p, wg_dtype type, int64_t i)
{
    return (char *)(uintptr_t)p + i * (int64_t)wg_dtype_size(type);
}

static wg_dtype logits_type(const linear_loss *l)
{
    const bool low = l->x->dtype == l->w->dtype && wgi_is_16bit(l->x->dtype);
    return low && l->real == WG_F32 ? (wg_dtype)l->x->dtype : l->real;
}

/* Whole 128 bytes of 16 bits each. */
static int64_t padded(int64_t classes)
{
    return classes > 64 ? (classes + 63) / 64 * 64 : (classes + 7) / 8 * 8;
}

static wg_status begin(const wg_run *r, const wgi_cuda_class_loss *a, int64_t chunk,
                       const wg_tensor *bias, linear_loss *l)
{
    const wg_tensor *x = r->in.t[X], *w = r->in.t[W];
    *l = (linear_loss) { .x = x,
                         .w = w,
                         .bias = bias,
                         .real = wgi_linear_loss_dtype(x, w, bias),
                         .rows = r->in.t[TARGET]->numel,
                         .width = w->shape[1],
                         .classes = w->shape[0] };
    l->type = logits_type(l);
    l->unit = 1;
    l->ld = padded(l->classes);
    if (chunk == 0) chunk = wgi_linear_loss_chunk(l->rows, l->ld, l->type, chunk_bytes);
    l->chunk = chunk < l->rows ? chunk : l->rows;
    const wg_dims size = { 2, { l->chunk, l->ld } };
    const int64_t numel = wgi_numel(&size);
    if (numel < 0)
        return wg_raise(WG_EMEM, "a chunk of %lld rows is too large", (long long)l->chunk);
    const wg_status s =
        wgi_cuda_read_targets(r, r->in.t[TARGET], l->classes, a->ignore, &l->target);
    return s == WG_OK ? wgi_row_scratch(r, numel, l->type, &l->logits) : s;
}

static wgi_matrix rows_of_x(const linear_loss *l, int64_t first)
{
    const wg_dtype type = (wg_dtype)l->x->dtype;
    return (wgi_matrix) { .data = at(wgi_data(l->x), type, first * l->width),
                          .type = type,
                          .row = l->width,
                          .column = 1 };
}

/* Rows [first, first + n) of the logits. */
static wg_status make_logits(const wg_run *r, const linear_loss *l, int64_t first, int64_t n)
{
    const wgi_gemm_args g = {
        .m = n,
        .n = l->classes,
        .k = l->width,
        .a = rows_of_x(l, first),
        .b = { .data = wgi_data(l->w),
               .type = (wg_dtype)l->w->dtype,
               .row = 1,
               .column = l->width },
        .c = { .data = l->logits, .type = l->type, .row = l->ld, .column = 1 },
        .bias = l->bias ? wgi_data(l->bias) : NULL,
        .bias_type = l->bias ? (wg_dtype)l->bias->dtype : l->real,
        .bias_stride = 1,
        .alpha = 1
    };
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
        (wgi_lines) { .data = l->logits, .type = (int)l->type, .lines = { .count = 1 }, .step = 1 };
    wgi_axes_push(&c.x.lines, n, l->ld);
    return c;
}

static int64_t chunk_at(const linear_loss *l, int64_t first)
{
    return l->rows - first < l->chunk ? l->rows - first : l->chunk;
}

/* ---- gradient ---- */

/* Where the gradients of all rows go: dx (rows, width), dw (classes, width) and, if bias has one, db (classes), all
 * row-major. */
typedef struct {
    wgi_matrix dx, dw, db; /* data NULL: not wanted */
} gradients;

static wg_status take_ones(const wg_run *r, linear_loss *l)
{
    const int64_t one = 1;
    wg_status s = wgi_row_scratch(r, l->chunk, l->type, &l->ones);
    return s != WG_OK ? s : wgi_cuda_fill_strided(r, l->ones, l->type, &one, 1, &l->chunk, 1);
}

/* dx = dlogits w, dw += dlogits^T x, db += the columns' sums of dlogits; of one chunk. */
static wg_status add_chunk(const wg_run *r, const linear_loss *l, const gradients *g, int64_t first,
                           int64_t n)
{
    const wgi_matrix d = { .data = l->logits, .type = l->type, .row = l->ld, .column = 1 },
                     turned = { .data = l->logits, .type = l->type, .row = 1, .column = l->ld };
    wgi_gemm_args dx = { .m = n,
                         .n = l->width,
                         .k = l->classes,
                         .a = d,
                         .b = { .data = wgi_data(l->w),
                                .type = (wg_dtype)l->w->dtype,
                                .row = l->width,
                                .column = 1 },
                         .c = g->dx,
                         .alpha = l->unit };
    if (g->dx.data) dx.c.data = at(g->dx.data, g->dx.type, first * l->width);
    const wgi_gemm_args dw = { .m = l->classes,
                               .n = l->width,
                               .k = n,
                               .a = turned,
                               .b = rows_of_x(l, first),
                               .c = g->dw,
                               .alpha = l->unit,
                               .beta = first > 0 },
                        db = { .m = 1,
                               .n = l->classes,
                               .k = n,
                               .a = { .data = l->ones, .type = l->type, .row = n, .column = 1 },
                               .b = d,
                               .c = g->db,
                               .alpha = l->unit,
                               .beta = first > 0 };
    wg_status s = n > 0 && g->dx.data ? wgi_cuda_gemm(r, &dx) : WG_OK;
    if (s == WG_OK && g->dw.data) s = wgi_cuda_gemm(r, &dw); /* over no rows they write zeros */
    return s == WG_OK && g->db.data ? wgi_cuda_gemm(r, &db) : s;
}

/* ---- forward ---- */

static void launch_rows(const linear_loss *l, const wgi_classes_launch *c, void *stream)
{
    if (l->real == WG_F64)
        wgi_launch_classes(c, stream);
    else
        wgi_launch_class_rows(c, stream);
}

static void reduce(const wg_run *r, const linear_loss *l, const wgi_cuda_class_loss *a,
                   const void *loss)
{
    const wg_tensor *y = r->out.t[0], *d = r->out.n > 2 ? r->out.t[2] : NULL;
    const wgi_class_sum sum = { .f64 = l->real == WG_F64,
                                .mean = a->reduction == WG_MEAN,
                                .rows = l->rows,
                                .loss = loss,
                                .target = l->target,
                                .ignore = a->ignore,
                                .out = a->reduction == WG_NONE ? NULL : wgi_data(y),
                                .at = d ? wgi_data(d) : NULL,
                                .out_type = y->dtype,
                                .at_type = d ? d->dtype : WG_F32 };
    if (sum.out || sum.at) wgi_launch_class_sum(&sum, r->stream);
}

/* Output j as a row-major matrix; none where there is no gradient. */
static wgi_matrix gradient_of(const wg_run *r, int j, int64_t row)
{
    const wg_tensor *t = j < r->out.n ? r->out.t[j] : NULL;
    if (!t || t->numel == 0) return (wgi_matrix) { 0 };
    return (
        wgi_matrix) { .data = wgi_data(t), .type = (wg_dtype)t->dtype, .row = row, .column = 1 };
}

/* The gradients among the outputs; whether there is one. */
static bool gradients_of(const wg_run *r, int64_t width, int64_t classes, gradients *g)
{
    g->dx = gradient_of(r, WGI_LINEAR_LOSS_DX, width);
    g->dw = gradient_of(r, WGI_LINEAR_LOSS_DW, width);
    g->db = gradient_of(r, WGI_LINEAR_LOSS_DBIAS, classes);
    return g->dx.data || g->dw.data || g->db.data;
}

wg_status wgi_cuda_linear_loss(const wg_run *r, const wgi_cuda_class_loss *a, int64_t chunk,
                               const wg_tensor *bias)
{
    linear_loss l;
    gradients g;
    void *loss = a->reduction == WG_NONE ? wg_run_out(r, 0) : NULL, *lse = wg_run_out(r, 1);
    wg_status s = begin(r, a, chunk, bias, &l);
    const bool with_gradient = gradients_of(r, l.width, l.classes, &g);
    l.unit = l.type == WG_F16 ? f16_unit : 1;
    if (s == WG_OK && !loss) s = wgi_row_scratch(r, l.rows, l.real, &loss);
    if (s == WG_OK && !lse) s = wgi_row_scratch(r, l.rows, l.real, &lse);
    if (s == WG_OK && g.db.data) s = take_ones(r, &l);
    if (s == WG_OK && with_gradient && l.rows == 0) s = add_chunk(r, &l, &g, 0, 0);
    for (int64_t first = 0; s == WG_OK && first < l.rows; first += l.chunk) {
        const int64_t n = chunk_at(&l, first);
        if ((s = make_logits(r, &l, first, n)) != WG_OK) break;
        wgi_classes_launch c = classes_of(&l, a, first, n);
        c.loss = at(loss, l.real, first);
        c.lse = at(lse, l.real, first);
        if (with_gradient) c.dx = c.x;
        c.unit = l.unit;
        launch_rows(&l, &c, r->stream);
        if (with_gradient) s = add_chunk(r, &l, &g, first, n);
    }
    if (s == WG_OK) reduce(r, &l, a, loss);
    return s;
}

/* ---- gradient, from logits that are made again: where each row has its own cotangent, and in f64 ---- */

static wg_status open_sums(const wg_run *r, const linear_loss *l, gradients *g)
{
    *g = (gradients) { .dx = { .type = l->real, .row = l->width, .column = 1 } };
    g->dw = g->dx;
    g->db = (wgi_matrix) { .type = l->real, .row = l->classes, .column = 1 };
    wg_status s = wgi_row_scratch(r, l->rows * l->width, l->real, &g->dx.data);
    if (s == WG_OK) s = wgi_row_scratch(r, l->classes * l->width, l->real, &g->dw.data);
    if (s == WG_OK && r->out.n > 2) s = wgi_row_scratch(r, l->classes, l->real, &g->db.data);
    return s;
}

/* A gradient that was summed apart into its place: any strides, rounded once. */
static wg_status put_apart(const wg_run *r, const linear_loss *l, int output, const void *from)
{
    const wg_tensor *out = r->out.t[output];
    const wg_dims shape = wgi_shape(out), strides = wgi_row_major(&shape);
    return wgi_cuda_add_strided(r, wgi_data(out), (wg_dtype)out->dtype, out->strides, from, l->real,
                                strides.d, out->ndim, out->shape, r->accumulate);
}

static void launch_rows_backward(const linear_loss *l, const wgi_classes_launch *c, void *stream)
{
    if (l->classes == 0) return;
    if (l->real == WG_F64)
        wgi_launch_classes_backward(c, stream);
    else
        wgi_launch_class_rows(c, stream); /* its lse are the forward pass's: the logits are */
}

wg_status wgi_cuda_linear_loss_backward(const wg_run *r, const wgi_cuda_class_loss *a,
                                        int64_t chunk, const wg_tensor *bias)
{
    const wg_tensor *dy = r->in.t[DY], *denominator = r->in.t[DENOMINATOR];
    const void *lse = NULL, *scale = NULL;
    linear_loss l;
    gradients g;
    wg_status s = begin(r, a, chunk, bias, &l);
    if (s == WG_OK && l.real == WG_F64) s = wgi_flat(r, r->in.t[LSE], l.real, &lse);
    if (s == WG_OK && a->reduction == WG_NONE) s = wgi_flat(r, dy, l.real, &scale);
    if (s == WG_OK) s = open_sums(r, &l, &g);
    if (s == WG_OK && g.db.data) s = take_ones(r, &l);
    if (s == WG_OK && l.rows == 0) s = add_chunk(r, &l, &g, 0, 0);
    for (int64_t first = 0; s == WG_OK && first < l.rows; first += l.chunk) {
        const int64_t n = chunk_at(&l, first);
        if ((s = make_logits(r, &l, first, n)) != WG_OK) break;
        wgi_classes_launch c = classes_of(&l, a, first, n);
        c.dx = c.x;
        c.lse = lse ? at(lse, l.real, first) : NULL;
        c.scale = scale ? at(scale, l.real, first) : NULL;
        c.dy = wgi_data(dy);
        c.dy_type = dy->dtype;
        c.denominator = wgi_data(denominator);
        c.denominator_type = denominator->dtype;
        launch_rows_backward(&l, &c, r->stream);
        s = add_chunk(r, &l, &g, first, n);
    }
    if (s == WG_OK) s = put_apart(r, &l, 0, g.dx.data);
    if (s == WG_OK) s = put_apart(r, &l, 1, g.dw.data);
    return s == WG_OK && g.db.data ? put_apart(r, &l, 2, g.db.data) : s;
}
