/* Moving elements by indices: reading at them, and writing or adding there in a fixed order, by
 * sorting what goes to the same place. */
#ifndef WGI_CUDA_INDEX_H
#define WGI_CUDA_INDEX_H
#include "cuda/fault.h"
#include "cuda/pass.h"
#include "cuda/reduce.h"

/* As wgi_index_map (src/cpu/index.h): the small side's axes; along `axis` an index says where in the
 * large side. Indices that are out of range are negative here, and skipped. */
typedef struct {
    int n, axis;
    int64_t shape[WGI_PASS_AXES], large[WGI_PASS_AXES], small[WGI_PASS_AXES], index[WGI_PASS_AXES];
    const int64_t *i;
} wgi_index_axes;

/* The axes that an index depends on ("items"), whose elements may meet in one place, and the others
 * ("lanes"), along which they never do. */
typedef struct {
    wgi_index_axes m;
    unsigned items; /* mask */
    int64_t item_count, lane_count;
    uint64_t nowhere; /* the key of items that are out of range: above all others */
} wgi_index_plan;
/* Items of a chunk that is added apart, and how many sums all chunks hold in between. */
enum { WGI_INDEX_CHUNK = 32 };
static inline int64_t wgi_index_parts(const wgi_index_plan *p)
{
    return (p->item_count + WGI_INDEX_CHUNK - 1) / WGI_INDEX_CHUNK * 2 * p->lane_count;
}
void wgi_index_plan_make(wgi_index_plan *p, const wgi_index_axes *m, int64_t largest_index);

/* Takes the coordinate along an axis of this size off a row-major number. */
WGI_BOTH int64_t wgi_index_coordinate(int64_t *rest, int64_t size)
{
    int64_t at;
    if (*rest < INT32_MAX && size < INT32_MAX) {
        at = (uint32_t)*rest % (uint32_t)size;
        *rest = (uint32_t)*rest / (uint32_t)size;
    } else {
        at = *rest % size;
        *rest /= size;
    }
    return at;
}

/* Where item k goes: its key; `nowhere` if its index is out of range. */
WGI_BOTH uint64_t wgi_index_key(const wgi_index_plan *p, int64_t k)
{
    const wgi_index_axes *m = &p->m;
    int64_t large = 0, index = 0;
    for (int d = m->n - 1; d >= 0; d--) {
        if (!(p->items >> d & 1)) continue;
        const int64_t at = wgi_index_coordinate(&k, m->shape[d]);
        index += at * m->index[d];
        if (d != m->axis) large += at * m->large[d];
    }
    const int64_t i = m->i[index];
    return i < 0 ? p->nowhere : (uint64_t)(large + i * m->large[m->axis]);
}

/* Item k's offset in the small side. */
WGI_BOTH int64_t wgi_index_item(const wgi_index_plan *p, int64_t k)
{
    int64_t small = 0;
    for (int d = p->m.n - 1; d >= 0; d--)
        if (p->items >> d & 1) small += wgi_index_coordinate(&k, p->m.shape[d]) * p->m.small[d];
    return small;
}

/* Lane k's offsets in the large and the small side. */
WGI_BOTH void wgi_index_lane(const wgi_index_plan *p, int64_t k, int64_t *large, int64_t *small)
{
    *large = *small = 0;
    for (int d = p->m.n - 1; d >= 0; d--) {
        if (p->items >> d & 1) continue;
        const int64_t at = wgi_index_coordinate(&k, p->m.shape[d]);
        *large += at * p->m.large[d];
        *small += at * p->m.small[d];
    }
}

/* Indices of any strides as contiguous i64; bad ones are reported and become -1. */
typedef struct {
    const void *from;
    int type;
    wgi_axes_of axes;
    int64_t *to; /* (axes.count) */
    int64_t size;
    bool wrap; /* negative ones count from the end */
    wgi_fault_record *fault;
    wgi_fault_source source;
} wgi_index_reading;

/* where (count) = sum over k of index k times stride k; -1 if one is out of range. */
typedef struct {
    int n, ndim; /* index tensors; axes of their common shape */
    int64_t count, shape[WGI_PASS_AXES];
    const int64_t *i[WGI_PASS_AXES];
    int64_t step[WGI_PASS_AXES][WGI_PASS_AXES], stride[WGI_PASS_AXES];
    int64_t *where;
} wgi_index_places;

/* Places of elements that are not 0; y (most, ndim). */
typedef struct {
    const void *x;
    int type, ndim;
    wgi_axes_of axes;
    int64_t shape[WGI_PASS_AXES], most;
    int64_t *count; /* (chunks) scratch */
    int64_t *y;
} wgi_nonzero_pass;
int64_t wgi_nonzero_chunks(int64_t numel);

#ifdef __cplusplus
extern "C" {
#endif
void wgi_launch_index_reading(const wgi_index_reading *r, void *stream);
void wgi_launch_index_places(const wgi_index_places *p, void *stream);
/* small = large at the indices, 0 where they are out of range. */
void wgi_launch_take(const wgi_index_axes *m, int64_t count, const void *large, void *small,
                     int bytes, void *stream);
void wgi_launch_index_keys(const wgi_index_plan *p, uint64_t *keys, int64_t *items, void *stream);
/* Items sorted by key. large (of the accumulator `kind`) += small (of dtype `type`). parts: wgi_index_parts of that
 * accumulator, scratch. */
void wgi_launch_index_add(const wgi_index_plan *p, const uint64_t *keys, const int64_t *items,
                          void *large, int kind, const void *small, int type, void *parts,
                          void *stream);
/* large = small; the last item of a place wins. */
void wgi_launch_index_write(const wgi_index_plan *p, const uint64_t *keys, const int64_t *items,
                            void *large, const void *small, int bytes, void *stream);
/* y[item] = whether it is the last of its place. */
void wgi_launch_index_last(const wgi_index_plan *p, const uint64_t *keys, const int64_t *items,
                           uint8_t *y, void *stream);
void wgi_launch_nonzero(const wgi_nonzero_pass *p, void *stream);
#ifdef __cplusplus
}
#endif
#endif
