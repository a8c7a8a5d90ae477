#include "autograd/tiling.h"

wgi_tiled wgi_tiled_of(const wg_dims *all, const wg_dims *shape, const int64_t *strides)
{
    wgi_tiled k = { .is_0d = shape->n == 0 };
    const int lead = all->n - shape->n;
    for (int a = 0; a < all->n; a++) {
        if (a < lead || shape->d[a - lead] != all->d[a])
            k.repeats |= 1u << a;
        else
            k.stride[a] = strides[a - lead];
    }
    return k;
}

/* ---- merging ------------------------------------------------------------------------------------------------ */
static void move_axis(wgi_tiling *t, int from, int to)
{
    t->size[to] = t->size[from];
    for (int k = 0; k < t->n; k++) {
        wgi_tiled *o = &t->operand[k];
        o->stride[to] = o->stride[from];
        o->repeats = (o->repeats & ~(1u << to)) | (o->repeats >> from & 1u) << to;
    }
}

/* Whether one step along axis a is size[b] steps along axis b, for every operand. */
static bool evenly(const wgi_tiling *t, int a, int b)
{
    for (int k = 0; k < t->n; k++) {
        const wgi_tiled *o = &t->operand[k];
        if ((o->repeats >> a & 1u) != (o->repeats >> b & 1u)) return false;
        if (o->stride[a] != o->stride[b] * t->size[b]) return false;
    }
    return true;
}

/* Drops axes of size 1 and merges neighbours. Something that is not 0-d keeps one axis. */
static void merge(wgi_tiling *t, const wg_dims *all)
{
    t->ndim = 0;
    for (int a = 0; a < all->n; a++) {
        t->size[a] = all->d[a];
        if (all->d[a] == 1 && (t->ndim > 0 || a + 1 < all->n)) continue;
        move_axis(t, a, t->ndim);
        if (all->d[a] != 1 && t->ndim > 0 && evenly(t, t->ndim - 1, t->ndim)) {
            t->size[t->ndim - 1] *= t->size[t->ndim];
            for (int k = 0; k < t->n; k++)
                t->operand[k].stride[t->ndim - 1] = t->operand[k].stride[t->ndim];
        } else if (all->d[a] != 1 || t->ndim == 0) {
            t->ndim++;
        }
    }
}

/* ---- cutting ------------------------------------------------------------------------------------------------- */
/* As many whole axes as fit, from the last one on, and a piece of the next. */
static void cut(wgi_tiling *t)
{
    int64_t inner = 1;
    t->cut = t->ndim > 0 ? t->ndim - 1 : 0;
    while (t->cut > 0 && inner * t->size[t->cut] <= WGI_TILE_ELEMENTS) inner *= t->size[t->cut--];
    t->piece = 1;
    t->tiles = 1;
    if (t->ndim == 0) return;
    const int64_t most = inner < WGI_TILE_ELEMENTS ? WGI_TILE_ELEMENTS / inner : 1;
    const int64_t size = t->size[t->cut], pieces = (size + most - 1) / most;
    t->piece = pieces > 0 ? (size + pieces - 1) / pieces : 1;
    if (inner == 1) t->piece = (t->piece + 63) / 64 * 64; /* parts begin where vectors do */
    t->tiles = (size + t->piece - 1) / t->piece;
    for (int a = 0; a < t->cut; a++) t->tiles *= t->size[a];
}

static int64_t steps_along(const wgi_tiling *t, int a)
{
    return a == t->cut ? (t->size[a] + t->piece - 1) / t->piece : t->size[a];
}

/* Along which of the walked axes the shared operand repeats: they go last, and a range takes whole rounds of them, as long
 * as that leaves work for many threads. */
