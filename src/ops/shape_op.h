/* What the ops that move elements without computing share. */
#ifndef WGI_OPS_SHAPE_OP_H
#define WGI_OPS_SHAPE_OP_H
#include "cuda/cuda.h"
#include "ops/registry.h"
#include "tensor/internal.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

/* Where dims lie, for an attribute that is dims. */
#define WGI_DIMS_AT(...) ((wg_dims[1]) { WG_DIMS(__VA_ARGS__) })

/* axis in [-n, n) -> [0, n), n = 0 counting as 1; -1 if it is out of range. Raises nothing. */
static inline int wgi_axis_or_none(int axis, int n)
{
    if (n == 0) n = 1;
    return axis < -n || axis >= n ? -1 : axis < 0 ? axis + n : axis;
}

/* Output i as a view of all of input 0, for the shape rule to change. */
static inline wg_spec *wgi_view_of_input(wg_infer *c, int i)
{
    const wg_tensor *x = c->in.t[0];
    wg_infer_like(c, i, x);
    c->out[i].shape = wgi_shape(x);
    c->out[i].strides = wgi_strides(x);
    c->out[i].offset = 0;
    return &c->out[i];
}

/* The next multi-index in row-major order. */
static inline void wgi_next_index(const wg_tensor *t, int64_t *index)
{
    for (int a = t->ndim - 1; a >= 0; a--) {
        if (++index[a] < t->shape[a]) return;
        index[a] = 0;
    }
}

/* References of ops that move elements: y[i] = x[source(r, i)], elements counted in row-major
 * order; 0 where source is negative. */
static inline wg_status wgi_reference_gather(const wg_run *r,
                                             int64_t (*source)(const wg_run *r, const int64_t *i))
{
    const double *x = wg_run_in(r, 0);
    double *y = wg_run_out(r, 0);
    int64_t index[WG_MAX_DIMS] = { 0 };
    for (int64_t e = 0; e < r->out.t[0]->numel; e++) {
        int64_t from = source(r, index);
        y[e] = from < 0 ? 0.0 : x[from];
        wgi_next_index(r->out.t[0], index);
    }
    return WG_OK;
}

/* Row-major number of the element of t at index. */
static inline int64_t wgi_element_at(const wg_tensor *t, const int64_t *index)
{
    int64_t e = 0;
    for (int a = 0; a < t->ndim; a++) e = e * t->shape[a] + index[a];
    return e;
}

/* First byte of the element of t at `steps` along axis. */
static inline char *wgi_byte_at(const wg_tensor *t, int axis, int64_t steps)
{
    return (char *)wgi_data(t) + steps * t->strides[axis] * (int64_t)wgi_dtype_bytes[t->dtype];
}

/* wgi_copy_strided on the device of the running op. */
static inline wg_status wgi_run_copy(const wg_run *r, void *dst, const int64_t *dst_strides,
                                     const wg_tensor *x, const void *src,
                                     const int64_t *src_strides, int ndim, const int64_t *shape)
{
    const wg_tensor *y = r->out.t[0];
    if (y->device.kind == WG_CUDA)
        return wgi_cuda_copy_strided(r, dst, (wg_dtype)y->dtype, dst_strides, src,
                                     (wg_dtype)x->dtype, src_strides, ndim, shape);
    wgi_copy_strided(dst, (wg_dtype)y->dtype, dst_strides, src, (wg_dtype)x->dtype, src_strides,
                     ndim, shape);
    return WG_OK;
}

/* y (shape) zero but for y[..., start + step i, ...] = x[..., i, ...] along axis: the gradient of a
 * slice. */
typedef struct {
    wg_dims shape;
    int64_t start, step;
    int axis;
} wgi_unslice_attr;
wg_tensor *wgi_unslice(wg_tensor *x, wg_dims shape, int axis, int64_t start, int64_t step);

/* Adds overlapping windows back: the gradient of wg_unfold, see fold.c. */
typedef struct {
    int64_t size, step, length;
    int axis;
} wgi_unfold_attr;
wg_tensor *wgi_fold(wg_tensor *x, const wgi_unfold_attr *a);
#endif
