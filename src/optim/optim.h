/* The inside of optimizers: one struct for all, one rule per kind. */
#ifndef WGI_OPTIM_OPTIM_H
#define WGI_OPTIM_OPTIM_H
#include "cpu/update_rule.h"
#include "wengert/op.h"
#include "wengert/optim.h"
#include "wengert/tensor.h"

enum { WGI_OPTIM_STATES = 2 };

/* What an optimizer knows about one parameter. */
typedef struct {
    wg_tensor *param; /* referenced: its identity cannot be taken over by another */
    wg_tensor *state[WGI_OPTIM_STATES]; /* made when the first gradient comes */
    wg_group group;
    int64_t steps; /* taken on this parameter: it may have been frozen */
    wg_tensor *
        taken; /* () i64: the same where a loss scale decides on the device what is a step; NULL: steps is right */
    bool seen; /* by the latest walk over the model */
} wgi_slot;

typedef struct {
    wg_tensor *grad; /* borrowed */
    const wg_param_ref *ref;
    int64_t slot;
} wgi_pending;

/* One parameter's part of a step: p and g are contiguous, p perhaps a copy of slot->param. */
typedef struct {
    wgi_slot *slot;
    wg_tensor *p, *g;
} wgi_item;
typedef struct {
    int64_t n;
    wgi_item *item;
} wgi_items;

/* What gradients are multiplied by: () f64 on their device; NULL: 1. scaled: they carry a loss scale, and NaN means that
 * this is no step. */
typedef struct {
    wg_tensor *factor;
    bool scaled;
} wgi_multiplier;

typedef struct wgi_optim_rule {
    /* Names of the slot's state tensors; returns how many. */
    int (*states)(const wg_optim *o, const wgi_slot *s, const char *names[WGI_OPTIM_STATES]);
    /* Changes the items' p by their g, and counts the step in their slots. Gradients are off. */
    wg_status (*step)(const wg_optim *o, wgi_items items, wgi_multiplier by);
} wgi_optim_rule;

struct wg_optim {
    const wgi_optim_rule *rule;
    wg_module *model; /* not owned */
    wg_group_fn group;
    void *self;
    double lr, momentum, dampening, weight_decay, beta1, beta2, eps;
    double adamw_lr; /* Muon: of the parameters that are no matrices, as a multiple of lr */
    int64_t newton_steps;
    bool nesterov, decoupled;
    int64_t steps;      /* taken, those included that `skipped` counts */
    wg_tensor *skipped; /* () i64 on the device: steps that a loss scale made none; NULL: none */
    wgi_slot *slots;    /* (n_slots) in the model's order */
    int64_t n_slots, capacity;
};

/* Checks the numbers and copies what; NULL (raised) if something is wrong. `name` stands in front of messages. */
wg_optim *wgi_optim_new(const char *name, const wg_optim *what);
/* All parameters of the model with their slots, in the innermost scope; n = -1 on failure. Parameters that left the model
 * lose their slots. */
typedef struct {
    int64_t n;
    wgi_pending *p;
} wgi_pendings;
wgi_pendings wgi_optim_params(wg_optim *o, bool with_gradient);
/* Makes the slot's state tensors, or brings them to the parameter's device and precision. */
wg_status wgi_slot_state(const wg_optim *o, wgi_slot *s);
/* counts.c: the slots' steps and o's as they are, read from the device. Afterwards nothing is counted there (_here), or it
 * goes on there; or the items' slots begin to count there. */
wg_status wgi_optim_read_counts(wg_optim *o);
wg_status wgi_optim_count_here(wg_optim *o);
wg_status wgi_optim_count_there(wg_optim *o, wgi_items items);
void wgi_optim_drop_counts(wg_optim *o);
/* clip.c: the gradients of all parameters that the optimizer moves, contiguous. */
wg_list wgi_optim_gradients(wg_optim *o);
/* wg_optim_step, its gradients multiplied. */
wg_status wgi_optim_step_by(wg_optim *o, wgi_multiplier by);
/* update.c: the rules' common way: one call of op, an update, for all items of a device. lr: before the groups' factors. */
wg_status wgi_optim_update(const wg_op *op, wgi_items items, wgi_multiplier by, double lr,
                           wgi_update_rule rule);
/* f64 for f64, else f32: the dtype of a parameter's state. */
wg_dtype wgi_state_dtype(const wg_tensor *param);

extern const wgi_optim_rule wgi_adam_rule; /* also Muon's for parameters that are no matrices */

/* x, or its default where it is 0. */
static inline double wgi_or(double x, double otherwise)
{
    return x == 0 ? otherwise : x;
}
/* A decay: 0 is the default, negative is none. */
static inline double wgi_decay(double x, double otherwise)
{
    return x < 0 ? 0 : x == 0 ? otherwise : x;
}
#endif
