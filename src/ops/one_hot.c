/* y[..., c] = 1 where i = c, else 0: i: (...) integers in [0, classes) -> y: (..., classes) i64.
 * No gradient (the output is not floating). errors: WG_EINDEX for a value outside, WG_EDTYPE if
 * i is not of integers, WG_EARG for classes < 1. */
#include "ops/elementwise.h"
#include "cuda/cuda.h"

typedef struct {
    int64_t classes;
} one_hot;

static wg_status infer(wg_infer *c)
{
    const one_hot *a = c->attr;
    const wg_tensor *i = c->in.t[0];
    if (wgi_is_float(i->dtype) || i->dtype == WG_BOOL)
        return wg_raise(WG_EDTYPE, "i should be of integers");
    if (a->classes < 1) return wg_raise(WG_EARG, "%lld classes", (long long)a->classes);
    if (i->ndim == WG_MAX_DIMS) return wg_raise(WG_ESHAPE, "i has %d axes already", WG_MAX_DIMS);
    wg_dims shape = wgi_shape(i);
    shape.d[shape.n++] = a->classes;
    if (wgi_numel(&shape) < 0) return wg_raise(WG_ESHAPE, "the result is too large");
    c->out[0].dtype = WG_I64;
    c->out[0].device = i->device;
    c->out[0].shape = shape;
    return WG_OK;
}

static wg_status run(const wg_run *r)
{
    const int64_t classes = ((const one_hot *)r->attr)->classes;
    const wg_tensor *i = r->in.t[0];
    const char *from = wg_run_in(r, 0);
    int64_t *y = wg_run_out(r, 0);
    if (i->numel) memset(y, 0, (size_t)r->out.t[0]->numel * sizeof *y);
    for (int64_t k = 0; k < i->numel; k++) {
        int64_t v =
            wgi_load_int(from + (size_t)k * wg_dtype_size((wg_dtype)i->dtype), (wg_dtype)i->dtype);
        if (v < 0 || v >= classes)
            return wg_raise(WG_EINDEX, "i[%lld] = %lld is not in [0, %lld)", (long long)k,
                            (long long)v, (long long)classes);
        y[k * classes + v] = 1;
    }
    return WG_OK;
}

static wg_status run_cuda(const wg_run *r)
{
    return wgi_cuda_one_hot(r, ((const one_hot *)r->attr)->classes);
}

static wg_status reference(const wg_run *r)
{
    const int64_t classes = ((const one_hot *)r->attr)->classes, *i = wg_run_in(r, 0);
    int64_t *y = wg_run_out(r, 0);
    for (int64_t k = 0; k < wg_numel(r->out.t[0]); k++) y[k] = i[k / classes] == k % classes;
    return WG_OK;
}

static void samples(wg_samples *s)
{
    const one_hot five = { 5 }, none = { 0 };
    wg_sample(s, "0-d", WG_LIST(wg_randint(0, 5, WG_DIMS())), &five);
    wg_sample(s, "2-d", WG_LIST(wg_randint(0, 5, WG_DIMS(2, 3))), &five);
    wg_sample(s, "empty", WG_LIST(wg_randint(0, 5, WG_DIMS(0))), &five);
    wg_sample_error(s, "value", WG_LIST(wg_randint(7, 8, WG_DIMS(1))), &five, WG_EINDEX,
                    "one_hot: i[0] = 7");
    wg_sample_error(s, "dtype", WG_LIST(wg_rand(WG_DIMS(2))), &five, WG_EDTYPE,
                    "one_hot: i should be");
    wg_sample_error(s, "classes", WG_LIST(wg_randint(0, 5, WG_DIMS(2))), &none, WG_EARG,
                    "one_hot: 0 classes");
}

const wg_op wgi_op_one_hot = {
    .name = "one_hot",
    .in = { "i" },
    .out = { "y" },
    .attr_size = sizeof(one_hot),
    .flags = WG_OP_GRAD_ZERO | WG_OP_CONTIGUOUS,
    .infer = infer,
    .cpu = run,
    .cuda = run_cuda,
    .reference = reference,
    .samples = samples,
};

wg_tensor *wg_one_hot(wg_tensor *i, int64_t classes)
{
    return wg_apply(&wgi_op_one_hot, WG_LIST(i), &(const one_hot) { classes }, NULL);
}
