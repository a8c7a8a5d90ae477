#include "ops/activation.h"

#include <math.h>
#include <string.h>

#include "cpu/elementwise.h"
#include "ops/registry.h"

wgi_formula wgi_activation_formula(wg_activation act)
{
    switch (act) {
    case WG_ACT_GELU: return WGI_FORMULA_gelu;
    case WG_ACT_GELU_TANH: return WGI_FORMULA_gelu_tanh;
    case WG_ACT_RELU: return WGI_FORMULA_relu;
    default: return WGI_FORMULA_silu;
    }
}

wgi_formula wgi_activation_backward(wg_activation act)
{
    switch (act) {
    case WG_ACT_GELU: return WGI_FORMULA_gelu_backward;
    case WG_ACT_GELU_TANH: return WGI_FORMULA_gelu_tanh_backward;
    case WG_ACT_RELU: return WGI_FORMULA_relu_backward;
    default: return WGI_FORMULA_silu_backward;
    }
}

wg_status wgi_expect_activation(wg_activation act)
{
    if (act == WG_ACT_GELU || act == WG_ACT_GELU_TANH || act == WG_ACT_RELU || act == WG_ACT_SILU)
        return WG_OK;
    return wg_raise(WG_EARG, "activation %d is none of wg_activation", (int)act);
}

/* ---- references ---------------------------------------------------------------------------------------------- */
double wgi_activation_f64(wg_activation act, double x)
{
    switch (act) {
    case WG_ACT_GELU: return 0.5 * x * (1 + erf(x / sqrt(2)));
    case WG_ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    case WG_ACT_RELU: return x > 0 ? x : 0;
    default: return x / (1 + exp(-x));
    }
}

double wgi_activation_slope(wg_activation act, double x)
{
    const double pi = acos(-1), k = sqrt(2 / pi), s = 1 / (1 + exp(-x));
    switch (act) {
    case WG_ACT_GELU: return 0.5 * (1 + erf(x / sqrt(2))) + x * exp(-0.5 * x * x) / sqrt(2 * pi);
    case WG_ACT_GELU_TANH: {
        const double t = tanh(k * (x + 0.044715 * x * x * x));
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * k * (1 + 3 * 0.044715 * x * x);
    }
    case WG_ACT_RELU: return x > 0 ? 1 : 0;
    default: return s * (1 + x * (1 - s));
    }
}

/* ---- the rule by ops ------------------------------------------------------------------------------------------ */
wg_tensor *wgi_activation_grad(wg_activation act, wg_tensor *x, wg_tensor *dy)
{
    const wgi_gelu_attr form = { .tanh_form = act == WG_ACT_GELU_TANH };
    const wg_op *op = act == WG_ACT_RELU   ? &wgi_op_relu
                      : act == WG_ACT_SILU ? &wgi_op_silu
                                           : &wgi_op_gelu;
    wg_tensor *dx = NULL; /* relu's rule reads its y, which is positive where x is */
    wg_vjp g = { .attr = &form,
                 .x = { 1, &x },
                 .y = { 1, &x },
                 .dy = { 1, &dy },
                 .dx = { 1, &dx },
                 .wants = &(bool) { true } };
    op->grad(&g);
    return dx;
}

/* ---- tiles of a product ---------------------------------------------------------------------------------------- */
enum { CHUNK = 1024, ROWS_AHEAD = 2 };
typedef union {
    double f64[CHUNK];
    float f32[CHUNK];
} chunk;

static char *element(const void *p, wg_dtype type, int64_t i)
{
    return (char *)(uintptr_t)p + i * (int64_t)wgi_dtype_bytes[type];
}

/* n elements `step` apart as `as`: where they lie if they can be taken there, else in space. */
static const void *taken(const void *p, wg_dtype type, int64_t step, int64_t n, wg_dtype as,
                         chunk *space)
{
    if (type == as && step == 1) return p;
    wgi_copy_strided(space, as, (int64_t[]) { 1 }, p, type, &step, 1, &n);
    return space;
}

/* n elements from e on of what was saved: the caches do not see a tile's rows coming. */
static void fetch_saved(const wgi_gemm_act *a, int64_t e, int64_t n)
{
    enum { LINE = 64 };
    const char *p = element(a->saved, a->saved_type, e), *end = element(p, a->saved_type, n);
    for (; p < end; p += LINE) __builtin_prefetch(p);
}

void wgi_gemm_activate(void *self, const wgi_gemm_args *g, int64_t at, int64_t rows,
                       int64_t columns)
{
    const wgi_gemm_act *a = self;
    const wg_dtype type = g->c.type, compute = wgi_compute_dtype(type);
    const wgi_loop_fn loop = wgi_formula_loop(a->formula, compute).fn;
    const int64_t step = g->c.column;
    chunk saved, product, result;
    for (int64_t r = 0; r < rows; r++) {
        if (a->saved && step == 1 && r + ROWS_AHEAD < rows)
            fetch_saved(a, at + (r + ROWS_AHEAD) * g->c.row, columns);
        for (int64_t c = 0, n; c < columns; c += n) {
            n = columns - c < CHUNK ? columns - c : CHUNK;
            const int64_t e = at + r * g->c.row + c * step;
            const void *in[2];
            int k = 0;
            if (a->saved)
                in[k++] = taken(element(a->saved, a->saved_type, e), a->saved_type, step, n,
                                compute, &saved);
            in[k] = taken(element(g->c.data, type, e), type, step, n, compute, &product);
            char *to = element(a->to, type, e);
            const bool there = type == compute && step == 1 && to != (const char *)in[k];
            loop(there ? (void *)to : &result, in, n, NULL);
            if (!there)
                wgi_copy_strided(to, type, &step, &result, compute, (int64_t[]) { 1 }, 1, &n);
        }
    }
}
