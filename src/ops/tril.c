/* Triangles of matrices: tril keeps x[.., i, j] with j - i <= diagonal, triu those with j - i >=
 * diagonal; the rest is 0.
 *   x: (.., m, n) -> y: same shape and dtype.   gradient: dx = the same triangle of dy.
 *   errors: WG_ESHAPE if x has fewer than two dimensions. */
#include "ops/shape_op.h"

#include "cpu/parallel.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wg_tensor *x = c->in.t[0];
    if (x->ndim < 2) return wg_raise(WG_ESHAPE, "x has %d dimensions, not two", x->ndim);
    wg_infer_like(c, 0, x);
    return WG_OK;
}

typedef struct {
    const char *x;
    char *y;
    int64_t m, n, size, diagonal;
    bool lower;
} job;

/* Columns [first, last) of row i that are kept. */
static void kept_columns(int64_t i, int64_t n, int64_t diagonal, bool lower, int64_t *first,
                         int64_t *last)
{
    int64_t edge; /* clamped, without overflow: row i of tril keeps j < edge, of triu j >= edge */
    if (__builtin_add_overflow(i + lower, diagonal, &edge)) edge = n;
    edge = edge < 0 ? 0 : edge > n ? n : edge;
    *first = lower ? 0 : edge;
    *last = lower ? edge : n;
}

static void rows(void *self, int64_t begin, int64_t end)
{
    const job *j = self;
    for (int64_t r = begin; r < end; r++) {
        int64_t first, last, at = r * j->n;
        kept_columns(r % j->m, j->n, j->diagonal, j->lower, &first, &last);
        if (last < first) last = first;
        memset(j->y + at * j->size, 0, (size_t)(first * j->size));
        memcpy(j->y + (at + first) * j->size, j->x + (at + first) * j->size,
               (size_t)((last - first) * j->size));
        memset(j->y + (at + last) * j->size, 0, (size_t)((j->n - last) * j->size));
    }
}

static wg_status triangle(const wg_run *r, bool lower)
{
    const wg_tensor *x = r->in.t[0];
    if (x->numel == 0) return WG_OK;
    job j = { .x = wgi_data(x),
              .y = wgi_data(r->out.t[0]),
              .m = x->shape[x->ndim - 2],
              .n = x->shape[x->ndim - 1],
              .size = (int64_t)wgi_dtype_bytes[x->dtype],
              .diagonal = *(const int64_t *)r->attr,
              .lower = lower };
    wgi_parallel_for(x->numel / j.n, WGI_GRAIN / j.n + 1, rows, &j);
    return WG_OK;
}

static wg_status tril_cpu(const wg_run *r)
{
    return triangle(r, true);
}

static wg_status triu_cpu(const wg_run *r)
{
    return triangle(r, false);
}

static wg_status tril_cuda(const wg_run *r)
{
    return wgi_cuda_triangle(r, *(const int64_t *)r->attr, true);
}

static wg_status triu_cuda(const wg_run *r)
{
    return wgi_cuda_triangle(r, *(const int64_t *)r->attr, false);
}

static void tril_grad(wg_vjp *g)
{
    g->dx.t[0] = wg_tril(g->dy.t[0], *(const int64_t *)g->attr);
}

static void triu_grad(wg_vjp *g)
{
    g->dx.t[0] = wg_triu(g->dy.t[0], *(const int64_t *)g->attr);
}

static int64_t tril_source(const wg_run *r, const int64_t *i)
{
    const wg_tensor *x = r->in.t[0];
    bool kept = i[x->ndim - 1] - i[x->ndim - 2] <= *(const int64_t *)r->attr;
    return kept ? wgi_element_at(x, i) : -1;
}

static int64_t triu_source(const wg_run *r, const int64_t *i)
{
    const wg_tensor *x = r->in.t[0];
    bool kept = i[x->ndim - 1] - i[x->ndim - 2] >= *(const int64_t *)r->attr;
    return kept ? wgi_element_at(x, i) : -1;
}

static wg_status tril_reference(const wg_run *r)
{
    return wgi_reference_gather(r, tril_source);
}

static wg_status triu_reference(const wg_run *r)
{
    return wgi_reference_gather(r, triu_source);
}

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(3, 4)), *batch = wg_randn(WG_DIMS(2, 4, 3));
    for (int64_t d = -4; d <= 4; d += 2) wg_sample(s, "diagonal", WG_LIST(x), &d);
    wg_sample(s, "batch", WG_LIST(batch), &(int64_t) { 0 });
    wg_sample(s, "batch, one up", WG_LIST(batch), &(int64_t) { 1 });
    wg_sample(s, "far up", WG_LIST(x), &(int64_t) { INT64_MAX });
    wg_sample(s, "far down", WG_LIST(x), &(int64_t) { INT64_MIN });
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(2, 0))), &(int64_t) { 0 });
    wg_sample_error(s, "vector", WG_LIST(wg_randn(WG_DIMS(3))), &(int64_t) { 0 }, WG_ESHAPE, "");
}

const wg_op wgi_op_tril = {
    .name = "tril",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(int64_t),
    .flags = WG_OP_CONTIGUOUS,
    .infer = infer,
    .cpu = tril_cpu,
    .cuda = tril_cuda,
    .reference = tril_reference,
    .grad = tril_grad,
    .samples = samples,
};

const wg_op wgi_op_triu = {
    .name = "triu",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(int64_t),
    .flags = WG_OP_CONTIGUOUS,
    .infer = infer,
    .cpu = triu_cpu,
    .cuda = triu_cuda,
    .reference = triu_reference,
    .grad = triu_grad,
    .samples = samples,
};

wg_tensor *wg_tril(wg_tensor *x, int64_t diagonal)
{
    return wg_apply(&wgi_op_tril, WG_LIST(x), &diagonal, NULL);
}

wg_tensor *wg_triu(wg_tensor *x, int64_t diagonal)
{
    return wg_apply(&wgi_op_triu, WG_LIST(x), &diagonal, NULL);
}
