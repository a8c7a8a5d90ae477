#include "ops/index_set.h"

/* The indices among the inputs from `first` on: their common shape. */
wg_status wgi_indices_shape(const wg_infer *c, int first, int axes, wg_dims *shape)
{
    const int64_t n = c->in.n - first;
    if (n < 1 || n > axes)
        return wg_raise(WG_ESHAPE, "%lld index tensors for %d axes", (long long)n, axes);
    shape->n = 0;
    for (int64_t k = first; k < c->in.n; k++) {
        const wg_dims own = wgi_shape(c->in.t[k]), so_far = *shape;
        wg_status s = wgi_index_dtype(c->in.t[k]);
        if (s == WG_OK) s = wgi_broadcast(&so_far, &own, shape);
        if (s != WG_OK) return s;
    }
    return WG_OK;
}

/* (B, inner): the indices' shape and the axes of x behind the n indexed ones. */
wg_status wgi_indexed_shape(wg_dims *b, const wg_dims *x, int64_t n)
{
    if (b->n + x->n - n > WG_MAX_DIMS) return wg_raise(WG_ESHAPE, "more than %d axes", WG_MAX_DIMS);
    for (int d = (int)n; d < x->n; d++) b->d[b->n++] = x->d[d];
    return WG_OK;
}

/* The saved index tensors. */
wg_list wgi_saved_indices(const wg_vjp *g, int first)
{
    return (wg_list) { g->x.n - first, g->x.t + first };
}

wg_list wgi_with_indices(wg_tensor **head, int64_t heads, wg_list i)
{
    const bool given = i.n >= 0 && i.n <= WG_MAX_DIMS && (i.n == 0 || i.t);
    wg_list all =
        wg_list_new(heads + (given ? i.n : 1)); /* else one that is NULL: refused by name */
    for (int64_t k = 0; k < all.n; k++)
        all.t[k] = k < heads ? head[k] : given ? i.t[k - heads] : NULL;
    return all;
}

/* The place among the leading axes of `large` that index b of the common shape names. */
wg_status wgi_index_place(const wg_run *r, int first, const wg_dims *large, const wg_dims *shape,
                          int64_t b, int64_t *out)
{
    *out = 0;
    for (int64_t k = first; k < r->in.n; k++) {
        const wg_tensor *i = r->in.t[k];
        const int64_t size = large->d[k - first];
        int64_t rest = b, at = 0, step = 1;
        for (int d = shape->n - 1; d >= 0; d--) {
            const int own = d - (shape->n - i->ndim);
            if (own >= 0) {
                at += rest % shape->d[d] % i->shape[own] * step;
                step *= i->shape[own];
            }
            rest /= shape->d[d];
        }
        wg_status s = wgi_reference_check(i, size, true);
        if (s != WG_OK) return s;
        const int64_t v = wgi_reference_index(i, at);
        *out = *out * size + (v < 0 ? v + size : v);
    }
    return WG_OK;
}

wg_dims wgi_indices_common(const wg_run *r, int first)
{
    wg_dims shape = { .n = 0 };
    for (int64_t k = first; k < r->in.n; k++) {
        const wg_dims own = wgi_shape(r->in.t[k]), so_far = shape;
        wgi_broadcast(&so_far, &own, &shape);
    }
    return shape;
}

/* Visits (b, inner element): the number in the small side and in the large one. */
wg_status wgi_index_each(const wg_run *r, int first, const wg_tensor *large,
                         void (*visit)(const wg_run *r, int64_t small, int64_t large))
{
    const wg_dims sizes = wgi_shape(large), shape = wgi_indices_common(r, first);
    const int64_t inner = wgi_size_after(large, (int)(r->in.n - first) - 1),
                  count = wgi_numel(&shape);
    for (int64_t b = 0; b < count; b++) {
        int64_t at;
        wg_status s = wgi_index_place(r, first, &sizes, &shape, b, &at);
        if (s != WG_OK) return s;
        for (int64_t e = 0; e < inner; e++) visit(r, b * inner + e, at * inner + e);
    }
    return WG_OK;
}
