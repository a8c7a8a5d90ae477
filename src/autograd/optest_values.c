/* Results: against the f64 reference, in every dtype and layout, against the composite, and shapes on meta. */
#include "autograd/optest.h"

#include <stdio.h>

#include "autograd/door.h"
#include "wengert/ops.h"

/* Results may be small differences of large inputs. */
static double input_scale(wgi_optest *t)
{
    double largest = 1;
    wg_scope s = (wg_scope_push)();
    wg_use_grad(false);
    for (int64_t i = 0; i < t->sample->in.n; i++) {
        wg_tensor *x = t->sample->in.t[i];
        if (!x || !x->numel || !wgi_is_float(x->dtype)) continue;
        double m = wg_item(
            wg_max(wg_abs(wg_masked_fill(x, wg_logical_not(wg_isfinite(x)), 0)), WG_ALL, false));
        if (m > largest) largest = m;
    }
    (wg_scope_return)(s, NULL);
    return 1e-3 * largest;
}

static void compare_lists(wgi_optest *t, const char *what, wg_list got, wg_list want, wg_dtype as,
                          double length)
{
    if (got.n != want.n || wg_error_code()) {
        wgi_case(t, false, "%s: %s", what,
                 wg_error_code() ? wg_error_get()->message : "another number of outputs");
        wg_error_clear();
        return;
    }
    double scale = input_scale(t);
    for (int64_t j = 0; j < got.n; j++) {
        char name[48];
        snprintf(name, sizeof name, "%s %lld", what, (long long)j);
        wgi_compare(t, name, got.t[j], want.t[j], as, length, scale);
    }
}

/* The dtype that decides the tolerance of results computed from floats of dtype `as`. A product with
 * blocks rounds its other operand to 8 bits, as bf16 does. */
static wg_dtype coarsest(wg_dtype as, wg_list in, wg_list y)
{
    for (int64_t i = 0; i < in.n; i++)
        if (in.t[i] && wgi_in_blocks(in.t[i]->dtype) && as != WG_F64) return WG_BF16;
    for (int64_t j = 0; j < y.n; j++)
        if (wgi_is_float(y.t[j]->dtype) && wg_dtype_size(y.t[j]->dtype) < wg_dtype_size(as))
            as = y.t[j]->dtype;
    return as;
}

/* The row with its reference as kernel: contiguous inputs and outputs. */
static wg_op exact_row(const wg_op *op)
{
    wg_op exact = *op;
    if (op->reference) exact.cpu = op->reference;
    if (!(op->flags & WG_OP_VIEW)) exact.flags |= WG_OP_CONTIGUOUS;
    exact.flags &= ~(unsigned)(WG_OP_ACCUMULATE | WG_OP_LAYOUT);
    return exact;
}

static void test_reference(wgi_optest *t)
{
    t->variant = "f64 against the reference";
    if (t->op->flags & WG_OP_VIEW || !t->op->reference) {
        if (!(t->op->flags & WG_OP_VIEW)) wgi_case(t, false, "the row has no reference");
        return;
    }
    const wg_op reference = exact_row(t->op);
    wg_list in = wgi_dequantised(wgi_variant(t->sample->in, 0, wg_cpu(), WGI_LAYOUT_PLAIN));
    wg_list on = wgi_variant(t->sample->in, 0, t->device, WGI_LAYOUT_PLAIN);
    wg_list want = wgi_outputs(t, &reference, in), got = wgi_outputs(t, t->op, on);
    compare_lists(t, "y", got, want, coarsest(WG_F64, on, got), wgi_length(in));
}

/* Floats of a dtype in a layout, against f64 of the same rounded values, plainly laid out. */
static void test_variant(wgi_optest *t, wg_dtype as, int layout)
{
    char variant[64];
    snprintf(variant, sizeof variant, "%s%s", wg_dtype_name(as), wgi_layout_name(layout));
    t->variant = variant;
    wg_scope s = (wg_scope_push)();
    wg_use_grad(false);
    wg_list in = wgi_variant(t->sample->in, as, t->device, layout);
    wg_list got = wgi_outputs(t, t->op, in);
    if (!wgi_refused(t, as, layout)) {
        const wg_op exact = exact_row(t->op);
        wg_list plain = wgi_dequantised(wgi_variant(in, WG_F64, wg_cpu(), WGI_LAYOUT_PLAIN));
        wg_list want = wgi_outputs(t, &exact, plain);
        compare_lists(t, "y", got, want, coarsest(as, in, got), wgi_length(in));
    }
    t->variant = "";
    (wg_scope_return)(s, NULL);
}

