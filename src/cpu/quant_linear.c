#include "cpu/quant_linear.h"

#include "cpu/parallel.h"
#include "cpu/quant.h"
#include "cpu/quant_dot.h"
#include "tensor/internal.h"

enum {
    TILE_BYTES = 4 << 20,  /* of dequantised weights at a time: they stay in the outer cache */
    TASK_BYTES = 64 << 10, /* of blocks, that a task reads at least */
    STAGE = 1024           /* elements dequantised at a time for a dot product */
};

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* ---- few rows: every row of w against all rows of x ------------------------------------------ */

typedef struct {
    const wgi_gemm_args *g;
    const char *w;
    size_t w_row;                            /* bytes */
    const float *x;                          /* (m, k) */
    float *y;                                /* (m, n) */
    int64_t m, n, k, x_row, y_row, per_task; /* rows of w */
    const wgi_q8_kernel *kernel;             /* NULL: w is dequantised */
    wgi_q8_rows q8;                          /* x for it */
    const float *bias;                       /* (n); NULL: none */
} few;

static const wgi_q8_kernel *kernel_of(wg_dtype t)
{
    const wgi_quant_dots *dots = WGI_PICK(wgi_quant_dots);
    const wgi_q8_kernel *plain = &dots->q8[t - WG_Q4_0], *vnni = &dots->q8_vnni[t - WG_Q4_0];
    if (vnni->dots && wgi_cpu_vnni(wgi_cpu_level())) return vnni;
    return plain->dots ? plain : NULL;
}

static void quantise_rows(void *self, int64_t first, int64_t last)
{
    const few *f = self;
    for (int64_t i = first; i < last; i++)
        f->kernel->quantise((char *)f->q8.data + (size_t)i * f->q8.row, f->x + i * f->x_row, f->k);
}

/* One row of w against x by way of f32. */
static void dequantised_dots(const few *f, float *y, const char *w)
{
    const wg_dtype t = f->g->b.type;
    _Alignas(64) float stage[STAGE];
    for (int64_t i = 0; i < f->m; i++) y[i * f->y_row] = 0;
    for (int64_t at = 0; at < f->k; at += STAGE) {
        const int64_t n = f->k - at < STAGE ? f->k - at : STAGE;
        wgi_dequantise(t, stage, w + wgi_bytes_of(t, at), n);
        WGI_PICK(wgi_quant_dots)->f32(y, f->y_row, stage, f->x + at, f->x_row, f->m, n);
    }
}

static void few_task(void *self, int64_t task)
{
    const few *f = self;
    const int64_t first = task * f->per_task;
    const int64_t last = first + f->per_task < f->n ? first + f->per_task : f->n;
    for (int64_t o = first; o < last; o++) {
        const char *w = f->w + (size_t)o * f->w_row;
        if (f->kernel)
            f->kernel->dots(f->y + o, f->y_row, w, &f->q8);
        else
            dequantised_dots(f, f->y + o, w);
        for (int64_t i = 0; f->bias && i < f->m; i++) f->y[i * f->y_row + o] += f->bias[o];
    }
}

/* What the rows of a matrix are, with the batch: axes for wgi_copy_strided. */
static int axes_of(const wgi_gemm_args *g, const wgi_matrix *a, int64_t columns, int64_t *shape,
                   int64_t *strides)
{
    int n = 0;
    for (int d = 0; d < g->batch_dims; d++, n++) {
        shape[n] = g->batch_shape[d];
        strides[n] = a->batch[d];
    }
    shape[n] = g->m;
    strides[n++] = a->row;
    shape[n] = columns;
    strides[n++] = a->column;
    return n;
}

/* a's rows as contiguous f32 at `packed`, or the other way. */
static void pack(const wgi_gemm_args *g, const wgi_matrix *a, int64_t columns, float *packed,
                 bool back)
{
    int64_t shape[WG_MAX_DIMS + 2], strides[WG_MAX_DIMS + 2], plain[WG_MAX_DIMS + 2], step = 1;
    const int n = axes_of(g, a, columns, shape, strides);
    for (int i = n - 1; i >= 0; i--) {
        plain[i] = step;
        step *= shape[i];
    }
    if (back)
        wgi_copy_strided(a->data, a->type, strides, packed, WG_F32, plain, n, shape);
    else
        wgi_copy_strided(packed, WG_F32, plain, a->data, a->type, strides, n, shape);
}

