/* y = x in row-major order: x itself if it is.
 *   x: any -> y: same shape, dtype, device.   gradient: dx = dy. */
#include "ops/shape_op.h"

static wg_status infer(wg_infer *c)
{
    wg_infer_like(c, 0, c->in.t[0]);
    return WG_OK;
}

static wg_status run(const wg_run *r)
{
    return wgi_copy_elements(r->out.t[0], r->in.t[0]);
}

static void grad(wg_vjp *g)
{
    g->dx.t[0] = g->dy.t[0];
}

static int64_t source(const wg_run *r, const int64_t *i)
{
    return wgi_element_at(r->in.t[0], i);
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference_gather(r, source);
}

static void samples(wg_samples *s)
{
    wg_sample(s, "transposed", WG_LIST(wg_transpose(wg_randn(WG_DIMS(2, 3, 4)), 0, 2)), NULL);
    wg_sample(s, "expanded", WG_LIST(wg_expand(wg_randn(WG_DIMS(3, 1)), WG_DIMS(3, 4))), NULL);
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), NULL);
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(2, 0))), NULL);
}

const wg_op wgi_op_contiguous = {
    .name = "contiguous",
    .in = { "x" },
    .out = { "y" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_BLOCKS,
    .infer = infer,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_contiguous(wg_tensor *x)
{
    if (!wgi_bad(x) && wgi_is_contiguous(x)) return x;
    return wg_apply(&wgi_op_contiguous, WG_LIST(x), NULL, NULL);
}
