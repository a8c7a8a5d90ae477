/* Optimizers' passes over parameters: one read and one write of everything, in tiles, any strides and dtypes. */
#ifndef WGI_CPU_UPDATE_H
#define WGI_CPU_UPDATE_H
#include "cpu/level.h"
#include "cpu/tiles.h"
#include "cpu/update_rule.h"

/* Operands of an update's tiles. */
enum { WGI_TILE_P, WGI_TILE_G, WGI_TILE_LOW, WGI_TILE_STATE };

/* What a tile of an update gets. */
typedef struct {
    wgi_update_rule rule;
    wgi_update_numbers numbers;
    double factor; /* of g; 1: none */
} wgi_update_tile;

/* Index 0: computed in f32, 1: in f64. `update`, by rule: self is a wgi_update_tile; `squares` wants double *(tiles), one
 * sum of squares a tile; `scale` wants double *. */
typedef struct {
    wgi_tile_fn update[WGI_RULES][2], squares[2], scale[2];
} wgi_update_kernels;
WGI_DECLARE_LEVELS(wgi_update_kernels, wgi_update_kernels);

enum { WGI_UPDATE_GRAIN = 16 }; /* tiles of a task */
#endif
