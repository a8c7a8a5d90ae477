/* Fused functions. A call runs the function once on `meta`, where it learns the outputs' dtypes and refuses what is not
 * elementwise; then it passes the door as one op, whose kernel and gradient run the function's kernels tile by tile, and
 * whose composite is the function itself. */
#include "autograd/fuse.h"
#include "wengert/ops.h"

/* ---- the row -------------------------------------------------------------------------------------------------- */
static wg_status infer(wg_infer *c)
{
    const wgi_closure *k = wgi_closure_of(c->in.t[0]);
    const wg_status s = wg_infer_outputs(c, (int)k->n_out);
    for (int j = 0; s == WG_OK && j < c->n_out; j++)
        c->out[j] =
            (wg_spec) { .dtype = wgi_closure_dtype(k, j), .device = wg_cpu(), .shape = k->shape };
    return s;
}

/* Tiles count their own. */
static double no_flops(const wg_infer *c)
{
    (void)c;
    return 0;
}

wg_list wgi_fuse_inputs(wg_list in)
{
    wg_list x = wg_list_new(in.n - 1);
    for (int64_t i = 0; i < x.n; i++) x.t[i] = in.t[i + 1] == in.t[0] ? NULL : in.t[i + 1];
    return x;
}

/* The function on whole tensors, recorded: its own derivative of any order. */
static void composite(void *self, wg_list in, wg_list out)
{
    (void)self;
    wgi_context *c = wgi_ctx();
    const wgi_closure *k = wgi_closure_of(in.t[0]);
    wgi_path *path = c->path;
    wg_scope scope = (wg_scope_push)();
    c->path = NULL; /* the first run's path replaces the present one */
    if (((const char *)k)[k->path]) wgi_path_push((const char *)k + k->path);
    c->now = k->settings;
    c->now.grad = true;
    wg_list x = wgi_fuse_inputs(in);
    if (!wg_error_code()) wgi_fuse_call(c, k, NULL, x, out);
    for (int64_t j = 0; j < out.n; j++) wg_scope_keep(scope, out.t[j]);
    (wg_scope_return)(scope, NULL);
    c->path = path;
}

static const wg_op fuse = {
    .name = "fuse",
    .in = { "closure", "x*" },
    .out = { "y" },
    .saves = WG_IN(0) | WG_IN(1),
    .infer = infer,
    .cpu = wgi_fuse_forward,
    .composite = composite,
    .grad_fused = wgi_fuse_backward,
    .flops = no_flops,
};

void wgi_fuse_call(wgi_context *c, const wgi_closure *k, const wgi_fusion *f, wg_list x, wg_list y)
{
    const wgi_fusion *outer = c->fusion;
    c->fusion = f;
    k->fn((char *)(uintptr_t)k + k->self, x, y);
    c->fusion = outer;
}

/* ---- what may be inside ---------------------------------------------------------------------------------------- */
/* Raises in the fused function's name, with its inputs. */
static wg_status refuse(wgi_context *c, const wgi_fusion *f, wg_status code, const char *what)
{
    const wg_op *op = c->op;
    const wg_list operands = c->operands;
    c->op = &fuse;
    c->operands = f->in;
    wg_raise(code, "fuse: %s", what);
    c->op = op;
    c->operands = operands;
    return code;
}

/* A captured tensor is read where the inputs are. */
static wg_status check_device(wgi_context *c, const wg_op *op, const wg_tensor *t)
{
    char what[256], is[16], want[16];
    for (int64_t i = 1; i < c->fusion->in.n && !(t->flags & WGI_WEAK); i++) {
        const wg_tensor *x = c->fusion->in.t[i];
        if (!x || x == c->fusion->in.t[0] || (x->flags & WGI_WEAK) || x->device.kind == WG_META)
            continue;
        if (t->device.kind == x->device.kind && t->device.index == x->device.index) continue;
        wgi_device_text(is, sizeof is, t->device);
        wgi_device_text(want, sizeof want, x->device);
        snprintf(what, sizeof what, "%s takes a captured tensor on %s, the inputs are on %s",
                 op->name, is, want);
        return refuse(c, c->fusion, WG_EDEVICE, what);
    }
    return WG_OK;
}

