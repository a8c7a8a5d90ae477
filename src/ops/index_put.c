/* Several index tensors for the leading axes. They broadcast to a common shape (B); with n of them,
 * x (d0, .., dn-1, inner) is addressed as x[i0[b], .., in-1[b], :]. Negative indices count from the
 *end, as in PyTorch's x[i, j]. 
 * index_put: y = x, and y[i0[b], .., :] = values[b, :], or += with accumulate.
 *   x: (...) any, i: 1 to ndim tensors i64 or i32, values: broadcasts to (B, inner), x's dtype -> y
 *   like x. Writing, the last b (in row-major order) of equal places wins; adding (not for bool),
 *   all add up in order, 16-bit floats in f32.
 *   gradient: dx = dy, with 0 at the places when writing; dvalues = dy at the places, 0 for those
 *   that were overwritten by a later b. saves i.
 *   errors: WG_ESHAPE unless the indices and values broadcast; WG_EDTYPE for i and values;
 *   WG_EINDEX outside [-size, size). */
#include "ops/index_set.h"
#include "cuda/cuda.h"

static wg_status infer_put(wg_infer *c)
{
    const wgi_index_put_attr *a = c->attr;
    const wg_tensor *x = c->in.t[0], *values = c->in.t[1];
    const wg_dims large = wgi_shape(x), given = wgi_shape(values);
    wg_dims small, both;
    wg_status s = wgi_indices_shape(c, 2, x->ndim, &small);
    if (s == WG_OK) s = wgi_indexed_shape(&small, &large, c->in.n - 2);
    if (s != WG_OK) return s;
    if (values->dtype != x->dtype)
        return wg_raise(WG_EDTYPE, "values must be %s, are %s", wg_dtype_name((wg_dtype)x->dtype),
                        wg_dtype_name((wg_dtype)values->dtype));
    if (a->accumulate && x->dtype == WG_BOOL) return wg_raise(WG_EDTYPE, "bool cannot be added");
    s = wgi_broadcast(&small, &given, &both);
    if (s != WG_OK) return s;
    if (!wgi_dims_equal(&small, &both)) {
        char text[256];
        wgi_shape_text(text, sizeof text, &small);
        return wg_raise(WG_ESHAPE, "values do not broadcast to %s", text);
    }
    return wgi_infer_shape(c, x, large);
}

/* t (B, inner), with 0 where a later index points to the same place. */
static wg_tensor *of_last(const wg_vjp *g, wg_tensor *t, wg_list i)
{
    const wgi_index_back_attr a = { wg_vjp_in_shape(g, 0) };
    wg_tensor *last = wg_apply(&wgi_op_index_last, i, &a, NULL);
    wg_dims shape = wg_shape(last);
    while (shape.n < wg_ndim(t)) shape.d[shape.n++] = 1;
    return wg_masked_fill(t, wg_logical_not(wg_reshape(last, shape)), 0);
}

static void grad_put(wg_vjp *g)
{
    const wgi_index_put_attr *a = g->attr;
    wg_list i = wgi_saved_indices(g, 2);
    wg_tensor *dy = g->dy.t[0];
    if (a->accumulate) {
        if (g->wants[0]) g->dx.t[0] = dy;
        if (g->wants[1]) g->dx.t[1] = wg_index_get(dy, i);
        return;
    }
    wg_tensor *d = wg_index_get(dy, i);
    if (g->wants[0]) g->dx.t[0] = wg_index_put(dy, i, wg_zeros_like(d), false);
    if (g->wants[1]) g->dx.t[1] = of_last(g, d, i);
}

/* Element of values, broadcast to (B, inner), by its number there. */
static double value_at(const wg_run *r, int64_t small)
{
    const wg_tensor *values = r->in.t[1];
    const wg_dims large = wgi_shape(r->in.t[0]);
    wg_dims shape = wgi_indices_common(r, 2);
    wgi_indexed_shape(&shape, &large, r->in.n - 2);
    int64_t at = 0, step = 1;
    for (int d = shape.n - 1; d >= shape.n - values->ndim; d--) {
        const int64_t own = values->shape[d - (shape.n - values->ndim)];
        at += small % shape.d[d] % own * step;
        step *= own;
        small /= shape.d[d];
    }
    return ((const double *)wg_run_in(r, 1))[at];
}

