#include "ops/pointwise_loss.h"
#include "cuda/cuda.h"

#include <math.h>

static const wg_tensor *input(const wg_list in, int i)
{
    return i < in.n ? in.t[i] : NULL;
}

static wg_dtype real_of(const wg_tensor *x, const wg_tensor *target)
{
    return x->dtype == WG_F64 || target->dtype == WG_F64 ? WG_F64 : WG_F32;
}

/* Input i broadcasts to x's shape. */
static wg_status expect_broadcast(const wg_infer *c, int i, const char *name, int x)
{
    const wg_tensor *w = input(c->in, i);
    wg_status s = wgi_expect_float(c, i, name);
    if (!w || s != WG_OK) return s;
    const wg_dims a = wgi_shape(c->in.t[x]), b = wgi_shape(w);
    wg_dims both = { 0 };
    s = wgi_broadcast(&a, &b, &both);
    if (s == WG_OK && !wgi_dims_equal(&a, &both))
        s = wg_raise(WG_ESHAPE, "%s does not broadcast to the logits", name);
    return s;
}

/* x is input `first`. */
static wg_status check_operands(const wg_infer *c, int first, const char *name)
{
    const wgi_loss_attr *a = c->attr;
    wg_status s = wgi_expect_float(c, first, name);
    if (s == WG_OK) s = wgi_expect_same(c, first, first + 1);
    if (s == WG_OK) s = expect_broadcast(c, first + 2, "weight", first);
    if (s == WG_OK) s = expect_broadcast(c, first + 3, "pos_weight", first);
    return s == WG_OK ? wgi_expect_reduction(a->reduction) : s;
}

wg_status wgi_loss_infer(wg_infer *c, const char *name)
{
    const wgi_loss_attr *a = c->attr;
    wg_status s = check_operands(c, 0, name);
    if (s != WG_OK) return s;
    wg_infer_like(c, 0, c->in.t[0]);
    c->out[0].dtype = real_of(c->in.t[0], c->in.t[1]);
    if (a->reduction != WG_NONE) c->out[0].shape = WG_DIMS();
    return WG_OK;
}

enum { TILES_A_TASK = 8 };

/* Operands from input `first` on, broadcast to x. */
static void make_tiles(wgi_tiles *t, const wg_run *r, int first, const wg_tensor *out,
                       const wg_tensor *dx)
{
    const wg_tensor *operand[] = { input(r->in, first),
                                   input(r->in, first + 1),
                                   input(r->in, first + 2),
                                   input(r->in, first + 3),
                                   out,
                                   dx };
    wgi_tiles_make(t, wgi_shape(operand[0]), 6, (wg_tensor *const *)operand);
}

wg_status wgi_loss_cpu(const wg_run *r)
{
    const wgi_loss_attr *a = r->attr;
    wg_tensor *y = r->out.t[0];
    const bool elements = a->reduction == WG_NONE, f64 = real_of(r->in.t[0], r->in.t[1]) == WG_F64;
    wgi_loss l = { .kind = a->kind, .delta = a->delta };
    wgi_tiles t;
    make_tiles(&t, r, 0, elements ? y : NULL, NULL);
    void *partial = NULL;
    wg_status s = elements ? WG_OK : wgi_row_scratch(r, t.tiles, WG_F64, &partial);
    if (s != WG_OK) return s;
    l.partial = partial;
    if (partial) memset(partial, 0, (size_t)t.tiles * sizeof(double));
    wgi_tiles_run(&t, TILES_A_TASK, WGI_PICK(wgi_loss_kernels)->forward[f64], &l);
    if (elements) return WG_OK;
    double sum = 0;
    for (int64_t i = 0; i < t.tiles; i++) sum += l.partial[i];
    wgi_store(wgi_data(y), (wg_dtype)y->dtype,
              a->reduction == WG_MEAN ? sum / (double)t.numel : sum);
    return WG_OK;
}

wg_status wgi_loss_cuda(const wg_run *r)
{
    const wgi_loss_attr *a = r->attr;
    return wgi_cuda_loss(r, a->kind, a->delta, a->reduction,
                         real_of(r->in.t[0], r->in.t[1]) == WG_F64);
}

wg_tensor *wgi_loss_reduced(wg_tensor *elements, const wgi_loss_attr *a)
{
    if (a->reduction == WG_NONE) return elements;
    return a->reduction == WG_MEAN ? wg_mean(elements, WG_ALL, false)
                                   : wg_sum(elements, WG_ALL, false);
}