/* An operand that was made of none of the function's inputs is the same in every tile: one value. */
static wg_status check_foreign(wgi_context *c, const wg_op *op, const wg_tensor *t)
{
    char what[384], shape[160];
    if (check_device(c, op, t) != WG_OK) return wg_error_code();
    if (t->ndim > 0) {
        wgi_tensor_text(shape, sizeof shape, t);
        snprintf(what, sizeof what,
                 "%s takes %s, which is not made of the function's inputs; only 0-d tensors may be "
                 "captured",
                 op->name, shape);
        return refuse(c, c->fusion, WG_EARG, what);
    }
    if (!c->now.grad || !t->node) return WG_OK;
    snprintf(what, sizeof what,
             "%s takes a captured tensor that requires a gradient; make it an input", op->name);
    return refuse(c, c->fusion, WG_EGRAD, what);
}

static wg_status check_op(wgi_context *c, const wg_op *op, bool on_tile)
{
    char what[256];
    if (op->flags & WG_OP_RANDOM)
        snprintf(what, sizeof what, "%s is random; draw before, and make the numbers an input",
                 op->name);
    else if (on_tile && !(op->flags & WG_OP_ELEMENTWISE))
        snprintf(what, sizeof what,
                 "%s is not elementwise; the function may only compose ops that are", op->name);
    else
        return WG_OK;
    return refuse(c, c->fusion, WG_EARG, what);
}

/* What lies elsewhere gets a twin on meta, so that nothing is computed; weak scalars go anywhere. */
static wg_status to_meta(wgi_context *c, wg_list *in, wg_tensor **space, int64_t room)
{
    wg_tensor **to = in->n <= room ? space : wg_list_new(in->n).t;
    if (!to) return wg_error_code();
    for (int64_t i = 0; i < in->n; i++) {
        wg_tensor *t = to[i] = in->t[i];
        if (!t || (t->flags & WGI_WEAK) || t->device.kind == WG_META) continue;
        const wg_dims shape = wgi_shape(t);
        to[i] = wgi_tensor_new_at(c, (wg_dtype)t->dtype, wg_meta(), &shape);
        if (wgi_bad(to[i])) return wg_error_code();
        to[i]->flags |= t->flags & (WGI_FUSED | WGI_PARAMETER);
        if (c->program && wgi_program_constant(c->program, to[i], t) != WG_OK)
            return wg_error_code();
    }
    in->t = to;
    return WG_OK;
}

wg_status wgi_fusion_admit(wgi_context *c, const wg_op *op, wg_list *in, wg_tensor **space,
                           int64_t room)
{
    bool on_tile = false;
    for (int64_t i = 0; i < in->n; i++) on_tile |= in->t[i] && (in->t[i]->flags & WGI_FUSED);
    wg_status s = check_op(c, op, on_tile);
    for (int64_t i = 0; i < in->n && s == WG_OK; i++)
        if (in->t[i] && !(in->t[i]->flags & WGI_FUSED)) s = check_foreign(c, op, in->t[i]);
    return s == WG_OK && on_tile ? to_meta(c, in, space, room) : s;
}

/* A segment that is computed again in a fused function's backward was admitted when it first ran. */
wg_status wgi_fusion_admit_again(wgi_context *c, wg_list *in, wg_tensor **space, int64_t room)
{
    bool on_meta = false;
    for (int64_t i = 0; i < in->n; i++) on_meta |= in->t[i] && in->t[i]->device.kind == WG_META;
    return on_meta ? to_meta(c, in, space, room) : WG_OK;
}

