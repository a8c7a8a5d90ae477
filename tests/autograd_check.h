/* What the tests of the tape share. */
#ifndef AUTOGRAD_CHECK_H
#define AUTOGRAD_CHECK_H
#include <string.h>

#include "suite.h"

static inline wg_tensor *leaf(double v)
{
    return wg_require_grad(wg_full(WG_DIMS(2, 3), v));
}

static inline void assert_all(wg_tensor *t, double want)
{
    ck_assert_ptr_nonnull(t);
    double v[64];
    ck_assert_int_le(wg_numel(t), 64);
    ck_assert_int_eq(wg_read(t, v, (size_t)wg_numel(t) * sizeof *v, WG_F64), WG_OK);
    for (int64_t i = 0; i < wg_numel(t); i++) ck_assert_double_eq_tol(v[i], want, 1e-5);
}

static inline wg_tensor *total(wg_tensor *t)
{
    return wg_sum(t, WG_ALL, false);
}

static inline void end(wg_scope s)
{
    if (wg_error_code()) ck_abort_msg("%s", wg_error_get()->message);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
#endif
