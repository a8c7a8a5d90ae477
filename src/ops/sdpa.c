/* y = dropout(softmax(scale q k^T + mask)) v: scaled dot-product attention.
 *   q (B, HQ, Tq, D), k (B, HKV, Tk, D), v (B, HKV, Tk, Dv), or all without B; one floating dtype -> y (B, HQ, Tq, Dv).
 *   y's axes lie in memory in the order of q's: heads split off a projection are joined again without a copy.
 *   A floating mask is added, and hides what it is very low for (ops/sdpa_mask.h).
 *   hidden: lse (B, HQ, Tq), the log of the sum of exp of a row's scores, f32 (f64 for f64).
 *   gradient: fused for q, k, v; any order by the composite. A floating mask's comes from the composite alone, which
 *   wg_sdpa takes when the mask requires one.
 *   source: Vaswani et al., arXiv:1706.03762; grouped queries: Ainslie et al., arXiv:2305.13245. */
#include "ops/sdpa.h"

#include <math.h>

#include "cuda/sdpa.h"
#include "ops/sdpa_mask.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

enum { Q, K, V, MASK };

static wg_status sdpa_infer(wg_infer *c)
{
    const wgi_sdpa_attr *attr = c->attr;
    wg_tensor *q = c->in.t[Q], *k = c->in.t[K], *v = c->in.t[V],
              *mask = c->in.n > MASK ? c->in.t[MASK] : NULL;
    wg_status s = wgi_sdpa_check(attr, q, k, v, mask);
    if (s != WG_OK) return s;
    wg_dims scores = wgi_shape(q);
    scores.d[scores.n - 1] = k->shape[k->ndim - 2];
    const int64_t values = wgi_numel(&scores);
    if (values < 0) return wg_raise(WG_ESHAPE, "too many scores");
    c->random = attr->dropout > 0 ? values : 0;
    wg_infer_like(c, 0, q);
    c->out[0].shape.d[q->ndim - 1] = v->shape[v->ndim - 1];
    wg_infer_layout(c, 0, q);
    wg_infer_like(c, 1, q);
    c->out[1].shape.n--;
    c->out[1].dtype = q->dtype == WG_F64 ? WG_F64 : WG_F32;
    return WG_OK;
}

static wgi_attention problem(const wg_run *r)
{
    wg_tensor **in = r->in.t;
    wgi_attention a =
        wgi_sdpa_problem(r->attr, in[Q], in[K], in[V], r->in.n > MASK ? in[MASK] : NULL);
    a.y = wgi_sdpa_operand(r->out.t[0], false);
    a.lse = wgi_sdpa_operand(r->out.t[1], true);
    a.random[0] = r->random[0];
    a.random[1] = r->random[1];
    return a;
}

static wg_status sdpa_cpu(const wg_run *r)
{
    wgi_attention a = problem(r);
    return wgi_attention_forward(r, &a);
}

static wg_status sdpa_cuda(const wg_run *r)
{
    const wgi_attention a = problem(r);
    return wgi_cuda_sdpa(r, &a);
}

static wg_status sdpa_reference(const wg_run *r)
{
    const wgi_attention a = problem(r);
    double *p = wg_scratch(r, (size_t)(2 * a.tk) * sizeof(double)), *factor = p ? p + a.tk : NULL;
    if (!p) return WG_EMEM;
    for (int64_t row = 0; row < a.batch * a.heads * a.tq; row++) {
        const int64_t i = row % a.tq, h = row / a.tq % a.heads, b = row / a.tq / a.heads;
        const int64_t kv = h / (a.heads / a.kv_heads);
        const double *v = (const double *)a.v.data + (b * a.kv_heads + kv) * a.tk * a.dv;
        double *y = (double *)a.y.data + row * a.dv;
        const double lse = wgi_sdpa_reference_row(&a, b, h, i, p, factor);
        if (a.lse.data) ((double *)a.lse.data)[row] = lse;
        for (int64_t c = 0; c < a.dv; c++) {
            y[c] = 0;
            for (int64_t j = 0; j < a.tk; j++) y[c] += factor[j] * p[j] * v[j * a.dv + c];
        }
    }
    return WG_OK;
}

