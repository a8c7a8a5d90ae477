/* Copies of any strides and dtypes on the CPU. The axes are sorted by the destination's strides and
 * merged where they can be; what is left is rows, or, where source and destination run along
 * different axes, square tiles. */
#include "tensor/internal.h"

#include <stdlib.h>

#include "cpu/parallel.h"

enum { TILE = 64, STAGE = 512 /* elements of a conversion on the stack */ };

typedef struct {
    char *dst;
    const char *src;
    wg_dtype dst_type, src_type;
    int64_t dst_size, src_size; /* bytes of an element */
    int n;                      /* axes, the innermost last; strides in elements */
    int64_t shape[WG_MAX_DIMS], ds[WG_MAX_DIMS], ss[WG_MAX_DIMS];
    int64_t inner, chunk, chunks; /* rows: the last axis in pieces */
    int64_t across, across_tiles; /* tiles: the axis along which the source runs */
    int64_t across_ds;
} plan;

/* ---- elements of one size
 * ------------------------------------------------------------------------ */

static inline void strided(char *d, const char *s, int64_t n, int64_t ds, int64_t ss, size_t size)
{
    for (int64_t i = 0; i < n; i++) memcpy(d + i * ds, s + i * ss, size);
}

/* n elements; strides in bytes. */
static void copy_elements(char *d, const char *s, int64_t n, int64_t ds, int64_t ss, int64_t size)
{
    if (ds == size && ss == size) {
        memcpy(d, s, (size_t)(n * size));
        return;
    }
    switch (size) {
    case 1: strided(d, s, n, ds, ss, 1); break;
    case 2: strided(d, s, n, ds, ss, 2); break;
    case 4:
        if (ds == 4 && ss == 0)
            strided(d, s, n, 4, 0, 4); /* a broadcast value */
        else
            strided(d, s, n, ds, ss, 4);
        break;
    default: strided(d, s, n, ds, ss, 8); break;
    }
}

/* A tile into a (rows, TILE) buffer: the source runs along rows, its columns are ss bytes apart. Lines of the source, often
 * a power of two apart and so in the same cache sets, are read once and whole. */
static inline void gather(char *buffer, const char *s, int64_t rows, int64_t columns, int64_t ss,
                          size_t size)
{
    for (int64_t c = 0; c < columns; c++)
        for (int64_t r = 0; r < rows; r++)
            memcpy(buffer + (size_t)(r * TILE + c) * size, s + c * ss + r * (int64_t)size, size);
}

static void gather_tile(char *buffer, const char *s, int64_t rows, int64_t columns, int64_t ss,
                        int64_t size)
{
    switch (size) {
    case 1: gather(buffer, s, rows, columns, ss, 1); break;
    case 2: gather(buffer, s, rows, columns, ss, 2); break;
    case 4: gather(buffer, s, rows, columns, ss, 4); break;
    default: gather(buffer, s, rows, columns, ss, 8); break;
    }
}

/* n elements with conversion, through the stack where one side is strided. */
static void convert_elements(const plan *p, char *d, const char *s, int64_t n, int64_t ds,
                             int64_t ss)
{
    if (ds == p->dst_size && ss == p->src_size) {
        wgi_convert(d, p->dst_type, s, p->src_type, n);
        return;
    }
    _Alignas(64) char from[STAGE * 8], to[STAGE * 8];
    for (int64_t i = 0; i < n; i += STAGE) {
        int64_t m = n - i < STAGE ? n - i : STAGE;
        copy_elements(from, s + i * ss, m, p->src_size, ss, p->src_size);
        wgi_convert(to, p->dst_type, from, p->src_type, m);
        copy_elements(d + i * ds, to, m, ds, p->dst_size, p->dst_size);
    }
}

static void copy_row(const plan *p, char *d, const char *s, int64_t n, int64_t ds, int64_t ss)
{
    if (p->dst_type == p->src_type)
        copy_elements(d, s, n, ds, ss, p->dst_size);
    else
        convert_elements(p, d, s, n, ds, ss);
}

