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

enum { MOST = 2 }; /* outputs of a function to compare */

/* The function's outputs and the gradients of <cotangents, outputs>, fused and op by op. relative: of the values and of
 * the gradients of inputs that were not broadcast; summed: of the others. */
static inline void compare(wg_fn fn, int outputs, wg_list in, double relative, double summed)
{
    wg_tensor *y[2][MOST], *dx[2][8], *dy[MOST];
    for (int fused = 0; fused < 2; fused++) {
        wg_list leaves = wg_list_new(in.n), wanted = wg_list_new(in.n);
        wg_list out = { outputs, y[fused] };
        wanted.n = 0;
        for (int64_t i = 0; i < in.n; i++) {
            leaves.t[i] = in.t[i];
            if (!in.t[i] || !wg_dtype_is_float(wg_dtype_of(in.t[i]))) continue;
            leaves.t[i] = wanted.t[wanted.n++] = wg_require_grad(wg_detach(in.t[i]));
        }
        run(fused, fn, leaves, out);
        expect_no_error();
        for (int j = 0; j < outputs && !fused; j++)
            dy[j] = wg_cast(wg_randn(wg_shape(y[0][j])), wg_dtype_of(y[0][j]));
        wg_list d = { wanted.n, dx[fused] };
        ck_assert_int_eq(wg_grad(out, wanted, (wg_list) { outputs, dy }, WG_ALLOW_UNUSED, d),
                         WG_OK);
    }
    for (int j = 0; j < outputs; j++) assert_close("y", y[1][j], y[0][j], relative);
    for (int64_t i = 0, k = 0; i < in.n; i++) {
        if (!in.t[i] || !wg_dtype_is_float(wg_dtype_of(in.t[i]))) continue;
        const bool sum = wg_numel(in.t[i]) < wg_numel(y[0][0]);
        if (dx[0][k] || dx[1][k]) /* else no output depends on it */
            assert_close("dx", dx[1][k], dx[0][k], sum ? summed : relative);
        k++;
    }
}
#endif
