/* Elements made from their number: ranges, random numbers, one-hot rows, triangles, windows. */
#ifndef WGI_CUDA_MAKE_H
#define WGI_CUDA_MAKE_H
#include "cuda/fault.h"
#include "cuda/pass.h"

typedef enum {
    WGI_MAKE_COUNT,   /* i64: low + i */
    WGI_MAKE_STEPPED, /* a + i b */
    WGI_MAKE_SPACED,  /* `size` values from a to b, counted from the nearer end */
    WGI_MAKE_EYE,     /* 1 where i is a multiple of size + 1 */
    WGI_MAKE_ONE_HOT, /* rows of `size`: 1 where x[row] is the column */
    WGI_MAKE_TRIL,    /* matrices (rows, size) of x: column - row <= low, else 0 */
    WGI_MAKE_TRIU     /* ... >= low */
} wgi_making;

typedef enum {
    WGI_RANDOM_UNIFORM,
    WGI_RANDOM_NORMAL,
    WGI_RANDOM_NARROW, /* i64: low + the high bits of word i times range */
    WGI_RANDOM_WIDE,   /* i64: low + words 2i, 2i + 1 modulo range */
    WGI_RANDOM_TRUTH   /* 1 with probability x[i], else 0 */
} wgi_random_kind;

typedef struct {
    int kind, type; /* of y */
    void *y;        /* (n), contiguous */
    int64_t n;
    const void *x; /* contiguous, of x_type */
    int x_type;
    double a, b;
    int64_t low, size, rows;
    uint64_t range, key, counter;
    wgi_fault_record *fault;
    wgi_fault_source source;
} wgi_make_launch;

/* Rows of weights (rows, size) of `type`, contiguous -> out (rows, draws) i64. */
typedef struct {
    const void *weights;
    int type;
    int64_t rows, size, draws;
    double *cumulated; /* (rows, size) */
    int64_t *out;
    uint64_t key, counter;
    wgi_fault_record *fault;
    wgi_fault_source source;
} wgi_multinomial_launch;

/* y (numel of `shape`, contiguous) = the sums of the windows of x that hold each place of axis. */
typedef struct {
    const void *x;
    void *y;
    int type, ndim, axis;
    int64_t shape[WGI_PASS_AXES], stride[WGI_PASS_AXES]; /* y's shape; x's strides along its axes */
    int64_t inside, windows, size, step, numel;          /* x's stride within a window */
} wgi_fold_launch;

#ifdef __cplusplus
extern "C" {
#endif
void wgi_launch_make(const wgi_make_launch *l, void *stream);
void wgi_launch_random(const wgi_make_launch *l, void *stream);
void wgi_launch_multinomial(const wgi_multinomial_launch *l, void *stream);
void wgi_launch_windows(const wgi_fold_launch *l, void *stream);
#ifdef __cplusplus
}
#endif
#endif
