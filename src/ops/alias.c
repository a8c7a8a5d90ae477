/* y = x: another handle on the same data.   x: any -> y: view.   gradient: dx = dy. */
#include "ops/shape_op.h"

static wg_status infer(wg_infer *c)
{
    wgi_view_of_input(c, 0);
    return WG_OK;
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
    wg_sample(s, "matrix", WG_LIST(wg_randn(WG_DIMS(2, 3))), NULL);
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), NULL);
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(0))), NULL);
}

const wg_op wgi_op_alias = {
    .name = "alias",
    .in = { "x" },
    .out = { "y" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_VIEW,
    .infer = infer,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_alias(wg_tensor *x)
{
    return wg_apply(&wgi_op_alias, WG_LIST(x), NULL, NULL);
}
