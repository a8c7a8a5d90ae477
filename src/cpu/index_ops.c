/* Kernels of the index family: each describes its axes to take or put. */
#include "cpu/index.h"
#include "cpu/parallel.h"
#include "cpu/reduce.h"
#include "cpu/rows.h"

/* ---- operands ---- */

/* t's data and strides when seen in shape `as` (same number of elements): where it lies, else a
 * copy in scratch. */
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

static void row_major(int n, const int64_t *shape, int64_t *strides)
{
    int64_t step = 1;
    for (int d = n - 1; d >= 0; d--) {
        strides[d] = step;
        step *= shape[d];
    }
}

static int axis_of(int axis, const wg_tensor *x)
{
    return axis < 0 ? axis + x->ndim : axis;
}

typedef struct {
    char *data;
} cleared;

static void clear_bytes(void *self, int64_t first, int64_t last)
{
    const cleared *c = self;
    memset(c->data + first, 0, (size_t)(last - first));
}

static void zero(wg_tensor *out)
{
    static const double none = 0;
    if (out->numel == 0) return;
    if (wgi_is_contiguous(out)) {
        cleared c = { wgi_data(out) };
        wgi_parallel_for(out->numel * (int64_t)wg_dtype_size((wg_dtype)out->dtype), 4 * WGI_GRAIN,
                         clear_bytes, &c);
        return;
    }
    wgi_storage place = { .device = wg_cpu(),
                          .bytes = sizeof none,
                          .data = (void *)(uintptr_t)&none };
    wg_tensor zeros = *out;
    zeros.storage = &place;
    zeros.offset = 0;
    for (int d = 0; d < zeros.ndim; d++) zeros.strides[d] = 0;
    wgi_copy_elements(out, &zeros);
}

static wg_tensor *output(const wg_run *r)
{
    return r->out.t[0];
}

/* ---- adding into an output of any dtype ---- */
typedef struct {
    wg_tensor *out;
    void *data; /* of the accumulator's type */
    int64_t strides[WG_MAX_DIMS];
    wgi_acc kind;
    bool direct, accumulate;
} target;

/* Sums of elements of dtype `from` that start from 0, or from out's elements. */
static wg_status target_open(const wg_run *r, target *t, wg_dtype from, bool accumulate)
{
    wg_tensor *out = output(r);
    *t = (target) { .out = out, .kind = wgi_acc_of(from), .accumulate = accumulate };
    t->direct = wgi_acc_dtype(t->kind) == out->dtype;
    if (t->direct) {
        if (!accumulate) zero(out);
        t->data = wgi_data(out);
        memcpy(t->strides, out->strides, sizeof t->strides);
        return WG_OK;
    }
    const size_t bytes = (size_t)(out->numel > 0 ? out->numel : 1) * wgi_acc_bytes(t->kind);
    t->data = wg_scratch(r, bytes);
    if (!t->data) return WG_EMEM;
    memset(t->data, 0, bytes);
    row_major(out->ndim, out->shape, t->strides);
    return WG_OK;
}

static void target_close(const target *t)
{
    if (!t->direct) wgi_fold_store(t->out, t->data, t->kind, 1, t->accumulate);
}

/* ---- along one axis: select and its sums ---- */

/* The small side's shape and indices of a selection along axis; `small` of that shape. */
static wg_status select_map(const wg_run *r, wgi_index_map *m, int axis, const wg_tensor *small,
                            const wg_tensor *i, int64_t size)
{
    *m = (wgi_index_map) { .n = small->ndim, .axis = axis };
    memcpy(m->shape, small->shape, sizeof m->shape);
    memcpy(m->small, small->strides, sizeof m->small);
    m->index[axis] = 1;
    return wgi_index_read(r, i, "i", size, false, &m->i);
}

wg_status wgi_cpu_index_select(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0];
    const int axis = axis_of(a->axis, x);
    wgi_index_map m;
    wg_status s = select_map(r, &m, axis, output(r), r->in.t[1], x->shape[axis]);
    if (s != WG_OK) return s;
    memcpy(m.large, x->strides, sizeof m.large);
    wgi_index_take(&m, wgi_data(x), wgi_data(output(r)), wg_dtype_size((wg_dtype)x->dtype));
    return WG_OK;
}

