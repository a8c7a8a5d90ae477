/* Template (A, N, F): rotary positions. */
static void N(angles)(void *self, int64_t first, int64_t last, int64_t strip)
{
    const wgi_rope *s = self;
    const int64_t half = s->x.n / 2;
    (void)strip;
    for (int64_t r = first; r < last; r++) {
        A *restrict c = (A *)s->cos + r * half, *restrict d = (A *)s->sin + r * half;
        const double *restrict frequency = s->frequency, position = s->position[r];
        if (s->limit < REDUCIBLE) {
            for (int64_t k = 0; k < half; k++) {
                const sine_cosine v = sine_cosine_of(position * frequency[k]);
                c[k] = (A)v.cosine;
                d[k] = (A)v.sine;
            }
        } else {
            for (int64_t k = 0; k < half; k++) {
                c[k] = (A)cos(position * frequency[k]);
                d[k] = (A)sin(position * frequency[k]);
            }
        }
    }
}

static inline void N(rotate_halves)(const A *restrict x, const A *restrict c, const A *restrict s,
                                    A *restrict y, int64_t half, A sign)
{
    for (int64_t k = 0; k < half; k++) {
        const A a = x[k], b = x[k + half], sine = s[k] * sign;
        y[k] = a * c[k] - b * sine;
        y[k + half] = b * c[k] + a * sine;
    }
}

static inline void N(rotate_pairs)(const A *restrict x, const A *restrict c, const A *restrict s,
                                   A *restrict y, int64_t half, A sign)
{
    for (int64_t k = 0; k < half; k++) {
        const A a = x[2 * k], b = x[2 * k + 1], sine = s[k] * sign;
        y[2 * k] = a * c[k] - b * sine;
        y[2 * k + 1] = b * c[k] + a * sine;
    }
}

static void N(rotate)(void *self, int64_t first, int64_t last, int64_t strip)
{
    const wgi_rope *s = self;
    const int64_t n = s->x.n, half = n / 2;
    const A sign = s->inverse ? -1 : 1;
    A *own = (A *)s->buffer + strip * 2 * n;
    for (int64_t r = first; r < last; r++) {
        const int64_t angle = (r % s->t + (s->batch_rows ? r / s->batch_rows * s->t : 0)) * half;
        const A *c = (const A *)s->cos + angle, *d = (const A *)s->sin + angle;
        void *at = wgi_row_at(&s->y, r);
        const A *x = N(load)(wgi_row_at(&s->x, r), s->x.type, s->x.step, n, own);
        A *y = N(place)(at, s->y.type, s->y.step, s->accumulate, own + n);
        if (s->adjacent)
            N(rotate_pairs)(x, c, d, y, half, sign);
        else
            N(rotate_halves)(x, c, d, y, half, sign);
        N(put)(y, at, s->y.type, s->y.step, n, s->accumulate);
    }
}
