/* The places of elements that are not 0, in row-major order: counted first, then written. */
#include "cpu/index.h"
#include "cpu/reduce.h"
#include "cpu/rows.h"

enum { PIECE = 1024 };

/* Numbers within the piece of x's elements first .. first + n - 1 of row i that are not 0. */
static int64_t find(const wgi_rows *x, int64_t row, int64_t first, int64_t n, int16_t *found)
{
    double packed[PIECE];
    const wgi_acc kind = wgi_acc_of(x->type);
    const char *from = (const char *)wgi_row_at(x, row) + first * x->step * x->bytes;
    int64_t count = 0;
    wgi_fold_table()->pack[x->type](packed, from, n, x->step);
    for (int64_t k = 0; k < n; k++) {
        const bool set = kind == WGI_ACC_F32   ? ((float *)packed)[k] != 0
                         : kind == WGI_ACC_F64 ? packed[k] != 0
                                               : ((int64_t *)packed)[k] != 0;
        found[count] = (int16_t)k;
        count += set;
    }
    return count;
}

int64_t wgi_cpu_count_nonzero(const wg_tensor *x)
{
    const wgi_rows rows = wgi_rows_along(x, x->ndim - 1);
    int64_t count = 0;
    int16_t found[PIECE + 1];
    for (int64_t i = 0; x->numel > 0 && i < rows.rows; i++)
        for (int64_t k = 0; k < rows.n; k += PIECE)
            count += find(&rows, i, k, rows.n - k < PIECE ? rows.n - k : PIECE, found);
    return count;
}

wg_status wgi_cpu_nonzero(const wg_run *r)
{
    const wg_tensor *x = r->in.t[0];
    const wgi_rows rows = wgi_rows_along(x, x->ndim - 1);
    int64_t *y = wgi_data(r->out.t[0]), left = r->out.t[0]->shape[0];
    int16_t found[PIECE + 1];
    for (int64_t i = 0; left > 0 && i < rows.rows; i++)
        for (int64_t k = 0; k < rows.n; k += PIECE) {
            int64_t n = find(&rows, i, k, rows.n - k < PIECE ? rows.n - k : PIECE, found);
            if (n > left) n = left;
            left -= n;
            for (int64_t e = 0; e < n; e++, y += x->ndim) {
                int64_t row = i;
                if (x->ndim > 0) y[x->ndim - 1] = k + found[e];
                for (int d = x->ndim - 2; d >= 0; d--) {
                    y[d] = row % x->shape[d];
                    row /= x->shape[d];
                }
            }
        }
    return WG_OK;
}
