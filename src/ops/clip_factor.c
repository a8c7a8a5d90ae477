/* What clipping multiplies gradients by: factor = min(1, max_norm / (norm / scale + 1e-6)) / scale, () f64 so that nothing is
 * lost on the way to gradients of any dtype. Where gradients were scaled, NaN if the norm is not finite: updates then change
 * nothing. Otherwise a norm that is not finite makes it NaN or zero, as in PyTorch.
 *   norm, scale? (1 if absent): () floating. No gradient.
 *   source: Pascanu et al., arXiv:1211.5063; the 1e-6 is PyTorch's; Micikevicius et al., arXiv:1710.03740, for the scale. */
#include "ops/update.h"

#include "wengert/ops.h"
#include "cuda/cuda.h"

enum { NORM, SCALE };

static wg_status clip_factor_infer(wg_infer *c)
{
    for (int64_t i = 0; i < c->in.n; i++)
        if (c->in.t[i] && !wgi_is_float(c->in.t[i]->dtype))
            return wg_raise(WG_EDTYPE, "operands should be floating");
    const wg_status s = wg_expect(c, NORM, WG_DIMS());
    c->out[0] = (wg_spec) { .dtype = WG_F64, .device = c->in.t[NORM]->device, .shape = WG_DIMS() };
    return s == WG_OK ? wg_expect(c, SCALE, WG_DIMS()) : s;
}

static double number(const wg_run *r, int i, double otherwise)
{
    const wg_tensor *t = i < r->in.n ? r->in.t[i] : NULL;
    return t ? wgi_load(wgi_data(t), (wg_dtype)t->dtype) : otherwise;
}

static wg_status clip_factor_cpu(const wg_run *r)
{
    const wgi_clip_factor_attr *a = r->attr;
    *(double *)wgi_data(r->out.t[0]) =
        wgi_clip_factor(number(r, NORM, 0), a->max_norm, number(r, SCALE, 1), a->scaled);
    return WG_OK;
}

static wg_status clip_factor_cuda(const wg_run *r)
{
    const wgi_clip_factor_attr *a = r->attr;
    return wgi_cuda_clip_factor(r, a->max_norm, a->scaled);
}

static wg_status clip_factor_reference(const wg_run *r)
{
    const wgi_clip_factor_attr *a = r->attr;
    const double norm = number(r, NORM, 0), scale = number(r, SCALE, 1);
    const double f = a->max_norm / (norm / scale + 1e-6);
    *(double *)wgi_data(r->out.t[0]) = a->scaled && !isfinite(norm) ? (double)NAN
                                       : f > 1                      ? 1 / scale
                                                                    : f / scale;
    return WG_OK;
}

static void clip_factor_samples(wg_samples *s)
{
    wgi_clip_factor_attr a = { .max_norm = 1 };
    wg_tensor *large = wg_full(WG_DIMS(), 3), *scale = wg_full(WG_DIMS(), 8);
    wg_tensor *infinite = wg_full(WG_DIMS(), (double)INFINITY);
    wg_sample(s, "above", WG_LIST(large), &a);
    wg_sample(s, "below", WG_LIST(wg_full(WG_DIMS(), 0.5)), &a);
    wg_sample(s, "infinite", WG_LIST(infinite), &a);
    a.scaled = true;
    wg_sample(s, "scaled", WG_LIST(wg_full(WG_DIMS(), 20), scale), &a);
    wg_sample(s, "scaled below", WG_LIST(large, scale), &a);
    wg_sample(s, "scaled infinite", WG_LIST(infinite, scale), &a);
    wg_sample(s, "scaled nan", WG_LIST(wg_full(WG_DIMS(), (double)NAN), scale), &a);
    a.max_norm = (double)INFINITY;
    wg_sample(s, "no limit", WG_LIST(large, scale), &a);
    wg_sample_error(s, "norm", WG_LIST(wg_zeros(WG_DIMS(1))), &a, WG_ESHAPE,
                    "clip_factor: norm should be (), is (1)");
    wg_sample_error(s, "dtype", WG_LIST(wg_cast(large, WG_I64)), &a, WG_EDTYPE,
                    "clip_factor: operands should be floating");
}

const wg_op wgi_op_clip_factor = {
    .name = "clip_factor",
    .in = { "norm", "scale?" },
    .out = { "factor" },
    .attr_size = sizeof(wgi_clip_factor_attr),
    .flags = WG_OP_GRAD_NONE,
    .infer = clip_factor_infer,
    .cpu = clip_factor_cpu,
    .cuda = clip_factor_cuda,
    .reference = clip_factor_reference,
    .samples = clip_factor_samples,
};