static bool is_rows(const wgi_gemm_args *g, const wgi_matrix *a)
{
    return a->type == WG_F32 && g->batch_dims == 0 && a->column == 1;
}

/* Scratch of several parts, each aligned. */
static size_t part(size_t *total, size_t bytes)
{
    const size_t at = *total;
    *total += (bytes + 63) / 64 * 64;
    return at;
}

static wg_status few_rows(const wgi_gemm_args *g, int64_t m)
{
    few f = {
        .g = g, .w = g->b.data, .m = m, .n = g->n, .k = g->k, .kernel = kernel_of(g->b.type)
    };
    const bool x_lies = is_rows(g, &g->a), y_lies = is_rows(g, &g->c);
    size_t total = 0;
    const size_t x = part(&total, x_lies ? 0 : (size_t)(m * f.k) * sizeof(float)),
                 y = part(&total, y_lies ? 0 : (size_t)(m * f.n) * sizeof(float)),
                 q8 = part(&total, f.kernel ? (size_t)m * wgi_q8_row_bytes(f.k) : 0),
                 bias = part(&total, g->bias ? (size_t)f.n * sizeof(float) : 0);
    char *scratch = total ? wgi_cpu_alloc(total) : NULL;
    if (total && !scratch) return wg_raise(WG_EMEM, "out of memory in a product");
    f.w_row = wgi_bytes_of(g->b.type, g->b.column);
    f.x = x_lies ? g->a.data : (float *)(void *)(scratch + x);
    f.x_row = x_lies ? g->a.row : f.k;
    f.y = y_lies ? g->c.data : (float *)(void *)(scratch + y);
    f.y_row = y_lies ? g->c.row : f.n;
    if (!x_lies) pack(g, &g->a, f.k, (float *)(void *)(scratch + x), false);
    if (g->bias) {
        f.bias = (float *)(void *)(scratch + bias);
        wgi_copy_strided(scratch + bias, WG_F32, &(int64_t) { 1 }, g->bias, g->bias_type,
                         &g->bias_stride, 1, &f.n);
    }
    if (f.kernel) {
        f.q8 = (wgi_q8_rows) { scratch + q8, wgi_q8_row_bytes(f.k), m, f.k };
        wgi_parallel_for(m, ceil_div(WGI_GRAIN / 4, f.k + 1), quantise_rows, &f);
    }
    f.per_task = ceil_div(TASK_BYTES, (int64_t)f.w_row + 1);
    wgi_parallel_tasks(ceil_div(f.n, f.per_task), few_task, &f);
    if (!y_lies) pack(g, &g->c, f.n, f.y, true);
    if (scratch) wgi_cpu_free(scratch, total);
    return WG_OK;
}

/* ---- many rows: tiles of w as f32, and a product with each ----------------------------------- */

typedef struct {
    wg_dtype type;
    const char *w;
    size_t w_row;  /* bytes */
    float *tile;   /* (rows, width) */
    int64_t width; /* elements of a row */
} dequantising;

static void dequantise_rows(void *self, int64_t first, int64_t last)
{
    const dequantising *d = self;
    for (int64_t i = first; i < last; i++)
        wgi_dequantise(d->type, d->tile + i * d->width, d->w + (size_t)i * d->w_row, d->width);
}

/* Rows of w in a tile, a multiple of 32. */
static int64_t tile_rows(int64_t rows, int64_t width)
{
    int64_t n = TILE_BYTES / (int64_t)sizeof(float) / (width > 0 ? width : 1) / 32 * 32;
    if (n < 64) n = 64;
    if (n >= rows) return rows;
    return ceil_div(ceil_div(rows, ceil_div(rows, n)), 32) * 32; /* tiles of one size */
}