wg_status wgi_fusion_mark(wgi_context *c, const wg_op *op, wg_list in, wg_tensor **y, int n_out)
{
    bool made = in.n == 0 && (op->flags & WG_OP_ELEMENTWISE); /* the same value everywhere */
    for (int64_t i = 0; i < in.n; i++) made |= in.t[i] && (in.t[i]->flags & WGI_FUSED);
    for (int j = 0; made && j < n_out; j++) {
        if (!y[j]) continue;
        if (wgi_in_blocks(y[j]->dtype)) {
            char what[128];
            snprintf(what, sizeof what, "%s makes blocks of elements", op->name);
            return refuse(c, c->fusion, WG_EDTYPE, what);
        }
        y[j]->flags |= WGI_FUSED;
    }
    return WG_OK;
}

/* ---- the trace -------------------------------------------------------------------------------------------------- */
static wg_status check_output(wgi_context *c, const wgi_fusion *f, const wg_dims *shape,
                              const wg_tensor *y, int64_t j)
{
    char what[512], is[160], want[160];
    if (y && wgi_bad(y)) {
        wgi_refuse(y, "fuse");
        return wg_error_code();
    }
    if (!y) {
        snprintf(what, sizeof what, "the function left output %lld empty", (long long)j);
        return refuse(c, f, WG_EARG, what);
    }
    const wg_dims own = wgi_shape(y);
    if (wgi_dims_equal(&own, shape)) return WG_OK;
    wgi_shape_text(is, sizeof is, &own);
    wgi_shape_text(want, sizeof want, shape);
    snprintf(what, sizeof what, "output %lld is %s, not of the inputs' common shape %s",
             (long long)j, is, want);
    return refuse(c, f, WG_ESHAPE, what);
}

/* Runs the function on meta; dtype (n_out) gets its outputs'. The thread is as before afterwards. */
static wg_status trace(wgi_context *c, const wgi_fusion *f, const wgi_closure *k, wg_list in,
                       uint8_t *dtype)
{
    const char *file = c->file;
    const int line = c->line;
    const double flops = wg_flops();
    wgi_segment *segment = c->segment;
    wg_scope scope = (wg_scope_push)();
    c->segment = NULL;
    c->now.device = wg_meta();
    wg_list x = wg_list_new(in.n), y = wg_list_new(k->n_out);
    for (int64_t i = 0; i < x.n; i++) {
        if (!in.t[i]) continue;
        const wg_dims shape = wgi_shape(in.t[i]), strides = wgi_strides(in.t[i]);
        x.t[i] = wgi_fuse_twin(c, in.t[i], &shape, &strides);
    }
    if (!wg_error_code()) wgi_fuse_call(c, k, f, x, y);
    for (int64_t j = 0; j < y.n && !wg_error_code(); j++)
        if (check_output(c, f, &k->shape, y.t[j], j) == WG_OK) dtype[j] = y.t[j]->dtype;
    (wg_scope_return)(scope, NULL);
    c->segment = segment;
    c->file = file;
    c->line = line;
    wgi_count_flops(flops - wg_flops());
    return wg_error_code();
}

/* ---- the call ---------------------------------------------------------------------------------------------------- */
/* The closure's tensor: its dtypes are still to be filled in. */
static wg_tensor *closure_new(wgi_context *c, wg_fn fn, const void *self, size_t bytes,
                              int64_t n_out)
{
    char path[512];
    const int length = wgi_path_text(path, sizeof path);
    const size_t at = sizeof(wgi_closure) + (size_t)n_out;
    const size_t there = (at + (size_t)length + 1 + 15) & ~(size_t)15;
    const wg_dims size = { .n = 1, .d = { (int64_t)(there + bytes) } };
    wg_tensor *t = wgi_tensor_new_at(c, WG_U8, wg_cpu(), &size);
    if (wgi_bad(t)) return t;
    wgi_closure *k = wgi_data(t);
    memset(k, 0, there);
    k->fn = fn;
    k->settings = c->now;
    k->n_out = n_out;
    k->path = at;
    k->self = there;
    memcpy((char *)k + at, path, (size_t)length);
    if (bytes) memcpy((char *)k + there, self, bytes);
    return t;
}

