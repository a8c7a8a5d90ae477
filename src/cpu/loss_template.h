/* Template (A, N, F): losses of one value a place and their derivatives. x: prediction, t: target, p: positive weight
 * (binary cross-entropy only), c: Huber's delta. */
#include "cpu/loss_formula.h"

typedef A (*N(formula))(A x, A t, A p, A c);

/* y = f(x, t, p, c); f is a constant here, so that the loop vectorises. */
static inline __attribute__((always_inline)) void N(map)(N(formula) f, const A *restrict x,
                                                         const A *restrict t, const A *restrict p,
                                                         A c, A *restrict y, int64_t n)
{
    if (p) {
        for (int64_t i = 0; i < n; i++) y[i] = f(x[i], t[i], p[i], c);
    } else {
        for (int64_t i = 0; i < n; i++) y[i] = f(x[i], t[i], 1, c);
    }
}

static void N(values)(wgi_loss_kind k, const A *x, const A *t, const A *p, A c, A *y, int64_t n)
{
    switch (k) {
    case WGI_MSE: N(map)(N(mse), x, t, NULL, c, y, n); break;
    case WGI_L1: N(map)(N(l1), x, t, NULL, c, y, n); break;
    case WGI_HUBER: N(map)(N(huber), x, t, NULL, c, y, n); break;
    case WGI_BCE: N(map)(N(bce), x, t, p, c, y, n); break;
    case WGI_KL: N(map)(N(kl), x, t, NULL, c, y, n); break;
    default: N(map)(N(kl_log), x, t, NULL, c, y, n); break;
    }
}

static void N(slopes)(wgi_loss_kind k, const A *x, const A *t, const A *p, A c, A *y, int64_t n)
{
    switch (k) {
    case WGI_MSE: N(map)(N(mse_dx), x, t, NULL, c, y, n); break;
    case WGI_L1: N(map)(N(l1_dx), x, t, NULL, c, y, n); break;
    case WGI_HUBER: N(map)(N(huber_dx), x, t, NULL, c, y, n); break;
    case WGI_BCE: N(map)(N(bce_dx), x, t, p, c, y, n); break;
    case WGI_KL: N(map)(N(kl_dx), x, t, NULL, c, y, n); break;
    default: N(map)(N(kl_log_dx), x, t, NULL, c, y, n); break;
    }
}

static void N(target_slopes)(wgi_loss_kind k, const A *x, const A *t, const A *p, A c, A *y,
                             int64_t n)
{
    switch (k) {
    case WGI_MSE: N(map)(N(mse_dt), x, t, NULL, c, y, n); break;
    case WGI_L1: N(map)(N(l1_dt), x, t, NULL, c, y, n); break;
    case WGI_HUBER: N(map)(N(huber_dt), x, t, NULL, c, y, n); break;
    case WGI_BCE: N(map)(N(bce_dt), x, t, p, c, y, n); break;
    case WGI_KL: N(map)(N(kl_dt), x, t, NULL, c, y, n); break;
    default: N(map)(N(kl_log_dt), x, t, NULL, c, y, n); break;
    }
}

/* Operand k of the run as A; NULL if it is absent. */
static inline const A *N(operand)(const wgi_tile *t, int k, A *space)
{
    return t->p[k] ? N(load)(t->p[k], t->type[k], t->step[k], t->n, space) : NULL;
}

static inline void N(scale)(A *restrict y, const A *restrict by, int64_t n)
{
    if (by)
        for (int64_t i = 0; i < n; i++) y[i] *= by[i];
}

static void N(forward)(void *self, const wgi_tile *t)
{
    const wgi_loss *l = self;
    A space[4][WGI_TILE], own[WGI_TILE];
    const A *x = N(operand)(t, WGI_LOSS_X, space[0]),
            *target = N(operand)(t, WGI_LOSS_TARGET, space[1]);
    const A *weight = N(operand)(t, WGI_LOSS_WEIGHT, space[2]),
            *p = N(operand)(t, WGI_LOSS_POS_WEIGHT, space[3]);
    void *at = t->p[WGI_LOSS_OUT];
    const int type = t->type[WGI_LOSS_OUT];
    const int64_t step = t->step[WGI_LOSS_OUT];
    A *y = at ? N(place)(at, type, step, false, own) : own;
    N(values)(l->kind, x, target, p, (A)l->delta, y, t->n);
    N(scale)(y, weight, t->n);
    if (at)
        N(put)(y, at, type, step, t->n, false);
    else
        l->partial[t->tile] += (double)N(sum)(y, t->n);
}

static void N(backward)(void *self, const wgi_tile *t)
{
    const wgi_loss *l = self;
    A space[5][WGI_TILE], own[WGI_TILE];
    const A *x = N(operand)(t, WGI_LOSS_X, space[0]),
            *target = N(operand)(t, WGI_LOSS_TARGET, space[1]);
    const A *weight = N(operand)(t, WGI_LOSS_WEIGHT, space[2]),
            *p = N(operand)(t, WGI_LOSS_POS_WEIGHT, space[3]);
    const A *dy = N(operand)(t, WGI_LOSS_OUT, space[4]);
    void *at = t->p[WGI_LOSS_DX];
    const int type = t->type[WGI_LOSS_DX];
    const int64_t step = t->step[WGI_LOSS_DX];
    A *dx = N(place)(at, type, step, l->accumulate, own);
    (l->of_target ? N(target_slopes) : N(slopes))(l->kind, x, target, p, (A)l->delta, dx, t->n);
    N(scale)(dx, weight, t->n);
    N(scale)(dx, dy, t->n);
    if (!dy)
        for (int64_t i = 0; i < t->n; i++) dx[i] *= (A)l->dy;
    N(put)(dx, at, type, step, t->n, l->accumulate);
}
