/* Cross-entropy by rows of logits (rows, V), for the op and for losses that make their logits in parts. A row's masses b (V)
 * are weight * target distribution: loss = sum_j b_j (lse - x_j), dx_j = scale (sum(b) exp(x_j - lse) - b_j). */
#ifndef WGI_CPU_CROSS_ENTROPY_H
#define WGI_CPU_CROSS_ENTROPY_H
#include <math.h>

#include "cpu/level.h"
#include "cpu/rows.h"

/* What some classes of a row give: with their maximum m, or 0 where all are -inf, sum_j exp(x_j - m), sum_j b_j (m - x_j) and
 * sum_j b_j. Where no mass is negative no term is, and nothing cancels. Parts are joined in any order that is fixed. */
typedef struct {
    double max, sum, gap, mass;
} wgi_loss_part;
#define WGI_NO_LOSS_PART ((wgi_loss_part) { .max = -INFINITY })
wgi_loss_part wgi_loss_join(wgi_loss_part a, wgi_loss_part b);
typedef struct {
    double loss, lse;
} wgi_row_loss;
wgi_row_loss wgi_loss_of(wgi_loss_part whole);

/* "real": float or double, by the dtype given to the functions below. */
typedef struct {
    wgi_rows logits; /* (rows, V) any float dtype */
    int64_t from,
        classes; /* logits' first class, and all that a row has: others may hold the rest */
    const int64_t *target; /* (rows) classes in [0, classes) or `ignore`; or NULL, then: */
    wgi_rows probs;        /* (rows, V) distributions */
    const void *weight;    /* (V) real; NULL: ones */
    int64_t ignore;        /* rows of this class have loss 0 and gradient 0 */
    double smoothing;      /* in [0, 1]: this part of the mass is spread over all classes */
    void *loss, *lse;      /* (rows) real: results of forward; lse is an operand of backward */
    wgi_loss_part *parts;  /* (rows): results of part */
    const void *scale;     /* (rows) real: the rows' cotangents */
    wgi_rows dlogits;      /* (rows, V): may be the logits themselves, or narrower rows over
                            * the front of theirs */
    bool accumulate;
} wgi_cross_entropy;

/* loss and logsumexp of every row; t: WG_F32 or WG_F64. Rows are independent of each other and of
 * the threads. */
void wgi_cross_entropy_rows(const wgi_cross_entropy *c, wg_dtype t);
/* dlogits, from logits and lse. */
void wgi_cross_entropy_rows_backward(const wgi_cross_entropy *c, wg_dtype t);

/* Logits that are some of the classes only, on the calling thread, each in its rows: their parts, and dlogits. Targets are
 * classes, without weights. */
void wgi_cross_entropy_part(const wgi_cross_entropy *c, wg_dtype t);
void wgi_cross_entropy_part_backward(const wgi_cross_entropy *c, wg_dtype t);

/* Index 0: f32, 1: f64. self is a const wgi_cross_entropy. */
typedef struct {
    wgi_row_fn forward[2], part[2], backward[2];
} wgi_cross_entropy_kernels;
WGI_DECLARE_LEVELS(wgi_cross_entropy_kernels, wgi_cross_entropy_kernels);
#endif
