/* Template (A, N, F): dropout and SwiGLU on one run of a tile. */
static inline void N(mask)(const A *restrict x, const uint32_t *restrict words, A *restrict y,
                           int64_t n, float p, A factor)
{
    for (int64_t i = 0; i < n; i++) y[i] = wgi_uniform24(words[i]) >= p ? x[i] * factor : 0;
}

static void N(dropout)(void *self, const wgi_tile *t)
{
    const wgi_dropout *d = self;
    A space[WGI_TILE], own[WGI_TILE];
    uint32_t words[WGI_TILE + 8];
    const int64_t skip = t->first % 4;
    wgi_random_words(words, d->random[0], d->random[1] + (uint64_t)(t->first / 4),
                     (skip + t->n + 3) / 4);
    const A *x = N(load)(t->p[0], t->type[0], t->step[0], t->n, space);
    A *y = N(place)(t->p[1], t->type[1], t->step[1], d->accumulate, own);
    N(mask)(x, words + skip, y, t->n, (float)d->p, (A)(1 / (1 - d->p)));
    N(put)(y, t->p[1], t->type[1], t->step[1], t->n, d->accumulate);
}

static inline void N(gated)(const A *restrict gate, const A *restrict up, A *restrict y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = F(silu)(gate[i]) * up[i];
}

static void N(swiglu)(void *self, const wgi_tile *t)
{
    const wgi_swiglu *s = self;
    A space[2][WGI_TILE], own[WGI_TILE];
    const A *gate = N(load)(t->p[0], t->type[0], t->step[0], t->n, space[0]);
    const A *up = N(load)(t->p[1], t->type[1], t->step[1], t->n, space[1]);
    A *y = N(place)(t->p[2], t->type[2], t->step[2], s->accumulate, own);
    N(gated)(gate, up, y, t->n);
    N(put)(y, t->p[2], t->type[2], t->step[2], t->n, s->accumulate);
}

static inline void N(gated_backward)(const A *restrict gate, const A *restrict up,
                                     const A *restrict dy, A *restrict dgate, A *restrict dup,
                                     int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const A g = gate[i], s = F(sigmoid)(g);
        dgate[i] = dy[i] * up[i] * (s * (1 + g * (1 - s)));
        dup[i] = dy[i] * (g * s);
    }
}

static void N(swiglu_backward)(void *self, const wgi_tile *t)
{
    const wgi_swiglu *s = self;
    A space[3][WGI_TILE], own[2][WGI_TILE];
    const A *in[3];
    A *out[2];
    for (int k = 0; k < 3; k++) in[k] = N(load)(t->p[k], t->type[k], t->step[k], t->n, space[k]);
    for (int k = 0; k < 2; k++)
        out[k] = t->p[3 + k]
                     ? N(place)(t->p[3 + k], t->type[3 + k], t->step[3 + k], s->accumulate, own[k])
                     : own[k];
    N(gated_backward)(in[0], in[1], in[2], out[0], out[1], t->n);
    for (int k = 0; k < 2; k++)
        if (t->p[3 + k])
            N(put)(out[k], t->p[3 + k], t->type[3 + k], t->step[3 + k], t->n, s->accumulate);
}
