/* Gradient checks: central differences against the tape, along random directions, with a random cotangent. */
#include <math.h>

#include "autograd/node.h"
#include "wengert/ops.h"

typedef struct {
    wg_fn fn;
    void *self;
    wg_list in;
    wg_check o;
    wg_list dy;          /* random cotangents, one per floating output */
    wg_generator random; /* every evaluation begins here */
    double **base;       /* (in.n) values of the checked inputs; NULL: not checked */
} check;

static wg_check with_defaults(const wg_check *o)
{
    wg_check r = o ? *o : (wg_check) { 0 };
    if (r.outputs <= 0) r.outputs = 1;
    if (r.step <= 0) r.step = 1e-6;
    if (r.rtol <= 0) r.rtol = 1e-5;
    if (r.atol <= 0) r.atol = 1e-7;
    if (r.directions <= 0) r.directions = 4;
    return r;
}

static wg_list evaluate(check *k)
{
    wg_list out = wg_list_new(k->o.outputs);
    wg_generator_set(k->random);
    k->fn(k->self, k->in, out);
    for (int64_t j = 0; j < out.n; j++)
        if (wgi_bad(out.t[j]) && !wg_error_code())
            wg_raise(WG_EARG, "gradcheck: the function left output %lld empty", (long long)j);
    return out;
}

/* <dy, fn(in)> in f64. */
static double project(check *k)
{
    wg_scope s = (wg_scope_push)();
    wg_use_grad(false);
    wg_list out = evaluate(k);
    double sum = 0;
    for (int64_t j = 0; j < out.n && !wg_error_code(); j++)
        if (k->dy.t[j])
            sum += (wg_item)(wg_sum(wg_mul(wg_cast(out.t[j], WG_F64), k->dy.t[j]), WG_ALL, false));
    (wg_scope_return)(s, NULL);
    return sum;
}

/* ---- set-up ----------------------------------------------------------------------------------------------------- */
static bool checked(const wg_tensor *t)
{
    return t && wgi_is_float(t->dtype) && t->numel > 0;
}

static wg_status read_inputs(check *k)
{
    k->base = wg_scope_alloc((size_t)(k->in.n + 1) * sizeof *k->base);
    if (!k->base) return wg_error_code();
    for (int64_t i = 0; i < k->in.n; i++) {
        wg_tensor *t = k->in.t[i];
        if (t && wgi_refuse(t, "gradcheck")) return wg_error_code();
        if (!checked(t)) continue;
        size_t bytes = (size_t)t->numel * sizeof(double);
        k->base[i] = wg_scope_alloc(bytes);
        if (!k->base[i] || (wg_read)(t, k->base[i], bytes, WG_F64) != WG_OK) return wg_error_code();
    }
    return WG_OK;
}

/* Cotangents of the outputs' shapes, drawn after the function's own numbers. */
static wg_status draw_cotangents(check *k)
{
    wg_scope s = (wg_scope_push)();
    wg_use_grad(false);
    wg_list out = evaluate(k);
    for (int64_t j = 0; j < out.n && !wg_error_code(); j++) {
        if (!wgi_is_float(out.t[j]->dtype)) continue;
        wg_use_dtype(WG_F64);
        wg_use_device(out.t[j]->device);
        k->dy.t[j] = wg_scope_keep(s, wg_randn(wgi_shape(out.t[j])));
    }
    (wg_scope_return)(s, NULL);
    return wg_error_code();
}

/* ---- moving an input ------------------------------------------------------------------------------------------------ */
static wg_status set_input(check *k, int64_t i, const double *values)
{
    wg_scope s = (wg_scope_push)();
    wg_use_grad(false);
    wg_tensor *t = k->in.t[i];
    wg_tensor *v = (wg_from)(values, (size_t)t->numel * sizeof *values, WG_F64, wgi_shape(t));
    wg_status status = (wg_assign)(t, wg_to(v, t->device));
    (wg_scope_return)(s, NULL);
    return status;
}

static double step_of(const check *k, int64_t i)
{
    double largest = 1;
    for (int64_t e = 0; e < k->in.t[i]->numel; e++) largest = fmax(largest, fabs(k->base[i][e]));
    return k->o.step * fmin(largest, 100);
}

/* (f(x + h v) - f(x - h v)) / 2h */
static double difference(check *k, int64_t i, const double *v, double *moved)
{
    int64_t n = k->in.t[i]->numel;
    double h = step_of(k, i), f[2];
    for (int side = 0; side < 2; side++) {
        for (int64_t e = 0; e < n; e++) moved[e] = k->base[i][e] + (side ? -h : h) * v[e];
        if (set_input(k, i, moved) != WG_OK) return NAN;
        f[side] = project(k);
    }
    set_input(k, i, k->base[i]);
    return (f[0] - f[1]) / (2 * h);
}

