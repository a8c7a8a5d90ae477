#include "ops/product_op.h"

wgi_matrix wgi_matrix_of(const wg_tensor *t, bool row, bool column)
{
    wgi_matrix m = { .data = wgi_data(t), .type = (wg_dtype)t->dtype };
    int axis = t->ndim;
    if (column) m.column = t->strides[--axis];
    if (row) m.row = t->strides[--axis];
    return m;
}

void wgi_matrix_batch(wgi_matrix *m, const wg_tensor *t, int own, const wg_dims *batch)
{
    int lead = batch->n - (t->ndim - own);
    for (int d = 0; d < batch->n; d++)
        m->batch[d] = d < lead || t->shape[d - lead] == 1 ? 0 : t->strides[d - lead];
}

static void drop_axis(wgi_gemm_args *g, int d)
{
    g->batch_dims--;
    for (; d < g->batch_dims; d++) {
        g->batch_shape[d] = g->batch_shape[d + 1];
        g->a.batch[d] = g->a.batch[d + 1];
        g->b.batch[d] = g->b.batch[d + 1];
        g->c.batch[d] = g->c.batch[d + 1];
    }
}

/* Axis d - 1 goes on where axis d ends. */
static bool joins(const wgi_gemm_args *g, int d)
{
    int64_t n = g->batch_shape[d];
    return g->a.batch[d - 1] == n * g->a.batch[d] && g->b.batch[d - 1] == n * g->b.batch[d] &&
           g->c.batch[d - 1] == n * g->c.batch[d];
}

/* The innermost batch axis becomes rows (B does not move with it) or columns (A does not). */
static bool absorb(wgi_gemm_args *g)
{
    int d = g->batch_dims - 1;
    int64_t n = g->batch_shape[d], a = g->a.batch[d], b = g->b.batch[d], c = g->c.batch[d];
    if (b == 0 && (g->m == 1 || (a == g->m * g->a.row && c == g->m * g->c.row))) {
        if (g->m == 1) {
            g->a.row = a;
            g->c.row = c;
        }
        g->m *= n;
    } else if (a == 0 && (g->n == 1 || (b == g->n * g->b.column && c == g->n * g->c.column)) &&
               !g->bias) {
        if (g->n == 1) {
            g->b.column = b;
            g->c.column = c;
        }
        g->n *= n;
    } else {
        return false;
    }
    drop_axis(g, d);
    return true;
}

void wgi_fold_batch(wgi_gemm_args *g)
{
    for (int d = g->batch_dims - 1; d >= 0; d--)
        if (g->batch_shape[d] == 1) drop_axis(g, d);
    while (g->batch_dims > 0 && absorb(g)) continue;
    for (int d = g->batch_dims - 1; d > 0; d--)
        if (joins(g, d)) {
            int64_t n = g->batch_shape[d];
            g->a.batch[d - 1] = g->a.batch[d];
            g->b.batch[d - 1] = g->b.batch[d];
            g->c.batch[d - 1] = g->c.batch[d];
            g->batch_shape[d - 1] *= n;
            drop_axis(g, d);
        }
}

wg_status wgi_product_dtype(const wg_tensor *x, const wg_tensor *y, wg_dtype *out)
{
    if (x->dtype == WG_BOOL || y->dtype == WG_BOOL)
        return wg_raise(WG_EDTYPE, "no product of bool");
    *out = wgi_promote_dtypes((wg_dtype)x->dtype, (wg_dtype)y->dtype);
    return WG_OK;
}
