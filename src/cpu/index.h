/* Moving elements by index tensors. Two cores serve every op of the family: `take` reads a large
 * tensor at indices, `put` writes or adds there, in a fixed order and without atomics. */
#ifndef WGI_CPU_INDEX_H
#define WGI_CPU_INDEX_H
#include "tensor/internal.h"
#include "wengert/op.h"

/* ---- attributes of the index family ---- */
typedef struct {
    int axis; /* may be negative */
} wgi_axis_attr;
typedef struct {
    int axis;
    wg_dims shape; /* of the large tensor */
} wgi_axis_back_attr;
typedef struct {
    wg_dims shape; /* of the large tensor */
} wgi_index_back_attr;
typedef struct {
    bool accumulate;
} wgi_index_put_attr;

/* The small side's axes; along `axis` an index says where in the large side. The last of equal
 * places wins when written; all of them add up in order when added. */
typedef struct {
    int n, axis;
    int64_t shape[WG_MAX_DIMS];
    int64_t large[WG_MAX_DIMS]; /* strides; large[axis] is what an index is multiplied by */
    int64_t small[WG_MAX_DIMS];
    int64_t index[WG_MAX_DIMS]; /* strides of the indices */
    const int64_t *i;           /* checked, not negative */
} wgi_index_map;

/* small = large at the indices; elements of `bytes` bytes. */
void wgi_index_take(const wgi_index_map *m, const void *large, void *small, size_t bytes);
/* large at the indices = small. */
void wgi_index_write(const wgi_index_map *m, void *large, const void *small, size_t bytes);
/* large at the indices += small, of dtype `from`; large is of from's accumulator type (f32, f64,
 * i64). */
void wgi_index_add_into(const wgi_index_map *m, void *large, const void *small, wg_dtype from);

/* t's indices as contiguous i64, each in [0, size) (with wrap: [-size, size), brought to [0,
 * size)). Raises WG_EINDEX for the first that is not: "i[2, 3] is 70, out of range for size 65". */
wg_status wgi_index_read(const wg_run *r, const wg_tensor *t, const char *name, int64_t size,
                         bool wrap, const int64_t **out);

wg_status wgi_cpu_embedding(const wg_run *r);
wg_status wgi_cpu_embedding_backward(const wg_run *r);
wg_status wgi_cpu_index_select(const wg_run *r);
wg_status wgi_cpu_index_select_backward(const wg_run *r);
wg_status wgi_cpu_index_add(const wg_run *r);
wg_status wgi_cpu_gather(const wg_run *r);
wg_status wgi_cpu_gather_backward(const wg_run *r);
wg_status wgi_cpu_scatter_add(const wg_run *r);
wg_status wgi_cpu_index_get(const wg_run *r);
wg_status wgi_cpu_index_get_backward(const wg_run *r);
wg_status wgi_cpu_index_put(const wg_run *r);
wg_status wgi_cpu_index_last(const wg_run *r);
wg_status wgi_cpu_nonzero(const wg_run *r);
/* How many elements of x (CPU) are not 0. */
int64_t wgi_cpu_count_nonzero(const wg_tensor *x);
#endif
