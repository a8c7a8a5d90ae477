/* Kernels of the index family: each describes its axes to take or put, as src/cpu/index_ops.c. */
#include "cuda/index.h"

#include "cpu/index.h"
#include "cpu/reduce.h"
#include "cpu/rows.h"
#include "cuda/cuda.h"
#include "cuda/operands.h"

/* ---- operands ---- */

static wg_tensor *output(const wg_run *r)
{
    return r->out.t[0];
}

static int axis_of(int axis, const wg_tensor *x)
{
    return axis < 0 ? axis + x->ndim : axis;
}

static void row_major(int n, const int64_t *shape, int64_t *strides)
{
    int64_t step = 1;
    for (int d = n - 1; d >= 0; d--) {
        strides[d] = step;
        step *= shape[d];
    }
}

/* t's data and strides when seen in shape `as`: where it lies, else a copy in scratch. */
static wg_status seen_as(const wg_run *r, const wg_tensor *t, const wg_dims *as, const void **data,
                         int64_t *strides)
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
static wg_status read_indices(const wg_run *r, const wg_tensor *t, const char *name, int64_t size,
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

static int64_t count_of(const wgi_index_axes *m)
{
    int64_t n = 1;
    for (int d = 0; d < m->n; d++) n *= m->shape[d];
    return n;
}

static wg_status take(const wg_run *r, const wgi_index_axes *m, const wg_tensor *large)
{
    const int64_t count = count_of(m);
    if (count > 0)
        wgi_launch_take(m, count, wgi_data(large), wgi_data(output(r)),
                        (int)wg_dtype_size((wg_dtype)large->dtype), r->stream);
    return WG_OK;
}

/* Items sorted by where they go. largest: what an index may be. */
typedef struct {
    wgi_index_plan plan;
    const uint64_t *keys;
    const int64_t *items;
} sorted;

static wg_status sort_items(const wg_run *r, const wgi_index_axes *m, int64_t largest, sorted *s)
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

static wg_status add_into(const wg_run *r, const wgi_index_axes *m, int64_t largest, void *large,
                          const void *small, int type)
{
    sorted s;
    if (count_of(m) == 0) return WG_OK;
    const wg_status e = sort_items(r, m, largest, &s);
    if (e != WG_OK) return e;
    wgi_launch_index_add(&s.plan, s.keys, s.items, large, (int)wgi_acc_of(type), small, type,
                         r->stream);
    return WG_OK;
}

/* ---- adding into an output of any dtype ---- */
typedef struct {
    void *data; /* of the accumulator's type */
    int64_t strides[WG_MAX_DIMS];
    wgi_acc kind;
    bool direct, accumulate;
} target;

/* Sums of elements of dtype `from` that start from 0, or from out's elements. */
static wg_status target_open(const wg_run *r, target *t, wg_dtype from, bool accumulate)
{
    wg_tensor *out = output(r);
    *t = (target) { .kind = wgi_acc_of((int)from), .accumulate = accumulate };
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
    row_major(out->ndim, out->shape, t->strides);
    return wgi_zero_bytes(out->device, t->data, bytes);
}

static wg_status target_close(const wg_run *r, const target *t)
{
    if (!t->direct) wgi_cuda_fold_store(r, t->data, t->kind, t->accumulate);
    return WG_OK;
}

static wg_status copy_first(const wg_run *r)
{
    return wgi_copy_elements(output(r), r->in.t[0]);
}

/* ---- along one axis: select and its sums ---- */

static wg_status select_map(const wg_run *r, wgi_index_axes *m, int axis, const wg_tensor *small,
                            const wg_tensor *i, int64_t size)
{
    *m = (wgi_index_axes) { .n = small->ndim, .axis = axis };
    memcpy(m->shape, small->shape, (size_t)small->ndim * sizeof *m->shape);
    memcpy(m->small, small->strides, (size_t)small->ndim * sizeof *m->small);
    m->index[axis] = 1;
    return read_indices(r, i, "i", size, false, &m->i);
}

wg_status wgi_cuda_index_select(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0];
    const int axis = axis_of(a->axis, x);
    wgi_index_axes m;
    wg_status s = select_map(r, &m, axis, output(r), r->in.t[1], x->shape[axis]);
    if (s != WG_OK) return s;
    memcpy(m.large, x->strides, (size_t)x->ndim * sizeof *m.large);
    return take(r, &m, x);
}

