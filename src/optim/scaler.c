/* A dynamic loss scale that lives on the device: nothing of it is read back. See src/ops/loss_scale_step.c for the rule. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/update.h"
#include "optim/optim.h"
#include "wengert/autograd.h"
#include "wengert/error.h"
#include "wengert/ops.h"

struct wg_scaler {
    wgi_loss_scale_rule rule;
    wg_tensor *scale; /* () f32 */
    wg_tensor *good;  /* () i64: good steps since the scale last changed */
};

static wg_status check_numbers(const wgi_loss_scale_rule *r, double scale)
{
    if (!(scale > 0 && scale <= 3.4e38))
        return wg_raise(WG_EARG, "scaler: scale %g is not positive and finite", scale);
    if (!(r->growth >= 1 && isfinite(r->growth)))
        return wg_raise(WG_EARG, "scaler: growth %g is below 1", r->growth);
    if (!(r->backoff > 0 && r->backoff <= 1))
        return wg_raise(WG_EARG, "scaler: backoff %g is not within (0, 1]", r->backoff);
    if (r->interval < 1)
        return wg_raise(WG_EARG, "scaler: interval %lld is below 1", (long long)r->interval);
    return WG_OK;
}

/* Both tensors anew. */
static wg_status set(wg_scaler *s, wg_device d, double scale, int64_t good)
{
    const wg_scope scope = wg_scope_push();
    wg_use_grad(false);
    wg_tensor *a = wg_to(wg_from(&scale, sizeof scale, WG_F64, WG_DIMS()), d);
    wg_tensor *b = wg_to(wg_from(&good, sizeof good, WG_I64, WG_DIMS()), d);
    a = wg_cast(a, WG_F32);
    const wg_status status = wg_error_code();
    if (status == WG_OK) {
        wg_set(&s->scale, a);
        wg_set(&s->good, b);
    }
    wg_scope_return(scope, NULL);
    return status;
}

wg_scaler *wg_scaler_call(wg_scaler_args a)
{
    const double scale = wgi_or(a.scale, 65536);
    const wgi_loss_scale_rule rule = { .growth = wgi_or(a.growth, 2),
                                       .backoff = wgi_or(a.backoff, 0.5),
                                       .interval = a.interval == 0 ? 2000 : a.interval };
    if (wg_error_code() || check_numbers(&rule, scale) != WG_OK) return NULL;
    wg_scaler *s = calloc(1, sizeof *s);
    if (!s) {
        wg_raise(WG_EMEM, "scaler: out of memory");
        return NULL;
    }
    s->rule = rule;
    if (set(s, wg_current_device(), scale, 0) == WG_OK) return s;
    wg_scaler_free(s);
    return NULL;
}

void wg_scaler_free(wg_scaler *s)
{
    if (!s) return;
    wg_set(&s->scale, NULL);
    wg_set(&s->good, NULL);
    free(s);
}

/* Brings the scaler to device d. */
static wg_status move(wg_scaler *s, wg_device d)
{
    const wg_device at = wg_device_of(s->scale);
    if (at.kind == d.kind && at.index == d.index) return WG_OK;
    wg_tensor *scale = wg_to(s->scale, d), *good = wg_to(s->good, d);
    if (wg_error_code()) return wg_error_code();
    wg_set(&s->scale, scale);
    wg_set(&s->good, good);
    return WG_OK;
}

wg_tensor *wg_scaler_scale(wg_scaler *s, wg_tensor *loss)
{
    if (!s) return wg_fail(WG_EARG, "scaler_scale: the scaler is NULL");
    if (!loss || wg_is_error(loss)) return wg_fail(WG_EARG, "scaler_scale: the loss is NULL");
    if (move(s, wg_device_of(loss)) != WG_OK)
        return wg_fail(wg_error_code(), "scaler_scale: failed");
    return wg_mul(loss,
                  wg_affine(s->scale, 1,
                            0)); /* a copy: the scale moves before backward may be called again */
}

/* The norm tells all: what updates are multiplied by, and what becomes of the scale. */
static wg_tensor *step(wg_scaler *s, wg_optim *o, double max_norm)
{
    const wg_list g = wgi_optim_gradients(o);
    wg_tensor *norm = wg_apply(&wgi_op_grad_norm, g, NULL, NULL);
    if (wg_error_code() || move(s, wg_device_of(norm)) != WG_OK)
        return wg_fail(wg_error_code(), "scaler_step: failed");
    const wgi_clip_factor_attr a = { .max_norm = max_norm, .scaled = true };
    wg_tensor *unscaled = wg_div(norm, s->scale);
    const wgi_multiplier by = { wg_apply(&wgi_op_clip_factor, WG_LIST(norm, s->scale), &a, NULL),
                                true };
    if (wg_error_code() || wgi_optim_step_by(o, by) != WG_OK)
        return wg_fail(wg_error_code(), "scaler_step: failed");
    wg_apply(&wgi_op_loss_scale_step, WG_LIST(norm, s->scale, s->good, o->skipped), &s->rule, NULL);
    return unscaled;
}

wg_tensor *wg_scaler_step(wg_scaler *s, wg_optim *o, double max_norm)
{
    if (!s || !o)
        return wg_fail(WG_EARG, "scaler_step: the %s is NULL", s ? "optimizer" : "scaler");
    if (wg_error_code()) return wg_fail(wg_error_code(), "scaler_step: an error is pending");
    if (!(max_norm >= 0)) return wg_fail(WG_EARG, "scaler_step: max_norm %g is negative", max_norm);
    const wg_scope scope = wg_scope_push();
    wg_use_grad(false);
    wg_use_autocast((wg_dtype)0);
    return wg_scope_return(scope, step(s, o, max_norm));
}

double wg_scaler_value(wg_scaler *s)
{
    return s ? wg_item(s->scale) : NAN;
}

wg_params wg_scaler_state(wg_scaler *s)
{
    const wg_params none = { 0, NULL };
    if (!s) {
        wg_raise(WG_EARG, "scaler_state: the scaler is NULL");
        return none;
    }
    wg_param_ref *p = wg_scope_alloc(2 * sizeof *p);
    if (!p) return none;
    p[0] = (wg_param_ref) { .name = "scale", .tensor = s->scale };
    p[1] = (wg_param_ref) { .name = "good", .tensor = s->good };
    return (wg_params) { 2, p };
}

wg_status wg_scaler_load(wg_scaler *s, wg_params state)
{
    if (wg_error_code()) return wg_error_code();
    if (!s) return wg_raise(WG_EARG, "scaler_load: the scaler is NULL");
    wg_tensor *scale = NULL, *good = NULL;
    for (int64_t i = 0; i < state.n; i++) {
        if (strcmp(state.p[i].name, "scale") == 0) scale = state.p[i].tensor;
        if (strcmp(state.p[i].name, "good") == 0) good = state.p[i].tensor;
    }
    if (state.n != 2 || !scale || !good)
        return wg_raise(WG_ENOTFOUND, "scaler_load: the state is not `scale` and `good`");
    if (wg_numel(scale) != 1 || wg_numel(good) != 1)
        return wg_raise(WG_ESHAPE, "scaler_load: `scale` and `good` should be ()");
    const double value = wg_item(scale);
    const int64_t count = wg_item_int(good);
    if (wg_error_code()) return wg_error_code();
    if (!(value >= 0 && isfinite(value)) || count < 0)
        return wg_raise(WG_EARG, "scaler_load: scale %g, %lld good steps", value, (long long)count);
    return set(s, wg_device_of(s->scale), value, count);
}
