/* g *= min(1, max_norm / (norm + 1e-6)), in place. A norm that is not finite makes g NaN or zero, as in PyTorch.
 *   g: (...) floating; norm: () floating. Updates g.
 *   source: Pascanu et al., arXiv:1211.5063; the 1e-6 is PyTorch's. */
#include "ops/update.h"

#include <math.h>

#include "wengert/ops.h"
#include "cuda/cuda.h"

enum { G, NORM };

static wg_status clip_scale_infer(wg_infer *c)
{
    if (!wgi_is_float(c->in.t[G]->dtype) || !wgi_is_float(c->in.t[NORM]->dtype))
        return wg_raise(WG_EDTYPE, "operands should be floating");
    return wg_expect(c, NORM, WG_DIMS());
}

static double factor(const wg_run *r)
{
    const wgi_clip_attr *a = r->attr;
    const double norm = wgi_load(wgi_data(r->in.t[NORM]), (wg_dtype)r->in.t[NORM]->dtype);
    return wgi_clip_factor(norm, a->max_norm, 1, false);
}

static wg_status clip_scale_cpu(const wg_run *r)
{
    double f = factor(r);
    if (f == 1) return WG_OK;
    wgi_tiles t;
    wgi_tiles_make(&t, wgi_shape(r->in.t[G]), 1, r->in.t);
    wgi_tiles_run(&t, WGI_UPDATE_GRAIN, WGI_PICK(wgi_update_kernels)->scale[t.type[0] == WG_F64],
                  &f);
    return WG_OK;
}

static wg_status clip_scale_cuda(const wg_run *r)
{
    return wgi_cuda_clip_scale(r, ((const wgi_clip_attr *)r->attr)->max_norm);
}

static wg_status clip_scale_reference(const wg_run *r)
{
    double *g = wgi_data(r->in.t[G]);
    for (int64_t i = 0; i < r->in.t[G]->numel; i++) g[i] *= factor(r);
    return WG_OK;
}

static void clip_scale_samples(wg_samples *s)
{
    wg_tensor *g = wg_randn(WG_DIMS(4, 5));
    wgi_clip_attr a = { .max_norm = 1 };
    wg_sample(s, "above", WG_LIST(g, wg_full(WG_DIMS(), 3)), &a);
    wg_sample(s, "below", WG_LIST(g, wg_full(WG_DIMS(), 0.5)), &a);
    wg_sample_error(s, "norm", WG_LIST(g, g), &a, WG_ESHAPE, "clip_scale: norm should be ()");
}

const wg_op wgi_op_clip_scale = {
    .name = "clip_scale",
    .in = { "g", "norm" },
    .attr_size = sizeof(wgi_clip_attr),
    .flags = WG_OP_GRAD_NONE,
    .updates = WG_IN(G),
    .infer = clip_scale_infer,
    .cpu = clip_scale_cpu,
    .cuda = clip_scale_cuda,
    .reference = clip_scale_reference,
    .samples = clip_scale_samples,
};
