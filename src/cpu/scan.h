/* Running sums, sorting and choosing along one axis. */
#ifndef WGI_CPU_SCAN_H
#define WGI_CPU_SCAN_H
#include "tensor/internal.h"
#include "wengert/op.h"

typedef struct {
    int axis; /* may be negative */
    bool descending;
} wgi_sort_attr;
typedef struct {
    int64_t k;
    int axis;
} wgi_topk_attr;

wg_status wgi_cpu_cumsum(const wg_run *r); /* attribute: wgi_axis_attr */
wg_status wgi_cpu_sort(const wg_run *r);
wg_status wgi_cpu_topk(const wg_run *r);
#endif
