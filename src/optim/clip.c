/* Clipping of gradients. Nothing is read back: on a GPU the norm stays there. */
#include "ops/update.h"
#include "optim/optim.h"
#include "wengert/autograd.h"
#include "wengert/error.h"
#include "wengert/ops.h"

wg_list wgi_optim_gradients(wg_optim *o)
{
    const wgi_pendings all = wgi_optim_params(o, true);
    wg_list out = wg_list_new(all.n > 0 ? all.n : 0);
    int64_t n = 0;
    for (int64_t i = 0; i < out.n; i++) {
        const wgi_slot *s = &o->slots[all.p[i].slot];
        if (s->group.skip) continue;
        wg_tensor *g = all.p[i].grad;
        if (!wg_is_contiguous(g)) { /* a user's own, perhaps expanded: not to be changed in place */
            wg_set_grad(s->param, wg_contiguous(g));
            g = wg_grad_of(s->param);
        }
        out.t[n++] = g;
    }
    out.n = n;
    return out;
}

static wg_tensor *clip_norm(wg_optim *o, double max_norm)
{
    const wg_list g = wgi_optim_gradients(o);
    if (wg_error_code()) return wg_fail(wg_error_code(), "clip_grad_norm: failed");
    wg_tensor *norm = wg_apply(&wgi_op_grad_norm, g, NULL, NULL);
    const wgi_clip_attr a = { max_norm };
    for (int64_t i = 0; i < g.n; i++) wg_apply(&wgi_op_clip_scale, WG_LIST(g.t[i], norm), &a, NULL);
    return norm;
}

wg_tensor *wg_clip_grad_norm(wg_optim *o, double max_norm)
{
    if (!o) return wg_fail(WG_EARG, "clip_grad_norm: the optimizer is NULL");
    if (wg_error_code()) return wg_fail(wg_error_code(), "clip_grad_norm: an error is pending");
    if (!(max_norm >= 0))
        return wg_fail(WG_EARG, "clip_grad_norm: max_norm %g is negative", max_norm);
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    return wg_scope_return(s, clip_norm(o, max_norm));
}

/* The norm, whose gradients the step then multiplies. */
static wg_tensor *clipped_step(wg_optim *o, double max_norm)
{
    const wg_list g = wgi_optim_gradients(o);
    const wgi_clip_factor_attr a = { .max_norm = max_norm };
    wg_tensor *norm = wg_apply(&wgi_op_grad_norm, g, NULL, NULL);
    const wgi_multiplier by = { wg_apply(&wgi_op_clip_factor, WG_LIST(norm), &a, NULL), false };
    if (wg_error_code() || wgi_optim_step_by(o, by) != WG_OK)
        return wg_fail(wg_error_code(), "optim_step_clipped: failed");
    return norm;
}

wg_tensor *wg_optim_step_clipped(wg_optim *o, double max_norm)
{
    if (!o) return wg_fail(WG_EARG, "optim_step_clipped: the optimizer is NULL");
    if (wg_error_code()) return wg_fail(wg_error_code(), "optim_step_clipped: an error is pending");
    if (!(max_norm >= 0))
        return wg_fail(WG_EARG, "optim_step_clipped: max_norm %g is negative", max_norm);
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    return wg_scope_return(s, clipped_step(o, max_norm));
}

wg_status wg_clip_grad_value(wg_optim *o, double limit)
{
    if (!o) return wg_raise(WG_EARG, "clip_grad_value: the optimizer is NULL");
    if (wg_error_code()) return wg_error_code();
    if (!(limit >= 0)) return wg_raise(WG_EARG, "clip_grad_value: limit %g is negative", limit);
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    const wg_list g = wgi_optim_gradients(o);
    for (int64_t i = 0; i < g.n && !wg_error_code(); i++)
        if (wg_assign(g.t[i], wg_clamp(g.t[i], -limit, limit)) != WG_OK) break;
    wg_scope_return(s, NULL);
    return wg_error_code();
}
