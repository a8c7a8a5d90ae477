/* What the rules of built-in ops ask of the engine beyond wg_vjp_apply. */
#ifndef WGI_AUTOGRAD_RULE_H
#define WGI_AUTOGRAD_RULE_H
#include "wengert/op.h"

/* The sum of a cotangent (NULL: zero) and op's output 0, which has its shape and that of input to[0]; op's other outputs go
 * where wg_vjp_apply would put them. The kernel adds into the cotangent itself where nobody else sees that and
 * wg_vjp_apply would add most of what it makes to what is there. For the cotangent of an output that is passed on to more
 * than one input. */
wg_tensor *wgi_vjp_apply_onto(wg_vjp *g, wg_tensor *cotangent, const int *to, const wg_op *op,
                              wg_list in, const void *attr);

/* Where input i is output 0 of `maker`: maker's saved output j, and its attribute, so that a rule can hand a cotangent to
 * that output instead, which may be a hidden one: maker's rule then gets both. false where something else must see the
 * cotangent of output 0 pass: hooks, wg_grad, higher derivatives. */
bool wgi_vjp_behind(const wg_vjp *g, int i, const wg_op *maker, int j, wg_tensor **y,
                    const void **attr);
/* After it: d flows to maker's output j, and nothing to input i. */
void wgi_vjp_put_behind(wg_vjp *g, int i, int j, wg_tensor *d);
#endif