/* ---- the tape's answer --------------------------------------------------------------------------------------------------- */
/* Inputs that are leaves already stay what they are; others become leaves for the check. */
static wg_status tape_gradients(check *k, double **g)
{
    wg_scope s = (wg_scope_push)();
    wg_use_grad(true);
    wg_list in = wg_list_new(k->in.n), mine = k->in, dx = wg_list_new(k->in.n),
            wanted = wg_list_new(k->in.n);
    wanted.n = 0;
    for (int64_t i = 0; i < in.n && !wg_error_code(); i++) {
        in.t[i] = k->in.t[i];
        if (!k->base[i]) continue;
        if (!in.t[i]->node) in.t[i] = (wg_require_grad)((wg_detach)(in.t[i]));
        wanted.t[wanted.n++] = in.t[i];
    }
    dx.n = wanted.n;
    k->in = in;
    wg_list out = evaluate(k), y = wg_list_new(k->o.outputs), dy = wg_list_new(k->o.outputs);
    k->in = mine;
    y.n = dy.n = 0;
    for (int64_t j = 0; j < out.n && !wg_error_code(); j++) {
        if (!k->dy.t[j] || !out.t[j]->node) continue;
        dy.t[dy.n++] = k->dy.t[j];
        y.t[y.n++] = out.t[j];
    }
    if (y.n && !wg_error_code()) (wg_grad)(y, wanted, dy, WG_ALLOW_UNUSED, dx);
    for (int64_t i = 0, j = 0; i < in.n && y.n && !wg_error_code(); i++) {
        if (!k->base[i]) continue;
        wg_tensor *d = dx.t[j++];
        if (d && (wg_read)(d, g[i], (size_t)in.t[i]->numel * sizeof(double), WG_F64) != WG_OK)
            break;
    }
    (wg_scope_return)(s, NULL);
    return wg_error_code();
}

/* ---- comparing -------------------------------------------------------------------------------------------------------------- */
static bool close_enough(const check *k, double numeric, double tape, double scale)
{
    double size = fmax(fmax(fabs(numeric), fabs(tape)), scale);
    return fabs(numeric - tape) <= k->o.atol + k->o.rtol * size; /* false for NaN */
}

/* The failure, element by element: the worst one names itself. */
static wg_status report_worst(check *k, int64_t i, const double *g, double *v, double *moved)
{
    int64_t n = k->in.t[i]->numel, worst = 0;
    double worst_error = -1, numeric = 0;
    for (int64_t e = 0; e < n && e < 4096; e++) {
        for (int64_t j = 0; j < n; j++) v[j] = j == e;
        double d = difference(k, i, v, moved), error = fabs(d - g[e]);
        if (!(error <= worst_error)) {
            worst_error = error;
            worst = e;
            numeric = d;
        }
        if (wg_error_code()) return wg_error_code();
    }
    char text[160];
    wgi_tensor_text(text, sizeof text, k->in.t[i]);
    if (k->o.report)
        fprintf(k->o.report,
                "gradcheck: input %lld %s, element %lld: tape %.10g, differences %.10g\n",
                (long long)i, text, (long long)worst, g[worst], numeric);
    return wg_raise(
        WG_EGRAD, "gradcheck: input %lld %s, element %lld: the tape gives %.10g, differences %.10g",
        (long long)i, text, (long long)worst, g[worst], numeric);
}

static wg_status check_input(check *k, int64_t i, const double *g)
{
    int64_t n = k->in.t[i]->numel;
    wg_scope s = (wg_scope_push)();
    double *v = wg_scope_alloc((size_t)n * sizeof *v),
           *moved = wg_scope_alloc((size_t)n * sizeof *moved);
    wg_status status = v && moved ? WG_OK : wg_error_code();
    for (int d = 0; d < k->o.directions && status == WG_OK; d++) {
        wg_scope inner = (wg_scope_push)();
        wg_use_dtype(WG_F64);
        wg_use_device(wg_cpu());
        status = (wg_read)(wg_randn(WG_DIMS(n)), v, (size_t)n * sizeof *v, WG_F64);
        (wg_scope_return)(inner, NULL);
        double tape = 0, scale = 0;
        for (int64_t e = 0; e < n; e++) {
            tape += g[e] * v[e];
            scale += g[e] * v[e] * g[e] * v[e];
        }
        wg_generator after = wg_generator_get();
        double numeric = status == WG_OK ? difference(k, i, v, moved) : 0;
        if (wg_error_code())
            status = wg_error_code();
        else if (!close_enough(k, numeric, tape, sqrt(scale)))
            status = report_worst(k, i, g, v, moved);
        wg_generator_set(after);
    }
    (wg_scope_return)(s, NULL);
    return status;
}

