/* What linear_cross_entropy and its gradient share: checks, the cut into chunks, a chunk's logits. */
#include "ops/linear_cross_entropy.h"

#include "cpu/gemm.h"

enum { X, W, TARGET };
/* Of logits at a time, unless the caller says: each chunk reads w, and adds to dw. */
enum { CHUNK_BYTES = 128 << 20 };

wg_dtype wgi_linear_loss_dtype(const wg_tensor *x, const wg_tensor *w, const wg_tensor *bias)
{
    const bool wide = x->dtype == WG_F64 || w->dtype == WG_F64 || (bias && bias->dtype == WG_F64);
    return wide ? WG_F64 : WG_F32;
}

wg_status wgi_linear_loss_check(const wg_infer *c, const wg_tensor *bias)
{
    const wgi_linear_loss_attr *attr = c->attr;
    const wg_tensor *x = c->in.t[X], *w = c->in.t[W], *target = c->in.t[TARGET];
    if (!wgi_is_float(x->dtype) || !wgi_is_float(w->dtype) || (bias && !wgi_is_float(bias->dtype)))
        return wg_raise(WG_EDTYPE, "x, w and bias should be floating");
    if (target->dtype != WG_I64 && target->dtype != WG_I32)
        return wg_raise(WG_EDTYPE, "target should be i64 or i32");
    if (x->ndim == 0 || w->ndim != 2 || x->shape[x->ndim - 1] != w->shape[1])
        return wg_raise(WG_ESHAPE, "x should be (..., C) and w (V, C)");
    if (bias && (bias->ndim != 1 || bias->shape[0] != w->shape[0]))
        return wg_raise(WG_ESHAPE, "bias should be (%lld)", (long long)w->shape[0]);
    wg_dims rows = wgi_shape(x);
    rows.n--;
    wg_status s = wg_expect(c, TARGET, rows);
    if (s != WG_OK) return s;
    if ((s = wgi_expect_reduction(attr->loss.reduction)) != WG_OK) return s;
    if (!(attr->loss.smoothing >= 0 && attr->loss.smoothing <= 1))
        return wg_raise(WG_EARG, "label_smoothing %g is not within [0, 1]", attr->loss.smoothing);
    if (attr->chunk < 0) return wg_raise(WG_EARG, "chunk %lld is negative", (long long)attr->chunk);
    return WG_OK;
}

int64_t wgi_linear_loss_chunk(int64_t n, int64_t classes, wg_dtype type, int64_t bytes)
{
    int64_t rows = bytes / ((classes > 0 ? classes : 1) * (int64_t)wg_dtype_size(type));
    rows = rows > 64 ? rows / 64 * 64 : rows > 0 ? rows : 1;
    const int64_t chunks = (n + rows - 1) / rows;
    if (rows > 64 && chunks > 1) rows = ((n + chunks - 1) / chunks + 63) / 64 * 64;
    return rows;
}

static int64_t chunk_rows(const wgi_linear_loss *l)
{
    const int64_t n = l->classes.rows, asked = l->attr->chunk;
    const int64_t rows =
        asked > 0 ? asked
                  : wgi_linear_loss_chunk(n, l->classes.classes, l->classes.type, CHUNK_BYTES);
    return rows < n ? rows : n;
}

wg_status wgi_linear_loss_begin(const wg_run *r, wg_tensor *bias, wgi_linear_loss *l)
{
    wg_tensor *x = r->in.t[X], *w = r->in.t[W];
    *l = (wgi_linear_loss) { .attr = r->attr, .x = x, .w = w, .bias = bias, .c = w->shape[1] };
    wg_tensor logits = { .ndim = x->ndim }; /* the shape of what never stands whole */
    memcpy(logits.shape, x->shape, sizeof logits.shape);
    logits.shape[x->ndim - 1] = w->shape[0];
    logits.dtype = (uint8_t)wgi_linear_loss_dtype(x, w, bias);
    wg_run seen = *r;
    seen.in = WG_LIST(&logits, r->in.t[TARGET]);
    wg_status s = wgi_classes_read(&seen, 0, &l->classes);
    if (s != WG_OK) return s;
    l->chunk = chunk_rows(l);
    const wg_dims size = { 2, { l->chunk, w->shape[0] } };
    const int64_t numel = wgi_numel(&size);
    if (numel < 0)
        return wg_raise(WG_EMEM, "a chunk of %lld rows is too large", (long long)l->chunk);
    return wgi_row_scratch(r, numel, l->classes.type, &l->logits);
}

wg_status wgi_linear_loss_logits(const wgi_linear_loss *l, int64_t first, int64_t n)
{
    const wg_tensor *x = l->x;
    const int64_t v = l->classes.classes;
    const wg_dtype real = l->classes.type;
    char *rows = (char *)wgi_data(x) + (size_t)(first * l->c) * wg_dtype_size((wg_dtype)x->dtype);
    const wgi_gemm_args g = {
        .m = n,
        .n = v,
        .k = l->c,
        .a = { .data = rows, .type = (wg_dtype)x->dtype, .row = l->c, .column = 1 },
        .b = { .data = wgi_data(l->w), .type = (wg_dtype)l->w->dtype, .row = 1, .column = l->c },
        .c = { .data = l->logits, .type = real, .row = v, .column = 1 },
        .bias = l->bias ? wgi_data(l->bias) : NULL,
        .bias_type = l->bias ? (wg_dtype)l->bias->dtype : real,
        .bias_stride = 1,
        .alpha = 1
    };
    return wgi_gemm(&g);
}

wgi_cross_entropy wgi_linear_loss_rows(const wgi_linear_loss *l, int64_t first, int64_t n)
{
    return (wgi_cross_entropy) { .logits = wgi_rows_plain(l->logits, l->classes.type, n,
                                                          l->classes.classes),
                                 .target = l->classes.target + first,
                                 .ignore = l->attr->loss.ignore,
                                 .smoothing = l->attr->loss.smoothing };
}