/* ---- the plan
 * --------------------------------------------------------------------------------------- */

/* Sorted by falling destination stride, sizes of 1 dropped, then merged. */
static void plan_axes(plan *p, int ndim, const int64_t *shape, const int64_t *ds, const int64_t *ss)
{
    int n = 0;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] == 1) continue;
        int at = n++;
        for (; at > 0 && llabs(p->ds[at - 1]) < llabs(ds[i]); at--) {
            p->shape[at] = p->shape[at - 1];
            p->ds[at] = p->ds[at - 1];
            p->ss[at] = p->ss[at - 1];
        }
        p->shape[at] = shape[i];
        p->ds[at] = ds[i];
        p->ss[at] = ss[i];
    }
    int last = -1;
    for (int i = 0; i < n; i++) {
        if (last >= 0 && p->ds[last] == p->ds[i] * p->shape[i] &&
            p->ss[last] == p->ss[i] * p->shape[i]) {
            p->shape[last] *= p->shape[i];
        } else {
            last++;
            p->shape[last] = p->shape[i];
        }
        p->ds[last] = p->ds[i];
        p->ss[last] = p->ss[i];
    }
    p->n = last + 1;
    if (p->n == 0) { /* one element */
        p->n = 1;
        p->shape[0] = p->ds[0] = p->ss[0] = 1;
    }
}

/* The axis along which the source runs, if it is another than the last and long enough; -1
 * otherwise. */
static int crossing_axis(const plan *p)
{
    const int last = p->n - 1;
    if (p->ds[last] != 1 || p->ss[last] == 1 || p->ss[last] == 0 || p->shape[last] < 4) return -1;
    for (int i = 0; i < last; i++)
        if (p->ss[i] == 1 && p->shape[i] >= 4) return i;
    return -1;
}

/* Byte offsets of outer index `unit` over the first n axes. */
static void locate(const plan *p, int n, int64_t unit, int64_t *d, int64_t *s)
{
    *d = *s = 0;
    for (int i = n - 1; i >= 0; i--) {
        int64_t k = unit % p->shape[i];
        unit /= p->shape[i];
        *d += k * p->ds[i] * p->dst_size;
        *s += k * p->ss[i] * p->src_size;
    }
}

/* The same for one index after another: steps instead of divisions, which cost more than a short row. */
typedef struct {
    int64_t index[WG_MAX_DIMS], d, s;
} position;

static void seek(const plan *p, int n, int64_t unit, position *at)
{
    locate(p, n, unit, &at->d, &at->s);
    for (int i = n - 1; i >= 0; i--) {
        at->index[i] = unit % p->shape[i];
        unit /= p->shape[i];
    }
}

static inline void step(const plan *p, int n, position *at)
{
    for (int i = n - 1; i >= 0; i--) {
        at->d += p->ds[i] * p->dst_size;
        at->s += p->ss[i] * p->src_size;
        if (++at->index[i] < p->shape[i]) return;
        at->d -= p->shape[i] * p->ds[i] * p->dst_size;
        at->s -= p->shape[i] * p->ss[i] * p->src_size;
        at->index[i] = 0;
    }
}

static void row_units(void *self, int64_t first, int64_t last)
{
    const plan *p = self;
    const int in = p->n - 1;
    const int64_t ds = p->ds[in] * p->dst_size, ss = p->ss[in] * p->src_size;
    int64_t chunk = first % p->chunks;
    position row;
    seek(p, in, first / p->chunks, &row);
    for (int64_t u = first; u < last; u++) {
        const int64_t at = chunk * p->chunk, left = p->inner - at;
        copy_row(p, p->dst + row.d + at * ds, p->src + row.s + at * ss,
                 left < p->chunk ? left : p->chunk, ds, ss);
        if (++chunk < p->chunks) continue;
        chunk = 0;
        step(p, in, &row);
    }
}