wg_status(wg_gradcheck)(wg_fn fn, void *self, wg_list in, const wg_check *options)
{
    if (wg_error_code()) return wg_error_code();
    wg_scope s = (wg_scope_push)();
    check k = {
        .fn = fn, .self = self, .in = in, .o = with_defaults(options), .random = wg_generator_get()
    };
    k.dy = wg_list_new(k.o.outputs);
    double **g = wg_scope_alloc((size_t)(in.n + 1) * sizeof *g);
    wg_status status = !g || !k.dy.n ? wg_error_code() : read_inputs(&k);
    for (int64_t i = 0; i < in.n && status == WG_OK; i++)
        if (k.base[i] && !(g[i] = wg_scope_alloc((size_t)in.t[i]->numel * sizeof **g)))
            status = wg_error_code();
    if (status == WG_OK) status = draw_cotangents(&k);
    wg_generator after = wg_generator_get();
    if (status == WG_OK) status = tape_gradients(&k, g);
    wg_generator_set(after);
    for (int64_t i = 0; i < in.n && status == WG_OK; i++)
        if (k.base[i]) status = check_input(&k, i, g[i]);
    (wg_scope_return)(s, NULL);
    return status;
}

/* ---- second derivatives: the gradient as a function of inputs and cotangents --------------------------------------------- */
typedef struct {
    wg_fn fn;
    void *self;
    int64_t n_in, n_out;
} gradient_of;

/* in: x (n_in), dy (n_out) -> out: dx (n_in); zeros where nothing flows */
static void gradient_function(void *p, wg_list in, wg_list out)
{
    gradient_of *g = p;
    wg_list x = wg_list_new(g->n_in), y = wg_list_new(g->n_out), dy = wg_list_new(g->n_out);
    if (wg_error_code()) return;
    wg_use_grad(true);
    for (int64_t i = 0; i < g->n_in; i++) {
        x.t[i] = in.t[i];
        if (in.t[i] && wgi_is_float(in.t[i]->dtype))
            x.t[i] = in.t[i]->node ? wg_alias(in.t[i]) : (wg_require_grad)((wg_detach)(in.t[i]));
    }
    g->fn(g->self, x, y);
    int64_t n = 0;
    for (int64_t j = 0; j < g->n_out && !wg_error_code(); j++) {
        if (!in.t[g->n_in + j] || !y.t[j]->node) continue;
        dy.t[n] = in.t[g->n_in + j];
        y.t[n++] = y.t[j];
    }
    y.n = dy.n = n;
    wg_list wanted = wg_list_new(g->n_in), dx = wg_list_new(g->n_in);
    int64_t m = 0;
    for (int64_t i = 0; i < g->n_in; i++)
        if (x.t[i] && wgi_is_float(x.t[i]->dtype)) wanted.t[m++] = x.t[i];
    wanted.n = dx.n = m;
    if (n && !wg_error_code()) (wg_grad)(y, wanted, dy, WG_CREATE_GRAPH | WG_ALLOW_UNUSED, dx);
    for (int64_t i = 0, k = 0; i < g->n_in; i++) {
        bool is = x.t[i] && wgi_is_float(x.t[i]->dtype);
        wg_tensor *d = is && n ? dx.t[k] : NULL;
        k += is;
        out.t[i] = d ? d : x.t[i] ? wg_zeros_like(x.t[i]) : wg_zeros(WG_DIMS());
    }
}

wg_status(wg_gradgradcheck)(wg_fn fn, void *self, wg_list in, const wg_check *options)
{
    if (wg_error_code()) return wg_error_code();
    wg_scope s = (wg_scope_push)();
    wg_check o = with_defaults(options);
    check k = { .fn = fn, .self = self, .in = in, .o = o, .random = wg_generator_get() };
    k.dy = wg_list_new(o.outputs);
    gradient_of g = { fn, self, in.n, o.outputs };
    wg_status status = k.dy.n ? draw_cotangents(&k) : wg_error_code();
    wg_list all = wg_list_new(in.n + o.outputs);
    for (int64_t i = 0; i < all.n && status == WG_OK; i++)
        all.t[i] = i < in.n ? in.t[i] : k.dy.t[i - in.n];
    wg_generator_set(k.random);
    wg_check outer = o;
    outer.outputs = (int)in.n;
    if (status == WG_OK && all.n) status = (wg_gradcheck)(gradient_function, &g, all, &outer);
    (wg_scope_return)(s, NULL);
    return status;
}
