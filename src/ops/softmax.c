/* softmax:      y_i = exp(x_i) / sum_j exp(x_j) along axis.   dx = (dy - sum(dy y)) y; saves y.
 * log_softmax:  y_i = x_i - log(sum_j exp(x_j)) along axis.   dx = dy - exp(y) sum(dy); saves y.
 *   x: (...) any float -> y: same shape and dtype, computed in f32 (f64 for f64) from x - max(x);
 * under autocast 16-bit inputs are cast to f32 first. A row of -inf gives NaN. errors: WG_EDTYPE if
 * x is not floating, WG_EINDEX for the axis. */
#include "cpu/softmax.h"

#include <math.h>

#include "ops/network.h"
#include "cuda/cuda.h"

typedef struct {
    int axis;
    bool log;
} softmax_attr;

static wg_status softmax_infer(wg_infer *c)
{
    const softmax_attr *a = c->attr;
    int axis;
    wg_status s = wgi_expect_float(c, 0, "x");
    if (s == WG_OK) s = wgi_axis(a->axis, c->in.t[0]->ndim, &axis);
    if (s == WG_OK) wg_infer_like(c, 0, c->in.t[0]);
    return s;
}

/* Rows of t along the attribute's axis, which infer has checked. */
static wgi_rows rows_of(const wg_run *r, const wg_tensor *t)
{
    const softmax_attr *a = r->attr;
    return wgi_rows_along(t, a->axis < 0 ? a->axis + t->ndim : a->axis);
}

static wg_status run_rows(const wg_run *r, wgi_softmax *s, const wgi_row_fn kernel[2], wg_dtype t)
{
    const wgi_rows *y = &s->y;
    const int64_t strips = wgi_row_strips(y->rows, 2 * y->n);
    s->log = ((const softmax_attr *)r->attr)->log;
    if (y->n == 0) return WG_OK;
    wg_status status = wgi_row_scratch(r, strips * 3 * y->n, t, &s->buffer);
    if (status == WG_OK) wgi_row_parallel(y->rows, strips, kernel[t == WG_F64], s);
    return status;
}

static wg_status softmax_cpu(const wg_run *r)
{
    wgi_softmax s = { .x = rows_of(r, r->in.t[0]), .y = rows_of(r, r->out.t[0]) };
    return run_rows(r, &s, WGI_PICK(wgi_softmax_kernels)->forward, wgi_row_dtype(s.x.type));
}

static wg_status softmax_cuda(const wg_run *r)
{
    const softmax_attr *a = r->attr;
    return wgi_cuda_softmax(r, a->axis, a->log);
}

static wg_status backward_cuda(const wg_run *r)
{
    const softmax_attr *a = r->attr;
    return wgi_cuda_softmax_backward(r, a->axis, a->log);
}

/* Element k of the row that element i of t lies in, along axis. */
static int64_t along(const wg_tensor *t, int axis, int64_t i, int64_t k)
{
    int64_t inner = 1, n = t->ndim ? t->shape[axis < 0 ? axis + t->ndim : axis] : 1;
    for (int d = t->ndim - 1; d > (axis < 0 ? axis + t->ndim : axis); d--) inner *= t->shape[d];
    return i + (k - i / inner % n) * inner;
}

static int64_t size_along(const wg_tensor *t, int axis)
{
    return t->ndim ? t->shape[axis < 0 ? axis + t->ndim : axis] : 1;
}

static wg_status softmax_reference(const wg_run *r)
{
    const softmax_attr *a = r->attr;
    const wg_tensor *t = r->in.t[0];
    const double *x = wg_run_in(r, 0);
    double *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < t->numel; i++) {
        double most = -INFINITY, sum = 0;
        for (int64_t k = 0; k < size_along(t, a->axis); k++)
            most = fmax(most, x[along(t, a->axis, i, k)]);
        for (int64_t k = 0; k < size_along(t, a->axis); k++)
            sum += exp(x[along(t, a->axis, i, k)] - most);
        y[i] = a->log ? x[i] - most - log(sum) : exp(x[i] - most) / sum;
    }
    return WG_OK;
}

/* ---- gradients
 * -------------------------------------------------------------------------------------------- */
static void softmax_grad(wg_vjp *g)
{
    const softmax_attr *a = g->attr;
    wg_tensor *y = g->y.t[0], *dy = g->dy.t[0];
    const wg_dims axes = wg_shape(y).n ? WG_DIMS(a->axis) : WG_DIMS();
    if (a->log)
        g->dx.t[0] = wg_sub(dy, wg_mul(wg_exp(y), wg_sum(dy, axes, WG_KEEPDIM)));
    else
        g->dx.t[0] = wg_mul(y, wg_sub(dy, wg_sum(wg_mul(dy, y), axes, WG_KEEPDIM)));
}

static void softmax_grad_fused(wg_vjp *g)
{
    wg_vjp_apply(g, (int[]) { 0 }, &wgi_op_softmax_backward, WG_LIST(g->dy.t[0], g->y.t[0]),
                 g->attr);
}

static wg_status backward_infer(wg_infer *c)
{
    wg_status s = wgi_expect_same(c, 1, 0);
    if (s == WG_OK) wg_infer_like(c, 0, c->in.t[1]);
    return s;
}