/* On another device: against the CPU's kernel on the same values. */
static void test_against_cpu(wgi_optest *t, wg_dtype as)
{
    char variant[64];
    if (t->device.kind == WG_CPU || (t->op->flags & WG_OP_VIEW)) return;
    snprintf(variant, sizeof variant, "%s against the cpu", wg_dtype_name(as));
    t->variant = variant;
    wg_scope s = (wg_scope_push)();
    wg_use_grad(false);
    wg_list got =
        wgi_outputs(t, t->op, wgi_variant(t->sample->in, as, t->device, WGI_LAYOUT_PLAIN));
    if (!wgi_refused(t, as, WGI_LAYOUT_PLAIN)) {
        const wg_op there = *t->op;
        wg_list in = wgi_variant(t->sample->in, as, wg_cpu(), WGI_LAYOUT_PLAIN);
        wg_list want = wgi_outputs(t, &there, in);
        compare_lists(t, "y", got, want, coarsest(as, in, got),
                      4 * wgi_length(in)); /* both round */
    }
    t->variant = "";
    (wg_scope_return)(s, NULL);
}

static void test_composite(wgi_optest *t)
{
    if (!t->op->composite) return;
    t->variant = "f64 against the composite";
    wg_scope s = (wg_scope_push)();
    wg_use_grad(false);
    wg_list in = wgi_variant(t->sample->in, 0, t->device, WGI_LAYOUT_PLAIN);
    wg_list want = wgi_outputs(t, t->op, in), got = wg_list_new(want.n);
    wg_generator_set(t->random);
    t->op->composite((void *)(uintptr_t)t->sample->attr, in, got);
    compare_lists(t, "y", got, want, coarsest(WG_F64, in, want), wgi_length(in));
    (wg_scope_return)(s, NULL);
}

static void test_meta(wgi_optest *t)
{
    t->variant = "meta";
    wg_scope s = (wg_scope_push)();
    wg_list real =
        wgi_outputs(t, t->op, wgi_variant(t->sample->in, 0, t->device, WGI_LAYOUT_PLAIN));
    if (t->sample->in.n == 0 || (t->op->flags & WG_OP_DATA_SHAPE) ||
        wg_error_code()) { /* makers carry their own device */
        wg_error_clear();
        (wg_scope_return)(s, NULL);
        return;
    }
    wg_list in = wgi_variant(t->sample->in, 0, wg_meta(), WGI_LAYOUT_PLAIN);
    wg_list y = wgi_outputs(t, t->op, in);
    if (wg_error_code()) {
        wgi_case(t, false, "%s", wg_error_get()->message);
        wg_error_clear();
    }
    for (int64_t j = 0; j < y.n && j < real.n; j++)
        wgi_case(t, wgi_same_shape(y.t[j], real.t[j]) && y.t[j]->dtype == real.t[j]->dtype,
                 "output %lld differs", (long long)j);
    (wg_scope_return)(s, NULL);
}

static void as_function(void *self, wg_list in, wg_list out)
{
    const wgi_optest *t = self;
    (wg_apply_list)(t->op, in, t->sample->attr, out);
}

