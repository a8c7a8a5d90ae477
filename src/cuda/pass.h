/* An elementwise pass over tensors of one shape as a kernel gets it: axes coalesced, strides in
 * elements. Plain, for C and CUDA; the index arithmetic is tested on the CPU. */
#ifndef WGI_CUDA_PASS_H
#define WGI_CUDA_PASS_H
#include <stdbool.h>
#include <stdint.h>

#ifdef __CUDACC__
#define WGI_BOTH static __host__ __device__ __forceinline__
#else
#define WGI_BOTH static inline
#endif

enum { WGI_PASS_AXES = 8, WGI_PASS_OPERANDS = 7 };

typedef enum { WGI_OPERAND_ABSENT, WGI_OPERAND_MEMORY, WGI_OPERAND_NUMBER } wgi_operand_kind;

typedef struct {
    int kind, type; /* wgi_operand_kind, wg_dtype */
    void *data;
    int64_t stride[WGI_PASS_AXES];
    double real;   /* WGI_OPERAND_NUMBER: a scalar from the host, */
    int64_t whole; /* and as an integer */
} wgi_operand;

typedef struct {
    int n, ndim; /* operands; axes, the innermost last, at least one */
    int64_t numel, size[WGI_PASS_AXES];
    wgi_operand o[WGI_PASS_OPERANDS];
} wgi_pass;

/* Drops axes of 1 and merges neighbours that every operand steps through evenly. */
void wgi_pass_coalesce(wgi_pass *p);

/* A thread works on a group of up to `width` neighbours along the last axis. */
WGI_BOTH int64_t wgi_pass_row_groups(const wgi_pass *p, int width)
{
    return (p->size[p->ndim - 1] + width - 1) / width;
}

WGI_BOTH int64_t wgi_pass_groups(const wgi_pass *p, int width)
{
    const int64_t inner = p->size[p->ndim - 1];
    return inner > 0 ? p->numel / inner * wgi_pass_row_groups(p, width) : 0;
}

/* Where a group lies: its first element's place along the last axis, how many it has, and the
 * offset of that element in each operand. */
typedef struct {
    int64_t first; /* in the row */
    int64_t index; /* logical number of the first element, row-major */
    int count;
    int64_t offset[WGI_PASS_OPERANDS];
} wgi_group;

WGI_BOTH void wgi_pass_locate(const wgi_pass *p, int width, int64_t group, wgi_group *g)
{
    const int last = p->ndim - 1;
    const int64_t inner = p->size[last], groups = wgi_pass_row_groups(p, width);
    int64_t row;
    if (group < INT32_MAX &&
        groups < INT32_MAX) { /* 64-bit division costs a GPU several times as much */
        row = (uint32_t)group / (uint32_t)groups;
        g->first = (int64_t)((uint32_t)group % (uint32_t)groups) * width;
    } else {
        row = group / groups;
        g->first = group % groups * width;
    }
    g->index = row * inner + g->first;
    g->count = (int)(inner - g->first < width ? inner - g->first : width);
    for (int k = 0; k < WGI_PASS_OPERANDS; k++)
        if (k < p->n) g->offset[k] = g->first * p->o[k].stride[last];
    for (int d = last - 1; d >= 0; d--) {
        int64_t at;
        if (row < INT32_MAX && p->size[d] < INT32_MAX) {
            at = (uint32_t)row % (uint32_t)p->size[d];
            row = (uint32_t)row / (uint32_t)p->size[d];
        } else {
            at = row % p->size[d];
            row /= p->size[d];
        }
        for (int k = 0; k < WGI_PASS_OPERANDS; k++)
            if (k < p->n) g->offset[k] += at * p->o[k].stride[d];
    }
}
#endif
