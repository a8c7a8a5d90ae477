/* A new op in a user's own file: Mamba's selective scan (Gu & Dao 2023, arXiv:2312.00752), with its CPU kernel, its
 * gradient kernel, an f64 reference, the definition by other ops, samples; then the registry's tests run on it.
 *   h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t,   y_t = C_t h_t + D u_t
 *   u, delta: (B, D, T)  A: (D, N)  B, C: (B, N, T)  D: (D), optional -> y: (B, D, T)
 * The same row with a CUDA kernel (`.cuda = ...`) would run on a GPU. */
#include <math.h>
#include <string.h>

#include <wengert/wengert.h>

enum { U, DELTA, A, B, C, D, STATES, DY }; /* operands; the last two of the backward op only */

typedef struct {
    int64_t batch, channels, time, state;
} sizes;

static sizes sizes_of(wg_list in)
{
    wg_dims u = wg_shape(in.t[U]);
    return (sizes) { u.d[0], u.d[1], u.d[2], wg_size(in.t[A], 1) };
}

/* ---- shape rule -------------------------------------------------------------------------------------------------- */
static wg_status scan_infer(wg_infer *c)
{
    if (wg_ndim(c->in.t[U]) != 3 || wg_ndim(c->in.t[A]) != 2)
        return wg_raise(WG_ESHAPE, "selective_scan: u has 3 dimensions and A 2");
    sizes z = sizes_of(c->in);
    wg_dims bnt = WG_DIMS(z.batch, z.state, z.time);
    wg_status s = WG_OK;
    if ((s = wg_expect(c, DELTA, wg_shape(c->in.t[U]))) ||
        (s = wg_expect(c, A, WG_DIMS(z.channels, z.state))) || (s = wg_expect(c, B, bnt)) ||
        (s = wg_expect(c, C, bnt)) || (s = wg_expect(c, D, WG_DIMS(z.channels))))
        return s;
    for (int i = 1; i <= D; i++)
        if (c->in.t[i] && wg_dtype_of(c->in.t[i]) != wg_dtype_of(c->in.t[U]))
            return wg_raise(WG_EDTYPE, "selective_scan: the operands have different dtypes");
    wg_infer_like(c, 0, c->in.t[U]);
    wg_infer_like(c, 1, c->in.t[U]); /* hidden: every state, for the gradient */
    c->out[1].shape = WG_DIMS(z.batch, z.channels, z.time, z.state);
    return WG_OK;
}

/* ---- forward: one task a channel of a sequence --------------------------------------------------------------------- */
#define REAL float
#define EXP expf
#define NAME(x) x##_f32
#include "selective_scan_kernel.h"
#undef REAL
#undef EXP
#undef NAME
#define REAL double
#define EXP exp
#define NAME(x) x##_f64
#include "selective_scan_kernel.h"

static wg_status scan_cpu(const wg_run *r)
{
    sizes z = sizes_of(r->in);
    void *state = wg_scratch(r, (size_t)(z.batch * z.channels * z.state) * sizeof(double));
    if (!state) return wg_error_code();
    scan_task t = { r, z, state };
    switch (wg_dtype_of(r->in.t[U])) {
    case WG_F32: wg_parallel(z.batch * z.channels, scan_row_f32, &t); return WG_OK;
    case WG_F64: wg_parallel(z.batch * z.channels, scan_row_f64, &t); return WG_OK;
    default:
        return wg_raise(WG_EDTYPE, "selective_scan: no kernel for %s",
                        wg_dtype_name(wg_dtype_of(r->in.t[U])));
    }
}

/* y straight from the recurrence, in f64, with explicit indices. */
static wg_status scan_reference(const wg_run *r)
{
    sizes z = sizes_of(r->in);
    const double *u = wg_run_in(r, U), *delta = wg_run_in(r, DELTA), *a = wg_run_in(r, A),
                 *b = wg_run_in(r, B), *c = wg_run_in(r, C), *skip = wg_run_in(r, D);
    double *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < z.batch; i++)
        for (int64_t d = 0; d < z.channels; d++) {
            int64_t row = (i * z.channels + d) * z.time;
            for (int64_t t = 0; t < z.time; t++) y[row + t] = skip ? skip[d] * u[row + t] : 0;
            for (int64_t n = 0; n < z.state; n++) {
                double h = 0;
                for (int64_t t = 0; t < z.time; t++) {
                    int64_t at = (i * z.state + n) * z.time + t;
                    h = exp(delta[row + t] * a[d * z.state + n]) * h +
                        delta[row + t] * b[at] * u[row + t];
                    y[row + t] += c[at] * h;
                }
            }
        }
    return WG_OK;
}

/* ---- the gradient by kernel: another op through the same door, without a derivative of its own ------------------------ */
static wg_status backward_infer(wg_infer *c)
{
    for (int i = 0; i <= D; i++) {
        wg_tensor *x = c->in.t[i] ? c->in.t[i] : c->in.t[A]; /* no D: an output that nobody takes */
        wg_infer_like(c, i, x);
    }
    return WG_OK;
}

