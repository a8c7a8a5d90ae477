/* Several index tensors for the leading axes, as src/cpu/index_ops.c. */
#include "cpu/index.h"
#include "cpu/rows.h"
#include "cuda/cuda.h"
#include "cuda/index_parts.h"

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
        wg_status s = wgi_index_indices(r, t, name, sizes[k], true, &p->i[k]);
        if (s != WG_OK) return s;
        wgi_index_row_major(t->ndim, t->shape, own);
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
    wgi_index_row_major(m->n, m->shape, m->small);
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
    return s == WG_OK ? wgi_index_from(r, &m, x) : s;
}

/* Adds small (of the map's shape in small's own axes) into the output. */
static wg_status places_add(const wg_run *r, wgi_index_places *p, const wg_tensor *small,
                            bool accumulate)
{
    wgi_index_axes m;
    wgi_index_target t;
    const void *from;
    wg_status s = wgi_index_target_open(r, &t, (wg_dtype)small->dtype, accumulate);
    if (s == WG_OK) s = places_map(r, &m, p, wgi_index_output(r), t.strides);
    if (s != WG_OK) return s;
    const wg_dims flat = wgi_dims(m.n, m.shape);
    s = wgi_index_seen_as(r, small, &flat, &from, m.small);
    if (s == WG_OK)
        s = wgi_index_add(r, &m, largest_place(p, wgi_index_output(r)->shape), t.data, from,
                          small->dtype);
    return s == WG_OK ? wgi_index_target_close(r, &t) : s;
}

wg_status wgi_cuda_index_get_backward(const wg_run *r)
{
    wgi_index_places p;
    wg_status s = places_read(r, &p, 1, wgi_index_output(r)->shape);
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
    wg_tensor *out = wgi_index_output(r);
    wgi_index_places p;
    wgi_index_axes m;
    const void *from;
    wgi_index_sorted o;
    wg_status s = places_read(r, &p, 2, x->shape);
    if (s != WG_OK || out->numel == 0) return s;
    if ((s = wgi_index_copy_first(r)) != WG_OK) return s;
    const wg_tensor values = spread_values(r->in.t[1], &p, x);
    if (a->accumulate) return places_add(r, &p, &values, true);
    s = places_map(r, &m, &p, out, out->strides);
    const wg_dims flat = wgi_dims(m.n, m.shape);
    if (s == WG_OK) s = wgi_index_seen_as(r, &values, &flat, &from, m.small);
    if (s != WG_OK || wgi_index_count(&m) == 0) return s;
    s = wgi_index_sort(r, &m, largest_place(&p, out->shape), &o);
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
    wgi_index_sorted o;
    wg_status s = places_read(r, &p, 0, a->shape.d);
    if (s != WG_OK || p.count == 0) return s;
    wgi_index_row_major(p.n, a->shape.d, strides);
    if ((s = places_find(r, &p, strides)) != WG_OK) return s;
    const wgi_index_axes m = {
        .n = 1, .shape = { p.count }, .large = { 1 }, .index = { 1 }, .i = p.where
    };
    s = wgi_index_sort(r, &m, largest_place(&p, a->shape.d), &o);
    if (s == WG_OK)
        wgi_launch_index_last(&o.plan, o.keys, o.items, wgi_data(wgi_index_output(r)), r->stream);
    return s;
}
