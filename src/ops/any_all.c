/* any and all: y = whether any (every) element of x over axes is not 0. NaN is not 0.
 *   x: (...) any dtype -> y: x's shape without the axes (1 in their places with keepdim), bool.
 *   Over nothing: false (true).     errors: WG_EINDEX, WG_EARG for the axes. */
#include "ops/reduce_op.h"
#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    const wgi_reduce_attr *a = c->attr;
    return wgi_reduce_infer(c, &a->axes, a->keepdim, WGI_BOOL_DTYPE);
}

static wg_status reference_of(const wg_run *r, bool every)
{
    const wgi_reduce_attr *a = r->attr;
    const wgi_grouping g = wgi_grouping_of(r->in.t[0], &a->axes);
    for (int64_t o = 0; o < g.groups; o++) {
        bool y = every;
        for (int64_t e = 0; e < g.count; e++)
            if ((wgi_group_value(&g, o, e) != 0) != every) y = !every;
        wgi_reference_put(r, o, y);
    }
    return WG_OK;
}

static wg_status reference_any(const wg_run *r)
{
    return reference_of(r, false);
}

static wg_status reference_all(const wg_run *r)
{
    return reference_of(r, true);
}

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randint(0, 3, WG_DIMS(2, 3, 4));
    wg_sample(s, "all", WG_LIST(x), WGI_REDUCE_AT(WG_ALL));
    wg_sample(s, "last", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(-1)));
    wg_sample(s, "first, kept", WG_LIST(wg_ne(x, wg_scalar(0))), WGI_REDUCE_AT(WG_DIMS(0), true));
    wg_sample(s, "floats", WG_LIST(wg_cast(x, WG_F64)), WGI_REDUCE_AT(WG_DIMS(2, 1)));
    wg_sample(s, "0-d", WG_LIST(wg_randint(0, 2, WG_DIMS())), WGI_REDUCE_AT(WG_ALL));
    wg_sample(s, "over nothing", WG_LIST(wg_zeros(WG_DIMS(2, 0))), WGI_REDUCE_AT(WG_DIMS(1)));
    wg_sample_error(s, "axis", WG_LIST(x), WGI_REDUCE_AT(WG_DIMS(3)), WG_EINDEX, "a");
}

const wg_op wgi_op_any = {
    .name = "any",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_reduce_attr),
    .flags = WG_OP_GRAD_ZERO,
    .infer = infer,
    .cpu = wgi_cpu_any,
    .cuda = wgi_cuda_any,
    .reference = reference_any,
    .samples = samples,
};

const wg_op wgi_op_all = {
    .name = "all",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_reduce_attr),
    .flags = WG_OP_GRAD_ZERO,
    .infer = infer,
    .cpu = wgi_cpu_all,
    .cuda = wgi_cuda_all,
    .reference = reference_all,
    .samples = samples,
};

wg_tensor *wg_any(wg_tensor *x, wg_dims axes, bool keepdim)
{
    return wg_apply(&wgi_op_any, WG_LIST(x), WGI_REDUCE_AT(axes, keepdim), NULL);
}

wg_tensor *wg_all(wg_tensor *x, wg_dims axes, bool keepdim)
{
    return wg_apply(&wgi_op_all, WG_LIST(x), WGI_REDUCE_AT(axes, keepdim), NULL);
}
