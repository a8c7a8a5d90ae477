/* Template (A, N, F): rows of norms. A row is read from memory once; its other passes hit the cache. */

typedef struct {
    A mean, rstd;
} N(moments);

typedef struct {
    A first, second; /* sums of gaps x - mean, and of their squares */
} N(gaps);

static inline N(gaps) N(gaps_of)(const A *x, A mean, int64_t n)
{
    A first[WGI_LANES] = { 0 }, second[WGI_LANES] = { 0 };
    int64_t i = 0;
    for (; i + WGI_LANES <= n; i += WGI_LANES)
        for (int j = 0; j < WGI_LANES; j++) {
            const A gap = x[i + j] - mean;
            first[j] += gap;
            second[j] += gap * gap;
        }
    for (int64_t j = 0; i + j < n; j++) {
        const A gap = x[i + j] - mean;
        first[j] += gap;
        second[j] += gap * gap;
    }
    return (N(gaps)) { N(fold)(first), N(fold)(second) };
}

/* In two passes; the second takes back what rounding the mean left (Chan, Golub, LeVeque 1983): the gaps of a constant row
 * are zero. */
static inline N(moments) N(row_moments)(const A *x, int64_t n, bool centered, double eps)
{
    const A mean = centered ? N(sum)(x, n) / (A)n : 0;
    const N(gaps) gaps = N(gaps_of)(x, mean, n);
    const A rest = centered ? gaps.first / (A)n : 0, variance = gaps.second / (A)n - rest * rest;
    return (N(moments)) { mean + rest, 1 / F(sqrt)((variance < 0 ? 0 : variance) + (A)eps) };
}

static inline void N(keep_moments)(const wgi_norm *s, int64_t row, N(moments) m)
{
    if (s->mean) ((A *)s->mean)[row] = m.mean;
    if (s->rstd) ((A *)s->rstd)[row] = m.rstd;
}

static inline N(moments) N(moments_of)(const wgi_norm *s, int64_t row)
{
    return (N(moments)) { s->mean ? ((const A *)s->mean)[row] : 0, ((const A *)s->rstd)[row] };
}

static inline void N(scaled)(const A *restrict x, const A *restrict w, const A *restrict b,
                             A *restrict y, int64_t n, N(moments) m)
{
    if (w && b) {
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m.mean) * m.rstd * w[i] + b[i];
    } else if (w) {
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m.mean) * m.rstd * w[i];
    } else {
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m.mean) * m.rstd + (b ? b[i] : 0);
    }
}

/* Row r of y from x; buffer: (n). */
static void N(normalise)(const wgi_norm *s, int64_t r, const A *x, A *buffer)
{
    const int64_t n = s->x.n;
    void *at = wgi_row_at(&s->y, r);
    A *y = N(place)(at, s->y.type, s->y.step, false, buffer);
    const N(moments) m = N(row_moments)(x, n, s->centered, s->eps);
    N(keep_moments)(s, r, m);
    N(scaled)(x, s->weight, s->bias, y, n, m);
    N(put)(y, at, s->y.type, s->y.step, n, false);
}

static void N(forward)(void *self, int64_t first, int64_t last, int64_t strip)
{
    const wgi_norm *s = self;
    const int64_t n = s->x.n;
    A *own = (A *)s->buffer + strip * 3 * n;
    for (int64_t r = first; r < last; r++) N(normalise)
    (s, r, N(load)(wgi_row_at(&s->x, r), s->x.type, s->x.step, n, own), own + n);
}

/* The sum is rounded to its type first, and normalised as it lies there. */
static void N(add_forward)(void *self, int64_t first, int64_t last, int64_t strip)
{
    const wgi_norm *s = self;
    const int64_t n = s->x.n;
    A *own = (A *)s->buffer + strip * 3 * n;
    for (int64_t r = first; r < last; r++) {
        void *at = wgi_row_at(&s->sum, r);
        const A *x = N(load)(wgi_row_at(&s->x, r), s->x.type, s->x.step, n, own);
        const A *added =
            N(load)(wgi_row_at(&s->added, r), s->added.type, s->added.step, n, own + n);
        A *sum = N(place)(at, s->sum.type, s->sum.step, false, own + 2 * n);
        for (int64_t i = 0; i < n; i++) sum[i] = x[i] + added[i];
        N(put)(sum, at, s->sum.type, s->sum.step, n, false);
        N(normalise)(s, r, N(load)(at, s->sum.type, s->sum.step, n, own), own + n);
    }
}

