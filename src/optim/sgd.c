/* Stochastic gradient descent: see src/ops/sgd_step.c for the formula. */
#include "ops/update.h"
#include "optim/optim.h"
#include "wengert/op.h"

static int sgd_states(const wg_optim *o, const wgi_slot *s, const char *names[WGI_OPTIM_STATES])
{
    (void)s;
    names[0] = "momentum_buffer";
    return o->momentum > 0 ? 1 : 0;
}

static wg_status sgd_step(const wg_optim *o, const wgi_slot *s, wg_tensor *p, wg_tensor *g)
{
    const wgi_sgd_attr a = { .lr = o->lr * s->group.lr_scale,
                             .momentum = o->momentum,
                             .dampening = o->dampening,
                             .weight_decay = s->group.weight_decay,
                             .nesterov = o->nesterov,
                             .first = s->steps == 1 };
    wg_apply(&wgi_op_sgd_step, WG_LIST(p, g, s->state[0]), &a, NULL);
    return wg_error_code();
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
