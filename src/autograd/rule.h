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
#endif