static wg_status common_shape(wgi_context *c, const wgi_fusion *f, wg_list in, wg_dims *shape)
{
    bool first = true;
    const wg_op *op = c->op;
    const wg_list operands = c->operands;
    c->op = &fuse; /* messages name the inputs */
    c->operands = f->in;
    for (int64_t i = 0; i < in.n; i++) {
        if (!in.t[i]) continue;
        const wg_dims own = wgi_shape(in.t[i]), before = *shape;
        if (first)
            *shape = own;
        else if (wgi_broadcast(&before, &own, shape) != WG_OK)
            break;
        first = false;
    }
    if (first) wg_raise(WG_EARG, "there are no inputs");
    c->op = op;
    c->operands = operands;
    return wg_error_code();
}

static wg_status check_arguments(wg_fn fn, const void *self, size_t bytes, wg_list in, wg_list out)
{
    if (wg_error_code()) return wg_error_code();
    if (!fn) return wg_raise(WG_EARG, "fuse: the function is NULL");
    if (bytes && !self) return wg_raise(WG_EARG, "fuse: self is NULL and has %zu bytes", bytes);
    if (in.n < 0 || out.n < 0 || (in.n && !in.t) || (out.n && !out.t))
        return wg_raise(WG_EARG, "fuse: a list has a length and no tensors");
    for (int64_t i = 0; i < in.n; i++) {
        if (!in.t[i]) continue;
        if (wgi_refuse(in.t[i], "fuse")) return wg_error_code();
        if (wgi_in_blocks(in.t[i]->dtype))
            return wg_raise(WG_EDTYPE, "fuse: input %lld is %s; cast it first", (long long)i,
                            wg_dtype_name((wg_dtype)in.t[i]->dtype));
    }
    return WG_OK;
}

/* Tiles are the CPU's. */
static bool runs_whole(wg_list in)
{
    for (int64_t i = 0; i < in.n; i++)
        if (in.t[i] && !(in.t[i]->flags & WGI_WEAK) && in.t[i]->device.kind != WG_CPU) return true;
    return false;
}

static void fuse_here(wgi_context *c, wg_fn fn, const void *self, size_t bytes, wg_list in,
                      wg_list out)
{
    wg_list all = wg_list_new(in.n + 1); /* the closure's place, and the inputs */
    if (!all.t) return;
    for (int64_t i = 0; i < in.n; i++) all.t[i + 1] = in.t[i];
    const wgi_fusion f = { .in = all };
    wg_tensor *closure = closure_new(c, fn, self, bytes, out.n);
    if (wgi_bad(closure)) return;
    wgi_closure *k = wgi_data(closure);
    if (common_shape(c, &f, in, &k->shape) != WG_OK) return;
    if (trace(c, &f, k, in, (uint8_t *)(k + 1)) != WG_OK || !out.n) return;
    if (runs_whole(in)) {
        (wg_recompute)(fn, self, bytes, in, out);
        return;
    }
    all.t[0] = closure;
    for (int64_t i = 0; i < in.n; i++)
        if (!in.t[i]) all.t[i + 1] = closure;
    (wg_apply_list)(&fuse, all, NULL, out);
}

void(wg_fuse)(wg_fn fn, const void *self, size_t bytes, wg_list in, wg_list out)
{
    wgi_context *c = wgi_ctx();
    for (int64_t j = 0; out.t && j < out.n; j++) out.t[j] = &wgi_error_tensor;
    if (check_arguments(fn, self, bytes, in, out) != WG_OK) return;
    wg_scope scope = (wg_scope_push)();
    if (c->fusion || c->program) /* on a tile already */
        fn((void *)(uintptr_t)self, in, out);
    else
        fuse_here(c, fn, self, bytes, in, out);
    for (int64_t j = 0; j < out.n; j++) wg_scope_keep(scope, out.t[j]);
    (wg_scope_return)(scope, NULL);
}
