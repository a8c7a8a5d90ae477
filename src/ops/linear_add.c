/* y = r + x w^T + bias: a linear layer's outputs added to what goes around it.
 *   x: (.., in), w: (out, in), bias: (out) or absent, r: (.., out), all floating and in no blocks -> y: r's shape, the
 *   operands' promoted dtype; 16-bit operands are summed in f32 with bias and r before the one rounding. On CUDA bias
 *   or r may be added to what is rounded already: docs/cuda.md.
 *   gradient: of x, w and bias as linear's, dr = dy; saves x and w.
 *   errors: WG_ESHAPE as linear's, and unless r has y's shape; WG_EDTYPE. */
#include "cuda/cuda.h"
#include "ops/activation.h"
#include "ops/network.h"
#include "ops/product_op.h"

enum { X, W, BIAS, R };

static wg_status infer(wg_infer *c)
{
    static const char *const names[] = { "x", "w", "bias", "r" };
    for (int i = 0; i < 4; i++) {
        const wg_status s = c->in.t[i] ? wgi_expect_float(c, i, names[i]) : WG_OK;
        if (s != WG_OK) return s;
    }
    wg_infer linear = *c;
    linear.in.n = R;
    wg_status s = wgi_op_linear.infer(&linear);
    if (s == WG_OK) s = wg_expect(c, R, c->out[0].shape);
    if (s == WG_OK)
        c->out[0].dtype = wgi_promote_dtypes(c->out[0].dtype, (wg_dtype)c->in.t[R]->dtype);
    return s;
}

static wg_status run(const wg_run *r)
{
    wgi_gemm_args g = wgi_linear_args(r, r->out.t[0]);
    if (r->out.t[0]->device.kind == WG_CUDA) return wgi_cuda_gemm_added(r, &g, r->in.t[R]);
    const wg_status s = wgi_copy_elements(r->out.t[0], r->in.t[R]);
    g.beta = 1;
    return s == WG_OK ? wgi_gemm(&g) : s;
}

static void grad(wg_vjp *g)
{
    wgi_linear_vjp(g, g->dy.t[0], false);
    if (g->wants[R]) g->dx.t[R] = g->dy.t[0];
}

static void grad_fused(wg_vjp *g)
{
    wgi_linear_vjp(g, g->dy.t[0], true);
    if (g->wants[R]) g->dx.t[R] = g->dy.t[0];
}

static double flops(const wg_infer *c)
{
    return 2 * (double)c->in.t[X]->numel * (double)c->in.t[W]->shape[0] + (double)c->in.t[R]->numel;
}

static wg_status reference(const wg_run *r)
{
    const double *around = wg_run_in(r, R);
    double *y = wg_run_out(r, 0);
    wg_run linear = *r;
    linear.in.n = R;
    const wg_status s = wgi_op_linear.reference(&linear);
    for (int64_t i = 0; s == WG_OK && i < r->out.t[0]->numel; i++) y[i] += around[i];
    return s;
}

static void samples(wg_samples *s)
{
    wg_tensor *w = wg_randn(WG_DIMS(4, 3)), *bias = wg_randn(WG_DIMS(4)), *none = NULL,
              *x = wg_randn(WG_DIMS(2, 3)), *r = wg_randn(WG_DIMS(2, 4));
    wg_sample(s, "rows", WG_LIST(x, w, bias, r), NULL);
    wg_sample(s, "no bias", WG_LIST(x, w, none, r), NULL);
    wg_sample(s, "batch", WG_LIST(wg_randn(WG_DIMS(2, 2, 3)), w, bias, wg_randn(WG_DIMS(2, 2, 4))),
              NULL);
    wg_sample(s, "wide",
              WG_LIST(wg_randn(WG_DIMS(2, 5, 16)), wg_randn(WG_DIMS(8, 16)), wg_randn(WG_DIMS(8)),
                      wg_randn(WG_DIMS(2, 5, 8))),
              NULL);
    wg_sample(s, "vector", WG_LIST(wg_randn(WG_DIMS(3)), w, bias, wg_randn(WG_DIMS(4))), NULL);
    wg_sample(s, "no rows", WG_LIST(wg_zeros(WG_DIMS(0, 3)), w, bias, wg_zeros(WG_DIMS(0, 4))),
              NULL);
    wg_sample(s, "empty sums", WG_LIST(wg_zeros(WG_DIMS(2, 0)), wg_zeros(WG_DIMS(4, 0)), bias, r),
              NULL);
    wg_sample_error(s, "r", WG_LIST(x, w, bias, x), NULL, WG_ESHAPE,
                    "linear_add: r should be (2, 4), is (2, 3)");
    wg_sample_error(s, "sizes", WG_LIST(bias, w, none, r), NULL, WG_ESHAPE,
                    "linear_add: x's last size is 4, w takes 3");
    wg_sample_error(s, "integers", WG_LIST(x, w, none, wg_cast(r, WG_I64)), NULL, WG_EDTYPE,
                    "linear_add: r should be floating");
}

const wg_op wgi_op_linear_add = {
    .name = "linear_add",
    .in = { "x", "w", "bias?", "r" },
    .out = { "y" },
    .flags = WG_OP_LOW,
    .saves = WG_IN(X) | WG_IN(W),
    .needed_by = { WG_IN(W), WG_IN(X) },
    .infer = infer,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .grad_fused = grad_fused,
    .flops = flops,
    .samples = samples,
};

/* y + r of one shape, apart. */
static wg_tensor *add_apart(wg_tensor *y, wg_tensor *r)
{
    const wg_dims shape = wg_shape(y), given = wg_shape(r);
    if (wgi_bad(y) || wgi_dims_equal(&shape, &given)) return wg_add(r, y);
    char want[128], is[128];
    wgi_shape_text(want, sizeof want, &shape);
    wgi_shape_text(is, sizeof is, &given);
    return wg_fail(WG_ESHAPE, "linear_add: r should be %s, is %s", want, is);
}

/* Under autocast r keeps its own dtype: what is wider than the product stays so. */
wg_tensor *wg_linear_add(wg_tensor *x, wg_tensor *w, wg_tensor *bias, wg_tensor *r)
{
    const wg_dtype low = wg_current_autocast();
    const bool apart = !wgi_bad(w) && !wgi_bad(r) &&
                       (wgi_in_blocks(w->dtype) || (low && (wg_dtype)r->dtype != low));
    return apart ? add_apart(wg_linear(x, w, bias), r)
                 : wg_apply(&wgi_op_linear_add, WG_LIST(x, w, bias, r), NULL, NULL);
}
