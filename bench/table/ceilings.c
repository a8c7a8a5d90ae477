#include <string.h>

#include "table.h"

enum { PRODUCTS = 31, PASSES = 5 };

/* Work a second, from the seconds of n runs of it. */
static rate rate_of(double work, double *seconds, int n)
{
    const double middle = median(seconds, n); /* sorts */
    return (rate) { work / middle, work / seconds[0] };
}

rate product_rate(const settings *s, wg_dtype t)
{
    const int64_t m = s->smoke ? 24 : 2304, n = s->smoke ? 16 : 768;
    double seconds[PRODUCTS];
    const wg_scope all = wg_scope_push();
    wg_use_grad(false);
    wg_tensor *x = wg_cast(wg_randn(WG_DIMS(m, n)), t), *w = wg_cast(wg_randn(WG_DIMS(n, n)), t);
    for (int i = -5; i < PRODUCTS; i++) { /* five to warm up */
        const wg_scope one = wg_scope_push();
        const double start = now();
        wg_linear(x, w, NULL);
        if (i >= 0) seconds[i] = now() - start;
        wg_scope_return(one, NULL);
    }
    wg_scope_return(all, NULL);
    return rate_of(2.0 * (double)m * (double)n * (double)n, seconds, PRODUCTS);
}

rate read_rate(const settings *s)
{
    const size_t bytes = (size_t)1 << (s->smoke ? 20 : 30);
    double seconds[PASSES];
    char *room = aligned_alloc(4096, bytes);
    if (!room) {
        wg_raise(WG_EMEM, "out of memory: %zu bytes to be read", bytes);
        return (rate) { 0 };
    }
    memset(room, 1, bytes);
    for (int i = 0; i < PASSES; i++) seconds[i] = (double)bytes / read_bandwidth(room, bytes);
    free(room);
    return rate_of((double)bytes, seconds, PASSES);
}

int64_t triad_floats(const settings *s)
{
    return (int64_t)1 << (s->smoke ? 12 : 26);
}

rate triad_rate(const settings *s)
{
    const int64_t n = triad_floats(s);
    double seconds[PASSES];
    const wg_scope all = wg_scope_push();
    wg_use_grad(false);
    wg_tensor *x = wg_ones(WG_DIMS(n)), *y = wg_ones(WG_DIMS(n));
    for (int i = -1; i < PASSES; i++) { /* the first touches the result's memory */
        const wg_scope one = wg_scope_push();
        const double start = now();
        wg_add(x, y);
        if (i >= 0) seconds[i] = now() - start;
        wg_scope_return(one, NULL);
    }
    wg_scope_return(all, NULL);
    return rate_of(3.0 * 4.0 * (double)n, seconds, PASSES);
}