static wg_status backward_cpu(const wg_run *r)
{
    wgi_softmax s = { .dy = rows_of(r, r->in.t[0]),
                      .y = rows_of(r, r->in.t[1]),
                      .dx = rows_of(r, r->out.t[0]),
                      .accumulate = r->accumulate };
    const wg_dtype t = s.dy.type == WG_F64 || s.y.type == WG_F64 ? WG_F64 : WG_F32;
    return run_rows(r, &s, WGI_PICK(wgi_softmax_kernels)->backward, t);
}

static wg_status backward_reference(const wg_run *r)
{
    const softmax_attr *a = r->attr;
    const wg_tensor *t = r->in.t[0];
    const double *dy = wg_run_in(r, 0), *y = wg_run_in(r, 1);
    double *dx = wg_run_out(r, 0);
    for (int64_t i = 0; i < t->numel; i++) {
        double sum = 0;
        for (int64_t k = 0; k < size_along(t, a->axis); k++) {
            const int64_t j = along(t, a->axis, i, k);
            sum += a->log ? dy[j] : dy[j] * y[j];
        }
        dx[i] = a->log ? dy[i] - exp(y[i]) * sum : y[i] * (dy[i] - sum);
    }
    return WG_OK;
}

/* ---- samples
 * ------------------------------------------------------------------------------------------------
 */
static void samples_of(wg_samples *s, bool log, const char *error)
{
    wg_tensor *x = wg_randn(WG_DIMS(3, 5));
    wg_sample(s, "rows", WG_LIST(x), &(softmax_attr) { -1, log });
    wg_sample(s, "columns", WG_LIST(x), &(softmax_attr) { 0, log });
    wg_sample(s, "tails", WG_LIST(wg_affine(x, 30, 0)), &(softmax_attr) { 1, log });
    wg_sample(s, "middle", WG_LIST(wg_randn(WG_DIMS(2, 4, 3))), &(softmax_attr) { 1, log });
    wg_sample(s, "vector", WG_LIST(wg_randn(WG_DIMS(64))), &(softmax_attr) { 0, log });
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), &(softmax_attr) { 0, log });
    wg_sample(s, "no rows", WG_LIST(wg_zeros(WG_DIMS(0, 4))), &(softmax_attr) { 1, log });
    wg_sample(s, "empty rows", WG_LIST(wg_zeros(WG_DIMS(4, 0))), &(softmax_attr) { 1, log });
    wg_sample_error(s, "axis", WG_LIST(x), &(softmax_attr) { 2, log }, WG_EINDEX, error);
    wg_sample_error(s, "integers", WG_LIST(wg_arange(0, 4)), &(softmax_attr) { 0, log }, WG_EDTYPE,
                    error);
}

static void softmax_samples(wg_samples *s)
{
    samples_of(s, false, "softmax: ");
}
static void log_softmax_samples(wg_samples *s)
{
    samples_of(s, true, "log_softmax: ");
}

static void backward_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 4, 3)), *dy = wg_randn(WG_DIMS(2, 4, 3));
    for (int axis = -1; axis < 2; axis++) {
        wg_sample(s, "softmax", WG_LIST(dy, wg_softmax(x, axis)), &(softmax_attr) { axis, false });
        wg_sample(s, "log", WG_LIST(dy, wg_log_softmax(x, axis)), &(softmax_attr) { axis, true });
    }
    wg_sample_error(s, "shapes", WG_LIST(wg_randn(WG_DIMS(3)), wg_randn(WG_DIMS(4))),
                    &(softmax_attr) { 0, false }, WG_ESHAPE,
                    "softmax_backward: dy should be (4), is (3)");
}

const wg_op wgi_op_softmax = {
    .name = "softmax",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(softmax_attr),
    .flags = WG_OP_FULL,
    .saves = WG_OUT(0),
    .infer = softmax_infer,
    .cpu = softmax_cpu,
    .cuda = softmax_cuda,
    .reference = softmax_reference,
    .grad = softmax_grad,
    .grad_fused = softmax_grad_fused,
    .samples = softmax_samples,
};

const wg_op wgi_op_log_softmax = {
    .name = "log_softmax",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(softmax_attr),
    .flags = WG_OP_FULL,
    .saves = WG_OUT(0),
    .infer = softmax_infer,
    .cpu = softmax_cpu,
    .cuda = softmax_cuda,
    .reference = softmax_reference,
    .grad = softmax_grad,
    .grad_fused = softmax_grad_fused,
    .samples = log_softmax_samples,
};

/* The gradient of both: dy, y -> dx. */
const wg_op wgi_op_softmax_backward = {
    .name = "softmax_backward",
    .in = { "dy", "y" },
    .out = { "dx" },
    .attr_size = sizeof(softmax_attr),
    .flags = WG_OP_GRAD_NONE | WG_OP_ACCUMULATE,
    .infer = backward_infer,
    .cpu = backward_cpu,
    .cuda = backward_cuda,
    .reference = backward_reference,
    .samples = backward_samples,
};

wg_tensor *wg_softmax(wg_tensor *x, int axis)
{
    return wg_apply(&wgi_op_softmax, WG_LIST(x), &(softmax_attr) { axis, false }, NULL);
}

wg_tensor *wg_log_softmax(wg_tensor *x, int axis)
{
    return wg_apply(&wgi_op_log_softmax, WG_LIST(x), &(softmax_attr) { axis, true }, NULL);
}
