#include "cuda/make.h"

#include "cuda/cuda.h"
#include "cuda/operands.h"

static wgi_make_launch prepare(const wg_run *r, int kind)
{
    const wg_tensor *y = r->out.t[0], *x = r->in.n > 0 ? r->in.t[0] : NULL;
    wgi_make_launch l;
    memset(&l, 0, sizeof l);
    l.kind = kind;
    l.type = y->dtype;
    l.y = wgi_data(y);
    l.n = y->numel;
    if (x) {
        l.x = wgi_data(x);
        l.x_type = x->dtype;
    }
    l.key = r->random[0];
    l.counter = r->random[1];
    l.fault = wgi_cuda_opened(y->device.index)->fault;
    return l;
}

static wg_status make(const wg_run *r, const wgi_make_launch *l)
{
    if (l->n > 0) wgi_launch_make(l, r->stream);
    return WG_OK;
}

static wg_status draw(const wg_run *r, const wgi_make_launch *l)
{
    if (l->n > 0) wgi_launch_random(l, r->stream);
    return WG_OK;
}

wg_status wgi_cuda_full(const wg_run *r, double value)
{
    const wg_tensor *y = r->out.t[0];
    return wgi_cuda_fill_strided(r, wgi_data(y), (wg_dtype)y->dtype, y->strides, y->ndim, y->shape,
                                 value);
}

wg_status wgi_cuda_arange(const wg_run *r, int64_t low)
{
    wgi_make_launch l = prepare(r, WGI_MAKE_COUNT);
    l.low = low;
    return make(r, &l);
}

wg_status wgi_cuda_arange_step(const wg_run *r, double start, double step)
{
    wgi_make_launch l = prepare(r, WGI_MAKE_STEPPED);
    l.a = start;
    l.b = step;
    return make(r, &l);
}

wg_status wgi_cuda_linspace(const wg_run *r, double start, double stop)
{
    wgi_make_launch l = prepare(r, WGI_MAKE_SPACED);
    l.a = start;
    l.b = stop;
    l.size = l.n;
    return make(r, &l);
}

wg_status wgi_cuda_eye(const wg_run *r)
{
    wgi_make_launch l = prepare(r, WGI_MAKE_EYE);
    l.size = r->out.t[0]->shape[0];
    return make(r, &l);
}

wg_status wgi_cuda_one_hot(const wg_run *r, int64_t classes)
{
    wgi_make_launch l = prepare(r, WGI_MAKE_ONE_HOT);
    l.size = classes;
    l.source = wgi_fault_of(WGI_FAULT_CLASS, r->in.t[0], NULL, classes);
    return make(r, &l);
}

wg_status wgi_cuda_triangle(const wg_run *r, int64_t diagonal, bool lower)
{
    const wg_tensor *x = r->in.t[0];
    wgi_make_launch l = prepare(r, lower ? WGI_MAKE_TRIL : WGI_MAKE_TRIU);
    l.rows = x->shape[x->ndim - 2];
    l.size = x->shape[x->ndim - 1];
    l.low = diagonal;
    return make(r, &l);
}

wg_status wgi_cuda_rand(const wg_run *r)
{
    const wgi_make_launch l = prepare(r, WGI_RANDOM_UNIFORM);
    return draw(r, &l);
}

wg_status wgi_cuda_randn(const wg_run *r)
{
    const wgi_make_launch l = prepare(r, WGI_RANDOM_NORMAL);
    return draw(r, &l);
}

wg_status wgi_cuda_randint(const wg_run *r, int64_t low, uint64_t range, bool wide)
{
    wgi_make_launch l = prepare(r, wide ? WGI_RANDOM_WIDE : WGI_RANDOM_NARROW);
    l.low = low;
    l.range = range;
    return draw(r, &l);
}

wg_status wgi_cuda_bernoulli(const wg_run *r)
{
    wgi_make_launch l = prepare(r, WGI_RANDOM_TRUTH);
    l.source = wgi_fault_of(WGI_FAULT_PROBABILITY, r->in.t[0], NULL, 0);
    return draw(r, &l);
}

wg_status wgi_cuda_multinomial(const wg_run *r, int64_t draws)
{
    const wg_tensor *p = r->in.t[0], *out = r->out.t[0];
    const int64_t size = p->shape[p->ndim - 1];
    if (out->numel == 0) return WG_OK;
    if (size == 0) return wg_raise(WG_EARG, "a row of weights has no positive one");
    wgi_multinomial_launch l = { .weights = wgi_data(p),
                                 .type = p->dtype,
                                 .rows = p->numel / size,
                                 .size = size,
                                 .draws = draws,
                                 .out = wgi_data(out),
                                 .key = r->random[0],
                                 .counter = r->random[1],
                                 .fault = wgi_cuda_opened(out->device.index)->fault,
                                 .source = wgi_fault_of(WGI_FAULT_WEIGHT, p, NULL, 0) };
    l.cumulated = wg_scratch(r, (size_t)p->numel * sizeof(double));
    if (!l.cumulated) return WG_EMEM;
    wgi_launch_multinomial(&l, r->stream);
    return WG_OK;
}

wg_status wgi_cuda_windows(const wg_run *r, int axis, int64_t size, int64_t step)
{
    const wg_tensor *x = r->in.t[0], *y = r->out.t[0];
    wgi_fold_launch l = { .x = wgi_data(x),
                          .y = wgi_data(y),
                          .type = x->dtype,
                          .ndim = y->ndim,
                          .axis = axis,
                          .inside = x->strides[x->ndim - 1],
                          .windows = x->shape[axis],
                          .size = size,
                          .step = step,
                          .numel = y->numel };
    for (int d = 0; d < y->ndim; d++) {
        l.shape[d] = y->shape[d];
        l.stride[d] = x->strides[d];
    }
    if (y->numel > 0) wgi_launch_windows(&l, r->stream);
    return WG_OK;
}
