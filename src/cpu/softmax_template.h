/* Template (A, N, F): rows of softmax. A row passes three times, from the cache where it fits. */

/* y = exp(x - m); returns the sum. A row of -inf has m = -inf and gives NaN, as PyTorch. */
static inline A N(exp_sum)(const A *restrict x, A m, A *restrict y, int64_t n)
{
    A lane[WGI_LANES] = { 0 };
    int64_t i = 0;
    for (; i + WGI_LANES <= n; i += WGI_LANES)
        for (int j = 0; j < WGI_LANES; j++) {
            const A e = F(exp)(x[i + j] - m);
            y[i + j] = e;
            lane[j] += e;
        }
    for (int64_t j = 0; i + j < n; j++) {
        const A e = F(exp)(x[i + j] - m);
        y[i + j] = e;
        lane[j] += e;
    }
    return N(fold)(lane);
}

static inline void N(softmax_row)(const A *restrict x, A *restrict y, int64_t n, bool log)
{
    const A m = N(max)(x, n);
    if (log) {
        const A log_sum = F(log)(N(sum_exp)(x, m, n));
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) - log_sum;
    } else {
        const A scale = 1 / N(exp_sum)(x, m, y, n);
        for (int64_t i = 0; i < n; i++) y[i] *= scale;
    }
}

static void N(forward)(void *self, int64_t first, int64_t last, int64_t strip)
{
    const wgi_softmax *s = self;
    const int64_t n = s->x.n;
    A *own = (A *)s->buffer + strip * 3 * n;
    for (int64_t r = first; r < last; r++) {
        void *at = wgi_row_at(&s->y, r);
        const A *x = N(load)(wgi_row_at(&s->x, r), s->x.type, s->x.step, n, own);
        A *y = N(place)(at, s->y.type, s->y.step, false, own + n);
        N(softmax_row)(x, y, n, s->log);
        N(put)(y, at, s->y.type, s->y.step, n, false);
    }
}

/* softmax: dx = y (dy - sum(dy y)).   log-softmax: dx = dy - exp(y) sum(dy). */
static inline void N(softmax_row_backward)(const A *restrict dy, const A *restrict y,
                                           A *restrict dx, int64_t n, bool log)
{
    if (log) {
        const A sum = N(sum)(dy, n);
        for (int64_t i = 0; i < n; i++) dx[i] = dy[i] - F(exp)(y[i]) * sum;
    } else {
        const A sum = N(dot)(dy, y, n);
        for (int64_t i = 0; i < n; i++) dx[i] = y[i] * (dy[i] - sum);
    }
}

static void N(backward)(void *self, int64_t first, int64_t last, int64_t strip)
{
    const wgi_softmax *s = self;
    const int64_t n = s->y.n;
    A *own = (A *)s->buffer + strip * 3 * n;
    for (int64_t r = first; r < last; r++) {
        const A *y = N(load)(wgi_row_at(&s->y, r), s->y.type, s->y.step, n, own);
        const A *dy = N(load)(wgi_row_at(&s->dy, r), s->dy.type, s->dy.step, n, own + n);
        void *at = wgi_row_at(&s->dx, r);
        A *dx = N(place)(at, s->dx.type, s->dx.step, s->accumulate, own + 2 * n);
        N(softmax_row_backward)(dy, y, dx, n, s->log);
        N(put)(dx, at, s->dx.type, s->dx.step, n, s->accumulate);
    }
}