static wg_status select_add(const wg_run *r, int axis, const wg_tensor *i, const wg_tensor *src,
                            bool accumulate)
{
    wgi_index_map m;
    target t;
    wg_status s = select_map(r, &m, axis, src, i, output(r)->shape[axis]);
    if (s == WG_OK) s = target_open(r, &t, (wg_dtype)src->dtype, accumulate);
    if (s != WG_OK) return s;
    memcpy(m.large, t.strides, sizeof m.large);
    wgi_index_add_into(&m, t.data, wgi_data(src), (wg_dtype)src->dtype);
    target_close(&t);
    return WG_OK;
}

wg_status wgi_cpu_index_select_backward(const wg_run *r)
{
    const wgi_axis_back_attr *a = r->attr;
    return select_add(r, axis_of(a->axis, output(r)), r->in.t[1], r->in.t[0], r->accumulate);
}

wg_status wgi_cpu_index_add(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    if (output(r)->numel > 0) wgi_copy_elements(output(r), r->in.t[0]);
    return select_add(r, axis_of(a->axis, output(r)), r->in.t[1], r->in.t[2], true);
}

/* ---- embedding: rows of w (V, C) ---- */

/* (number of indices, C). */
static wg_status embedding_map(const wg_run *r, wgi_index_map *m, const wg_tensor *i, int64_t v,
                               int64_t c)
{
    *m = (wgi_index_map) { .n = 2, .shape = { i->numel, c }, .small = { c, 1 }, .index = { 1, 0 } };
    return wgi_index_read(r, i, "i", v, false, &m->i);
}

wg_status wgi_cpu_embedding(const wg_run *r)
{
    const wg_tensor *w = r->in.t[0];
    wgi_index_map m;
    wg_status s = embedding_map(r, &m, r->in.t[1], w->shape[0], w->shape[1]);
    if (s != WG_OK) return s;
    memcpy(m.large, w->strides, 2 * sizeof *m.large);
    if (wgi_in_blocks(w->dtype))
        wgi_take_block_rows(wgi_data(output(r)), w, m.i, r->in.t[1]->numel);
    else
        wgi_index_take(&m, wgi_data(w), wgi_data(output(r)), wg_dtype_size((wg_dtype)w->dtype));
    return WG_OK;
}

wg_status wgi_cpu_embedding_backward(const wg_run *r)
{
    const wg_tensor *dy = r->in.t[0], *i = r->in.t[1], *dw = output(r);
    wgi_index_map m;
    target t;
    const void *from;
    wg_status s = embedding_map(r, &m, i, dw->shape[0], dw->shape[1]);
    const wg_dims matrix = wgi_dims(2, m.shape);
    if (s == WG_OK) s = seen_as(r, dy, &matrix, &from, m.small);
    if (s == WG_OK) s = target_open(r, &t, (wg_dtype)dy->dtype, r->accumulate);
    if (s != WG_OK) return s;
    memcpy(m.large, t.strides, 2 * sizeof *m.large);
    wgi_index_add_into(&m, t.data, from, (wg_dtype)dy->dtype);
    target_close(&t);
    return WG_OK;
}

/* ---- one index an element: gather and scatter ---- */
static wg_status gather_map(const wg_run *r, wgi_index_map *m, int axis, const wg_tensor *i,
                            const wg_tensor *small, int64_t size)
{
    *m = (wgi_index_map) { .n = i->ndim, .axis = axis };
    memcpy(m->shape, i->shape, sizeof m->shape);
    memcpy(m->small, small->strides, sizeof m->small);
    row_major(i->ndim, i->shape, m->index);
    return wgi_index_read(r, i, "i", size, false, &m->i);
}

wg_status wgi_cpu_gather(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0];
    const int axis = axis_of(a->axis, x);
    wgi_index_map m;
    wg_status s = gather_map(r, &m, axis, r->in.t[1], output(r), x->shape[axis]);
    if (s != WG_OK) return s;
    memcpy(m.large, x->strides, sizeof m.large);
    wgi_index_take(&m, wgi_data(x), wgi_data(output(r)), wg_dtype_size((wg_dtype)x->dtype));
    return WG_OK;
}

