/* Windows along an axis, as a view: y[.., w, .., j] = x[.., w step + j, ..]; the window's own axis
 * comes last.
 *   x: (.., L, ..), at most 7 dimensions -> y: (.., (L - size) / step + 1, .., size), size <= L.
 *   gradient: the windows' cotangents added back where they came from (fold).
 * fold: y[.., t, ..] = sum over windows w and places j with w step + j = t of x[.., w, .., j], w
 * rising; its gradient is unfold.
 *   errors: WG_EINDEX for the axis, WG_EARG for a size that does not fit or a step below 1. */
#include "ops/shape_op.h"

#include "cpu/parallel.h"
#include "cuda/cuda.h"

static wg_status unfold_infer(wg_infer *c)
{
    const wgi_unfold_attr *u = c->attr;
    const wg_tensor *x = c->in.t[0];
    int axis;
    if (x->ndim == 0) return wg_raise(WG_EINDEX, "x has no dimensions");
    if (x->ndim == WG_MAX_DIMS) return wg_raise(WG_ESHAPE, "more than %d dimensions", WG_MAX_DIMS);
    wg_status s = wgi_axis(u->axis, x->ndim, &axis);
    if (s != WG_OK) return s;
    if (u->step < 1) return wg_raise(WG_EARG, "step %lld is not positive", (long long)u->step);
    if (u->size < 0 || u->size > x->shape[axis])
        return wg_raise(WG_EARG, "windows of %lld on an axis of %lld", (long long)u->size,
                        (long long)x->shape[axis]);
    wg_spec *y = wgi_view_of_input(c, 0);
    y->shape.d[axis] = (x->shape[axis] - u->size) / u->step + 1;
    if (y->shape.d[axis] > 1) y->strides.d[axis] *= u->step;
    y->shape.d[x->ndim] = u->size;
    y->strides.d[x->ndim] = x->strides[axis];
    y->shape.n = y->strides.n = x->ndim + 1;
    return WG_OK;
}

static void unfold_grad(wg_vjp *g)
{
    wgi_unfold_attr u = *(const wgi_unfold_attr *)g->attr;
    wg_dims x = wg_vjp_in_shape(g, 0);
    u.axis = wgi_axis_or_none(u.axis, x.n);
    u.length = x.d[u.axis];
    g->dx.t[0] = wgi_fold(g->dy.t[0], &u);
}

static int64_t unfold_source(const wg_run *r, const int64_t *i)
{
    const wgi_unfold_attr *u = r->attr;
    const wg_tensor *x = r->in.t[0];
    int axis = u->axis < 0 ? u->axis + x->ndim : u->axis;
    int64_t from[WG_MAX_DIMS];
    for (int a = 0; a < x->ndim; a++) from[a] = a == axis ? i[a] * u->step + i[x->ndim] : i[a];
    return wgi_element_at(x, from);
}

static wg_status unfold_reference(const wg_run *r)
{
    return wgi_reference_gather(r, unfold_source);
}

static void unfold_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 7, 2));
    wg_sample(s, "overlapping", WG_LIST(x), &(wgi_unfold_attr) { .size = 3, .step = 1, .axis = 1 });
    wg_sample(s, "apart", WG_LIST(x), &(wgi_unfold_attr) { .size = 2, .step = 3, .axis = -2 });
    wg_sample(s, "vector", WG_LIST(wg_randn(WG_DIMS(5))),
              &(wgi_unfold_attr) { .size = 4, .step = 2, .axis = 0 });
    wg_sample(s, "whole", WG_LIST(x), &(wgi_unfold_attr) { .size = 2, .step = 9, .axis = -1 });
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(0, 4))),
              &(wgi_unfold_attr) { .size = 2, .step = 1, .axis = 1 });
    wg_sample_error(s, "size", WG_LIST(x), &(wgi_unfold_attr) { .size = 8, .step = 1, .axis = 1 },
                    WG_EARG, "unfold: windows of 8 on an axis of 7");
    wg_sample_error(s, "step", WG_LIST(x), &(wgi_unfold_attr) { .size = 2, .step = 0, .axis = 1 },
                    WG_EARG, "unfold: ");
    wg_sample_error(s, "axis", WG_LIST(x), &(wgi_unfold_attr) { .size = 2, .step = 1, .axis = 3 },
                    WG_EINDEX, "unfold: ");
}

/* ---- fold ------------------------------------------------------------------------------------ */
static wg_status fold_infer(wg_infer *c)
{
    const wgi_unfold_attr *u = c->attr;
    const wg_tensor *x = c->in.t[0];
    if (x->ndim < 2 || u->axis < 0 || u->axis >= x->ndim - 1 || u->size != x->shape[x->ndim - 1] ||
        u->step < 1 || u->size > u->length ||
        x->shape[u->axis] != (u->length - u->size) / u->step + 1)
        return wg_raise(WG_ESHAPE, "x does not hold the windows of an axis of %lld",
                        (long long)u->length);
    if (!wgi_is_float(x->dtype)) return wg_raise(WG_EDTYPE, "x is not floating");
    wg_infer_like(c, 0, x);
    c->out[0].shape.n--;
    c->out[0].shape.d[u->axis] = u->length;
    return WG_OK;
}