/* ---- the definition by other ops ------------------------------------------------------------------------------ */
/* (Tq, Tk) bool: which keys causality and the window let a query see; NULL: all. */
static wg_tensor *visible(const wgi_sdpa_attr *attr, int64_t tq, int64_t tk)
{
    wg_tensor *key = wg_arange(0, tk), *seen = NULL;
    const int64_t shift = tk - tq; /* query i stands at key i + shift */
    if (attr->is_causal) seen = wg_le(key, wg_unsqueeze(wg_arange(shift, shift + tq), 1));
    if (attr->window) {
        const int64_t first = shift - attr->window;
        wg_tensor *near = wg_gt(key, wg_unsqueeze(wg_arange(first, first + tq), 1));
        seen = seen ? wg_logical_and(seen, near) : near;
    }
    return seen;
}

/* Softmax over the keys seen; rows that see none are zero, and pass no gradient. */
static wg_tensor *probabilities(const wgi_sdpa_attr *attr, wg_tensor *score, wg_tensor *mask)
{
    const int64_t tq = wg_size(score, -2), tk = wg_size(score, -1);
    wg_tensor *seen = visible(attr, tq, tk);
    if (tk == 0) return score;
    if (mask && wg_dtype_of(mask) == WG_BOOL)
        seen = seen ? wg_logical_and(seen, mask) : mask;
    else if (mask)
        score =
            wg_masked_fill(wg_add(score, mask), wg_lt(mask, wg_scalar(WGI_MASK_HIDES)), -INFINITY);
    if (seen) score = wg_masked_fill(score, wg_logical_not(seen), -INFINITY);
    if (!seen && !mask) return wg_softmax(score, -1);
    wg_tensor *top = wg_max(wg_detach(score), WG_DIMS(-1), WG_KEEPDIM);
    wg_tensor *blind = wg_eq(top, wg_scalar(-INFINITY)); /* (B, H, Tq, 1) */
    return wg_masked_fill(wg_softmax(wg_masked_fill(score, blind, 0), -1), blind, 0);
}

/* x (B, HQ, T, N) as (B, HKV, HQ / HKV, T, N). */
static wg_tensor *grouped(wg_tensor *x, int64_t kv_heads)
{
    wg_dims s = wg_shape(x);
    const int h = s.n - 3;
    if (h < 0) return x; /* an error tensor */
    for (int i = s.n; i > h + 1; i--) s.d[i] = s.d[i - 1];
    s.n++;
    s.d[h + 1] = s.d[h] / kv_heads;
    s.d[h] = kv_heads;
    return wg_reshape(x, s);
}

static void sdpa_composite(void *self, wg_list in, wg_list out)
{
    const wgi_sdpa_attr *attr = self;
    wg_tensor *q = in.t[Q], *k = in.t[K], *v = in.t[V], *mask = in.n > MASK ? in.t[MASK] : NULL;
    wg_dims shape = wg_shape(q), scores = shape;
    wg_use_device(wg_device_of(q));
    const int h = shape.n - 3;
    const int64_t kv_heads = wg_size(k, h);
    const bool group = kv_heads && kv_heads != shape.d[h];
    scores.d[scores.n - 1] = wg_size(k, -2);
    shape.d[shape.n - 1] = wg_size(v, -1);
    wg_tensor *kt = wg_transpose(k, -1, -2);
    wg_tensor *score =
        group ? wg_reshape(wg_matmul(grouped(q, kv_heads), wg_unsqueeze(kt, h + 1)), scores)
              : wg_matmul(q, kt);
    wg_tensor *p = probabilities(attr, wg_affine(score, attr->scale, 0), mask);
    if (attr->dropout > 0) p = wg_dropout(p, attr->dropout, true);
    p = wg_cast(p, wg_dtype_of(v));
    out.t[0] = group ? wg_reshape(wg_matmul(grouped(p, kv_heads), wg_unsqueeze(v, h + 1)), shape)
                     : wg_matmul(p, v);
}

