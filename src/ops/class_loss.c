#include "ops/class_loss.h"

/* The shape without its last axis. */
static wg_dims leading(const wg_tensor *x)
{
    wg_dims s = wgi_shape(x);
    s.n--;
    return s;
}

static wg_status expect_target(const wg_infer *c, int i, const wgi_class_loss_attr *a)
{
    const wg_tensor *x = c->in.t[i - 1], *target = c->in.t[i];
    if (!wgi_is_float(target->dtype)) {
        if (target->dtype == WG_I64 || target->dtype == WG_I32) return wg_expect(c, i, leading(x));
        return wg_raise(WG_EDTYPE, "target should be i64, i32 or floating, is %s",
                        wg_dtype_name((wg_dtype)target->dtype));
    }
    if (a->ignore_set)
        return wg_raise(WG_EARG, "ignore_index needs target classes, target is floating");
    return wg_expect(c, i, wgi_shape(x));
}

wg_status wgi_class_loss_infer(wg_infer *c, int first, const char *name)
{
    const wgi_class_loss_attr *a = c->attr;
    const wg_tensor *x = c->in.t[first], *target = c->in.t[first + 1];
    wg_status s = wgi_expect_float(c, first, name);
    if (s == WG_OK) s = wgi_expect_dims(c, first, name, 1);
    if (s == WG_OK) s = expect_target(c, first + 1, a);
    if (s == WG_OK) s = wgi_expect_float(c, first + 2, "weight");
    if (s == WG_OK && first + 2 < c->in.n)
        s = wg_expect(c, first + 2, WG_DIMS(x->shape[x->ndim - 1]));
    if (s == WG_OK) s = wgi_expect_reduction(a->reduction);
    if (s != WG_OK) return s;
    if (!(a->smoothing >= 0 && a->smoothing <= 1))
        return wg_raise(WG_EARG, "label_smoothing %g is not in [0, 1]", a->smoothing);
    const wg_dtype real = x->dtype == WG_F64 || target->dtype == WG_F64 ? WG_F64 : WG_F32;
    for (int j = 0; j < c->n_out; j++) {
        wg_infer_like(c, j, x);
        c->out[j].dtype = real;
        c->out[j].shape = j == 1 || (j == 0 && a->reduction == WG_NONE) ? leading(x) : WG_DIMS();
    }
    return WG_OK;
}

/* "[1, 3]": where row i of target lies. */
static wg_status raise_target(const wg_tensor *target, int64_t i, int64_t value, int64_t classes)
{
    char at[160] = "";
    int64_t index[WG_MAX_DIMS], length = 0;
    for (int d = target->ndim - 1; d >= 0; d--) {
        index[d] = i % target->shape[d];
        i /= target->shape[d];
    }
    for (int d = 0; d < target->ndim; d++)
        length += snprintf(at + length, sizeof at - (size_t)length, "%s%lld", d ? ", " : "[",
                           (long long)index[d]);
    return wg_raise(WG_EINDEX, "target%s%s is %lld, not in [0, %lld)", at, length ? "]" : "",
                    (long long)value, (long long)classes);
}

wg_status wgi_classes_read(const wg_run *r, int first, wgi_classes *c)
{
    const wg_tensor *x = r->in.t[first], *target = r->in.t[first + 1];
    memset(c, 0, sizeof *c);
    c->attr = r->attr;
    c->type = x->dtype == WG_F64 || target->dtype == WG_F64 ? WG_F64 : WG_F32;
    c->classes = x->shape[x->ndim - 1];
    c->rows = 1;
    for (int d = 0; d + 1 < x->ndim; d++) c->rows *= x->shape[d];
    wg_status s = wgi_flat(r, first + 2 < r->in.n ? r->in.t[first + 2] : NULL, c->type, &c->weight);
    if (s != WG_OK || wgi_is_float(target->dtype)) return s;
    const void *classes;
    s = wgi_flat(r, target, WG_I64, &classes);
    c->target = classes;
    for (int64_t i = 0; s == WG_OK && i < c->rows; i++) {
        const int64_t t = c->target[i];
        if (t != c->attr->ignore && (t < 0 || t >= c->classes))
            s = raise_target(target, i, t, c->classes);
    }
    return s;
}

