/* What linear_cross_entropy and its gradient share. */
#ifndef WGI_OPS_LINEAR_CROSS_ENTROPY_H
#define WGI_OPS_LINEAR_CROSS_ENTROPY_H
#include "cpu/cross_entropy.h"
#include "ops/class_loss.h"

typedef struct {
    wgi_class_loss_attr loss; /* first: what losses over classes share reads it */
    int64_t chunk;            /* rows; 0: by bytes */
} wgi_linear_loss_attr;

/* A call seen as rows: logits (N, V) = x (N, C) w^T + bias, `chunk` rows of them at a time. */
typedef struct {
    const wgi_linear_loss_attr *attr;
    wg_tensor *x, *w, *bias; /* contiguous */
    wgi_classes
        classes; /* N rows, V classes, targets, and the dtype of logits and losses: "real" */
    int64_t c, chunk;
    void *logits; /* (chunk, V) real */
} wgi_linear_loss;

wg_status wgi_linear_loss_check(const wg_infer *c, const wg_tensor *bias);
/* Of n rows those of a chunk with so many bytes of logits at most, by shape alone: where there are many, equal parts of whole
 * tiles of products. */
int64_t wgi_linear_loss_chunk(int64_t n, int64_t classes, wg_dtype type, int64_t bytes);
/* f64 if one of them is, else f32. */
wg_dtype wgi_linear_loss_dtype(const wg_tensor *x, const wg_tensor *w, const wg_tensor *bias);
/* Finds memory and reads targets; raises. Inputs 0, 1, 2 of r are x, w, target. */
wg_status wgi_linear_loss_begin(const wg_run *r, wg_tensor *bias, wgi_linear_loss *l);
/* Rows [first, first + n) of the logits into l->logits. */
wg_status wgi_linear_loss_logits(const wgi_linear_loss *l, int64_t first, int64_t n);
/* The row kernels' view of those rows. */
wgi_cross_entropy wgi_linear_loss_rows(const wgi_linear_loss *l, int64_t first, int64_t n);
/* Element i of p (real). */
static inline void *wgi_linear_loss_at(const wgi_linear_loss *l, const void *p, int64_t i)
{
    return (char *)(uintptr_t)p + (size_t)i * wg_dtype_size(l->classes.type);
}
#endif
