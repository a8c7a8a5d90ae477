/* What the ops that read and write by indices share. */
#ifndef WGI_OPS_INDEX_OP_H
#define WGI_OPS_INDEX_OP_H
#include "cpu/index.h"
#include "ops/registry.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"
#include "wengert/scope.h"

/* i64 or i32, else WG_EDTYPE. */
static inline wg_status wgi_index_dtype(const wg_tensor *i)
{
    if (i->dtype == WG_I64 || i->dtype == WG_I32) return WG_OK;
    return wg_raise(WG_EDTYPE, "indices must be i64 or i32, are %s",
                    wg_dtype_name((wg_dtype)i->dtype));
}

/* axis of x, which must have one. */
static inline wg_status wgi_index_axis(int axis, const wg_tensor *x, int *out)
{
    if (x->ndim == 0) return wg_raise(WG_ESHAPE, "x must have an axis");
    return wgi_axis(axis, x->ndim, out);
}

/* src must be of x's dtype and that dtype must have a sum. */
static inline wg_status wgi_index_addable(const wg_tensor *x, const wg_tensor *src)
{
    if (x->dtype != src->dtype)
        return wg_raise(WG_EDTYPE, "dtypes differ: %s and %s", wg_dtype_name((wg_dtype)x->dtype),
                        wg_dtype_name((wg_dtype)src->dtype));
    return x->dtype == WG_BOOL ? wg_raise(WG_EDTYPE, "bool cannot be added") : WG_OK;
}

/* Output 0 of t's dtype and device, of this shape; the shape must be a valid one. */
static inline wg_status wgi_infer_shape(wg_infer *c, const wg_tensor *t, wg_dims shape)
{
    wg_infer_like(c, 0, t);
    c->out[0].shape = shape;
    return WG_OK;
}

/* ---- for references: contiguous operands, addressed by arithmetic ---- */
static inline int64_t wgi_reference_index(const wg_tensor *i, int64_t k)
{
    const size_t bytes = wg_dtype_size((wg_dtype)i->dtype);
    return wgi_load_int((const char *)wgi_data(i) + (size_t)k * bytes, (wg_dtype)i->dtype);
}

/* Products of the sizes before and after axis. */
static inline int64_t wgi_size_before(const wg_tensor *t, int axis)
{
    int64_t n = 1;
    for (int d = 0; d < axis; d++) n *= t->shape[d];
    return n;
}

static inline int64_t wgi_size_after(const wg_tensor *t, int axis)
{
    int64_t n = 1;
    for (int d = axis + 1; d < t->ndim; d++) n *= t->shape[d];
    return n;
}

/* Every index in [0, size), or with wrap in [-size, size); else WG_EINDEX. */
static inline wg_status wgi_reference_check(const wg_tensor *i, int64_t size, bool wrap)
{
    for (int64_t k = 0; k < i->numel; k++) {
        const int64_t v = wgi_reference_index(i, k);
        if (v < (wrap ? -size : 0) || v >= size)
            return wg_raise(WG_EINDEX, "index %lld is out of range for size %lld", (long long)v,
                            (long long)size);
    }
    return WG_OK;
}

/* The indices' shape fits the large side's along every axis but the gathered one. */
wg_status wgi_gather_shape(const wg_tensor *i, const wg_dims *large, int axis, const char *name);
/* Visits (outer, k, inner): small's element number, and large's where i[k] points along axis. */
wg_status wgi_select_each(const wg_tensor *large, const wg_tensor *i, int axis,
                          void (*visit)(void *self, int64_t small, int64_t large), void *self);
/* Visits each index k (at `at`), and the element that it names in a tensor of large's shape. */
wg_status wgi_gather_each(const wg_tensor *large, const wg_tensor *i, int axis,
                          void (*visit)(void *self, const int64_t *at, int64_t k, int64_t large),
                          void *self);
#endif
