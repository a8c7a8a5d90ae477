/* Normalisation of rows: over the last axis (layer norm; RMS norm, which does not centre), and over groups of channels.
 * Gradients of weight and bias are summed in blocks of rows of a fixed size, then over the blocks in order: the same bits
 * for any number of threads. "real": float or double, by the table's index. */
#ifndef WGI_CPU_NORM_H
#define WGI_CPU_NORM_H
#include "cpu/level.h"
#include "cpu/rows.h"

enum { WGI_NORM_BLOCK = 64 };

typedef struct {
    wgi_rows x, y;             /* forward: x -> y */
    wgi_rows added, sum;       /* add_forward: x + added -> sum -> y */
    wgi_rows dy, dx;           /* backward: dy, x -> dx (may be absent) */
    const void *weight, *bias; /* (n), or (channels) of groups; real; NULL: ones, zeros */
    void *mean, *rstd; /* (rows) real: results of forward (may be NULL), operands of backward */
    double eps;
    bool centered;
    bool accumulate; /* dx is added to */
    void *buffer;    /* (strips, 3, n) real */
    void *dweight,
        *dbias; /* (blocks, n) real partial sums; groups: (rows, channels of a group); NULL: not wanted */
    int64_t groups, run; /* groups only: their number, and elements of one channel */
} wgi_norm;

/* Index 0: f32, 1: f64. self is a wgi_norm. The forward ones, and both of the groups, work on rows; backward on blocks. */
typedef struct {
    wgi_row_fn forward[2], add_forward[2], backward[2];
    wgi_row_fn group_forward[2], group_backward[2];
} wgi_norm_kernels;
WGI_DECLARE_LEVELS(wgi_norm_kernels, wgi_norm_kernels);
#endif
