/* Softmax and log-softmax by rows, and their gradients. */
#ifndef WGI_CPU_SOFTMAX_H
#define WGI_CPU_SOFTMAX_H
#include "cpu/level.h"
#include "cpu/rows.h"

typedef struct {
    wgi_rows x, y; /* forward: x -> y. Backward: dy, y -> dx */
    wgi_rows dy, dx;
    bool log;        /* log-softmax */
    bool accumulate; /* dx is added to */
    void *buffer;    /* (strips, 3, n) of what is computed in */
} wgi_softmax;

/* Index 0: f32 (also for 16 bits), 1: f64. self is a wgi_softmax. */
typedef struct {
    wgi_row_fn forward[2], backward[2];
} wgi_softmax_kernels;
WGI_DECLARE_LEVELS(wgi_softmax_kernels, wgi_softmax_kernels);
#endif
