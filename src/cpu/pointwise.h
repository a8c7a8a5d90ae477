/* Dropout and SwiGLU by tiles. */
#ifndef WGI_CPU_POINTWISE_H
#define WGI_CPU_POINTWISE_H
#include "cpu/level.h"
#include "cpu/tiles.h"

/* Operands: x, y. y_i = x_i / (1 - p) where the uniform of word i (24 bits) is at least p, else 0. */
typedef struct {
    double p;
    uint64_t random[2]; /* Philox key and counter */
    bool accumulate;
} wgi_dropout;

/* Operands: gate, up, y; or gate, up, dy, dgate, dup. */
typedef struct {
    bool accumulate;
} wgi_swiglu;

/* Index 0: f32, 1: f64. self is the struct of its name. */
typedef struct {
    wgi_tile_fn dropout[2], swiglu[2], swiglu_backward[2];
} wgi_pointwise_kernels;
WGI_DECLARE_LEVELS(wgi_pointwise_kernels, wgi_pointwise_kernels);
#endif
