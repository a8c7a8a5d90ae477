/* y[b, o, t] = sum over c, k of w[o, c, k] x[b, g C + c, t stride + k dilation - left], x being 0
 * outside; g is the group of o, C = channels of a group. Each tap k is one batch of products over
 * the strided data itself: nothing is unfolded or padded.
 *   conv1d: x (B, Cin, T), w (Cout, Cin / groups, K) -> y (B, Cout, T').
 *   conv1d_input: dx from dy and w.   conv1d_weight: dw from x and dy. The three are linear in each
 *   operand, and the gradient of each is made of the other two.
 *   errors: WG_ESHAPE for shapes that do not fit or a kernel longer than the padded x, WG_EARG for
 *   bad options, WG_EDTYPE unless floating. */
#include "cpu/conv1d.h"
#include "ops/product_op.h"
#include "cuda/cuda.h"

static wg_status check_matrix(const wg_tensor *t, const char *name, int n)
{
    if (!wgi_is_float(t->dtype)) return wg_raise(WG_EDTYPE, "%s is not floating", name);
    if (t->ndim != n) return wg_raise(WG_ESHAPE, "%s has %d dimensions, not %d", name, t->ndim, n);
    return WG_OK;
}

/* T' for T and K; raises. */
static wg_status output_length(const wgi_conv1d_attr *a, int64_t length, int64_t taps, int64_t *out)
{
    int64_t span, padded;
    if (a->stride < 1 || a->dilation < 1 || a->groups < 1 || a->left < 0 || a->right < 0)
        return wg_raise(WG_EARG, "stride, dilation and groups are at least 1, padding at least 0");
    if (a->stride > INT32_MAX || a->dilation > INT32_MAX) /* places are products of them */
        return wg_raise(WG_EARG, "stride and dilation are at most %d", INT32_MAX);
    if (taps < 1) return wg_raise(WG_ESHAPE, "w has no taps");
    if (__builtin_mul_overflow(a->dilation, taps - 1, &span) ||
        __builtin_add_overflow(length, a->left, &padded) ||
        __builtin_add_overflow(padded, a->right, &padded) || padded <= span)
        return wg_raise(WG_ESHAPE, "a kernel of %lld taps does not fit a length of %lld",
                        (long long)taps, (long long)length);
    *out = (padded - span - 1) / a->stride + 1;
    return WG_OK;
}

/* Checks that x, w and y's sizes belong together. */
static wg_status check_sizes(const wgi_conv1d_attr *a, int64_t in, int64_t out, int64_t per_group)
{
    if (in % a->groups || out % a->groups || in / a->groups != per_group)
        return wg_raise(WG_ESHAPE, "%lld channels in, %lld out, %lld a group, %lld groups",
                        (long long)in, (long long)out, (long long)per_group, (long long)a->groups);
    return WG_OK;
}

static wg_status conv1d_infer(wg_infer *c)
{
    const wg_tensor *x = c->in.t[0], *w = c->in.t[1];
    const wgi_conv1d_attr *a = c->attr;
    int64_t length;
    wg_status s = check_matrix(x, "x", 3);
    if (s == WG_OK) s = check_matrix(w, "w", 3);
    if (s == WG_OK) s = output_length(a, x->shape[2], w->shape[2], &length);
    if (s == WG_OK) s = check_sizes(a, x->shape[1], w->shape[0], w->shape[1]);
    if (s != WG_OK) return s;
    wg_infer_like(c, 0, x);
    c->out[0].dtype = wgi_promote_dtypes((wg_dtype)x->dtype, (wg_dtype)w->dtype);
    c->out[0].shape = WG_DIMS(x->shape[0], w->shape[0], length);
    return WG_OK;
}

