/* Tensors in blocks: which views keep blocks whole, and copies from and to them. */
#include "cpu/parallel.h"
#include "cpu/quant.h"
#include "tensor/internal.h"

enum { STAGE = 1024 /* elements on the stack: a multiple of every block */ };

size_t wgi_bytes_of(wg_dtype t, int64_t n)
{
    return wgi_in_blocks(t) ? (size_t)(n / wg_dtype_block(t)) * wg_dtype_block_bytes(t)
                            : (size_t)n * wgi_dtype_bytes[t];
}

wg_status wgi_fits_blocks(wg_dtype t, const wg_dims *shape, const char *function)
{
    const int64_t block = wg_dtype_block(t);
    if (shape->n > 0 && shape->d[shape->n - 1] % block == 0) return WG_OK;
    char text[256];
    wgi_shape_text(text, sizeof text, shape);
    return wg_raise(WG_ESHAPE,
                    "%s%s%s has blocks of %lld along the last axis, which %s is not made of",
                    function, *function ? ": " : "", wg_dtype_name(t), (long long)block, text);
}

wg_status wgi_keeps_blocks(wg_dtype t, const wg_dims *shape, const wg_dims *strides, int64_t offset,
                           const char *function)
{
    const int64_t block = wg_dtype_block(t);
    const int last = shape->n - 1;
    bool empty = false, whole = shape->n > 0 && shape->d[last] % block == 0 && offset % block == 0;
    for (int i = 0; i < shape->n; i++) empty |= shape->d[i] == 0;
    for (int i = 0; whole && !empty && i < last; i++)
        whole = shape->d[i] == 1 || strides->d[i] % block == 0;
    if (whole && (empty || strides->d[last] == 1)) return WG_OK;
    char text[256];
    wgi_shape_text(text, sizeof text, shape);
    return wg_raise(WG_ESHAPE,
                    "%s%sa view of shape %s would cut blocks of %s: %lld elements side by "
                    "side along the last axis",
                    function, *function ? ": " : "", text, wg_dtype_name(t), (long long)block);
}

wg_status wgi_fits_quantiser(wg_dtype from, wg_dtype to, const char *function)
{
    if (!wgi_in_blocks((int)to) || from == to || wgi_can_quantise(to)) return WG_OK;
    return wg_raise(WG_EDTYPE, "%s%s%s is only read: nothing is quantised to it", function,
                    *function ? ": " : "", wg_dtype_name(to));
}

void *wgi_block_data(const wg_tensor *t)
{
    return (char *)t->storage->data + wgi_bytes_of((wg_dtype)t->dtype, t->offset);
}

/* ---- copies ---------------------------------------------------------------------------------- */

typedef struct {
    char *dst;
    const char *src;
    wg_dtype dst_type, src_type;
    int n; /* axes; strides in elements */
    const int64_t *shape, *ds, *ss;
} copying;

/* n elements of a row, through f32 on the stack where the types differ. */
static void copy_row(const copying *c, char *d, const char *s, int64_t n)
{
    if (c->dst_type == c->src_type) {
        memcpy(d, s, wgi_bytes_of(c->dst_type, n));
        return;
    }
    const int64_t one = 1, ds = c->ds[c->n - 1], ss = c->ss[c->n - 1];
    _Alignas(64) float stage[STAGE];
    for (int64_t i = 0; i < n; i += STAGE) {
        const int64_t m = n - i < STAGE ? n - i : STAGE;
        if (wgi_in_blocks(c->src_type))
            wgi_dequantise(c->src_type, stage, s + wgi_bytes_of(c->src_type, i), m);
        else
            wgi_copy_strided(stage, WG_F32, &one,
                             s + i * ss * (int64_t)wgi_bytes_of(c->src_type, 1), c->src_type, &ss,
                             1, &m);
        if (wgi_in_blocks(c->dst_type))
            wgi_quantise(c->dst_type, d + wgi_bytes_of(c->dst_type, i), stage, m);
        else
            wgi_copy_strided(d + i * ds * (int64_t)wgi_bytes_of(c->dst_type, 1), c->dst_type, &ds,
                             stage, WG_F32, &one, 1, &m);
    }
}

static void copy_rows(void *self, int64_t first, int64_t last)
{
    const copying *c = self;
    for (int64_t row = first; row < last; row++) {
        int64_t at = row, d = 0, s = 0;
        for (int i = c->n - 2; i >= 0; i--) {
            const int64_t k = at % c->shape[i];
            at /= c->shape[i];
            d += k * c->ds[i];
            s += k * c->ss[i];
        }
        copy_row(c, c->dst + wgi_bytes_of(c->dst_type, d), c->src + wgi_bytes_of(c->src_type, s),
                 c->shape[c->n - 1]);
    }
}

void wgi_copy_blocks(void *dst, wg_dtype dst_type, const int64_t *dst_strides, const void *src,
                     wg_dtype src_type, const int64_t *src_strides, int ndim, const int64_t *shape)
{
    copying c = { dst, src, dst_type, src_type, ndim, shape, dst_strides, src_strides };
    int64_t rows = 1;
    for (int i = 0; i + 1 < ndim; i++) rows *= shape[i];
    const int64_t grain = WGI_GRAIN / shape[ndim - 1];
    wgi_parallel_for(rows, grain > 0 ? grain : 1, copy_rows, &c);
}

/* ---- rows by index --------------------------------------------------------------------------- */

typedef struct {
    const wg_tensor *w;
    const int64_t *i;
    float *to;
} taking;

static void take_rows(void *self, int64_t first, int64_t last)
{
    const taking *t = self;
    const wg_dtype type = (wg_dtype)t->w->dtype;
    const int64_t width = t->w->shape[1];
    for (int64_t k = first; k < last; k++)
        wgi_dequantise(
            type, t->to + k * width,
            (const char *)wgi_data(t->w) + wgi_bytes_of(type, t->i[k] * t->w->strides[0]), width);
}

void wgi_take_block_rows(float *to, const wg_tensor *w, const int64_t *i, int64_t n)
{
    taking t = { w, i, to };
    const int64_t width = w->shape[1] > 0 ? w->shape[1] : 1;
    if (w->shape[1] > 0) wgi_parallel_for(n, WGI_GRAIN / width + 1, take_rows, &t);
}
