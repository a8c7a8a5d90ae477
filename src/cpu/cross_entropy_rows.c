#include "cpu/cross_entropy.h"

/* of a part with maximum `max`, seen from m: nothing to do for the one that has it, or has no class but -inf */
static bool is_at(double max, double m)
{
    return max == m || max == -INFINITY;
}

static double sum_from(wgi_loss_part p, double m)
{
    return is_at(p.max, m) ? p.sum : p.sum * exp(p.max - m);
}

static double gap_from(wgi_loss_part p, double m)
{
    return is_at(p.max, m) ? p.gap : p.gap + p.mass * (m - p.max);
}

wgi_loss_part wgi_loss_join(wgi_loss_part a, wgi_loss_part b)
{
    const double m = a.max > b.max ? a.max : b.max;
    return (wgi_loss_part) { .max = m,
                             .sum = sum_from(a, m) + sum_from(b, m),
                             .gap = gap_from(a, m) + gap_from(b, m),
                             .mass = a.mass + b.mass };
}

wgi_row_loss wgi_loss_of(wgi_loss_part whole)
{
    const double log_sum = log(whole.sum);
    return (wgi_row_loss) { whole.gap + whole.mass * log_sum, whole.max + log_sum };
}

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

void wgi_cross_entropy_part(const wgi_cross_entropy *c, wg_dtype t)
{
    WGI_PICK(wgi_cross_entropy_kernels)
        ->part[t == WG_F64]((void *)(uintptr_t)c, 0, c->logits.rows, 0);
}

void wgi_cross_entropy_part_backward(const wgi_cross_entropy *c, wg_dtype t)
{
    WGI_PICK(wgi_cross_entropy_kernels)
        ->backward[t == WG_F64]((void *)(uintptr_t)c, 0, c->logits.rows, 0);
}
