/* What sdpa and its gradient share: the check of operands, the kernels' view of them, and a row of the reference. */
#include "ops/sdpa.h"

#include <math.h>

#include "ops/sdpa_mask.h"
#include "tensor/philox.h"

static wg_status check_shapes(const wg_tensor *q, const wg_tensor *k, const wg_tensor *v)
{
    if (q->ndim != 3 && q->ndim != 4)
        return wg_raise(WG_ESHAPE, "q should be (B, H, T, D) or (H, T, D)");
    if (k->ndim != q->ndim || v->ndim != q->ndim)
        return wg_raise(WG_ESHAPE, "q, k, v have different ranks");
    const int t = q->ndim - 2, d = q->ndim - 1, h = q->ndim - 3;
    if (q->ndim == 4 && (k->shape[0] != q->shape[0] || v->shape[0] != q->shape[0]))
        return wg_raise(WG_ESHAPE, "batch sizes differ");
    if (k->shape[h] != v->shape[h])
        return wg_raise(WG_ESHAPE, "k and v have different numbers of heads");
    if (k->shape[h] == 0 ? q->shape[h] != 0 : q->shape[h] % k->shape[h] != 0)
        return wg_raise(WG_ESHAPE, "%lld query heads are no multiple of %lld key heads",
                        (long long)q->shape[h], (long long)k->shape[h]);
    if (k->shape[t] != v->shape[t]) return wg_raise(WG_ESHAPE, "k and v have different lengths");
    if (k->shape[d] != q->shape[d]) return wg_raise(WG_ESHAPE, "q and k have different head sizes");
    return WG_OK;
}

static wg_status check_mask(const wg_tensor *q, const wg_tensor *k, const wg_tensor *mask)
{
    if (mask->dtype != WG_BOOL && !wgi_is_float(mask->dtype))
        return wg_raise(WG_EDTYPE, "the mask should be bool or floating");
    bool fits = mask->ndim <= q->ndim;
    for (int i = 1; i <= mask->ndim && fits; i++) {
        const int64_t want = i == 1 ? k->shape[k->ndim - 2] : q->shape[q->ndim - i];
        const int64_t n = mask->shape[mask->ndim - i];
        fits = n == 1 || n == want;
    }
    return fits ? WG_OK : wg_raise(WG_ESHAPE, "the mask does not broadcast to (B, H, Tq, Tk)");
}

wg_status wgi_sdpa_check(const wgi_sdpa_attr *attr, const wg_tensor *q, const wg_tensor *k,
                         const wg_tensor *v, const wg_tensor *mask)
{
    if (!wgi_is_float(q->dtype)) return wg_raise(WG_EDTYPE, "q should be floating");
    if (k->dtype != q->dtype || v->dtype != q->dtype)
        return wg_raise(WG_EDTYPE, "q, k, v have different dtypes");
    wg_status s = check_shapes(q, k, v);
    if (s == WG_OK && mask) s = check_mask(q, k, mask);
    if (s != WG_OK) return s;
    if (!(attr->dropout >= 0 && attr->dropout <= 1))
        return wg_raise(WG_EARG, "dropout %g is not within [0, 1]", attr->dropout);
    if (attr->window < 0)
        return wg_raise(WG_EARG, "window %lld is negative", (long long)attr->window);
    return WG_OK;
}

wgi_operand wgi_sdpa_operand(const wg_tensor *t, bool rows)
{
    wgi_operand o = { 0 };
    if (!t) return o;
    o.data = wgi_data(t);
    o.type = (wg_dtype)t->dtype;
    o.size = wg_dtype_size(o.type);
    if (rows) o.stride[3] = 1;
    const int last = rows ? 2 : 3;
    for (int i = 0; i < t->ndim; i++) o.stride[last - i] = t->strides[t->ndim - 1 - i];
    return o;
}

