/* Derivatives of derivatives: a Hessian-vector product, and a gradient penalty (Gulrajani et al., arXiv:1704.00028). */
#include <wengert/wengert.h>

/* H v for a loss over parameters: hv[i] has the shape of parameter i and belongs to the caller's scope. */
static wg_status hvp(wg_tensor *loss, wg_list params, wg_list v, wg_list hv)
{
    wg_scope s = wg_scope_push();
    wg_list g = wg_list_new(params.n);
    wg_grad(WG_LIST(loss), params, WG_NO_LIST, WG_CREATE_GRAPH, g);
    wg_grad(g, params, v, 0, hv); /* the outputs have shapes: v are their cotangents */
    for (int64_t i = 0; i < hv.n; i++) wg_scope_keep(s, hv.t[i]);
    wg_scope_return(s, NULL);
    return wg_error_code();
}

/* critic of (B, C) -> the mean of (|d critic / d x| - 1)^2 between real and fake: () */
static wg_tensor *gradient_penalty(wg_module *critic, wg_tensor *real, wg_tensor *fake)
{
    wg_scope s = wg_scope_push();
    wg_tensor *e = wg_rand(WG_DIMS(wg_size(real, 0), 1));
    wg_tensor *x = wg_add(wg_mul(e, real), wg_mul(wg_affine(e, -1, 1), fake));
    x = wg_require_grad(wg_detach(x));
    wg_tensor *g[1];
    wg_tensor *out = wg_sum(wg_forward(critic, x), WG_ALL, false);
    wg_grad(WG_LIST(out), WG_LIST(x), WG_NO_LIST, WG_CREATE_GRAPH, ((wg_list) { 1, g }));
    wg_tensor *norm = wg_sqrt(wg_sum(wg_square(g[0]), WG_DIMS(1), false));
    return wg_scope_return(s, wg_mean(wg_square(wg_affine(norm, 1, -1)), WG_ALL, false));
}

int main(void)
{
    wg_seed(1);
    wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64);
    /* loss = sum x^4 / 12: H = diag(x^2) */
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(4))), *v = wg_randn(WG_DIMS(4)), *hv[1];
    wg_tensor *loss = wg_affine(wg_sum(wg_square(wg_square(x)), WG_ALL, false), 1.0 / 12, 0);
    hvp(loss, WG_LIST(x), WG_LIST(v), (wg_list) { 1, hv });
    double error = wg_item(wg_norm(wg_sub(hv[0], wg_mul(wg_square(x), v)), 2, WG_ALL, false));
    printf("|Hv - x^2 v| = %.1e\n", error);

    wg_module *critic = wg_linear_new(3, 1);
    wg_tensor *penalty = gradient_penalty(critic, wg_randn(WG_DIMS(8, 3)), wg_randn(WG_DIMS(8, 3)));
    wg_backward(penalty);
    wg_tensor *w =
        wg_module_tensor(critic, "weight"); /* d (|w| - 1)^2 / d w = 2 (|w| - 1) w / |w| */
    wg_tensor *size = wg_norm(w, 2, WG_ALL, false);
    wg_tensor *want = wg_mul(wg_affine(wg_div(wg_affine(size, 1, -1), size), 2, 0), w);
    double gap = wg_item(wg_norm(wg_sub(wg_grad_of(w), want), 2, WG_ALL, false));
    printf("penalty %.4f, its gradient is off by %.1e\n", wg_item(penalty), gap);
    wg_module_free(critic);
    if (wg_scope_pop(s) != WG_OK) return wg_error_print(stderr);
    return error < 1e-12 && gap < 1e-12 ? 0 : 1;
}
