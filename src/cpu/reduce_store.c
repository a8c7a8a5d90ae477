/* From a fold's accumulators to an output of any dtype and strides, written or added to. */
#include "cpu/parallel.h"
#include "cpu/reduce.h"

enum { PIECE = 1024 };

typedef struct {
    const wg_tensor *out;
    const char *acc;
    wgi_acc kind;
    double divisor;
    bool accumulate, flat; /* flat: out is contiguous */
} store;

/* The offsets in out of elements first .. first + n - 1, row-major. */
static void offsets_of(const wg_tensor *t, int64_t first, int64_t n, int64_t *offset)
{
    int64_t at[WG_MAX_DIMS], here = 0;
    for (int d = t->ndim - 1; d >= 0; d--) {
        at[d] = first % t->shape[d];
        first /= t->shape[d];
        here += at[d] * t->strides[d];
    }
    for (int64_t i = 0; i < n; i++) {
        offset[i] = here;
        for (int d = t->ndim - 1; d >= 0; d--) {
            here += t->strides[d];
            if (++at[d] < t->shape[d]) break;
            here -= t->shape[d] * t->strides[d];
            at[d] = 0;
        }
    }
}

static void divide(const store *s, double *buffer, const char *acc, int64_t n)
{
    memcpy(buffer, acc, (size_t)n * wgi_acc_bytes(s->kind));
    if (s->divisor == 1) return;
    if (s->kind == WGI_ACC_F32) {
        const float divisor = (float)s->divisor;
        for (int64_t i = 0; i < n; i++) ((float *)buffer)[i] /= divisor;
    } else if (s->kind == WGI_ACC_F64) {
        for (int64_t i = 0; i < n; i++) buffer[i] /= s->divisor;
    }
}

/* buffer += present, both of the accumulator's type. */
static void add_present(wgi_acc kind, double *buffer, const double *present, int64_t n)
{
    if (kind == WGI_ACC_F32)
        for (int64_t i = 0; i < n; i++) ((float *)buffer)[i] += ((const float *)present)[i];
    else if (kind == WGI_ACC_F64)
        for (int64_t i = 0; i < n; i++) buffer[i] += present[i];
    else
        for (int64_t i = 0; i < n; i++) ((uint64_t *)buffer)[i] += ((const uint64_t *)present)[i];
}

/* An output wider than the accumulators (f64 added to from f32) keeps its own precision: its type
 * is added in. */
static void store_piece(const store *s, int64_t first, int64_t n)
{
    const wg_tensor *out = s->out;
    const size_t bytes = wg_dtype_size((wg_dtype)out->dtype), acc = wgi_acc_bytes(s->kind);
    double buffer[PIECE], present[PIECE], stored[PIECE];
    int64_t offset[PIECE];
    char *to = (char *)wgi_data(out) + (s->flat ? first * (int64_t)bytes : 0);
    divide(s, buffer, s->acc + first * (int64_t)acc, n);
    if (!s->flat) offsets_of(out, first, n, offset);
    const wgi_acc kind = s->accumulate ? wgi_acc_of(out->dtype) : s->kind;
    const double *value = buffer;
    if (s->accumulate) {
        const void *from = to;
        if (!s->flat) {
            for (int64_t i = 0; i < n; i++)
                memcpy((char *)stored + i * (int64_t)bytes, to + offset[i] * (int64_t)bytes, bytes);
            from = stored;
        }
        double wide[PIECE];
        wgi_convert(present, wgi_acc_dtype(kind), from, (wg_dtype)out->dtype, n);
        wgi_convert(wide, wgi_acc_dtype(kind), buffer, wgi_acc_dtype(s->kind), n);
        add_present(kind, present, wide, n);
        value = present;
    }
    if (s->flat) {
        wgi_convert(to, (wg_dtype)out->dtype, value, wgi_acc_dtype(kind), n);
        return;
    }
    wgi_convert(stored, (wg_dtype)out->dtype, value, wgi_acc_dtype(kind), n);
    for (int64_t i = 0; i < n; i++)
        memcpy(to + offset[i] * (int64_t)bytes, (char *)stored + i * (int64_t)bytes, bytes);
}

static void store_range(void *self, int64_t first, int64_t last)
{
    for (int64_t i = first; i < last; i += PIECE)
        store_piece(self, i, last - i < PIECE ? last - i : PIECE);
}

void wgi_fold_store(const wg_tensor *out, const void *acc, wgi_acc kind, double divisor,
                    bool accumulate)
{
    if (acc == wgi_data(out) && divisor == 1) return;
    store s = { out, acc, kind, divisor, accumulate, wgi_is_contiguous(out) };
    wgi_parallel_for(out->numel, WGI_GRAIN, store_range, &s);
}

void *wgi_fold_place(const wg_run *r, const wg_tensor *out, wgi_acc kind)
{
    if (!r->accumulate && out->dtype == wgi_acc_dtype(kind) && wgi_is_contiguous(out) &&
        out->numel > 0)
        return wgi_data(out);
    return wg_scratch(r, (size_t)(out->numel > 0 ? out->numel : 1) * wgi_acc_bytes(kind));
}
