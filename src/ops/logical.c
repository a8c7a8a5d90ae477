/* Logical and, or, xor of x and y, broadcast, and not of x; any dtype, nonzero (also NaN) is
 * true -> bool. No gradient (the output is not floating). */
#include "ops/elementwise.h"

#include "cuda/cuda.h"

static wg_status run(const wg_run *r, wgi_loop_fn fn)
{
    const wgi_loop loop = { fn, { WG_BOOL, WG_BOOL }, WG_BOOL, 0 };
    wgi_elementwise(&loop, r->out.t[0], (int)r->in.n, r->in.t, NULL, false);
    return WG_OK;
}

static wg_status reference(const wg_run *r, bool (*f)(bool, bool))
{
    const double *x = wg_run_in(r, 0), *y = wg_run_in(r, 1);
    uint8_t *z = wg_run_out(r, 0);
    wg_dims xs = wg_shape(r->in.t[0]), ys = wg_shape(r->in.t[1]), zs = wg_shape(r->out.t[0]);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++)
        z[i] =
            f(x[wgi_broadcast_index(&zs, &xs, i)] != 0, y[wgi_broadcast_index(&zs, &ys, i)] != 0);
    return WG_OK;
}

/* 0 and other numbers, mixed. */
static wg_tensor *truths(wg_dims shape)
{
    return wg_round(wgi_uniform(shape, -0.9, 0.9));
}

static void samples(wg_samples *s)
{
    wg_sample(s, "0-d", WG_LIST(truths(WG_DIMS()), truths(WG_DIMS())), NULL);
    wg_sample(s, "row", WG_LIST(truths(WG_DIMS(3, 4)), truths(WG_DIMS(4))), NULL);
    wg_sample(s, "both broadcast", WG_LIST(truths(WG_DIMS(3, 1)), truths(WG_DIMS(2, 1, 4))), NULL);
    wg_sample_error(s, "shapes", WG_LIST(truths(WG_DIMS(2, 3)), truths(WG_DIMS(2))), NULL,
                    WG_ESHAPE, "");
}

/* ---- and ---- */

static wg_status run_and(const wg_run *r)
{
    return run(r, WGI_PICK(wgi_elementwise_kernels)->logical_and);
}

static wg_status cuda_and(const wg_run *r)
{
    return wgi_cuda_logical(r, WGI_LOGICAL_AND);
}

static bool formula_and(bool x, bool y)
{
    return x && y;
}

static wg_status reference_and(const wg_run *r)
{
    return reference(r, formula_and);
}

const wg_op wgi_op_logical_and = {
    .name = "logical_and",
    .in = { "x", "y" },
    .out = { "z" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_GRAD_ZERO,
    .infer = wgi_infer_bool_binary,
    .cpu = run_and,
    .cuda = cuda_and,
    .reference = reference_and,
    .samples = samples,
};

wg_tensor *wg_logical_and(wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_logical_and, WG_LIST(x, y), NULL, NULL);
}

/* ---- or ---- */

static wg_status run_or(const wg_run *r)
{
    return run(r, WGI_PICK(wgi_elementwise_kernels)->logical_or);
}

static wg_status cuda_or(const wg_run *r)
{
    return wgi_cuda_logical(r, WGI_LOGICAL_OR);
}

static bool formula_or(bool x, bool y)
{
    return x || y;
}

static wg_status reference_or(const wg_run *r)
{
    return reference(r, formula_or);
}

const wg_op wgi_op_logical_or = {
    .name = "logical_or",
    .in = { "x", "y" },
    .out = { "z" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_GRAD_ZERO,
    .infer = wgi_infer_bool_binary,
    .cpu = run_or,
    .cuda = cuda_or,
    .reference = reference_or,
    .samples = samples,
};

wg_tensor *wg_logical_or(wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_logical_or, WG_LIST(x, y), NULL, NULL);
}

/* ---- xor ---- */

static wg_status run_xor(const wg_run *r)
{
    return run(r, WGI_PICK(wgi_elementwise_kernels)->logical_xor);
}

static wg_status cuda_xor(const wg_run *r)
{
    return wgi_cuda_logical(r, WGI_LOGICAL_XOR);
}

static bool formula_xor(bool x, bool y)
{
    return x != y;
}

static wg_status reference_xor(const wg_run *r)
{
    return reference(r, formula_xor);
}

const wg_op wgi_op_logical_xor = {
    .name = "logical_xor",
    .in = { "x", "y" },
    .out = { "z" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_GRAD_ZERO,
    .infer = wgi_infer_bool_binary,
    .cpu = run_xor,
    .cuda = cuda_xor,
    .reference = reference_xor,
    .samples = samples,
};

wg_tensor *wg_logical_xor(wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_logical_xor, WG_LIST(x, y), NULL, NULL);
}

/* ---- not ---- */

static wg_status run_not(const wg_run *r)
{
    return run(r, WGI_PICK(wgi_elementwise_kernels)->logical_not);
}

static wg_status cuda_not(const wg_run *r)
{
    return wgi_cuda_logical(r, WGI_LOGICAL_NOT);
}

static wg_status reference_not(const wg_run *r)
{
    const double *x = wg_run_in(r, 0);
    uint8_t *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++) y[i] = x[i] == 0;
    return WG_OK;
}

static wg_status infer_not(wg_infer *c)
{
    wg_status s = wgi_infer_any(c);
    c->out[0].dtype = WG_BOOL;
    return s;
}

static void samples_not(wg_samples *s)
{
    wg_sample(s, "0-d", WG_LIST(truths(WG_DIMS())), NULL);
    wg_sample(s, "3-d", WG_LIST(truths(WG_DIMS(2, 3, 4))), NULL);
    wg_sample(s, "empty", WG_LIST(truths(WG_DIMS(0))), NULL);
}

const wg_op wgi_op_logical_not = {
    .name = "logical_not",
    .in = { "x" },
    .out = { "y" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_GRAD_ZERO,
    .infer = infer_not,
    .cpu = run_not,
    .cuda = cuda_not,
    .reference = reference_not,
    .samples = samples_not,
};

wg_tensor *wg_logical_not(wg_tensor *x)
{
    return wg_apply(&wgi_op_logical_not, WG_LIST(x), NULL, NULL);
}
