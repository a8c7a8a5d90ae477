/* The door: every operation passes here. In order: error pass-through, autocast, shape rule, allocation, kernel (not on
 * meta), counting, recording. */
#include "autograd/door.h"
#include "autograd/node.h"
#include "autograd/profile.h"
#include "autograd/program.h"
#include "ops/registry.h"
#include "wengert/ops.h"

static _Thread_local double flops_counted WGI_TLS;

double wg_flops(void)
{
    return flops_counted;
}

void wgi_count_flops(double n)
{
    flops_counted += n;
}

/* One call on its way through the door. */
typedef struct {
    wgi_context *c;
    const wg_op *op;
    const void *attr;
    wg_list in;
    wg_infer infer;
    wg_tensor **y; /* (infer.n_out) hidden outputs NULL where nothing is recorded */
    bool plain;    /* see all_plain */
    bool record, accumulate;
    uint64_t random[2];
    wg_spec spec_space[WGI_ON_STACK];
    wg_tensor *in_space[WGI_ON_STACK], *y_space[WGI_ON_STACK];
} call;

/* The arrays are filled where they are used: zeroing all of it would cost a third of a small op. */
static inline void begin(call *k, wgi_context *c, const wg_op *op, wg_list in, const void *attr)
{
    k->c = c;
    k->op = op;
    k->attr = attr;
    k->in = in;
    k->record = k->accumulate = false;
    k->random[0] = k->random[1] = 0;
}

/* Every operand is there and alive, all are on one device and none is in blocks: the usual case, settled in one look. */
static inline bool all_plain(wg_list in)
{
    if (in.n <= 0 || !in.t || !in.t[0]) return in.n == 0;
    const wg_device first = in.t[0]->device;
    for (int64_t i = 0; i < in.n; i++) {
        const wg_tensor *t = in.t[i];
        if (wgi_bad(t) || wgi_in_blocks(t->dtype)) return false;
        if (t->device.kind != first.kind || t->device.index != first.index) return false;
    }
    return true;
}

/* ---- error pass-through --------------------------------------------------------------------------------------- */
static inline bool refuse_operands(call *k)
{
    k->plain = all_plain(k->in);
    if (!k->plain && wgi_refuse_operand(k->op, k->in)) return true;
    const bool all = !k->op->repeat && (k->in.n >= WG_MAX_INPUTS || !k->op->in[k->in.n]);
    return !all && wgi_refuse_number(k->op, k->in.n);
}

/* ---- shape rule ---------------------------------------------------------------------------------------------------- */
static int named_outputs(const wg_op *op)
{
    int n = 0;
    while (n < WG_MAX_OUTPUTS && op->out[n]) n++;
    return n;
}

static inline wg_status infer(call *k)
{
    k->infer.attr = k->attr;
    k->infer.in = k->in;
    k->infer.n_out = named_outputs(k->op);
    k->infer.out = k->spec_space;
    k->infer.random = -1;
    wg_status s = k->plain ? WG_OK : wgi_check_operands(k->op, k->in);
    if (s == WG_OK && k->op->infer) s = k->op->infer(&k->infer);
    if (s == WG_OK && (k->op->flags & WG_OP_DATA_SHAPE) && k->in.n &&
        k->in.t[0]->device.kind == WG_META)
        s = wg_raise(WG_EDEVICE, "the result's shape depends on data, and meta has none");
    return s;
}

/* ---- allocation ------------------------------------------------------------------------------------------------------ */
static inline bool wants_record(const call *k)
{
    if (!k->c->now.grad || k->op->updates) return false;
    for (int64_t i = 0; i < k->in.n; i++)
        if (k->in.t[i] && k->in.t[i]->node) return true;
    return false;
}

