/* Template (A, N, F): losses of one value a place and their derivatives. x: prediction, t: target, p: positive weight
 * (binary cross-entropy only), c: Huber's delta. */
typedef A (*N(formula))(A x, A t, A p, A c);

static inline A N(mse)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    return (x - t) * (x - t);
}
static inline A N(mse_dx)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    return 2 * (x - t);
}
static inline A N(mse_dt)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    return 2 * (t - x);
}

static inline A N(l1)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    return F(abs)(x - t);
}
static inline A N(l1_dx)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    return F(sign)(x - t);
}
static inline A N(l1_dt)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    return F(sign)(t - x);
}

static inline A N(huber)(A x, A t, A p, A c)
{
    (void)p;
    const A d = F(abs)(x - t);
    return d <= c ? (A)0.5 * d * d : c * (d - (A)0.5 * c);
}
static inline A N(huber_dx)(A x, A t, A p, A c)
{
    (void)p;
    return F(clamp)(x - t, -c, c);
}
static inline A N(huber_dt)(A x, A t, A p, A c)
{
    (void)p;
    return F(clamp)(t - x, -c, c);
}

/* p t softplus(-x) + (1 - t) softplus(x) = -p t log s(x) - (1 - t) log(1 - s(x)), s the logistic
 * function; by e^-|x|, so that neither tail cancels. */
static inline A N(bce)(A x, A t, A p, A c)
{
    (void)c;
    const A tail = F(log1p)(F(exp)(-F(abs)(x)));
    return p * t * (F(relu)(-x) + tail) + (1 - t) * (F(relu)(x) + tail);
}
static inline A N(bce_dx)(A x, A t, A p, A c)
{
    (void)c;
    const A e = F(exp)(-F(abs)(x)), small = e / (1 + e), large = 1 / (1 + e);
    return (1 - t) * (x < 0 ? small : large) - p * t * (x < 0 ? large : small);
}
static inline A N(bce_dt)(A x, A t, A p, A c)
{
    (void)t, (void)c;
    const A tail = F(log1p)(F(exp)(-F(abs)(x)));
    return p * (F(relu)(-x) + tail) - (F(relu)(x) + tail);
}

/* t (log t - x), 0 at t = 0 */
static inline A N(kl)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    const A y = t * (F(log)(t) - x);
    return t == 0 ? 0 : y;
}
static inline A N(kl_dx)(A x, A t, A p, A c)
{
    (void)x, (void)p, (void)c;
    return -t;
}
static inline A N(kl_dt)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    const A y = F(log)(t) + 1 - x;
    return t == 0 ? 0 : y;
}

static inline A N(kl_log)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    return F(exp)(t) * (t - x);
}
static inline A N(kl_log_dx)(A x, A t, A p, A c)
{
    (void)x, (void)p, (void)c;
    return -F(exp)(t);
}
static inline A N(kl_log_dt)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    return F(exp)(t) * (t - x + 1);
}

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