static wg_status scatter(const wg_run *r, int axis, const wg_tensor *i, const wg_tensor *src,
                         bool accumulate)
{
    wgi_index_map m;
    target t;
    wg_status s = gather_map(r, &m, axis, i, src, output(r)->shape[axis]);
    if (s == WG_OK) s = target_open(r, &t, (wg_dtype)src->dtype, accumulate);
    if (s != WG_OK) return s;
    memcpy(m.large, t.strides, sizeof m.large);
    wgi_index_add_into(&m, t.data, wgi_data(src), (wg_dtype)src->dtype);
    target_close(&t);
    return WG_OK;
}

wg_status wgi_cpu_gather_backward(const wg_run *r)
{
    const wgi_axis_back_attr *a = r->attr;
    return scatter(r, axis_of(a->axis, output(r)), r->in.t[1], r->in.t[0], r->accumulate);
}

wg_status wgi_cpu_scatter_add(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    if (output(r)->numel > 0) wgi_copy_elements(output(r), r->in.t[0]);
    return scatter(r, axis_of(a->axis, output(r)), r->in.t[1], r->in.t[2], true);
}

/* ---- several indices for the leading axes ---- */
typedef struct {
    wg_dims shape; /* the indices' common shape */
    int64_t count; /* its product */
    int n;         /* number of index tensors */
    const int64_t *i[WG_MAX_DIMS];
    int64_t steps[WG_MAX_DIMS][WG_MAX_DIMS]; /* of index tensor k along each common axis */
} index_set;

/* The index tensors among the inputs from `first` on; sizes: of the large side's axes. */
static wg_status index_set_read(const wg_run *r, index_set *set, int first, const int64_t *sizes)
{
    *set = (index_set) { .n = (int)r->in.n - first };
    for (int k = 0; k < set->n; k++) {
        const wg_dims own = wgi_shape(r->in.t[first + k]);
        const wg_dims so_far = set->shape;
        wg_status s = wgi_broadcast(&so_far, &own, &set->shape);
        if (s != WG_OK) return s;
    }
    set->count = wgi_numel(&set->shape);
    for (int k = 0; k < set->n; k++) {
        const wg_tensor *t = r->in.t[first + k];
        const int lead = set->shape.n - t->ndim;
        char name[24];
        snprintf(name, sizeof name, "i[%d]", k);
        wg_status s = wgi_index_read(r, t, name, sizes[k], true, &set->i[k]);
        if (s != WG_OK) return s;
        int64_t own[WG_MAX_DIMS];
        row_major(t->ndim, t->shape, own);
        for (int d = 0; d < t->ndim; d++) set->steps[k][lead + d] = t->shape[d] == 1 ? 0 : own[d];
    }
    return WG_OK;
}

/* where (count): sum over k of index k times strides[k]. */
static wg_status index_set_places(const wg_run *r, const index_set *set, const int64_t *strides,
                                  int64_t **where)
{
    int64_t at[WG_MAX_DIMS] = { 0 }, from[WG_MAX_DIMS] = { 0 };
    *where = wg_scratch(r, (size_t)(set->count > 0 ? set->count : 1) * sizeof **where);
    if (!*where) return WG_EMEM;
    for (int64_t e = 0; e < set->count; e++) {
        int64_t sum = 0;
        for (int k = 0; k < set->n; k++) sum += set->i[k][from[k]] * strides[k];
        (*where)[e] = sum;
        for (int d = set->shape.n - 1; d >= 0; d--) {
            const bool more = ++at[d] < set->shape.d[d];
            const int64_t by = more ? 1 : 1 - set->shape.d[d];
            for (int k = 0; k < set->n; k++) from[k] += by * set->steps[k][d];
            if (more) break;
            at[d] = 0;
        }
    }
    return WG_OK;
}

/* The small side as (count, inner axes of the large side); large's strides. */
static wg_status index_set_map(const wg_run *r, wgi_index_map *m, const index_set *set,
                               const wg_tensor *large, const int64_t *strides)
{
    int64_t *where;
    *m = (wgi_index_map) { .n = 1 + large->ndim - set->n, .axis = 0 };
    m->shape[0] = set->count;
    m->large[0] = m->index[0] = 1; /* places are elements already */
    for (int d = set->n; d < large->ndim; d++) {
        m->shape[1 + d - set->n] = large->shape[d];
        m->large[1 + d - set->n] = strides[d];
    }
    row_major(m->n, m->shape, m->small);
    wg_status s = index_set_places(r, set, strides, &where);
    m->i = where;
    return s;
}

