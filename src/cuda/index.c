/* Kernels of the index family: each describes its axes to take or put, as src/cpu/index_ops.c. */
#include "cuda/index.h"

#include "cpu/index.h"
#include "cpu/reduce.h"
#include "cpu/rows.h"
#include "cuda/cuda.h"
#include "cuda/index_parts.h"

/* ---- operands ---- */

wg_tensor *wgi_index_output(const wg_run *r)
{
    return r->out.t[0];
}

static int axis_of(int axis, const wg_tensor *x)
{
    return axis < 0 ? axis + x->ndim : axis;
}

void wgi_index_row_major(int n, const int64_t *shape, int64_t *strides)
{
    int64_t step = 1;
    for (int d = n - 1; d >= 0; d--) {
        strides[d] = step;
        step *= shape[d];
    }
}

/* t's data and strides when seen in shape `as`: where it lies, else a copy in scratch. */
wg_status wgi_index_seen_as(const wg_run *r, const wg_tensor *t, const wg_dims *as,
                            const void **data, int64_t *strides)
{
    const wg_dims shape = wgi_shape(t), own = wgi_strides(t);
    wg_dims seen;
    *data = wgi_data(t);
    if (!wgi_view_strides(&shape, &own, as, &seen)) {
        wg_status s = wgi_flat(r, t, (wg_dtype)t->dtype, data);
        if (s != WG_OK) return s;
        seen = wgi_row_major(as);
    }
    memcpy(strides, seen.d, (size_t)as->n * sizeof *strides);
    return WG_OK;
}

/* t's indices as contiguous i64 in scratch; those out of range are reported and become -1. */
wg_status wgi_index_indices(const wg_run *r, const wg_tensor *t, const char *name, int64_t size,
                            bool wrap, const int64_t **out)
{
    wgi_index_reading i = { .from = wgi_data(t),
                            .type = t->dtype,
                            .axes = { .count = 1 },
                            .size = size,
                            .wrap = wrap,
                            .fault = wgi_cuda_running(r)->fault,
                            .source = wgi_fault_of(WGI_FAULT_INDEX, t, name, size) };
    for (int d = 0; d < t->ndim; d++) wgi_axes_push(&i.axes, t->shape[d], t->strides[d]);
    i.to = wg_scratch(r, (size_t)(t->numel > 0 ? t->numel : 1) * sizeof *i.to);
    if (!i.to) return WG_EMEM;
    if (t->numel > 0) wgi_launch_index_reading(&i, r->stream);
    *out = i.to;
    return WG_OK;
}

/* ---- take and put ---- */

int64_t wgi_index_count(const wgi_index_axes *m)
{
    int64_t n = 1;
    for (int d = 0; d < m->n; d++) n *= m->shape[d];
    return n;
}

wg_status wgi_index_from(const wg_run *r, const wgi_index_axes *m, const wg_tensor *large)
{
    const int64_t count = wgi_index_count(m);
    if (count > 0)
        wgi_launch_take(m, count, wgi_data(large), wgi_data(wgi_index_output(r)),
                        (int)wg_dtype_size((wg_dtype)large->dtype), r->stream);
    return WG_OK;
}

wg_status wgi_index_sort(const wg_run *r, const wgi_index_axes *m, int64_t largest,
                         wgi_index_sorted *s)
{
    uint64_t *keys[2];
    int64_t *items[2];
    int bits = 1, at = 0;
    wgi_index_plan_make(&s->plan, m, largest);
    const int64_t n = s->plan.item_count;
    for (int b = 0; b < 2; b++) {
        keys[b] = wg_scratch(r, (size_t)n * sizeof *keys[b]);
        items[b] = wg_scratch(r, (size_t)n * sizeof *items[b]);
        if (!keys[b] || !items[b]) return WG_EMEM;
    }
    while (bits < 64 && s->plan.nowhere >> bits) bits++;
    wgi_launch_index_keys(&s->plan, keys[0], items[0], r->stream);
    const wg_status e = wgi_cuda_sort_pairs(r, keys, items, n, bits, &at);
    s->keys = keys[at];
    s->items = items[at];
    return e;
}

wg_status wgi_index_add(const wg_run *r, const wgi_index_axes *m, int64_t largest, void *large,
                        const void *small, int type)
{
    wgi_index_sorted s;
    if (wgi_index_count(m) == 0) return WG_OK;
    const wg_status e = wgi_index_sort(r, m, largest, &s);
    if (e != WG_OK) return e;
    const wgi_acc kind = wgi_acc_of(type);
    void *parts = wg_scratch(r, (size_t)wgi_index_parts(&s.plan) * wgi_acc_bytes(kind));
    if (!parts) return WG_EMEM;
    wgi_launch_index_add(&s.plan, s.keys, s.items, large, (int)kind, small, type, parts, r->stream);
    return WG_OK;
}

