#include "cuda/pointwise.h"

#include "cuda/cuda.h"
#include "cuda/operands.h"

/* A launch over `shape`; the kernel's numbers are set by the caller. */
static wgi_pointwise_launch prepare(wgi_point kind, bool f64, const wg_tensor *like, int n,
                                    const wg_tensor *const *operand)
{
    wgi_pointwise_launch l;
    const wg_dims shape = wgi_shape(like);
    memset(&l, 0, sizeof l);
    wgi_pass_make(&l.pass, &shape, n, operand);
    l.kind = (int)kind;
    l.f64 = f64;
    return l;
}

static wg_status launch(const wg_run *r, const wgi_pointwise_launch *l)
{
    if (l->pass.numel > 0) wgi_launch_pointwise(l, r->stream);
    return WG_OK;
}

static const wg_tensor *input(const wg_run *r, int i)
{
    return i < r->in.n ? r->in.t[i] : NULL;
}

/* ---- dropout, SwiGLU ---- */

wg_status wgi_cuda_dropout(const wg_run *r, double p, const uint64_t random[2])
{
    const wg_tensor *operand[] = { r->in.t[0], r->out.t[0] };
    wgi_pointwise_launch l =
        prepare(WGI_POINT_DROPOUT, operand[0]->dtype == WG_F64, operand[0], 2, operand);
    l.accumulate = r->accumulate;
    l.k[0] = p;
    l.k[1] = 1 / (1 - p);
    l.random[0] = random[0];
    l.random[1] = random[1];
    return launch(r, &l);
}

wg_status wgi_cuda_swiglu(const wg_run *r, bool f64)
{
    const wg_tensor *operand[] = { r->in.t[0], r->in.t[1], r->out.t[0] };
    wgi_pointwise_launch l = prepare(WGI_POINT_SWIGLU, f64, operand[0], 3, operand);
    l.accumulate = r->accumulate;
    return launch(r, &l);
}

wg_status wgi_cuda_swiglu_backward(const wg_run *r, bool f64)
{
    const wg_tensor *operand[] = { r->in.t[0], r->in.t[1], r->in.t[2], r->out.t[0], r->out.t[1] };
    wgi_pointwise_launch l = prepare(WGI_POINT_SWIGLU_BACKWARD, f64, operand[0], 5, operand);
    l.accumulate = r->accumulate;
    return launch(r, &l);
}

/* ---- losses ---- */

static double *partials_of(const wg_run *r, int64_t n)
{
    return wg_scratch(r, (size_t)(n > 0 ? n : 1) * sizeof(double));
}

wg_status wgi_cuda_loss(const wg_run *r, wgi_loss_kind kind, double delta, wg_reduction reduction,
                        bool f64)
{
    wg_tensor *y = r->out.t[0];
    const bool elements = reduction == WG_NONE;
    const wg_tensor *operand[] = { input(r, 0), input(r, 1), input(r, 2), input(r, 3),
                                   elements ? y : NULL };
    wgi_pointwise_launch l = prepare(WGI_POINT_LOSS, f64, operand[0], 5, operand);
    l.loss = (int)kind;
    l.k[0] = delta;
    if (elements) return launch(r, &l);
    const int64_t n = wgi_pass_partials(&l.pass);
    double *partial = partials_of(r, n);
    if (!partial) return WG_EMEM;
    wgi_launch_partials(&l, partial, r->stream);
    wgi_launch_total(partial, n, reduction == WG_MEAN ? (double)l.pass.numel : 1, false,
                     wgi_data(y), y->dtype, r->stream);
    return WG_OK;
}

wg_status wgi_cuda_loss_backward(const wg_run *r, wgi_loss_kind kind, double delta,
                                 wg_reduction reduction, bool of_target, bool f64)
{
    const wg_tensor *dy = r->in.t[0];
    const bool elements = reduction == WG_NONE;
    const wg_tensor *operand[] = { input(r, 1), input(r, 2),          input(r, 3),
                                   input(r, 4), elements ? dy : NULL, r->out.t[0] };
    wgi_pointwise_launch l = prepare(WGI_POINT_LOSS_BACKWARD, f64, operand[0], 6, operand);
    l.loss = (int)kind;
    l.k[0] = delta;
    l.k[1] = reduction == WG_MEAN ? (double)l.pass.numel : 1;
    l.of_target = of_target;
    l.accumulate = r->accumulate;
    l.scalar = elements ? NULL : wgi_data(dy);
    l.scalar_type = dy->dtype;
    return launch(r, &l);
}

/* ---- clipping ---- */

wg_status wgi_cuda_clip_scale(const wg_run *r, double max_norm)
{
    const wg_tensor *g = r->in.t[0], *norm = r->in.t[1];
    wgi_pointwise_launch l = prepare(WGI_POINT_SCALE, g->dtype == WG_F64, g, 1, &g);
    l.k[0] = max_norm;
    l.scalar = wgi_data(norm);
    l.scalar_type = norm->dtype;
    return launch(r, &l);
}
