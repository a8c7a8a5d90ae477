/* Activations as rows that apply one on the way name them. */
#ifndef WGI_OPS_ACTIVATION_H
#define WGI_OPS_ACTIVATION_H
#include "cpu/elementwise_kernels.h"
#include "cpu/gemm.h"
#include "wengert/autograd.h"
#include "wengert/op.h"

/* gelu's attribute. */
typedef struct {
    bool tanh_form;
} wgi_gelu_attr;

/* linear_act's attribute, and its gradient's. */
typedef struct {
    wg_activation act;
} wgi_linear_act;

/* act's formula, and its gradient's (saved, dy); act is one of wg_activation. */
wgi_formula wgi_activation_formula(wg_activation act);
wgi_formula wgi_activation_backward(wg_activation act);
/* WG_EARG unless act is one of wg_activation. */
wg_status wgi_expect_activation(wg_activation act);
/* act(x) in f64, for references; its slope. */
double wgi_activation_f64(wg_activation act, double x);
double wgi_activation_slope(wg_activation act, double x);
/* dy act'(x), by the activation's own rule made of ops. */
wg_tensor *wgi_activation_grad(wg_activation act, wg_tensor *x, wg_tensor *dy);

/* For wgi_gemm_args.made: every tile of C, once it is complete, through a formula that is computed in f64 for f64, else in
 * f32. C's layout is also that of `other` and `to`. */
typedef struct {
    wgi_formula formula;
    const void
        *saved; /* (C's shape) the formula's first operand, C its second; NULL: C is its only one */
    wg_dtype saved_type;
    void *to; /* of C's dtype; may be C */
} wgi_gemm_act;
void wgi_gemm_activate(void *self, const wgi_gemm_args *g, int64_t at, int64_t rows,
                       int64_t columns);
#endif
