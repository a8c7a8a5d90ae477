/* Softmax, norms, losses over classes, rotary positions: operands to launches. */
#include "cuda/rows.h"

#include "cpu/rows.h"
#include "cuda/cuda.h"
#include "cuda/operands.h"

/* Rows of t along axis in [0, ndim); a 0-d tensor is one row of one. *n: elements of a row. */
static wgi_lines lines_along(const wg_tensor *t, int axis, int64_t *n)
{
    wgi_lines l = { .lines = { .count = 1 } };
    if (!t) return l;
    l.data = wgi_data(t);
    l.type = t->dtype;
    if (n) *n = 1;
    for (int d = 0; d < t->ndim; d++) {
        if (d != axis) {
            wgi_axes_push(&l.lines, t->shape[d], t->strides[d]);
            continue;
        }
        l.step = t->strides[d];
        if (n) *n = t->shape[d];
    }
    return l;
}

static wgi_lines lines_of(const wg_tensor *t)
{
    return lines_along(t, t ? t->ndim - 1 : 0, NULL);
}

/* `rows` contiguous rows of n. */
static wgi_lines plain_lines(const wg_tensor *t, int64_t rows, int64_t n)
{
    wgi_lines l = { .lines = { .count = 1 }, .step = 1 };
    if (!t) return l;
    l.data = wgi_data(t);
    l.type = t->dtype;
    wgi_axes_push(&l.lines, rows, n);
    return l;
}

static const wg_tensor *input(const wg_run *r, int i)
{
    return i < r->in.n ? r->in.t[i] : NULL;
}

static void *result(const wg_run *r, int i)
{
    return i < r->out.n && r->out.t[i] ? wgi_data(r->out.t[i]) : NULL;
}

/* ---- softmax ---- */

wg_status wgi_cuda_softmax(const wg_run *r, int axis, bool log)
{
    const wg_tensor *x = r->in.t[0];
    if (axis < 0) axis += x->ndim;
    wgi_softmax_launch l = { .f64 = x->dtype == WG_F64, .log = log };
    l.x = lines_along(x, axis, &l.n);
    l.y = lines_along(r->out.t[0], axis, NULL);
    l.rows = l.x.lines.count;
    if (x->numel > 0) wgi_launch_softmax(&l, r->stream);
    return WG_OK;
}

wg_status wgi_cuda_softmax_backward(const wg_run *r, int axis, bool log)
{
    const wg_tensor *dy = r->in.t[0], *y = r->in.t[1];
    if (axis < 0) axis += y->ndim;
    wgi_softmax_launch l = { .f64 = dy->dtype == WG_F64 || y->dtype == WG_F64,
                             .log = log,
                             .accumulate = r->accumulate };
    l.y = lines_along(y, axis, &l.n);
    l.dy = lines_along(dy, axis, NULL);
    l.dx = lines_along(r->out.t[0], axis, NULL);
    l.rows = l.y.lines.count;
    if (y->numel > 0) wgi_launch_softmax_backward(&l, r->stream);
    return WG_OK;
}

/* ---- layer norm, RMS norm ---- */

wg_status wgi_cuda_row_norm(const wg_run *r, double eps, bool centered)
{
    const wg_tensor *x = r->in.t[0];
    const wg_dtype real = wgi_row_dtype(x->dtype);
    wgi_norm_launch l = { .f64 = real == WG_F64, .centered = centered, .eps = eps };
    l.x = lines_along(x, x->ndim - 1, &l.n);
    l.y = lines_of(r->out.t[0]);
    l.rows = l.x.lines.count;
    if (centered) l.mean = result(r, 1);
    l.rstd = result(r, centered ? 2 : 1);
    wg_status s = wgi_flat(r, input(r, 1), real, &l.weight);
    if (s == WG_OK) s = wgi_flat(r, input(r, 2), real, &l.bias);
    if (s == WG_OK && l.rows > 0) wgi_launch_norm(&l, r->stream);
    return s;
}

