/* Constants: y = value everywhere; empty leaves the memory as it is. attr: shape, dtype, device,
 * value. */
#include "ops/make.h"
#include "cuda/cuda.h"

wg_status wgi_infer_make(wg_infer *c)
{
    const wgi_make *a = c->attr;
    if (wgi_numel(&a->shape) < 0) return wg_raise(WG_ESHAPE, "the shape is invalid or too large");
    if (a->dtype <= 0 || a->dtype >= WG_DTYPE_COUNT)
        return wg_raise(WG_EARG, "there is no dtype %d", (int)a->dtype);
    c->out[0].shape = a->shape;
    c->out[0].dtype = a->dtype;
    c->out[0].device = a->device;
    return WG_OK;
}

wgi_make wgi_make_here(wg_dims shape, wg_dtype t)
{
    const wgi_settings *now = &wgi_ctx()->now;
    wgi_make a;
    memset(&a, 0, sizeof a);
    a.shape = shape;
    a.dtype = t ? t : now->dtype;
    a.device = now->device;
    return a;
}

wg_tensor *wgi_make_apply(const wg_op *op, const wgi_make *a)
{
    return wg_apply(op, WG_NO_LIST, a, NULL);
}

/* ---- full ---- */

typedef struct {
    char *data;
    size_t size;
    char element[8];
} filling;

static void fill(void *self, int64_t first, int64_t last)
{
    const filling *f = self;
    char *y = f->data + (size_t)first * f->size;
    int64_t n = last - first;
    if (f->size == 4) {
        uint32_t v;
        memcpy(&v, f->element, sizeof v);
        for (int64_t i = 0; i < n; i++) ((uint32_t *)(void *)y)[i] = v;
    } else if (f->size == 8) {
        uint64_t v;
        memcpy(&v, f->element, sizeof v);
        for (int64_t i = 0; i < n; i++) ((uint64_t *)(void *)y)[i] = v;
    } else if (f->size == 2) {
        uint16_t v;
        memcpy(&v, f->element, sizeof v);
        for (int64_t i = 0; i < n; i++) ((uint16_t *)(void *)y)[i] = v;
    } else {
        memset(y, f->element[0], (size_t)n);
    }
}

static wg_status run_full(const wg_run *r)
{
    const wgi_make *a = r->attr;
    wg_tensor *y = r->out.t[0];
    filling f = { wg_run_out(r, 0), wg_dtype_size(a->dtype), { 0 } };
    if (y->numel == 0) return WG_OK;
    wgi_store(f.element, a->dtype, a->a);
    if (y->numel < 2 * WGI_GRAIN)
        fill(&f, 0, y->numel);
    else
        wgi_parallel_for(y->numel, WGI_GRAIN, fill, &f);
    return WG_OK;
}

static wg_status full_cuda(const wg_run *r)
{
    return wgi_cuda_full(r, ((const wgi_make *)r->attr)->a);
}

static wg_status reference_full(const wg_run *r)
{
    double *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++) y[i] = ((const wgi_make *)r->attr)->a;
    return WG_OK;
}

static void samples_full(wg_samples *s)
{
    wgi_make a = wgi_make_here(WG_DIMS(2, 3), 0);
    a.a = 1.5;
    wg_sample(s, "2-d", WG_NO_LIST, &a);
    a.shape = WG_DIMS();
    wg_sample(s, "0-d", WG_NO_LIST, &a);
    a.shape = WG_DIMS(0, 3);
    wg_sample(s, "empty", WG_NO_LIST, &a);
    a.shape = WG_DIMS(-1);
    wg_sample_error(s, "shape", WG_NO_LIST, &a, WG_ESHAPE, "full: the shape is invalid");
}

const wg_op wgi_op_full = {
    .name = "full",
    .out = { "y" },
    .attr_size = sizeof(wgi_make),
    .flags = WG_OP_ELEMENTWISE | WG_OP_GRAD_ZERO,
    .infer = wgi_infer_make,
    .cpu = run_full,
    .cuda = full_cuda,
    .reference = reference_full,
    .samples = samples_full,
};

static wg_tensor *full(wg_dims shape, double value)
{
    wgi_make a = wgi_make_here(shape, 0);
    a.a = value;
    return wgi_make_apply(&wgi_op_full, &a);
}

static wg_tensor *like(wg_tensor *x, double value, const char *name)
{
    if (wgi_refuse(x, name)) return &wgi_error_tensor;
    wgi_make a = wgi_make_here(wgi_shape(x), (wg_dtype)x->dtype);
    a.device = x->device;
    a.a = value;
    return wgi_make_apply(&wgi_op_full, &a);
}

wg_tensor *wg_full(wg_dims shape, double value)
{
    return full(shape, value);
}

wg_tensor *wg_zeros(wg_dims shape)
{
    return full(shape, 0);
}

wg_tensor *wg_ones(wg_dims shape)
{
    return full(shape, 1);
}

wg_tensor *wg_full_like(wg_tensor *x, double value)
{
    return like(x, value, "full_like");
}

wg_tensor *wg_zeros_like(wg_tensor *x)
{
    return like(x, 0, "zeros_like");
}

wg_tensor *wg_ones_like(wg_tensor *x)
{
    return like(x, 1, "ones_like");
}

/* ---- empty ---- */

static wg_status run_empty(const wg_run *r)
{
    (void)r;
    return WG_OK;
}

static void samples_empty(wg_samples *s)
{
    wgi_make a = wgi_make_here(WG_DIMS(0, 3), 0); /* its values are nobody's business */
    wg_sample(s, "no elements", WG_NO_LIST, &a);
    a.shape = WG_DIMS(2, -1);
    wg_sample_error(s, "shape", WG_NO_LIST, &a, WG_ESHAPE, "empty: the shape is invalid");
}

const wg_op wgi_op_empty = {
    .name = "empty",
    .out = { "y" },
    .attr_size = sizeof(wgi_make),
    .flags = WG_OP_GRAD_NONE,
    .infer = wgi_infer_make,
    .cpu = run_empty,
    .cuda = run_empty,
    .reference = run_empty,
    .samples = samples_empty,
};

wg_tensor *wg_empty(wg_dims shape, wg_dtype t)
{
    const wgi_make a = wgi_make_here(shape, t);
    return wgi_make_apply(&wgi_op_empty, &a);
}

/* ---- scalar: not an op, an operand ---- */

wg_tensor *wg_scalar(double value)
{
    wg_tensor *t = wgi_tensor_new(wgi_ctx(), WG_F64, wg_cpu(), WG_DIMS());
    if (wgi_bad(t)) return t;
    *(double *)wgi_data(t) = value;
    t->flags |= WGI_WEAK;
    return t;
}