static void sdpa_grad_fused(wg_vjp *g)
{
    static const int to[] = { Q, K, V };
    wgi_sdpa_attr attr = *(const wgi_sdpa_attr *)g->attr;
    attr.random[0] = g->random[0];
    attr.random[1] = g->random[1];
    wg_tensor *mask = g->x.n > MASK ? g->x.t[MASK] : NULL;
    wg_vjp_apply(g, to, &wgi_op_sdpa_backward,
                 WG_LIST(g->x.t[Q], g->x.t[K], g->x.t[V], g->y.t[0], g->y.t[1], g->dy.t[0], mask),
                 &attr);
}

/* Two products of the pairs that take part. */
static double sdpa_flops(const wg_infer *c)
{
    const wgi_attention a = wgi_sdpa_problem(c->attr, c->in.t[Q], c->in.t[K], c->in.t[V], NULL);
    return wgi_sdpa_pairs(&a) * (double)(2 * a.d + 2 * a.dv);
}

/* ---- samples -------------------------------------------------------------------------------------------------------- */
static void options_samples(wg_samples *s)
{
    const wgi_sdpa_attr half = { .scale = 0.5 }, causal = { .scale = 0.5, .is_causal = true };
    const wgi_sdpa_attr window = { .scale = 0.5, .is_causal = true, .window = 2 },
                        near = { .scale = 0.5, .window = 3 };
    const wgi_sdpa_attr drop = { .scale = 0.5, .dropout = 0.4 };
    wg_tensor *q = wg_randn(WG_DIMS(2, 2, 4, 3)), *k = wg_randn(WG_DIMS(2, 2, 4, 3)),
              *v = wg_randn(WG_DIMS(2, 2, 4, 3));
    wg_sample(s, "all", WG_LIST(q, k, v), &half);
    wg_sample(s, "causal", WG_LIST(q, k, v), &causal);
    wg_sample(s, "causal window", WG_LIST(q, k, v), &window);
    wg_sample(s, "window", WG_LIST(q, k, v), &near);
    wg_sample(s, "dropout", WG_LIST(q, k, v), &drop);
    wg_tensor *one = wg_randn(WG_DIMS(4, 1, 2)), *keys = wg_randn(WG_DIMS(2, 6, 2)),
              *wide = wg_randn(WG_DIMS(2, 6, 5));
    wg_sample(s, "one query, grouped", WG_LIST(one, keys, wide), &causal);
    wg_tensor *five = wg_randn(WG_DIMS(4, 5, 2));
    wg_sample(s, "more keys, grouped", WG_LIST(five, keys, wide), &causal);
    wg_tensor *whole = wg_randn(WG_DIMS(2, 9, 8)),
              *row = wg_randn(WG_DIMS(1, 9, 8)); /* rows of 16 bytes */
    wg_sample(s, "rows of eight", WG_LIST(whole, row, row), &causal);
    wg_sample(s, "rows of eight, dropout", WG_LIST(whole, row, row), &drop);
    wg_tensor *few = wg_randn(WG_DIMS(4, 3, 8)), *near_row = wg_randn(WG_DIMS(2, 9, 8)),
              *wide_row = wg_randn(WG_DIMS(2, 9, 16));
    wg_sample(s, "a few queries of rows of eight, grouped", WG_LIST(few, near_row, wide_row),
              &causal);
    wg_tensor *three = wg_randn(WG_DIMS(2, 3, 2)), *values = wg_randn(WG_DIMS(2, 3, 2));
    wg_tensor *six = wg_randn(WG_DIMS(2, 6, 2));
    wg_sample(s, "blind rows", WG_LIST(six, three, values), &causal);
    wg_sample(s, "no keys", WG_LIST(three, wg_randn(WG_DIMS(2, 0, 2)), wg_randn(WG_DIMS(2, 0, 3))),
              &half);
    wg_sample(s, "no queries", WG_LIST(wg_randn(WG_DIMS(2, 0, 2)), three, values), &causal);
    wg_sample(s, "no batch",
              WG_LIST(wg_randn(WG_DIMS(0, 2, 3, 2)), wg_randn(WG_DIMS(0, 2, 3, 2)),
                      wg_randn(WG_DIMS(0, 2, 3, 2))),
              &half);
}

