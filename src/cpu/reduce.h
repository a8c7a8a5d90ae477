/* Reductions over any axes of strided tensors. One engine (the fold) cuts the reduced elements into
 * blocks of a fixed size and joins them pairwise, so that the bits depend on shape and strides
 * alone, never on the number of threads. */
#ifndef WGI_CPU_REDUCE_H
#define WGI_CPU_REDUCE_H
#include "cpu/fold_kind.h"
#include "tensor/internal.h"
#include "wengert/op.h"

/* ---- attributes of the reduce family ---- */
typedef struct {
    wg_dims axes;
    bool keepdim;
} wgi_reduce_attr;
typedef struct {
    wg_dims shape;
} wgi_sum_to_attr;
typedef struct {
    wg_dims axes;
    bool keepdim;
    double p;
} wgi_norm_attr;
typedef struct {
    wg_dims axes;
    bool keepdim;
    int64_t correction;
} wgi_var_attr;

/* ---- the fold: acc = op over the reduced elements of map(x) ---- */
typedef struct {
    wgi_fold_op op;
    wgi_map map;
    double p;
    const void *centre; /* (kept) of the accumulator's type: taken from x first; NULL: nothing is */
} wgi_fold_spec;

wgi_acc wgi_acc_of(int dtype);
wg_dtype wgi_acc_dtype(wgi_acc a);
static inline size_t wgi_acc_bytes(wgi_acc a)
{
    return a == WGI_ACC_F32 ? 4 : 8;
}

/* acc (kept, row-major over the axes of x that mask leaves): the fold of each group of reduced
 * elements; the op's neutral element where there are none. NaN propagates. Scratch comes from the
 * door. */
wg_status wgi_fold_into(const wg_run *r, const wg_tensor *x, unsigned mask, const wgi_fold_spec *f,
                        void *acc);
/* out (any strides, any dtype) = acc / divisor, or out += acc / divisor; acc: (out's numel),
 * row-major. */
void wgi_fold_store(const wg_tensor *out, const void *acc, wgi_acc kind, double divisor,
                    bool accumulate);
/* Where acc may live: in out itself if it is contiguous, of the accumulator's dtype and not added
 * to; else scratch. NULL: out of memory (raised). */
void *wgi_fold_place(const wg_run *r, const wg_tensor *out, wgi_acc kind);

/* How many elements and groups there are. */
int64_t wgi_reduced_count(const wg_tensor *x, unsigned mask);
int64_t wgi_kept_count(const wg_tensor *x, unsigned mask);
/* The axes of x that summing to `shape` takes away or down to 1 (shape broadcasts to x's). */
unsigned wgi_sum_to_mask(const wg_tensor *x, const wg_dims *shape);

/* ---- functions per instruction-set level: reduce_kernels.c ---- */
typedef struct {
    /* acc[0] = fold of p[0 .. n), n >= 1, by a tree fixed by n */
    void (*run[WGI_FOLD_OPS][WGI_ACC_KINDS])(void *acc, const void *p, int64_t n);
    /* acc[j] = op(acc[j], fold of p[i * stride + j] over i < rows), j < w */
    void (*columns[WGI_FOLD_OPS][WGI_ACC_KINDS])(void *acc, const void *p, int64_t rows,
                                                 int64_t stride, int64_t w);
    /* to[i] = from[i * stride] as the accumulator's type */
    void (*pack[WG_DTYPE_COUNT])(void *to, const void *from, int64_t n, int64_t stride);
    /* p (rows, w) in place; centre: (w) */
    void (*map[WGI_ACC_KINDS])(const wgi_fold_spec *f, void *p, int64_t rows, int64_t w,
                               const void *centre);
} wgi_fold_kernels;
const wgi_fold_kernels *wgi_fold_table(void);

/* ---- kernels of the ops ---- */
wg_status wgi_cpu_sum(const wg_run *r);
wg_status wgi_cpu_sum_to(const wg_run *r);
wg_status wgi_cpu_mean(const wg_run *r);
wg_status wgi_cpu_max(const wg_run *r);
wg_status wgi_cpu_min(const wg_run *r);
wg_status wgi_cpu_prod(const wg_run *r);
wg_status wgi_cpu_any(const wg_run *r);
wg_status wgi_cpu_all(const wg_run *r);
wg_status wgi_cpu_norm(const wg_run *r);
wg_status wgi_cpu_var(const wg_run *r);
wg_status wgi_cpu_std(const wg_run *r);
wg_status wgi_cpu_logsumexp(const wg_run *r);
wg_status wgi_cpu_argmax(const wg_run *r);
wg_status wgi_cpu_argmin(const wg_run *r);
#endif
