/* Losses of one value a place: forward as elements or as a sum by tiles, and gradients. */
#ifndef WGI_CPU_LOSS_H
#define WGI_CPU_LOSS_H
#include "cpu/level.h"
#include "cpu/loss_kind.h"
#include "cpu/tiles.h"

/* Operands of the tiles: x, target, weight (or absent), positive weight (or absent), then
 * forward: elements (or absent); backward: dy per element (or absent), gradient. */
enum {
    WGI_LOSS_X,
    WGI_LOSS_TARGET,
    WGI_LOSS_WEIGHT,
    WGI_LOSS_POS_WEIGHT,
    WGI_LOSS_OUT,
    WGI_LOSS_DX
};

typedef struct {
    wgi_loss_kind kind;
    double delta;    /* Huber's */
    double *partial; /* forward without elements: (tiles) sums, zeroed */
    double dy;       /* backward without dy per element: the same for all */
    bool of_target;  /* backward: the target's gradient, not x's */
    bool accumulate;
} wgi_loss;

/* Index 0: f32, 1: f64. self is a wgi_loss. */
typedef struct {
    wgi_tile_fn forward[2], backward[2];
} wgi_loss_kernels;
WGI_DECLARE_LEVELS(wgi_loss_kernels, wgi_loss_kernels);
#endif