/* ---- adding into an output of any dtype ---- */

/* Sums of elements of dtype `from` that start from 0, or from out's elements. */
wg_status wgi_index_target_open(const wg_run *r, wgi_index_target *t, wg_dtype from,
                                bool accumulate)
{
    wg_tensor *out = wgi_index_output(r);
    *t = (wgi_index_target) { .kind = wgi_acc_of((int)from), .accumulate = accumulate };
    t->direct = wgi_acc_dtype(t->kind) == out->dtype;
    if (t->direct) {
        t->data = wgi_data(out);
        memcpy(t->strides, out->strides, sizeof t->strides);
        return accumulate ? WG_OK
                          : wgi_cuda_fill_strided(r, t->data, (wg_dtype)out->dtype, out->strides,
                                                  out->ndim, out->shape, 0);
    }
    const size_t bytes = (size_t)(out->numel > 0 ? out->numel : 1) * wgi_acc_bytes(t->kind);
    t->data = wg_scratch(r, bytes);
    if (!t->data) return WG_EMEM;
    wgi_index_row_major(out->ndim, out->shape, t->strides);
    return wgi_zero_bytes(out->device, t->data, bytes);
}

wg_status wgi_index_target_close(const wg_run *r, const wgi_index_target *t)
{
    if (!t->direct) wgi_cuda_fold_store(r, t->data, t->kind, t->accumulate);
    return WG_OK;
}

wg_status wgi_index_copy_first(const wg_run *r)
{
    return wgi_copy_elements(wgi_index_output(r), r->in.t[0]);
}

/* ---- along one axis: select and its sums ---- */

static wg_status select_map(const wg_run *r, wgi_index_axes *m, int axis, const wg_tensor *small,
                            const wg_tensor *i, int64_t size)
{
    *m = (wgi_index_axes) { .n = small->ndim, .axis = axis };
    memcpy(m->shape, small->shape, (size_t)small->ndim * sizeof *m->shape);
    memcpy(m->small, small->strides, (size_t)small->ndim * sizeof *m->small);
    m->index[axis] = 1;
    return wgi_index_indices(r, i, "i", size, false, &m->i);
}

wg_status wgi_cuda_index_select(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0];
    const int axis = axis_of(a->axis, x);
    wgi_index_axes m;
    wg_status s = select_map(r, &m, axis, wgi_index_output(r), r->in.t[1], x->shape[axis]);
    if (s != WG_OK) return s;
    memcpy(m.large, x->strides, (size_t)x->ndim * sizeof *m.large);
    return wgi_index_from(r, &m, x);
}

static wg_status select_add(const wg_run *r, int axis, const wg_tensor *i, const wg_tensor *src,
                            bool accumulate)
{
    wgi_index_axes m;
    wgi_index_target t;
    const int64_t size = wgi_index_output(r)->shape[axis];
    wg_status s = select_map(r, &m, axis, src, i, size);
    if (s == WG_OK) s = wgi_index_target_open(r, &t, (wg_dtype)src->dtype, accumulate);
    if (s != WG_OK) return s;
    memcpy(m.large, t.strides, sizeof m.large);
    s = wgi_index_add(r, &m, size - 1, t.data, wgi_data(src), src->dtype);
    return s == WG_OK ? wgi_index_target_close(r, &t) : s;
}

wg_status wgi_cuda_index_select_backward(const wg_run *r)
{
    const wgi_axis_back_attr *a = r->attr;
    return select_add(r, axis_of(a->axis, wgi_index_output(r)), r->in.t[1], r->in.t[0],
                      r->accumulate);
}

wg_status wgi_cuda_index_add(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    const wg_status s = wgi_index_copy_first(r);
    return s == WG_OK
               ? select_add(r, axis_of(a->axis, wgi_index_output(r)), r->in.t[1], r->in.t[2], true)
               : s;
}

/* ---- embedding: rows of w (V, C) ---- */

static wg_status embedding_map(const wg_run *r, wgi_index_axes *m, const wg_tensor *i, int64_t v,
                               int64_t c)
{
    *m =
        (wgi_index_axes) { .n = 2, .shape = { i->numel, c }, .small = { c, 1 }, .index = { 1, 0 } };
    return wgi_index_indices(r, i, "i", v, false, &m->i);
}

