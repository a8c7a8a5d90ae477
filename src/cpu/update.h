/* Optimizers' passes over a parameter: one read and one write of everything, in tiles, any strides and dtypes. */
#ifndef WGI_CPU_UPDATE_H
#define WGI_CPU_UPDATE_H
#include "cpu/level.h"
#include "cpu/tiles.h"

typedef struct {
    double keep;  /* 1 - lr * decay, what decoupled decay leaves of p */
    double decay; /* of L2 decay: added to g */
    double beta1, beta2, eps;
    double step_size, root_factor; /* lr / (1 - beta1^t), 1 / sqrt(1 - beta2^t) */
} wgi_adam_numbers;

typedef struct {
    double lr, decay, momentum, undamped; /* undamped: 1 - dampening, 1 at the first step */
    bool nesterov;
} wgi_sgd_numbers;

typedef struct {
    double lr, keep, beta1, beta2;
} wgi_lion_numbers;

/* Operands of the tiles: p, g, then the state. Index 0: computed in f32, 1: in f64. self: the numbers; `squares` wants
 * double *(tiles), one sum of squares a tile; `scale` wants double *. */
typedef struct {
    wgi_tile_fn adam[2], sgd[2], sgd_momentum[2], lion[2], squares[2], scale[2];
} wgi_update_kernels;
WGI_DECLARE_LEVELS(wgi_update_kernels, wgi_update_kernels);
#endif
