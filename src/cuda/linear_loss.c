/* Cross-entropy of a linear layer's outputs on CUDA, with the logits of some rows at a time, as src/ops/linear_cross_entropy.c
 * has it. Nothing is read by the host. */
#include "cuda/linear_loss.h"

#include "cpu/gemm.h"
#include "cpu/rows.h"
#include "cuda/operands.h"
#include "cuda/rows.h"

enum { X, W, TARGET };
/* Of logits at a time: enough rows to fill a device, far less than all of them. */
static const int64_t CHUNK_BYTES = INT64_C(1) << 30;

/* A call seen as rows: logits (N, V) = x (N, C) w^T + bias. */
typedef struct {
    const wg_tensor *x, *w, *bias; /* contiguous */
    wg_dtype real, low;            /* of logits and losses; of their gradients */
    int64_t rows, c, v, chunk;
    void *logits, *dlogits; /* (chunk, V) real, low; the same memory where they have one dtype */
    const int64_t *target;  /* (N) */
    wgi_classes_launch launch;
} problem;

static const wg_tensor *input(const wg_run *r, int i)
{
    return i < r->in.n ? r->in.t[i] : NULL;
}

static void *element_at(void *p, wg_dtype type, int64_t i)
{
    return p ? (char *)p + i * (int64_t)wg_dtype_size(type) : NULL;
}

static wg_status read_targets(const wg_run *r, problem *l, int64_t ignore)
{
    const wg_tensor *target = r->in.t[TARGET];
    wgi_target_reading t = { .from = wgi_data(target),
                             .type = target->dtype,
                             .axes = { .count = 1 },
                             .classes = l->v,
                             .ignore = ignore,
                             .fault = wgi_cuda_running(r)->fault,
                             .source = wgi_fault_of(WGI_FAULT_TARGET, target, NULL, l->v) };
    for (int d = 0; d < target->ndim; d++)
        wgi_axes_push(&t.axes, target->shape[d], target->strides[d]);
    t.to = wg_scratch(r, (size_t)(l->rows > 0 ? l->rows : 1) * sizeof *t.to);
    if (!t.to) return WG_EMEM;
    if (l->rows > 0) wgi_launch_targets(&t, r->stream);
    l->target = t.to;
    return WG_OK;
}

/* Rows of a chunk, by shape alone: whole tiles of products where there are many. */
static int64_t chunk_rows(const problem *l, int64_t asked)
{
    int64_t rows = asked;
    if (rows == 0) {
        rows = CHUNK_BYTES / ((l->v > 0 ? l->v : 1) * (int64_t)wg_dtype_size(l->real));
        rows = rows > 128 ? rows / 128 * 128 : rows > 0 ? rows : 1;
    }
    return rows < l->rows ? rows : l->rows;
}

static wg_status open(const wg_run *r, const wgi_cuda_linear_loss *a, const wg_tensor *bias,
                      problem *l)
{
    const wg_tensor *x = r->in.t[X], *w = r->in.t[W];
    const bool wide = x->dtype == WG_F64 || w->dtype == WG_F64 || (bias && bias->dtype == WG_F64);
    *l = (problem) { .x = x, .w = w, .bias = bias, .real = wide ? WG_F64 : WG_F32 };
    /* bf16 has f32's range: gradients divided by a large count stay numbers in it, in f16 they would not */
    l->low = x->dtype == WG_BF16 && w->dtype == WG_BF16 ? WG_BF16 : l->real;
    l->rows = r->in.t[TARGET]->numel;
    l->c = w->shape[1];
    l->v = w->shape[0];
    l->chunk = chunk_rows(l, a->chunk);
    int64_t numel;
    if (__builtin_mul_overflow(l->chunk, l->v, &numel))
        return wg_raise(WG_EMEM, "a chunk of %lld rows is too large", (long long)l->chunk);
    l->launch = (wgi_classes_launch) {
        .f64 = wide, .n = l->v, .ignore = a->ignore, .smoothing = a->smoothing
    };
    wg_status s = read_targets(r, l, a->ignore);
    return s == WG_OK ? wgi_row_scratch(r, numel, l->real, &l->logits) : s;
}

static wgi_lines lines_of(void *data, wg_dtype type, int64_t rows, int64_t n)
{
    wgi_lines l = { .data = data, .type = (int)type, .lines = { .count = 1 }, .step = 1 };
    wgi_axes_push(&l.lines, rows, n);
    return l;
}

/* Rows [first, first + n) of x. */
static wgi_matrix rows_of_x(const problem *l, int64_t first)
{
    const wg_dtype type = (wg_dtype)l->x->dtype;
    return (wgi_matrix) { .data = element_at(wgi_data(l->x), type, first * l->c),
                          .type = type,
                          .row = l->c,
                          .column = 1 };
}

