/* What the kernels of the index family share. Only for this folder. */
#ifndef WGI_CUDA_INDEX_PARTS_H
#define WGI_CUDA_INDEX_PARTS_H
#include "cpu/fold_kind.h"
#include "cuda/index.h"
#include "cuda/operands.h"

/* Items sorted by where they go. largest: what an index may be. */
typedef struct {
    wgi_index_plan plan;
    const uint64_t *keys;
    const int64_t *items;
} wgi_index_sorted;

/* An output of any dtype that is added into. */
typedef struct {
    void *data; /* of the accumulator's type */
    int64_t strides[WG_MAX_DIMS];
    wgi_acc kind;
    bool direct, accumulate;
} wgi_index_target;

/* See index.c. */
wg_tensor *wgi_index_output(const wg_run *r);
void wgi_index_row_major(int n, const int64_t *shape, int64_t *strides);
wg_status wgi_index_seen_as(const wg_run *r, const wg_tensor *t, const wg_dims *as,
                            const void **data, int64_t *strides);
wg_status wgi_index_indices(const wg_run *r, const wg_tensor *t, const char *name, int64_t size,
                            bool wrap, const int64_t **out);
int64_t wgi_index_count(const wgi_index_axes *m);
wg_status wgi_index_from(const wg_run *r, const wgi_index_axes *m, const wg_tensor *large);
wg_status wgi_index_sort(const wg_run *r, const wgi_index_axes *m, int64_t largest,
                         wgi_index_sorted *s);
wg_status wgi_index_add(const wg_run *r, const wgi_index_axes *m, int64_t largest, void *large,
                        const void *small, int type);
wg_status wgi_index_target_open(const wg_run *r, wgi_index_target *t, wg_dtype from,
                                bool accumulate);
wg_status wgi_index_target_close(const wg_run *r, const wgi_index_target *t);
wg_status wgi_index_copy_first(const wg_run *r);
#endif
