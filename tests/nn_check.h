/* What the tests of modules share. */
#ifndef NN_CHECK_H
#define NN_CHECK_H
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suite.h"

/* This error must be pending, with `part` in its message; clears it. */
static inline void fails(wg_status code, const char *part)
{
    const wg_error *e = wg_error_get();
    ck_assert_msg(e != NULL, "no error where %s was due (%s)", wg_status_name(code), part);
    char text[1024];
    wg_status got = e->code;
    snprintf(text, sizeof text, "%s", e->message);
    wg_error_clear();
    ck_assert_msg(got == code && strstr(text, part), "%s where %s (%s) was due: %s",
                  wg_status_name(got), wg_status_name(code), part, text);
}

/* A test's own scope, with the random numbers of every run. */
static inline wg_scope begin(void)
{
    wg_seed(1234);
    return wg_scope_push();
}

static inline int64_t live(void)
{
    return wg_memory_stats(wg_cpu()).tensors;
}

/* The largest |x - y| over the largest |y|; infinite where one of them is NaN, or only one infinite. */
static inline double distance(wg_tensor *x, wg_tensor *y)
{
    ck_assert_int_eq(wg_numel(x), wg_numel(y));
    size_t n = (size_t)wg_numel(x);
    double *a = malloc((n + 1) * sizeof *a), *b = malloc((n + 1) * sizeof *b), far = 0, most = 0;
    ck_assert(a && b);
    ck_assert_int_eq(wg_read(x, a, n * sizeof *a, WG_F64), WG_OK);
    ck_assert_int_eq(wg_read(y, b, n * sizeof *b, WG_F64), WG_OK);
    for (size_t i = 0; i < n; i++) {
        const double gap = a[i] == b[i] ? 0 : fabs(a[i] - b[i]);
        if (!(gap <= far)) far = isnan(gap) ? INFINITY : gap; /* NaN is not passed over */
        if (fabs(b[i]) > most) most = fabs(b[i]);
    }
    free(a);
    free(b);
    return most > 0 ? far / most : far;
}

/* The same bits, whatever they mean. */
static inline bool same_bits(wg_tensor *x, wg_tensor *y)
{
    if (!x || !y || wg_dtype_of(x) != wg_dtype_of(y) || wg_numel(x) != wg_numel(y)) return false;
    size_t bytes = (size_t)wg_numel(x) * wg_dtype_size(wg_dtype_of(x));
    void *a = malloc(bytes + 1), *b = malloc(bytes + 1);
    bool same = a && b && wg_read(x, a, bytes, wg_dtype_of(x)) == WG_OK &&
                wg_read(y, b, bytes, wg_dtype_of(y)) == WG_OK && memcmp(a, b, bytes) == 0;
    free(a);
    free(b);
    return same;
}

/* Every gradient of m's parameters, copied, in order; ends up in the innermost scope. */
static inline wg_list gradients(wg_module *m)
{
    wg_params ps = wg_module_params(m);
    wg_list out = wg_list_new(ps.n);
    for (int64_t i = 0; i < ps.n; i++) {
        wg_tensor *g = wg_grad_of(ps.p[i].tensor);
        ck_assert_msg(g != NULL, "%s has no gradient", ps.p[i].name);
        out.t[i] = wg_affine(g, 1, 0);
        wg_drop_grad(ps.p[i].tensor);
    }
    return out;
}
#endif
