/* n draws with replacement from each row of weights: p: (..., V) any float, >= 0, not
 * necessarily summing to 1 -> i: (..., n) i64. The inverse of the cumulated weights, in f64, at
 * a uniform of 53 bits from words 2i, 2i + 1: the first index whose cumulated weight exceeds it.
 * No gradient (the output is not floating).
 * errors: WG_EARG for a row with a negative weight, a NaN or an infinity, or no positive weight,
 * and for n < 0; WG_ESHAPE for a 0-d p. */
#include "ops/make.h"
#include "tensor/philox.h"
#include "cuda/cuda.h"

typedef struct {
    int64_t n;
} multinomial;

static wg_status infer(wg_infer *c)
{
    const multinomial *a = c->attr;
    const wg_tensor *p = c->in.t[0];
    if (!wgi_is_float(p->dtype)) return wg_raise(WG_EDTYPE, "p should be floating");
    if (p->ndim == 0) return wg_raise(WG_ESHAPE, "p should have at least one axis");
    if (a->n < 0) return wg_raise(WG_EARG, "%lld draws", (long long)a->n);
    wg_dims shape = wgi_shape(p);
    shape.d[shape.n - 1] = a->n;
    if (wgi_numel(&shape) < 0) return wg_raise(WG_ESHAPE, "too many draws");
    c->out[0].dtype = WG_I64;
    c->out[0].device = p->device;
    c->out[0].shape = shape;
    c->random = 2 * wgi_numel(&shape);
    return WG_OK;
}

/* cumulated (V) of a row of weights; its last is positive. */
static wg_status cumulate(const char *row, wg_dtype t, int64_t size, double *cumulated)
{
    double sum = 0;
    for (int64_t k = 0; k < size; k++) {
        double v = wgi_load(row + (size_t)k * wg_dtype_size(t), t);
        if (!(v >= 0 && v <= 1.7976931348623157e308))
            return wg_raise(WG_EARG, "a weight is %g: it should be finite and not negative", v);
        cumulated[k] = sum += v;
    }
    if (!(sum > 0)) return wg_raise(WG_EARG, "a row of weights has no positive one");
    if (isinf(sum)) return wg_raise(WG_EARG, "a row of weights sums to infinity");
    return WG_OK;
}

/* The first index whose cumulated weight exceeds target, by bisection. */
static int64_t find(const double *cumulated, int64_t size, double target)
{
    int64_t low = 0, high = size - 1;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (cumulated[middle] > target)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static double uniform53(const wg_run *r, int64_t i)
{
    wgi_philox4 w = wgi_philox(r->random[0], r->random[1] + (uint64_t)i / 2);
    uint32_t a = w.v[i % 2 * 2], b = w.v[i % 2 * 2 + 1];
    return ((double)(a >> 5) * 0x1p26 + (double)(b >> 6)) * 0x1p-53;
}

static wg_status run(const wg_run *r)
{
    const wg_tensor *p = r->in.t[0];
    const int64_t size = p->shape[p->ndim - 1], n = ((const multinomial *)r->attr)->n;
    int64_t *out = wg_run_out(r, 0);
    if (r->out.t[0]->numel == 0) return WG_OK;
    if (size == 0) return wg_raise(WG_EARG, "a row of weights has no positive one");
    double *cumulated = wg_scratch(r, (size_t)size * sizeof *cumulated);
    if (!cumulated) return WG_EMEM;
    const size_t row_bytes = (size_t)size * wg_dtype_size((wg_dtype)p->dtype);
    for (int64_t row = 0; row < p->numel / size; row++) {
        wg_status s = cumulate((const char *)wg_run_in(r, 0) + (size_t)row * row_bytes,
                               (wg_dtype)p->dtype, size, cumulated);
        if (s) return s;
        for (int64_t k = 0; k < n; k++)
            out[row * n + k] =
                find(cumulated, size, uniform53(r, row * n + k) * cumulated[size - 1]);
    }
    return WG_OK;
}

static wg_status run_cuda(const wg_run *r)
{
    return wgi_cuda_multinomial(r, ((const multinomial *)r->attr)->n);
}

static wg_status reference(const wg_run *r)
{
    const double *p = wg_run_in(r, 0);
    int64_t *out = wg_run_out(r, 0);
    const int64_t size = wg_size(r->in.t[0], -1), n = ((const multinomial *)r->attr)->n;
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++) {
        const double *row = p + i / n * size;
        double total = 0, sum = 0;
        for (int64_t k = 0; k < size; k++) total += row[k];
        uint64_t a = wgi_random_word(r->random[0], r->random[1], 2 * i) >> 5;
        uint64_t b = wgi_random_word(r->random[0], r->random[1], 2 * i + 1) >> 6;
        const double u = (double)(a << 26 | b) / 9007199254740992.0;
        for (out[i] = 0; (sum += row[out[i]]) <= u * total; out[i]++) {}
    }
    return WG_OK;
}

static void samples(wg_samples *s)
{
    const multinomial three = { 3 }, none = { 0 }, bad = { -1 };
    wg_sample(s, "1-d", WG_LIST(wg_rand(WG_DIMS(8))), &three);
    wg_sample(s, "3-d", WG_LIST(wg_rand(WG_DIMS(2, 3, 5))), &three);
    wg_sample(s, "no draws", WG_LIST(wg_rand(WG_DIMS(2, 5))), &none);
    wg_sample(s, "no rows", WG_LIST(wg_rand(WG_DIMS(0, 5))), &three);
    wg_sample_error(s, "0-d", WG_LIST(wg_rand(WG_DIMS())), &three, WG_ESHAPE,
                    "multinomial: p should have");
    wg_sample_error(s, "n", WG_LIST(wg_rand(WG_DIMS(3))), &bad, WG_EARG, "multinomial: -1 draws");
    wg_sample_error(s, "negative", WG_LIST(wg_neg(wg_ones(WG_DIMS(3)))), &three, WG_EARG,
                    "multinomial: a weight is -1");
    wg_sample_error(s, "zero", WG_LIST(wg_zeros(WG_DIMS(2, 3))), &three, WG_EARG,
                    "multinomial: a row of weights");
}

const wg_op wgi_op_multinomial = {
    .name = "multinomial",
    .in = { "p" },
    .out = { "i" },
    .attr_size = sizeof(multinomial),
    .flags = WG_OP_RANDOM | WG_OP_GRAD_ZERO | WG_OP_CONTIGUOUS,
    .infer = infer,
    .cpu = run,
    .cuda = run_cuda,
    .reference = reference,
    .samples = samples,
};

wg_tensor *wg_multinomial(wg_tensor *p, int64_t n)
{
    return wg_apply(&wgi_op_multinomial, WG_LIST(p), &(const multinomial) { n }, NULL);
}
