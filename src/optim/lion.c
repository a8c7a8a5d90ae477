/* Lion: see src/ops/lion_step.c for the formula. */
#include "ops/registry.h"
#include "optim/optim.h"

static int lion_states(const wg_optim *o, const wgi_slot *s, const char *names[WGI_OPTIM_STATES])
{
    (void)o;
    (void)s;
    names[0] = "exp_avg";
    return 1;
}

static wg_status lion_step(const wg_optim *o, wgi_items items, wgi_multiplier by)
{
    const wgi_update_rule rule = { .beta1 = o->beta1, .beta2 = o->beta2, .decoupled = true };
    return wgi_optim_update(&wgi_op_lion_step, items, by, o->lr, rule);
}

static const wgi_optim_rule lion_rule = { lion_states, lion_step };

wg_optim *wg_lion_call(wg_lion_args a)
{
    return wgi_optim_new("lion", &(wg_optim) { .rule = &lion_rule,
                                               .model = a.model,
                                               .group = a.group,
                                               .self = a.self,
                                               .lr = wgi_or(a.lr, 1e-4),
                                               .beta1 = wgi_or(a.beta1, 0.9),
                                               .beta2 = wgi_or(a.beta2, 0.99),
                                               .weight_decay = wgi_decay(a.weight_decay, 0) });
}