/* The mask's strides: 0 where it is broadcast. */
static wgi_operand mask_operand(const wg_tensor *mask)
{
    wgi_operand o = wgi_sdpa_operand(mask, false);
    for (int i = 0; mask && i < mask->ndim; i++)
        if (mask->shape[mask->ndim - 1 - i] == 1) o.stride[3 - i] = 0;
    return o;
}

wgi_attention wgi_sdpa_problem(const wgi_sdpa_attr *attr, const wg_tensor *q, const wg_tensor *k,
                               const wg_tensor *v, const wg_tensor *mask)
{
    const int n = q->ndim;
    return (wgi_attention) { .batch = n == 4 ? q->shape[0] : 1,
                             .heads = q->shape[n - 3],
                             .kv_heads = k->shape[n - 3],
                             .tq = q->shape[n - 2],
                             .tk = k->shape[n - 2],
                             .d = q->shape[n - 1],
                             .dv = v->shape[n - 1],
                             .window = attr->window,
                             .scale = attr->scale,
                             .dropout = attr->dropout,
                             .causal = attr->is_causal,
                             .random = { attr->random[0], attr->random[1] },
                             .q = wgi_sdpa_operand(q, false),
                             .k = wgi_sdpa_operand(k, false),
                             .v = wgi_sdpa_operand(v, false),
                             .mask = mask_operand(mask) };
}

double wgi_sdpa_pairs(const wgi_attention *a)
{
    double pairs = 0;
    if (!a->causal && !a->window)
        return (double)a->batch * (double)a->heads * (double)a->tq * (double)a->tk;
    for (int64_t i = 0; i < a->tq; i++) {
        int64_t lo, hi;
        wgi_attention_range(a, i, i + 1, &lo, &hi);
        pairs += (double)(hi - lo);
    }
    return pairs * (double)a->batch * (double)a->heads;
}

static double mask_value(const wgi_attention *a, int64_t b, int64_t h, int64_t i, int64_t j)
{
    const wgi_operand *m = &a->mask;
    if (!m->data) return 0;
    const int64_t at = b * m->stride[0] + h * m->stride[1] + i * m->stride[2] + j * m->stride[3];
    if (m->type == WG_BOOL) return ((const uint8_t *)m->data)[at] ? 0 : -INFINITY;
    const double value = wgi_load(m->data + (size_t)at * m->size, m->type);
    return value < WGI_MASK_HIDES ? -INFINITY : value;
}

double wgi_sdpa_reference_row(const wgi_attention *a, int64_t b, int64_t h, int64_t i, double *p,
                              double *factor)
{
    const int64_t kv = h / (a->heads / a->kv_heads),
                  now = i + a->tk - a->tq; /* query i stands at key `now` */
    const double *q = (const double *)a->q.data + ((b * a->heads + h) * a->tq + i) * a->d;
    const double *k = (const double *)a->k.data + (b * a->kv_heads + kv) * a->tk * a->d;
    double top = -INFINITY, sum = 0;
    for (int64_t j = 0; j < a->tk; j++) {
        double score = 0;
        for (int64_t c = 0; c < a->d; c++) score += q[c] * k[j * a->d + c];
        p[j] = score * a->scale + mask_value(a, b, h, i, j);
        if (a->causal && j > now) p[j] = -INFINITY;
        if (a->window && j <= now - a->window) p[j] = -INFINITY;
        top = p[j] > top ? p[j] : top;
    }
    for (int64_t j = 0; j < a->tk; j++) sum += exp(p[j] - (top == -INFINITY ? 0 : top));
    for (int64_t j = 0; j < a->tk; j++) {
        p[j] = sum == 0 ? 0 : exp(p[j] - (top == -INFINITY ? 0 : top)) / sum;
        const int64_t index = ((b * a->heads + h) * a->tq + i) * a->tk + j;
        const bool keep =
            a->dropout <= 0 ||
            wgi_uniform24(wgi_random_word(a->random[0], a->random[1], index)) >= (float)a->dropout;
        factor[j] = !keep ? 0 : a->dropout > 0 ? 1 / (1 - a->dropout) : 1;
    }
    return top + log(sum);
}