wg_status wgi_cuda_add_row_norm(const wg_run *r, double eps, bool centered)
{
    const wg_tensor *x = r->in.t[0];
    const wg_dtype real = wgi_row_dtype(r->out.t[1]->dtype);
    wgi_norm_launch l = { .f64 = real == WG_F64, .centered = centered, .eps = eps };
    l.x = lines_along(x, x->ndim - 1, &l.n);
    l.added = lines_of(r->in.t[1]);
    l.y = lines_of(r->out.t[0]);
    l.sum = lines_of(r->out.t[1]);
    l.rows = l.x.lines.count;
    if (centered) l.mean = result(r, 2);
    l.rstd = result(r, centered ? 3 : 2);
    wg_status s = wgi_flat(r, input(r, 2), real, &l.weight);
    if (s == WG_OK) s = wgi_flat(r, input(r, 3), real, &l.bias);
    if (s == WG_OK && l.rows > 0) wgi_launch_norm(&l, r->stream);
    return s;
}

/* The weight's and the bias's gradients, outputs 1 and 2, from partial sums of blocks; those that are wanted. */
static void sum_blocks(const wg_run *r, const wgi_norm_launch *l, int64_t blocks, int64_t n,
                       bool accumulate)
{
    const void *partial[] = { l->dweight, l->dbias };
    wgi_block_sums_launch s = { .f64 = l->f64, .accumulate = accumulate, .blocks = blocks, .n = n };
    for (int k = 0; k < 2; k++) {
        const wg_tensor *out = k + 1 < r->out.n ? r->out.t[k + 1] : NULL;
        if (out)
            s.of[s.count++] =
                (wgi_block_sums) { partial[k], wgi_data(out), out->dtype, out->strides[0] };
    }
    if (s.count > 0 && n > 0) wgi_launch_sum_blocks(&s, r->stream);
}

wg_status wgi_cuda_row_norm_backward(const wg_run *r, bool centered)
{
    const wg_tensor *x = r->in.t[1];
    const wg_dtype real = wgi_row_dtype(x->dtype);
    const void *mean = NULL, *rstd = NULL;
    wgi_norm_launch l = { .f64 = real == WG_F64,
                          .centered = centered,
                          .accumulate = r->accumulate };
    l.x = lines_along(x, x->ndim - 1, &l.n);
    l.dy = lines_of(r->in.t[0]);
    l.dx = lines_of(r->out.t[0]);
    l.rows = l.x.lines.count;
    const int64_t blocks = (l.rows + WGI_NORM_ROWS - 1) / WGI_NORM_ROWS;
    wg_status s = wgi_flat(r, input(r, 2), real, &l.weight);
    if (s == WG_OK) s = wgi_flat(r, centered ? input(r, 3) : NULL, real, &mean);
    if (s == WG_OK) s = wgi_flat(r, input(r, 4), real, &rstd);
    if (s == WG_OK && result(r, 1)) s = wgi_row_scratch(r, blocks * l.n, real, &l.dweight);
    if (s == WG_OK && result(r, 2)) s = wgi_row_scratch(r, blocks * l.n, real, &l.dbias);
    if (s != WG_OK) return s;
    l.mean = (void *)(uintptr_t)mean;
    l.rstd = (void *)(uintptr_t)rstd;
    if (l.n > 0) wgi_launch_norm_backward(&l, r->stream);
    sum_blocks(r, &l, blocks, l.n, r->accumulate);
    return WG_OK;
}

/* ---- group norm: contiguous operands ---- */

static void use_groups(wgi_norm_launch *l, const wg_tensor *x, int64_t groups)
{
    l->groups = groups;
    l->rows = x->shape[0] * groups;
    l->n = l->rows > 0 ? x->numel / l->rows : 0;
    l->run = 1;
    for (int d = 2; d < x->ndim; d++) l->run *= x->shape[d];
    l->x = plain_lines(x, l->rows, l->n);
}