static inline wg_status allocate(call *k)
{
    int n = k->infer.n_out;
    k->y = n <= WGI_ON_STACK ? k->y_space : wg_list_new(n).t;
    if (!k->y) return wg_error_code();
    for (int j = 0; j < n; j++) {
        const wg_spec *s = &k->infer.out[j];
        bool hidden = j < 16 && (k->op->hidden & WG_OUT(j));
        if (hidden && !k->record) {
            k->y[j] = NULL;
            continue;
        }
        if (k->op->flags & WG_OP_VIEW)
            k->y[j] = wgi_tensor_view_at(k->c, k->in.t[0], &s->shape, &s->strides,
                                         k->in.t[0]->offset + s->offset);
        else
            k->y[j] = wgi_tensor_new_at(k->c, s->dtype, s->device, &s->shape);
        if (k->op->flags & WG_OP_LAYOUT && !wgi_bad(k->y[j])) wgi_lay_out(k->y[j], s);
        if (wgi_bad(k->y[j])) return wg_error_code();
    }
    return WG_OK;
}

/* ---- kernel ------------------------------------------------------------------------------------------------------------ */
/* Contiguous copies of the inputs that need one; `made` (n) gets them, to be released after the kernel. */
static wg_status make_contiguous(call *k, wg_tensor **to, wg_tensor **made)
{
    for (int64_t i = 0; i < k->in.n; i++) made[i] = NULL;
    for (int64_t i = 0; i < k->in.n; i++) {
        wg_tensor *t = to[i] = k->in.t[i];
        if (!t || wgi_is_contiguous(t)) continue;
        made[i] = wgi_tensor_make(k->c, t->dtype, t->device, wgi_shape(t));
        if (!made[i]) return wg_error_code();
        wg_status s = wgi_copy_elements(made[i], t);
        if (s != WG_OK) return s;
        to[i] = made[i];
    }
    return WG_OK;
}

/* Where an op without outputs runs: its first operand may be missing. */
static wg_device operands_device(wg_list in)
{
    for (int64_t i = 0; i < in.n; i++)
        if (in.t[i]) return in.t[i]->device;
    return wg_cpu();
}

static wg_device kernel_device(const call *k)
{
    if (k->infer.n_out == 0) return operands_device(k->in);
    wg_device to = k->infer.out[0].device;
    /* from a device to the CPU: the device's kernel sends it */
    return to.kind == WG_CPU && k->in.n == 1 && k->in.t[0] && k->in.t[0]->device.kind == WG_CUDA
               ? k->in.t[0]->device
               : to;
}

static inline wg_status launch(call *k, wg_device d, wg_kernel kernel, wg_list in)
{
    wgi_kernel_memory memory = { .device = d };
    wg_run r = { .attr = k->attr,
                 .in = in,
                 .out = { k->infer.n_out, k->y },
                 .random = { k->random[0], k->random[1] },
                 .accumulate = k->accumulate,
                 .door = &memory };
    const bool gpu = memory.device.kind == WG_CUDA;
    wg_status s = gpu ? wgi_cuda->begin(memory.device.index, &r.stream) : WG_OK;
    if (s != WG_OK) return s;
    const double start = k->c->profile ? wgi_profile_begin(memory.device) : 0;
    s = kernel(&r);
    if (gpu && s == WG_OK) s = wgi_cuda->end(memory.device.index);
    if (k->c->profile) wgi_profile_end(k->c, k->op, &k->infer, in, r.out, memory.device, start);
    wgi_scratch_release(&memory);
    return s;
}

static WGI_COLD wg_status launch_contiguous(call *k, wg_device d, wg_kernel kernel)
{
    wg_tensor *space[2 * WGI_ON_STACK], **to = space;
    if (k->in.n > WGI_ON_STACK) {
        to = wg_list_new(2 * k->in.n).t;
        if (!to) return wg_error_code();
    }
    wg_tensor **made = to + k->in.n;
    wg_status s = make_contiguous(k, to, made);
    if (s == WG_OK) s = launch(k, d, kernel, (wg_list) { k->in.n, to });
    for (int64_t i = 0; i < k->in.n; i++) wgi_unref(made[i]);
    return s;
}

