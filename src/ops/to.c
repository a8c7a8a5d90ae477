/* y = x on device d; x itself if it is there. dx = dy on x's device. To `meta` the data is
 * dropped; a tensor on `meta` has none to give. errors: WG_EDEVICE for a device that is not
 * there, and for data from `meta`. */
#include "ops/elementwise.h"

typedef struct {
    wg_device from, to;
} to;

static bool same_device(wg_device a, wg_device b)
{
    return a.kind == b.kind && a.index == b.index;
}

static wg_status infer(wg_infer *c)
{
    const to *a = c->attr;
    const wg_tensor *x = c->in.t[0];
    if (a->to.kind == WG_CUDA && (!wgi_cuda || a->to.index < 0 || a->to.index >= wgi_cuda->count()))
        return wg_raise(WG_EDEVICE, "there is no device cuda:%d", a->to.index);
    if (a->to.kind != WG_CPU && a->to.kind != WG_CUDA && a->to.kind != WG_META)
        return wg_raise(WG_EDEVICE, "there is no device of kind %d", (int)a->to.kind);
    if (x->device.kind == WG_META && a->to.kind != WG_META)
        return wg_raise(WG_EDEVICE, "a tensor on meta has no data to move");
    wg_status s = wgi_infer_any(c);
    c->out[0].device = a->to;
    return s;
}

/* The kernel of the device that y lies on; x may lie elsewhere: then its elements are brought together there and sent
 * as they are. Staged in scratch of the kernel's own device where a side is strided. */
static wg_status run(const wg_run *r)
{
    wg_tensor *x = r->in.t[0], *y = r->out.t[0];
    if (same_device(x->device, y->device)) return wgi_copy_elements(y, x);
    if (x->numel == 0) return WG_OK;
    wgi_context *c = wgi_ctx();
    wg_tensor *flat = wgi_is_contiguous(x)
                          ? wgi_ref(x)
                          : wgi_tensor_make(c, (wg_dtype)x->dtype, x->device, wgi_shape(x));
    if (!flat) return wg_error_code();
    wg_status s = flat == x ? WG_OK : wgi_copy_elements(flat, x);
    if (s == WG_OK)
        s = wgi_cuda->copy(wgi_data(y), y->device, wgi_data(flat), x->device,
                           wgi_bytes_of((wg_dtype)x->dtype, x->numel));
    wgi_unref(flat);
    return s;
}

static wg_status reference(const wg_run *r)
{
    const double *x = wg_run_in(r, 0);
    double *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++) y[i] = x[i];
    return WG_OK;
}

static void grad(wg_vjp *g)
{
    g->dx.t[0] = wg_to(g->dy.t[0], ((const to *)g->attr)->from);
}

static void samples(wg_samples *s)
{
    wgi_unary_samples(s, &(const to) { { WG_CPU, 0 }, { WG_CPU, 0 } }, -3, 3);
    wg_sample_error(s, "missing", WG_LIST(wg_randn(WG_DIMS(2))),
                    &(const to) { { WG_CPU, 0 }, { WG_CUDA, 99 } }, WG_EDEVICE,
                    "to: there is no device cuda:99");
}

const wg_op wgi_op_to = {
    .name = "to",
    .in = { "x" },
    .out = { "y" },
    .attr_size = sizeof(to),
    .flags =
        WG_OP_BLOCKS | WG_OP_DATA_SHAPE, /* raises on meta: it needs data, whatever the shape */
    .infer = infer,
    .cpu = run,
    .cuda = run,
    .reference = reference,
    .grad = grad,
    .samples = samples,
};

wg_tensor *wg_to(wg_tensor *x, wg_device d)
{
    if (!wgi_bad(x) && same_device(x->device, d)) return x;
    const to a = { wgi_bad(x) ? wg_cpu() : x->device, d };
    return wg_apply(&wgi_op_to, WG_LIST(x), &a, NULL);
}
