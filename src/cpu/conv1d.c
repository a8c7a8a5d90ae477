/* Each tap k of a convolution is one batch of products over the strided data itself: nothing is
 * unfolded or padded. */
#include "cpu/conv1d.h"

static wgi_matrix matrix_at(const wg_tensor *t, int64_t offset, int64_t row, int64_t column)
{
    char *p = wgi_data(t);
    if (p) p += offset * (int64_t)wgi_dtype_bytes[t->dtype];
    return (wgi_matrix) { .data = p, .type = (wg_dtype)t->dtype, .row = row, .column = column };
}

/* Times [*first, *first + *n) of y that tap k meets inside of x. */
static void tap_range(const wgi_conv1d *v, int64_t k, int64_t *first, int64_t *n)
{
    int64_t stride = v->a->stride, shift = k * v->a->dilation - v->a->left, length = v->x->shape[2];
    int64_t t0 = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
    int64_t t1 = length - 1 - shift < 0 ? 0 : (length - 1 - shift) / stride + 1;
    if (t1 > v->y->shape[2]) t1 = v->y->shape[2];
    *first = t0;
    *n = t1 > t0 ? t1 - t0 : 0;
}

/* The matrices of tap k: X (C, n), W (O, C), Y (O, n), batched over (B, groups). */
typedef struct {
    wgi_matrix x, w, y;
    int64_t in, out, n; /* C, O of a group */
} tap;

static tap tap_of(const wgi_conv1d *v, int64_t k)
{
    const wg_tensor *x = v->x, *w = v->w, *y = v->y;
    int64_t first;
    tap p = { .in = w->shape[1], .out = w->shape[0] / v->a->groups };
    tap_range(v, k, &first, &p.n);
    int64_t start = first * v->a->stride + k * v->a->dilation - v->a->left;
    p.x = matrix_at(x, start * x->strides[2], x->strides[1], v->a->stride * x->strides[2]);
    p.w = matrix_at(w, k * w->strides[2], w->strides[0], w->strides[1]);
    p.y = matrix_at(y, first * y->strides[2], y->strides[1], y->strides[2]);
    p.x.batch[0] = x->strides[0];
    p.x.batch[1] = p.in * x->strides[1];
    p.w.batch[1] = p.out * w->strides[0];
    p.y.batch[0] = y->strides[0];
    p.y.batch[1] = p.out * y->strides[1];
    return p;
}

static wgi_matrix turned(wgi_matrix m)
{
    int64_t row = m.row;
    m.row = m.column;
    m.column = row;
    return m;
}

static wg_status multiply(const wgi_conv1d *v, wgi_matrix a, wgi_matrix b, wgi_matrix c, int64_t m,
                          int64_t n, int64_t k)
{
    wgi_gemm_args g = { .m = m,
                        .n = n,
                        .k = k,
                        .a = a,
                        .b = b,
                        .c = c,
                        .alpha = 1,
                        .beta = 1,
                        .batch_dims = 2,
                        .batch_shape = { v->x->shape[0], v->a->groups } };
    return v->device->product(v->run, &g);
}

wg_status wgi_conv1d_add_forward(const wgi_conv1d *v)
{
    for (int64_t k = 0; k < v->w->shape[2]; k++) {
        tap p = tap_of(v, k);
        wg_status s = p.n ? multiply(v, p.w, p.x, p.y, p.out, p.n, p.in) : WG_OK;
        if (s != WG_OK) return s;
    }
    return WG_OK;
}

wg_status wgi_conv1d_add_input(const wgi_conv1d *v)
{
    for (int64_t k = 0; k < v->w->shape[2]; k++) {
        tap p = tap_of(v, k);
        wg_status s = p.n ? multiply(v, turned(p.w), p.y, p.x, p.in, p.n, p.out) : WG_OK;
        if (s != WG_OK) return s;
    }
    return WG_OK;
}

wg_status wgi_conv1d_add_weight(const wgi_conv1d *v) /* the batch is summed: entry after entry */
{
    for (int64_t k = 0; k < v->w->shape[2]; k++) {
        tap p = tap_of(v, k);
        for (int64_t b = 0; p.n && b < v->x->shape[0]; b++) {
            wgi_gemm_args g = { .m = p.out,
                                .n = p.in,
                                .k = p.n,
                                .a = p.y,
                                .b = turned(p.x),
                                .c = p.w,
                                .alpha = 1,
                                .beta = 1,
                                .batch_dims = 1,
                                .batch_shape = { v->a->groups } };
            g.a.data = (char *)g.a.data + b * p.y.batch[0] * (int64_t)wgi_dtype_bytes[p.y.type];
            g.b.data = (char *)g.b.data + b * p.x.batch[0] * (int64_t)wgi_dtype_bytes[p.x.type];
            g.a.batch[0] = p.y.batch[1];
            g.b.batch[0] = p.x.batch[1];
            g.c.batch[0] = p.w.batch[1];
            wg_status s = v->device->product(v->run, &g);
            if (s != WG_OK) return s;
        }
    }
    return WG_OK;
}

static wg_status product(const wg_run *r, const wgi_gemm_args *g)
{
    (void)r;
    return wgi_gemm(g);
}

static wg_status zero(const wg_run *r, const wg_tensor *t)
{
    const double none = 0;
    const int64_t still[3] = { 0 };
    (void)r;
    wgi_copy_strided(wgi_data(t), (wg_dtype)t->dtype, t->strides, &none, WG_F64, still, 3,
                     t->shape);
    return WG_OK;
}

const wgi_conv1d_device wgi_conv1d_on_cpu = { product, zero };

wg_status wgi_conv1d_run(const wg_run *r, wgi_conv1d *v, const wg_tensor **made,
                         wg_status (*add)(const wgi_conv1d *v))
{
    wg_tensor *out = r->out.t[0];
    wg_status s = WG_OK;
    if (out->numel == 0) return WG_OK;
    wg_tensor wide = *out; /* on the stack: only its data, dtype, shape and strides are looked at */
    wgi_storage memory = { .device = out->device };
    if (wgi_is_16bit(out->dtype)) {
        wg_dims shape = wgi_shape(out), strides = wgi_row_major(&shape);
        memory.data = wg_scratch(r, (size_t)out->numel * sizeof(float));
        if (!memory.data) return WG_EMEM;
        wide.storage = &memory;
        wide.offset = 0;
        wide.dtype = WG_F32;
        for (int a = 0; a < out->ndim; a++) wide.strides[a] = strides.d[a];
        if (r->accumulate) s = wgi_copy_elements(&wide, out);
    }
    if (!r->accumulate) s = v->device->zero(r, &wide);
    *made = &wide;
    if (s == WG_OK) s = add(v);
    *made = out;
    return s == WG_OK && wide.dtype != out->dtype ? wgi_copy_elements(out, &wide) : s;
}