static bool all_contiguous(wg_list in)
{
    for (int64_t i = 0; i < in.n; i++)
        if (in.t[i] && !wgi_is_contiguous(in.t[i])) return false;
    return true;
}

static WGI_COLD wg_status note(call *k)
{
    return wgi_program_note(k->c, k->op, k->attr, k->in, (wg_list) { k->infer.n_out, k->y },
                            k->accumulate);
}

static inline wg_status run_kernel(call *k)
{
    const wg_op *op = k->op;
    wg_device d = kernel_device(k);
    if (op->flags & WG_OP_VIEW) return WG_OK;
    if (d.kind == WG_META) return k->c->program ? note(k) : WG_OK;
    wg_kernel kernel = wgi_kernel_for(op, d);
    if (!kernel) return wg_raise(WG_EDEVICE, "no %s kernel", d.kind == WG_CPU ? "cpu" : "cuda");
    if (d.kind == WG_CUDA && (wgi_refuse_lost("", k->in) != WG_OK ||
                              wgi_refuse_lost("", (wg_list) { k->infer.n_out, k->y }) != WG_OK))
        return wg_error_code();
    if ((op->flags & WG_OP_CONTIGUOUS) && !all_contiguous(k->in))
        return launch_contiguous(k, d, kernel);
    return launch(k, d, kernel, k->in);
}

static void take_random(call *k)
{
    int64_t n = k->infer.random;
    if (n < 0) n = k->infer.n_out ? wgi_numel(&k->infer.out[0].shape) : 0;
    k->random[0] = k->c->random.seed;
    k->random[1] = k->c->random.offset;
    k->c->random.offset += ((uint64_t)n + 3) / 4;
}

static inline void count(const call *k)
{
    if (k->op->flops)
        flops_counted += k->op->flops(&k->infer);
    else if (k->infer.n_out && !(k->op->flags & WG_OP_VIEW) && k->y[0])
        flops_counted += (double)k->y[0]->numel;
}

/* ---- the door itself -------------------------------------------------------------------------------------------------------- */
static inline wg_status pass(call *k)
{
    const unsigned casts =
        k->op->flags & (WG_OP_LOW | WG_OP_LOW_PARAMETERS | WG_OP_FULL | WG_OP_KEEP_STREAM);
    wg_status s = WG_OK;
    if (k->c->now.autocast && casts) s = wgi_autocast(k->c, casts, &k->in, k->in_space);
    if (s != WG_OK) return s;
    k->c->operands = k->in;
    if ((s = infer(k)) != WG_OK) return s;
    if (k->op->updates && (s = wgi_check_updates(k->c, k->op, k->in)) != WG_OK) return s;
    k->record = wants_record(k);
    if ((s = allocate(k)) != WG_OK) return s;
    if (k->c->fusion && (s = wgi_fusion_mark(k->c, k->op, k->in, k->y, k->infer.n_out)) != WG_OK)
        return s;
    if (k->op->flags & WG_OP_RANDOM) take_random(k);
    if ((s = run_kernel(k)) != WG_OK) return s;
    if (k->op->updates) wgi_touch_updated(k->op, k->in);
    count(k);
    return k->record ? wgi_record(k->c, k->op, k->in, k->attr, k->y, k->infer.n_out, k->random)
                     : WG_OK;
}

/* Runs k; messages name its op and operands meanwhile. A failure that raised nothing still is an error. */
static wg_status enter(call *k)
{
    if (refuse_operands(k)) return wg_error_code();
    wgi_context *c = k->c;
    if (c->fusion || c->program) {
        wg_status s = c->fusion ? wgi_fusion_admit(c, k->op, &k->in, k->in_space, WGI_ON_STACK)
                                : wgi_fusion_admit_again(c, &k->in, k->in_space, WGI_ON_STACK);
        if (s != WG_OK) return s;
    }
    const wg_op *op = c->op;
    wg_list operands = c->operands;
    c->op = k->op;
    c->operands = k->in;
    wg_status s = pass(k);
    if (s != WG_OK && !wg_error_code()) wg_raise(s, "failed");
    c->op = op;
    c->operands = operands;
    return s;
}