static wg_status input_infer(wg_infer *c)
{
    const wg_tensor *dy = c->in.t[0], *w = c->in.t[1];
    const wgi_conv1d_attr *a = c->attr;
    int64_t length, in;
    wg_status s = check_matrix(dy, "dy", 3);
    if (s == WG_OK) s = check_matrix(w, "w", 3);
    if (s == WG_OK) s = output_length(a, a->length, w->shape[2], &length);
    if (s != WG_OK) return s;
    if (length != dy->shape[2] || dy->shape[1] != w->shape[0] ||
        __builtin_mul_overflow(w->shape[1], a->groups, &in) || w->shape[0] % a->groups)
        return wg_raise(WG_ESHAPE, "dy is not the gradient of such a convolution");
    wg_infer_like(c, 0, dy);
    c->out[0].dtype = wgi_promote_dtypes((wg_dtype)dy->dtype, (wg_dtype)w->dtype);
    c->out[0].shape = WG_DIMS(dy->shape[0], in, a->length);
    return WG_OK;
}

static wg_status weight_infer(wg_infer *c)
{
    const wg_tensor *x = c->in.t[0], *dy = c->in.t[1];
    const wgi_conv1d_attr *a = c->attr;
    int64_t length;
    wg_status s = check_matrix(x, "x", 3);
    if (s == WG_OK) s = check_matrix(dy, "dy", 3);
    if (s == WG_OK) s = output_length(a, x->shape[2], a->taps, &length);
    if (s == WG_OK) s = check_sizes(a, x->shape[1], dy->shape[1], x->shape[1] / a->groups);
    if (s != WG_OK) return s;
    if (length != dy->shape[2] || x->shape[0] != dy->shape[0])
        return wg_raise(WG_ESHAPE, "dy is not the gradient of such a convolution");
    wg_infer_like(c, 0, x);
    c->out[0].dtype = wgi_promote_dtypes((wg_dtype)x->dtype, (wg_dtype)dy->dtype);
    c->out[0].shape = WG_DIMS(dy->shape[1], x->shape[1] / a->groups, a->taps);
    return WG_OK;
}

/* ---- kernels --------------------------------------------------------------------------------- */
static wg_status zero_on_cuda(const wg_run *r, const wg_tensor *t)
{
    return wgi_cuda_fill_strided(r, wgi_data(t), (wg_dtype)t->dtype, t->strides, t->ndim, t->shape,
                                 0);
}

static const wgi_conv1d_device *device_of(const wg_run *r)
{
    static const wgi_conv1d_device on_cuda = { wgi_cuda_gemm, zero_on_cuda };
    return r->out.t[0]->device.kind == WG_CUDA ? &on_cuda : &wgi_conv1d_on_cpu;
}

static wg_status conv1d_run(const wg_run *r)
{
    wgi_conv1d v = { r->attr, r->in.t[0], r->in.t[1], r->out.t[0], device_of(r), r };
    return wgi_conv1d_run(r, &v, &v.y, wgi_conv1d_add_forward);
}

static wg_status input_run(const wg_run *r)
{
    wgi_conv1d v = { r->attr, r->out.t[0], r->in.t[1], r->in.t[0], device_of(r), r };
    return wgi_conv1d_run(r, &v, &v.x, wgi_conv1d_add_input);
}

static wg_status weight_run(const wg_run *r)
{
    wgi_conv1d v = { r->attr, r->in.t[0], r->out.t[0], r->in.t[1], device_of(r), r };
    return wgi_conv1d_run(r, &v, &v.w, wgi_conv1d_add_weight);
}

/* ---- gradients ------------------------------------------------------------------------------- */
static void conv1d_grad(wg_vjp *g)
{
    wgi_conv1d_attr a = *(const wgi_conv1d_attr *)g->attr;
    a.length = wg_vjp_in_shape(g, 0).d[2];
    a.taps = wg_vjp_in_shape(g, 1).d[2];
    wg_tensor *dy = g->dy.t[0];
    if (g->wants[0])
        wg_vjp_apply(g, &(int) { 0 }, &wgi_op_conv1d_input, WG_LIST(dy, g->x.t[1]), &a);
    if (g->wants[1])
        wg_vjp_apply(g, &(int) { 1 }, &wgi_op_conv1d_weight, WG_LIST(g->x.t[0], dy), &a);
}