static wg_status select_add(const wg_run *r, int axis, const wg_tensor *i, const wg_tensor *src,
                            bool accumulate)
{
    wgi_index_axes m;
    target t;
    const int64_t size = output(r)->shape[axis];
    wg_status s = select_map(r, &m, axis, src, i, size);
    if (s == WG_OK) s = target_open(r, &t, (wg_dtype)src->dtype, accumulate);
    if (s != WG_OK) return s;
    memcpy(m.large, t.strides, sizeof m.large);
    s = add_into(r, &m, size - 1, t.data, wgi_data(src), src->dtype);
    return s == WG_OK ? target_close(r, &t) : s;
}

wg_status wgi_cuda_index_select_backward(const wg_run *r)
{
    const wgi_axis_back_attr *a = r->attr;
    return select_add(r, axis_of(a->axis, output(r)), r->in.t[1], r->in.t[0], r->accumulate);
}

wg_status wgi_cuda_index_add(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    const wg_status s = copy_first(r);
    return s == WG_OK ? select_add(r, axis_of(a->axis, output(r)), r->in.t[1], r->in.t[2], true)
                      : s;
}

/* ---- embedding: rows of w (V, C) ---- */

static wg_status embedding_map(const wg_run *r, wgi_index_axes *m, const wg_tensor *i, int64_t v,
                               int64_t c)
{
    *m =
        (wgi_index_axes) { .n = 2, .shape = { i->numel, c }, .small = { c, 1 }, .index = { 1, 0 } };
    return read_indices(r, i, "i", v, false, &m->i);
}

wg_status wgi_cuda_embedding(const wg_run *r)
{
    const wg_tensor *w = r->in.t[0];
    wgi_index_axes m;
    wg_status s = embedding_map(r, &m, r->in.t[1], w->shape[0], w->shape[1]);
    if (s != WG_OK) return s;
    memcpy(m.large, w->strides, 2 * sizeof *m.large);
    return take(r, &m, w);
}

wg_status wgi_cuda_embedding_backward(const wg_run *r)
{
    const wg_tensor *dy = r->in.t[0], *i = r->in.t[1], *dw = output(r);
    wgi_index_axes m;
    target t;
    const void *from;
    wg_status s = embedding_map(r, &m, i, dw->shape[0], dw->shape[1]);
    const wg_dims matrix = wgi_dims(2, m.shape);
    if (s == WG_OK) s = seen_as(r, dy, &matrix, &from, m.small);
    if (s == WG_OK) s = target_open(r, &t, (wg_dtype)dy->dtype, r->accumulate);
    if (s != WG_OK) return s;
    memcpy(m.large, t.strides, 2 * sizeof *m.large);
    s = add_into(r, &m, dw->shape[0] - 1, t.data, from, dy->dtype);
    return s == WG_OK ? target_close(r, &t) : s;
}

/* ---- one index an element: gather and scatter ---- */

static wg_status gather_map(const wg_run *r, wgi_index_axes *m, int axis, const wg_tensor *i,
                            const wg_tensor *small, int64_t size)
{
    *m = (wgi_index_axes) { .n = i->ndim, .axis = axis };
    memcpy(m->shape, i->shape, (size_t)i->ndim * sizeof *m->shape);
    memcpy(m->small, small->strides, (size_t)i->ndim * sizeof *m->small);
    row_major(i->ndim, i->shape, m->index);
    return read_indices(r, i, "i", size, false, &m->i);
}

wg_status wgi_cuda_gather(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0];
    const int axis = axis_of(a->axis, x);
    wgi_index_axes m;
    wg_status s = gather_map(r, &m, axis, r->in.t[1], output(r), x->shape[axis]);
    if (s != WG_OK) return s;
    memcpy(m.large, x->strides, (size_t)x->ndim * sizeof *m.large);
    return take(r, &m, x);
}

