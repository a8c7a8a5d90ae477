/* What the reductions share: attributes, shape rule, the way back for gradients, and the
 * reference's addressing. */
#ifndef WGI_OPS_REDUCE_OP_H
#define WGI_OPS_REDUCE_OP_H
#include "cpu/reduce.h"
#include "ops/registry.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"
#include "wengert/scope.h"

/* Where an attribute lies that is made in place: WGI_REDUCE_AT(WG_DIMS(0), true). */
#define WGI_REDUCE_AT(...) (&(wgi_reduce_attr) { .axes = __VA_ARGS__ })

typedef enum {
    WGI_SAME_DTYPE,  /* y is of x's dtype */
    WGI_SUM_DTYPE,   /* floats stay, integers and bool give i64 */
    WGI_FLOAT_DTYPE, /* x must be floating, y is of its dtype */
    WGI_BOOL_DTYPE,
    WGI_INDEX_DTYPE /* i64 */
} wgi_reduce_dtype;

/* Fills output 0: x's shape without the axes, or with 1 in their places. axes as in the attribute.
 */
wg_status wgi_reduce_infer(wg_infer *c, const wg_dims *axes, bool keepdim, wgi_reduce_dtype dtype);
/* Raises WG_ESHAPE if a group has no elements while there are groups: maxima of nothing. */
wg_status wgi_reduce_refuse_empty(const wg_infer *c, const wg_dims *axes);

/* In a gradient rule: t, shaped like output 0, as it would be with keepdim: broadcasts against x.
 */
wg_tensor *wgi_reduce_keep(const wg_vjp *g, wg_tensor *t, const wg_dims *axes);
/* The same expanded to x's shape. */
wg_tensor *wgi_reduce_expand(const wg_vjp *g, wg_tensor *t, const wg_dims *axes);

/* In a reference: the groups and elements of contiguous x, addressed by arithmetic. */
typedef struct {
    const wg_tensor *x;
    unsigned mask;
    int64_t groups, count; /* of groups, and of elements in each */
} wgi_grouping;
wgi_grouping wgi_grouping_of(const wg_tensor *x, const wg_dims *axes);
/* Element e of group o, both counted in row-major order: as a number of x's element, and its value.
 */
int64_t wgi_group_position(const wgi_grouping *g, int64_t o, int64_t e);
double wgi_group_value(const wgi_grouping *g, int64_t o, int64_t e);
/* Output 0's element i. */
void wgi_reference_put(const wg_run *r, int64_t i, double v);
#endif
