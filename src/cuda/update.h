/* Optimizers' updates and the norm of gradients: one launch for many tensors. The host writes a table of contiguous tensors,
 * which the kernel gets by value; a block takes chunks of fixed size, which stand in the row of all tensors' chunks. Plain,
 * for C and CUDA. */
#ifndef WGI_CUDA_UPDATE_H
#define WGI_CUDA_UPDATE_H
#include "cuda/pass.h"
#include "cpu/update_rule.h"

enum {
    WGI_UPDATE_CHUNK = 16384, /* elements of a chunk */
    WGI_UPDATE_ENTRIES = 256  /* tensors of a launch: the table fits into a kernel's 32,764 bytes */
};

/* Operands of an entry and of a pass. */
enum {
    WGI_UPDATE_P,
    WGI_UPDATE_G,
    WGI_UPDATE_LOW,
    WGI_UPDATE_STATE,
    WGI_UPDATE_OPERANDS = WGI_UPDATE_STATE + 2
};

typedef struct {
    void *data[WGI_UPDATE_OPERANDS]; /* NULL: absent */
    int64_t n, first;                /* elements; chunks of the entries before it */
    int64_t *taken;                  /* steps taken; NULL: the host counts */
    double lr;                       /* of the step that the device counts */
    wgi_update_numbers numbers;
    uint8_t type[WGI_UPDATE_OPERANDS]; /* wg_dtype */
    bool plain;                        /* p, g and the state are f32 at multiples of 16 bytes */
} wgi_update_entry;

typedef struct {
    wgi_update_rule rule;
    bool f64; /* what is computed in; else f32 */
    int n;
    int64_t chunks;
    const void *factor; /* one element: what g is multiplied by; NULL: 1 */
    int factor_type;
    double *
        at; /* (n, 2) rate and part of each entry's step, where a step is counted on the device; NULL: the entries' */
    wgi_update_entry entry[WGI_UPDATE_ENTRIES];
} wgi_update_table;

/* A tensor of other strides by itself. */
typedef struct {
    wgi_pass pass; /* WGI_UPDATE_OPERANDS operands */
    wgi_update_rule rule;
    wgi_update_numbers numbers;
    bool f64;
    const void *factor;
    int factor_type;
    const double *at; /* (2), or NULL */
} wgi_update_pass;

/* Appends e, all but `first` and `plain` of it given; false: the table is full. update_plan.c */
#ifdef __cplusplus
extern "C" {
#endif
bool wgi_update_add(wgi_update_table *t, const wgi_update_entry *e);
#ifdef __cplusplus
}
#endif

/* The entry that has chunk `at`: the last that begins at or before it, since empty ones stand before it. */
WGI_BOTH int wgi_update_entry_of(const wgi_update_table *t, int64_t at)
{
    int low = 0, high = t->n - 1;
    while (low < high) {
        const int middle = low + (high - low + 1) / 2;
        if (t->entry[middle].first <= at)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

typedef struct {
    double max_norm;
    bool scaled;
    const void *norm, *scale; /* scale NULL: 1 */
    int norm_type, scale_type;
    double *factor;
} wgi_clip_factor_launch;

typedef struct {
    wgi_loss_scale_rule rule;
    const void *norm;
    void *scale;
    int norm_type, scale_type;
    int64_t *good, *skipped; /* skipped NULL: nobody counts */
} wgi_loss_scale_launch;

#ifdef __cplusplus
extern "C" {
#endif
/* at (n, 2), and the counts go up unless the factor says that this is no step. */
void wgi_launch_update_counts(const wgi_update_table *t, void *stream);
void wgi_launch_update(const wgi_update_table *t, void *stream);
void wgi_launch_update_pass(const wgi_update_pass *p, void *stream);
/* partial (t->chunks): the sum of squares of each chunk of the entries' g, in f64, in an order fixed by its size. */
void wgi_launch_squares(const wgi_update_table *t, double *partial, void *stream);
void wgi_launch_clip_factor(const wgi_clip_factor_launch *l, void *stream);
void wgi_launch_loss_scale(const wgi_loss_scale_launch *l, void *stream);
#ifdef __cplusplus
}
#endif
#endif
