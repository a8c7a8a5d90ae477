/* Kernels of the reductions that are folds: sum, mean, max, min, prod, any, all, norm, var, std,
 * logsumexp. */
#include <math.h>

#include "cpu/reduce.h"

static unsigned mask_of(const wg_run *r)
{
    unsigned mask = 0;
    const wgi_reduce_attr *a = r->attr;          /* every attribute of the family begins with it */
    wgi_axes(&a->axes, r->in.t[0]->ndim, &mask); /* the shape rule has checked them */
    return mask;
}

/* out = fold / divisor. */
static wg_status fold_op(const wg_run *r, unsigned mask, const wgi_fold_spec *f, double divisor)
{
    const wg_tensor *x = r->in.t[0], *out = r->out.t[0];
    const wgi_acc kind = wgi_acc_of(x->dtype);
    if (out->numel == 0) return WG_OK;
    void *acc = wgi_fold_place(r, out, kind);
    if (!acc) return WG_EMEM;
    wg_status s = wgi_fold_into(r, x, mask, f, acc);
    if (s != WG_OK) return s;
    wgi_fold_store(out, acc, kind, divisor, r->accumulate);
    return WG_OK;
}

wg_status wgi_cpu_sum(const wg_run *r)
{
    return fold_op(r, mask_of(r), &(wgi_fold_spec) { .op = WGI_FOLD_SUM }, 1);
}

wg_status wgi_cpu_sum_to(const wg_run *r)
{
    const wgi_sum_to_attr *a = r->attr;
    return fold_op(r, wgi_sum_to_mask(r->in.t[0], &a->shape),
                   &(wgi_fold_spec) { .op = WGI_FOLD_SUM }, 1);
}

wg_status wgi_cpu_mean(const wg_run *r)
{
    const unsigned mask = mask_of(r);
    return fold_op(r, mask, &(wgi_fold_spec) { .op = WGI_FOLD_SUM },
                   (double)wgi_reduced_count(r->in.t[0], mask));
}

wg_status wgi_cpu_max(const wg_run *r)
{
    return fold_op(r, mask_of(r), &(wgi_fold_spec) { .op = WGI_FOLD_MAX }, 1);
}

wg_status wgi_cpu_min(const wg_run *r)
{
    return fold_op(r, mask_of(r), &(wgi_fold_spec) { .op = WGI_FOLD_MIN }, 1);
}

wg_status wgi_cpu_prod(const wg_run *r)
{
    return fold_op(r, mask_of(r), &(wgi_fold_spec) { .op = WGI_FOLD_PROD }, 1);
}

/* Sums of zeros and ones would overflow nowhere, but max and min say it directly; over nothing they
 * give the neutral element, which is to be 0 and 1. */
static wg_status truth(const wg_run *r, wgi_fold_op op, bool over_nothing)
{
    const wg_tensor *x = r->in.t[0];
    if (x->numel == 0) {
        memset(wgi_data(r->out.t[0]), over_nothing, (size_t)r->out.t[0]->numel);
        return WG_OK;
    }
    return fold_op(r, mask_of(r), &(wgi_fold_spec) { .op = op, .map = WGI_MAP_NONZERO }, 1);
}

wg_status wgi_cpu_any(const wg_run *r)
{
    return r->out.t[0]->numel == 0 ? WG_OK : truth(r, WGI_FOLD_MAX, false);
}

wg_status wgi_cpu_all(const wg_run *r)
{
    return r->out.t[0]->numel == 0 ? WG_OK : truth(r, WGI_FOLD_MIN, true);
}

/* ---- folds with something before or after: acc in scratch or in out, of n groups ---- */
typedef struct {
    wgi_acc kind;
    unsigned mask;
    int64_t n;
    void *acc;
} groups;

static wg_status groups_start(const wg_run *r, groups *g)
{
    *g = (groups) { wgi_acc_of(r->in.t[0]->dtype), mask_of(r), r->out.t[0]->numel, NULL };
    if (g->n == 0) return WG_OK;
    g->acc = wgi_fold_place(r, r->out.t[0], g->kind);
    return g->acc ? WG_OK : WG_EMEM;
}

static void *groups_scratch(const wg_run *r, const groups *g)
{
    return wg_scratch(r, (size_t)g->n * wgi_acc_bytes(g->kind));
}

static void root(const groups *g, double p)
{
    if (g->kind == WGI_ACC_F32) {
        float *a = g->acc;
        for (int64_t i = 0; i < g->n; i++) a[i] = p == 2 ? sqrtf(a[i]) : powf(a[i], (float)(1 / p));
    } else {
        double *a = g->acc;
        for (int64_t i = 0; i < g->n; i++) a[i] = p == 2 ? sqrt(a[i]) : pow(a[i], 1 / p);
    }
}

