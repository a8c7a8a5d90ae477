/* What shape rules use to say what their outputs are. */
#include "autograd/door.h"
#include "wengert/error.h"
#include "wengert/scope.h"

wg_status wg_infer_outputs(wg_infer *c, int n)
{
    if (n < 0) return wg_raise(WG_EARG, "%d outputs", n);
    if (n > WGI_ON_STACK) {
        wg_spec *s = wg_scope_alloc((size_t)n * sizeof *s);
        if (!s) return wg_error_code();
        c->out = s;
    }
    c->n_out = n;
    return WG_OK;
}

void wg_infer_like(wg_infer *c, int i, const wg_tensor *t)
{
    c->out[i].dtype = t->dtype;
    c->out[i].device = t->device;
    c->out[i].shape = wgi_shape(t);
    c->out[i].strides.n = 0;
}

void wg_infer_layout(wg_infer *c, int i, const wg_tensor *t)
{
    const wg_dims *shape = &c->out[i].shape;
    wg_dims *strides = &c->out[i].strides;
    int axis[WG_MAX_DIMS]; /* from large strides to small ones */
    for (int a = 0; a < shape->n; a++)
        if (t->strides[a] <= 0 && t->shape[a] > 1)
            return; /* expanded or flipped: no order of memory */
    for (int a = 0; a < shape->n; a++) {
        int at = a;
        for (; at > 0 && t->strides[axis[at - 1]] < t->strides[a]; at--) axis[at] = axis[at - 1];
        axis[at] = a;
    }
    strides->n = shape->n;
    int64_t step = 1;
    for (int k = shape->n - 1; k >= 0; k--) {
        strides->d[axis[k]] = step;
        step *= shape->d[axis[k]];
    }
}

wg_status wg_expect(const wg_infer *c, int input, wg_dims shape)
{
    const wg_tensor *t = input < c->in.n ? c->in.t[input] : NULL;
    if (!t) return WG_OK;
    wg_dims is = wgi_shape(t);
    if (wgi_dims_equal(&is, &shape)) return WG_OK;
    char want[160], got[160];
    wgi_shape_text(want, sizeof want, &shape);
    wgi_shape_text(got, sizeof got, &is);
    const wg_op *op = wgi_ctx()->op;
    const char *name = op ? wgi_input_name(op, input) : "input";
    int length = (int)strcspn(name, "?*");
    return wg_raise(WG_ESHAPE, "%.*s should be %s, is %s", length, name, want, got);
}
