/* Rotary positions: rotations of pairs within rows of D elements. */
#ifndef WGI_CPU_ROPE_H
#define WGI_CPU_ROPE_H
#include "cpu/level.h"
#include "cpu/rows.h"

typedef struct {
    wgi_rows x, y;           /* (.., T, D) */
    const double *position;  /* (positions): (T), or (B, T) */
    const double *frequency; /* (D / 2) */
    void *cos, *sin;         /* (positions, D / 2) real */
    int64_t t, batch_rows;   /* T; rows of one batch where each has positions of its own, else 0 */
    double limit;            /* the largest |position * frequency| */
    bool adjacent;           /* pairs (2k, 2k + 1), not (k, k + D / 2) */
    bool inverse, accumulate;
    void *buffer; /* (strips, 2, D) real */
} wgi_rope;

/* Index 0: f32, 1: f64. self is a wgi_rope. angles fills rows of cos and sin; rotate works on rows of x. */
typedef struct {
    wgi_row_fn angles[2], rotate[2];
} wgi_rope_kernels;
WGI_DECLARE_LEVELS(wgi_rope_kernels, wgi_rope_kernels);
#endif
