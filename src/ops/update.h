/* Ops that change parameters in place: their operands and attributes, and what their rows share. */
#ifndef WGI_OPS_UPDATE_H
#define WGI_OPS_UPDATE_H
#include "cpu/update.h"
#include "ops/registry.h"
#include "tensor/internal.h"

/* An update's operands: what gradients are multiplied by, then a group for each parameter. */
enum { WGI_FACTOR, WGI_GROUP };
enum { WGI_P, WGI_G, WGI_LOW, WGI_TAKEN, WGI_STATE }; /* within a group */
enum {
    WGI_UPDATES = WG_IN(WGI_GROUP + WGI_P) | WG_IN(WGI_GROUP + WGI_LOW) |
                  WG_IN(WGI_GROUP + WGI_TAKEN) | WG_IN(WGI_GROUP + WGI_STATE) |
                  WG_IN(WGI_GROUP + WGI_STATE + 1)
};

/* What one parameter gets. */
typedef struct {
    double lr, weight_decay;
    int64_t step; /* 1 at the first; not looked at where the operand `taken` counts */
} wgi_update_each;

/* An update's attribute. It is never recorded, so that `each` may be the caller's own. */
typedef struct {
    wgi_update_rule rule;        /* rule.kind is the row's to set */
    const wgi_update_each *each; /* one a group */
} wgi_update_attr;

typedef struct {
    double max_norm;
} wgi_clip_attr;
typedef struct {
    double max_norm;
    bool scaled;
} wgi_clip_factor_attr;

/* Groups of an update with these inputs. */
static inline int64_t wgi_update_groups(const wg_op *op, wg_list in)
{
    return (in.n - WGI_GROUP) / op->repeat;
}
/* The numbers of one parameter, but for those that depend on the step. */
static inline wgi_update_numbers wgi_update_numbers_of(const wgi_update_rule *rule,
                                                       const wgi_update_each *e)
{
    return (wgi_update_numbers) { .keep = rule->decoupled ? 1 - e->lr * e->weight_decay : 1,
                                  .decay = rule->decoupled ? 0 : e->weight_decay,
                                  .rate = e->lr };
}

/* update.c: the rows' shape rule and CPU kernel, and the frame of their references, which give one element of one step:
 * g is multiplied already; s: (2) the state, NULL where there is none. */
wg_status wgi_update_infer(wg_infer *c, const wg_op *op);
wg_status wgi_update_cpu(const wg_run *r, const wg_op *op, wgi_rule_kind kind);
typedef void (*wgi_update_element)(const wgi_update_rule *rule, const wgi_update_each *e, int64_t t,
                                   double g, double *p, double *const *s);
wg_status wgi_update_reference(const wg_run *r, const wg_op *op, wgi_update_element element);
#endif
