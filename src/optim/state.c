/* An optimizer's state as named tensors, out and in. */
#include <stdio.h>
#include <string.h>

#include "optim/optim.h"
#include "wengert/error.h"
#include "wengert/ops.h"

/* "h.0.attn.weight.exp_avg" in the innermost scope. */
static const char *state_name(const char *param, const char *state)
{
    const size_t size = strlen(param) + strlen(state) + 2;
    char *name = wg_scope_alloc(size);
    if (name) snprintf(name, size, "%s.%s", param, state);
    return name;
}

static bool has_state(const wgi_slot *s)
{
    return s->steps > 0;
}

/* The slot's tensors, from out[n] on; returns the new n. A count of steps stands with them only where it differs from the
 * optimizer's. */
static int64_t list_slot(const wg_optim *o, const wgi_slot *s, const wg_param_ref *p,
                         wg_param_ref *out, int64_t n)
{
    const char *names[WGI_OPTIM_STATES];
    const int states = o->rule->states(o, s, names);
    for (int i = 0; i < states; i++)
        out[n++] = (wg_param_ref) { state_name(p->name, names[i]), s->state[i], p->owner };
    if (s->steps != o->steps) {
        const int64_t steps = s->steps;
        wg_tensor *count = wg_from(&steps, sizeof steps, WG_I64, WG_DIMS());
        out[n++] = (wg_param_ref) { state_name(p->name, "step"), count, p->owner };
    }
    return n;
}

wg_params wg_optim_state(wg_optim *o)
{
    const wg_params none = { 0, NULL };
    if (!o) {
        wg_raise(WG_EARG, "optim_state: the optimizer is NULL");
        return none;
    }
    const wgi_pendings all = wgi_optim_params(o, false);
    if (all.n < 0 || wgi_optim_read_counts(o) != WG_OK) return none;
    wg_param_ref *out = wg_scope_alloc((size_t)(all.n * (WGI_OPTIM_STATES + 1) + 1) * sizeof *out);
    if (!out) return none;
    int64_t n = 0;
    for (int64_t i = 0; i < all.n; i++) {
        const wgi_slot *s = &o->slots[all.p[i].slot];
        if (has_state(s)) n = list_slot(o, s, all.p[i].ref, out, n);
    }
    return wg_error_code() ? none : (wg_params) { n, out };
}

/* ---- loading: all of it is found and checked, then put in --------------------------------------------------------- */
typedef struct {
    wg_tensor *state[WGI_OPTIM_STATES];
    int64_t steps;
    bool any;
} incoming;

/* state's tensor named param.name, from *at on: both lists have one order as a rule. */
static wg_tensor *find(wg_params state, const char *param, const char *name, int64_t *at)
{
    const size_t length = strlen(param);
    for (int64_t k = 0; k < state.n; k++) {
        const int64_t i = (*at + k) % state.n;
        const char *full = state.p[i].name;
        if (strncmp(full, param, length) != 0 || full[length] != '.' ||
            strcmp(full + length + 1, name) != 0)
            continue;
        *at = i + 1;
        return state.p[i].tensor;
    }
    return NULL;
}

/* A copy of t in the slot's precision and device; NULL (raised) if it does not fit. */
static wg_tensor *fitted(const wgi_slot *s, const char *param, const char *name, wg_tensor *t)
{
    const wg_dims want = wg_shape(s->param), got = wg_shape(t);
    bool same = want.n == got.n && wg_dtype_is_float(wg_dtype_of(t));
    for (int i = 0; i < want.n && same; i++) same = want.d[i] == got.d[i];
    if (!same) {
        wg_raise(WG_ESHAPE, "optim_load: %s.%s does not fit the parameter's shape", param, name);
        return NULL;
    }
    wg_tensor *copy = wg_zeros_like(wg_cast(s->param, wgi_state_dtype(s->param)));
    if (wg_is_error(copy) || wg_assign(copy, wg_to(t, wg_device_of(s->param))) != WG_OK)
        return NULL;
    return copy;
}

/* What `state` holds for one parameter. Adds the number of its tensors to *used. */
static wg_status receive(const wg_optim *o, const wgi_slot *s, const char *param, wg_params state,
                         int64_t step, int64_t *at, int64_t *used, incoming *in)
{
    const char *names[WGI_OPTIM_STATES];
    const int n = o->rule->states(o, s, names);
    *in = (incoming) { .steps = step };
    int found = 0;
    for (int i = 0; i < n; i++) {
        wg_tensor *t = find(state, param, names[i], at);
        if (!t) continue;
        found++;
        in->state[i] = fitted(s, param, names[i], t);
        if (!in->state[i]) return wg_error_code();
    }
    if (found != 0 && found != n)
        return wg_raise(WG_ENOTFOUND, "optim_load: %s has only some of its state", param);
    wg_tensor *count = n == 0 || found ? find(state, param, "step", at) : NULL;
    if (count) in->steps = wg_item_int(count);
    *used += found + (count ? 1 : 0);
    in->any = found > 0 || n == 0;
    return wg_error_code();
}

static wg_status raise_unused(wg_params state, const wgi_pendings *all)
{
    for (int64_t i = 0; i < state.n; i++) {
        bool known = false;
        for (int64_t k = 0; k < all->n && !known; k++) {
            const char *param = all->p[k].ref->name;
            const size_t length = strlen(param);
            known = strncmp(state.p[i].name, param, length) == 0 &&
                    state.p[i].name[length] == '.' && !strchr(state.p[i].name + length + 1, '.');
        }
        if (!known)
            return wg_raise(WG_ENOTFOUND, "optim_load: no parameter for %s", state.p[i].name);
    }
    return wg_raise(WG_ENOTFOUND, "optim_load: the state is another optimizer's");
}

static wg_status load(wg_optim *o, wg_params state, int64_t step)
{
    const wgi_pendings all = wgi_optim_params(o, false);
    if (all.n < 0) return wg_error_code();
    incoming *in = wg_scope_alloc((size_t)(all.n + 1) * sizeof *in);
    if (!in) return wg_error_code();
    int64_t at = 0, used = 0;
    for (int64_t i = 0; i < all.n; i++) {
        const wgi_slot *s = &o->slots[all.p[i].slot];
        if (receive(o, s, all.p[i].ref->name, state, step, &at, &used, &in[i]) != WG_OK)
            return wg_error_code();
    }
    if (used != state.n) return raise_unused(state, &all);
    for (int64_t i = 0; i < all.n; i++) {
        wgi_slot *s = &o->slots[all.p[i].slot];
        for (int k = 0; k < WGI_OPTIM_STATES; k++) wg_set(&s->state[k], in[i].state[k]);
        s->steps = in[i].any ? in[i].steps : 0;
    }
    wgi_optim_drop_counts(o);
    o->steps = step;
    return WG_OK;
}

wg_status wg_optim_load(wg_optim *o, wg_params state, int64_t step)
{
    if (wg_error_code()) return wg_error_code();
    if (!o) return wg_raise(WG_EARG, "optim_load: the optimizer is NULL");
    if (step < 0) return wg_raise(WG_EARG, "optim_load: step %lld is negative", (long long)step);
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    const wg_status status = load(o, state, step);
    wg_scope_return(s, NULL);
    return status;
}
