/* What linear_cross_entropy and its gradient share: checks, the cut into chunks, tiles of logits. */
#include "ops/linear_cross_entropy.h"

#include <stdatomic.h>

#include "cpu/gemm.h"
#include "cpu/parallel.h"

enum { X, W, TARGET };
/* Rows at a time, unless the caller says: each time w is read, and dw added to. */
enum { MOST_ROWS = 2048 };
/* Rows of a tile: with a strip it is one tile of a product, half a megabyte of f32 in a core's cache. */
enum { TILE_ROWS = 384 };

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
    const int64_t n = l->classes.rows, asked = l->attr->chunk > 0 ? l->attr->chunk : MOST_ROWS;
    l->rows = asked < n ? asked : n;
    return WG_OK;
}

/* ---- tiles -------------------------------------------------------------------------------------- */
typedef struct {
    const wgi_linear_loss *l;
    const wgi_logits *all;
    int64_t rows, pieces; /* rows of a tile, tiles of a strip */
    wgi_logits_use use;
    void *self;
    atomic_bool failed; /* out of memory */
} tiles;

static bool multiply(const wgi_linear_loss *l, const wgi_logits *t, void *logits)
{
    const wg_tensor *x = l->x, *w = l->w, *bias = l->bias;
    const wgi_gemm_args g = {
        .m = t->n,
        .n = t->v,
        .k = l->c,
        .a = { .data = wgi_element(x, t->first * l->c),
               .type = (wg_dtype)x->dtype,
               .row = l->c,
               .column = 1 },
        .b = { .data = wgi_element(w, t->from * l->c),
               .type = (wg_dtype)w->dtype,
               .row = 1,
               .column = l->c },
        .c = { .data = logits, .type = l->classes.type, .row = t->v, .column = 1 },
        .bias = bias ? wgi_element(bias, t->from) : NULL,
        .bias_type = bias ? (wg_dtype)bias->dtype : l->classes.type,
        .bias_stride = 1,
        .alpha = 1
    };
    return wgi_gemm_try(&g);
}

static void make_tile(void *self, int64_t task)
{
    tiles *t = self;
    const wgi_linear_loss *l = t->l;
    const wgi_logits *all = t->all;
    const int64_t row = task % t->pieces * t->rows, column = task / t->pieces * WGI_LOGITS_STRIP;
    wgi_logits at = { all->first + row, all->n - row, all->from + column, all->v - column };
    if (at.n > t->rows) at.n = t->rows;
    if (at.v > WGI_LOGITS_STRIP) at.v = WGI_LOGITS_STRIP;
    const size_t bytes = (size_t)(at.n * at.v) * wg_dtype_size(l->classes.type);
    if (atomic_load(&t->failed)) return;
    void *logits = wgi_cpu_alloc(bytes);
    if (logits && multiply(l, &at, logits))
        t->use(t->self,
               &(wgi_cross_entropy) { .logits = wgi_rows_plain(logits, l->classes.type, at.n, at.v),
                                      .from = at.from,
                                      .classes = l->classes.classes,
                                      .target = l->classes.target + at.first,
                                      .ignore = l->attr->loss.ignore,
                                      .smoothing = l->attr->loss.smoothing },
               &at);
    else
        atomic_store(&t->failed, true);
    if (logits) wgi_cpu_free(logits, bytes);
}

wg_status wgi_linear_loss_tiles(const wgi_linear_loss *l, const wgi_logits *all, wgi_logits_use use,
                                void *self)
{
    const int64_t pieces = (all->n + TILE_ROWS - 1) / TILE_ROWS;
    if (pieces == 0) return WG_OK;
    tiles t = { .l = l,
                .all = all,
                .rows = ((all->n + pieces - 1) / pieces + 15) / 16 * 16,
                .pieces = pieces,
                .use = use,
                .self = self };
    wgi_parallel_tasks(pieces * wgi_logits_strips(all->v), make_tile, &t);
    return atomic_load(&t.failed) ? wg_raise(WG_EMEM, "out of memory for a tile of logits") : WG_OK;
}
