/* y = x with before[a] elements of `value` in front of axis a and after[a] behind it; a negative
 * count cuts off instead.
 *   x: any -> y: same dtype. before and after have one entry for each of x's last axes.
 *   gradient: dx = dy padded with zeros by the negated counts.
 *   errors: WG_EARG if before and after differ in length or are longer than x's shape, WG_ESHAPE if
 *   nothing is left to cut. */
#include "ops/shape_op.h"

typedef struct {
    wg_dims before, after;
    double value;
} pad_attr;

static wg_status infer(wg_infer *c)
{
    const pad_attr *p = c->attr;
    const wg_tensor *x = c->in.t[0];
    int n = p->before.n;
    if (n < 0 || n != p->after.n || n > x->ndim)
        return wg_raise(WG_EARG, "%d counts before and %d after, for %d dimensions", n, p->after.n,
                        x->ndim);
    wg_infer_like(c, 0, x);
    for (int k = 0; k < n; k++) {
        int64_t *size = &c->out[0].shape.d[x->ndim - n + k], left;
        /* both may cut, but not more than there is */
        bool over = __builtin_add_overflow(*size, p->before.d[k] < 0 ? p->before.d[k] : 0, &left) ||
                    __builtin_add_overflow(left, p->after.d[k] < 0 ? p->after.d[k] : 0, &left) ||
                    left < 0 || __builtin_add_overflow(*size, p->before.d[k], size) ||
                    __builtin_add_overflow(*size, p->after.d[k], size);
        if (over)
            return wg_raise(WG_ESHAPE, "%lld before and %lld after on an axis of %lld",
                            (long long)p->before.d[k], (long long)p->after.d[k],
                            (long long)x->shape[x->ndim - n + k]);
    }
    return WG_OK;
}

static wg_status fill(const wg_run *r, double value)
{
    static const int64_t still[WG_MAX_DIMS];
    const wg_tensor *y = r->out.t[0];
    if (y->device.kind == WG_CUDA)
        return wgi_cuda_fill_strided(r, wgi_data(y), (wg_dtype)y->dtype, y->strides, y->ndim,
                                     y->shape, value);
    wgi_copy_strided(wgi_data(y), (wg_dtype)y->dtype, y->strides, &value, WG_F64, still, y->ndim,
                     y->shape);
    return WG_OK;
}

static wg_status run(const wg_run *r)
{
    const pad_attr *p = r->attr;
    const wg_tensor *x = r->in.t[0];
    wg_tensor *y = r->out.t[0];
    int64_t kept[WG_MAX_DIMS], to = 0, from = 0;
    bool any = x->numel > 0, all = true;
    if (y->numel == 0) return WG_OK;
    for (int a = 0; a < x->ndim; a++) {
        int k = a - (x->ndim - p->before.n);
        int64_t before = k < 0 ? 0 : p->before.d[k], after = k < 0 ? 0 : p->after.d[k];
        kept[a] = x->shape[a] + (before < 0 ? before : 0) + (after < 0 ? after : 0);
        any &= kept[a] > 0;
        all &= kept[a] == y->shape[a];
        to += (before > 0 ? before : 0) * y->strides[a];
        from -= (before < 0 ? before : 0) * x->strides[a];
    }
    int64_t size = (int64_t)wgi_dtype_bytes[y->dtype];
    wg_status s = WG_OK;
    if (!all || !any) s = fill(r, p->value);
    if (any && s == WG_OK)
        s = wgi_run_copy(r, (char *)wgi_data(y) + to * size, y->strides, x,
                         (char *)wgi_data(x) + from * size, x->strides, x->ndim, kept);
    return s;
}

static void grad(wg_vjp *g)
{
    pad_attr back = *(const pad_attr *)g->attr;
    for (int k = 0; k < back.before.n; k++) {
        back.before.d[k] = -back.before.d[k];
        back.after.d[k] = -back.after.d[k];
    }
    g->dx.t[0] = wg_pad(g->dy.t[0], back.before, back.after, 0);
}

static wg_status reference(const wg_run *r)
{
    const pad_attr *p = r->attr;
    const wg_tensor *x = r->in.t[0], *y = r->out.t[0];
    const double *from = wg_run_in(r, 0);
    double *to = wg_run_out(r, 0);
    int64_t index[WG_MAX_DIMS] = { 0 };
    for (int64_t e = 0; e < y->numel; e++) {
        int64_t i[WG_MAX_DIMS];
        bool inside = true;
        for (int a = 0; a < x->ndim; a++) {
            int k = a - (x->ndim - p->before.n);
            i[a] = index[a] - (k < 0 ? 0 : p->before.d[k]);
            inside = inside && i[a] >= 0 && i[a] < x->shape[a];
        }
        to[e] = inside ? from[wgi_element_at(x, i)] : p->value;
        wgi_next_index(y, index);
    }
    return WG_OK;
}

static void samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4));
    wg_sample(s, "last axis", WG_LIST(x), &(pad_attr) { WG_DIMS(1), WG_DIMS(2), 0.5 });
    wg_sample(s, "all axes", WG_LIST(x), &(pad_attr) { WG_DIMS(1, 0, 1), WG_DIMS(0, 2, 0), -1 });
    wg_sample(s, "cut", WG_LIST(x), &(pad_attr) { WG_DIMS(-1, 1), WG_DIMS(1, -2), 2 });
    wg_sample(s, "nothing", WG_LIST(x), &(pad_attr) { WG_DIMS(), WG_DIMS(), 0 });
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), &(pad_attr) { WG_DIMS(), WG_DIMS(), 0 });
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(0))), &(pad_attr) { WG_DIMS(1), WG_DIMS(1), 3 });
    wg_sample_error(s, "lengths", WG_LIST(x), &(pad_attr) { WG_DIMS(1), WG_DIMS(1, 1), 0 }, WG_EARG,
                    "pad: ");
    wg_sample_error(s, "too many", WG_LIST(x),
                    &(pad_attr) { WG_DIMS(0, 0, 0, 1), WG_DIMS(0, 0, 0, 1), 0 }, WG_EARG, "pad: ");
    wg_sample_error(s, "cut too much", WG_LIST(x), &(pad_attr) { WG_DIMS(-3), WG_DIMS(-2), 0 },
                    WG_ESHAPE, "pad: ");
}

const wg_op wgi_op_pad = {
    .name = "pad",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(pad_attr),
    .infer = infer,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_pad(wg_tensor *x, wg_dims before, wg_dims after, double value)
{
    pad_attr p = { before, after, value };
    return wg_apply(&wgi_op_pad, WG_LIST(x), &p, NULL);
}
