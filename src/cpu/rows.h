/* A tensor as rows along one axis, for kernels that work row by row: any strides, any dtype, no
 * index arithmetic per element. Rows are shared out over the threads in strips; a row's result
 * never depends on its strip. */
#ifndef WGI_CPU_ROWS_H
#define WGI_CPU_ROWS_H
#include "tensor/internal.h"
#include "wengert/op.h"

typedef struct {
    char *data;      /* the first element; NULL for an absent tensor */
    int type;        /* wg_dtype */
    int64_t rows, n; /* number of rows, and elements in each */
    int64_t step;    /* between a row's elements, in elements */
    int64_t bytes;   /* of an element */
    int ndim;        /* axes over the rows, merged where their strides allow */
    int64_t shape[WG_MAX_DIMS], strides[WG_MAX_DIMS];
} wgi_rows;

/* Rows of t along axis in [0, ndim); a 0-d tensor is one row of one. t NULL: absent. */
wgi_rows wgi_rows_along(const wg_tensor *t, int axis);
/* Contiguous rows at data. */
wgi_rows wgi_rows_plain(void *data, wg_dtype type, int64_t rows, int64_t n);

static inline void *wgi_row_at(const wgi_rows *r, int64_t i)
{
    int64_t offset = 0;
    for (int d = r->ndim - 1; d > 0; d--) {
        offset += i % r->shape[d] * r->strides[d];
        i /= r->shape[d];
    }
    return r->data + (offset + i * r->strides[0]) * r->bytes;
}

/* A row kernel's work on rows first .. last - 1; strip numbers its buffer. */
typedef void (*wgi_row_fn)(void *self, int64_t first, int64_t last, int64_t strip);
/* How many strips to cut: 1 for little work, else some for every thread. `work`: of a row, in
 * elements of an exp. */
int64_t wgi_row_strips(int64_t rows, int64_t work);
void wgi_row_parallel(int64_t rows, int64_t strips, wgi_row_fn body, void *self);

/* t as contiguous `as`: its own data if it is that already, else a copy in the kernel's scratch.
 * NULL for NULL. For small operands (weights, targets, one value per row). */
wg_status wgi_flat(const wg_run *r, const wg_tensor *t, wg_dtype as, const void **out);
/* wg_scratch of n elements of f32 or f64, checked for overflow. */
wg_status wgi_row_scratch(const wg_run *r, int64_t n, wg_dtype t, void **out);
/* f64 for f64, else f32: what kernels compute in. */
static inline wg_dtype wgi_row_dtype(int t)
{
    return t == WG_F64 ? WG_F64 : WG_F32;
}
#endif
