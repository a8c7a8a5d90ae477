/* What the door costs: x + b of 4 x 4 with gradients on, a chain of 1,000 ops, repeated; median ns an op of forward,
 * backward and release. One thread. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

enum { CHAIN = 1000, REPEATS = 501 };

int main(void)
{
    static double forward[REPEATS], backward[REPEATS], release[REPEATS];
    wg_use_threads(1);
    wg_scope all = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_ones(WG_DIMS(4, 4))),
              *b = wg_require_grad(wg_ones(WG_DIMS(4, 4)));
    for (int r = 0; r < REPEATS; r++) {
        wg_scope s = wg_scope_push();
        double t0 = now();
        wg_tensor *y = x;
        for (int i = 0; i < CHAIN; i++) y = wg_add(y, b);
        double t1 = now();
        if (wg_backward(y, .cotangent = x) != WG_OK) return wg_error_print(stderr);
        double t2 = now();
        wg_drop_grad(x);
        wg_drop_grad(b);
        if (wg_scope_pop(s) != WG_OK) return wg_error_print(stderr);
        double t3 = now();
        forward[r] = 1e9 * (t1 - t0) / CHAIN;
        backward[r] = 1e9 * (t2 - t1) / CHAIN;
        release[r] = 1e9 * (t3 - t2) / CHAIN;
    }
    printf("x + b of 4 x 4, ns an op: forward %.0f, backward %.0f, release %.0f\n",
           median(forward, REPEATS), median(backward, REPEATS), median(release, REPEATS));
    return wg_scope_pop(all) == WG_OK ? 0 : wg_error_print(stderr);
}
