/* The kernels of selective_scan.c for one real type: REAL, EXP, NAME. */
#ifndef SCAN_TASK
#define SCAN_TASK
typedef struct {
    const wg_run *r;
    sizes z;
    void *state; /* (B * D, N) */
} scan_task;
#endif

static void NAME(scan_row)(void *self, int64_t row) /* row: channel d of sequence i */
{
    const scan_task *k = self;
    const int64_t T = k->z.time, N = k->z.state, i = row / k->z.channels, d = row % k->z.channels;
    const REAL *u = (const REAL *)wg_run_in(k->r, U) + row * T,
               *delta = (const REAL *)wg_run_in(k->r, DELTA) + row * T;
    const REAL *a = (const REAL *)wg_run_in(k->r, A) + d * N,
               *b = (const REAL *)wg_run_in(k->r, B) + i * N * T;
    const REAL *c = (const REAL *)wg_run_in(k->r, C) + i * N * T, *skip = wg_run_in(k->r, D);
    REAL *y = (REAL *)wg_run_out(k->r, 0) + row * T, *all = wg_run_out(k->r, 1),
         *h = (REAL *)k->state + row * N;
    for (int64_t n = 0; n < N; n++) h[n] = 0;
    for (int64_t t = 0; t < T; t++) {
        REAL sum = skip ? skip[d] * u[t] : 0;
        for (int64_t n = 0; n < N; n++) {
            h[n] = EXP(delta[t] * a[n]) * h[n] + delta[t] * b[n * T + t] * u[t];
            sum += c[n * T + t] * h[n];
            if (all) all[(row * T + t) * N + n] = h[n]; /* only where a gradient is recorded */
        }
        y[t] = sum;
    }
}

/* Backwards in time with dh, the cotangent of the state. dA, dB and dC are sums over rows: in order, on one thread, so
 * that the bits are always the same. */
static void NAME(scan_backward)(const wg_run *r, sizes z)
{
    const int64_t T = z.time, N = z.state;
    const REAL *u = wg_run_in(r, U), *delta = wg_run_in(r, DELTA), *a = wg_run_in(r, A),
               *b = wg_run_in(r, B), *c = wg_run_in(r, C), *skip = wg_run_in(r, D),
               *h = wg_run_in(r, STATES), *dy = wg_run_in(r, DY);
    REAL *du = wg_run_out(r, U), *ddelta = wg_run_out(r, DELTA), *da = wg_run_out(r, A),
         *db = wg_run_out(r, B), *dc = wg_run_out(r, C), *dskip = wg_run_out(r, D);
    for (int64_t row = 0; row < z.batch * z.channels; row++) {
        const int64_t i = row / z.channels, d = row % z.channels;
        for (int64_t n = 0; n < N; n++) {
            REAL dh = 0;
            for (int64_t t = T - 1; t >= 0; t--) {
                const int64_t x = row * T + t, p = (i * N + n) * T + t;
                const REAL before = t ? h[(x - 1) * N + n] : 0,
                           decay = EXP(delta[x] * a[d * N + n]);
                dh += c[p] * dy[x];
                dc[p] += h[x * N + n] * dy[x];
                du[x] += dh * delta[x] * b[p];
                db[p] += dh * delta[x] * u[x];
                ddelta[x] += dh * (a[d * N + n] * decay * before + b[p] * u[x]);
                da[d * N + n] += dh * delta[x] * decay * before;
                dh *= decay;
            }
        }
        for (int64_t t = 0; t < T && skip; t++) {
            du[row * T + t] += skip[d] * dy[row * T + t];
            dskip[d] += u[row * T + t] * dy[row * T + t];
        }
    }
}