/* Rows [first, first + n) of the logits, and the row kernels' view of them. */
static wg_status make_logits(const wg_run *r, problem *l, int64_t first, int64_t n)
{
    const wg_dtype bias = l->bias ? (wg_dtype)l->bias->dtype : l->real;
    const wgi_gemm_args g = {
        .m = n,
        .n = l->v,
        .k = l->c,
        .a = rows_of_x(l, first),
        .b = { .data = wgi_data(l->w), .type = (wg_dtype)l->w->dtype, .row = 1, .column = l->c },
        .c = { .data = l->logits, .type = l->real, .row = l->v, .column = 1 },
        .bias = l->bias ? wgi_data(l->bias) : NULL,
        .bias_type = bias,
        .bias_stride = 1,
        .alpha = 1
    };
    l->launch.rows = n;
    l->launch.x = lines_of(l->logits, l->real, n, l->v);
    l->launch.target = l->target + first;
    return wgi_cuda_gemm(r, &g);
}

/* Output j if it has one real a row, else scratch. */
static wg_status row_place(const wg_run *r, int j, bool wanted, const problem *l, void **out)
{
    const wg_tensor *t = wanted && j < r->out.n ? r->out.t[j] : NULL;
    if (t && t->dtype == l->real && (*out = wgi_data(t))) return WG_OK;
    return wgi_row_scratch(r, l->rows, l->real, out);
}

