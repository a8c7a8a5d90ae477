/* topk: y = the k largest elements of x along axis, the largest first, and i = where they were. Of
 * equal elements the one with the lower index comes first; NaNs count as the largest.
 *   x: (...) any -> y: x's shape with k along axis, x's dtype; i: the same, i64.
 *   gradient: dx = dy scattered to i; saves i.     errors: WG_EINDEX for the axis; WG_EARG unless 0
 *   <= k <= size. */
#include <math.h>

#include "cpu/scan.h"
#include "ops/index_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wgi_topk_attr *a = c->attr;
    const wg_tensor *x = c->in.t[0];
    int axis;
    wg_status s = wgi_axis(a->axis, x->ndim, &axis);
    if (s != WG_OK) return s;
    const int64_t n = x->ndim ? x->shape[axis] : 1;
    if (a->k < 0 || a->k > n)
        return wg_raise(WG_EARG, "k is %lld, must be between 0 and %lld", (long long)a->k,
                        (long long)n);
    if (x->ndim == 0 && a->k == 0) return wg_raise(WG_EARG, "k is 0, must be 1 for a 0-d tensor");
    for (int j = 0; j < 2; j++) {
        wg_infer_like(c, j, x);
        if (x->ndim) c->out[j].shape.d[axis] = a->k;
    }
    c->out[1].dtype = WG_I64;
    return WG_OK;
}

static void grad(wg_vjp *g)
{
    const wgi_topk_attr *a = g->attr;
    if (!g->dy.t[0]) return;
    if (wg_vjp_in_shape(g, 0).n == 0) {
        g->dx.t[0] = g->dy.t[0];
        return;
    }
    const wgi_axis_back_attr b = { a->axis, wg_vjp_in_shape(g, 0) };
    wg_vjp_apply(g, (int[]) { 0 }, &wgi_op_gather_backward, WG_LIST(g->dy.t[0], g->y.t[1]), &b);
}

/* An element's rank is how many are greater, or equal and before it. */
static wg_status reference(const wg_run *r)
{
    const wgi_topk_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0];
    const int axis = a->axis < 0 ? a->axis + (x->ndim ? x->ndim : 1) : a->axis;
    const int64_t n = x->ndim ? x->shape[axis] : 1, inner = x->ndim ? wgi_size_after(x, axis) : 1;
    const size_t bytes = wg_dtype_size((wg_dtype)x->dtype);
    const char *from = wgi_data(x);
    char *y = wg_run_out(r, 0);
    int64_t *i = wg_run_out(r, 1);
    for (int64_t k = 0; k < x->numel; k++) {
        const int64_t e = k / inner % n, line = k - e * inner, outer = k / inner / n;
        const double v = wgi_load(from + (size_t)k * bytes, (wg_dtype)x->dtype);
        int64_t rank = 0;
        for (int64_t o = 0; o < n; o++) {
            const double w =
                wgi_load(from + (size_t)(line + o * inner) * bytes, (wg_dtype)x->dtype);
            const bool greater = w > v || (isnan(w) && !isnan(v)),
                       equal = w == v || (isnan(w) && isnan(v));
            rank += greater || (equal && o < e);
        }
        if (rank >= a->k) continue;
        const int64_t to = (outer * a->k + rank) * inner + k % inner;
        memcpy(y + (size_t)to * bytes, from + (size_t)k * bytes, bytes);
        i[to] = e;
    }
    return WG_OK;
}

#define TOPK(k, axis) (&(wgi_topk_attr) { k, axis })

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "last", WG_LIST(x), TOPK(2, -1));
    wg_sample(s, "middle", WG_LIST(x), TOPK(2, 1));
    wg_sample(s, "all of first", WG_LIST(x), TOPK(2, 0));
    wg_sample(s, "1-d", WG_LIST(wg_randn(WG_DIMS(30))), TOPK(7, 0));
    wg_sample(s, "ties", WG_LIST(wg_randint(0, 4, WG_DIMS(3, 20))), TOPK(6, 1));
    wg_sample(s, "none", WG_LIST(x), TOPK(0, 1));
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), TOPK(1, 0));
    wg_sample_error(s, "k", WG_LIST(x), TOPK(5, -1), WG_EARG,
                    "topk: k is 5, must be between 0 and 4");
    wg_sample_error(s, "negative", WG_LIST(x), TOPK(-1, 0), WG_EARG, "topk: k is -1");
    wg_sample_error(s, "axis", WG_LIST(x), TOPK(1, 3), WG_EINDEX, "topk: ");
}

const wg_op wgi_op_topk = {
    .name = "topk",
    .in = { "x" },
    .out = { "y", "i" },
    .attr_size = sizeof(wgi_topk_attr),
    .saves = WG_OUT(1),
    .infer = infer,
    .cpu = wgi_cpu_topk,
    .cuda = wgi_cuda_topk,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_topk(wg_tensor *x, int64_t k, int axis, wg_tensor **indices)
{
    return wg_apply(&wgi_op_topk, WG_LIST(x), TOPK(k, axis), indices);
}
