/* What a step does to a dynamic loss scale, in place. The norm of the scaled gradients tells whether they overflowed:
 *   not finite: scale *= backoff, good = 0, skipped += 1 (the step was none);
 *   finite:     good += 1, and where that makes `interval`, scale *= growth unless f32 cannot hold it, good = 0.
 *   norm, scale: () floating; good, skipped?: () i64. Updates scale, good, skipped; no outputs, no gradient.
 *   source: Micikevicius et al., arXiv:1710.03740, section 3.2; the rule is PyTorch's GradScaler's. */
#include "ops/update.h"

#include <math.h>

#include "wengert/ops.h"
#include "cuda/cuda.h"

enum { NORM, SCALE, GOOD, SKIPPED };

static wg_status loss_scale_step_infer(wg_infer *c)
{
    wg_status s = WG_OK;
    for (int i = 0; i < c->in.n && s == WG_OK; i++) {
        if (!c->in.t[i]) continue;
        if (i < GOOD && !wgi_is_float(c->in.t[i]->dtype))
            return wg_raise(WG_EDTYPE, "norm and scale should be floating");
        if (i >= GOOD && c->in.t[i]->dtype != WG_I64)
            return wg_raise(WG_EDTYPE, "counts should be i64");
        s = wg_expect(c, i, WG_DIMS());
    }
    return s;
}

static double number(const wg_tensor *t)
{
    return wgi_load(wgi_data(t), (wg_dtype)t->dtype);
}

static wg_status loss_scale_step_cpu(const wg_run *r)
{
    wg_tensor *scale = r->in.t[SCALE], *skipped = r->in.n > SKIPPED ? r->in.t[SKIPPED] : NULL;
    double value = number(scale);
    const bool none =
        wgi_loss_scale_next(r->attr, number(r->in.t[NORM]), &value, wgi_data(r->in.t[GOOD]));
    wgi_store(wgi_data(scale), (wg_dtype)scale->dtype, value);
    if (skipped && none) ++*(int64_t *)wgi_data(skipped);
    return WG_OK;
}

static wg_status loss_scale_step_cuda(const wg_run *r)
{
    return wgi_cuda_loss_scale(r, r->attr);
}

static wg_status loss_scale_step_reference(const wg_run *r)
{
    const wgi_loss_scale_rule *a = r->attr;
    double *scale = wgi_data(r->in.t[SCALE]);
    int64_t *good = wgi_data(r->in.t[GOOD]);
    const bool finite = isfinite(number(r->in.t[NORM]));
    if (!finite) *scale *= a->backoff;
    if (!finite && r->in.n > SKIPPED && r->in.t[SKIPPED])
        *(int64_t *)wgi_data(r->in.t[SKIPPED]) += 1;
    if (finite && *good + 1 == a->interval && *scale * a->growth < 3.5e38) *scale *= a->growth;
    *good = finite && *good + 1 < a->interval ? *good + 1 : 0;
    return WG_OK;
}

static wg_tensor *count(double n)
{
    return wg_cast(wg_full(WG_DIMS(), n), WG_I64);
}

static void loss_scale_step_samples(wg_samples *s)
{
    const wgi_loss_scale_rule a = { .growth = 2, .backoff = 0.5, .interval = 3 };
    wg_tensor *norm = wg_full(WG_DIMS(), 3), *scale = wg_full(WG_DIMS(), 1024);
    wg_tensor *infinite = wg_full(WG_DIMS(), (double)INFINITY);
    wg_sample(s, "good", WG_LIST(norm, scale, count(0), count(4)), &a);
    wg_sample(s, "grows", WG_LIST(norm, scale, count(2), count(4)), &a);
    wg_sample(s, "infinite", WG_LIST(infinite, scale, count(1), count(4)), &a);
    wg_sample(s, "nan", WG_LIST(wg_full(WG_DIMS(), (double)NAN), scale, count(1), count(4)), &a);
    wg_sample(s, "uncounted", WG_LIST(infinite, scale, count(1)), &a);
    wg_sample_error(s, "scale", WG_LIST(norm, wg_zeros(WG_DIMS(2)), count(0)), &a, WG_ESHAPE,
                    "loss_scale_step: scale should be (), is (2)");
    wg_sample_error(s, "norm", WG_LIST(count(1), scale, count(0)), &a, WG_EDTYPE,
                    "loss_scale_step: norm and scale should be floating");
    wg_sample_error(s, "count", WG_LIST(norm, scale, norm), &a, WG_EDTYPE,
                    "loss_scale_step: counts should be i64");
}

const wg_op wgi_op_loss_scale_step = {
    .name = "loss_scale_step",
    .in = { "norm", "scale", "good", "skipped?" },
    .attr_size = sizeof(wgi_loss_scale_rule),
    .flags = WG_OP_GRAD_NONE,
    .updates = WG_IN(SCALE) | WG_IN(GOOD) | WG_IN(SKIPPED),
    .infer = loss_scale_step_infer,
    .cpu = loss_scale_step_cpu,
    .cuda = loss_scale_step_cuda,
    .reference = loss_scale_step_reference,
    .samples = loss_scale_step_samples,
};
