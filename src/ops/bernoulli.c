/* y = 1 with probability p, else 0: p: (...) any float -> y: same shape and dtype; value i is u
 * < p with u the uniform of 24 bits from word i. Its gradient is zero. errors: WG_EARG for a p
 * outside [0, 1] or NaN. */
#include "ops/make.h"
#include "tensor/philox.h"
#include "cuda/cuda.h"

static wg_status run(const wg_run *r)
{
    const wg_tensor *p = r->in.t[0];
    wg_tensor *y = r->out.t[0];
    const size_t size = wg_dtype_size((wg_dtype)y->dtype);
    const char *from = wg_run_in(r, 0);
    char *to = wg_run_out(r, 0);
    wgi_philox4 w = { { 0 } };
    for (int64_t i = 0; i < y->numel; i++) {
        if (i % 4 == 0) w = wgi_philox(r->random[0], r->random[1] + (uint64_t)i / 4);
        double v = wgi_load(from + (size_t)i * size, (wg_dtype)p->dtype);
        if (!(v >= 0 && v <= 1))
            return wg_raise(WG_EARG, "p[%lld] = %g is not in [0, 1]", (long long)i, v);
        wgi_store(to + (size_t)i * size, (wg_dtype)y->dtype, wgi_uniform24(w.v[i % 4]) < v);
    }
    return WG_OK;
}

static wg_status infer(wg_infer *c)
{
    if (!wgi_is_float(c->in.t[0]->dtype)) return wg_raise(WG_EDTYPE, "p should be floating");
    return wgi_infer_any(c);
}

static wg_status reference(const wg_run *r)
{
    const double *p = wg_run_in(r, 0);
    double *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++)
        y[i] = (wgi_random_word(r->random[0], r->random[1], i) >> 8) / 16777216.0 < p[i];
    return WG_OK;
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, NULL, 0, 1);
    wg_sample_error(s, "range", WG_LIST(wg_affine(wg_ones(WG_DIMS(3)), 1.5, 0)), NULL, WG_EARG,
                    "bernoulli: p[0] = 1.5");
}

const wg_op wgi_op_bernoulli = {
    .name = "bernoulli",
    .in = { "p" },
    .out = { "y" },
    .flags = WG_OP_RANDOM | WG_OP_GRAD_ZERO | WG_OP_CONTIGUOUS,
    .infer = infer,
    .cpu = run,
    .cuda = wgi_cuda_bernoulli,
    .reference = reference,
    .samples = samples,
};

wg_tensor *wg_bernoulli(wg_tensor *p)
{
    return wg_apply(&wgi_op_bernoulli, WG_LIST(p), NULL, NULL);
}
