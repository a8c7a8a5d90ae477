#include "cpu/cross_entropy.h"

void wgi_cross_entropy_rows(const wgi_cross_entropy *c, wg_dtype t)
{
    const wgi_rows *x = &c->logits;
    wgi_row_parallel(x->rows, wgi_row_strips(x->rows, 2 * x->n),
                     WGI_PICK(wgi_cross_entropy_kernels)->forward[t == WG_F64],
                     (void *)(uintptr_t)c);
}

void wgi_cross_entropy_rows_backward(const wgi_cross_entropy *c, wg_dtype t)
{
    const wgi_rows *x = &c->logits;
    wgi_row_parallel(x->rows, wgi_row_strips(x->rows, 2 * x->n),
                     WGI_PICK(wgi_cross_entropy_kernels)->backward[t == WG_F64],
                     (void *)(uintptr_t)c);
}
