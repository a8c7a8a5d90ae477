/* What sdpa and its gradient share. */
#ifndef WGI_OPS_SDPA_H
#define WGI_OPS_SDPA_H
#include "cpu/attention.h"
#include "ops/registry.h"
#include "tensor/internal.h"

typedef struct {
    double scale, dropout;
    int64_t window;
    uint64_t random[2]; /* the gradient only: what the forward kernel got */
    bool is_causal;
} wgi_sdpa_attr;

/* q, k, v, mask against each other; raises. */
wg_status wgi_sdpa_check(const wgi_sdpa_attr *attr, const wg_tensor *q, const wg_tensor *k,
                         const wg_tensor *v, const wg_tensor *mask);
/* The kernels' view of a call. */
wgi_attention wgi_sdpa_problem(const wgi_sdpa_attr *attr, const wg_tensor *q, const wg_tensor *k,
                               const wg_tensor *v, const wg_tensor *mask);
/* t as (B, H, T, D), or (B, H, T, 1) with `rows`: t has no D. NULL: absent. */
wgi_operand wgi_sdpa_operand(const wg_tensor *t, bool rows);
/* Queries times keys that take part, over all heads and the batch. */
double wgi_sdpa_pairs(const wgi_attention *a);
/* The references' row: p (Tk) = softmax of query i's scores, factor (Tk) = dropout's; returns log of the sum of exp. */
double wgi_sdpa_reference_row(const wgi_attention *a, int64_t b, int64_t h, int64_t i, double *p,
                              double *factor);
#endif
