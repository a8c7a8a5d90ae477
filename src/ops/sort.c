/* sort: y = x sorted along axis, and i = where the elements were: y = gather(x, axis, i). Stable:
 * equal elements (and -0 and 0) keep their order. NaNs are last, in either direction.
 *   x: (...) any -> y: like x, i: x's shape, i64.
 *   gradient: dx = dy scattered to i; saves i.     errors: WG_EINDEX for the axis. */
#include <math.h>

#include "cpu/scan.h"
#include "ops/index_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wgi_sort_attr *a = c->attr;
    int axis;
    wg_infer_like(c, 0, c->in.t[0]);
    wg_infer_like(c, 1, c->in.t[0]);
    c->out[1].dtype = WG_I64;
    return wgi_axis(a->axis, c->in.t[0]->ndim, &axis);
}

static void grad(wg_vjp *g)
{
    const wgi_sort_attr *a = g->attr;
    if (!g->dy.t[0]) return;
    if (wg_vjp_in_shape(g, 0).n == 0) {
        g->dx.t[0] = g->dy.t[0];
        return;
    }
    const wgi_axis_back_attr b = { a->axis, wg_vjp_in_shape(g, 0) };
    wg_vjp_apply(g, (int[]) { 0 }, &wgi_op_gather_backward, WG_LIST(g->dy.t[0], g->y.t[1]), &b);
}

/* Whether a belongs behind b, which stands before it. */
static bool behind(double a, double b, bool descending)
{
    if (isnan(b)) return false;
    return isnan(a) || (descending ? a < b : a > b);
}

/* Every element goes behind those that belong before it. */
static wg_status reference(const wg_run *r)
{
    const wgi_sort_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0];
    const int axis = a->axis < 0 ? a->axis + (x->ndim ? x->ndim : 1) : a->axis;
    const int64_t n = x->ndim ? x->shape[axis] : 1, inner = x->ndim ? wgi_size_after(x, axis) : 1;
    const size_t bytes = wg_dtype_size((wg_dtype)x->dtype);
    const char *from = wgi_data(x);
    char *y = wg_run_out(r, 0);
    int64_t *i = wg_run_out(r, 1);
    for (int64_t k = 0; k < x->numel; k++) {
        const int64_t e = k / inner % n, line = k - e * inner;
        const double v = wgi_load(from + (size_t)k * bytes, (wg_dtype)x->dtype);
        int64_t rank = 0;
        for (int64_t o = 0; o < n; o++) {
            const double w =
                wgi_load(from + (size_t)(line + o * inner) * bytes, (wg_dtype)x->dtype);
            rank += o < e ? !behind(w, v, a->descending) : o > e && behind(v, w, a->descending);
        }
        memcpy(y + (size_t)(line + rank * inner) * bytes, from + (size_t)k * bytes, bytes);
        i[line + rank * inner] = e;
    }
    return WG_OK;
}

#define SORT(axis, descending) (&(wgi_sort_attr) { axis, descending })

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "last", WG_LIST(x), SORT(-1, false));
    wg_sample(s, "first, descending", WG_LIST(x), SORT(0, true));
    wg_sample(s, "middle", WG_LIST(x), SORT(1, false));
    wg_sample(s, "long", WG_LIST(wg_randn(WG_DIMS(60))), SORT(0, false));
    wg_sample(s, "ties", WG_LIST(wg_randint(0, 4, WG_DIMS(64))), SORT(0, false));
    wg_sample(s, "ties, descending", WG_LIST(wg_randint(-4, 4, WG_DIMS(2, 32))), SORT(1, true));
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), SORT(0, false));
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(2, 0))), SORT(1, false));
    wg_sample_error(s, "axis", WG_LIST(x), SORT(-4, false), WG_EINDEX, "sort: ");
}

const wg_op wgi_op_sort = {
    .name = "sort",
    .in = { "x" },
    .out = { "y", "i" },
    .attr_size = sizeof(wgi_sort_attr),
    .saves = WG_OUT(1),
    .infer = infer,
    .cpu = wgi_cpu_sort,
    .cuda = wgi_cuda_sort,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_sort(wg_tensor *x, int axis, bool descending, wg_tensor **indices)
{
    return wg_apply(&wgi_op_sort, WG_LIST(x), SORT(axis, descending), indices);
}

wg_tensor *wg_argsort(wg_tensor *x, int axis, bool descending)
{
    wg_tensor *i = NULL;
    wg_tensor *y = wg_sort(x, axis, descending, &i);
    return wg_is_error(y) || !i ? y : i;
}
