#include "ops/index_op.h"

wg_status wgi_gather_shape(const wg_tensor *i, const wg_dims *large, int axis, const char *name)
{
    bool fits = i->ndim == large->n;
    for (int d = 0; fits && d < large->n; d++) fits = d == axis || i->shape[d] <= large->d[d];
    return fits ? WG_OK
                : wg_raise(WG_ESHAPE,
                           "i must have %s's number of axes and be no larger but along axis %d",
                           name, axis);
}

wg_status wgi_select_each(const wg_tensor *large, const wg_tensor *i, int axis,
                          void (*visit)(void *self, int64_t small, int64_t large), void *self)
{
    if (axis < 0) axis += large->ndim;
    const int64_t outer = wgi_size_before(large, axis), inner = wgi_size_after(large, axis);
    const int64_t n = i->numel, size = large->shape[axis];
    wg_status s = wgi_reference_check(i, size, false);
    for (int64_t o = 0; s == WG_OK && o < outer; o++)
        for (int64_t k = 0; k < n; k++)
            for (int64_t e = 0; e < inner; e++)
                visit(self, (o * n + k) * inner + e,
                      (o * size + wgi_reference_index(i, k)) * inner + e);
    return s;
}

wg_status wgi_gather_each(const wg_tensor *large, const wg_tensor *i, int axis,
                          void (*visit)(void *self, const int64_t *at, int64_t k, int64_t large),
                          void *self)
{
    if (axis < 0) axis += large->ndim;
    wg_status s = wgi_reference_check(i, large->shape[axis], false);
    for (int64_t k = 0; s == WG_OK && k < i->numel; k++) {
        int64_t at[WG_MAX_DIMS], rest = k, to = 0, step = 1;
        for (int d = i->ndim - 1; d >= 0; d--) {
            at[d] = rest % i->shape[d];
            rest /= i->shape[d];
            to += (d == axis ? wgi_reference_index(i, k) : at[d]) * step;
            step *= large->shape[d];
        }
        visit(self, at, k, to);
    }
    return s;
}
