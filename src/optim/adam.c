/* Adam and AdamW: see src/ops/adam_step.c for the formula. */
#include "ops/registry.h"
#include "optim/optim.h"

static int adam_states(const wg_optim *o, const wgi_slot *s, const char *names[WGI_OPTIM_STATES])
{
    (void)o;
    (void)s;
    names[0] = "exp_avg";
    names[1] = "exp_avg_sq";
    return 2;
}

static wg_status adam_step(const wg_optim *o, wgi_items items, wgi_multiplier by)
{
    const wgi_update_rule rule = {
        .beta1 = o->beta1, .beta2 = o->beta2, .eps = o->eps, .decoupled = o->decoupled
    };
    return wgi_optim_update(&wgi_op_adam_step, items, by, o->lr * o->adamw_lr, rule);
}

const wgi_optim_rule wgi_adam_rule = { adam_states, adam_step };

static wg_optim *make(const char *name, wg_adam_args a, bool decoupled)
{
    return wgi_optim_new(
        name, &(wg_optim) { .rule = &wgi_adam_rule,
                            .model = a.model,
                            .group = a.group,
                            .self = a.self,
                            .lr = wgi_or(a.lr, 1e-3),
                            .adamw_lr = 1,
                            .beta1 = wgi_or(a.beta1, 0.9),
                            .beta2 = wgi_or(a.beta2, 0.999),
                            .eps = wgi_or(a.eps, 1e-8),
                            .weight_decay = wgi_decay(a.weight_decay, decoupled ? 0.01 : 0),
                            .decoupled = decoupled });
}

wg_optim *wg_adam_call(wg_adam_args a)
{
    return make("adam", a, false);
}

wg_optim *wg_adamw_call(wg_adamw_args a)
{
    return make("adamw", a, true);
}
