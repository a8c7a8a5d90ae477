/* An op or a layer on the CPU and on a CUDA device (or the emulated one): the same values, the same gradients. */
#ifndef WENGERT_TESTS_DEVICE_COMPARE_H
#define WENGERT_TESTS_DEVICE_COMPARE_H
#include <stdio.h>

#include "suite.h"

static inline bool no_device(void)
{
    if (wg_cuda_device_count() > 0) return false;
    printf("skipped: no CUDA device\n");
    return true;
}

typedef struct {
    const char *what;
    wg_fn fn; /* of tensors on one device */
    void *self;
    int n_out;
    double tolerance; /* of the largest element */
} problem;

static inline void check_close(const problem *p, const char *kind, int64_t i, wg_tensor *got,
                               wg_tensor *want)
{
    got = wg_cast(wg_to(got, wg_cpu()), WG_F64);
    want = wg_cast(want, WG_F64);
    if (wg_numel(want) == 0) return;
    const double worst = wg_item(wg_max(wg_abs(wg_sub(got, want)), WG_ALL, false)),
                 size = wg_item(wg_max(wg_abs(want), WG_ALL, false));
    expect_no_error();
    ck_assert_msg(worst <= p->tolerance * size, "%s: %s %lld: %g of %g", p->what, kind,
                  (long long)i, worst, size);
}

/* Values, then gradients of <dy, fn(in)>, from wg_backward: two passes, so that places are added into. */
static inline void run_on(const problem *p, wg_device d, wg_list in, wg_list dy, wg_list y,
                          wg_list dx)
{
    wg_list leaves = wg_list_new(in.n);
    for (int64_t i = 0; i < in.n; i++)
        leaves.t[i] = in.t[i] ? wg_require_grad(wg_detach(wg_to(in.t[i], d))) : NULL;
    for (int pass = 0; pass < 2; pass++) {
        wg_tensor *loss = NULL;
        p->fn(p->self, leaves, y);
        for (int j = 0; j < p->n_out; j++) {
            wg_tensor *part = wg_sum(wg_mul(y.t[j], wg_to(dy.t[j], d)), WG_ALL, false);
            loss = loss ? wg_add(loss, part) : part;
        }
        wg_backward(loss);
    }
    expect_no_error();
    for (int64_t i = 0; i < in.n; i++) dx.t[i] = in.t[i] ? wg_grad_of(leaves.t[i]) : NULL;
}

static inline void compare(const problem *p, wg_list in, wg_list dy)
{
    wg_list y = wg_list_new(p->n_out), dx = wg_list_new(in.n), yc = wg_list_new(p->n_out),
            dxc = wg_list_new(in.n);
    run_on(p, wg_cuda(0), in, dy, y, dx);
    run_on(p, wg_cpu(), in, dy, yc, dxc);
    for (int j = 0; j < p->n_out; j++) check_close(p, "output", j, y.t[j], yc.t[j]);
    for (int64_t i = 0; i < in.n; i++)
        if (in.t[i]) check_close(p, "gradient", i, dx.t[i], dxc.t[i]);
}

static const struct {
    wg_dtype type;
    double tolerance; /* for sums of some thousands; 16 bits: a unit in the last place */
} types[] = { { WG_F64, 1e-12 }, { WG_F32, 1e-5 }, { WG_BF16, 1.6e-2 }, { WG_F16, 2e-3 } };

#endif
