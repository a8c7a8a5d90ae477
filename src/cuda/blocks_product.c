/* Products with weights in blocks. */
#include "cuda/blocks.h"
#include "cpu/rows.h"
#include "cuda/cuda.h"
#include "cuda/operands.h"

static int64_t rows_of(const wgi_gemm_args *g)
{
    int64_t m = g->m;
    for (int d = 0; d < g->batch_dims; d++) m *= g->batch_shape[d];
    return m;
}

/* g's sums are empty, and w has no elements. */
static wg_status no_sums(const wg_run *r, const wgi_gemm_args *g)
{
    wgi_gemm_args p = *g;
    p.b.type = WG_F32;
    return wgi_cuda_gemm(r, &p);
}

/* ---- few rows -------------------------------------------------------------------------------- */

/* Rows side by side, each at a multiple of 16 bytes. */
static bool is_rows(const wgi_gemm_args *g, const wgi_matrix *x)
{
    return x->type == WG_F32 && g->batch_dims == 0 && x->column == 1 && x->row % 4 == 0 &&
           (uintptr_t)x->data % 16 == 0;
}

/* All rows of x as contiguous f32 in scratch. */
static wg_status pack(const wg_run *r, const wgi_gemm_args *g, int64_t rows, void **packed)
{
    int64_t shape[WG_MAX_DIMS + 2], from[WG_MAX_DIMS + 2], to[WG_MAX_DIMS + 2], step = 1;
    int n = 0;
    for (int d = 0; d < g->batch_dims; d++, n++) {
        shape[n] = g->batch_shape[d];
        from[n] = g->a.batch[d];
    }
    if (g->m > 1 || n == 0) {
        shape[n] = g->m;
        from[n++] = g->a.row;
    }
    shape[n] = g->k;
    from[n++] = g->a.column;
    for (int d = n - 1; d >= 0; d--) {
        to[d] = step;
        step *= shape[d];
    }
    const wg_status s = wgi_row_scratch(r, rows * g->k, WG_F32, packed);
    return s == WG_OK
               ? wgi_cuda_copy_strided(r, *packed, WG_F32, to, g->a.data, g->a.type, from, n, shape)
               : s;
}

static wg_status few_rows(const wg_run *r, const wgi_gemm_args *g, int64_t rows)
{
    wgi_blocks_few l = { .type = (int)g->b.type,
                         .m = (int)rows,
                         .n = g->n,
                         .k = g->k,
                         .w = g->b.data,
                         .w_row = (int64_t)wgi_bytes_of(g->b.type, g->b.column),
                         .x = g->a.data,
                         .x_row = g->a.row,
                         .y = g->c.data,
                         .y_type = (int)g->c.type,
                         .y_rows = { .count = 1 },
                         .y_column = g->c.column,
                         .bias = g->bias,
                         .bias_type = (int)g->bias_type,
                         .bias_stride = g->bias_stride,
                         .accumulate = g->beta != 0 };
    for (int d = 0; d < g->batch_dims; d++)
        wgi_axes_push(&l.y_rows, g->batch_shape[d], g->c.batch[d]);
    wgi_axes_push(&l.y_rows, g->m, g->c.row);
    if (!is_rows(g, &g->a)) {
        void *packed;
        const wg_status s = pack(r, g, rows, &packed);
        if (s != WG_OK) return s;
        l.x = packed;
        l.x_row = g->k;
    }
    wgi_launch_blocks_few(&l, r->stream);
    return WG_OK;
}

/* ---- many rows: panels of w, and a product with each ------------------------------------------ */

/* Elements first .. of rows of w: `rows` of them, `width` each, contiguous at `to`. */
static void dequantise(const wg_run *r, const wgi_matrix *w, int64_t stride, int64_t first,
                       int64_t rows, int64_t width, wg_dtype as, void *to)
{
    wgi_dequantise_launch l = { .type = (int)w->type,
                                .to_type = (int)as,
                                .from = (const char *)w->data + wgi_bytes_of(w->type, first),
                                .to = to,
                                .rows = rows,
                                .width = width,
                                .from_rows = { .count = 1 },
                                .to_rows = { .count = 1 },
                                .to_step = 1 };
    wgi_axes_push(&l.from_rows, rows, stride);
    wgi_axes_push(&l.to_rows, rows, width);
    wgi_launch_dequantise(&l, r->stream);
}

/* Columns first .. of the result: what a panel at `to` gives. */
static wgi_gemm_args part_of(const wgi_gemm_args *g, int64_t first, int64_t n, wg_dtype as,
                             void *to)
{
    wgi_gemm_args p = *g;
    p.n = n;
    p.b = (wgi_matrix) { .data = to, .type = as };
    p.c.data = (char *)g->c.data + first * g->c.column * (int64_t)wg_dtype_size(g->c.type);
    if (g->bias)
        p.bias =
            (const char *)g->bias + first * g->bias_stride * (int64_t)wg_dtype_size(g->bias_type);
    return p;
}

static wg_status panels(const wg_run *r, const wgi_gemm_args *g, const wgi_blocks_plan *plan,
                        bool back)
{
    void *panel;
    wg_status s = wgi_row_scratch(r, plan->panel * g->k, plan->panel_type, &panel);
    for (int64_t first = 0; first < g->n && s == WG_OK; first += plan->panel) {
        const int64_t n = g->n - first < plan->panel ? g->n - first : plan->panel;
        wgi_gemm_args p = part_of(g, first, n, plan->panel_type, panel);
        if (back) { /* w (k, n): some of its columns */
            dequantise(r, &g->b, g->b.row, first, g->k, n, plan->panel_type, panel);
            p.b.row = n;
            p.b.column = 1;
        } else { /* w (n, k): some of its rows */
            dequantise(r, &g->b, g->b.column, first * g->b.column, n, g->k, plan->panel_type,
                       panel);
            p.b.row = 1;
            p.b.column = g->k;
        }
        s = wgi_cuda_gemm(r, &p);
    }
    return s;
}

static wg_status product(const wg_run *r, const wgi_gemm_args *g, bool back)
{
    const int64_t rows = rows_of(g);
    if (rows == 0 || g->n == 0) return WG_OK;
    if (g->k == 0) return no_sums(r, g);
    const wgi_blocks_plan plan = wgi_blocks_plan_of(rows, g->a.type, g->c.type, g->n, g->k, back);
    return plan.few ? few_rows(r, g, rows) : panels(r, g, &plan, back);
}

wg_status wgi_cuda_blocks_product(const wg_run *r, const wgi_gemm_args *g)
{
    return product(r, g, false);
}

wg_status wgi_cuda_blocks_product_back(const wg_run *r, const wgi_gemm_args *g)
{
    return product(r, g, true);
}
