/* index_get: y[b, :] = x[i0[b], .., in-1[b], :], as PyTorch's x[i, j]: n index tensors for the
 * leading axes of x, which broadcast to a common shape (B). Negative indices count from the end.
 *   x: (d0, .., dn-1, inner) any, i: 1 to ndim tensors i64 or i32 -> y: (B, inner), x's dtype.
 *   gradient: dx = zeros with dy added at the places, in order (index_get_backward); saves i.
 *   errors: WG_ESHAPE unless the indices broadcast; WG_EDTYPE for i; WG_EINDEX outside [-size,
 *   size). */
#include "ops/index_set.h"
#include "cuda/cuda.h"

static wg_status infer_get(wg_infer *c)
{
    const wg_tensor *x = c->in.t[0];
    const wg_dims large = wgi_shape(x);
    wg_dims small;
    wg_status s = wgi_indices_shape(c, 1, x->ndim, &small);
    if (s == WG_OK) s = wgi_indexed_shape(&small, &large, c->in.n - 1);
    return s != WG_OK ? s : wgi_infer_shape(c, x, small);
}

static void grad_get(wg_vjp *g)
{
    const wgi_index_back_attr a = { wg_vjp_in_shape(g, 0) };
    wg_vjp_apply(g, (int[]) { 0 }, &wgi_op_index_get_backward,
                 wgi_with_indices(&g->dy.t[0], 1, wgi_saved_indices(g, 1)), &a);
}

static void visit_get(const wg_run *r, int64_t small, int64_t large)
{
    ((double *)wg_run_out(r, 0))[small] = ((const double *)wg_run_in(r, 0))[large];
}

static wg_status reference_get(const wg_run *r)
{
    return wgi_index_each(r, 1, r->in.t[0], visit_get);
}

static void samples_get(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(3, 4, 2)), *i = wg_randint(-3, 3, WG_DIMS(5)),
              *j = wg_randint(0, 4, WG_DIMS(2, 1));
    wg_sample(s, "one", WG_LIST(x, i), NULL);
    wg_sample(s, "two", WG_LIST(x, i, j), NULL);
    wg_sample(s, "three", WG_LIST(x, i, j, wg_randint(0, 2, WG_DIMS())), NULL);
    wg_sample_error(s, "none", WG_LIST(x), NULL, WG_ESHAPE,
                    "index_get: 0 index tensors for 3 axes");
}

const wg_op wgi_op_index_get = {
    .name = "index_get",
    .in = { "x", "i*" },
    .out = { "y" },
    .saves = WG_IN(1),
    .zero_grad = WG_IN(1),
    .infer = infer_get,
    .cpu = wgi_cpu_index_get,
    .cuda = wgi_cuda_index_get,
    .reference = reference_get,
    .grad = grad_get,
    .samples = samples_get,
};

wg_tensor *wg_index_get(wg_tensor *x, wg_list i)
{
    return wg_apply(&wgi_op_index_get, wgi_with_indices(&x, 1, i), NULL, NULL);
}

/* ---- index_get_backward: zeros of a shape with dy added at the places ---- */
static wg_status infer_back(wg_infer *c)
{
    const wgi_index_back_attr *a = c->attr;
    wg_dims small;
    wg_status s = wgi_indices_shape(c, 1, a->shape.n, &small);
    if (s == WG_OK) s = wgi_indexed_shape(&small, &a->shape, c->in.n - 1);
    if (s == WG_OK) s = wg_expect(c, 0, small);
    return s != WG_OK ? s : wgi_infer_shape(c, c->in.t[0], a->shape);
}

static void grad_back(wg_vjp *g)
{
    g->dx.t[0] = wg_index_get(g->dy.t[0], wgi_saved_indices(g, 1));
}

static void visit_back(const wg_run *r, int64_t small, int64_t large)
{
    ((double *)wg_run_out(r, 0))[large] += ((const double *)wg_run_in(r, 0))[small];
}

static wg_status reference_back(const wg_run *r)
{
    double *dx = wg_run_out(r, 0);
    for (int64_t k = 0; k < r->out.t[0]->numel; k++) dx[k] = 0;
    return wgi_index_each(r, 1, r->out.t[0], visit_back);
}

static void samples_back(wg_samples *s)
{
    const wgi_index_back_attr a = { WG_DIMS(3, 4, 2) };
    wg_tensor *i = wg_randint(-3, 3, WG_DIMS(5)), *j = wg_randint(0, 4, WG_DIMS(2, 1));
    wg_sample(s, "one", WG_LIST(wg_randn(WG_DIMS(5, 4, 2)), i), &a);
    wg_sample(s, "two", WG_LIST(wg_randn(WG_DIMS(2, 5, 2)), i, j), &a);
    wg_sample_error(s, "shape", WG_LIST(wg_randn(WG_DIMS(5, 4)), i), &a, WG_ESHAPE,
                    "index_get_backward: dy should be");
}

const wg_op wgi_op_index_get_backward = {
    .name = "index_get_backward",
    .in = { "dy", "i*" },
    .out = { "dx" },
    .attr_size = sizeof(wgi_index_back_attr),
    .flags = WG_OP_ACCUMULATE,
    .saves = WG_IN(1),
    .zero_grad = WG_IN(1),
    .infer = infer_back,
    .cpu = wgi_cpu_index_get_backward,
    .cuda = wgi_cuda_index_get_backward,
    .reference = reference_back,
    .grad = grad_back,
    .samples = samples_back,
};
