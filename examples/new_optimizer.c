/* A new optimizer in a user's own file: SGD with momentum by ordinary ops, and the same as one pass over memory by an op
 * that updates in place. Both must agree. */
#include <wengert/wengert.h>

/* ---- by ops: v = momentum v + g, p = p - lr v -------------------------------------------------------------------------- */
static wg_status step_by_ops(wg_module *m, wg_tensor **velocity, double lr, double momentum)
{
    if (wg_error_code()) return wg_error_code(); /* a pending error: change nothing */
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_params p = wg_module_params(m);
    for (int64_t i = 0; i < p.n; i++) {
        wg_tensor *g = wg_grad_of(p.p[i].tensor);
        if (!g) continue;
        if (!velocity[i]) wg_set(&velocity[i], wg_zeros_like(g));
        wg_set(&velocity[i], wg_add(wg_affine(velocity[i], momentum, 0), g));
        if (wg_assign(p.p[i].tensor, wg_sub(p.p[i].tensor, wg_affine(velocity[i], lr, 0))) != WG_OK)
            break;
        wg_drop_grad(p.p[i].tensor);
    }
    wg_scope_return(s, NULL);
    return wg_error_code();
}

/* ---- in one pass: an op that updates its inputs -------------------------------------------------------------------------- */
typedef struct {
    double lr, momentum;
} step_attr;

static wg_status momentum_infer(wg_infer *c)
{
    wg_status s = wg_expect(c, 1, wg_shape(c->in.t[0]));
    return s == WG_OK ? wg_expect(c, 2, wg_shape(c->in.t[0])) : s;
}

static wg_status momentum_cpu(const wg_run *r)
{
    const step_attr *a = r->attr;
    for (int i = 0; i < 3; i++)
        if (wg_dtype_of(r->in.t[i]) != WG_F32 || !wg_is_contiguous(r->in.t[i]))
            return wg_raise(WG_EDTYPE, "wants contiguous f32");
    float *p = (float *)wg_run_in(r, 0), *v = (float *)wg_run_in(r, 1);
    const float *g = wg_run_in(r, 2);
    for (int64_t i = 0; i < wg_numel(r->in.t[0]); i++) {
        v[i] = (float)a->momentum * v[i] + g[i];
        p[i] -= (float)a->lr * v[i];
    }
    return WG_OK;
}

static const wg_op momentum_op = { .name = "momentum_step",
                                   .in = { "p", "v", "g" },
                                   .attr_size = sizeof(step_attr),
                                   .flags = WG_OP_GRAD_NONE,
                                   .updates = WG_IN(0) | WG_IN(1),
                                   .infer = momentum_infer,
                                   .cpu = momentum_cpu };

static wg_status step_in_one_pass(wg_module *m, wg_tensor **velocity, double lr, double momentum)
{
    if (wg_error_code()) return wg_error_code();
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_params p = wg_module_params(m);
    for (int64_t i = 0; i < p.n; i++) {
        wg_tensor *g = wg_grad_of(p.p[i].tensor);
        if (!g) continue;
        if (!velocity[i]) wg_set(&velocity[i], wg_zeros_like(g));
        wg_apply(&momentum_op, WG_LIST(p.p[i].tensor, velocity[i], g),
                 &(step_attr) { lr, momentum }, NULL);
        wg_drop_grad(p.p[i].tensor);
    }
    wg_scope_return(s, NULL);
    return wg_error_code();
}

/* ---- both on the same problem ---------------------------------------------------------------------------------------------- */
typedef wg_status (*step_fn)(wg_module *m, wg_tensor **velocity, double lr, double momentum);

static double train(step_fn step)
{
    wg_seed(6);
    wg_scope all = wg_scope_push();
    wg_tensor *x = wg_randn(WG_DIMS(64, 5)), *w = wg_randn(WG_DIMS(1, 5)),
              *y = wg_linear(x, w, NULL);
    wg_module *m = wg_linear_new(5, 1);
    wg_tensor *velocity[2] = { NULL, NULL };
    double last = 0;
    for (int i = 0; i < 100; i++) {
        wg_scope s = wg_scope_push();
        wg_tensor *loss = wg_mse_loss(wg_forward(m, x), y);
        wg_backward(loss);
        step(m, velocity, 0.05, 0.9);
        last = wg_item(loss);
        if (wg_scope_pop(s) != WG_OK) break;
    }
    for (int i = 0; i < 2; i++) wg_unref(&velocity[i]);
    wg_module_free(m);
    wg_scope_return(all, NULL);
    return last;
}

int main(void)
{
    double a = train(step_by_ops), b = train(step_in_one_pass);
    if (wg_error_code()) return wg_error_print(stderr);
    printf("loss after 100 steps: %.3e by ops, %.3e in one pass\n", a, b);
    return a < 1e-3 && b < 1e-3 ? 0 : 1;
}