static void input_grad(wg_vjp *g) /* of dx(dy, w) */
{
    wgi_conv1d_attr a = *(const wgi_conv1d_attr *)g->attr;
    a.taps = wg_vjp_in_shape(g, 1).d[2];
    wg_tensor *d = g->dy.t[0]; /* in x's shape */
    if (g->wants[0]) wg_vjp_apply(g, &(int) { 0 }, &wgi_op_conv1d, WG_LIST(d, g->x.t[1]), &a);
    if (g->wants[1])
        wg_vjp_apply(g, &(int) { 1 }, &wgi_op_conv1d_weight, WG_LIST(d, g->x.t[0]), &a);
}

static void weight_grad(wg_vjp *g) /* of dw(x, dy) */
{
    wgi_conv1d_attr a = *(const wgi_conv1d_attr *)g->attr;
    a.length = wg_vjp_in_shape(g, 0).d[2];
    wg_tensor *d = g->dy.t[0]; /* in w's shape */
    if (g->wants[0]) wg_vjp_apply(g, &(int) { 0 }, &wgi_op_conv1d_input, WG_LIST(g->x.t[1], d), &a);
    if (g->wants[1]) wg_vjp_apply(g, &(int) { 1 }, &wgi_op_conv1d, WG_LIST(g->x.t[0], d), &a);
}

/* ---- references: every (b, o, c, k, t) of the sum -------------------------------------------- */
typedef enum { MAKE_Y, MAKE_X, MAKE_W } what;

static wg_status reference(const wg_run *r, const wgi_conv1d *v, what made)
{
    const wgi_conv1d_attr *a = v->a;
    double *x = wgi_data(v->x), *w = wgi_data(v->w), *y = wgi_data(v->y),
           *to = wgi_data(r->out.t[0]);
    int64_t B = v->x->shape[0], in = v->x->shape[1], T = v->x->shape[2], out = v->w->shape[0],
            C = v->w->shape[1];
    int64_t K = v->w->shape[2], times = v->y->shape[2];
    for (int64_t e = 0; e < r->out.t[0]->numel; e++) to[e] = 0;
    for (int64_t i = 0; i < B * out * C * K * times; i++) {
        int64_t t = i % times, k = i / times % K, c = i / times / K % C,
                o = i / times / K / C % out;
        int64_t b = i / times / K / C / out, at = t * a->stride + k * a->dilation - a->left;
        if (at < 0 || at >= T) continue;
        int64_t xi = (b * in + o / (out / a->groups) * C + c) * T + at, wi = (o * C + c) * K + k;
        int64_t yi = (b * out + o) * times + t;
        if (made == MAKE_Y)
            y[yi] += w[wi] * x[xi];
        else if (made == MAKE_X)
            x[xi] += w[wi] * y[yi];
        else
            w[wi] += x[xi] * y[yi];
    }
    return WG_OK;
}

static wg_status conv1d_reference(const wg_run *r)
{
    return reference(r, &(wgi_conv1d) { r->attr, r->in.t[0], r->in.t[1], r->out.t[0], NULL, r },
                     MAKE_Y);
}

static wg_status input_reference(const wg_run *r)
{
    return reference(r, &(wgi_conv1d) { r->attr, r->out.t[0], r->in.t[1], r->in.t[0], NULL, r },
                     MAKE_X);
}

static wg_status weight_reference(const wg_run *r)
{
    return reference(r, &(wgi_conv1d) { r->attr, r->in.t[0], r->out.t[0], r->in.t[1], NULL, r },
                     MAKE_W);
}

static double times_out(const wg_tensor *y, double n)
{
    return 2 * (double)y->numel * n;
}

