/* Template (A, N, F): a tile of an optimizer's step. Operands that are contiguous A are changed where they lie, others in
 * a copy on the stack that is rounded once when it is put back. Orders of operations are PyTorch's. */

/* The gradient, and what is still to be multiplied with it. The product is rounded to the gradient's own dtype, so that it is
 * what scaling in place would leave there; gradients that carry a loss scale keep f32's precision, since 16 bits may lose the
 * small ones. */
typedef struct {
    const A *g;
    A factor;
} N(gradient);

static inline N(gradient) N(gradient_of)(const wgi_tile *t, const wgi_update_tile *u, A *space)
{
    const int type = t->type[WGI_TILE_G];
    const int64_t step = t->step[WGI_TILE_G], n = t->n;
    const A *g = N(load)(t->p[WGI_TILE_G], type, step, n, space);
    if (type == A_TYPE || u->factor == 1) return (N(gradient)) { g, (A)u->factor };
    if (type == WG_F64) {
        const double *q = t->p[WGI_TILE_G];
        for (int64_t i = 0; i < n; i++) space[i] = (A)(q[i * step] * u->factor);
        return (N(gradient)) { space, 1 };
    }
    const float factor = (float)u->factor;
    for (int64_t i = 0; i < n; i++) space[i] = (A)((float)g[i] * factor);
    if (u->rule.scaled || type == WG_F32) return (N(gradient)) { space, 1 };
    if (type == WG_BF16)
        for (int64_t i = 0; i < n; i++)
            space[i] = (A)wgi_bf16_to_f32(wgi_f32_to_bf16((float)space[i]));
    else
        for (int64_t i = 0; i < n; i++)
            space[i] = (A)wgi_f16_to_f32(wgi_f32_to_f16((float)space[i]));
    return (N(gradient)) { space, 1 };
}

/* Operand k of the tile, to be changed. */
static inline A *N(operand)(const wgi_tile *t, int k, A *space)
{
    return (A *)(uintptr_t)N(load)(t->p[k], t->type[k], t->step[k], t->n, space);
}

static inline void N(put_back)(const wgi_tile *t, int k, const A *from)
{
    N(put)(from, t->p[k], t->type[k], t->step[k], t->n, false);
}

/* The parameter, and its 16-bit copy where there is one. */
static inline void N(put_parameter)(const wgi_tile *t, const A *p)
{
    N(put_back)(t, WGI_TILE_P, p);
    if (t->p[WGI_TILE_LOW]) N(put_back)(t, WGI_TILE_LOW, p);
}

static void N(adam)(void *self, const wgi_tile *t)
{
    const wgi_update_tile *u = self;
    const wgi_update_numbers *k = &u->numbers;
    A space[4][WGI_TILE];
    A *restrict p = N(operand)(t, WGI_TILE_P, space[0]);
    const N(gradient) from = N(gradient_of)(t, u, space[1]);
    const A *restrict g = from.g, factor = from.factor;
    A *restrict m = N(operand)(t, WGI_TILE_STATE, space[2]);
    A *restrict v = N(operand)(t, WGI_TILE_STATE + 1, space[3]);
    const A keep = (A)k->keep, decay = (A)k->decay, rest1 = (A)(1 - u->rule.beta1);
    const A beta2 = (A)u->rule.beta2, rest2 = (A)(1 - u->rule.beta2), eps = (A)u->rule.eps;
    const A rate = (A)k->rate, root = (A)k->part;
    for (int64_t i = 0; i < t->n; i++) {
        const A q = p[i] * keep, d = g[i] * factor + decay * p[i];
        m[i] += (d - m[i]) * rest1;
        v[i] = v[i] * beta2 + rest2 * d * d;
        p[i] = q - rate * (m[i] / (F(sqrt)(v[i]) * root + eps));
    }
    N(put_parameter)(t, p);
    N(put_back)(t, WGI_TILE_STATE, m);
    N(put_back)(t, WGI_TILE_STATE + 1, v);
}