wg_status wgi_cpu_index_get(const wg_run *r)
{
    const wg_tensor *x = r->in.t[0];
    index_set set;
    wgi_index_map m;
    wg_status s = index_set_read(r, &set, 1, x->shape);
    if (s == WG_OK) s = index_set_map(r, &m, &set, x, x->strides);
    if (s != WG_OK) return s;
    wgi_index_take(&m, wgi_data(x), wgi_data(output(r)), wg_dtype_size((wg_dtype)x->dtype));
    return WG_OK;
}

/* Adds small (of the map's shape in small's own axes) into the output. */
static wg_status set_add(const wg_run *r, const index_set *set, const wg_tensor *small,
                         bool accumulate)
{
    wgi_index_map m;
    target t;
    const void *from;
    wg_status s = target_open(r, &t, (wg_dtype)small->dtype, accumulate);
    if (s == WG_OK) s = index_set_map(r, &m, set, output(r), t.strides);
    if (s != WG_OK) return s;
    const wg_dims flat = wgi_dims(m.n, m.shape);
    s = seen_as(r, small, &flat, &from, m.small);
    if (s != WG_OK) return s;
    wgi_index_add_into(&m, t.data, from, (wg_dtype)small->dtype);
    target_close(&t);
    return WG_OK;
}

wg_status wgi_cpu_index_get_backward(const wg_run *r)
{
    index_set set;
    wg_status s = index_set_read(r, &set, 1, output(r)->shape);
    return s != WG_OK ? s : set_add(r, &set, r->in.t[0], r->accumulate);
}

/* values, broadcast to (indices' shape, inner axes of x), as a view of the caller's. */
static wg_tensor spread_values(const wg_tensor *values, const index_set *set, const wg_tensor *x)
{
    wg_tensor v = *values;
    int n = 0;
    for (int d = 0; d < set->shape.n; d++) v.shape[n++] = set->shape.d[d];
    for (int d = set->n; d < x->ndim; d++) v.shape[n++] = x->shape[d];
    const int lead = n - values->ndim;
    v.ndim = (uint8_t)n;
    v.numel = 1;
    for (int d = 0; d < n; d++) {
        v.numel *= v.shape[d];
        v.strides[d] = d < lead || values->shape[d - lead] == 1 ? 0 : values->strides[d - lead];
    }
    return v;
}

wg_status wgi_cpu_index_put(const wg_run *r)
{
    const wgi_index_put_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0];
    wg_tensor *out = output(r);
    index_set set;
    wgi_index_map m;
    const void *from;
    wg_status s = index_set_read(r, &set, 2, x->shape);
    if (s != WG_OK || out->numel == 0) return s;
    wgi_copy_elements(out, x);
    const wg_tensor values = spread_values(r->in.t[1], &set, x);
    if (a->accumulate) return set_add(r, &set, &values, true);
    s = index_set_map(r, &m, &set, out, out->strides);
    const wg_dims flat = wgi_dims(m.n, m.shape);
    if (s == WG_OK) s = seen_as(r, &values, &flat, &from, m.small);
    if (s != WG_OK) return s;
    wgi_index_write(&m, wgi_data(out), from, wg_dtype_size((wg_dtype)x->dtype));
    return WG_OK;
}

/* y (indices' shape) bool: no later index points to the same place. */
wg_status wgi_cpu_index_last(const wg_run *r)
{
    const wgi_index_back_attr *a = r->attr;
    index_set set;
    int64_t strides[WG_MAX_DIMS] = { 0 }, *where, places = 1;
    wg_status s = index_set_read(r, &set, 0, a->shape.d);
    if (s != WG_OK) return s;
    row_major(set.n, a->shape.d, strides);
    for (int k = 0; k < set.n; k++) places *= a->shape.d[k];
    s = index_set_places(r, &set, strides, &where);
    int64_t *last =
        s == WG_OK ? wg_scratch(r, (size_t)(places > 0 ? places : 1) * sizeof *last) : NULL;
    if (!last) return WG_EMEM;
    uint8_t *y = wgi_data(output(r));
    for (int64_t e = 0; e < set.count; e++) last[where[e]] = e;
    for (int64_t e = 0; e < set.count; e++) y[e] = last[where[e]] == e;
    return WG_OK;
}
