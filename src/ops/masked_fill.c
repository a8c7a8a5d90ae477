/* y = value where mask, else x, in x's dtype and of x's shape; mask (bool) broadcasts to x. dx =
 * dy where not mask, else 0.
 * errors: WG_EDTYPE if mask is not bool; WG_ESHAPE if it does not broadcast to x; WG_EARG if
 * value is not whole and x holds integers. */
#include "ops/elementwise.h"

#include "cuda/cuda.h"

typedef struct {
    double value;
} masked_fill;

static wg_status infer(wg_infer *c)
{
    const double value = ((const masked_fill *)c->attr)->value;
    wg_tensor *x = c->in.t[0], *mask = c->in.t[1];
    if (mask->dtype != WG_BOOL) return wg_raise(WG_EDTYPE, "mask should be bool");
    if (!wgi_is_float(x->dtype) && !(value == floor(value) && fabs(value) < 0x1p63))
        return wg_raise(WG_EARG, "value %g does not fit %s", value,
                        wg_dtype_name((wg_dtype)x->dtype));
    wg_dims xs = wgi_shape(x), ms = wgi_shape(mask), both;
    wg_status s = wgi_broadcast(&xs, &ms, &both);
    if (s) return s;
    if (!wgi_dims_equal(&xs, &both)) return wg_raise(WG_ESHAPE, "mask is larger than x");
    return wgi_infer_any(c);
}

static wg_status run(const wg_run *r)
{
    const wgi_elementwise_kernels *k = WGI_PICK(wgi_elementwise_kernels);
    const masked_fill *a = r->attr;
    wg_dtype t = wgi_compute_dtype((wg_dtype)r->out.t[0]->dtype);
    wgi_loop_fn fn = t == WG_F32 ? k->fill_f32 : t == WG_F64 ? k->fill_f64 : k->fill_i64;
    const wgi_loop loop = { fn, { t, WG_BOOL }, t, 0 };
    const wgi_numbers p = { .a = a->value, .integer_a = t == WG_I64 ? (int64_t)a->value : 0 };
    wgi_elementwise(&loop, r->out.t[0], 2, r->in.t, &p, r->accumulate);
    return WG_OK;
}

static wg_status reference(const wg_run *r)
{
    const masked_fill *a = r->attr;
    const double *x = wg_run_in(r, 0);
    const uint8_t *mask = wg_run_in(r, 1);
    double *y = wg_run_out(r, 0);
    wg_dims ms = wg_shape(r->in.t[1]), ys = wg_shape(r->out.t[0]);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++)
        y[i] = mask[wgi_broadcast_index(&ys, &ms, i)] ? a->value : x[i];
    return WG_OK;
}

static void grad(wg_vjp *g)
{
    const masked_fill zero = { 0 };
    wg_vjp_apply(g, (const int[]) { 0 }, &wgi_op_masked_fill, WG_LIST(g->dy.t[0], g->x.t[1]),
                 &zero);
}

static wg_status run_cuda(const wg_run *r)
{
    return wgi_cuda_masked_fill(r, ((const masked_fill *)r->attr)->value);
}

static wg_tensor *some(wg_dims shape)
{
    return wg_gt(wg_rand(shape), wg_scalar(0.5));
}

static void samples(wg_samples *s)
{
    const masked_fill a = { -2.5 };
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS()), some(WG_DIMS())), &a);
    wg_sample(s, "3-d", WG_LIST(wg_randn(WG_DIMS(2, 3, 4)), some(WG_DIMS(2, 3, 4))), &a);
    wg_sample(s, "row", WG_LIST(wg_randn(WG_DIMS(2, 3, 4)), some(WG_DIMS(3, 1))), &a);
    wg_sample(s, "empty", WG_LIST(wg_randn(WG_DIMS(0, 2)), some(WG_DIMS(2))), &a);
    wg_sample_error(s, "mask", WG_LIST(wg_randn(WG_DIMS(2)), wg_randn(WG_DIMS(2))), &a, WG_EDTYPE,
                    "masked_fill: mask should be bool");
    wg_sample_error(s, "larger", WG_LIST(wg_randn(WG_DIMS(2)), some(WG_DIMS(3, 2))), &a, WG_ESHAPE,
                    "masked_fill: mask is larger");
}

const wg_op wgi_op_masked_fill = {
    .name = "masked_fill",
    .in = { "x", "mask" },
    .out = { "y" },
    .attr_size = sizeof(masked_fill),
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE,
    .saves = WG_IN(1),
    .infer = infer,
    .cpu = run,
    .cuda = run_cuda,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_masked_fill(wg_tensor *x, wg_tensor *mask, double value)
{
    return wg_apply(&wgi_op_masked_fill, WG_LIST(x, mask), &(const masked_fill) { value }, NULL);
}
