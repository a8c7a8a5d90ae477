/* What optimizers share: parameters and their slots, the step, the learning rate. */
#include "optim/optim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wengert/autograd.h"
#include "wengert/error.h"
#include "wengert/ops.h"

/* ---- making and freeing --------------------------------------------------------------------------------------- */
static wg_status check_numbers(const char *name, const wg_optim *o)
{
    if (!o->model) return wg_raise(WG_EARG, "%s: the model is NULL", name);
    if (!(o->lr >= 0) || !(o->adamw_lr >= 0))
        return wg_raise(WG_EARG, "%s: lr %g is negative", name, o->lr);
    if (!(o->momentum >= 0))
        return wg_raise(WG_EARG, "%s: momentum %g is negative", name, o->momentum);
    if (o->nesterov && !(o->momentum > 0 && o->dampening == 0))
        return wg_raise(WG_EARG, "%s: nesterov needs a momentum and no dampening", name);
    if (!(o->beta1 >= 0 && o->beta1 < 1) || !(o->beta2 >= 0 && o->beta2 < 1))
        return wg_raise(WG_EARG, "%s: beta1 %g or beta2 %g is not within [0, 1)", name, o->beta1,
                        o->beta2);
    if (!(o->eps >= 0)) return wg_raise(WG_EARG, "%s: eps %g is negative", name, o->eps);
    if (o->newton_steps < 0)
        return wg_raise(WG_EARG, "%s: %lld steps", name, (long long)o->newton_steps);
    return WG_OK;
}

wg_optim *wgi_optim_new(const char *name, const wg_optim *what)
{
    if (check_numbers(name, what) != WG_OK) return NULL;
    wg_optim *o = malloc(sizeof *o);
    if (!o) {
        wg_raise(WG_EMEM, "%s: out of memory", name);
        return NULL;
    }
    *o = *what;
    return o;
}

static void drop_slot(wgi_slot *s)
{
    for (int i = 0; i < WGI_OPTIM_STATES; i++) wg_set(&s->state[i], NULL);
    wg_set(&s->taken, NULL);
    wg_set(&s->param, NULL);
}

void wg_optim_free(wg_optim *o)
{
    if (!o) return;
    for (int64_t i = 0; i < o->n_slots; i++) drop_slot(&o->slots[i]);
    wg_set(&o->skipped, NULL);
    free(o->slots);
    free(o);
}

/* ---- slots -------------------------------------------------------------------------------------------------------- */
/* Embeddings and output heads are looked up or classified by row: Muon's source leaves them to AdamW. */
static bool is_matrix(const wg_param_ref *p)
{
    if (wg_ndim(p->tensor) != 2) return false;
    if (p->owner && p->owner->type && strcmp(p->owner->type->name, "embedding") == 0) return false;
    return !wg_match("*lm_head.weight", p->name) && !wg_match("output.weight", p->name);
}

/* The slot of p, from `hint` on: parameters come in the same order at every walk. */
static int64_t find_slot(const wg_optim *o, const wg_tensor *p, int64_t hint)
{
    for (int64_t k = 0; k < o->n_slots; k++) {
        const int64_t i = hint + k < o->n_slots ? hint + k : hint + k - o->n_slots;
        if (o->slots[i].param == p) return i;
    }
    return -1;
}

static int64_t new_slot(wg_optim *o, const wg_param_ref *p)
{
    if (o->n_slots == o->capacity) {
        const int64_t capacity = o->capacity ? 2 * o->capacity : 32;
        wgi_slot *slots = realloc(o->slots, (size_t)capacity * sizeof *slots);
        if (!slots) {
            wg_raise(WG_EMEM, "optimizer: out of memory");
            return -1;
        }
        o->slots = slots;
        o->capacity = capacity;
    }
    wgi_slot *s = &o->slots[o->n_slots];
    *s = (wgi_slot) {
        .group = { .lr_scale = 1, .weight_decay = o->weight_decay, .matrix = is_matrix(p) }
    };
    wg_set(&s->param, p->tensor);
    if (o->group) o->group(o->self, p, &s->group); /* must not come back to this optimizer */
    s->group.matrix = s->group.matrix && wg_ndim(p->tensor) == 2;
    return o->n_slots++;
}

static void forget_unseen(wg_optim *o)
{
    int64_t n = 0;
    for (int64_t i = 0; i < o->n_slots; i++) {
        if (o->slots[i].seen)
            o->slots[n++] = o->slots[i];
        else
            drop_slot(&o->slots[i]);
    }
    o->n_slots = n;
}

/* Marks the slots of what is still in the model. */
static void sweep(wg_optim *o, wg_params params)
{
    int64_t at = 0, found = 0;
    for (int64_t i = 0; i < o->n_slots; i++) o->slots[i].seen = false;
    for (int64_t i = 0; i < params.n; i++) {
        const int64_t s = find_slot(o, params.p[i].tensor, at);
        if (s < 0) continue;
        o->slots[s].seen = true;
        found++;
        at = s + 1 < o->n_slots ? s + 1 : 0;
    }
    if (found < o->n_slots) forget_unseen(o);
}

