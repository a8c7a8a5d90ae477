/* What a product reads next, fetched into L2 a few lines at a time while it computes. Only for files in simd_sources. */
#ifndef WGI_CPU_GEMM_AHEAD_H
#define WGI_CPU_GEMM_AHEAD_H
#include <stdint.h>

enum { WGI_LINE = 64 };

typedef struct {
    const char *p;
    int64_t stride, bytes, rows; /* rows of so many bytes, stride bytes apart */
    int64_t row, at;             /* where it stands */
    int64_t each;                /* lines a call */
} wgi_ahead;

/* rows x columns elements of x, one of whose strides is 1, in `calls` calls. Others are not fetched. */
static inline wgi_ahead wgi_look_ahead(const char *x, int64_t size, int64_t row, int64_t column,
                                       int64_t rows, int64_t columns, int64_t calls)
{
    wgi_ahead f = { .p = x };
    if (row != 1 && column != 1) return f;
    f.rows = row == 1 ? columns : rows;
    f.bytes = (row == 1 ? rows : columns) * size;
    f.stride = (row == 1 ? column : row) * size;
    f.each = (f.rows * ((f.bytes + WGI_LINE - 1) / WGI_LINE + 1) + calls - 1) / calls;
    return f;
}

static inline void wgi_fetch(wgi_ahead *f)
{
    for (int64_t i = 0; i < f->each && f->row < f->rows; i++) {
        const char *row = f->p + f->row * f->stride;
        __builtin_prefetch(row + f->at, 0, 2);
        f->at += WGI_LINE;
        if (f->at < f->bytes) continue;
        __builtin_prefetch(row + f->bytes - 1, 0,
                           2); /* the last line, where rows begin within one */
        f->at = 0;
        f->row++;
    }
}
#endif