static void mask_samples(wg_samples *s)
{
    const wgi_sdpa_attr half = { .scale = 0.5 }, causal = { .scale = 0.5, .is_causal = true };
    wg_tensor *q = wg_randn(WG_DIMS(2, 2, 3, 2)), *k = wg_randn(WG_DIMS(2, 2, 4, 2)),
              *v = wg_randn(WG_DIMS(2, 2, 4, 2));
    static const uint8_t on[] = { 1, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0, 1 };
    wg_sample(s, "bool mask, a blind row",
              WG_LIST(q, k, v, wg_from(on, sizeof on, WG_BOOL, WG_DIMS(3, 4))), &half);
    wg_sample(s, "bool mask of keys",
              WG_LIST(q, k, v, wg_from(on, 8, WG_BOOL, WG_DIMS(2, 1, 1, 4))), &half);
    wg_sample(s, "floating mask", WG_LIST(q, k, v, wg_randn(WG_DIMS(2, 3, 4))), &half);
    static const float low[] = { 0,      -1e9f,     0.5f,   -3.4e38f, -1e9f, -65504,
                                 -31000, -INFINITY, -29000, 0,        -1,    -3.4e38f };
    wg_sample(s, "floating mask, a blind row",
              WG_LIST(q, k, v, wg_from(low, sizeof low, WG_F32, WG_DIMS(3, 4))), &half);
    wg_sample(s, "floating mask, causal", WG_LIST(q, k, v, wg_randn(WG_DIMS(1, 1, 3, 4))), &causal);
}

static void error_samples(wg_samples *s)
{
    const wgi_sdpa_attr half = { .scale = 0.5 }, drop = { .scale = 1, .dropout = 1.5 },
                        window = { .scale = 1, .window = -1 };
    wg_tensor *q = wg_randn(WG_DIMS(1, 4, 3, 2)), *k = wg_randn(WG_DIMS(1, 2, 5, 2));
    wg_sample_error(s, "integers", WG_LIST(wg_cast(q, WG_I64), k, k), &half, WG_EDTYPE,
                    "sdpa: q should be floating");
    wg_sample_error(s, "dtypes", WG_LIST(q, wg_cast(k, WG_F32), k), &half, WG_EDTYPE,
                    "sdpa: q, k, v have different dtypes");
    wg_sample_error(s, "rank", WG_LIST(wg_randn(WG_DIMS(3, 2)), k, k), &half, WG_ESHAPE,
                    "sdpa: q should be (B, H, T, D)");
    wg_sample_error(s, "ranks", WG_LIST(q, k, wg_select(k, 0, 0)), &half, WG_ESHAPE,
                    "sdpa: q, k, v have different ranks");
    wg_sample_error(s, "batch", WG_LIST(q, wg_randn(WG_DIMS(2, 2, 5, 2)), k), &half, WG_ESHAPE,
                    "sdpa: batch sizes differ");
    wg_sample_error(s, "heads",
                    WG_LIST(q, wg_randn(WG_DIMS(1, 3, 5, 2)), wg_randn(WG_DIMS(1, 3, 5, 2))), &half,
                    WG_ESHAPE, "sdpa: 4 query heads are no multiple of 3 key heads");
    wg_sample_error(s, "heads of v", WG_LIST(q, k, wg_randn(WG_DIMS(1, 4, 5, 2))), &half, WG_ESHAPE,
                    "sdpa: k and v have different numbers of heads");
    wg_sample_error(s, "lengths", WG_LIST(q, k, wg_randn(WG_DIMS(1, 2, 4, 2))), &half, WG_ESHAPE,
                    "sdpa: k and v have different lengths");
    wg_sample_error(s, "head size", WG_LIST(wg_randn(WG_DIMS(1, 4, 3, 3)), k, k), &half, WG_ESHAPE,
                    "sdpa: q and k have different head sizes");
    wg_sample_error(s, "mask", WG_LIST(q, k, k, wg_randn(WG_DIMS(3, 4))), &half, WG_ESHAPE,
                    "sdpa: the mask does not broadcast");
    wg_sample_error(s, "integer mask", WG_LIST(q, k, k, wg_cast(wg_randn(WG_DIMS(3, 5)), WG_I64)),
                    &half, WG_EDTYPE, "sdpa: the mask should be bool or floating");
    wg_sample_error(s, "dropout", WG_LIST(q, k, k), &drop, WG_EARG,
                    "sdpa: dropout 1.5 is not within [0, 1]");
    wg_sample_error(s, "window", WG_LIST(q, k, k), &window, WG_EARG, "sdpa: window -1 is negative");
}

