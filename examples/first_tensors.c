/* First tensors: arrays in and out, shapes, views, printing, gradients of inputs, and what an error looks like. */
#include <wengert/wengert.h>

static void arrays_in_and_out(void)
{
    float a[2][3] = { { 1, 2, 3 }, { 4, 5, 6 } };
    wg_tensor *x = wg_from(a, sizeof a, WG_F32, WG_DIMS(2, 3)); /* copies */
    wg_tensor *v = wg_wrap(a, sizeof a, WG_F32, WG_DIMS(3, 2), WG_DIMS(1, 3), NULL,
                           NULL); /* shares, transposed */

    float *w = (float *)wg_data_write(v); /* the same memory as a; NULL on another device */
    if (w) w[0] = 7;
    printf("shared: a[0][0] = %g, copied: x[0][0] = %g\n", a[0][0],
           wg_item(wg_select(wg_select(x, 0, 0), 0, 0)));

    double out[6]; /* any strides, device and dtype come out in row-major order */
    if (wg_read(wg_transpose(x, 0, 1), out, sizeof out, WG_F64) == WG_OK)
        printf("x^T begins %g %g\n", out[0], out[1]);
}

static void shapes_and_printing(void)
{
    wg_tensor *x = wg_reshape(wg_arange_step(0, 12, 1), WG_DIMS(3, 4));
    wg_print(stdout, x);
    wg_print(stdout, wg_narrow(x, 1, 1, 2));              /* columns 1 and 2: a view, no copy */
    wg_print(stdout, wg_sum(x, WG_DIMS(-1), WG_KEEPDIM)); /* (3, 1) */
    wg_print(stdout, wg_gt(wg_sub(x, wg_mean(x, WG_ALL, false)),
                           wg_scalar(0))); /* broadcast, compare: bool */
}

static void gradients_of_inputs(void)
{
    double at[] = { 0.5, 1, 2 };
    wg_tensor *x = wg_require_grad(wg_from(at, sizeof at, WG_F64, WG_DIMS(3)));
    wg_backward(wg_sum(wg_mul(wg_sin(x), x), WG_ALL, false));
    wg_print(stdout, wg_grad_of(x)); /* sin x + x cos x */
}

static void errors(void)
{
    wg_tensor *y =
        wg_matmul(wg_ones(WG_DIMS(2, 3)), wg_ones(WG_DIMS(4, 5))); /* never NULL: an error tensor */
    wg_sum(wg_relu(y), WG_ALL, false);                             /* handed on */
    printf("caught: %s\n", wg_error_get()->message);               /* the first failure, whole */
    wg_error_clear();
}

int main(void)
{
    wg_scope s = wg_scope_push(); /* owns every tensor made below */
    arrays_in_and_out();
    shapes_and_printing();
    gradients_of_inputs();
    errors();
    return wg_scope_pop(s) == WG_OK ? 0 : wg_error_print(stderr);
}