wg_status wgi_cuda_linear_loss_forward(const wg_run *r, const wgi_cuda_linear_loss *a)
{
    problem l;
    void *loss = NULL, *lse = NULL;
    wg_status s = open(r, a, input(r, 3), &l);
    if (s == WG_OK) s = row_place(r, 0, a->reduction == WG_NONE, &l, &loss);
    if (s == WG_OK) s = row_place(r, 1, true, &l, &lse);
    for (int64_t first = 0; s == WG_OK && first < l.rows; first += l.chunk) {
        const int64_t n = l.rows - first < l.chunk ? l.rows - first : l.chunk;
        if ((s = make_logits(r, &l, first, n)) != WG_OK) break;
        l.launch.loss = element_at(loss, l.real, first);
        l.launch.lse = element_at(lse, l.real, first);
        wgi_launch_classes(&l.launch, r->stream);
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

/* Where a gradient is summed: in place, or in `real` first: a 16-bit one is rounded once, and rows that no two strides
 * describe are added at the end. */
typedef struct {
    const wg_tensor *out; /* NULL: not wanted */
    wgi_matrix matrix;
    bool apart, add; /* add: to what is there */
} gathered;

static wg_status gather(const wg_run *r, const problem *l, int output, int64_t rows,
                        int64_t columns, gathered *g)
{
    const wg_tensor *out = output < r->out.n ? r->out.t[output] : NULL;
    *g = (gathered) { .out = out };
    if (!out) return WG_OK;
    const wg_dims shape = wgi_shape(out), have = wgi_strides(out), to = { 2, { rows, columns } };
    wg_dims strides;
    const bool chunks = output > 0 && l->chunk < l->rows; /* dx's rows are each made once */
    g->apart =
        (chunks && wgi_is_16bit(out->dtype)) || !wgi_view_strides(&shape, &have, &to, &strides);
    if (!g->apart) {
        g->matrix = (wgi_matrix) { .data = wgi_data(out),
                                   .type = (wg_dtype)out->dtype,
                                   .row = strides.d[0],
                                   .column = strides.d[1] };
        g->add = r->accumulate;
        return WG_OK;
    }
    g->matrix = (wgi_matrix) { .type = l->real, .row = columns, .column = 1 };
    return wgi_row_scratch(r, out->numel, l->real, &g->matrix.data);
}

static wg_status gather_end(const wg_run *r, const gathered *g)
{
    if (!g->out || !g->apart || g->out->numel == 0) return WG_OK;
    const wg_dims shape = wgi_shape(g->out), from = wgi_row_major(&shape);
    return wgi_cuda_add_strided(r, wgi_data(g->out), (wg_dtype)g->out->dtype, g->out->strides,
                                g->matrix.data, g->matrix.type, from.d, g->out->ndim, g->out->shape,
                                r->accumulate);
}

/* g = [g +] a b. */
static wg_status product(const wg_run *r, int64_t m, int64_t n, int64_t k, wgi_matrix a,
                         wgi_matrix b, wgi_matrix c, bool add)
{
    const wgi_gemm_args g = {
        .m = m, .n = n, .k = k, .a = a, .b = b, .c = c, .alpha = 1, .beta = add ? 1 : 0
    };
    return wgi_cuda_gemm(r, &g);
}

typedef struct {
    gathered dx, dw, db;
    wgi_matrix ones; /* (1, chunk), for column sums; data NULL without db */
} gradients;

static wg_status open_gradients(const wg_run *r, const problem *l, gradients *g)
{
    const int64_t step = 1;
    wg_status s = gather(r, l, 0, l->rows, l->c, &g->dx);
    if (s == WG_OK) s = gather(r, l, 1, l->v, l->c, &g->dw);
    if (s == WG_OK) s = gather(r, l, 2, 1, l->v, &g->db);
    g->ones = (wgi_matrix) { .type = l->low, .row = l->chunk, .column = 1 };
    if (s != WG_OK || !g->db.out || l->chunk == 0) return s;
    g->ones.data = wg_scratch(r, (size_t)l->chunk * wg_dtype_size(l->low));
    if (!g->ones.data) return WG_EMEM;
    return wgi_cuda_fill_strided(r, g->ones.data, l->low, &step, 1, &l->chunk, 1);
}

/* dx's rows, and the chunk's part of dw and dbias. A product over no rows still writes zeros. */
static wg_status add_chunk(const wg_run *r, const problem *l, int64_t first, int64_t n,
                           const gradients *g)
{
    const wgi_matrix d = { .data = l->dlogits, .type = l->low, .row = l->v, .column = 1 };
    const wgi_matrix turned = { .data = l->dlogits, .type = l->low, .row = 1, .column = l->v };
    const wgi_matrix w = {
        .data = wgi_data(l->w), .type = (wg_dtype)l->w->dtype, .row = l->c, .column = 1
    };
    wgi_matrix dx = g->dx.matrix;
    wg_status s = WG_OK;
    dx.data = element_at(dx.data, dx.type, first * dx.row);
    if (n > 0) s = product(r, n, l->c, l->v, d, w, dx, g->dx.add);
    if (s == WG_OK)
        s = product(r, l->v, l->c, n, turned, rows_of_x(l, first), g->dw.matrix,
                    first > 0 || g->dw.add);
    if (s == WG_OK && g->db.out)
        s = product(r, 1, l->v, n, g->ones, d, g->db.matrix, first > 0 || g->db.add);
    return s;
}

wg_status wgi_cuda_linear_loss_backward(const wg_run *r, const wgi_cuda_linear_loss *a)
{
    enum { LSE = 3, DENOMINATOR, DY, BIAS };
    const wg_tensor *dy = r->in.t[DY], *denominator = r->in.t[DENOMINATOR];
    const void *lse = NULL, *scale = NULL;
    problem l;
    gradients g;
    wg_status s = open(r, a, input(r, BIAS), &l);
    if (s == WG_OK) s = wgi_flat(r, r->in.t[LSE], l.real, &lse);
    if (s == WG_OK && a->reduction == WG_NONE) s = wgi_flat(r, dy, l.real, &scale);
    if (s == WG_OK) s = open_gradients(r, &l, &g);
    l.dlogits = l.logits;
    if (s == WG_OK && l.low != l.real && l.chunk * l.v > 0 &&
        !(l.dlogits = wg_scratch(r, (size_t)(l.chunk * l.v) * wg_dtype_size(l.low))))
        s = WG_EMEM;
    if (s == WG_OK && l.rows == 0) s = add_chunk(r, &l, 0, 0, &g);
    l.launch.dy = wgi_data(dy);
    l.launch.dy_type = dy->dtype;
    l.launch.denominator = wgi_data(denominator);
    l.launch.denominator_type = denominator->dtype;
    for (int64_t first = 0; s == WG_OK && first < l.rows; first += l.chunk) {
        const int64_t n = l.rows - first < l.chunk ? l.rows - first : l.chunk;
        if ((s = make_logits(r, &l, first, n)) != WG_OK) break;
        l.launch.lse = element_at((void *)(uintptr_t)lse, l.real, first);
        l.launch.scale = element_at((void *)(uintptr_t)scale, l.real, first);
        l.launch.dx = lines_of(l.dlogits, l.low, n, l.v);
        if (l.v > 0) wgi_launch_classes_backward(&l.launch, r->stream);
        s = add_chunk(r, &l, first, n, &g);
    }
    if (s == WG_OK) s = gather_end(r, &g.dx);
    if (s == WG_OK) s = gather_end(r, &g.dw);
    return s == WG_OK ? gather_end(r, &g.db) : s;
}
