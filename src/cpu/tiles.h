/* Passes over several tensors of one shape, cut into tiles of 2048 elements in row-major order: any
 * strides and dtypes, broadcasting by strides of 0. A tile belongs to one thread, so that it can
 * have a partial sum of its own. */
#ifndef WGI_CPU_TILES_H
#define WGI_CPU_TILES_H
#include "tensor/internal.h"
#include "wengert/op.h"

enum { WGI_TILE = 2048, WGI_TILE_OPERANDS = 8 };

typedef struct {
    int operands, ndim;
    int64_t numel, tiles;
    int64_t shape[WG_MAX_DIMS]; /* axes merged where all operands allow it; [ndim - 1] is the
                                   innermost */
    int64_t strides[WGI_TILE_OPERANDS][WG_MAX_DIMS];
    char *data[WGI_TILE_OPERANDS];
    int type[WGI_TILE_OPERANDS];
    int64_t bytes[WGI_TILE_OPERANDS];
} wgi_tiles;

/* A run of n <= WGI_TILE elements along the innermost axis, all in one tile. */
typedef struct {
    int64_t first, n; /* logical index of the first element */
    int64_t tile;
    void *p[WGI_TILE_OPERANDS]; /* NULL: an absent operand */
    int type[WGI_TILE_OPERANDS];
    int64_t step[WGI_TILE_OPERANDS];
} wgi_tile;
typedef void (*wgi_tile_fn)(void *self, const wgi_tile *t);

/* Operands broadcast to shape; NULL entries are absent. */
void wgi_tiles_make(wgi_tiles *t, wg_dims shape, int operands, wg_tensor *const *operand);
/* Calls body for every run. `grain`: tiles per task. */
void wgi_tiles_run(const wgi_tiles *t, int64_t grain, wgi_tile_fn body, void *self);

/* One of several passes that run as one. */
typedef struct {
    wgi_tiles tiles;
    wgi_tile_fn body;
    void *self;
} wgi_tile_job;
/* Runs n passes in one parallel region, with a thread for every `grain` tiles of them together. Each has the same part of
 * every pass, which is the one that it has of other passes over that tensor: its gradient's product, say. */
void wgi_tiles_run_jobs(const wgi_tile_job *jobs, int64_t n, int64_t grain);
#endif
