/* What losses over classes share: targets, weights, the reduction over rows. */
#ifndef WGI_OPS_CLASS_LOSS_H
#define WGI_OPS_CLASS_LOSS_H
#include "ops/network.h"

typedef struct {
    int64_t ignore;  /* rows of this class do not count */
    bool ignore_set; /* by the user */
    double smoothing;
    wg_reduction reduction;
} wgi_class_loss_attr;
enum { WGI_IGNORE = -100 }; /* as PyTorch, where the user says nothing */

static inline wgi_class_loss_attr wgi_class_loss(wg_maybe ignore, double smoothing,
                                                 wg_reduction reduction)
{
    wgi_class_loss_attr a;
    memset(&a, 0, sizeof a);
    a.ignore = ignore.set ? ignore.value : WGI_IGNORE;
    a.ignore_set = ignore.set;
    a.smoothing = smoothing;
    a.reduction = reduction;
    return a;
}

/* Checks x (..., V), target, weight (V), the inputs from `first` on, and the attribute; `name` is
 * x's. Fills outputs 0 to 2: the loss, one real per row (hidden), the mean's denominator (hidden).
 */
wg_status wgi_class_loss_infer(wg_infer *c, int first, const char *name);

/* A class loss on its way through a kernel: its operands as the row kernels want them. */
typedef struct {
    const wgi_class_loss_attr *attr;
    wg_dtype type; /* WG_F32 or WG_F64: "real" */
    int64_t rows, classes;
    const int64_t *target; /* (rows); NULL where targets are probabilities */
    const void *weight;    /* (classes) real, or NULL */
} wgi_classes;
/* Reads the inputs from `first` on: x, target, weight. Raises WG_EINDEX for a target out of range.
 */
wg_status wgi_classes_read(const wg_run *r, int first, wgi_classes *c);
/* What a mean divides by: the sum of the weights of rows that count; the number of rows for
 * probabilities; else 1. */
double wgi_class_denominator(const wgi_classes *c);
/* Writes output 0 from the rows' losses (rows) and output `at`, the denominator. */
void wgi_class_reduce(const wg_run *r, const wgi_classes *c, const void *loss, int at);
/* The cotangent of every row, (rows) real: dy over denominator, or dy's own row. */
wg_status wgi_class_scale(const wg_run *r, const wgi_classes *c, const wg_tensor *dy,
                          const wg_tensor *denominator, const void **out);

/* For composites: rows (...) with ignored ones taken out, reduced as the attribute says; counts:
 * what they weigh. */
wg_tensor *wgi_class_reduced(wg_tensor *rows, wg_tensor *counts, const wgi_class_loss_attr *a);
/* The same for references. loss and count: (rows). */
void wgi_class_reference(const wg_run *r, const double *loss, double count, int64_t rows);
/* For composites with target classes: where they count (bool), themselves with 0 where they do not,
 * and weight[target] as x's dtype, 0 where they do not count. */
typedef struct {
    wg_tensor *ignored, *safe, *weight;
} wgi_class_parts;
wgi_class_parts wgi_class_parts_of(wg_tensor *x, wg_tensor *target, wg_tensor *weight,
                                   const wgi_class_loss_attr *a);
#endif