static void N(sgd)(void *self, const wgi_tile *t)
{
    const wgi_update_tile *u = self;
    A space[2][WGI_TILE];
    A *restrict p = N(operand)(t, WGI_TILE_P, space[0]);
    const N(gradient) from = N(gradient_of)(t, u, space[1]);
    const A *restrict g = from.g, factor = from.factor;
    const A lr = (A)u->numbers.rate, decay = (A)u->numbers.decay;
    for (int64_t i = 0; i < t->n; i++) p[i] -= lr * (g[i] * factor + decay * p[i]);
    N(put_parameter)(t, p);
}

static void N(sgd_momentum)(void *self, const wgi_tile *t)
{
    const wgi_update_tile *u = self;
    A space[3][WGI_TILE];
    A *restrict p = N(operand)(t, WGI_TILE_P, space[0]);
    A *restrict m = N(operand)(t, WGI_TILE_STATE, space[2]);
    const N(gradient) from = N(gradient_of)(t, u, space[1]);
    const A *restrict g = from.g, factor = from.factor;
    const A lr = (A)u->numbers.rate, decay = (A)u->numbers.decay;
    const A momentum = (A)u->rule.momentum, undamped = (A)u->numbers.part;
    const A own = u->rule.nesterov ? 1 : 0, ahead = u->rule.nesterov ? momentum : 1;
    for (int64_t i = 0; i < t->n; i++) {
        const A d = g[i] * factor + decay * p[i];
        m[i] = momentum * m[i] + undamped * d;
        p[i] -= lr * (own * d + ahead * m[i]);
    }
    N(put_parameter)(t, p);
    N(put_back)(t, WGI_TILE_STATE, m);
}

static void N(lion)(void *self, const wgi_tile *t)
{
    const wgi_update_tile *u = self;
    A space[3][WGI_TILE];
    A *restrict p = N(operand)(t, WGI_TILE_P, space[0]);
    A *restrict m = N(operand)(t, WGI_TILE_STATE, space[2]);
    const N(gradient) from = N(gradient_of)(t, u, space[1]);
    const A *restrict g = from.g, factor = from.factor;
    const A lr = (A)u->numbers.rate, keep = (A)u->numbers.keep;
    const A beta1 = (A)u->rule.beta1, rest1 = (A)(1 - u->rule.beta1);
    const A beta2 = (A)u->rule.beta2, rest2 = (A)(1 - u->rule.beta2);
    for (int64_t i = 0; i < t->n; i++) {
        const A d = g[i] * factor;
        p[i] = p[i] * keep - lr * F(sign)(beta1 * m[i] + rest1 * d);
        m[i] = beta2 * m[i] + rest2 * d;
    }
    N(put_parameter)(t, p);
    N(put_back)(t, WGI_TILE_STATE, m);
}

/* Adds to the tile's sum; a tile may come in several runs, in order. */
static void N(squares)(void *self, const wgi_tile *t)
{
    double *sums = self, lane[WGI_VD], sum = 0;
    A space[WGI_TILE];
    const A *x = N(load)(t->p[0], t->type[0], t->step[0], t->n, space);
    wgi_vd s[4] = { wgi_vd_set(0), wgi_vd_set(0), wgi_vd_set(0), wgi_vd_set(0) };
    int64_t i = 0;
    for (; i + 4 * WGI_VD <= t->n; i += 4 * WGI_VD)
        for (int v = 0; v < 4; v++) {
            const wgi_vd y = N(widened)(x + i + v * WGI_VD);
            s[v] = wgi_vd_fma(y, y, s[v]);
        }
    for (; i < t->n; i++) sum += (double)x[i] * (double)x[i];
    wgi_vd_store(lane, (s[0] + s[1]) + (s[2] + s[3]));
    for (int width = WGI_VD / 2; width > 0; width /= 2)
        for (int l = 0; l < width; l++) lane[l] += lane[l + width];
    sums[t->tile] += lane[0] + sum;
}

static void N(scale)(void *self, const wgi_tile *t)
{
    const A factor = (A) * (const double *)self;
    A space[WGI_TILE];
    A *restrict x = N(operand)(t, 0, space);
    for (int64_t i = 0; i < t->n; i++) x[i] *= factor;
    N(put_back)(t, 0, x);
}
