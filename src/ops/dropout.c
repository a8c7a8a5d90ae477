/* Dropout: y_i = x_i / (1 - p) with probability 1 - p, else 0; x itself where p = 0 or in evaluation.
 *   x: (...) any float -> y: same shape, dtype, device. Element i (in logical order) is kept where the 24-bit uniform of
 *   random word i is at least p: the same elements for any layout, number of threads and device.
 *   gradient: dx = dy / (1 - p) at the same elements: saves the generator's counter and no mask; of every order.
 *   errors: WG_EARG if p is not in [0, 1], WG_EDTYPE if x is not floating.
 *   source: Srivastava et al., "Dropout", JMLR 15, 2014, in its inverted form. */
#include "cpu/pointwise.h"
#include "ops/network.h"
#include "cuda/cuda.h"
#include "tensor/philox.h"

typedef struct {
    double p;
    uint64_t random[2]; /* dropout_backward: what the forward kernel got */
} dropout_attr;

static bool is_probability(double p)
{
    return p >= 0 && p <= 1;
}

static wg_status dropout_infer(wg_infer *c)
{
    const double p = ((const dropout_attr *)c->attr)->p;
    if (!is_probability(p)) return wg_raise(WG_EARG, "p %g is not in [0, 1]", p);
    wg_status s = wgi_expect_float(c, 0, "x");
    if (s == WG_OK) wg_infer_like(c, 0, c->in.t[0]);
    return s;
}

static wg_status run_masked(const wg_run *r, const uint64_t random[2])
{
    wgi_dropout d = { ((const dropout_attr *)r->attr)->p, { random[0], random[1] }, r->accumulate };
    wg_tensor *const operand[] = { r->in.t[0], r->out.t[0] };
    wgi_tiles t;
    wgi_tiles_make(&t, wgi_shape(operand[0]), 2, operand);
    wgi_tiles_run(&t, 8, WGI_PICK(wgi_pointwise_kernels)->dropout[operand[0]->dtype == WG_F64], &d);
    return WG_OK;
}

static wg_status dropout_cpu(const wg_run *r)
{
    return run_masked(r, r->random);
}

static wg_status backward_cpu(const wg_run *r)
{
    return run_masked(r, ((const dropout_attr *)r->attr)->random);
}

static wg_status dropout_cuda(const wg_run *r)
{
    return wgi_cuda_dropout(r, ((const dropout_attr *)r->attr)->p, r->random);
}

static wg_status backward_cuda(const wg_run *r)
{
    const dropout_attr *a = r->attr;
    return wgi_cuda_dropout(r, a->p, a->random);
}

static wg_status reference(const wg_run *r, const uint64_t random[2])
{
    const double *x = wg_run_in(r, 0), p = ((const dropout_attr *)r->attr)->p;
    double *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < r->in.t[0]->numel; i++) {
        const bool kept = wgi_uniform24(wgi_random_word(random[0], random[1], i)) >= (float)p;
        y[i] = kept ? x[i] / (1 - p) : 0;
    }
    return WG_OK;
}

static wg_status dropout_reference(const wg_run *r)
{
    return reference(r, r->random);
}

static wg_status backward_reference(const wg_run *r)
{
    return reference(r, ((const dropout_attr *)r->attr)->random);
}

static void apply_backward(wg_vjp *g, const uint64_t random[2])
{
    const dropout_attr a = { ((const dropout_attr *)g->attr)->p, { random[0], random[1] } };
    wg_vjp_apply(g, (int[]) { 0 }, &wgi_op_dropout_backward, WG_LIST(g->dy.t[0]), &a);
}

static void dropout_grad(wg_vjp *g)
{
    apply_backward(g, g->random);
}

static void backward_grad(wg_vjp *g)
{
    apply_backward(g, ((const dropout_attr *)g->attr)->random);
}

static void samples_of(wg_samples *s, const char *outside, const char *integers)
{
    const dropout_attr third = { .p = 0.3, .random = { 7, 11 } },
                       all = { .p = 1, .random = { 7, 11 } }, none = { .random = { 7, 11 } },
                       bad = { .p = 1.5 }, negative = { .p = -0.1 };
    wg_tensor *x = wg_randn(WG_DIMS(3, 4, 5));
    wg_sample(s, "a third", WG_LIST(x), &third);
    wg_sample(s, "all", WG_LIST(x), &all);
    wg_sample(s, "none", WG_LIST(x), &none);
    wg_sample(s, "vector", WG_LIST(wg_randn(WG_DIMS(7))), &third);
    wg_sample(s, "0-d", WG_LIST(wg_randn(WG_DIMS())), &third);
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(2, 0))), &third);
    wg_sample_error(s, "p above 1", WG_LIST(x), &bad, WG_EARG, outside);
    wg_sample_error(s, "p below 0", WG_LIST(x), &negative, WG_EARG, outside);
    wg_sample_error(s, "integers", WG_LIST(wg_arange(0, 4)), &third, WG_EDTYPE, integers);
}

static void dropout_samples(wg_samples *s)
{
    samples_of(s, "dropout: p ", "dropout: x should be floating, is i64");
}

static void backward_samples(wg_samples *s)
{
    samples_of(s, "dropout_backward: p ", "dropout_backward: x should be floating, is i64");
}

const wg_op wgi_op_dropout = {
    .name = "dropout",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(dropout_attr),
    .flags = WG_OP_RANDOM,
    .infer = dropout_infer,
    .cpu = dropout_cpu,
    .cuda = dropout_cuda,
    .reference = dropout_reference,
    .grad = dropout_grad,
    .samples = dropout_samples,
};

/* The same with given random numbers: linear, so that it is its own gradient. */
const wg_op wgi_op_dropout_backward = {
    .name = "dropout_backward",
    .in = { "dy" },
    .out = { "dx" },
    .attr_size = sizeof(dropout_attr),
    .flags = WG_OP_ACCUMULATE,
    .infer = dropout_infer,
    .cpu = backward_cpu,
    .cuda = backward_cuda,
    .reference = backward_reference,
    .grad = backward_grad,
    .samples = backward_samples,
};

wg_tensor *wg_dropout(wg_tensor *x, double p, bool training)
{
    if (wgi_refuse(x, "dropout")) return &wgi_error_tensor;
    if (is_probability(p) && (!training || p == 0)) return x;
    return wg_apply(&wgi_op_dropout, WG_LIST(x), &(dropout_attr) { .p = p }, NULL);
}
