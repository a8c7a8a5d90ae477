/* sdpa's fused gradient. With P the probabilities, M dropout's factors (0 or 1 / (1 - p)), delta = rowsum(dy * y):
 *   dv = (M P)^T dy,  dS = P (M (dy v^T) - delta),  dq = scale dS k,  dk = scale dS^T q.
 * P is computed again from the scores and lse, the log of the sum of their exp.
 *   q, k, v, mask as in sdpa; y, dy (B, HQ, Tq, Dv); lse (B, HQ, Tq) -> dq, dk, dv, each laid out like its operand.
 *   source: Dao et al., arXiv:2205.14135, appendix B.2. */
#include "ops/sdpa.h"

#include <math.h>

#include "cuda/sdpa.h"
#include "wengert/ops.h"

enum { Q, K, V, Y, LSE, DY, MASK };

static wg_status sdpa_backward_infer(wg_infer *c)
{
    wg_tensor **in = c->in.t;
    wg_tensor *mask = c->in.n > MASK ? in[MASK] : NULL;
    wg_status s = wgi_sdpa_check(c->attr, in[Q], in[K], in[V], mask);
    if (s != WG_OK) return s;
    wg_dims y = wgi_shape(in[Q]), lse = y;
    y.d[y.n - 1] = in[V]->shape[y.n - 1];
    lse.n--;
    if ((s = wg_expect(c, Y, y)) != WG_OK || (s = wg_expect(c, DY, y)) != WG_OK ||
        (s = wg_expect(c, LSE, lse)) != WG_OK)
        return s;
    if (!wgi_is_float(in[Y]->dtype) || !wgi_is_float(in[LSE]->dtype) ||
        !wgi_is_float(in[DY]->dtype))
        return wg_raise(WG_EDTYPE, "y, lse and dy should be floating");
    for (int i = 0; i < 3; i++) {
        wg_infer_like(c, i, in[i]);
        wg_infer_layout(c, i, in[i]);
    }
    return WG_OK;
}

static wgi_attention problem(const wg_run *r)
{
    wg_tensor **in = r->in.t, **out = r->out.t;
    wgi_attention a =
        wgi_sdpa_problem(r->attr, in[Q], in[K], in[V], r->in.n > MASK ? in[MASK] : NULL);
    a.y = wgi_sdpa_operand(in[Y], false);
    a.lse = wgi_sdpa_operand(in[LSE], true);
    a.dy = wgi_sdpa_operand(in[DY], false);
    a.dq = wgi_sdpa_operand(out[0], false);
    a.dk = wgi_sdpa_operand(out[1], false);
    a.dv_out = wgi_sdpa_operand(out[2], false);
    a.accumulate = r->accumulate;
    return a;
}

static wg_status sdpa_backward_cpu(const wg_run *r)
{
    wgi_attention a = problem(r);
    return wgi_attention_backward(r, &a);
}

static wg_status sdpa_backward_cuda(const wg_run *r)
{
    const wgi_attention a = problem(r);
    return wgi_cuda_sdpa_backward(r, &a);
}

static wg_status sdpa_backward_reference(const wg_run *r)
{
    const wgi_attention a = problem(r);
    const int64_t group = a.kv_heads ? a.heads / a.kv_heads : 1;
    double *p = wg_scratch(r, (size_t)(3 * a.tk) * sizeof(double)), *dp = p ? p + a.tk : NULL;
    if (!p) return WG_EMEM;
    for (int i = 0; i < 3; i++)
        memset(wgi_data(r->out.t[i]), 0, (size_t)r->out.t[i]->numel * sizeof(double));
    for (int64_t row = 0; row < a.batch * a.heads * a.tq; row++) {
        const int64_t i = row % a.tq, h = row / a.tq % a.heads, b = row / a.tq / a.heads;
        const int64_t keys = (b * a.kv_heads + h / group) * a.tk;
        const double *dy = (const double *)a.dy.data + row * a.dv,
                     *q = (const double *)a.q.data + row * a.d;
        const double *k = (const double *)a.k.data + keys * a.d,
                     *v = (const double *)a.v.data + keys * a.dv;
        double *dq = (double *)a.dq.data + row * a.d, *dk = (double *)a.dk.data + keys * a.d;
        double *dv = (double *)a.dv_out.data + keys * a.dv, *factor = dp + a.tk, delta = 0;
        const double own = wgi_sdpa_reference_row(&a, b, h, i, p, factor),
                     lse = ((const double *)a.lse.data)[row];
        for (int64_t c = 0; c < a.dv; c++)
            delta += dy[c] * ((const double *)a.y.data)[row * a.dv + c];
        for (int64_t j = 0; j < a.tk; j++) {
            dp[j] = 0;
            p[j] = own == -INFINITY ? 0 : p[j] * exp(own - lse); /* exp(score - lse) */
            for (int64_t c = 0; c < a.dv; c++) {
                dp[j] += factor[j] * dy[c] * v[j * a.dv + c];
                dv[j * a.dv + c] += factor[j] * p[j] * dy[c];
            }
        }
        for (int64_t j = 0; j < a.tk; j++)
            for (int64_t c = 0; c < a.d; c++) {
                const double ds = a.scale * p[j] * (dp[j] - delta);
                dq[c] += ds * k[j * a.d + c];
                dk[j * a.d + c] += ds * q[c];
            }
    }
    return WG_OK;
}