static wg_status scatter(const wg_run *r, int axis, const wg_tensor *i, const wg_tensor *src,
                         bool accumulate)
{
    wgi_index_axes m;
    target t;
    const int64_t size = output(r)->shape[axis];
    wg_status s = gather_map(r, &m, axis, i, src, size);
    if (s == WG_OK) s = target_open(r, &t, (wg_dtype)src->dtype, accumulate);
    if (s != WG_OK) return s;
    memcpy(m.large, t.strides, sizeof m.large);
    s = add_into(r, &m, size - 1, t.data, wgi_data(src), src->dtype);
    return s == WG_OK ? target_close(r, &t) : s;
}

wg_status wgi_cuda_gather_backward(const wg_run *r)
{
    const wgi_axis_back_attr *a = r->attr;
    return scatter(r, axis_of(a->axis, output(r)), r->in.t[1], r->in.t[0], r->accumulate);
}

wg_status wgi_cuda_scatter_add(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    const wg_status s = copy_first(r);
    return s == WG_OK ? scatter(r, axis_of(a->axis, output(r)), r->in.t[1], r->in.t[2], true) : s;
}

/* ---- several indices for the leading axes ---- */

/* The index tensors among the inputs from `first` on; sizes and strides: of the large side's leading
 * axes. Fills everything but `where`. */
static wg_status places_read(const wg_run *r, wgi_index_places *p, int first, const int64_t *sizes)
{
    wg_dims shape = { .n = 0 };
    memset(p, 0, sizeof *p);
    p->n = (int)r->in.n - first;
    for (int k = 0; k < p->n; k++) {
        const wg_dims own = wgi_shape(r->in.t[first + k]), so_far = shape;
        wg_status s = wgi_broadcast(&so_far, &own, &shape);
        if (s != WG_OK) return s;
    }
    p->ndim = shape.n;
    p->count = wgi_numel(&shape);
    memcpy(p->shape, shape.d, sizeof p->shape);
    for (int k = 0; k < p->n; k++) {
        const wg_tensor *t = r->in.t[first + k];
        const int lead = shape.n - t->ndim;
        char name[24];
        int64_t own[WG_MAX_DIMS];
        snprintf(name, sizeof name, "i[%d]", k);
        wg_status s = read_indices(r, t, name, sizes[k], true, &p->i[k]);
        if (s != WG_OK) return s;
        row_major(t->ndim, t->shape, own);
        for (int d = 0; d < t->ndim; d++) p->step[k][lead + d] = t->shape[d] == 1 ? 0 : own[d];
    }
    return WG_OK;
}

/* Where each of them points, in elements of the large side. */
static wg_status places_find(const wg_run *r, wgi_index_places *p, const int64_t *strides)
{
    for (int k = 0; k < p->n; k++) p->stride[k] = strides[k];
    p->where = wg_scratch(r, (size_t)(p->count > 0 ? p->count : 1) * sizeof *p->where);
    if (!p->where) return WG_EMEM;
    if (p->count > 0) wgi_launch_index_places(p, r->stream);
    return WG_OK;
}

/* The small side as (count, inner axes of the large side). */
static wg_status places_map(const wg_run *r, wgi_index_axes *m, wgi_index_places *p,
                            const wg_tensor *large, const int64_t *strides)
{
    *m = (wgi_index_axes) { .n = 1 + large->ndim - p->n, .axis = 0 };
    m->shape[0] = p->count;
    m->large[0] = m->index[0] = 1; /* places are elements already */
    for (int d = p->n; d < large->ndim; d++) {
        m->shape[1 + d - p->n] = large->shape[d];
        m->large[1 + d - p->n] = strides[d];
    }
    row_major(m->n, m->shape, m->small);
    const wg_status s = places_find(r, p, strides);
    m->i = p->where;
    return s;
}

static int64_t largest_place(const wgi_index_places *p, const int64_t *sizes)
{
    int64_t most = 0;
    for (int k = 0; k < p->n; k++) most += (sizes[k] > 0 ? sizes[k] - 1 : 0) * p->stride[k];
    return most;
}

wg_status wgi_cuda_index_get(const wg_run *r)
{
    const wg_tensor *x = r->in.t[0];
    wgi_index_places p;
    wgi_index_axes m;
    wg_status s = places_read(r, &p, 1, x->shape);
    if (s == WG_OK) s = places_map(r, &m, &p, x, x->strides);
    return s == WG_OK ? take(r, &m, x) : s;
}