static double conv1d_flops(const wg_infer *c)
{
    const wg_tensor *w = c->in.t[1];
    const wg_dims *y = &c->out[0].shape;
    return 2.0 * (double)y->d[0] * (double)y->d[1] * (double)y->d[2] * (double)w->shape[1] *
           (double)w->shape[2];
}

static double input_flops(const wg_infer *c)
{
    const wg_tensor *w = c->in.t[1];
    return times_out(c->in.t[0], (double)w->shape[1] * (double)w->shape[2]);
}

static double weight_flops(const wg_infer *c)
{
    const wg_dims *dw = &c->out[0].shape;
    return times_out(c->in.t[1], (double)dw->d[1] * (double)dw->d[2]);
}

/* ---- samples --------------------------------------------------------------------------------- */
static void conv1d_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 2, 6)), *w = wg_randn(WG_DIMS(4, 2, 3));
    wg_sample(s, "plain", WG_LIST(x, w),
              &(wgi_conv1d_attr) { .stride = 1, .dilation = 1, .groups = 1 });
    wg_sample(
        s, "padded", WG_LIST(x, w),
        &(wgi_conv1d_attr) { .stride = 1, .left = 2, .right = 2, .dilation = 1, .groups = 1 });
    wg_sample(s, "causal", WG_LIST(x, w),
              &(wgi_conv1d_attr) { .stride = 1, .left = 4, .dilation = 2, .groups = 1 });
    wg_sample(
        s, "strided", WG_LIST(x, w),
        &(wgi_conv1d_attr) { .stride = 2, .left = 1, .right = 1, .dilation = 1, .groups = 1 });
    wg_sample(s, "groups", WG_LIST(x, wg_randn(WG_DIMS(4, 1, 2))),
              &(wgi_conv1d_attr) { .stride = 1, .left = 1, .dilation = 3, .groups = 2 });
    wg_sample(s, "a tap beyond the end", WG_LIST(x, w),
              &(wgi_conv1d_attr) { .stride = 3, .left = 9, .dilation = 5, .groups = 1 });
    wg_sample(s, "empty batch", WG_LIST(wg_zeros(WG_DIMS(0, 2, 6)), w),
              &(wgi_conv1d_attr) { .stride = 1, .dilation = 1, .groups = 1 });
    wg_sample_error(s, "channels", WG_LIST(x, wg_randn(WG_DIMS(4, 3, 2))),
                    &(wgi_conv1d_attr) { .stride = 1, .dilation = 1, .groups = 1 }, WG_ESHAPE,
                    "conv1d: 2 channels in");
    wg_sample_error(s, "too long", WG_LIST(x, w),
                    &(wgi_conv1d_attr) { .stride = 1, .dilation = 3, .groups = 1 }, WG_ESHAPE,
                    "conv1d: a kernel of 3 taps");
    wg_sample_error(s, "stride", WG_LIST(x, w),
                    &(wgi_conv1d_attr) { .stride = -1, .dilation = 1, .groups = 1 }, WG_EARG,
                    "conv1d: stride");
    wg_sample_error(s, "x", WG_LIST(wg_randn(WG_DIMS(2, 6)), w),
                    &(wgi_conv1d_attr) { .stride = 1, .dilation = 1, .groups = 1 }, WG_ESHAPE,
                    "conv1d: x has 2 dimensions");
}

static void input_samples(wg_samples *s)
{
    wg_tensor *dy = wg_randn(WG_DIMS(2, 4, 3)), *w = wg_randn(WG_DIMS(4, 1, 2));
    wg_sample(
        s, "groups, strided", WG_LIST(dy, w),
        &(wgi_conv1d_attr) { .stride = 2, .left = 1, .dilation = 1, .groups = 2, .length = 6 });
    wg_sample_error(s, "length", WG_LIST(dy, w),
                    &(wgi_conv1d_attr) { .stride = 1, .dilation = 1, .groups = 2, .length = 6 },
                    WG_ESHAPE, "conv1d_input: dy is not");
}