/* Windows that hold place t: first <= w <= last. */
static void windows_of(const wgi_unfold_attr *u, int64_t windows, int64_t t, int64_t *first,
                       int64_t *last)
{
    *first = t < u->size ? 0 : (t - u->size) / u->step + 1;
    *last = t / u->step < windows - 1 ? t / u->step : windows - 1;
}

typedef struct {
    const wg_tensor *x;
    wg_tensor *y;
    const wgi_unfold_attr *u;
} fold_job;

/* Places [first, last) of y, counted row-major. */
static void fold_places(void *self, int64_t first, int64_t last)
{
    const fold_job *f = self;
    const wg_tensor *x = f->x;
    wg_dtype type = (wg_dtype)x->dtype;
    int64_t size = (int64_t)wgi_dtype_bytes[type], windows = x->shape[f->u->axis];
    int64_t along = x->strides[f->u->axis], inside = x->strides[x->ndim - 1];
    for (int64_t e = first; e < last; e++) {
        int64_t rest = e, from = 0, t = 0, w, end;
        for (int a = f->y->ndim - 1; a >= 0; a--) {
            int64_t i = rest % f->y->shape[a];
            rest /= f->y->shape[a];
            if (a == f->u->axis)
                t = i;
            else
                from += i * x->strides[a];
        }
        windows_of(f->u, windows, t, &w, &end);
        double sum = 0;
        for (; w <= end; w++)
            sum += wgi_load((const char *)wgi_data(x) +
                                (from + w * along + (t - w * f->u->step) * inside) * size,
                            type);
        wgi_store((char *)wgi_data(f->y) + e * size, type, sum);
    }
}

static wg_status fold_cpu(const wg_run *r)
{
    fold_job f = { r->in.t[0], r->out.t[0], r->attr };
    wgi_parallel_for(f.y->numel, WGI_GRAIN / 16, fold_places, &f);
    return WG_OK;
}

static wg_status fold_cuda(const wg_run *r)
{
    const wgi_unfold_attr *u = r->attr;
    return wgi_cuda_windows(r, u->axis, u->size, u->step);
}

static void fold_grad(wg_vjp *g)
{
    const wgi_unfold_attr *u = g->attr;
    g->dx.t[0] = wg_unfold(g->dy.t[0], u->axis, u->size, u->step);
}

static wg_status fold_reference(const wg_run *r) /* scatters, window by window */
{
    const wgi_unfold_attr *u = r->attr;
    const wg_tensor *x = r->in.t[0], *y = r->out.t[0];
    const double *from = wg_run_in(r, 0);
    double *to = wg_run_out(r, 0);
    int64_t index[WG_MAX_DIMS] = { 0 };
    for (int64_t e = 0; e < y->numel; e++) to[e] = 0;
    for (int64_t e = 0; e < x->numel; e++) {
        int64_t i[WG_MAX_DIMS];
        for (int a = 0; a < y->ndim; a++)
            i[a] = a == u->axis ? index[a] * u->step + index[y->ndim] : index[a];
        to[wgi_element_at(y, i)] += from[e];
        wgi_next_index(x, index);
    }
    return WG_OK;
}

static void fold_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "overlapping", WG_LIST(x), &(wgi_unfold_attr) { 4, 2, 9, 1 });
    wg_sample(s, "apart", WG_LIST(x), &(wgi_unfold_attr) { 4, 5, 9, 0 });
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(0, 3, 2))), &(wgi_unfold_attr) { 2, 1, 4, 1 });
    wg_sample_error(s, "length", WG_LIST(x), &(wgi_unfold_attr) { 4, 2, 12, 1 }, WG_ESHAPE,
                    "fold: ");
}

const wg_op wgi_op_unfold = {
    .name = "unfold",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_unfold_attr),
    .flags = WG_OP_VIEW,
    .infer = unfold_infer,
    .reference = unfold_reference,
    .grad = unfold_grad,
    .samples = unfold_samples,
};

const wg_op wgi_op_fold = {
    .name = "fold",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_unfold_attr),
    .infer = fold_infer,
    .cpu = fold_cpu,
    .cuda = fold_cuda,
    .reference = fold_reference,
    .grad = fold_grad,
    .samples = fold_samples,
};

wg_tensor *wg_unfold(wg_tensor *x, int axis, int64_t size, int64_t step)
{
    wgi_unfold_attr u = { .size = size, .step = step, .axis = axis };
    return wg_apply(&wgi_op_unfold, WG_LIST(x), &u, NULL);
}

wg_tensor *wgi_fold(wg_tensor *x, const wgi_unfold_attr *a)
{
    return wg_apply(&wgi_op_fold, WG_LIST(x), a, NULL);
}
