/* What the norms share: attributes, operands in the type that is computed in, sums over blocks. */
#ifndef WGI_OPS_NORM_H
#define WGI_OPS_NORM_H
#include "cpu/norm.h"
#include "ops/network.h"

typedef struct {
    double eps;
    int64_t groups; /* of group norm */
    bool centered;  /* all but RMS norm */
} wgi_norm_attr;
static inline wgi_norm_attr wgi_norm_of(double eps, int64_t groups, bool centered)
{
    wgi_norm_attr a;
    memset(&a, 0, sizeof a);
    a.eps = eps;
    a.groups = groups;
    a.centered = centered;
    return a;
}

/* x (..., C), weight? (C), and bias? (C) if `bias`, from input `first` on; eps >= 0. */
wg_status wgi_norm_check(const wg_infer *c, int first, bool bias);
/* Output 0 is like x (input `first`); outputs 1, 2 are real, of shape `rest`. */
void wgi_norm_outputs(wg_infer *c, int first, wg_dims rest);
/* The kernels of layer and RMS norm: x, weight?[, bias?] -> y[, mean], rstd. */
wg_status wgi_norm_cpu(const wg_run *r);
wg_status wgi_norm_cuda(const wg_run *r);
/* out (n) = the sum over blocks of partial (blocks, n) real, or added to it; out may be NULL. */
void wgi_norm_sum_blocks(const void *partial, wg_dtype real, int64_t blocks, int64_t n,
                         const wg_tensor *out, bool accumulate);
/* Where output i of a gradient op goes in wg_vjp_apply: input `to`, if it is wanted. */
static inline int wgi_wanted(const wg_vjp *g, int to)
{
    return to < g->dx.n && g->wants[to] ? to : -1;
}
/* References: row r of n elements of x. */
typedef struct {
    double mean, rstd;
} wgi_reference_moments;
wgi_reference_moments wgi_moments(const double *x, int64_t n, bool centered, double eps);
#endif