static void weight_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 2, 6)), *dy = wg_randn(WG_DIMS(2, 4, 3));
    wg_sample(s, "groups, strided", WG_LIST(x, dy),
              &(wgi_conv1d_attr) { .stride = 2, .left = 1, .dilation = 1, .groups = 2, .taps = 2 });
    wg_sample_error(s, "length", WG_LIST(x, dy),
                    &(wgi_conv1d_attr) { .stride = 1, .dilation = 1, .groups = 2, .taps = 2 },
                    WG_ESHAPE, "conv1d_weight: dy is not");
}

const wg_op wgi_op_conv1d = {
    .name = "conv1d",
    .in = { "x", "w" },
    .out = { "y" },
    .attr_size = sizeof(wgi_conv1d_attr),
    .flags = WG_OP_LOW | WG_OP_ACCUMULATE,
    .saves = WG_IN(0) | WG_IN(1),
    .needed_by = { WG_IN(1), WG_IN(0) },
    .infer = conv1d_infer,
    .cpu = conv1d_run,
    .cuda = conv1d_run,
    .reference = conv1d_reference,
    .grad = conv1d_grad,
    .flops = conv1d_flops,
    .samples = conv1d_samples,
};

const wg_op wgi_op_conv1d_input = {
    .name = "conv1d_input",
    .in = { "dy", "w" },
    .out = { "dx" },
    .attr_size = sizeof(wgi_conv1d_attr),
    .flags = WG_OP_ACCUMULATE,
    .saves = WG_IN(0) | WG_IN(1),
    .needed_by = { WG_IN(1), WG_IN(0) },
    .infer = input_infer,
    .cpu = input_run,
    .cuda = input_run,
    .reference = input_reference,
    .grad = input_grad,
    .flops = input_flops,
    .samples = input_samples,
};

const wg_op wgi_op_conv1d_weight = {
    .name = "conv1d_weight",
    .in = { "x", "dy" },
    .out = { "dw" },
    .attr_size = sizeof(wgi_conv1d_attr),
    .flags = WG_OP_ACCUMULATE,
    .saves = WG_IN(0) | WG_IN(1),
    .needed_by = { WG_IN(1), WG_IN(0) },
    .infer = weight_infer,
    .cpu = weight_run,
    .cuda = weight_run,
    .reference = weight_reference,
    .grad = weight_grad,
    .flops = weight_flops,
    .samples = weight_samples,
};

wg_tensor *wg_conv1d_call(wg_conv1d_args o)
{
    if (wgi_refuse(o.x, "conv1d") || wgi_refuse(o.w, "conv1d")) return &wgi_error_tensor;
    wgi_conv1d_attr a = { .stride = o.stride ? o.stride : 1,
                          .left = o.padding,
                          .right = o.padding,
                          .dilation = o.dilation ? o.dilation : 1,
                          .groups = o.groups ? o.groups : 1 };
    if (o.causal) {
        if (o.padding) return wg_fail(WG_EARG, "conv1d: causal chooses the padding");
        int64_t taps = o.w->ndim == 3 ? o.w->shape[2] : 1;
        if (__builtin_mul_overflow(a.dilation, taps - 1, &a.left))
            return wg_fail(WG_EARG, "conv1d: the dilation overflows");
        if (a.left < 0) a.left = 0;
        a.right = 0;
    }
    wg_tensor *y = wg_apply(&wgi_op_conv1d, WG_LIST(o.x, o.w), &a, NULL);
    if (!o.bias || wgi_bad(y)) return y;
    if (wgi_refuse(o.bias, "conv1d")) return &wgi_error_tensor;
    if (o.bias->ndim != 1 || o.bias->shape[0] != y->shape[1])
        return wg_fail(WG_ESHAPE, "conv1d: bias should be (%lld)", (long long)y->shape[1]);
    return wg_add(y, wg_unsqueeze(o.bias, 1));
}
