/* prod: y = product of x over axes.
 *   x: (...) any -> y: x's shape without the axes (1 in their places with keepdim), x's dtype; i64
 *   for integers and bool. Accumulated in f32 (f64 for f64). Over nothing: 1.
 *   gradient: of the composite, a tree of products, so that zeros need no special case: dx_i = dy
 *   times the other elements, at any order. saves x.     errors: WG_EINDEX, WG_EARG for the axes.
 *   */
#include "ops/reduce_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wgi_reduce_attr *a = c->attr;
    return wgi_reduce_infer(c, &a->axes, a->keepdim, WGI_SUM_DTYPE);
}

/* x (..., n) -> (..., 1): halves are multiplied until one element is left. */
static wg_tensor *tree(wg_tensor *x)
{
    for (int64_t n = wg_size(x, -1); n > 1; n = n / 2 + n % 2) {
        const int64_t half = n / 2;
        wg_tensor *y = wg_mul(wg_narrow(x, -1, 0, half), wg_narrow(x, -1, half, half));
        x = n % 2 ? wg_cat(WG_LIST(y, wg_narrow(x, -1, 2 * half, 1)), -1) : y;
    }
    return x;
}

static void composite(void *self, wg_list in, wg_list out)
{
    const wgi_reduce_attr *a = self;
    wg_tensor *x = in.t[0];
    wg_dims order = { .n = 0 }, rows = { .n = 0 }, shape = { .n = 0 };
    unsigned mask = 0;
    wgi_axes(&a->axes, x->ndim, &mask);
    for (int reduced = 0; reduced < 2; reduced++)
        for (int d = 0; d < x->ndim; d++)
            if ((int)(mask >> d & 1) == reduced) order.d[order.n++] = d;
    for (int d = 0; d < x->ndim; d++) {
        const bool reduced = mask >> d & 1;
        if (!reduced || a->keepdim) shape.d[shape.n++] = reduced ? 1 : x->shape[d];
    }
    rows.n = 2;
    rows.d[0] = wgi_kept_count(x, mask);
    rows.d[1] = wgi_reduced_count(x, mask);
    wg_tensor *flat = wg_reshape(wg_permute(x, order), rows);
    if (rows.d[1] == 0) /* 1, and no element that it depends on */
        flat = wg_affine(wg_sum(flat, WG_DIMS(1), true), 0, 1);
    out.t[0] = wg_reshape(tree(flat), shape);
}

static wg_status reference(const wg_run *r)
{
    const wgi_reduce_attr *a = r->attr;
    const wgi_grouping g = wgi_grouping_of(r->in.t[0], &a->axes);
    for (int64_t o = 0; o < g.groups; o++) {
        double product = 1;
        for (int64_t e = 0; e < g.count; e++) product *= wgi_group_value(&g, o, e);
        wgi_reference_put(r, o, product);
    }
    return WG_OK;
}

static double flops(const wg_infer *c)
{
    return (double)c->in.t[0]->numel;
}

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_tensor *zeros =
        wg_mul(x, wg_cast(wg_ne(wg_randint(0, 3, WG_DIMS(2, 3, 4)), wg_scalar(0)), WG_F64));
    wg_sample(s, "last", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(-1)));
    wg_sample(s, "zeros", WG_LIST(zeros), WGI_REDUCE_AT(WG_DIMS(1)));
    wg_sample(s, "two, kept", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(0, 2), true));
    wg_sample(s, "all", WG_LIST(wg_randn(WG_DIMS(7))), WGI_REDUCE_AT(WG_ALL));
    wg_sample(s, "none", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS()));
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), WGI_REDUCE_AT(WG_ALL));
    wg_sample(s, "over nothing", WG_LIST(wg_zeros(WG_DIMS(2, 0))), WGI_REDUCE_AT(WG_DIMS(1)));
    wg_sample_error(s, "axis", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(3)), WG_EINDEX, "prod: ");
    wg_sample_error(s, "twice", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(1, 1)), WG_EARG, "prod: ");
}

const wg_op wgi_op_prod = {
    .name = "prod",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_reduce_attr),
    .flags = WG_OP_FULL,
    .saves = WG_IN(0),
    .infer = infer,
    .cpu = wgi_cpu_prod,
    .cuda = wgi_cuda_prod,
    .reference = reference,
    .composite = composite,
    .flops = flops,
    .samples = samples,
};

wg_tensor *wg_prod(wg_tensor *x, wg_dims axes, bool keepdim)
{
    return wg_apply(&wgi_op_prod, WG_LIST(x), WGI_REDUCE_AT(axes, keepdim), NULL);
}
