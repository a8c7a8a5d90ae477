/* y = x Phi(x), or with tanh_form x/2 (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x^3) (GPT-2's).
 * dx = dy y'(x); saves x.
 *   f32: within 2e-7 |x| of the exact value; the form by erf also keeps the lower tail, to 6 ulp
 *   for x > -12, while tanh_form loses up to 150 ulp there (its exponent carries x^3's rounding).
 *   source: Hendrycks & Gimpel, arXiv:1606.08415, section 2. */
#include "ops/activation.h"
#include "ops/elementwise.h"

static bool tanh_form(const void *attr)
{
    return ((const wgi_gelu_attr *)attr)->tanh_form;
}

static wg_status run(const wg_run *r)
{
    return wgi_run_formula(r, tanh_form(r->attr) ? WGI_FORMULA_gelu_tanh : WGI_FORMULA_gelu, NULL);
}

static double exact_form(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static double approximate_form(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

static wg_status reference(const wg_run *r)
{
    return wgi_reference1(r, tanh_form(r->attr) ? approximate_form : exact_form);
}

/* Phi(x) + x phi(x) */
static wg_tensor *exact_slope(wg_tensor *x)
{
    wg_tensor *phi = wg_affine(wg_exp(wg_affine(wg_square(x), -0.5, 0)), 0.39894228040143267794, 0);
    wg_tensor *big_phi = wg_affine(wg_erf(wg_affine(x, 0.70710678118654752440, 0)), 0.5, 0.5);
    return wg_add(big_phi, wg_mul(x, phi));
}

/* (1 + t)/2 + x (1 - t^2) u' / 2, t = tanh u */
static wg_tensor *approximate_slope(wg_tensor *x)
{
    const double k = 0.79788456080286535588, a = 0.044715;
    wg_tensor *square = wg_square(x);
    wg_tensor *t = wg_tanh(wg_mul(x, wg_affine(square, k * a, k)));
    wg_tensor *du = wg_affine(square, 3 * k * a, k);
    wg_tensor *second = wg_mul(wg_mul(x, wg_affine(wg_square(t), -0.5, 0.5)), du);
    return wg_add(wg_affine(t, 0.5, 0.5), second);
}

static void grad(wg_vjp *g)
{
    wg_tensor *x = g->x.t[0];
    g->dx.t[0] = wg_mul(g->dy.t[0], tanh_form(g->attr) ? approximate_slope(x) : exact_slope(x));
}

static void grad_fused(wg_vjp *g)
{
    wgi_formula f = tanh_form(g->attr) ? WGI_FORMULA_gelu_tanh_backward : WGI_FORMULA_gelu_backward;
    wgi_unary_vjp(g, f, g->x.t[0], NULL);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, &(const wgi_gelu_attr) { false }, -4, 4);
    wgi_unary_samples(s, &(const wgi_gelu_attr) { true }, -4, 4);
}

const wg_op wgi_op_gelu = {
    .name = "gelu",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(wgi_gelu_attr),
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE,
    .saves = WG_IN(0),
    .infer = wgi_infer_float,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .grad_fused = grad_fused,
    .samples = samples,
};

wg_tensor *wg_gelu(wg_tensor *x, bool tanh)
{
    return wg_apply(&wgi_op_gelu, WG_LIST(x), &(const wgi_gelu_attr) { tanh }, NULL);
}