static void visit_put(const wg_run *r, int64_t small, int64_t large)
{
    const wgi_index_put_attr *a = r->attr;
    double *y = wg_run_out(r, 0);
    y[large] = value_at(r, small) + (a->accumulate ? y[large] : 0);
}

static wg_status reference_put(const wg_run *r)
{
    const double *x = wg_run_in(r, 0);
    double *y = wg_run_out(r, 0);
    for (int64_t k = 0; k < r->in.t[0]->numel; k++) y[k] = x[k];
    return wgi_index_each(r, 2, r->in.t[0], visit_put);
}

#define PUT(accumulate) (&(wgi_index_put_attr) { accumulate })

static void samples_put(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(3, 4, 2)), *i = wg_randint(0, 3, WG_DIMS(5)),
              *j = wg_randint(-4, 4, WG_DIMS(5));
    wg_sample(s, "rows", WG_LIST(x, wg_randn(WG_DIMS(5, 4, 2)), i), PUT(false));
    wg_sample(s, "rows added", WG_LIST(x, wg_randn(WG_DIMS(5, 4, 2)), i), PUT(true));
    wg_sample(s, "two, repeated", WG_LIST(x, wg_randn(WG_DIMS(5, 2)), i, j), PUT(false));
    wg_sample(s, "two, added", WG_LIST(x, wg_randn(WG_DIMS(5, 2)), i, j), PUT(true));
    wg_sample(s, "broadcast",
              WG_LIST(x, wg_randn(WG_DIMS(2)), wg_randint(0, 3, WG_DIMS(2, 1)),
                      wg_randint(0, 4, WG_DIMS(3))),
              PUT(false));
    wg_sample(s, "three, one value",
              WG_LIST(x, wg_randn(WG_DIMS()), i, j, wg_randint(0, 2, WG_DIMS())), PUT(true));
    wg_sample(s, "1-d, i32",
              WG_LIST(wg_randn(WG_DIMS(6)), wg_randn(WG_DIMS(3)),
                      wg_cast(wg_randint(-6, 6, WG_DIMS(3)), WG_I32)),
              PUT(false));
    wg_sample(s, "none", WG_LIST(x, wg_zeros(WG_DIMS(0, 4, 2)), wg_randint(0, 3, WG_DIMS(0))),
              PUT(false));
    wg_sample_error(s, "index", WG_LIST(x, wg_randn(WG_DIMS()), wg_arange(2, 4)), PUT(false),
                    WG_EINDEX, "index_put: i[0] at (1) is 3, out of range for size 3");
    wg_sample_error(s, "float index", WG_LIST(x, wg_randn(WG_DIMS()), i, wg_full(WG_DIMS(), -5)),
                    PUT(false), WG_EDTYPE, "index_put: ");
    wg_sample_error(s, "values", WG_LIST(x, wg_randn(WG_DIMS(4, 4, 2)), i), PUT(false), WG_ESHAPE,
                    "index_put: ");
    wg_sample_error(s, "indices", WG_LIST(x, wg_randn(WG_DIMS()), i, wg_arange(0, 2)), PUT(false),
                    WG_ESHAPE, "index_put: ");
    wg_sample_error(s, "dtype", WG_LIST(x, wg_arange(0, 2), i), PUT(false), WG_EDTYPE,
                    "index_put: values must be f64");
    wg_sample_error(s, "too many", WG_LIST(wg_randn(WG_DIMS(3)), wg_randn(WG_DIMS()), i, i),
                    PUT(false), WG_ESHAPE, "index_put: 2 index tensors for 1 axes");
}

const wg_op wgi_op_index_put = {
    .name = "index_put",
    .in = { "x", "values", "i*" },
    .out = { "y" },
    .attr_size = sizeof(wgi_index_put_attr),
    .saves = WG_IN(2),
    .zero_grad = WG_IN(2),
    .infer = infer_put,
    .cpu = wgi_cpu_index_put,
    .cuda = wgi_cuda_index_put,
    .reference = reference_put,
    .grad = grad_put,
    .samples = samples_put,
};

wg_tensor *wg_index_put(wg_tensor *x, wg_list i, wg_tensor *values, bool accumulate)
{
    if (!wg_is_error(x) && !wg_is_error(values) && x && values && wg_ndim(values) == 0)
        values = wg_cast(values, wg_dtype_of(x)); /* a scalar takes x's dtype */
    return wg_apply(&wgi_op_index_put, wgi_with_indices((wg_tensor *[]) { x, values }, 2, i),
                    PUT(accumulate), NULL);
}
