#include "ops/reduce_op.h"

static wg_status check_dtype(int t, wgi_reduce_dtype rule, wg_dtype *out)
{
    *out = (wg_dtype)t;
    switch (rule) {
    case WGI_SAME_DTYPE: return WG_OK;
    case WGI_SUM_DTYPE:
        if (!wgi_is_float(t)) *out = WG_I64;
        return WG_OK;
    case WGI_FLOAT_DTYPE:
        return wgi_is_float(t)
                   ? WG_OK
                   : wg_raise(WG_EDTYPE, "x must be floating, is %s", wg_dtype_name((wg_dtype)t));
    case WGI_BOOL_DTYPE: *out = WG_BOOL; return WG_OK;
    case WGI_INDEX_DTYPE: *out = WG_I64; return WG_OK;
    }
    return WG_OK;
}

wg_status wgi_reduce_infer(wg_infer *c, const wg_dims *axes, bool keepdim, wgi_reduce_dtype dtype)
{
    const wg_tensor *x = c->in.t[0];
    unsigned mask;
    wg_dtype t;
    wg_status s = wgi_axes(axes, x->ndim, &mask);
    if (s == WG_OK) s = check_dtype(x->dtype, dtype, &t);
    if (s != WG_OK) return s;
    wg_infer_like(c, 0, x);
    wg_dims *shape = &c->out[0].shape;
    c->out[0].dtype = t;
    shape->n = 0;
    for (int a = 0; a < x->ndim; a++) {
        const bool reduced = mask >> a & 1;
        if (!reduced || keepdim) shape->d[shape->n++] = reduced ? 1 : x->shape[a];
    }
    return WG_OK;
}

wg_status wgi_reduce_refuse_empty(const wg_infer *c, const wg_dims *axes)
{
    const wg_tensor *x = c->in.t[0];
    unsigned mask;
    wg_status s = wgi_axes(axes, x->ndim, &mask);
    if (s != WG_OK || x->numel > 0 || wgi_kept_count(x, mask) == 0) return s;
    return wg_raise(WG_ESHAPE, "nothing to choose from: the reduced axes hold no elements");
}

wg_tensor *wgi_reduce_keep(const wg_vjp *g, wg_tensor *t, const wg_dims *axes)
{
    wg_dims shape = wg_vjp_in_shape(g, 0);
    unsigned mask;
    if (wgi_axes(axes, shape.n, &mask) != WG_OK) return t;
    for (int a = 0; a < shape.n; a++)
        if (mask >> a & 1) shape.d[a] = 1;
    return wg_reshape(t, shape);
}

wg_tensor *wgi_reduce_expand(const wg_vjp *g, wg_tensor *t, const wg_dims *axes)
{
    return wg_expand(wgi_reduce_keep(g, t, axes), wg_vjp_in_shape(g, 0));
}

wgi_grouping wgi_grouping_of(const wg_tensor *x, const wg_dims *axes)
{
    wgi_grouping g = { .x = x };
    wgi_axes(axes, x->ndim, &g.mask);
    g.groups = wgi_kept_count(x, g.mask);
    g.count = wgi_reduced_count(x, g.mask);
    return g;
}

int64_t wgi_group_position(const wgi_grouping *g, int64_t o, int64_t e)
{
    int64_t position = 0, stride = 1;
    for (int a = g->x->ndim - 1; a >= 0; a--) {
        const int64_t size = g->x->shape[a];
        int64_t *from = g->mask >> a & 1 ? &e : &o;
        position += *from % size * stride;
        *from /= size;
        stride *= size;
    }
    return position;
}

double wgi_group_value(const wgi_grouping *g, int64_t o, int64_t e)
{
    const size_t at = (size_t)wgi_group_position(g, o, e) * wg_dtype_size((wg_dtype)g->x->dtype);
    return wgi_load((const char *)wgi_data(g->x) + at, (wg_dtype)g->x->dtype);
}

void wgi_reference_put(const wg_run *r, int64_t i, double v)
{
    const wg_tensor *y = r->out.t[0];
    const size_t at = (size_t)i * wg_dtype_size((wg_dtype)y->dtype);
    wgi_store((char *)wgi_data(y) + at, (wg_dtype)y->dtype, v);
}