static void tile_units(void *self, int64_t first, int64_t last)
{
    const plan *p = self;
    const int in = p->n - 1;
    const int64_t across_ds = p->across_ds * p->dst_size, ss = p->ss[in] * p->src_size;
    _Alignas(64) char buffer[TILE * TILE * 8];
    for (int64_t u = first; u < last; u++) {
        int64_t d, s, column = u % p->chunks * TILE, row = u / p->chunks % p->across_tiles * TILE;
        int64_t columns = p->inner - column < TILE ? p->inner - column : TILE;
        int64_t rows = p->across - row < TILE ? p->across - row : TILE;
        locate(p, in, u / (p->chunks * p->across_tiles), &d, &s);
        char *to = p->dst + d + row * across_ds + column * p->dst_size;
        const char *from = p->src + s + row * p->src_size + column * ss;
        gather_tile(buffer, from, rows, columns, ss, p->src_size);
        for (int64_t r = 0; r < rows; r++)
            wgi_convert(to + r * across_ds, p->dst_type, buffer + r * TILE * p->src_size,
                        p->src_type, columns);
    }
}

static int64_t outer_size(const plan *p)
{
    int64_t n = 1;
    for (int i = 0; i < p->n - 1; i++) n *= p->shape[i];
    return n;
}

static void run_rows(plan *p)
{
    p->inner = p->shape[p->n - 1];
    p->chunk = p->inner < WGI_GRAIN ? p->inner : WGI_GRAIN;
    p->chunks = (p->inner + p->chunk - 1) / p->chunk;
    int64_t grain = WGI_GRAIN / p->chunk;
    wgi_parallel_for(outer_size(p) * p->chunks, grain, row_units, p);
}

static void run_tiles(plan *p, int axis)
{
    p->inner = p->shape[p->n - 1];
    p->chunks = (p->inner + TILE - 1) / TILE;
    p->across = p->shape[axis];
    p->across_tiles = (p->across + TILE - 1) / TILE;
    p->across_ds = p->ds[axis];
    p->shape[axis] = 1; /* the tiles walk it */
    int64_t units = outer_size(p) * p->chunks * p->across_tiles;
    wgi_parallel_for(units, WGI_GRAIN / (TILE * TILE), tile_units, p);
}

void wgi_copy_strided(void *dst, wg_dtype dst_type, const int64_t *dst_strides, const void *src,
                      wg_dtype src_type, const int64_t *src_strides, int ndim, const int64_t *shape)
{
    for (int i = 0; i < ndim; i++)
        if (shape[i] == 0) return;
    if (!dst || !src) return; /* meta */
    if (wgi_in_blocks(dst_type) || wgi_in_blocks(src_type)) {
        wgi_copy_blocks(dst, dst_type, dst_strides, src, src_type, src_strides, ndim, shape);
        return;
    }
    plan p;
    p.dst = dst;
    p.src = src;
    p.dst_type = dst_type;
    p.src_type = src_type;
    p.dst_size = (int64_t)wgi_dtype_bytes[dst_type];
    p.src_size = (int64_t)wgi_dtype_bytes[src_type];
    plan_axes(&p, ndim, shape, dst_strides, src_strides);
    int axis = crossing_axis(&p);
    if (axis >= 0)
        run_tiles(&p, axis);
    else
        run_rows(&p);
}

wg_status wgi_copy_elements(wg_tensor *dst, const wg_tensor *src)
{
    if (dst->device.kind == WG_CUDA)
        return dst->numel > 0 ? wgi_cuda->copy_elements(dst, src) : WG_OK;
    wgi_copy_strided(wgi_data(dst), (wg_dtype)dst->dtype, dst->strides, wgi_data(src),
                     (wg_dtype)src->dtype, src->strides, dst->ndim, dst->shape);
    return WG_OK;
}

wg_status wgi_zero_bytes(wg_device d, void *p, size_t bytes)
{
    if (!p || bytes == 0) return WG_OK;
    if (d.kind == WG_CUDA) return wgi_cuda->zero(d.index, p, bytes);
    memset(p, 0, bytes);
    return WG_OK;
}
