/* Ops that change a parameter in place: their attributes, and what their rows share. */
#ifndef WGI_OPS_UPDATE_H
#define WGI_OPS_UPDATE_H
#include "cpu/update.h"
#include "ops/registry.h"
#include "tensor/internal.h"

typedef struct {
    double lr, beta1, beta2, eps, weight_decay;
    int64_t step;   /* 1 at the first */
    bool decoupled; /* decay p itself (AdamW), not through the gradient (Adam) */
} wgi_adam_attr;
typedef struct {
    double lr, momentum, dampening, weight_decay;
    bool nesterov, first; /* first: the momentum buffer becomes the gradient */
} wgi_sgd_attr;
typedef struct {
    double lr, beta1, beta2, weight_decay;
} wgi_lion_attr;
typedef struct {
    double max_norm;
} wgi_clip_attr;

/* All operands floating, of p's shape. */
static inline wg_status wgi_update_infer(wg_infer *c)
{
    for (int64_t i = 0; i < c->in.n; i++) {
        if (!c->in.t[i]) continue;
        if (!wgi_is_float(c->in.t[i]->dtype))
            return wg_raise(WG_EDTYPE, "operands should be floating");
        const wg_status s = wg_expect(c, (int)i, wgi_shape(c->in.t[0]));
        if (s != WG_OK) return s;
    }
    return WG_OK;
}

enum { WGI_UPDATE_GRAIN = 16 }; /* tiles of a task */

/* Runs fn over the tiles of all operands; 16-bit ones are computed in f32. */
static inline void wgi_update(const wg_run *r, const wgi_tile_fn fn[2], const void *numbers)
{
    wgi_tiles t;
    int n = 0;
    while (n < r->in.n && r->in.t[n]) n++;
    wgi_tiles_make(&t, wgi_shape(r->in.t[0]), n, r->in.t);
    wgi_tiles_run(&t, WGI_UPDATE_GRAIN, fn[r->in.t[0]->dtype == WG_F64],
                  (void *)(uintptr_t)numbers);
}
#endif
