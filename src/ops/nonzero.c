/* nonzero: the places of the elements of x that are not 0, in row-major order. NaN is not 0.
 *   x: (...) any -> y: (n, ndim) i64, n as many as there are: (n, 0) for a 0-d x.
 *   errors: WG_EDEVICE on meta, where the shape is not known. */
#include "ops/index_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    wg_tensor *x = c->in.t[0];
    wg_infer_like(c, 0, x);
    if (x->device.kind == WG_META) return WG_OK; /* the door raises */
    wg_tensor *on_cpu = x->device.kind == WG_CPU ? x : wg_to(x, wg_cpu());
    if (wgi_bad(on_cpu)) return wg_error_code();
    c->out[0].dtype = WG_I64;
    c->out[0].shape = WG_DIMS(wgi_cpu_count_nonzero(on_cpu), x->ndim);
    return WG_OK;
}

static wg_status reference(const wg_run *r)
{
    const wg_tensor *x = r->in.t[0];
    const size_t bytes = wg_dtype_size((wg_dtype)x->dtype);
    int64_t *y = wg_run_out(r, 0);
    for (int64_t k = 0; k < x->numel; k++) {
        if (wgi_load((const char *)wgi_data(x) + (size_t)k * bytes, (wg_dtype)x->dtype) == 0)
            continue;
        int64_t rest = k;
        for (int d = x->ndim - 1; d >= 0; d--) {
            y[d] = rest % x->shape[d];
            rest /= x->shape[d];
        }
        y += x->ndim;
    }
    return WG_OK;
}

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randint(0, 3, WG_DIMS(2, 3, 4));
    wg_sample(s, "3-d", WG_LIST(x), NULL);
    wg_sample(s, "bool", WG_LIST(wg_ne(x, wg_scalar(1))), NULL);
    wg_sample(s, "floats", WG_LIST(wg_cast(x, WG_F64)), NULL);
    wg_sample(s, "1-d", WG_LIST(wg_randint(0, 2, WG_DIMS(9))), NULL);
    wg_sample(s, "0-d", WG_LIST(wg_ones(WG_DIMS())), NULL);
    wg_sample(s, "none", WG_LIST(wg_zeros(WG_DIMS(3, 2))), NULL);
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(3, 0))), NULL);
}

const wg_op wgi_op_nonzero = {
    .name = "nonzero",
    .in = { "x" },
    .out = { "y" },
    .flags = WG_OP_GRAD_ZERO | WG_OP_DATA_SHAPE,
    .infer = infer,
    .cpu = wgi_cpu_nonzero,
    .cuda = wgi_cuda_nonzero,
    .reference = reference,
    .samples = samples,
};

wg_tensor *wg_nonzero(wg_tensor *x)
{
    return wg_apply(&wgi_op_nonzero, WG_LIST(x), NULL, NULL);
}