wg_tensor *wgi_loss_operand(wg_list in, int i)
{
    return wg_cast(in.t[i], real_of(in.t[0], in.t[1]));
}

/* ---- gradient: one op for all kinds ------------------------------------------------------------------------- */
void wgi_loss_grad_fused(wg_vjp *g)
{
    wg_tensor *weight = g->x.n > 2 ? g->x.t[2] : NULL, *pos_weight = g->x.n > 3 ? g->x.t[3] : NULL;
    wgi_loss_attr a = *(const wgi_loss_attr *)g->attr;
    for (int i = 0; i < 2; i++) {
        if (!g->wants[i]) continue;
        a.of_target = i == 1;
        wg_vjp_apply(g, (int[]) { i }, &wgi_op_pointwise_loss_backward,
                     WG_LIST(g->dy.t[0], g->x.t[0], g->x.t[1], weight, pos_weight), &a);
    }
}

static wg_status backward_infer(wg_infer *c)
{
    const wgi_loss_attr *a = c->attr;
    wg_status s = check_operands(c, 1, "x");
    if (s == WG_OK)
        s = wg_expect(c, 0, a->reduction == WG_NONE ? wgi_shape(c->in.t[1]) : WG_DIMS());
    if (s != WG_OK) return s;
    const wg_tensor *of = c->in.t[a->of_target ? 2 : 1];
    wg_infer_like(c, 0, of);
    if (!wgi_is_float(of->dtype)) c->out[0].dtype = WG_F32;
    return WG_OK;
}

static wg_status backward_cpu(const wg_run *r)
{
    const wgi_loss_attr *a = r->attr;
    const wg_tensor *dy = r->in.t[0];
    const bool elements = a->reduction == WG_NONE, f64 = real_of(r->in.t[1], r->in.t[2]) == WG_F64;
    wgi_loss l = {
        .kind = a->kind, .delta = a->delta, .of_target = a->of_target, .accumulate = r->accumulate
    };
    wgi_tiles t;
    make_tiles(&t, r, 1, elements ? dy : NULL, r->out.t[0]);
    if (t.numel == 0) return WG_OK;
    if (!elements) l.dy = wgi_load(wgi_data(dy), (wg_dtype)dy->dtype);
    if (a->reduction == WG_MEAN) l.dy /= (double)t.numel;
    wgi_tiles_run(&t, TILES_A_TASK, WGI_PICK(wgi_loss_kernels)->backward[f64], &l);
    return WG_OK;
}

static wg_status backward_cuda(const wg_run *r)
{
    const wgi_loss_attr *a = r->attr;
    return wgi_cuda_loss_backward(r, a->kind, a->delta, a->reduction, a->of_target,
                                  real_of(r->in.t[1], r->in.t[2]) == WG_F64);
}

/* ---- references ---------------------------------------------------------------------------------------------- */
/* Input i at place `at` of x, broadcast; `otherwise` if it is absent. Integers are as they are. */
static double value_at(const wg_run *r, int i, const wg_tensor *x, int64_t at, double otherwise)
{
    const wg_tensor *t = input(r->in, i);
    if (!t) return otherwise;
    int64_t from = 0, stride = 1;
    for (int d = x->ndim - 1, e = t->ndim - 1; e >= 0; d--, e--) {
        if (t->shape[e] != 1) from += at % x->shape[d] * stride;
        stride *= t->shape[e];
        at /= x->shape[d];
    }
    return wgi_load((const char *)wgi_data(t) + from * (int64_t)wg_dtype_size((wg_dtype)t->dtype),
                    (wg_dtype)t->dtype);
}

wg_status wgi_loss_reference(const wg_run *r, wgi_loss_value value)
{
    const wgi_loss_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0];
    double *y = wg_run_out(r, 0), sum = 0;
    for (int64_t i = 0; i < x->numel; i++) {
        const double v = value(value_at(r, 0, x, i, 0), value_at(r, 1, x, i, 0),
                               value_at(r, 2, x, i, 1), value_at(r, 3, x, i, 1), a);
        if (a->reduction == WG_NONE) y[i] = v;
        sum += v;
    }
    if (a->reduction != WG_NONE) y[0] = a->reduction == WG_MEAN ? sum / (double)x->numel : sum;
    return WG_OK;
}