/* Five products of the pairs. */
static double sdpa_backward_flops(const wg_infer *c)
{
    const wgi_attention a = wgi_sdpa_problem(c->attr, c->in.t[Q], c->in.t[K], c->in.t[V], NULL);
    return wgi_sdpa_pairs(&a) * (double)(6 * a.d + 4 * a.dv);
}

/* A call whose y and lse belong to its q, k, v: lse from the composite's first half. */
static void sample(wg_samples *s, const char *label, wg_tensor *q, wg_tensor *k, wg_tensor *v,
                   wg_tensor *mask, wgi_sdpa_attr attr)
{
    wg_tensor *y =
        wg_sdpa_call((wg_sdpa_args) { .q = q, .k = k, .v = v, .mask = mask, .scale = attr.scale });
    wg_tensor *score = wg_affine(wg_matmul(q, wg_transpose(k, -1, -2)), attr.scale, 0);
    if (mask) score = wg_add(score, mask);
    wg_tensor *lse = wg_logsumexp(score, WG_DIMS(-1), false);
    wg_tensor *dy = wg_randn(wg_shape(y));
    wg_sample(s, label, WG_LIST(q, k, v, y, lse, dy, mask), &attr);
}

static void sdpa_backward_samples(wg_samples *s)
{
    const wgi_sdpa_attr half = { .scale = 0.5 };
    sample(s, "one head", wg_randn(WG_DIMS(1, 3, 4)), wg_randn(WG_DIMS(1, 5, 4)),
           wg_randn(WG_DIMS(1, 5, 2)), NULL, half);
    sample(s, "batch", wg_randn(WG_DIMS(2, 2, 3, 4)), wg_randn(WG_DIMS(2, 2, 3, 4)),
           wg_randn(WG_DIMS(2, 2, 3, 4)), NULL, half);
    sample(s, "rows of eight", wg_randn(WG_DIMS(2, 3, 8)), wg_randn(WG_DIMS(1, 5, 8)),
           wg_randn(WG_DIMS(1, 5, 16)), NULL, half); /* of 16 bytes in 16-bit types */
    sample(s, "mask", wg_randn(WG_DIMS(1, 2, 3, 4)), wg_randn(WG_DIMS(1, 2, 4, 4)),
           wg_randn(WG_DIMS(1, 2, 4, 4)), wg_randn(WG_DIMS(3, 4)), half);
    wg_tensor *q = wg_randn(WG_DIMS(1, 3, 4));
    wg_sample_error(s, "lse of another shape", WG_LIST(q, q, q, q, wg_randn(WG_DIMS(1, 4)), q),
                    &half, WG_ESHAPE, "sdpa_backward: lse should be (1, 3), is (1, 4)");
}

const wg_op wgi_op_sdpa_backward = {
    .name = "sdpa_backward",
    .in = { "q", "k", "v", "y", "lse", "dy", "mask?" },
    .out = { "dq", "dk", "dv" },
    .attr_size = sizeof(wgi_sdpa_attr),
    .flags = WG_OP_GRAD_NONE | WG_OP_ACCUMULATE | WG_OP_LAYOUT,
    .infer = sdpa_backward_infer,
    .cpu = sdpa_backward_cpu,
    .cuda = sdpa_backward_cuda,
    .reference = sdpa_backward_reference,
    .flops = sdpa_backward_flops,
    .samples = sdpa_backward_samples,
};
