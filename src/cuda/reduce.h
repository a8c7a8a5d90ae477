/* Reductions of tensors of any strides. The elements of a group are numbered in row-major order over
 * the reduced axes and cut into chunks of a size fixed by the shape; a chunk is folded by one warp
 * (rows) or one thread (columns), in a fixed order, and the chunks' results are folded again. */
#ifndef WGI_CUDA_REDUCE_H
#define WGI_CUDA_REDUCE_H
#include "cpu/fold_kind.h"
#include "cuda/pass.h"

/* Axes in row-major order, merged where their strides allow. */
typedef struct {
    int n;
    int64_t count, size[WGI_PASS_AXES], stride[WGI_PASS_AXES];
} wgi_axes_of;

/* Element number i's offset. */
WGI_BOTH int64_t wgi_axes_offset(const wgi_axes_of *a, int64_t i)
{
    int64_t offset = 0;
    if (a->n == 0) return 0;
    if (i < INT32_MAX && a->count < INT32_MAX) {
        uint32_t rest = (uint32_t)i;
        for (int d = a->n - 1; d > 0; d--) {
            const uint32_t size = (uint32_t)a->size[d];
            offset += (int64_t)(rest % size) * a->stride[d];
            rest /= size;
        }
        return offset + (int64_t)rest * a->stride[0];
    }
    for (int d = a->n - 1; d > 0; d--) {
        offset += i % a->size[d] * a->stride[d];
        i /= a->size[d];
    }
    return offset + i * a->stride[0];
}

/* Adds an axis behind the others. */
WGI_BOTH void wgi_axes_push(wgi_axes_of *a, int64_t size, int64_t stride)
{
    a->count *= size;
    if (size == 1) return;
    if (a->n > 0 && a->stride[a->n - 1] == stride * size) {
        a->size[a->n - 1] *= size;
        a->stride[a->n - 1] = stride;
        return;
    }
    a->size[a->n] = size;
    a->stride[a->n++] = stride;
}

typedef struct {
    int op, map, kind, type; /* wgi_fold_op, wgi_map, wgi_acc, x's wg_dtype */
    double p;
    const void *x, *centre; /* centre: (groups) of the accumulator's type, or NULL */
    void *out;              /* (groups, chunks), or (chunks, groups) for columns; accumulators */
    wgi_axes_of kept, reduced;
    bool columns;
    int64_t chunk, chunks; /* elements of a chunk, and how many there are */
} wgi_fold_pass;

/* Decides columns, chunk and chunks. */
void wgi_fold_plan(wgi_fold_pass *f);

typedef enum {
    WGI_FINISH_DIVIDE,     /* a / number */
    WGI_FINISH_DIVIDE_F64, /* the same, the quotient taken in f64 */
    WGI_FINISH_ROOT,       /* a^(1 / number); number 2: the square root */
    WGI_FINISH_FINITE,     /* 0 for an infinity */
    WGI_FINISH_LOG         /* other + log a */
} wgi_finish;

typedef struct {
    const void *x;
    int64_t *out; /* (groups) */
    int type, kind;
    bool smallest;
    wgi_axes_of kept, reduced;
} wgi_extremum_pass;

typedef struct {
    const void *x;
    void *y;
    int x_type, y_type, kind;
    wgi_axes_of x_lines, y_lines; /* all axes but the summed one */
    int64_t n, x_step, y_step;    /* along the summed one */
} wgi_cumsum_pass;

#ifdef __cplusplus
extern "C" {
#endif
void wgi_launch_fold(const wgi_fold_pass *f, void *stream);
/* acc (n) in place; other (n), for WGI_FINISH_LOG. */
void wgi_launch_finish(wgi_finish what, wgi_acc kind, void *acc, const void *other, int64_t n,
                       double number, void *stream);
void wgi_launch_extremum(const wgi_extremum_pass *e, void *stream);
void wgi_launch_cumsum(const wgi_cumsum_pass *c, void *stream);
#ifdef __cplusplus
}
#endif
#endif
