/* A classifier: three spiral arms, a small network, its accuracy on points that it has not seen. */
#include <math.h>

#include <wengert/wengert.h>

enum { CLASSES = 3, POINTS = 600, STEPS = 300 };

/* Points on CLASSES arms, with noise -> *x: (n, 2), *y: (n) */
static void spiral(int64_t n, wg_tensor **x, wg_tensor **y)
{
    *y = wg_remainder(wg_arange(0, n), wg_scalar(CLASSES));
    wg_tensor *r = wg_affine(wg_rand(WG_DIMS(n)), 0.95, 0.05);
    wg_tensor *angle =
        wg_add(wg_affine(r, 4, 0), wg_affine(wg_cast(*y, WG_F32), 2 * acos(-1) / CLASSES, 0));
    angle = wg_add(angle, wg_affine(wg_randn(WG_DIMS(n)), 0.15, 0));
    *x = wg_stack(WG_LIST(wg_mul(r, wg_cos(angle)), wg_mul(r, wg_sin(angle))), 1);
}

static double accuracy(wg_module *model, wg_tensor *x, wg_tensor *y)
{
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_tensor *right = wg_eq(wg_argmax(wg_forward(model, x), WG_DIMS(-1), false), y);
    double share = wg_item(wg_mean(wg_cast(right, WG_F32), WG_ALL, false));
    wg_scope_return(s, NULL);
    return share;
}

/* An activation as a module: three lines. */
static wg_tensor *tanh_forward(wg_module *m, wg_tensor *x)
{
    (void)m;
    return wg_tanh(x);
}
static const wg_module_type tanh_type = { .name = "tanh",
                                          .size = sizeof(wg_module),
                                          .forward = tanh_forward };

static wg_module *network(void)
{
    wg_module *m = wg_sequential_new();
    wg_sequential_add(m, wg_linear_new(2, 64));
    wg_sequential_add(m, wg_module_new(&tanh_type, NULL));
    wg_sequential_add(m, wg_linear_new(64, 64));
    wg_sequential_add(m, wg_module_new(&tanh_type, NULL));
    wg_sequential_add(m, wg_linear_new(64, CLASSES));
    return m;
}

int main(void)
{
    wg_seed(7);
    wg_tensor *x, *y, *test_x, *test_y;
    wg_scope data = wg_scope_push();
    spiral(POINTS, &x, &y);
    spiral(POINTS, &test_x, &test_y);
    wg_module *model = network();
    wg_optim *opt = wg_adamw_new(model, .lr = 0.02);
    for (int step = 0; step <= STEPS; step++) {
        wg_scope s = wg_scope_push();
        wg_tensor *loss = wg_cross_entropy(wg_forward(model, x), y);
        wg_backward(loss);
        wg_optim_step(opt);
        if (step % 100 == 0) printf("step %3d  loss %.4f\n", step, wg_item(loss));
        if (wg_scope_pop(s) != WG_OK) return wg_error_print(stderr);
    }
    double share = accuracy(model, test_x, test_y);
    printf("accuracy on unseen points: %.1f%%\n", 100 * share);
    wg_optim_free(opt);
    wg_module_free(model);
    if (wg_scope_pop(data) != WG_OK) return wg_error_print(stderr);
    return share > 0.9 ? 0 : 1;
}
