/* What linear_cross_entropy and its gradient share. */
#ifndef WGI_OPS_LINEAR_CROSS_ENTROPY_H
#define WGI_OPS_LINEAR_CROSS_ENTROPY_H
#include "cpu/cross_entropy.h"
#include "ops/class_loss.h"

typedef struct {
    wgi_class_loss_attr loss; /* first: what losses over classes share reads it */
    int64_t chunk;            /* rows; 0: by bytes */
} wgi_linear_loss_attr;

/* linear_cross_entropy's outputs from this one on, if it has them: the gradients for a cotangent of the denominator. */
enum { WGI_LINEAR_LOSS_DX = 3, WGI_LINEAR_LOSS_DW, WGI_LINEAR_LOSS_DBIAS };

/* A call seen as rows: logits (N, V) = x (N, C) w^T + bias, never whole. */
typedef struct {
    const wgi_linear_loss_attr *attr;
    wg_tensor *x, *w, *bias; /* contiguous */
    wgi_classes
        classes;     /* N rows, V classes, targets, and the dtype of logits and losses: "real" */
    int64_t c, rows; /* rows at a time */
} wgi_linear_loss;

/* Logits of n rows from `first` on, of v classes from `from` on. */
typedef struct {
    int64_t first, n, from, v;
} wgi_logits;

/* Classes of a tile: a multiple of the lanes of sums. */
enum { WGI_LOGITS_STRIP = 384 };
static inline int64_t wgi_logits_strips(int64_t classes)
{
    return (classes + WGI_LOGITS_STRIP - 1) / WGI_LOGITS_STRIP;
}

wg_status wgi_linear_loss_check(const wg_infer *c, const wg_tensor *bias);
/* On CUDA, of n rows those of a chunk with so many bytes of logits at most: where there are many, equal parts of whole tiles
 * of products. */
int64_t wgi_linear_loss_chunk(int64_t n, int64_t classes, wg_dtype type, int64_t bytes);
/* f64 if one of them is, else f32. */
wg_dtype wgi_linear_loss_dtype(const wg_tensor *x, const wg_tensor *w, const wg_tensor *bias);
/* Reads targets; raises. Inputs 0, 1, 2 of r are x, w, target. */
wg_status wgi_linear_loss_begin(const wg_run *r, wg_tensor *bias, wgi_linear_loss *l);
/* Makes these logits, `from` being the first class of a strip, in tiles of a strip's classes and some hundred rows, and has
 * each spent by the thread that has it in its cache. Tiles depend on the shape alone. */
typedef void (*wgi_logits_use)(void *self, const wgi_cross_entropy *tile, const wgi_logits *at);
wg_status wgi_linear_loss_tiles(const wgi_linear_loss *l, const wgi_logits *all, wgi_logits_use use,
                                void *self);
/* Element i of a contiguous tensor. */
static inline void *wgi_element(const wg_tensor *t, int64_t i)
{
    return (char *)wgi_data(t) + (size_t)i * wg_dtype_size((wg_dtype)t->dtype);
}
/* Element i of p (real). */
static inline void *wgi_linear_loss_at(const wgi_linear_loss *l, const void *p, int64_t i)
{
    return (char *)(uintptr_t)p + (size_t)i * wg_dtype_size(l->classes.type);
}
#endif