wg_status wgi_cuda_group_norm(const wg_run *r, double eps, int64_t groups)
{
    const wg_tensor *x = r->in.t[0];
    const wg_dtype real = wgi_row_dtype(x->dtype);
    wgi_norm_launch l = { .f64 = real == WG_F64, .centered = true, .eps = eps };
    use_groups(&l, x, groups);
    l.y = plain_lines(r->out.t[0], l.rows, l.n);
    l.mean = result(r, 1);
    l.rstd = result(r, 2);
    wg_status s = wgi_flat(r, input(r, 1), real, &l.weight);
    if (s == WG_OK) s = wgi_flat(r, input(r, 2), real, &l.bias);
    if (s == WG_OK && l.rows > 0) wgi_launch_norm(&l, r->stream);
    return s;
}

wg_status wgi_cuda_group_norm_backward(const wg_run *r, int64_t groups)
{
    const wg_tensor *x = r->in.t[1];
    const wg_dtype real = wgi_row_dtype(x->dtype);
    const int64_t samples = x->shape[0], channels = x->shape[1];
    const void *mean = NULL, *rstd = NULL;
    wgi_norm_launch l = { .f64 = real == WG_F64, .centered = true };
    use_groups(&l, x, groups);
    l.dy = plain_lines(r->in.t[0], l.rows, l.n);
    l.dx = plain_lines(r->out.t[0], l.rows, l.n);
    wg_status s = wgi_flat(r, input(r, 2), real, &l.weight);
    if (s == WG_OK) s = wgi_flat(r, input(r, 3), real, &mean);
    if (s == WG_OK) s = wgi_flat(r, input(r, 4), real, &rstd);
    if (s == WG_OK) s = wgi_row_scratch(r, samples * channels, real, &l.dweight);
    if (s == WG_OK) s = wgi_row_scratch(r, samples * channels, real, &l.dbias);
    if (s != WG_OK) return s;
    l.mean = (void *)(uintptr_t)mean;
    l.rstd = (void *)(uintptr_t)rstd;
    const int64_t rows = x->numel > 0 ? samples : 0;
    if (rows > 0) wgi_launch_norm_backward(&l, r->stream);
    sum_blocks(r, &l, rows, channels, false);
    return WG_OK;
}

/* ---- rotary positions ---- */

wg_status wgi_cuda_rope(const wg_run *r, int64_t offset, double base, bool adjacent, bool inverse)
{
    const wg_tensor *x = r->in.t[0], *given = input(r, 1);
    const wg_dtype real = wgi_row_dtype(x->dtype);
    const void *positions = NULL, *factors = NULL;
    wgi_rope_launch l = { .f64 = real == WG_F64,
                          .adjacent = adjacent,
                          .inverse = inverse,
                          .accumulate = r->accumulate,
                          .t = x->shape[x->ndim - 2],
                          .offset = offset,
                          .base = base };
    if (x->numel == 0) return WG_OK;
    l.x = lines_along(x, x->ndim - 1, &l.n);
    l.y = lines_of(r->out.t[0]);
    l.rows = l.x.lines.count;
    l.positions = given ? given->numel : l.t;
    if (given && given->ndim == 2) l.batch_rows = l.rows / x->shape[0];
    wg_status s = wgi_flat(r, given, WG_I64, &positions);
    if (s == WG_OK) s = wgi_flat(r, input(r, 2), WG_F64, &factors);
    if (s == WG_OK) s = wgi_row_scratch(r, l.positions * (l.n / 2), real, &l.cos);
    if (s == WG_OK) s = wgi_row_scratch(r, l.positions * (l.n / 2), real, &l.sin);
    if (s != WG_OK) return s;
    l.given = positions;
    l.factors = factors;
    wgi_launch_rope(&l, r->stream);
    return WG_OK;
}
