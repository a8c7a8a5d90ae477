/* Ranges and the identity.
 *   arange:   start, start + 1, ... below stop: (max(0, stop - start)) i64; with a step in the
 *   current dtype:
 *             start + k step, ceil((stop - start) / step) of them.
 *   linspace: n values from start to stop, both included, counted from the nearer end, in the
 *   current dtype.
 *   eye:      (n, n), 1 on the diagonal, in the current dtype.
 * errors: WG_EARG for a step that is zero or not finite, for bounds that are not finite, for n <
 * 0. */
#include "cpu/convert.h"
#include "ops/make.h"
#include "cuda/cuda.h"

enum { BLOCK = 1024 };

/* ---- values by their index, in blocks ---- */

typedef double (*value_at)(const wgi_make *a, int64_t i);
typedef struct {
    const wgi_make *attr;
    value_at value;
    char *data;
} range;

static void fill(void *self, int64_t first, int64_t last)
{
    const range *f = self;
    const wg_dtype t = f->attr->dtype;
    double block[BLOCK];
    for (int64_t i = first; i < last; i += BLOCK) {
        int64_t n = last - i < BLOCK ? last - i : BLOCK;
        for (int64_t k = 0; k < n; k++) block[k] = f->value(f->attr, i + k);
        wgi_converter(t, WG_F64)(f->data + (size_t)i * wg_dtype_size(t), block, n);
    }
}

static wg_status run(const wg_run *r, value_at value)
{
    range f = { r->attr, value, wg_run_out(r, 0) };
    wgi_parallel_for(r->out.t[0]->numel, WGI_GRAIN, fill, &f);
    return WG_OK;
}

static wg_status reference(const wg_run *r, value_at value)
{
    double *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++) y[i] = value(r->attr, i);
    return WG_OK;
}

/* ---- arange ---- */

static wg_status run_arange(const wg_run *r)
{
    const wgi_make *a = r->attr;
    int64_t *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < r->out.t[0]->numel; i++) y[i] = a->low + i;
    return WG_OK;
}

static wg_status arange_cuda(const wg_run *r)
{
    return wgi_cuda_arange(r, ((const wgi_make *)r->attr)->low);
}

static void samples_arange(wg_samples *s)
{
    wgi_make a = wgi_make_here(WG_DIMS(5), WG_I64);
    a.low = -2;
    wg_sample(s, "five", WG_NO_LIST, &a);
    a.shape = WG_DIMS(0);
    wg_sample(s, "none", WG_NO_LIST, &a);
}

const wg_op wgi_op_arange = {
    .name = "arange",
    .out = { "y" },
    .attr_size = sizeof(wgi_make),
    .flags = WG_OP_GRAD_ZERO,
    .infer = wgi_infer_make,
    .cpu = run_arange,
    .cuda = arange_cuda,
    .reference = run_arange,
    .samples = samples_arange,
};

wg_tensor *wg_arange(int64_t start, int64_t stop)
{
    uint64_t n = stop > start ? (uint64_t)stop - (uint64_t)start : 0;
    wgi_make a = wgi_make_here(WG_DIMS(n > INT64_MAX ? -1 : (int64_t)n), WG_I64);
    a.low = start;
    return wgi_make_apply(&wgi_op_arange, &a);
}

/* ---- arange with a step ---- */

static double stepped(const wgi_make *a, int64_t i)
{
    return a->a + (double)i * a->b;
}

static wg_status run_arange_step(const wg_run *r)
{
    return run(r, stepped);
}

static wg_status arange_step_cuda(const wg_run *r)
{
    const wgi_make *a = r->attr;
    return wgi_cuda_arange_step(r, a->a, a->b);
}

static wg_status reference_arange_step(const wg_run *r)
{
    return reference(r, stepped);
}

static void samples_arange_step(wg_samples *s)
{
    wgi_make a = wgi_make_here(WG_DIMS(7), 0);
    a.a = 1;
    a.b = -0.3;
    wg_sample(s, "seven", WG_NO_LIST, &a);
}

const wg_op wgi_op_arange_step = {
    .name = "arange_step",
    .out = { "y" },
    .attr_size = sizeof(wgi_make),
    .flags = WG_OP_GRAD_ZERO,
    .infer = wgi_infer_make,
    .cpu = run_arange_step,
    .cuda = arange_step_cuda,
    .reference = reference_arange_step,
    .samples = samples_arange_step,
};

