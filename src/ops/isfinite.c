/* y = whether x is neither infinite nor NaN: any dtype -> bool. No gradient (the output is not
 * floating). */
#include "ops/elementwise.h"

#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    wg_status s = wgi_infer_any(c);
    c->out[0].dtype = WG_BOOL;
    return s;
}

static wg_status run(const wg_run *r)
{
    const wgi_elementwise_kernels *k = WGI_PICK(wgi_elementwise_kernels);
    bool wide = r->in.t[0]->dtype == WG_F64; /* integers are finite in f32 too */
    const wgi_loop loop = {
        wide ? k->isfinite_f64 : k->isfinite_f32, { wide ? WG_F64 : WG_F32 }, WG_BOOL, 0
    };
    wgi_elementwise(&loop, r->out.t[0], 1, r->in.t, NULL, false);
    return WG_OK;
}

static wg_status reference(const wg_run *r)
{
    const double *x = wg_run_in(r, 0);
    uint8_t *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++) y[i] = isfinite(x[i]) != 0;
    return WG_OK;
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, NULL, -3, 3);
    wg_sample(s, "infinite", WG_LIST(wg_reciprocal(wg_zeros(WG_DIMS(3)))), NULL);
}

const wg_op wgi_op_isfinite = {
    .name = "isfinite",
    .in = { "x" },
    .out = { "y" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_GRAD_ZERO,
    .infer = infer,
    .cpu = run,
    .cuda = wgi_cuda_isfinite,
    .reference = reference,
    .samples = samples,
};

wg_tensor *wg_isfinite(wg_tensor *x)
{
    return wg_apply(&wgi_op_isfinite, WG_LIST(x), NULL, NULL);
}
