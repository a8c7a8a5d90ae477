/* What losses of one value a place share: mse, l1, huber, binary cross-entropy, Kullback-Leibler. Their row differs in
 * the formula. Inputs: x, target, and for some weight? and pos_weight?, which broadcast to x. */
#ifndef WGI_OPS_POINTWISE_LOSS_H
#define WGI_OPS_POINTWISE_LOSS_H
#include "cpu/loss.h"
#include "ops/network.h"

typedef struct {
    wgi_loss_kind kind;
    wg_reduction reduction;
    double delta;   /* Huber's */
    bool of_target; /* the gradient op: of the target, not of x */
} wgi_loss_attr;
static inline wgi_loss_attr wgi_loss_of(wgi_loss_kind kind, wg_reduction reduction, double delta)
{
    wgi_loss_attr a;
    memset(&a, 0, sizeof a);
    a.kind = kind;
    a.reduction = reduction;
    a.delta = delta;
    return a;
}

/* x and target of one shape, x floating, target of any dtype -> (), or x's shape for WG_NONE; f64 if an operand is f64,
 * else f32. `name` is x's. */
wg_status wgi_loss_infer(wg_infer *c, const char *name);
wg_status wgi_loss_cpu(const wg_run *r);
wg_status wgi_loss_cuda(const wg_run *r);
/* By the op pointwise_loss_backward. */
void wgi_loss_grad_fused(wg_vjp *g);
/* elements (...) as the attribute says: for composites. */
wg_tensor *wgi_loss_reduced(wg_tensor *elements, const wgi_loss_attr *a);
/* x's or target's values in the loss's dtype, for composites. */
wg_tensor *wgi_loss_operand(wg_list in, int i);
/* Output 0 of a reference: value(x, target, weight, pos_weight, attr) at every place, reduced. */
typedef double (*wgi_loss_value)(double x, double t, double w, double p, const wgi_loss_attr *a);
wg_status wgi_loss_reference(const wg_run *r, wgi_loss_value value);
/* Errors that all of them have; `name` is the op's, `x` what it says of an integer first input. */
void wgi_loss_errors(wg_samples *s, const char *name, const char *x, wgi_loss_attr a);
#endif
