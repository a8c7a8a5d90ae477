/* Losses over classes on CUDA. Targets are checked on the device: a row whose target is out of range
 * is reported and left out. */
#include "cpu/rows.h"
#include "cuda/cuda.h"
#include "cuda/operands.h"
#include "cuda/rows.h"

static const wg_tensor *input(const wg_run *r, int i)
{
    return i < r->in.n ? r->in.t[i] : NULL;
}

static wgi_lines lines_of(const wg_tensor *t)
{
    wgi_lines l = { .lines = { .count = 1 } };
    if (!t) return l;
    l.data = wgi_data(t);
    l.type = t->dtype;
    for (int d = 0; d + 1 < t->ndim; d++) wgi_axes_push(&l.lines, t->shape[d], t->strides[d]);
    l.step = t->strides[t->ndim - 1];
    return l;
}

wg_status wgi_cuda_read_targets(const wg_run *r, const wg_tensor *target, int64_t classes,
                                int64_t ignore, const int64_t **out)
{
    wgi_target_reading t = { .from = wgi_data(target),
                             .type = target->dtype,
                             .axes = { .count = 1 },
                             .classes = classes,
                             .ignore = ignore,
                             .fault = wgi_cuda_running(r)->fault,
                             .source = wgi_fault_of(WGI_FAULT_TARGET, target, NULL, classes) };
    for (int d = 0; d < target->ndim; d++)
        wgi_axes_push(&t.axes, target->shape[d], target->strides[d]);
    t.to = wg_scratch(r, (size_t)(target->numel > 0 ? target->numel : 1) * sizeof *t.to);
    if (!t.to) return WG_EMEM;
    if (target->numel > 0) wgi_launch_targets(&t, r->stream);
    *out = t.to;
    return WG_OK;
}

/* The operands from input `first` on: x, target, weight. */
static wg_status open_classes(const wg_run *r, int first, const wgi_cuda_class_loss *a,
                              wgi_classes_launch *l)
{
    const wg_tensor *x = r->in.t[first], *target = r->in.t[first + 1];
    *l = (wgi_classes_launch) { .f64 = x->dtype == WG_F64 || target->dtype == WG_F64,
                                .accumulate = r->accumulate,
                                .n = x->shape[x->ndim - 1],
                                .ignore = a->ignore,
                                .smoothing = a->smoothing,
                                .nll = a->nll };
    l->x = lines_of(x);
    l->rows = l->x.lines.count;
    const wg_dtype real = l->f64 ? WG_F64 : WG_F32;
    wg_status s = wgi_flat(r, input(r, first + 2), real, &l->weight);
    if (s != WG_OK) return s;
    if (!wgi_is_float(target->dtype))
        return wgi_cuda_read_targets(r, target, l->n, a->ignore, &l->target);
    l->probs = lines_of(target);
    return WG_OK;
}

/* Where row results go: into output j if it has one place a row, else into scratch. */
static wg_status row_place(const wg_run *r, int j, bool wanted, const wgi_classes_launch *l,
                           void **out)
{
    const wg_tensor *t = wanted && j < r->out.n ? r->out.t[j] : NULL;
    const wg_dtype real = l->f64 ? WG_F64 : WG_F32;
    if (t && t->numel == l->rows && t->dtype == real && (*out = wgi_data(t))) return WG_OK;
    return wgi_row_scratch(r, l->rows, real, out);
}

/* Output 0 from the rows' losses, and the denominator into output `at`. */
static void reduce(const wg_run *r, const wgi_classes_launch *l, wg_reduction reduction, int at)
{
    const wg_tensor *y = r->out.t[0], *d = at < r->out.n ? r->out.t[at] : NULL;
    const wgi_class_sum s = { .f64 = l->f64,
                              .mean = reduction == WG_MEAN,
                              .rows = l->rows,
                              .loss = l->loss,
                              .weight = l->weight,
                              .target = l->target,
                              .ignore = l->ignore,
                              .out = reduction == WG_NONE ? NULL : wgi_data(y),
                              .at = d ? wgi_data(d) : NULL,
                              .out_type = y->dtype,
                              .at_type = d ? d->dtype : WG_F32 };
    if (s.out || s.at) wgi_launch_class_sum(&s, r->stream);
}

wg_status wgi_cuda_class_loss_forward(const wg_run *r, const wgi_cuda_class_loss *a)
{
    wgi_classes_launch l;
    wg_status s = open_classes(r, 0, a, &l);
    if (s == WG_OK) s = row_place(r, 0, a->reduction == WG_NONE, &l, &l.loss);
    if (s == WG_OK && !a->nll) s = row_place(r, 1, true, &l, &l.lse);
    if (s != WG_OK) return s;
    if (l.rows > 0) wgi_launch_classes(&l, r->stream);
    reduce(r, &l, a->reduction, a->nll ? 1 : 2);
    return WG_OK;
}

/* Inputs: dy, x, target, weight, then lse unless nll, then the denominator. */
wg_status wgi_cuda_class_loss_backward(const wg_run *r, const wgi_cuda_class_loss *a)
{
    const wg_tensor *dy = r->in.t[0], *denominator = r->in.t[a->nll ? 4 : 5];
    const void *lse = NULL;
    wgi_classes_launch l;
    wg_status s = open_classes(r, 1, a, &l);
    const wg_dtype real = l.f64 ? WG_F64 : WG_F32;
    if (s == WG_OK && !a->nll) s = wgi_flat(r, r->in.t[4], real, &lse);
    if (s == WG_OK && a->reduction == WG_NONE) s = wgi_flat(r, dy, real, &l.scale);
    if (s != WG_OK) return s;
    l.lse = (void *)(uintptr_t)lse;
    l.dy = wgi_data(dy);
    l.dy_type = dy->dtype;
    l.denominator = wgi_data(denominator);
    l.denominator_type = denominator->dtype;
    l.dx = lines_of(r->out.t[0]);
    if (l.rows > 0 && l.n > 0) wgi_launch_classes_backward(&l, r->stream);
    return WG_OK;
}