wg_status wgi_cuda_embedding(const wg_run *r)
{
    const wg_tensor *w = r->in.t[0];
    wgi_index_axes m;
    if (wgi_in_blocks(w->dtype)) return wgi_cuda_embedding_blocks(r);
    wg_status s = embedding_map(r, &m, r->in.t[1], w->shape[0], w->shape[1]);
    if (s != WG_OK) return s;
    memcpy(m.large, w->strides, 2 * sizeof *m.large);
    return wgi_index_from(r, &m, w);
}

wg_status wgi_cuda_embedding_backward(const wg_run *r)
{
    const wg_tensor *dy = r->in.t[0], *i = r->in.t[1], *dw = wgi_index_output(r);
    wgi_index_axes m;
    wgi_index_target t;
    const void *from;
    wg_status s = embedding_map(r, &m, i, dw->shape[0], dw->shape[1]);
    const wg_dims matrix = wgi_dims(2, m.shape);
    if (s == WG_OK) s = wgi_index_seen_as(r, dy, &matrix, &from, m.small);
    if (s == WG_OK) s = wgi_index_target_open(r, &t, (wg_dtype)dy->dtype, r->accumulate);
    if (s != WG_OK) return s;
    memcpy(m.large, t.strides, 2 * sizeof *m.large);
    s = wgi_index_add(r, &m, dw->shape[0] - 1, t.data, from, dy->dtype);
    return s == WG_OK ? wgi_index_target_close(r, &t) : s;
}

/* ---- one index an element: gather and scatter ---- */

static wg_status gather_map(const wg_run *r, wgi_index_axes *m, int axis, const wg_tensor *i,
                            const wg_tensor *small, int64_t size)
{
    *m = (wgi_index_axes) { .n = i->ndim, .axis = axis };
    memcpy(m->shape, i->shape, (size_t)i->ndim * sizeof *m->shape);
    memcpy(m->small, small->strides, (size_t)i->ndim * sizeof *m->small);
    wgi_index_row_major(i->ndim, i->shape, m->index);
    return wgi_index_indices(r, i, "i", size, false, &m->i);
}

wg_status wgi_cuda_gather(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0];
    const int axis = axis_of(a->axis, x);
    wgi_index_axes m;
    wg_status s = gather_map(r, &m, axis, r->in.t[1], wgi_index_output(r), x->shape[axis]);
    if (s != WG_OK) return s;
    memcpy(m.large, x->strides, (size_t)x->ndim * sizeof *m.large);
    return wgi_index_from(r, &m, x);
}

static wg_status scatter(const wg_run *r, int axis, const wg_tensor *i, const wg_tensor *src,
                         bool accumulate)
{
    wgi_index_axes m;
    wgi_index_target t;
    const int64_t size = wgi_index_output(r)->shape[axis];
    wg_status s = gather_map(r, &m, axis, i, src, size);
    if (s == WG_OK) s = wgi_index_target_open(r, &t, (wg_dtype)src->dtype, accumulate);
    if (s != WG_OK) return s;
    memcpy(m.large, t.strides, sizeof m.large);
    s = wgi_index_add(r, &m, size - 1, t.data, wgi_data(src), src->dtype);
    return s == WG_OK ? wgi_index_target_close(r, &t) : s;
}

wg_status wgi_cuda_gather_backward(const wg_run *r)
{
    const wgi_axis_back_attr *a = r->attr;
    return scatter(r, axis_of(a->axis, wgi_index_output(r)), r->in.t[1], r->in.t[0], r->accumulate);
}

wg_status wgi_cuda_scatter_add(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    const wg_status s = wgi_index_copy_first(r);
    return s == WG_OK
               ? scatter(r, axis_of(a->axis, wgi_index_output(r)), r->in.t[1], r->in.t[2], true)
               : s;
}

/* ---- nonzero ---- */

wg_status wgi_cuda_nonzero(const wg_run *r)
{
    const wg_tensor *x = r->in.t[0], *y = wgi_index_output(r);
    wgi_nonzero_pass p = { .x = wgi_data(x),
                           .type = x->dtype,
                           .ndim = x->ndim,
                           .axes = { .count = 1 },
                           .most = y->shape[0],
                           .y = wgi_data(y) };
    if (y->numel == 0) return WG_OK;
    for (int d = 0; d < x->ndim; d++) {
        p.shape[d] = x->shape[d];
        wgi_axes_push(&p.axes, x->shape[d], x->strides[d]);
    }
    p.count = wg_scratch(r, (size_t)wgi_nonzero_chunks(x->numel) * sizeof *p.count);
    if (!p.count) return WG_EMEM;
    wgi_launch_nonzero(&p, r->stream);
    return WG_OK;
}
