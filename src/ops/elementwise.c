#include "ops/elementwise.h"

#include "autograd/door.h"
#include "cuda/cuda.h"

/* ---- shape rules ---- */

wg_device wgi_infer_device(const wg_infer *c)
{
    for (int64_t i = 0; i < c->in.n; i++)
        if (c->in.t[i] && !(c->in.t[i]->flags & WGI_WEAK)) return c->in.t[i]->device;
    return c->in.t[0]->device;
}

static wg_status infer_like(wg_infer *c, wg_dtype t)
{
    c->out[0].dtype = t;
    c->out[0].shape = wgi_shape(c->in.t[0]);
    c->out[0].device = wgi_infer_device(c);
    return WG_OK;
}

wg_status wgi_infer_any(wg_infer *c)
{
    return infer_like(c, (wg_dtype)c->in.t[0]->dtype);
}

wg_status wgi_infer_number(wg_infer *c)
{
    if (c->in.t[0]->dtype == WG_BOOL) return wg_raise(WG_EDTYPE, "bool has no arithmetic");
    return wgi_infer_any(c);
}

wg_status wgi_infer_float(wg_infer *c)
{
    wg_dtype t = (wg_dtype)c->in.t[0]->dtype;
    return infer_like(c, wgi_is_float(t) ? t : wg_current_dtype());
}

static wg_status infer_broadcast(wg_infer *c, wg_dtype t)
{
    const wg_tensor *a = c->in.t[0], *b = c->in.t[1];
    wg_dims *out = &c->out[0].shape;
    c->out[0].dtype = t;
    c->out[0].device = wgi_infer_device(c);
    bool same = a->ndim == b->ndim; /* the usual case without copies of wg_dims */
    for (int i = 0; same && i < a->ndim; i++) same = (out->d[i] = a->shape[i]) == b->shape[i];
    out->n = a->ndim;
    if (same) return WG_OK;
    const wg_dims x = wgi_shape(a), y = wgi_shape(b);
    return wgi_broadcast(&x, &y, out);
}

wg_status wgi_infer_binary(wg_infer *c)
{
    wg_dtype t;
    wg_status s = wgi_promote(c->in.t[0], c->in.t[1], &t);
    return s ? s : infer_broadcast(c, t);
}

wg_status wgi_infer_float_binary(wg_infer *c)
{
    wg_dtype t;
    wg_status s = wgi_promote(c->in.t[0], c->in.t[1], &t);
    return s ? s : infer_broadcast(c, wgi_is_float(t) ? t : wg_current_dtype());
}

wg_status wgi_infer_bool_binary(wg_infer *c)
{
    return infer_broadcast(c, WG_BOOL);
}

/* ---- kernels ---- */

/* Elements of one piece: a dear formula shares its work earlier than an addition. */
static int64_t grain_of(wgi_formula f)
{
    switch (f) {
    case WGI_FORMULA_neg:
    case WGI_FORMULA_abs:
    case WGI_FORMULA_square:
    case WGI_FORMULA_relu:
    case WGI_FORMULA_relu_backward:
    case WGI_FORMULA_affine:
    case WGI_FORMULA_add:
    case WGI_FORMULA_sub:
    case WGI_FORMULA_mul:
    case WGI_FORMULA_maximum:
    case WGI_FORMULA_minimum: return WGI_GRAIN;
    default: return WGI_GRAIN / 4;
    }
}

wg_status wgi_run_formula(const wg_run *r, wgi_formula f, const wgi_numbers *p)
{
    wg_tensor *y = r->out.t[0];
    if (y->device.kind == WG_CUDA)
        return wgi_cuda_formula(r, f, wgi_compute_dtype((wg_dtype)y->dtype), p);
    wgi_loop loop = wgi_formula_loop(f, wgi_compute_dtype((wg_dtype)y->dtype));
    if (!loop.fn) return wg_raise(WG_EDTYPE, "no kernel for %s", wg_dtype_name((wg_dtype)y->dtype));
    loop.grain = grain_of(f);
    wgi_plain_kernel *plain = ((const wgi_kernel_memory *)r->door)->plain;
    if (plain && !r->accumulate && !(p && p->zero_divisor) &&
        wgi_elementwise_is_plain(&loop, y, (int)r->in.n, r->in.t)) {
        plain->fn = loop.fn;
        plain->formula = f;
        plain->f32 = loop.out == WG_F32;
        if (p) plain->numbers = *p;
    }
    wgi_elementwise(&loop, y, (int)r->in.n, r->in.t, p, r->accumulate);
    return WG_OK;
}

