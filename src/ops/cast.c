/* y = x in dtype t: rounded to nearest (even), to integers truncated and saturated (NaN: 0), to
 * bool x != 0, to and from blocks as ggml's reference does, by way of f32. x itself if it has that
 * dtype. dx = dy cast back; a cast to integers or blocks has none, and blocks never want one.
 * errors: WG_EARG for an unknown dtype; WG_EDTYPE for blocks that are only read (q2_k .. q6_k);
 * WG_ESHAPE where the last size is no multiple of the block. */
#include "ops/elementwise.h"

#include "cuda/cuda.h"

typedef struct {
    int dtype;
} cast;

static wg_status infer(wg_infer *c)
{
    const cast *a = c->attr;
    if (wg_dtype_block((wg_dtype)a->dtype) == 0)
        return wg_raise(WG_EARG, "there is no dtype %d", a->dtype);
    wg_status s = wgi_fits_quantiser((wg_dtype)c->in.t[0]->dtype, (wg_dtype)a->dtype, "");
    if (s == WG_OK) s = wgi_infer_any(c);
    c->out[0].dtype = (wg_dtype)a->dtype;
    return s;
}

static wg_status run(const wg_run *r)
{
    wgi_convert_tensor(r->out.t[0], r->in.t[0], r->accumulate);
    return WG_OK;
}

static wg_status reference(const wg_run *r)
{
    const double *x = wg_run_in(r, 0);
    wg_tensor *y = r->out.t[0];
    char *data = wg_run_out(r, 0);
    for (int64_t i = 0; i < wg_numel(y); i++)
        wgi_store(data + (size_t)i * wg_dtype_size(wg_dtype_of(y)), wg_dtype_of(y), x[i]);
    return WG_OK;
}

static void grad(wg_vjp *g)
{
    const cast back = { (int)wg_vjp_in_dtype(g, 0) };
    wg_vjp_apply(g, (const int[]) { 0 }, &wgi_op_cast, WG_LIST(g->dy.t[0]), &back);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, &(const cast) { WG_F64 }, -3, 3);
    wg_sample(s, "to i64", WG_LIST(wgi_uniform(WG_DIMS(9), -4, 4)), &(const cast) { WG_I64 });
    wg_sample(s, "to bool", WG_LIST(wg_round(wgi_uniform(WG_DIMS(9), -1, 1))),
              &(const cast) { WG_BOOL });
    wg_sample(s, "from blocks", WG_LIST(wg_cast(wg_randn(WG_DIMS(2, 64)), WG_Q8_0)),
              &(const cast) { WG_F64 });
    wg_sample_error(s, "dtype", WG_LIST(wg_randn(WG_DIMS(2))), &(const cast) { 99 }, WG_EARG,
                    "cast: there is no dtype 99");
}

const wg_op wgi_op_cast = {
    .name = "cast",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(cast),
    .flags = WG_OP_ELEMENTWISE | WG_OP_ACCUMULATE | WG_OP_BLOCKS,
    .infer = infer,
    .cpu = run,
    .cuda = wgi_cuda_cast,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_cast(wg_tensor *x, wg_dtype t)
{
    if (!wgi_bad(x) && x->dtype == t && !(x->flags & WGI_WEAK)) return x;
    return wg_apply(&wgi_op_cast, WG_LIST(x), &(const cast) { (int)t }, NULL);
}