/* ---- backward: with z = (x - mean) rstd, g = dy w:
 *   dx = rstd (g - mean(g) - z mean(g z)), without mean(g) if not centred;  dw += dy z;  db += dy ---------------- */
typedef struct {
    A g, gz; /* sums */
} N(two_sums);

/* The sums, adding to dw and db (n) on the way. */
static inline N(two_sums)
    N(row_sums)(const A *restrict x, const A *restrict dy, const A *restrict w, A *restrict dw,
                A *restrict db, int64_t n, N(moments) m)
{
    A g[WGI_LANES] = { 0 }, gz[WGI_LANES] = { 0 };
    for (int64_t i = 0; i < n; i += WGI_LANES) {
        const int64_t width = n - i < WGI_LANES ? n - i : WGI_LANES;
        if (width == WGI_LANES) {
            for (int j = 0; j < WGI_LANES; j++) {
                const A z = (x[i + j] - m.mean) * m.rstd, d = dy[i + j], u = d * w[i + j];
                g[j] += u;
                gz[j] += u * z;
                dw[i + j] += d * z;
                db[i + j] += d;
            }
        } else {
            for (int64_t j = 0; j < width; j++) {
                const A z = (x[i + j] - m.mean) * m.rstd, d = dy[i + j], u = d * w[i + j];
                g[j] += u;
                gz[j] += u * z;
                dw[i + j] += d * z;
                db[i + j] += d;
            }
        }
    }
    return (N(two_sums)) { N(fold)(g), N(fold)(gz) };
}

static inline void N(row_gradient)(const A *restrict x, const A *restrict dy, const A *restrict w,
                                   A *restrict dx, int64_t n, N(moments) m, A g, A gz)
{
    for (int64_t i = 0; i < n; i++)
        dx[i] = m.rstd * (dy[i] * w[i] - g - (x[i] - m.mean) * m.rstd * gz);
}

/* Blocks first .. last - 1 of WGI_NORM_BLOCK rows. s->weight is never NULL here. */
static void N(backward)(void *self, int64_t first, int64_t last, int64_t strip)
{
    const wgi_norm *s = self;
    const int64_t n = s->x.n,
                  end = last * WGI_NORM_BLOCK < s->x.rows ? last * WGI_NORM_BLOCK : s->x.rows;
    A *own = (A *)s->buffer + strip * 3 * n;
    for (int64_t r = first * WGI_NORM_BLOCK; r < end; r++) {
        A *dw = (A *)s->dweight + r / WGI_NORM_BLOCK * n,
          *db = (A *)s->dbias + r / WGI_NORM_BLOCK * n;
        if (r % WGI_NORM_BLOCK == 0) {
            memset(dw, 0, (size_t)n * sizeof *dw);
            memset(db, 0, (size_t)n * sizeof *db);
        }
        const A *x = N(load)(wgi_row_at(&s->x, r), s->x.type, s->x.step, n, own);
        const A *dy = N(load)(wgi_row_at(&s->dy, r), s->dy.type, s->dy.step, n, own + n);
        const N(moments) m = N(moments_of)(s, r);
        const N(two_sums) sums = N(row_sums)(x, dy, s->weight, dw, db, n, m);
        if (!s->dx.data) continue;
        void *at = wgi_row_at(&s->dx, r);
        A *dx = N(place)(at, s->dx.type, s->dx.step, s->accumulate, own + 2 * n);
        N(row_gradient)
        (x, dy, s->weight, dx, n, m, s->centered ? sums.g / (A)n : 0, sums.gz / (A)n);
        N(put)(dx, at, s->dx.type, s->dx.step, n, s->accumulate);
    }
}