static wg_status backward_cpu(const wg_run *r)
{
    for (int i = 0; i <= D; i++)
        memset(wg_run_out(r, i), 0,
               (size_t)wg_numel(r->out.t[i]) * wg_dtype_size(wg_dtype_of(r->out.t[i])));
    sizes z = sizes_of(r->in);
    if (wg_dtype_of(r->in.t[U]) == WG_F64)
        scan_backward_f64(r, z);
    else
        scan_backward_f32(r, z);
    return WG_OK;
}

static const wg_op scan_backward_op = { .name = "selective_scan_backward",
                                        .in = { "u", "delta", "A", "B", "C", "D?", "states", "dy" },
                                        .out = { "du", "ddelta", "dA", "dB", "dC", "dD" },
                                        .flags = WG_OP_CONTIGUOUS | WG_OP_GRAD_NONE,
                                        .infer = backward_infer,
                                        .cpu = backward_cpu };

static void scan_grad_fused(wg_vjp *g)
{
    wg_tensor **x = g->x.t, *more[WG_MAX_OUTPUTS];
    g->dx.t[U] = wg_apply(&scan_backward_op,
                          WG_LIST(x[U], x[DELTA], x[A], x[B], x[C], x[D], g->y.t[1], g->dy.t[0]),
                          NULL, more);
    for (int i = 1; i <= D; i++) g->dx.t[i] = x[i] ? more[i - 1] : NULL;
}

/* ---- the definition by public ops: slow, but the tape differentiates it to any order ----------------------------------- */
static void scan_composite(void *attr, wg_list in, wg_list out)
{
    (void)attr;
    sizes z = sizes_of(in);
    wg_tensor **x = in.t, *h = wg_zeros_like(wg_expand(wg_unsqueeze(x[A], 0),
                                                       WG_DIMS(z.batch, z.channels, z.state)));
    wg_list ys = wg_list_new(z.time);
    for (int64_t t = 0; t < ys.n; t++) {
        wg_tensor *dt = wg_narrow(x[DELTA], 2, t, 1),
                  *ut = wg_narrow(x[U], 2, t, 1);                     /* (B, D, 1) */
        wg_tensor *bt = wg_transpose(wg_narrow(x[B], 2, t, 1), 1, 2); /* (B, 1, N) */
        wg_tensor *ct = wg_transpose(wg_narrow(x[C], 2, t, 1), 1, 2);
        h = wg_add(wg_mul(wg_exp(wg_mul(dt, x[A])), h), wg_mul(wg_mul(dt, bt), ut)); /* (B, D, N) */
        ys.t[t] = wg_sum(wg_mul(h, ct), WG_DIMS(-1), WG_KEEPDIM);                    /* (B, D, 1) */
    }
    wg_tensor *y = wg_cat(ys, 2);
    out.t[0] = x[D] ? wg_add(y, wg_mul(x[U], wg_unsqueeze(x[D], 1))) : y;
}

static void scan_samples(wg_samples *s)
{
    wg_tensor *u = wg_randn(WG_DIMS(2, 3, 5)), *delta = wg_softplus(wg_randn(WG_DIMS(2, 3, 5)));
    wg_tensor *a = wg_neg(wg_exp(wg_randn(WG_DIMS(3, 4))));
    wg_tensor *b = wg_randn(WG_DIMS(2, 4, 5)), *c = wg_randn(WG_DIMS(2, 4, 5));
    wg_sample(s, "plain", WG_LIST(u, delta, a, b, c, NULL), NULL);
    wg_sample(s, "skip", WG_LIST(u, delta, a, b, c, wg_randn(WG_DIMS(3))), NULL);
    wg_sample_error(s, "A of wrong size", WG_LIST(u, delta, wg_randn(WG_DIMS(4, 4)), b, c, NULL),
                    NULL, WG_ESHAPE, "selective_scan: A should be (3, 4), is (4, 4)");
}

static const wg_op scan_op = {
    .name = "selective_scan",
    .in = { "u", "delta", "A", "B", "C", "D?" },
    .out = { "y", "states" },
    .hidden = WG_OUT(1),
    .flags = WG_OP_CONTIGUOUS,
    .saves = WG_IN(U) | WG_IN(DELTA) | WG_IN(A) | WG_IN(B) | WG_IN(C) | WG_IN(D) | WG_OUT(1),
    .infer = scan_infer,
    .cpu = scan_cpu,
    .reference = scan_reference,
    .composite = scan_composite,
    .grad_fused = scan_grad_fused,
    .samples = scan_samples,
};

int main(void)
{
    wg_op_report counts;
    if (wg_op_test_counted(&scan_op, wg_cpu(), stderr, &counts) != WG_OK)
        return wg_error_print(stderr);
    printf("selective_scan: %lld cases passed, %lld refused by dtype\n", (long long)counts.cases,
           (long long)counts.skipped);
    return 0;
}