wg_tensor *(wg_apply)(const wg_op *op, wg_list in, const void *attr, wg_tensor **more)
{
    call k;
    begin(&k, wgi_ctx(), op, in, attr);
    bool ok = enter(&k) == WG_OK;
    if (!ok) {
        k.infer.n_out = named_outputs(op);
        k.y = k.y_space;
        for (int j = 0; j < k.infer.n_out; j++) k.y[j] = &wgi_error_tensor;
    }
    for (int j = 1, to = 0; more && j < k.infer.n_out; j++)
        if (j >= 16 || !(op->hidden & WG_OUT(j))) more[to++] = k.y[j];
    if (!ok) return &wgi_error_tensor;
    if (k.infer.n_out) return k.y[0];
    for (int i = 0; i < in.n && i < WG_MAX_INPUTS; i++)
        if (op->updates & WG_IN(i)) return in.t[i];
    return &wgi_error_tensor;
}

void(wg_apply_list)(const wg_op *op, wg_list in, const void *attr, wg_list out)
{
    call k;
    begin(&k, wgi_ctx(), op, in, attr);
    bool ok = enter(&k) == WG_OK;
    int64_t to = 0;
    for (int j = 0; ok && j < k.infer.n_out && to < out.n; j++)
        if (j >= 16 || !(op->hidden & WG_OUT(j))) out.t[to++] = k.y[j];
    if (ok && to < out.n)
        wg_raise(WG_EARG, "%s: has %lld outputs, asked for %lld", op->name, (long long)to,
                 (long long)out.n);
    for (; to < out.n; to++) out.t[to] = &wgi_error_tensor;
}

/* Runs k's kernel into k->y, which is given; messages name its op and operands meanwhile. */
static wg_status run_into(call *k, wg_status (*check)(call *k))
{
    wgi_context *c = k->c;
    const wg_op *outer = c->op;
    const wg_list operands = c->operands;
    c->op = k->op;
    c->operands = k->in;
    wg_status s = check ? check(k) : WG_OK;
    if (s == WG_OK) s = run_kernel(k);
    if (s == WG_OK) count(k);
    c->op = outer;
    c->operands = operands;
    return s;
}

static wg_status check_places(call *k)
{
    const int given = k->infer.n_out;
    wg_status s = infer(k);
    if (s == WG_OK && k->infer.n_out != given)
        s = wg_raise(WG_EARG, "has %d outputs, given %d", k->infer.n_out, given);
    for (int j = 0; s == WG_OK && j < given; j++) {
        const wg_dims *want = &k->infer.out[j].shape;
        bool fits = k->y[j]->ndim == want->n;
        for (int a = 0; fits && a < want->n; a++) fits = k->y[j]->shape[a] == want->d[a];
        if (!fits) s = wg_raise(WG_ESHAPE, "the place given does not fit");
    }
    return s;
}

wg_status wgi_run_into(wgi_context *c, const wg_op *op, wg_list in, const void *attr,
                       wg_tensor **out, int n_out, bool accumulate)
{
    call k;
    begin(&k, c, op, in, attr);
    k.accumulate = accumulate;
    k.y = out;
    k.infer.n_out = n_out;
    return refuse_operands(&k) ? wg_error_code() : run_into(&k, check_places);
}

wg_status wgi_add_into(wgi_context *c, wg_tensor *into, wg_tensor *d)
{
    call k;
    wg_tensor *in[2] = { into, d };
    begin(&k, c, &wgi_op_add, (wg_list) { 2, in }, NULL);
    k.infer = (wg_infer) { .in = k.in, .n_out = 1, .out = k.spec_space };
    k.spec_space[0].device = into->device;
    k.y = &into;
    return run_into(&k, NULL);
}