/* Adds small (of the map's shape in small's own axes) into the output. */
static wg_status places_add(const wg_run *r, wgi_index_places *p, const wg_tensor *small,
                            bool accumulate)
{
    wgi_index_axes m;
    target t;
    const void *from;
    wg_status s = target_open(r, &t, (wg_dtype)small->dtype, accumulate);
    if (s == WG_OK) s = places_map(r, &m, p, output(r), t.strides);
    if (s != WG_OK) return s;
    const wg_dims flat = wgi_dims(m.n, m.shape);
    s = seen_as(r, small, &flat, &from, m.small);
    if (s == WG_OK)
        s = add_into(r, &m, largest_place(p, output(r)->shape), t.data, from, small->dtype);
    return s == WG_OK ? target_close(r, &t) : s;
}

wg_status wgi_cuda_index_get_backward(const wg_run *r)
{
    wgi_index_places p;
    wg_status s = places_read(r, &p, 1, output(r)->shape);
    return s == WG_OK ? places_add(r, &p, r->in.t[0], r->accumulate) : s;
}

/* values, broadcast to (indices' shape, inner axes of x), as a view of the caller's. */
static wg_tensor spread_values(const wg_tensor *values, const wgi_index_places *p,
                               const wg_tensor *x)
{
    wg_tensor v = *values;
    int n = 0;
    for (int d = 0; d < p->ndim; d++) v.shape[n++] = p->shape[d];
    for (int d = p->n; d < x->ndim; d++) v.shape[n++] = x->shape[d];
    const int lead = n - values->ndim;
    v.ndim = (uint8_t)n;
    v.numel = 1;
    for (int d = 0; d < n; d++) {
        v.numel *= v.shape[d];
        v.strides[d] = d < lead || values->shape[d - lead] == 1 ? 0 : values->strides[d - lead];
    }
    return v;
}

wg_status wgi_cuda_index_put(const wg_run *r)
{
    const wgi_index_put_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0];
    wg_tensor *out = output(r);
    wgi_index_places p;
    wgi_index_axes m;
    const void *from;
    sorted o;
    wg_status s = places_read(r, &p, 2, x->shape);
    if (s != WG_OK || out->numel == 0) return s;
    if ((s = copy_first(r)) != WG_OK) return s;
    const wg_tensor values = spread_values(r->in.t[1], &p, x);
    if (a->accumulate) return places_add(r, &p, &values, true);
    s = places_map(r, &m, &p, out, out->strides);
    const wg_dims flat = wgi_dims(m.n, m.shape);
    if (s == WG_OK) s = seen_as(r, &values, &flat, &from, m.small);
    if (s != WG_OK || count_of(&m) == 0) return s;
    s = sort_items(r, &m, largest_place(&p, out->shape), &o);
    if (s == WG_OK)
        wgi_launch_index_write(&o.plan, o.keys, o.items, wgi_data(out), from,
                               (int)wg_dtype_size((wg_dtype)x->dtype), r->stream);
    return s;
}

/* y (indices' shape) bool: no later index points to the same place. */
wg_status wgi_cuda_index_last(const wg_run *r)
{
    const wgi_index_back_attr *a = r->attr;
    int64_t strides[WG_MAX_DIMS] = { 0 };
    wgi_index_places p;
    sorted o;
    wg_status s = places_read(r, &p, 0, a->shape.d);
    if (s != WG_OK || p.count == 0) return s;
    row_major(p.n, a->shape.d, strides);
    if ((s = places_find(r, &p, strides)) != WG_OK) return s;
    const wgi_index_axes m = {
        .n = 1, .shape = { p.count }, .large = { 1 }, .index = { 1 }, .i = p.where
    };
    s = sort_items(r, &m, largest_place(&p, a->shape.d), &o);
    if (s == WG_OK) wgi_launch_index_last(&o.plan, o.keys, o.items, wgi_data(output(r)), r->stream);
    return s;
}

/* ---- nonzero ---- */

wg_status wgi_cuda_nonzero(const wg_run *r)
{
    const wg_tensor *x = r->in.t[0], *y = output(r);
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