wg_status wgi_cpu_norm(const wg_run *r)
{
    const wgi_norm_attr *a = r->attr;
    groups g;
    wg_status s = groups_start(r, &g);
    if (s != WG_OK || g.n == 0) return s;
    wgi_fold_spec f = { .op = WGI_FOLD_SUM, .p = a->p };
    if (isinf(a->p)) {
        f.op = a->p > 0 ? WGI_FOLD_MAX : WGI_FOLD_MIN;
        f.map = WGI_MAP_ABS;
    } else {
        f.map = a->p == 0   ? WGI_MAP_NONZERO
                : a->p == 1 ? WGI_MAP_ABS
                : a->p == 2 ? WGI_MAP_SQUARE
                            : WGI_MAP_POWER;
    }
    s = wgi_fold_into(r, r->in.t[0], g.mask, &f, g.acc);
    if (s != WG_OK) return s;
    if (r->in.t[0]->numel == 0)
        memset(g.acc, 0, (size_t)g.n * wgi_acc_bytes(g.kind)); /* also the maximum over nothing */
    else if (f.map == WGI_MAP_SQUARE || f.map == WGI_MAP_POWER)
        root(&g, a->p);
    wgi_fold_store(r->out.t[0], g.acc, g.kind, 1, r->accumulate);
    return WG_OK;
}

static void divide(const groups *g, void *acc, double divisor)
{
    if (g->kind == WGI_ACC_F32)
        for (int64_t i = 0; i < g->n; i++) ((float *)acc)[i] = (float)(((float *)acc)[i] / divisor);
    else
        for (int64_t i = 0; i < g->n; i++) ((double *)acc)[i] /= divisor;
}

/* Two passes: the mean, then the squares around it. */
static wg_status variance(const wg_run *r, bool deviation)
{
    const wgi_var_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0];
    groups g;
    wg_status s = groups_start(r, &g);
    if (s != WG_OK || g.n == 0) return s;
    const int64_t count = wgi_reduced_count(x, g.mask);
    void *mean = groups_scratch(r, &g);
    if (!mean) return WG_EMEM;
    s = wgi_fold_into(r, x, g.mask, &(wgi_fold_spec) { .op = WGI_FOLD_SUM }, mean);
    if (s != WG_OK) return s;
    divide(&g, mean, (double)count);
    s = wgi_fold_into(
        r, x, g.mask,
        &(wgi_fold_spec) { .op = WGI_FOLD_SUM, .map = WGI_MAP_SQUARE, .centre = mean }, g.acc);
    if (s != WG_OK) return s;
    divide(&g, g.acc, count > a->correction ? (double)count - (double)a->correction : 0.0);
    if (deviation) root(&g, 2);
    wgi_fold_store(r->out.t[0], g.acc, g.kind, 1, r->accumulate);
    return WG_OK;
}

wg_status wgi_cpu_var(const wg_run *r)
{
    return variance(r, false);
}

wg_status wgi_cpu_std(const wg_run *r)
{
    return variance(r, true);
}

/* m + log(sum(exp(x - m))), m the maximum; 0 instead of an infinite m, which exp and log then carry
 * through. */
wg_status wgi_cpu_logsumexp(const wg_run *r)
{
    const wg_tensor *x = r->in.t[0];
    groups g;
    wg_status s = groups_start(r, &g);
    if (s != WG_OK || g.n == 0) return s;
    void *top = groups_scratch(r, &g);
    if (!top) return WG_EMEM;
    s = wgi_fold_into(r, x, g.mask, &(wgi_fold_spec) { .op = WGI_FOLD_MAX }, top);
    if (s != WG_OK) return s;
    if (g.kind == WGI_ACC_F32)
        for (int64_t i = 0; i < g.n; i++)
            ((float *)top)[i] = isinf(((float *)top)[i]) ? 0 : ((float *)top)[i];
    else
        for (int64_t i = 0; i < g.n; i++)
            ((double *)top)[i] = isinf(((double *)top)[i]) ? 0 : ((double *)top)[i];
    s = wgi_fold_into(r, x, g.mask,
                      &(wgi_fold_spec) { .op = WGI_FOLD_SUM, .map = WGI_MAP_EXP, .centre = top },
                      g.acc);
    if (s != WG_OK) return s;
    if (g.kind == WGI_ACC_F32)
        for (int64_t i = 0; i < g.n; i++)
            ((float *)g.acc)[i] = ((float *)top)[i] + logf(((float *)g.acc)[i]);
    else
        for (int64_t i = 0; i < g.n; i++)
            ((double *)g.acc)[i] = ((double *)top)[i] + log(((double *)g.acc)[i]);
    wgi_fold_store(r->out.t[0], g.acc, g.kind, 1, r->accumulate);
    return WG_OK;
}
