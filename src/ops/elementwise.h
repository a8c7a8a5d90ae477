/* What the rows of elementwise ops share: shape rules, kernels by formula, references, samples. */
#ifndef WGI_OPS_ELEMENTWISE_H
#define WGI_OPS_ELEMENTWISE_H
#include <math.h>

#include "cpu/elementwise.h"
#include "cpu/parallel.h"
#include "ops/registry.h"
#include "wengert/autograd.h"
#include "wengert/op.h"
#include "wengert/ops.h"

/* ---- shape rules ---- */
/* The device of the inputs, which the door has seen to be one; weak scalars have none of their own. */
wg_device wgi_infer_device(const wg_infer *c);
/* Output 0 like input 0: any dtype but bool / any dtype / a float (of integers: the current
 * dtype). */
wg_status wgi_infer_number(wg_infer *c);
wg_status wgi_infer_any(wg_infer *c);
wg_status wgi_infer_float(wg_infer *c);
/* Output 0 of inputs 0 and 1 broadcast: promoted / promoted, integers to the current float /
 * bool. */
wg_status wgi_infer_binary(wg_infer *c);
wg_status wgi_infer_float_binary(wg_infer *c);
wg_status wgi_infer_bool_binary(wg_infer *c);

/* ---- kernels ---- */
/* Output 0 = formula(inputs), computed in the output's type. p may be NULL. */
wg_status wgi_run_formula(const wg_run *r, wgi_formula f, const wgi_numbers *p);

/* ---- references: f64, contiguous ---- */
wg_status wgi_reference1(const wg_run *r, double (*f)(double));
/* Inputs 0 and 1 broadcast. */
wg_status wgi_reference2(const wg_run *r, double (*f)(double, double));
/* Where element i of an output of shape `to` lies in a contiguous tensor of shape `from` that
 * broadcasts to it. */
int64_t wgi_broadcast_index(const wg_dims *to, const wg_dims *from, int64_t i);

/* ---- gradients ---- */
/* The attribute of unary_backward, which computes dx = formula(saved, dy). */
typedef struct {
    int formula;
    wgi_numbers numbers;
} wgi_unary_backward;
/* In a gradient rule: dx 0 in one pass. p may be NULL. */
void wgi_unary_vjp(wg_vjp *g, wgi_formula f, wg_tensor *saved, const wgi_numbers *p);

/* ---- samples ---- */
/* Uniform in [low, high), of the current dtype. */
wg_tensor *wgi_uniform(wg_dims shape, double low, double high);
/* x: 0-d, 1-d, 3-d, empty. */
void wgi_unary_samples(wg_samples *s, const void *attr, double low, double high);
/* x and y, each in its own range: same shapes, both broadcast, a row, 0-d, empty; shapes that do
 * not fit. */
void wgi_binary_samples(wg_samples *s, double x_low, double x_high, double y_low, double y_high);
#endif