/* The part of g that meets rows first .. first + rows of w, which lie in the tile. */
static wgi_gemm_args part_of(const wgi_gemm_args *g, bool back, int64_t first, int64_t rows,
                             float *tile)
{
    wgi_gemm_args p = *g;
    p.b = (wgi_matrix) { .data = tile, .type = WG_F32 };
    if (back) { /* a piece of the sums */
        p.b.row = g->n;
        p.b.column = 1;
        p.k = rows;
        p.a.data = (char *)g->a.data + (size_t)(first * g->a.column) * wg_dtype_size(g->a.type);
        if (first > 0) p.beta = 1;
    } else { /* some of the columns */
        p.b.row = 1;
        p.b.column = g->k;
        p.n = rows;
        p.c.data = (char *)g->c.data + (size_t)(first * g->c.column) * wg_dtype_size(g->c.type);
        if (g->bias)
            p.bias = (const char *)g->bias +
                     (size_t)(first * g->bias_stride) * wg_dtype_size(g->bias_type);
    }
    return p;
}

static wg_status tiles(const wgi_gemm_args *g, bool back)
{
    const int64_t rows = back ? g->k : g->n, width = back ? g->n : g->k;
    const int64_t most = tile_rows(rows, width);
    const size_t bytes = (size_t)most * (size_t)width * sizeof(float);
    dequantising d = { .type = g->b.type,
                       .w_row = wgi_bytes_of(g->b.type, back ? g->b.row : g->b.column),
                       .tile = wgi_cpu_alloc(bytes),
                       .width = width };
    if (!d.tile) return wg_raise(WG_EMEM, "out of memory in a product");
    wg_status s = WG_OK;
    for (int64_t first = 0; first < rows && s == WG_OK; first += most) {
        const int64_t n = rows - first < most ? rows - first : most;
        d.w = (const char *)g->b.data + (size_t)first * d.w_row;
        wgi_parallel_for(n, ceil_div(WGI_GRAIN, width), dequantise_rows, &d);
        const wgi_gemm_args p = part_of(g, back, first, n, d.tile);
        s = wgi_gemm(&p);
    }
    wgi_cpu_free(d.tile, bytes);
    return s;
}

/* Pieces of a sum are added in f32: a C of 16 bits is rounded once. */
static wg_status tiles_in_f32(const wgi_gemm_args *g, int64_t m)
{
    const size_t bytes = (size_t)(m * g->n) * sizeof(float);
    float *c = wgi_cpu_alloc(bytes);
    if (!c) return wg_raise(WG_EMEM, "out of memory in a product");
    wgi_gemm_args p = *g;
    p.c = (wgi_matrix) { .data = c, .type = WG_F32, .row = g->n, .column = 1 };
    int64_t step = g->m * g->n;
    for (int d = g->batch_dims - 1; d >= 0; d--) {
        p.c.batch[d] = step;
        step *= g->batch_shape[d];
    }
    if (g->beta != 0) pack(g, &g->c, g->n, c, false);
    const wg_status s = tiles(&p, true);
    if (s == WG_OK) pack(g, &g->c, g->n, c, true);
    wgi_cpu_free(c, bytes);
    return s;
}

static int64_t rows_of(const wgi_gemm_args *g)
{
    int64_t m = g->m;
    for (int d = 0; d < g->batch_dims; d++) m *= g->batch_shape[d];
    return m;
}

static wg_status no_sums(const wgi_gemm_args *g)
{
    wgi_gemm_args p = *g;
    p.b.type = WG_F32; /* it has no elements */
    return wgi_gemm(&p);
}

wg_status wgi_quant_product(const wgi_gemm_args *g)
{
    const int64_t m = rows_of(g);
    if (m == 0 || g->n == 0) return WG_OK;
    if (g->k == 0) return no_sums(g);
    const bool wide = g->a.type == WG_F64 || g->c.type == WG_F64;
    const int64_t most = kernel_of(g->b.type) ? WGI_QUANT_FEW_ROWS : WGI_QUANT_FEW_ROWS_F32;
    if (!wide && g->beta == 0 && m <= most) return few_rows(g, m);
    return tiles(g, false);
}

wg_status wgi_quant_product_back(const wgi_gemm_args *g)
{
    const int64_t m = rows_of(g);
    if (m == 0 || g->n == 0) return WG_OK;
    if (g->k == 0) return no_sums(g);
    return wgi_is_16bit((int)g->c.type) ? tiles_in_f32(g, m) : tiles(g, true);
}