static void sdpa_samples(wg_samples *s)
{
    options_samples(s);
    mask_samples(s);
    error_samples(s);
}

const wg_op wgi_op_sdpa = {
    .name = "sdpa",
    .in = { "q", "k", "v", "mask?" },
    .out = { "y", "lse" },
    .attr_size = sizeof(wgi_sdpa_attr),
    .flags = WG_OP_RANDOM | WG_OP_LOW | WG_OP_LAYOUT,
    .saves = WG_IN(Q) | WG_IN(K) | WG_IN(V) | WG_IN(MASK) | WG_OUT(0) | WG_OUT(1),
    .hidden = WG_OUT(1),
    .no_grad = WG_IN(MASK),
    .infer = sdpa_infer,
    .cpu = sdpa_cpu,
    .cuda = sdpa_cuda,
    .reference = sdpa_reference,
    .composite = sdpa_composite,
    .grad_fused = sdpa_grad_fused,
    .flops = sdpa_flops,
    .samples = sdpa_samples,
};

/* The check that the door would make, with its messages. */
static bool passes(const wgi_sdpa_attr *attr, wg_list in)
{
    wgi_context *c = wgi_ctx();
    for (int i = 0; i < 4; i++)
        if (wgi_bad(in.t[i])) return false;
    const wg_op *op = c->op;
    const wg_list operands = c->operands;
    c->op = &wgi_op_sdpa;
    c->operands = in;
    const wg_status s = wgi_sdpa_check(attr, in.t[Q], in.t[K], in.t[V], in.t[MASK]);
    c->op = op;
    c->operands = operands;
    return s == WG_OK;
}

wg_tensor *wg_sdpa_call(wg_sdpa_args a)
{
    const int64_t d = a.q ? wg_size(a.q, -1) : 1;
    const int64_t widest = (int64_t)1 << 40; /* positions are added to it */
    wgi_sdpa_attr attr = { .dropout = a.dropout,
                           .window = a.window < widest ? a.window : widest,
                           .is_causal = a.is_causal };
    attr.scale = a.scale != 0 ? a.scale : d > 0 ? 1 / sqrt((double)d) : 1;
    const wg_list in = WG_LIST(a.q, a.k, a.v, a.mask);
    const bool learned_mask = a.mask && wg_requires_grad(a.mask) && wg_grad_is_on();
    if (!learned_mask || !passes(&attr, in)) return wg_apply(&wgi_op_sdpa, in, &attr, NULL);
    wg_scope s = wg_scope_push();
    wg_tensor *y = NULL;
    sdpa_composite(&attr, in, (wg_list) { 1, &y });
    return wg_scope_return(s, y);
}
