/* Elementwise ops on CUDA: operands to passes, codes to launches. */
#include "cuda/elementwise.h"

#include "cuda/cuda.h"
#include "cuda/operands.h"

static wg_status run(const wg_run *r, int code, wg_dtype compute, int n, const wg_tensor *const *in,
                     const wgi_numbers *p)
{
    const wg_tensor *out = r->out.t[0], *operand[4] = { out };
    wgi_elementwise_launch l;
    const wg_dims shape = wgi_shape(out);
    if (out->numel == 0) return WG_OK;
    for (int k = 0; k < n; k++) operand[k + 1] = in[k];
    memset(&l, 0, sizeof l);
    wgi_pass_make(&l.pass, &shape, n + 1, operand);
    l.code = code;
    l.compute = (int)compute;
    l.accumulate = r->accumulate;
    if (p) {
        l.a = p->a;
        l.b = p->b;
        l.integer_a = p->integer_a;
        l.integer_b = p->integer_b;
    }
    l.fault = wgi_cuda_opened(out->device.index)->fault;
    l.source = wgi_fault_of(WGI_FAULT_DIVISION, out, NULL, 0);
    if (wgi_launch_elementwise(&l, r->stream)) return WG_OK;
    return wg_raise(WG_EDTYPE, "no kernel for %s", wg_dtype_name((wg_dtype)out->dtype));
}

static const wg_tensor *const *inputs(const wg_run *r)
{
    return (const wg_tensor *const *)r->in.t;
}

wg_status wgi_cuda_formula(const wg_run *r, wgi_formula f, wg_dtype compute, const wgi_numbers *p)
{
    return run(r, (int)f, compute, (int)r->in.n, inputs(r), p);
}

wg_status wgi_cuda_compare(const wg_run *r, wgi_formula f, wg_dtype compute, bool exchanged)
{
    const wg_tensor *in[] = { r->in.t[exchanged], r->in.t[!exchanged] };
    return run(r, (int)f, compute, 2, in, NULL);
}

wg_status wgi_cuda_where(const wg_run *r)
{
    return run(r, WGI_GPU_WHERE, wgi_compute_dtype((wg_dtype)r->out.t[0]->dtype), 3, inputs(r),
               NULL);
}

wg_status wgi_cuda_masked_fill(const wg_run *r, double value)
{
    const wg_dtype t = wgi_compute_dtype((wg_dtype)r->out.t[0]->dtype);
    const wgi_numbers p = { .a = value, .integer_a = t == WG_I64 ? (int64_t)value : 0 };
    return run(r, WGI_GPU_FILL, t, 2, inputs(r), &p);
}

/* Integers are finite in f32, too. */
wg_status wgi_cuda_isfinite(const wg_run *r)
{
    return run(r, WGI_GPU_ISFINITE, r->in.t[0]->dtype == WG_F64 ? WG_F64 : WG_F32, 1, inputs(r),
               NULL);
}

/* A type that keeps every operand's numbers apart from 0. */
wg_status wgi_cuda_logical(const wg_run *r, wgi_logical f)
{
    static const int codes[] = { WGI_GPU_NOT, WGI_GPU_AND, WGI_GPU_OR, WGI_GPU_XOR };
    wg_dtype t = WG_I64;
    for (int64_t i = 0; i < r->in.n; i++) {
        const wg_dtype own = wgi_compute_dtype((wg_dtype)r->in.t[i]->dtype);
        if (own == WG_F64 || (own == WG_F32 && t != WG_F64)) t = own;
    }
    return run(r, codes[f], t, (int)r->in.n, inputs(r), NULL);
}

/* In x's own type, so that nothing is lost on the way; what is added to is added in the output's. */
wg_status wgi_cuda_cast(const wg_run *r)
{
    if (wgi_in_blocks(r->in.t[0]->dtype) || wgi_in_blocks(r->out.t[0]->dtype))
        return wgi_cuda_cast_blocks(r);
    wg_dtype t = wgi_compute_dtype((wg_dtype)r->in.t[0]->dtype);
    if (r->accumulate && t == WG_F32) t = wgi_compute_dtype((wg_dtype)r->out.t[0]->dtype);
    return run(r, WGI_GPU_COPY, t, 1, inputs(r), NULL);
}
