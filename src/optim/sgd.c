/* Stochastic gradient descent: see src/ops/sgd_step.c for the formula. */
#include "ops/registry.h"
#include "optim/optim.h"

static int sgd_states(const wg_optim *o, const wgi_slot *s, const char *names[WGI_OPTIM_STATES])
{
    (void)s;
    names[0] = "momentum_buffer";
    return o->momentum > 0 ? 1 : 0;
}

static wg_status sgd_step(const wg_optim *o, wgi_items items, wgi_multiplier by)
{
    const wgi_update_rule rule = { .momentum = o->momentum,
                                   .dampening = o->dampening,
                                   .nesterov = o->nesterov };
    return wgi_optim_update(&wgi_op_sgd_step, items, by, o->lr, rule);
}

static const wgi_optim_rule sgd_rule = { sgd_states, sgd_step };

wg_optim *wg_sgd_call(wg_sgd_args a)
{
    return wgi_optim_new("sgd", &(wg_optim) { .rule = &sgd_rule,
                                              .model = a.model,
                                              .group = a.group,
                                              .self = a.self,
                                              .lr = wgi_or(a.lr, 1e-3),
                                              .momentum = a.momentum,
                                              .dampening = a.dampening,
                                              .weight_decay = wgi_decay(a.weight_decay, 0),
                                              .nesterov = a.nesterov });
}
