/* argmax and argmin: y = the place of the greatest (smallest) element of x over axes, counted in
 * row-major order over the reduced axes; the first one of equal ones; that of the first NaN if
 * there is one.
 *   x: (...) any -> y: x's shape without the axes (1 in their places with keepdim), i64.
 *   errors: WG_ESHAPE over nothing; WG_EINDEX, WG_EARG for the axes. */
#include <math.h>

#include "ops/reduce_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wgi_reduce_attr *a = c->attr;
    wg_status s = wgi_reduce_refuse_empty(c, &a->axes);
    return s != WG_OK ? s : wgi_reduce_infer(c, &a->axes, a->keepdim, WGI_INDEX_DTYPE);
}

static wg_status reference_of(const wg_run *r, double sign)
{
    const wgi_reduce_attr *a = r->attr;
    const wgi_grouping g = wgi_grouping_of(r->in.t[0], &a->axes);
    for (int64_t o = 0; o < g.groups; o++) {
        int64_t at = 0;
        for (int64_t e = 1; e < g.count; e++) {
            const double v = sign * wgi_group_value(&g, o, e),
                         best = sign * wgi_group_value(&g, o, at);
            if (v > best || (isnan(v) && !isnan(best))) at = e;
        }
        wgi_reference_put(r, o, (double)at);
    }
    return WG_OK;
}

static wg_status reference_max(const wg_run *r)
{
    return reference_of(r, 1);
}

static wg_status reference_min(const wg_run *r)
{
    return reference_of(r, -1);
}

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "all", WG_LIST(x), WGI_REDUCE_AT(WG_ALL));
    wg_sample(s, "last", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(-1)));
    wg_sample(s, "first, kept", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(0), true));
    wg_sample(s, "two", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(0, 2)));
    wg_sample(s, "lanes", WG_LIST(wg_randn(WG_DIMS(3, 16))), WGI_REDUCE_AT(WG_DIMS(0)));
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), WGI_REDUCE_AT(WG_ALL));
    wg_sample(s, "ties", WG_LIST(wg_randint(0, 3, WG_DIMS(4, 12))), WGI_REDUCE_AT(WG_DIMS(1)));
    wg_sample(s, "ties of lanes", WG_LIST(wg_randint(0, 3, WG_DIMS(4, 12))),
              WGI_REDUCE_AT(WG_DIMS(0)));
    wg_sample(s, "no groups", WG_LIST(wg_zeros(WG_DIMS(3, 0))), WGI_REDUCE_AT(WG_DIMS(0)));
    wg_sample_error(s, "over nothing", WG_LIST(wg_zeros(WG_DIMS(3, 0))), WGI_REDUCE_AT(WG_DIMS(1)),
                    WG_ESHAPE, "argm");
    wg_sample_error(s, "axis", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(3)), WG_EINDEX, "argm");
}

const wg_op wgi_op_argmax = {
    .name = "argmax",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_reduce_attr),
    .flags = WG_OP_GRAD_ZERO,
    .infer = infer,
    .cpu = wgi_cpu_argmax,
    .cuda = wgi_cuda_argmax,
    .reference = reference_max,
    .samples = samples,
};

const wg_op wgi_op_argmin = {
    .name = "argmin",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_reduce_attr),
    .flags = WG_OP_GRAD_ZERO,
    .infer = infer,
    .cpu = wgi_cpu_argmin,
    .cuda = wgi_cuda_argmin,
    .reference = reference_min,
    .samples = samples,
};

wg_tensor *wg_argmax(wg_tensor *x, wg_dims axes, bool keepdim)
{
    return wg_apply(&wgi_op_argmax, WG_LIST(x), WGI_REDUCE_AT(axes, keepdim), NULL);
}

wg_tensor *wg_argmin(wg_tensor *x, wg_dims axes, bool keepdim)
{
    return wg_apply(&wgi_op_argmin, WG_LIST(x), WGI_REDUCE_AT(axes, keepdim), NULL);
}
