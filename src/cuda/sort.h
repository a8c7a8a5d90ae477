/* Sorting on the device: by radix, stable, by CUB (of the toolkit), which is deterministic. */
#ifndef WGI_CUDA_SORT_H
#define WGI_CUDA_SORT_H
#include <cuda_runtime_api.h>
#include <stddef.h>

#include "cuda/pass.h"
#include "cuda/reduce.h"

/* Rows of any strides as keys: order by value, NaNs where they belong, -0 equal to 0. */
typedef struct {
    const void *x;
    int type, kind; /* wg_dtype; wgi_acc */
    wgi_axes_of lines;
    int64_t n, step; /* of a row */
    bool descending, nans_first;
} wgi_sort_keys;

/* Sorted pairs back into rows: the k first of each. */
typedef struct {
    const void *x;
    void *y;
    int64_t *i;
    int bytes;
    wgi_axes_of x_lines, y_lines, i_lines;
    int64_t n, k, x_step, y_step, i_step;
    const int64_t *order; /* (rows, n): element numbers row * n + place, sorted */
} wgi_sort_result;

#ifdef __cplusplus
extern "C" {
#endif
/* Bytes of work space for sorting n pairs. */
cudaError_t wgi_sort_space(int64_t n, size_t *bytes);
/* Sorts n pairs (key, value) by the lowest `bits` bits of the keys; both buffers are used, *at is the
 * number of the one that holds the result. */
cudaError_t wgi_launch_sort(void *space, size_t space_bytes, uint64_t *keys[2], int64_t *values[2],
                            int64_t n, int bits, void *stream, int *at);
void wgi_launch_sort_keys(const wgi_sort_keys *k, uint64_t *keys, int64_t *values, void *stream);
/* keys[i] = values[i] / n: the rows that sorted elements come from. */
void wgi_launch_sort_rows(const int64_t *values, uint64_t *keys, int64_t count, int64_t n,
                          void *stream);
void wgi_launch_sort_result(const wgi_sort_result *r, void *stream);
#ifdef __cplusplus
}
#endif
#endif
