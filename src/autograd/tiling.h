/* Tiles: boxes of one shape, small enough for the first caches, and what each of several tensors that broadcast to that
 * shape has there. Axes along which all of them step evenly are one. Tiles, and the ranges of tiles that a thread takes at
 * a time, are cut by shapes and strides alone, never by the number of threads. */
#ifndef WGI_AUTOGRAD_TILING_H
#define WGI_AUTOGRAD_TILING_H
#include "tensor/internal.h"

/* Of f32 a tile is 2 KiB: a dozen of them, and what is fetched ahead, fit the first cache of most processors. */
enum {
    WGI_TILE_ELEMENTS = 512,
    WGI_TILE_LEAST = 8,    /* tiles of a range, but for the last */
    WGI_TILE_RANGES = 128, /* the most, about */
    WGI_TILE_ROUNDS = 16
};

/* A tensor along the axes of the tiling. */
typedef struct {
    int64_t stride[WG_MAX_DIMS]; /* in elements; 0 where it repeats */
    unsigned repeats;            /* bit a: of size 1 along axis a, where the tiling is longer */
    bool is_0d;                  /* so are its parts, for the sake of promotion */
} wgi_tiled;

typedef struct {
    int n; /* operands */
    wgi_tiled *operand;
    int ndim,
        cut; /* axes cut .. ndim - 1 lie in a tile, of axis cut a piece; axes 0 .. cut are walked */
    int64_t size[WG_MAX_DIMS], piece;
    int walk[WG_MAX_DIMS]; /* the walked axes, the last one fastest */
    int64_t tiles, per_range, ranges;
} wgi_tiling;

typedef struct {                /* a tile's place */
    int64_t first[WG_MAX_DIMS]; /* along the walked axes */
    int64_t length;             /* along axis cut */
} wgi_tile;

/* The operand of this shape and these strides, before wgi_tiling_make; shape broadcasts to `all`. */
wgi_tiled wgi_tiled_of(const wg_dims *all, const wg_dims *shape, const int64_t *strides);
/* Cuts `all`. Tiles that have the same part of operand `shared` (-1: none) come one after the other. */
void wgi_tiling_make(wgi_tiling *t, const wg_dims *all, int n, wgi_tiled *operand, int shared);
wgi_tile wgi_tile_at(const wgi_tiling *t, int64_t tile);
/* The one after it, without a division; after the last comes the first. */
void wgi_tile_next(const wgi_tiling *t, wgi_tile *at);
/* Operand k's part of a tile: its shape, its strides, and where it begins from the operand's first element. */
int64_t wgi_tile_part(const wgi_tiling *t, const wgi_tile *at, int k, wg_dims *shape,
                      wg_dims *strides);
/* Where that begins, alone. */
static inline int64_t wgi_tile_offset(const wgi_tiling *t, const wgi_tile *at, int k)
{
    int64_t offset = 0;
    for (int a = 0; a <= t->cut; a++) offset += at->first[a] * t->operand[k].stride[a];
    return offset;
}
/* A handle on it, where x is operand k; in the innermost scope. */
wg_tensor *wgi_tile_view(wgi_context *c, const wgi_tiling *t, const wgi_tile *at, int k,
                         wg_tensor *x);
/* Shape of a whole tile. */
wg_dims wgi_tile_shape(const wgi_tiling *t, const wgi_tile *at);
/* How many tiles lie at the end of axis cut. */
int64_t wgi_tiling_ends(const wgi_tiling *t);
static inline int64_t wgi_range_end(const wgi_tiling *t, int64_t range)
{
    int64_t end = (range + 1) * t->per_range;
    return end < t->tiles ? end : t->tiles;
}
#endif