wg_tensor *wg_arange_step(double start, double stop, double step)
{
    double n = ceil((stop - start) / step);
    if (!isfinite(start) || !isfinite(stop) || !isfinite(step) || step == 0)
        return wg_fail(WG_EARG, "arange_step: from %g to %g by %g", start, stop, step);
    wgi_make a = wgi_make_here(WG_DIMS(n > 0x1p62 ? -1 : n > 0 ? (int64_t)n : 0), 0);
    a.a = start;
    a.b = step;
    return wgi_make_apply(&wgi_op_arange_step, &a);
}

/* ---- linspace ---- */

static double spaced(const wgi_make *a, int64_t i)
{
    int64_t n = a->shape.d[0];
    double step = n > 1 ? (a->b - a->a) / (double)(n - 1) : 0;
    return i < n / 2 || n == 1 ? a->a + (double)i * step : a->b - (double)(n - 1 - i) * step;
}

static wg_status run_linspace(const wg_run *r)
{
    return run(r, spaced);
}

static wg_status linspace_cuda(const wg_run *r)
{
    const wgi_make *a = r->attr;
    return wgi_cuda_linspace(r, a->a, a->b);
}

static wg_status reference_linspace(const wg_run *r)
{
    return reference(r, spaced);
}

static void samples_linspace(wg_samples *s)
{
    wgi_make a = wgi_make_here(WG_DIMS(6), 0);
    a.a = -1;
    a.b = 2;
    wg_sample(s, "six", WG_NO_LIST, &a);
    a.shape = WG_DIMS(1);
    wg_sample(s, "one", WG_NO_LIST, &a);
    a.shape = WG_DIMS(0);
    wg_sample(s, "none", WG_NO_LIST, &a);
    a.shape = WG_DIMS(-1);
    wg_sample_error(s, "negative", WG_NO_LIST, &a, WG_ESHAPE, "");
}

const wg_op wgi_op_linspace = {
    .name = "linspace",
    .out = { "y" },
    .attr_size = sizeof(wgi_make),
    .flags = WG_OP_GRAD_ZERO,
    .infer = wgi_infer_make,
    .cpu = run_linspace,
    .cuda = linspace_cuda,
    .reference = reference_linspace,
    .samples = samples_linspace,
};

wg_tensor *wg_linspace(double start, double stop, int64_t n)
{
    if (!isfinite(start) || !isfinite(stop) || n < 0)
        return wg_fail(WG_EARG, "linspace: %lld values from %g to %g", (long long)n, start, stop);
    wgi_make a = wgi_make_here(WG_DIMS(n), 0);
    a.a = start;
    a.b = stop;
    return wgi_make_apply(&wgi_op_linspace, &a);
}

/* ---- eye ---- */

static wg_status run_eye(const wg_run *r)
{
    const wgi_make *a = r->attr;
    const int64_t n = a->shape.d[0];
    const size_t size = wg_dtype_size(a->dtype);
    char *y = wg_run_out(r, 0);
    if (n) memset(y, 0, (size_t)r->out.t[0]->numel * size);
    for (int64_t i = 0; i < n; i++) wgi_store(y + (size_t)(i * (n + 1)) * size, a->dtype, 1);
    return WG_OK;
}

static wg_status reference_eye(const wg_run *r)
{
    double *y = wg_run_out(r, 0);
    const int64_t n = wg_size(r->out.t[0], 0);
    for (int64_t i = 0; i < n * n; i++) y[i] = i / n == i % n;
    return WG_OK;
}

static void samples_eye(wg_samples *s)
{
    wgi_make a = wgi_make_here(WG_DIMS(4, 4), 0);
    wg_sample(s, "four", WG_NO_LIST, &a);
    a.shape = WG_DIMS(0, 0);
    wg_sample(s, "none", WG_NO_LIST, &a);
    a.shape = WG_DIMS(-1, -1);
    wg_sample_error(s, "negative", WG_NO_LIST, &a, WG_ESHAPE, "eye: the shape is invalid");
}

const wg_op wgi_op_eye = {
    .name = "eye",
    .out = { "y" },
    .attr_size = sizeof(wgi_make),
    .flags = WG_OP_GRAD_ZERO,
    .infer = wgi_infer_make,
    .cpu = run_eye,
    .cuda = wgi_cuda_eye,
    .reference = reference_eye,
    .samples = samples_eye,
};

wg_tensor *wg_eye(int64_t n)
{
    const wgi_make a = wgi_make_here(WG_DIMS(n, n), 0);
    return wgi_make_apply(&wgi_op_eye, &a);
}
