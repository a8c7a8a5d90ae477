/* embedding: y[..., :] = w[i[...], :].
 *   w: (V, C) any, i: (...) i64 or i32, any strides -> y: (..., C), w's dtype; f32 of w in blocks.
 *   gradient: dw = sum of dy over the places where an index stands, added in their order
 *   (embedding_backward, which adds straight into dw's place); saves i. The gradient of that is an
 *   embedding again.
 *   errors: WG_ESHAPE unless w has two axes; WG_EDTYPE for i; WG_EINDEX for an index outside [0,
 *   V): negative ones, too. */
#include "ops/index_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wg_tensor *w = c->in.t[0], *i = c->in.t[1];
    if (w->ndim != 2) return wg_raise(WG_ESHAPE, "w must be (V, C)");
    if (i->ndim == WG_MAX_DIMS) return wg_raise(WG_ESHAPE, "more than %d axes", WG_MAX_DIMS);
    wg_dims shape = wgi_shape(i);
    shape.d[shape.n++] = w->shape[1];
    wg_status s = wgi_index_dtype(i);
    if (s == WG_OK) s = wgi_infer_shape(c, w, shape);
    if (wgi_in_blocks(w->dtype)) c->out[0].dtype = WG_F32;
    return s;
}

static void grad(wg_vjp *g)
{
    const wgi_index_back_attr a = { wg_vjp_in_shape(g, 0) };
    wg_vjp_apply(g, (int[]) { 0 }, &wgi_op_embedding_backward, WG_LIST(g->dy.t[0], g->x.t[1]), &a);
}

static wg_status reference(const wg_run *r)
{
    const wg_tensor *i = r->in.t[1];
    const double *w = wg_run_in(r, 0);
    double *y = wg_run_out(r, 0);
    const int64_t c = r->in.t[0]->shape[1];
    wg_status s = wgi_reference_check(i, r->in.t[0]->shape[0], false);
    for (int64_t k = 0; s == WG_OK && k < i->numel; k++)
        for (int64_t j = 0; j < c; j++) y[k * c + j] = w[wgi_reference_index(i, k) * c + j];
    return s;
}

static void samples(wg_samples *s)
{
    wg_tensor *w = wg_randn(WG_DIMS(5, 3));
    wg_sample(s, "2-d", WG_LIST(w, wg_randint(0, 5, WG_DIMS(2, 4))), NULL);
    wg_sample(s, "1-d", WG_LIST(w, wg_randint(0, 5, WG_DIMS(6))), NULL);
    wg_sample(s, "0-d", WG_LIST(w, wg_randint(0, 5, WG_DIMS())), NULL);
    wg_sample(s, "i32", WG_LIST(w, wg_cast(wg_randint(0, 5, WG_DIMS(3, 1, 2)), WG_I32)), NULL);
    wg_sample(s, "none", WG_LIST(w, wg_randint(0, 5, WG_DIMS(0))), NULL);
    wg_tensor *blocks = wg_cast(wg_randn(WG_DIMS(5, 64)), WG_Q4_1);
    wg_sample(s, "blocks", WG_LIST(blocks, wg_randint(0, 5, WG_DIMS(2, 4))), NULL);
    wg_sample_error(s, "blocks, too large", WG_LIST(blocks, wg_arange(3, 6)), NULL, WG_EINDEX,
                    "embedding: i at (2) is 5, out of range for size 5");
    wg_sample_error(s, "too large", WG_LIST(w, wg_arange(3, 6)), NULL, WG_EINDEX,
                    "embedding: i at (2) is 5, out of range for size 5");
    wg_sample_error(s, "negative", WG_LIST(w, wg_arange(-1, 2)), NULL, WG_EINDEX,
                    "embedding: i at (0) is -1, out of range for size 5");
    wg_sample_error(s, "float", WG_LIST(w, wg_randn(WG_DIMS(2))), NULL, WG_EDTYPE, "embedding: ");
    wg_sample_error(s, "w", WG_LIST(wg_randn(WG_DIMS(5)), wg_arange(0, 2)), NULL, WG_ESHAPE,
                    "embedding: ");
}

const wg_op wgi_op_embedding = {
    .name = "embedding",
    .in = { "w", "i" },
    .out = { "y" },
    .flags = WG_OP_BLOCKS | WG_OP_LOW_PARAMETERS,
    .saves = WG_IN(1),
    .zero_grad = WG_IN(1),
    .infer = infer,
    .cpu = wgi_cpu_embedding,
    .cuda = wgi_cuda_embedding,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_embedding(wg_tensor *w, wg_tensor *i)
{
    return wg_apply(&wgi_op_embedding, WG_LIST(w, i), NULL, NULL);
}

/* ---- dw (V, C) = sum of dy over the places where an index stands ---- */
static wg_status infer_backward(wg_infer *c)
{
    const wgi_index_back_attr *a = c->attr;
    const wg_tensor *dy = c->in.t[0], *i = c->in.t[1];
    wg_dims shape = wgi_shape(i);
    wg_status s = wgi_index_dtype(i);
    if (s != WG_OK) return s;
    if (a->shape.n != 2 || shape.n == WG_MAX_DIMS) return wg_raise(WG_ESHAPE, "dw must be (V, C)");
    shape.d[shape.n++] = a->shape.d[1];
    s = wg_expect(c, 0, shape);
    return s != WG_OK ? s : wgi_infer_shape(c, dy, a->shape);
}

static void grad_backward(wg_vjp *g) /* of dy */
{
    g->dx.t[0] = wg_embedding(g->dy.t[0], g->x.t[1]);
}

static wg_status reference_backward(const wg_run *r)
{
    const wg_tensor *i = r->in.t[1], *dw = r->out.t[0];
    const double *dy = wg_run_in(r, 0);
    double *to = wg_run_out(r, 0);
    const int64_t c = dw->shape[1];
    for (int64_t k = 0; k < dw->numel; k++) to[k] = 0;
    wg_status s = wgi_reference_check(i, dw->shape[0], false);
    for (int64_t k = 0; s == WG_OK && k < i->numel; k++)
        for (int64_t j = 0; j < c; j++) to[wgi_reference_index(i, k) * c + j] += dy[k * c + j];
    return s;
}

static void samples_backward(wg_samples *s)
{
    const wgi_index_back_attr a = { WG_DIMS(4, 3) };
    wg_sample(s, "repeated", WG_LIST(wg_randn(WG_DIMS(2, 5, 3)), wg_randint(0, 4, WG_DIMS(2, 5))),
              &a);
    wg_sample(s, "1-d", WG_LIST(wg_randn(WG_DIMS(3, 3)), wg_randint(0, 4, WG_DIMS(3))), &a);
    wg_sample(s, "none", WG_LIST(wg_zeros(WG_DIMS(0, 3)), wg_randint(0, 4, WG_DIMS(0))), &a);
    wg_sample_error(s, "shape", WG_LIST(wg_randn(WG_DIMS(2, 4)), wg_arange(0, 2)), &a, WG_ESHAPE,
                    "embedding_backward: dy should be (2, 3)");
}

const wg_op wgi_op_embedding_backward = {
    .name = "embedding_backward",
    .in = { "dy", "i" },
    .out = { "dw" },
    .attr_size = sizeof(wgi_index_back_attr),
    .flags = WG_OP_ACCUMULATE,
    .saves = WG_IN(1),
    .zero_grad = WG_IN(1),
    .infer = infer_backward,
    .cpu = wgi_cpu_embedding_backward,
    .cuda = wgi_cuda_embedding_backward,
    .reference = reference_backward,
    .grad = grad_backward,
    .samples = samples_backward,
};