static double real_at(const void *p, wg_dtype type, int64_t i)
{
    return type == WG_F64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}

double wgi_class_denominator(const wgi_classes *c)
{
    if (c->attr->reduction != WG_MEAN) return 1;
    if (!c->target) return (double)c->rows;
    double sum = 0;
    for (int64_t i = 0; i < c->rows; i++)
        if (c->target[i] != c->attr->ignore)
            sum += c->weight ? real_at(c->weight, c->type, c->target[i]) : 1;
    return sum;
}

static void store(const wg_run *r, int j, int64_t i, double value)
{
    wg_tensor *t = j < r->out.n ? r->out.t[j] : NULL;
    if (t)
        wgi_store((char *)wgi_data(t) + i * (int64_t)wg_dtype_size((wg_dtype)t->dtype),
                  (wg_dtype)t->dtype, value);
}

void wgi_class_reduce(const wg_run *r, const wgi_classes *c, const void *loss, int at)
{
    const double denominator = wgi_class_denominator(c);
    double sum = 0;
    store(r, at, 0, denominator);
    if (c->attr->reduction == WG_NONE) return; /* loss is the output itself */
    for (int64_t i = 0; i < c->rows; i++) sum += real_at(loss, c->type, i);
    store(r, 0, 0, sum / denominator);
}

wg_status wgi_class_scale(const wg_run *r, const wgi_classes *c, const wg_tensor *dy,
                          const wg_tensor *denominator, const void **out)
{
    if (c->attr->reduction == WG_NONE) return wgi_flat(r, dy, c->type, out);
    void *scale = NULL;
    wg_status s = wgi_row_scratch(r, c->rows, c->type, &scale);
    if (s != WG_OK) return s;
    const double g = wgi_load(wgi_data(dy), (wg_dtype)dy->dtype) /
                     wgi_load(wgi_data(denominator), (wg_dtype)denominator->dtype);
    for (int64_t i = 0; i < c->rows; i++) {
        if (c->type == WG_F64)
            ((double *)scale)[i] = g;
        else
            ((float *)scale)[i] = (float)g;
    }
    *out = scale;
    return WG_OK;
}

wg_tensor *wgi_class_reduced(wg_tensor *rows, wg_tensor *counts, const wgi_class_loss_attr *a)
{
    if (a->reduction == WG_NONE) return rows;
    wg_tensor *sum = wg_sum(rows, WG_ALL, false);
    return a->reduction == WG_SUM ? sum : wg_div(sum, wg_sum(counts, WG_ALL, false));
}

void wgi_class_reference(const wg_run *r, const double *loss, double count, int64_t rows)
{
    const wgi_class_loss_attr *a = r->attr;
    double *y = wg_run_out(r, 0), *denominator = wg_run_out(r, (int)r->out.n - 1), sum = 0;
    for (int64_t i = 0; i < rows; i++) sum += loss[i];
    if (a->reduction != WG_NONE) y[0] = a->reduction == WG_MEAN ? sum / count : sum;
    if (denominator) denominator[0] = a->reduction == WG_MEAN ? count : 1;
}

wgi_class_parts wgi_class_parts_of(wg_tensor *x, wg_tensor *target, wg_tensor *weight,
                                   const wgi_class_loss_attr *a)
{
    wgi_class_parts p;
    p.ignored = wg_eq(target, wg_scalar((double)a->ignore));
    p.safe = wg_masked_fill(target, p.ignored, 0);
    wg_tensor *ones = wg_ones_like(wg_select(x, -1, 0)); /* (...) */
    p.weight =
        weight ? wg_squeeze(wg_embedding(wg_unsqueeze(wg_cast(weight, wg_dtype_of(x)), 1), p.safe),
                            WG_DIMS(-1))
               : ones;
    p.weight = wg_masked_fill(p.weight, p.ignored, 0);
    return p;
}
