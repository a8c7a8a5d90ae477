/* What fusing an elementwise chain saves: ten ops over 64 million floats, op by op and fused, forward and with backward,
 * against one pass over memory (x + y). Medians of a few runs, in seconds and in passes. The number of elements and of
 * runs may be given: fuse [elements] [runs]. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "wengert/wengert.h"

enum { MOST_RUNS = 99 };

/* y = max(tanh((2 x + 1) b - x)^2, 0) x - 3 b, ten ops. */
static void chain(void *self, wg_list in, wg_list out)
{
    (void)self;
    wg_tensor *x = in.t[0], *b = in.t[1];
    wg_tensor *h = wg_square(wg_tanh(wg_sub(wg_mul(wg_affine(x, 2, 1), b), x)));
    h = wg_mul(wg_maximum(h, wg_scalar(0)), x);
    out.t[0] = wg_neg(wg_sub(wg_affine(b, 3, 0), h));
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, ascending);
    return v[n / 2];
}

typedef enum { PASS, PLAIN, FUSED, PLAIN_BOTH, FUSED_BOTH, KINDS } kind;
static const char *const names[KINDS] = { "x + y, one pass", "op by op, forward", "fused, forward",
                                          "op by op, both ways", "fused, both ways" };

static wg_status run(kind k, wg_tensor *x, wg_tensor *b, double *seconds)
{
    wg_scope s = wg_scope_push();
    wg_tensor *y[1], *dy = wg_expand(wg_ones(WG_DIMS()), wg_shape(x));
    const bool both = k >= PLAIN_BOTH;
    const double start = now();
    wg_use_grad(both);
    if (k == PASS)
        wg_add(x, b);
    else if (k == FUSED || k == FUSED_BOTH)
        wg_fuse(chain, NULL, 0, WG_LIST(x, b), ((wg_list) { 1, y }));
    else
        chain(NULL, WG_LIST(x, b), (wg_list) { 1, y });
    if (both) wg_backward(y[0], .cotangent = dy);
    *seconds = now() - start;
    wg_drop_grad(x);
    wg_drop_grad(b);
    return wg_scope_pop(s);
}

int main(int argc, char **argv)
{
    static double t[KINDS][MOST_RUNS];
    const int64_t n = argc > 1 ? atoll(argv[1]) : 64 << 20;
    int runs = argc > 2 ? atoi(argv[2]) : 5;
    if (runs < 1 || runs > MOST_RUNS || n < 1) return 2;
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(n))),
              *b = wg_require_grad(wg_randn(WG_DIMS(n)));
    for (int r = -1; r < runs; r++) /* the first one fetches memory */
        for (kind k = PASS; k < KINDS; k++)
            if (run(k, x, b, &t[k][r < 0 ? 0 : r]) != WG_OK) return wg_error_print(stderr);
    const double pass = median(t[PASS], runs);
    printf("%lld elements, ten ops, %d threads, medians of %d\n", (long long)n, wg_threads(), runs);
    for (kind k = PASS; k < KINDS; k++) {
        const double m = median(t[k], runs);
        printf("%-20s %.4f s, %.2f passes\n", names[k], m, m / pass);
    }
    return wg_scope_pop(s) == WG_OK ? 0 : wg_error_print(stderr);
}
