/* z = x where condition, else y; the three broadcast, x and y promoted. condition: bool. dz goes
 * where z came from; saves condition. errors: WG_EDTYPE if condition is not bool. */
#include "ops/elementwise.h"

#include "cuda/cuda.h"

static wg_status infer(wg_infer *c)
{
    wg_tensor *condition = c->in.t[0], *x = c->in.t[1], *y = c->in.t[2];
    if (condition->dtype != WG_BOOL) return wg_raise(WG_EDTYPE, "condition should be bool");
    c->out[0].device = wgi_infer_device(c);
    wg_status s = wgi_promote(x, y, &c->out[0].dtype);
    if (s) return s;
    wg_dims a = wgi_shape(condition), b = wgi_shape(x), d = wgi_shape(y), ab;
    s = wgi_broadcast(&a, &b, &ab);
    return s ? s : wgi_broadcast(&ab, &d, &c->out[0].shape);
}

static wg_status run(const wg_run *r)
{
    const wgi_elementwise_kernels *k = WGI_PICK(wgi_elementwise_kernels);
    wg_dtype t = wgi_compute_dtype((wg_dtype)r->out.t[0]->dtype);
    wgi_loop_fn fn = t == WG_F32 ? k->where_f32 : t == WG_F64 ? k->where_f64 : k->where_i64;
    const wgi_loop loop = { fn, { WG_BOOL, t, t }, t, 0 };
    wgi_elementwise(&loop, r->out.t[0], 3, r->in.t, NULL, r->accumulate);
    return WG_OK;
}

static wg_status reference(const wg_run *r)
{
    const uint8_t *c = wg_run_in(r, 0);
    const double *x = wg_run_in(r, 1), *y = wg_run_in(r, 2);
    double *z = wg_run_out(r, 0);
    wg_dims cs = wg_shape(r->in.t[0]), xs = wg_shape(r->in.t[1]), ys = wg_shape(r->in.t[2]);
    wg_dims zs = wg_shape(r->out.t[0]);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++)
        z[i] = c[wgi_broadcast_index(&zs, &cs, i)] ? x[wgi_broadcast_index(&zs, &xs, i)]
                                                   : y[wgi_broadcast_index(&zs, &ys, i)];
    return WG_OK;
}

static void grad(wg_vjp *g)
{
    wg_tensor *c = g->x.t[0], *dz = g->dy.t[0], *zero = wg_scalar(0);
    if (g->wants[1])
        wg_vjp_apply(g, (const int[]) { 1 }, &wgi_op_where, WG_LIST(c, dz, zero), NULL);
    if (g->wants[2])
        wg_vjp_apply(g, (const int[]) { 2 }, &wgi_op_where, WG_LIST(c, zero, dz), NULL);
}

static wg_tensor *mask(wg_dims shape)
{
    return wg_gt(wg_rand(shape), wg_scalar(0.5));
}

static void samples(wg_samples *s)
{
    wg_sample(s, "0-d", WG_LIST(mask(WG_DIMS()), wg_randn(WG_DIMS()), wg_randn(WG_DIMS())), NULL);
    wg_sample(
        s, "3-d",
        WG_LIST(mask(WG_DIMS(2, 3, 4)), wg_randn(WG_DIMS(2, 3, 4)), wg_randn(WG_DIMS(2, 3, 4))),
        NULL);
    wg_sample(s, "all broadcast",
              WG_LIST(mask(WG_DIMS(3, 1)), wg_randn(WG_DIMS(4)), wg_randn(WG_DIMS(2, 1, 1))), NULL);
    wg_sample(s, "empty", WG_LIST(mask(WG_DIMS(0)), wg_randn(WG_DIMS(1)), wg_randn(WG_DIMS())),
              NULL);
    wg_sample_error(s, "condition",
                    WG_LIST(wg_randn(WG_DIMS(2)), wg_randn(WG_DIMS(2)), wg_randn(WG_DIMS(2))), NULL,
                    WG_EDTYPE, "where: condition should be bool");
    wg_sample_error(s, "shapes",
                    WG_LIST(mask(WG_DIMS(2)), wg_randn(WG_DIMS(3)), wg_randn(WG_DIMS())), NULL,
                    WG_ESHAPE, "");
}

const wg_op wgi_op_where = {
    .name = "where",
    .in = { "condition", "x", "y" },
    .out = { "z" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE | WG_OP_KEEP_STREAM,
    .saves = WG_IN(0),
    .infer = infer,
    .cpu = run,
    .cuda = wgi_cuda_where,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_where(wg_tensor *condition, wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_where, WG_LIST(condition, x, y), NULL, NULL);
}
