/* SwiGLU's gate: y = silu(gate) up, silu(g) = g s(g), s(g) = 1 / (1 + e^-g).
 *   gate, up: (...) any float, one shape -> y: same shape, the wider dtype; computed in f32 (f64 for f64), rounded once.
 *   gradient: dgate = dy up s(g) (1 + g (1 - s(g))), dup = dy silu(g); saves gate and up.
 *   errors: WG_ESHAPE if the shapes differ, WG_EDTYPE.   source: Shazeer, arXiv:2002.05202. */
#include "cpu/pointwise.h"

#include <math.h>

#include "ops/network.h"
#include "cuda/cuda.h"

static wg_status swiglu_infer(wg_infer *c)
{
    wg_status s = wgi_expect_float(c, 0, "gate");
    if (s == WG_OK) s = wgi_expect_float(c, 1, "up");
    if (s == WG_OK) s = wgi_expect_same(c, 0, 1);
    if (s != WG_OK) return s;
    wg_infer_like(c, 0, c->in.t[0]);
    c->out[0].dtype = wgi_promote_dtypes((wg_dtype)c->in.t[0]->dtype, (wg_dtype)c->in.t[1]->dtype);
    return WG_OK;
}

static bool any_f64(const wg_run *r)
{
    for (int64_t i = 0; i < r->in.n; i++)
        if (r->in.t[i]->dtype == WG_F64) return true;
    return false;
}

static wg_status swiglu_cpu(const wg_run *r)
{
    wgi_swiglu s = { .accumulate = r->accumulate };
    wg_tensor *const operand[] = { r->in.t[0], r->in.t[1], r->out.t[0] };
    wgi_tiles t;
    wgi_tiles_make(&t, wgi_shape(operand[0]), 3, operand);
    wgi_tiles_run(&t, 8, WGI_PICK(wgi_pointwise_kernels)->swiglu[any_f64(r)], &s);
    return WG_OK;
}

static wg_status swiglu_reference(const wg_run *r)
{
    const double *g = wg_run_in(r, 0), *u = wg_run_in(r, 1);
    double *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < r->in.t[0]->numel; i++) y[i] = g[i] / (1 + exp(-g[i])) * u[i];
    return WG_OK;
}

static void swiglu_composite(void *self, wg_list in, wg_list out)
{
    (void)self;
    const wg_dtype t = wgi_promote_dtypes(wg_dtype_of(in.t[0]), wg_dtype_of(in.t[1]));
    out.t[0] = wg_cast(wg_mul(wg_silu(wgi_widened(in.t[0])), wgi_widened(in.t[1])), t);
}

static void swiglu_grad_fused(wg_vjp *g)
{
    const int to[] = { g->wants[0] ? 0 : -1, g->wants[1] ? 1 : -1 };
    wg_vjp_apply(g, to, &wgi_op_swiglu_backward, WG_LIST(g->x.t[0], g->x.t[1], g->dy.t[0]), NULL);
}

static wg_status swiglu_cuda(const wg_run *r)
{
    return wgi_cuda_swiglu(r, any_f64(r));
}

static wg_status backward_cuda(const wg_run *r)
{
    return wgi_cuda_swiglu_backward(r, any_f64(r));
}

static wg_status backward_infer(wg_infer *c)
{
    wg_status s = wgi_expect_same(c, 0, 1);
    if (s == WG_OK) s = wgi_expect_same(c, 0, 2);
    for (int j = 0; j < 2 && s == WG_OK; j++) wg_infer_like(c, j, c->in.t[j]);
    return s;
}

static wg_status backward_cpu(const wg_run *r)
{
    wgi_swiglu s = { .accumulate = r->accumulate };
    wg_tensor *const operand[] = { r->in.t[0], r->in.t[1], r->in.t[2], r->out.t[0], r->out.t[1] };
    wgi_tiles t;
    wgi_tiles_make(&t, wgi_shape(operand[0]), 5, operand);
    wgi_tiles_run(&t, 8, WGI_PICK(wgi_pointwise_kernels)->swiglu_backward[any_f64(r)], &s);
    return WG_OK;
}

static wg_status backward_reference(const wg_run *r)
{
    const double *g = wg_run_in(r, 0), *u = wg_run_in(r, 1), *dy = wg_run_in(r, 2);
    double *dg = wg_run_out(r, 0), *du = wg_run_out(r, 1);
    for (int64_t i = 0; i < r->in.t[0]->numel; i++) {
        const double s = 1 / (1 + exp(-g[i]));
        dg[i] = dy[i] * u[i] * (s + g[i] * s * (1 - s));
        du[i] = dy[i] * g[i] * s;
    }
    return WG_OK;
}

static void swiglu_samples(wg_samples *s)
{
    wg_tensor *g = wg_randn(WG_DIMS(2, 3, 4)), *u = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "3-d", WG_LIST(g, u), NULL);
    wg_sample(s, "tails", WG_LIST(wg_affine(g, 20, 0), u), NULL);
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS()), wg_randn(WG_DIMS())), NULL);
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(0, 3)), wg_zeros(WG_DIMS(0, 3))), NULL);
    wg_sample_error(s, "shapes", WG_LIST(g, wg_randn(WG_DIMS(4))), NULL, WG_ESHAPE,
                    "swiglu: up should be (2, 3, 4), is (4)");
    wg_sample_error(s, "integers", WG_LIST(wg_arange(0, 3), wg_arange(0, 3)), NULL, WG_EDTYPE,
                    "swiglu: gate should be floating");
}

static void backward_samples(wg_samples *s)
{
    wg_tensor *g = wg_randn(WG_DIMS(2, 3, 4)), *u = wg_randn(WG_DIMS(2, 3, 4)),
              *dy = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "3-d", WG_LIST(g, u, dy), NULL);
    wg_sample_error(s, "cotangent", WG_LIST(g, u, wg_randn(WG_DIMS(4))), NULL, WG_ESHAPE,
                    "swiglu_backward: dy should be (2, 3, 4), is (4)");
}

const wg_op wgi_op_swiglu = {
    .name = "swiglu",
    .in = { "gate", "up" },
    .out = { "y" },
    .flags = WG_OP_ELEMENTWISE,
    .saves = WG_IN(0) | WG_IN(1),
    .infer = swiglu_infer,
    .cpu = swiglu_cpu,
    .cuda = swiglu_cuda,
    .reference = swiglu_reference,
    .composite = swiglu_composite,
    .grad_fused = swiglu_grad_fused,
    .samples = swiglu_samples,
};

const wg_op wgi_op_swiglu_backward = {
    .name = "swiglu_backward",
    .in = { "gate", "up", "dy" },
    .out = { "dgate", "dup" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_GRAD_NONE | WG_OP_ACCUMULATE,
    .infer = backward_infer,
    .cpu = backward_cpu,
    .cuda = backward_cuda,
    .reference = backward_reference,
    .samples = backward_samples,
};

wg_tensor *wg_swiglu(wg_tensor *gate, wg_tensor *up)
{
    return wg_apply(&wgi_op_swiglu, WG_LIST(gate, up), NULL, NULL);
}