static void order(wgi_tiling *t, int shared)
{
    const unsigned last = shared < 0 ? 0 : t->operand[shared].repeats;
    int64_t round = 1;
    int n = 0;
    for (int a = 0; a <= t->cut; a++)
        if (!(last >> a & 1u)) t->walk[n++] = a;
    for (int a = 0; a <= t->cut; a++)
        if (last >> a & 1u) {
            t->walk[n++] = a;
            if (t->ndim) round *= steps_along(t, a);
        }
    t->per_range = (t->tiles + WGI_TILE_RANGES - 1) / WGI_TILE_RANGES;
    if (t->per_range < WGI_TILE_LEAST) t->per_range = WGI_TILE_LEAST;
    if (t->tiles / round >= WGI_TILE_ROUNDS)
        t->per_range = (t->per_range + round - 1) / round * round;
    t->ranges = (t->tiles + t->per_range - 1) / t->per_range;
}

/* One tile without elements: what a function makes of nothing is asked of it too. */
static void make_empty(wgi_tiling *t)
{
    t->ndim = 1;
    t->cut = 0;
    t->size[0] = 0;
    t->walk[0] = 0;
    t->piece = t->tiles = t->per_range = t->ranges = 1;
    for (int k = 0; k < t->n; k++) {
        t->operand[k].repeats = 0;
        t->operand[k].stride[0] = 0;
    }
}

void wgi_tiling_make(wgi_tiling *t, const wg_dims *all, int n, wgi_tiled *operand, int shared)
{
    t->n = n;
    t->operand = operand;
    if (wgi_numel(all) == 0) {
        make_empty(t);
        return;
    }
    merge(t, all);
    cut(t);
    order(t, shared);
}

int64_t wgi_tiling_ends(const wgi_tiling *t)
{
    return t->ndim && t->size[t->cut] ? t->tiles / steps_along(t, t->cut) : 1;
}

/* ---- tiles ----------------------------------------------------------------------------------------------------- */
static void set_length(const wgi_tiling *t, wgi_tile *at)
{
    const int64_t left = t->size[t->cut] - at->first[t->cut];
    at->length = left < t->piece ? left : t->piece;
}

wgi_tile wgi_tile_at(const wgi_tiling *t, int64_t tile)
{
    wgi_tile at = { .length = 1 };
    if (t->ndim == 0) return at;
    if (t->size[t->cut] == 0) return (wgi_tile) { .length = 0 };
    for (int i = t->cut; i >= 0; i--) {
        const int a = t->walk[i];
        const int64_t steps = steps_along(t, a);
        at.first[a] = tile % steps * (a == t->cut ? t->piece : 1);
        tile /= steps;
    }
    set_length(t, &at);
    return at;
}

void wgi_tile_next(const wgi_tiling *t, wgi_tile *at)
{
    if (t->ndim == 0 || t->size[t->cut] == 0) return;
    for (int i = t->cut; i >= 0; i--) {
        const int a = t->walk[i];
        at->first[a] += a == t->cut ? t->piece : 1;
        if (at->first[a] < t->size[a]) break;
        at->first[a] = 0;
    }
    set_length(t, at);
}

wg_dims wgi_tile_shape(const wgi_tiling *t, const wgi_tile *at)
{
    wg_dims s = { .n = t->ndim - t->cut };
    if (t->ndim == 0) s.n = 0;
    for (int a = 0; a < s.n; a++) s.d[a] = a ? t->size[t->cut + a] : at->length;
    return s;
}

int64_t wgi_tile_part(const wgi_tiling *t, const wgi_tile *at, int k, wg_dims *shape,
                      wg_dims *strides)
{
    const wgi_tiled *o = &t->operand[k];
    *shape = wgi_tile_shape(t, at);
    if (o->is_0d) shape->n = 0;
    strides->n = shape->n;
    for (int a = 0; a < shape->n; a++) {
        if (o->repeats >> (t->cut + a) & 1u) shape->d[a] = 1;
        strides->d[a] = o->stride[t->cut + a];
    }
    return wgi_tile_offset(t, at, k);
}

wg_tensor *wgi_tile_view(wgi_context *c, const wgi_tiling *t, const wgi_tile *at, int k,
                         wg_tensor *x)
{
    wg_dims shape, strides;
    const int64_t offset = wgi_tile_part(t, at, k, &shape, &strides);
    return wgi_tensor_view_at(c, x, &shape, &strides, x->offset + offset);
}