wgi_pendings wgi_optim_params(wg_optim *o, bool with_gradient)
{
    const wgi_pendings failed = { -1, NULL };
    const wg_params params = wg_module_params(o->model);
    if (wg_error_code()) return failed;
    wgi_pendings out = { 0, wg_scope_alloc((size_t)(params.n + 1) * sizeof *out.p) };
    if (!out.p) return failed;
    sweep(o, params);
    int64_t at = 0;
    for (int64_t i = 0; i < params.n; i++) {
        wg_tensor *p = params.p[i].tensor, *g = wg_grad_of(p);
        if (with_gradient && !g) continue;
        int64_t s = find_slot(o, p, at);
        if (s < 0 && (s = new_slot(o, &params.p[i])) < 0) return failed;
        at = s + 1 < o->n_slots ? s + 1 : 0;
        out.p[out.n++] = (wgi_pending) { g, &params.p[i], s };
    }
    return wg_error_code() ? failed : out;
}

wg_dtype wgi_state_dtype(const wg_tensor *param)
{
    return wg_dtype_of(param) == WG_F64 ? WG_F64 : WG_F32;
}

static bool same_device(wg_device a, wg_device b)
{
    return a.kind == b.kind && a.index == b.index;
}

/* State tensor i of the slot as it should be; the error tensor on failure. */
static wg_tensor *fitting_state(wgi_slot *s, int i)
{
    const wg_dtype type = wgi_state_dtype(s->param);
    const wg_device device = wg_device_of(s->param);
    wg_tensor *t = s->state[i];
    if (!t) return wg_zeros_like(wg_cast(wg_detach(s->param), type));
    if (wg_dtype_of(t) == type && same_device(wg_device_of(t), device)) return t;
    return wg_to(wg_cast(t, type), device);
}

/* In a scope of its own: no view of the parameter is left when it is stepped. */
wg_status wgi_slot_state(const wg_optim *o, wgi_slot *s)
{
    const char *names[WGI_OPTIM_STATES];
    const int n = o->rule->states(o, s, names);
    const wg_scope scope = wg_scope_push();
    for (int i = 0; i < n && !wg_error_code(); i++) {
        wg_tensor *t = fitting_state(s, i);
        if (t != s->state[i] && !wg_is_error(t)) wg_set(&s->state[i], wg_contiguous(t));
    }
    wg_scope_return(scope, NULL);
    return wg_error_code();
}

/* ---- the step -------------------------------------------------------------------------------------------------------- */
/* Kernels take contiguous memory of a parameter and its gradient: other layouts are copied, parameters there and back. */
static wgi_items items_of(wg_optim *o, wgi_pendings all)
{
    wgi_items out = { 0, wg_scope_alloc((size_t)(all.n + 1) * sizeof *out.item) };
    for (int64_t i = 0; i < all.n && out.item && !wg_error_code(); i++) {
        wgi_slot *s = &o->slots[all.p[i].slot];
        if (s->group.skip || wgi_slot_state(o, s) != WG_OK) continue;
        wg_tensor *p = s->param, *g = all.p[i].grad;
        out.item[out.n++] = (wgi_item) { s, wg_is_contiguous(p) ? p : wg_contiguous(p),
                                         wg_is_contiguous(g) ? g : wg_contiguous(g) };
    }
    return out;
}

static wg_status put_copies_back(wgi_items items)
{
    wg_status status = WG_OK;
    for (int64_t i = 0; i < items.n && status == WG_OK; i++)
        if (items.item[i].p != items.item[i].slot->param)
            status = wg_assign(items.item[i].slot->param, items.item[i].p);
    return status;
}

/* First whatever can fail for want of memory, then the changes. */
static wg_status step_all(wg_optim *o, wgi_multiplier by)
{
    const wgi_pendings all = wgi_optim_params(o, true);
    if (all.n < 0) return wg_error_code();
    const wgi_items items = items_of(o, all);
    if (wg_error_code()) return wg_error_code();
    if ((by.scaled ? wgi_optim_count_there(o, items) : wgi_optim_count_here(o)) != WG_OK)
        return wg_error_code();
    if (items.n > 0 && o->rule->step(o, items, by) != WG_OK) return wg_error_code();
    if (put_copies_back(items) != WG_OK) return wg_error_code();
    o->steps++;
    for (int64_t i = 0; i < all.n; i++) wg_drop_grad(o->slots[all.p[i].slot].param);
    return wg_error_code();
}

wg_status wgi_optim_step_by(wg_optim *o, wgi_multiplier by)
{
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_use_autocast((wg_dtype)0);
    const wg_status status = step_all(o, by);
    wg_scope_return(s, NULL);
    return status;
}

wg_status wg_optim_step(wg_optim *o)
{
    if (wg_error_code()) return wg_error_code();
    if (!o) return wg_raise(WG_EARG, "optim_step: the optimizer is NULL");
    return wgi_optim_step_by(o, (wgi_multiplier) { NULL, false });
}

void wg_optim_drop_grads(wg_optim *o)
{
    if (!o) return;
    const wg_scope s = wg_scope_push();
    const wg_params params = wg_module_params(o->model);
    for (int64_t i = 0; i < params.n; i++) wg_drop_grad(params.p[i].tensor);
    wg_scope_return(s, NULL);
}

void wg_optim_set_lr(wg_optim *o, double lr)
{
    if (!o || !(lr >= 0)) {
        wg_raise(WG_EARG, "optim_set_lr: %s", o ? "lr is negative" : "the optimizer is NULL");
        return;
    }
    o->lr = lr;
}

double wg_optim_lr(const wg_optim *o)
{
    return o ? o->lr : NAN;
}

int64_t wg_optim_steps(const wg_optim *o)
{
    if (!o) return 0;
    return o->skipped ? o->steps - wg_item_int(o->skipped) : o->steps;
}
