/* Muon: momentum whose matrix is replaced by a nearby semi-orthogonal one, found by Newton-Schulz iterations.
 *   m += (1 - momentum)(g - m),  u = g + momentum (m - g)                     (Nesterov)
 *   X = u / (|u| + 1e-7), five times X = a X + (b A + c A A) X, A = X X^T     (a, b, c = 3.4445, -4.7750, 2.0315)
 *   p = p (1 - lr * decay) - lr * sqrt(max(1, rows / columns)) X
 * Coefficients, the Nesterov form, the factor and the defaults are Keller Jordan's ("Muon: An optimizer for hidden layers in
 * neural networks", 2024, and its reference code); the iterations run in f32 here, f64 for f64. Other parameters: AdamW. */
#include <math.h>

#include "optim/optim.h"
#include "wengert/error.h"
#include "wengert/ops.h"

static int muon_states(const wg_optim *o, const wgi_slot *s, const char *names[WGI_OPTIM_STATES])
{
    if (!s->group.matrix) return wgi_adam_rule.states(o, s, names);
    names[0] = "momentum_buffer";
    return 1;
}

/* The matrix with u's singular vectors whose singular values are all near 1. u (R, C). */
static wg_tensor *orthogonal(wg_tensor *u, int64_t steps)
{
    static const double a = 3.4445, b = -4.7750, c = 2.0315;
    const bool tall = wg_size(u, 0) > wg_size(u, 1);
    wg_tensor *x =
        tall ? wg_transpose(u, 0, 1) : u; /* (n, m), n <= m: the products below are (n, n) */
    x = wg_div(x, wg_affine(wg_norm(x, 2, WG_ALL, false), 1, 1e-7));
    for (int64_t i = 0; i < steps; i++) {
        wg_tensor *s = wg_matmul(x, wg_transpose(x, 0, 1));
        wg_tensor *poly = wg_add(wg_affine(s, b, 0), wg_affine(wg_matmul(s, s), c, 0));
        x = wg_add(wg_affine(x, a, 0), wg_matmul(poly, x));
    }
    return tall ? wg_transpose(x, 0, 1) : x;
}

/* x + w (y - x) */
static wg_tensor *mix(wg_tensor *x, wg_tensor *y, double w)
{
    return wg_add(x, wg_affine(wg_sub(y, x), w, 0));
}

/* The multiplied gradient in the state's dtype: first rounded to its own, as clipping in place rounds it, but where it
 * carries a loss scale. */
static wg_tensor *multiplied(wg_tensor *g, wg_dtype wide, wgi_multiplier by)
{
    if (!by.factor) return wg_cast(g, wide);
    return by.scaled ? wg_mul(wg_cast(g, wide), by.factor) : wg_cast(wg_mul(g, by.factor), wide);
}

static wg_status muon_matrix_step(const wg_optim *o, const wgi_item *i, wgi_multiplier by)
{
    wgi_slot *s = i->slot;
    wg_tensor *p = i->p;
    const double rows = (double)wg_size(p, 0), columns = (double)wg_size(p, 1);
    const double lr = o->lr * s->group.lr_scale, factor = sqrt(fmax(1, rows / columns));
    const wg_scope scope = wg_scope_push(); /* a matrix's intermediates at a time */
    wg_tensor *g = multiplied(i->g, wgi_state_dtype(p), by);
    wg_tensor *m = mix(s->state[0], g, 1 - o->momentum);
    wg_tensor *x = wg_numel(p) ? orthogonal(mix(g, m, o->momentum), o->newton_steps) : g;
    wg_tensor *wide = wg_cast(p, wgi_state_dtype(p));
    wg_tensor *next =
        wg_sub(wg_affine(wide, 1 - lr * s->group.weight_decay, 0), wg_affine(x, lr * factor, 0));
    wg_status status = WG_OK;
    if (by.scaled) { /* NaN: no step */
        wg_tensor *taken = wg_isfinite(by.factor);
        m = wg_where(taken, m, s->state[0]);
        next = wg_where(taken, next, wide);
        status = wg_assign(s->taken, wg_add(s->taken, wg_cast(taken, WG_I64)));
    }
    if (status == WG_OK) status = wg_error_code() ? wg_error_code() : wg_assign(s->state[0], m);
    if (status == WG_OK) status = wg_assign(p, next);
    if (status == WG_OK) s->steps++;
    wg_scope_return(scope, NULL);
    return status;
}

static wg_status muon_step(const wg_optim *o, wgi_items items, wgi_multiplier by)
{
    wgi_items rest = { 0, wg_scope_alloc((size_t)items.n * sizeof *rest.item) };
    wg_status status = rest.item ? WG_OK : wg_error_code();
    for (int64_t i = 0; i < items.n && status == WG_OK; i++)
        if (items.item[i].slot->group.matrix)
            status = muon_matrix_step(o, &items.item[i], by);
        else
            rest.item[rest.n++] = items.item[i];
    return status == WG_OK && rest.n > 0 ? wgi_adam_rule.step(o, rest, by) : status;
}

static const wgi_optim_rule muon_rule = { muon_states, muon_step };

wg_optim *wg_muon_call(wg_muon_args a)
{
    const double lr = wgi_or(a.lr, 0.02);
    return wgi_optim_new("muon", &(wg_optim) { .rule = &muon_rule,
                                               .model = a.model,
                                               .group = a.group,
                                               .self = a.self,
                                               .lr = lr,
                                               .momentum = wgi_or(a.momentum, 0.95),
                                               .weight_decay = wgi_decay(a.weight_decay, 0),
                                               .adamw_lr = wgi_or(a.adamw_lr, 3e-4) / lr,
                                               .beta1 = wgi_or(a.beta1, 0.9),
                                               .beta2 = wgi_or(a.beta2, 0.95),
                                               .eps = wgi_or(a.eps, 1e-10),
                                               .newton_steps = a.steps == 0 ? 5 : a.steps,
                                               .decoupled = true });
}