/* d value / d x or d target */
static double slope(double x, double t, double p, const wgi_loss_attr *a)
{
    const double d = x - t, logistic = 1 / (1 + exp(-x)), sign = a->of_target ? -1 : 1;
    switch (a->kind) {
    case WGI_MSE: return sign * 2 * d;
    case WGI_L1: return sign * ((d > 0) - (d < 0));
    case WGI_HUBER: return sign * fmax(-a->delta, fmin(a->delta, d));
    case WGI_BCE:
        return a->of_target ? log(1 - logistic) - p * log(logistic)
                            : (1 - t) * logistic - p * t * (1 - logistic);
    case WGI_KL: return a->of_target ? (t == 0 ? 0 : log(t) + 1 - x) : -t;
    default: return a->of_target ? exp(t) * (t - x + 1) : -exp(t);
    }
}

static wg_status backward_reference(const wg_run *r)
{
    const wgi_loss_attr *a = r->attr;
    const wg_tensor *x = r->in.t[1];
    const double *dy = wg_run_in(r, 0);
    double *dx = wg_run_out(r, 0);
    for (int64_t i = 0; i < x->numel; i++) {
        const double g = a->reduction == WG_NONE   ? dy[i]
                         : a->reduction == WG_MEAN ? dy[0] / (double)x->numel
                                                   : dy[0];
        dx[i] = g * value_at(r, 3, x, i, 1) *
                slope(value_at(r, 1, x, i, 0), value_at(r, 2, x, i, 0), value_at(r, 4, x, i, 1), a);
    }
    return WG_OK;
}

/* ---- samples --------------------------------------------------------------------------------------------------- */
/* "name: what" for as long as the samples live. */
static const char *message(const char *name, const char *what)
{
    const size_t size = strlen(name) + strlen(what) + 3;
    char *text = wg_scope_alloc(size);
    if (text) snprintf(text, size, "%s: %s", name, what);
    return text ? text : "";
}

void wgi_loss_errors(wg_samples *s, const char *name, const char *x, wgi_loss_attr a)
{
    wg_tensor *y = wg_randn(WG_DIMS(2, 3));
    wg_sample_error(s, "shapes", WG_LIST(y, wg_randn(WG_DIMS(3))), &a, WG_ESHAPE,
                    message(name, "target should be (2, 3), is (3)"));
    wg_sample_error(s, "integers", WG_LIST(wg_arange(0, 3), wg_randn(WG_DIMS(3))), &a, WG_EDTYPE,
                    message(name, x));
    a.reduction = (wg_reduction)3;
    wg_sample_error(s, "reduction", WG_LIST(y, y), &a, WG_EARG, message(name, "reduction 3"));
}

static void backward_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 4, 3)), *t = wg_affine(wg_rand(WG_DIMS(2, 4, 3)), 0.9, 0.05),
              *no = NULL;
    wg_tensor *p = wg_affine(wg_rand(WG_DIMS(3)), 1, 0.5),
              *w = wg_affine(wg_rand(WG_DIMS(4, 1)), 1, 0.5);
    const char *label[] = { "mse", "l1", "huber", "bce", "kl", "kl of logarithms" };
    for (int k = 0; k < WGI_LOSS_KINDS; k++)
        for (int of = 0; of < 2; of++) {
            wgi_loss_attr a = wgi_loss_of((wgi_loss_kind)k, WG_MEAN, 0.7);
            a.of_target = of;
            const bool weights = k == WGI_BCE;
            wg_sample(s, label[k], WG_LIST(wg_randn(WG_DIMS()), x, t, no, no), &a);
            a.reduction = WG_NONE;
            wg_sample(s, label[k],
                      WG_LIST(wg_randn(WG_DIMS(2, 4, 3)), x, t, weights ? w : no, weights ? p : no),
                      &a);
        }
    wgi_loss_attr a = wgi_loss_of(WGI_MSE, WG_SUM, 0);
    wg_sample_error(s, "cotangent", WG_LIST(x, x, t, no, no), &a, WG_ESHAPE,
                    "pointwise_loss_backward: dy should be ()");
}

const wg_op wgi_op_pointwise_loss_backward = {
    .name = "pointwise_loss_backward",
    .in = { "dy", "x", "target", "weight?", "pos_weight?" },
    .out = { "dx" },
    .attr_size = sizeof(wgi_loss_attr),
    .flags = WG_OP_GRAD_NONE | WG_OP_ACCUMULATE,
    .infer = backward_infer,
    .cpu = backward_cpu,
    .cuda = backward_cuda,
    .reference = backward_reference,
    .samples = backward_samples,
};
