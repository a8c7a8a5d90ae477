/* Comparisons: eq, ne, lt, le, gt, ge of x and y, broadcast, compared in the promoted type ->
 * bool. NaN: only ne is true. They have no gradient (their output is not floating). */
#include "ops/elementwise.h"

#include "cuda/cuda.h"

/* Compares in the promoted type; gt and ge are lt and le with the operands exchanged. */
static wg_status run(const wg_run *r, wgi_formula f, bool exchanged)
{
    wg_tensor *in[] = { r->in.t[exchanged], r->in.t[!exchanged] };
    wg_dtype t;
    wg_status s = wgi_promote(in[0], in[1], &t);
    if (s) return s;
    if (r->out.t[0]->device.kind == WG_CUDA)
        return wgi_cuda_compare(r, f, wgi_compute_dtype(t), exchanged);
    wgi_loop loop = wgi_formula_loop(f, wgi_compute_dtype(t));
    loop.out = WG_BOOL;
    wgi_elementwise(&loop, r->out.t[0], 2, in, NULL, false);
    return WG_OK;
}

static wg_status infer(wg_infer *c)
{
    wg_dtype t;
    wg_status s = wgi_promote(c->in.t[0], c->in.t[1], &t); /* the operands must be comparable */
    return s ? s : wgi_infer_bool_binary(c);
}

static wg_status reference(const wg_run *r, double (*f)(double, double))
{
    const double *x = wg_run_in(r, 0), *y = wg_run_in(r, 1);
    uint8_t *z = wg_run_out(r, 0);
    wg_dims xs = wg_shape(r->in.t[0]), ys = wg_shape(r->in.t[1]), zs = wg_shape(r->out.t[0]);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++)
        z[i] = f(x[wgi_broadcast_index(&zs, &xs, i)], y[wgi_broadcast_index(&zs, &ys, i)]) != 0;
    return WG_OK;
}

static void samples(wg_samples *s)
{
    wg_tensor *x = wgi_uniform(WG_DIMS(2, 3), -3, 3);
    wg_sample(s, "equal", WG_LIST(x, x), NULL);
    wgi_binary_samples(s, -3, 3, -3, 3);
}

/* ---- eq ---- */

static wg_status run_eq(const wg_run *r)
{
    return run(r, WGI_FORMULA_eq, false);
}

static double formula_eq(double x, double y)
{
    return x == y;
}

static wg_status reference_eq(const wg_run *r)
{
    return reference(r, formula_eq);
}

const wg_op wgi_op_eq = {
    .name = "eq",
    .in = { "x", "y" },
    .out = { "z" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_GRAD_ZERO,
    .infer = infer,
    .cpu = run_eq,
    .cuda = run_eq,
    .reference = reference_eq,
    .samples = samples,
};

wg_tensor *wg_eq(wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_eq, WG_LIST(x, y), NULL, NULL);
}

/* ---- ne ---- */

static wg_status run_ne(const wg_run *r)
{
    return run(r, WGI_FORMULA_ne, false);
}

static double formula_ne(double x, double y)
{
    return x != y;
}

static wg_status reference_ne(const wg_run *r)
{
    return reference(r, formula_ne);
}

const wg_op wgi_op_ne = {
    .name = "ne",
    .in = { "x", "y" },
    .out = { "z" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_GRAD_ZERO,
    .infer = infer,
    .cpu = run_ne,
    .cuda = run_ne,
    .reference = reference_ne,
    .samples = samples,
};

wg_tensor *wg_ne(wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_ne, WG_LIST(x, y), NULL, NULL);
}

/* ---- lt ---- */

static wg_status run_lt(const wg_run *r)
{
    return run(r, WGI_FORMULA_lt, false);
}

static double formula_lt(double x, double y)
{
    return x < y;
}

static wg_status reference_lt(const wg_run *r)
{
    return reference(r, formula_lt);
}

const wg_op wgi_op_lt = {
    .name = "lt",
    .in = { "x", "y" },
    .out = { "z" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_GRAD_ZERO,
    .infer = infer,
    .cpu = run_lt,
    .cuda = run_lt,
    .reference = reference_lt,
    .samples = samples,
};

wg_tensor *wg_lt(wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_lt, WG_LIST(x, y), NULL, NULL);
}

/* ---- le ---- */

static wg_status run_le(const wg_run *r)
{
    return run(r, WGI_FORMULA_le, false);
}

static double formula_le(double x, double y)
{
    return x <= y;
}

static wg_status reference_le(const wg_run *r)
{
    return reference(r, formula_le);
}

const wg_op wgi_op_le = {
    .name = "le",
    .in = { "x", "y" },
    .out = { "z" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_GRAD_ZERO,
    .infer = infer,
    .cpu = run_le,
    .cuda = run_le,
    .reference = reference_le,
    .samples = samples,
};

wg_tensor *wg_le(wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_le, WG_LIST(x, y), NULL, NULL);
}

/* ---- gt ---- */

static wg_status run_gt(const wg_run *r)
{
    return run(r, WGI_FORMULA_lt, true);
}

static double formula_gt(double x, double y)
{
    return x > y;
}

static wg_status reference_gt(const wg_run *r)
{
    return reference(r, formula_gt);
}

const wg_op wgi_op_gt = {
    .name = "gt",
    .in = { "x", "y" },
    .out = { "z" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_GRAD_ZERO,
    .infer = infer,
    .cpu = run_gt,
    .cuda = run_gt,
    .reference = reference_gt,
    .samples = samples,
};

wg_tensor *wg_gt(wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_gt, WG_LIST(x, y), NULL, NULL);
}

/* ---- ge ---- */

static wg_status run_ge(const wg_run *r)
{
    return run(r, WGI_FORMULA_le, true);
}

static double formula_ge(double x, double y)
{
    return x >= y;
}

static wg_status reference_ge(const wg_run *r)
{
    return reference(r, formula_ge);
}

const wg_op wgi_op_ge = {
    .name = "ge",
    .in = { "x", "y" },
    .out = { "z" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_GRAD_ZERO,
    .infer = infer,
    .cpu = run_ge,
    .cuda = run_ge,
    .reference = reference_ge,
    .samples = samples,
};

wg_tensor *wg_ge(wg_tensor *x, wg_tensor *y)
{
    return wg_apply(&wgi_op_ge, WG_LIST(x, y), NULL, NULL);
}
