/* What ops without inputs share: their attribute says what and where. */
#ifndef WGI_OPS_MAKE_H
#define WGI_OPS_MAKE_H
#include "ops/elementwise.h"

typedef struct {
    wg_dims shape;
    wg_device device;
    wg_dtype dtype;
    double a, b; /* value; start and step; ... */
    int64_t low, high;
} wgi_make;

/* On the current device; t = 0: the current dtype. */
wgi_make wgi_make_here(wg_dims shape, wg_dtype t);
wg_status wgi_infer_make(wg_infer *c);
wg_tensor *wgi_make_apply(const wg_op *op, const wgi_make *a);
#endif
