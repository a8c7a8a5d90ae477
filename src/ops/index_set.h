/* Several index tensors that broadcast and address the leading axes of a tensor: x[i, j, ...]. B is
 * their common shape, inner the axes of x behind the n that are indexed. */
#ifndef WGI_OPS_INDEX_SET_H
#define WGI_OPS_INDEX_SET_H
#include "ops/index_op.h"

/* The common shape of the indices among the inputs from `first` on, 1 to `axes` of them. */
wg_status wgi_indices_shape(const wg_infer *c, int first, int axes, wg_dims *shape);
/* b: B, becomes (B, inner). */
wg_status wgi_indexed_shape(wg_dims *b, const wg_dims *x, int64_t n);
/* In a gradient rule: the inputs from `first` on. */
wg_list wgi_saved_indices(const wg_vjp *g, int first);
/* head's tensors, then i's. */
wg_list wgi_with_indices(wg_tensor **head, int64_t heads, wg_list i);

/* ---- for references ---- */
/* The place among the leading axes of `large` that index b of the common shape names. */
wg_status wgi_index_place(const wg_run *r, int first, const wg_dims *large, const wg_dims *shape,
                          int64_t b, int64_t *out);
wg_dims wgi_indices_common(const wg_run *r, int first);
/* Visits (b, inner element): the number in the small side and in the large one. */
wg_status wgi_index_each(const wg_run *r, int first, const wg_tensor *large,
                         void (*visit)(const wg_run *r, int64_t small, int64_t large));
#endif
