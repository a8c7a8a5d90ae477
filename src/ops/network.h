/* What the ops of networks share. */
#ifndef WGI_OPS_NETWORK_H
#define WGI_OPS_NETWORK_H
#include "cpu/rows.h"
#include "ops/registry.h"
#include "tensor/internal.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

/* Input i has to be floating; `name` as the row has it, without `?`. An absent input passes. */
static inline wg_status wgi_expect_float(const wg_infer *c, int i, const char *name)
{
    const wg_tensor *t = i < c->in.n ? c->in.t[i] : NULL;
    if (!t || wgi_is_float(t->dtype)) return WG_OK;
    return wg_raise(WG_EDTYPE, "%s should be floating, is %s", name,
                    wg_dtype_name((wg_dtype)t->dtype));
}

/* Input i has at least `least` dimensions. */
static inline wg_status wgi_expect_dims(const wg_infer *c, int i, const char *name, int least)
{
    if (c->in.t[i]->ndim >= least) return WG_OK;
    return wg_raise(WG_ESHAPE, "%s should have at least %d dimension%s, has %d", name, least,
                    least == 1 ? "" : "s", c->in.t[i]->ndim);
}

/* Inputs i and j have the same shape. */
static inline wg_status wgi_expect_same(const wg_infer *c, int i, int j)
{
    return wg_expect(c, j, wgi_shape(c->in.t[i]));
}

static inline wg_status wgi_expect_reduction(wg_reduction reduction)
{
    if (reduction == WG_MEAN || reduction == WG_SUM || reduction == WG_NONE) return WG_OK;
    return wg_raise(WG_EARG, "reduction %d is none of WG_MEAN, WG_SUM, WG_NONE", (int)reduction);
}

/* x as f64 for f64, else as f32: what fused kernels compute in. For composites. */
static inline wg_tensor *wgi_widened(wg_tensor *x)
{
    return wgi_is_float(wg_dtype_of(x)) && wg_dtype_of(x) != WG_F64 ? wg_cast(x, WG_F32) : x;
}
#endif