/* A row that says it is elementwise: on the sample's elements in a row, whatever their shape was. */
static void test_in_tiles(wgi_optest *t)
{
    if (!(t->op->flags & WG_OP_ELEMENTWISE) || t->sample->in.n == 0) return;
    for (int64_t i = 0; i < t->sample->in.n; i++)
        if (t->sample->in.t[i] && wgi_in_blocks(t->sample->in.t[i]->dtype)) return;
    for (int layout = 0; layout < WGI_LAYOUT_COUNT; layout++) {
        char variant[64];
        snprintf(variant, sizeof variant, "in tiles%s", wgi_layout_name(layout));
        t->variant = variant;
        wg_scope s = (wg_scope_push)();
        wg_use_grad(false);
        wg_list in = wgi_variant(t->sample->in, 0, t->device, layout);
        wg_list want = wgi_outputs(t, t->op, in), got = wg_list_new(want.n);
        if (want.n) (wg_fuse)(as_function, t, sizeof *t, in, got);
        compare_lists(t, "y", got, want, coarsest(WG_F64, in, want), 1);
        (wg_scope_return)(s, NULL);
    }
}

void wgi_test_values(wgi_optest *t)
{
    static const wg_dtype dtypes[] = { WG_F64, WG_F32, WG_BF16, WG_F16 };
    test_reference(t);
    test_composite(t);
    for (int d = 0; d < 4; d++) test_against_cpu(t, dtypes[d]);
    for (int d = 0; d < 4; d++)
        for (int layout = 0; layout < WGI_LAYOUT_COUNT; layout++) {
            /* a gradient kernel's operands belong together: repeating parts of them would make them contradict */
            if (layout == WGI_LAYOUT_EXPANDED && (t->op->flags & WG_OP_GRAD_NONE)) continue;
            test_variant(t, dtypes[d], layout);
        }
    test_in_tiles(t);
    test_meta(t);
    t->variant = "";
}

/* The sample's tensors in a dtype and layout, as copies that may be changed in place. */
static wg_list own_variant(wgi_optest *t, wg_dtype as, wg_device d, int layout)
{
    wg_list in = wg_list_new(t->sample->in.n);
    for (int64_t i = 0; i < in.n; i++) {
        wg_tensor *x = t->sample->in.t[i];
        if (!x) continue;
        in.t[i] = wgi_is_float(x->dtype) ? wg_affine(x, 1, 0)
                                         : wg_cast(wg_cast(x, WG_F64), (wg_dtype)x->dtype);
    }
    return wgi_variant(in, as, d, layout);
}

/* Floats as f64, which the reference then changes. */
static wg_list widened(wg_list in)
{
    wg_list out = wg_list_new(in.n);
    for (int64_t i = 0; i < out.n; i++)
        out.t[i] = in.t[i] && wgi_is_float(in.t[i]->dtype) ? wg_cast(in.t[i], WG_F64) : in.t[i];
    return out;
}

static void test_update(wgi_optest *t, wg_dtype as, int layout)
{
    char variant[64];
    snprintf(variant, sizeof variant, "%s%s", wg_dtype_name(as), wgi_layout_name(layout));
    t->variant = variant;
    wg_scope s = (wg_scope_push)();
    wg_use_grad(false);
    wg_op reference = *t->op;
    reference.cpu = t->op->reference;
    wg_list got = own_variant(t, as, t->device, layout);
    wg_list plain = own_variant(t, as, wg_cpu(), WGI_LAYOUT_PLAIN), want = widened(plain);
    wg_list a = wgi_outputs(t, t->op, got), b = wgi_outputs(t, &reference, want);
    compare_lists(t, "y", a, b, as, wgi_length(plain));
    for (int64_t i = 0; i < got.n; i++)
        if (got.t[i] && wgi_updates_input(t->op, i))
            wgi_compare(t, "updated", got.t[i], want.t[i], as, 64, 1e-3);
    t->variant = "";
    (wg_scope_return)(s, NULL);
}

/* An op that updates in place: its inputs afterwards, against the reference's. */
void wgi_test_updates(wgi_optest *t)
{
    static const wg_dtype dtypes[] = { WG_F64, WG_F32, WG_BF16, WG_F16 };
    static const int layouts[] = { WGI_LAYOUT_PLAIN, WGI_LAYOUT_NARROWED };
    for (int d = 0; d < 4 && t->op->reference; d++)
        for (int l = 0; l < 2; l++) test_update(t, dtypes[d], layouts[l]);
    wgi_case(t, t->op->reference != NULL, "the row has no reference");
}