/* ---- references ---- */

wg_status wgi_reference1(const wg_run *r, double (*f)(double))
{
    const double *x = wg_run_in(r, 0);
    double *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++) y[i] = f(x[i]);
    return WG_OK;
}

int64_t wgi_broadcast_index(const wg_dims *to, const wg_dims *from, int64_t i)
{
    int64_t at = 0, step = 1;
    for (int d = to->n - 1, e = from->n - 1; e >= 0; d--, e--) {
        if (from->d[e] != 1) at += i % to->d[d] * step;
        step *= from->d[e];
        i /= to->d[d];
    }
    return at;
}

wg_status wgi_reference2(const wg_run *r, double (*f)(double, double))
{
    const double *x = wg_run_in(r, 0), *y = wg_run_in(r, 1);
    double *z = wg_run_out(r, 0);
    wg_dims xs = wg_shape(r->in.t[0]), ys = wg_shape(r->in.t[1]), zs = wg_shape(r->out.t[0]);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++)
        z[i] = f(x[wgi_broadcast_index(&zs, &xs, i)], y[wgi_broadcast_index(&zs, &ys, i)]);
    return WG_OK;
}

/* ---- gradients ---- */

void wgi_unary_vjp(wg_vjp *g, wgi_formula f, wg_tensor *saved, const wgi_numbers *p)
{
    wgi_unary_backward a;
    memset(&a, 0, sizeof a);
    a.formula = (int)f;
    if (p) a.numbers = *p;
    wg_vjp_apply(g, (const int[]) { 0 }, &wgi_op_unary_backward, WG_LIST(saved, g->dy.t[0]), &a);
}

/* ---- samples ---- */

wg_tensor *wgi_uniform(wg_dims shape, double low, double high)
{
    return wg_affine(wg_rand(shape), high - low, low);
}

void wgi_unary_samples(wg_samples *s, const void *attr, double low, double high)
{
    wg_sample(s, "0-d", WG_LIST(wgi_uniform(WG_DIMS(), low, high)), attr);
    wg_sample(s, "1-d", WG_LIST(wgi_uniform(WG_DIMS(7), low, high)), attr);
    wg_sample(s, "3-d", WG_LIST(wgi_uniform(WG_DIMS(2, 3, 4), low, high)), attr);
    wg_sample(s, "empty", WG_LIST(wgi_uniform(WG_DIMS(2, 0), low, high)), attr);
}

void wgi_binary_samples(wg_samples *s, double xl, double xh, double yl, double yh)
{
    wg_sample(s, "0-d", WG_LIST(wgi_uniform(WG_DIMS(), xl, xh), wgi_uniform(WG_DIMS(), yl, yh)),
              NULL);
    wg_sample(s, "3-d",
              WG_LIST(wgi_uniform(WG_DIMS(2, 3, 4), xl, xh), wgi_uniform(WG_DIMS(2, 3, 4), yl, yh)),
              NULL);
    wg_sample(s, "row",
              WG_LIST(wgi_uniform(WG_DIMS(2, 3, 4), xl, xh), wgi_uniform(WG_DIMS(4), yl, yh)),
              NULL);
    wg_sample(s, "both broadcast",
              WG_LIST(wgi_uniform(WG_DIMS(3, 1), xl, xh), wgi_uniform(WG_DIMS(2, 1, 4), yl, yh)),
              NULL);
    wg_sample(s, "with 0-d",
              WG_LIST(wgi_uniform(WG_DIMS(5), xl, xh), wgi_uniform(WG_DIMS(), yl, yh)), NULL);
    wg_sample(s, "empty",
              WG_LIST(wgi_uniform(WG_DIMS(0, 3), xl, xh), wgi_uniform(WG_DIMS(1, 3), yl, yh)),
              NULL);
    wg_sample_error(s, "shapes",
                    WG_LIST(wgi_uniform(WG_DIMS(2, 3), xl, xh), wgi_uniform(WG_DIMS(2), yl, yh)),
                    NULL, WG_ESHAPE, "");
}
