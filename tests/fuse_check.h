/* What the tests of fused functions share: functions to fuse, and comparing. */
#ifndef FUSE_CHECK_H
#define FUSE_CHECK_H
#include <math.h>
#include <stdlib.h>

#include "autograd_check.h"

/* ---- functions to fuse ------------------------------------------------------------------------------------------ */
/* h = silu(gelu(2 x + 1/2) tanh(x)) - clamp(x), y = 1 + (h where h > 0, else h^2). */
static inline void chain(void *self, wg_list in, wg_list out)
{
    (void)self;
    wg_tensor *x = in.t[0];
    wg_tensor *h = wg_mul(wg_gelu(wg_affine(x, 2, 0.5), false), wg_tanh(x));
    h = wg_sub(wg_silu(h), wg_clamp(x, -0.5, 0.75));
    out.t[0] = wg_add(wg_where(wg_gt(h, wg_scalar(0)), h, wg_square(h)), wg_scalar(1));
}

/* y0 = sigmoid(s a x + b), y1 = (x + b) a. */
static inline void gated(void *self, wg_list in, wg_list out)
{
    const double *scale = self;
    wg_tensor *x = in.t[0], *a = in.t[1], *b = in.t[2];
    out.t[0] = wg_sigmoid(wg_add(wg_mul(wg_mul(x, a), wg_scalar(*scale)), b));
    out.t[1] = wg_mul(wg_add(x, b), a);
}

static inline void product(void *self, wg_list in, wg_list out)
{
    (void)self;
    out.t[0] = wg_mul(wg_tanh(in.t[0]), in.t[1]);
}

static const double one = 1; /* what is given as self */

static inline void run(bool fused, wg_fn fn, wg_list in, wg_list out)
{
    if (fused)
        wg_fuse(fn, &one, sizeof one, in, out);
    else
        fn((void *)(uintptr_t)&one, in, out);
}

/* ---- comparing ---------------------------------------------------------------------------------------------------- */
static inline double *values(wg_tensor *t)
{
    const size_t n = (size_t)wg_numel(t);
    double *v = malloc((n ? n : 1) * sizeof *v);
    ck_assert_int_eq(wg_read(t, v, n * sizeof *v, WG_F64), WG_OK);
    return v;
}

/* relative 0: the same bits. */
static inline void assert_close(const char *what, wg_tensor *got, wg_tensor *want, double relative)
{
    ck_assert_msg(got && want, "%s: %s is missing", what, got ? "the wanted one" : "it");
    ck_assert_int_eq(wg_dtype_of(got), wg_dtype_of(want));
    const wg_dims a = wg_shape(got), b = wg_shape(want);
    ck_assert_msg(a.n == b.n && memcmp(a.d, b.d, (size_t)a.n * sizeof *a.d) == 0,
                  "%s: another shape", what);
    double *g = values(got), *w = values(want);
    for (int64_t i = 0; i < wg_numel(got); i++)
        if (!(fabs(g[i] - w[i]) <= relative * (1 + fabs(w[i]))))
            ck_abort_msg("%s[%lld]: got %.17g, want %.17g", what, (long long)i, g[i], w[i]);
    free(g);
    free(w);
}
#endif