/* ---- groups: a row is the channels of one group of one sample, `run` elements each --------------------------- */
static void N(group_forward)(void *self, int64_t first, int64_t last, int64_t strip)
{
    const wgi_norm *s = self;
    const int64_t n = s->x.n, run = s->run, channels = run > 0 ? n / run : 0;
    A *own = (A *)s->buffer + strip * 3 * n;
    const A *weight = s->weight, *bias = s->bias;
    for (int64_t r = first; r < last; r++) {
        void *at = wgi_row_at(&s->y, r);
        const A *x = N(load)(wgi_row_at(&s->x, r), s->x.type, 1, n, own);
        A *y = N(place)(at, s->y.type, 1, false, own + n);
        const N(moments) m = N(row_moments)(x, n, true, s->eps);
        N(keep_moments)(s, r, m);
        for (int64_t k = 0; k < channels; k++) {
            const int64_t c = r % s->groups * channels + k;
            const A w = weight ? weight[c] : 1, b = bias ? bias[c] : 0;
            const A *restrict from = x + k * run;
            A *restrict to = y + k * run;
            for (int64_t i = 0; i < run; i++) to[i] = (from[i] - m.mean) * m.rstd * w + b;
        }
        N(put)(y, at, s->y.type, 1, n, false);
    }
}

/* sum dy (x - mean) rstd */
static inline A N(sum_dy_z)(const A *x, const A *dy, int64_t n, N(moments) m)
{
    A lane[WGI_LANES] = { 0 };
    int64_t i = 0;
    for (; i + WGI_LANES <= n; i += WGI_LANES)
        for (int j = 0; j < WGI_LANES; j++) lane[j] += dy[i + j] * ((x[i + j] - m.mean) * m.rstd);
    for (int64_t j = 0; i + j < n; j++) lane[j] += dy[i + j] * ((x[i + j] - m.mean) * m.rstd);
    return N(fold)(lane);
}

static void N(group_row_gradient)(const wgi_norm *s, const A *x, const A *dy, const A *w, A *dx,
                                  N(moments) m, N(two_sums) mean)
{
    const int64_t run = s->run;
    for (int64_t k = 0; k < s->x.n / run; k++) {
        const A *restrict from = x + k * run, *restrict d = dy + k * run;
        A *restrict to = dx + k * run;
        const A weight = w ? w[k] : 1;
        for (int64_t i = 0; i < run; i++)
            to[i] = m.rstd * (d[i] * weight - mean.g - (from[i] - m.mean) * m.rstd * mean.gz);
    }
}

static void N(group_backward)(void *self, int64_t first, int64_t last, int64_t strip)
{
    const wgi_norm *s = self;
    const int64_t n = s->x.n, run = s->run, channels = n / run;
    A *own = (A *)s->buffer + strip * 3 * n;
    for (int64_t r = first; r < last; r++) {
        const A *x = N(load)(wgi_row_at(&s->x, r), s->x.type, 1, n, own);
        const A *dy = N(load)(wgi_row_at(&s->dy, r), s->dy.type, 1, n, own + n);
        const A *w = s->weight ? (const A *)s->weight + r % s->groups * channels : NULL;
        A *dw = (A *)s->dweight + r * channels, *db = (A *)s->dbias + r * channels;
        const N(moments) m = N(moments_of)(s, r);
        N(two_sums) mean = { 0, 0 };
        for (int64_t k = 0; k < channels; k++) {
            db[k] = N(sum)(dy + k * run, run);
            dw[k] = N(sum_dy_z)(x + k * run, dy + k * run, run, m);
            mean.g += db[k] * (w ? w[k] : 1);
            mean.gz += dw[k] * (w ? w[k] : 1);
        }
        mean.g /= (A)n;
        mean.gz /= (A)n;
        if (!s->dx.data) continue;
        void *at = wgi_row_at(&s->dx, r);
        A *dx = N(place)(at, s->dx.type, 1, false, own + 2 * n);
        N(group_row_gradient)(s, x, dy, w, dx, m, mean);
        N(put)(dx, at, s->dx.type, 1, n, false);
    }
}
