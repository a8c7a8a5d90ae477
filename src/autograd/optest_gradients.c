/* Gradients: finite differences, second derivatives, fused rules against those made of ops, dtypes and layouts, places
 * that are added into, recomputation. */
#include "autograd/optest.h"

#include <math.h>
#include <stdio.h>

#include "wengert/ops.h"

static unsigned mask_bit(const wg_op *op, int64_t i)
{
    int last = 0;
    while (last + 1 < WG_MAX_INPUTS && op->in[last + 1]) last++;
    return WG_IN(i < last ? i : last);
}

bool wgi_differentiable(const wg_op *op, wg_list in, int64_t i)
{
    const wg_tensor *t = in.t[i];
    return t && wgi_is_float(t->dtype) && !(t->flags & WGI_WEAK) &&
           !(op->no_grad & mask_bit(op, i));
}

static bool has_gradient(const wg_op *op)
{
    return !(op->flags & WG_OP_GRAD_NONE) &&
           (op->grad || op->grad_fused || op->composite || (op->flags & WG_OP_GRAD_ZERO));
}

/* ---- the op as a function of its differentiable inputs ----------------------------------------------------------- */
typedef struct {
    wgi_optest *t;
    const wg_op *op;
    wg_list in; /* all inputs; the differentiable ones are replaced */
} closure;

static void as_function(void *self, wg_list in, wg_list out)
{
    closure *k = self;
    wg_list all = wg_list_new(k->in.n);
    for (int64_t i = 0, j = 0; i < all.n; i++)
        all.t[i] = wgi_differentiable(k->op, k->in, i) ? in.t[j++] : k->in.t[i];
    (wg_apply_list)(k->op, all, k->t->sample->attr, out);
}

static wg_list differentiable(const wg_op *op, wg_list in)
{
    wg_list d = wg_list_new(in.n);
    d.n = 0;
    for (int64_t i = 0; i < in.n; i++)
        if (wgi_differentiable(op, in, i)) d.t[d.n++] = in.t[i];
    return d;
}

static int visible_outputs(wgi_optest *t, wg_list in, bool *floating)
{
    wg_scope s = (wg_scope_push)();
    wg_use_grad(false);
    wg_list y = wgi_outputs(t, t->op, in);
    *floating = false;
    for (int64_t j = 0; j < y.n; j++) *floating |= wgi_is_float(y.t[j]->dtype);
    (wg_scope_return)(s, NULL);
    return (int)y.n;
}

static void check_differences(wgi_optest *t, bool second)
{
    t->variant = second ? "second derivatives" : "differences";
    wg_scope s = (wg_scope_push)();
    wg_list in = wgi_variant(t->sample->in, 0, t->device, WGI_LAYOUT_PLAIN);
    for (int64_t i = 0; i < in.n; i++) /* own memory: it is perturbed in place */
        if (in.t[i] && wgi_differentiable(t->op, in, i)) in.t[i] = wg_affine(in.t[i], 1, 0);
    closure k = { t, t->op, in };
    bool floating;
    int outputs = visible_outputs(t, in, &floating);
    wg_generator_set(t->random);
    wg_check o = { .outputs = outputs, .rtol = second ? 1e-4 : 1e-5, .atol = second ? 1e-6 : 1e-7 };
    wg_list d = differentiable(t->op, in);
    if (d.n && outputs) {
        wg_status status = second ? (wg_gradgradcheck)(as_function, &k, d, &o)
                                  : (wg_gradcheck)(as_function, &k, d, &o);
        wgi_case(t, status == WG_OK, "%s", status == WG_OK ? "" : wg_error_get()->message);
    }
    wg_error_clear();
    (wg_scope_return)(s, NULL);
}

/* ---- gradients by the tape ------------------------------------------------------------------------------------------ */
/* Random cotangents for y, the same ones whenever the shapes are the same, in y's dtypes. */
static wg_list cotangents(wg_list y)
{
    wg_list dy = wg_list_new(y.n);
    wg_generator_set((wg_generator) { 99, 5000 });
    for (int64_t j = 0; j < y.n; j++) {
        if (!wgi_is_float(y.t[j]->dtype)) continue;
        wg_tensor *d = wg_cast(wg_randn(wgi_shape(y.t[j])),
                               WG_BF16); /* exact in every dtype but f16's tails */
        dy.t[j] = wg_to(wg_cast(d, y.t[j]->dtype), y.t[j]->device);
    }
    return dy;
}

/* d in: gradients of <dy, op(in)> with respect to the differentiable inputs, NULL elsewhere. */
static wg_list tape_gradients(wgi_optest *t, const wg_op *op, wg_list in)
{
    wg_list leaves = wg_list_new(in.n), wanted = wg_list_new(in.n), dx = wg_list_new(in.n),
            all = wg_list_new(in.n);
    wanted.n = 0;
    for (int64_t i = 0; i < in.n; i++) {
        leaves.t[i] = in.t[i];
        if (!wgi_differentiable(op, in, i)) continue;
        leaves.t[i] = (wg_require_grad)((wg_detach)(in.t[i]));
        wanted.t[wanted.n++] = leaves.t[i];
    }
    wg_list y = wgi_outputs(t, op, leaves);
    if (wg_error_code()) return all;
    wg_list dy = cotangents(y), yr = wg_list_new(y.n), dyr = wg_list_new(y.n);
    int64_t n = 0;
    for (int64_t j = 0; j < y.n; j++)
        if (dy.t[j] && y.t[j]->node) {
            yr.t[n] = y.t[j];
            dyr.t[n++] = dy.t[j];
        }
    yr.n = dyr.n = n;
    dx.n = wanted.n;
    if (n) (wg_grad)(yr, wanted, dyr, WG_ALLOW_UNUSED, dx);
    for (int64_t i = 0, k = 0; i < in.n; i++)
        if (wgi_differentiable(op, in, i)) all.t[i] = n ? dx.t[k++] : NULL;
    return all;
}

static void compare_gradients(wgi_optest *t, wg_list got, wg_list want, wg_list in, wg_dtype as,
                              double length)
{
    if (wg_error_code()) {
        wgi_case(t, false, "%s", wg_error_get()->message);
        wg_error_clear();
        return;
    }
    for (int64_t i = 0; i < in.n; i++) {
        if (!got.t[i] && !want.t[i]) continue;
        char name[32];
        snprintf(name, sizeof name, "d%.20s", t->op->in[i < WG_MAX_INPUTS && t->op->in[i] ? i : 0]);
        if (!got.t[i] || !want.t[i])
            wgi_case(t, false, "%s: only one of the two has a gradient", name);
        else
            wgi_compare(t, name, got.t[i], want.t[i], as, length,
                        0.25); /* cotangents are about 1 */
    }
}

/* The fused rule against the rule made of ops, or against the composite. */
static void check_fused(wgi_optest *t)
{
    if (!t->op->grad_fused) return;
    wg_list in = wgi_variant(t->sample->in, 0, t->device, WGI_LAYOUT_PLAIN);
    wg_list got = tape_gradients(t, t->op, in);
    wg_op plain = *t->op;
    plain.grad_fused = NULL;
    if (plain.grad) {
        t->variant = "fused rule against the rule by ops";
        compare_gradients(t, got, tape_gradients(t, &plain, in), in, WG_F64, 4 * wgi_length(in));
    }
    plain.grad = NULL;
    if (!plain.composite) return;
    t->variant = "fused rule against the composite";
    compare_gradients(t, got, tape_gradients(t, &plain, in), in, WG_F64, 4 * wgi_length(in));
}

/* Floats of a dtype in a layout: gradients against f64 of the same rounded values. */
static void check_variant(wgi_optest *t, wg_dtype as, int layout)
{
    char variant[64];
    snprintf(variant, sizeof variant, "gradients %s%s", wg_dtype_name(as), wgi_layout_name(layout));
    t->variant = variant;
    wg_scope s = (wg_scope_push)();
    wg_list in = wgi_variant(t->sample->in, as, t->device, layout);
    wg_list got = tape_gradients(t, t->op, in);
    if (!wgi_refused(t, as, layout)) {
        wg_list want =
            tape_gradients(t, t->op, wgi_variant(in, WG_F64, t->device, WGI_LAYOUT_PLAIN));
        compare_gradients(t, got, want, in, as, 16 * wgi_length(in));
    }
    t->variant = "";
    (wg_scope_return)(s, NULL);
}

/* Leaves: two backward passes give twice the gradient, the second one added into the first one's place. */
static void check_accumulation(wgi_optest *t)
{
    t->variant = "accumulated gradients";
    wg_list in = wgi_variant(t->sample->in, 0, t->device, WGI_LAYOUT_PLAIN);
    wg_list want = tape_gradients(t, t->op, in), leaves = wg_list_new(in.n),
            got = wg_list_new(in.n);
    for (int64_t i = 0; i < in.n; i++)
        leaves.t[i] =
            wgi_differentiable(t->op, in, i) ? (wg_require_grad)((wg_detach)(in.t[i])) : in.t[i];
    for (int pass = 0; pass < 2; pass++) {
        wg_list y = wgi_outputs(t, t->op, leaves);
        if (wg_error_code()) break;
        wg_list dy = cotangents(y);
        wg_tensor *sum = NULL;
        for (int64_t j = 0; j < y.n; j++) {
            if (!dy.t[j] || !y.t[j]->node) continue;
            wg_tensor *part = wg_sum(wg_mul(y.t[j], dy.t[j]), WG_ALL, false);
            sum = sum ? wg_add(sum, part) : part;
        }
        if (sum) wg_backward_call((wg_backward_args) { .loss = sum });
    }
    for (int64_t i = 0; i < in.n && !wg_error_code(); i++) {
        if (!want.t[i]) continue;
        want.t[i] = wg_affine(want.t[i], 2, 0);
        got.t[i] = wg_grad_of(leaves.t[i]);
    }
    compare_gradients(t, got, want, in, WG_F64, 4 * wgi_length(in));
}

static void as_closure(void *self, wg_list in, wg_list out)
{
    const closure *k = self;
    (wg_apply_list)(k->op, in, k->t->sample->attr, out);
}

/* Run again by backward: recomputed, or in tiles. */
static void check_run_again(wgi_optest *t, bool fused)
{
    t->variant = fused ? "gradients in tiles" : "recomputed";
    wg_list in = wgi_variant(t->sample->in, 0, t->device, WGI_LAYOUT_PLAIN),
            want = tape_gradients(t, t->op, in);
    wg_list all = wg_list_new(in.n), d = wg_list_new(in.n), got = wg_list_new(in.n);
    d.n = 0;
    for (int64_t i = 0; i < in.n; i++) {
        all.t[i] = in.t[i];
        if (!wgi_differentiable(t->op, in, i)) continue;
        all.t[i] = d.t[d.n++] = (wg_require_grad)((wg_detach)(in.t[i]));
    }
    closure k = { t, t->op, in };
    bool floating;
    wg_list y = wg_list_new(visible_outputs(t, in, &floating)), dx = wg_list_new(d.n);
    wg_generator_set(t->random);
    if (!y.n || !d.n) return;
    if (fused)
        (wg_fuse)(as_closure, &k, sizeof k, all, y);
    else
        (wg_recompute)(as_closure, &k, sizeof k, all, y);
    if (wg_error_code()) return;
    wg_list dy = cotangents(y);
    int64_t n = 0;
    for (int64_t j = 0; j < y.n; j++)
        if (dy.t[j] && y.t[j]->node) {
            y.t[n] = y.t[j];
            dy.t[n++] = dy.t[j];
        }
    y.n = dy.n = n;
    if (n) (wg_grad)(y, d, dy, WG_ALLOW_UNUSED, dx);
    for (int64_t i = 0, j = 0; i < in.n; i++)
        if (wgi_differentiable(t->op, in, i)) got.t[i] = n ? dx.t[j++] : NULL;
    compare_gradients(t, got, want, in, WG_F64, fused ? wgi_length(in) : 1);
}

void wgi_test_gradients(wgi_optest *t)
{
    static const wg_dtype dtypes[] = { WG_F64, WG_F32, WG_BF16, WG_F16 };
    if (!has_gradient(t->op)) return;
    wg_list in = wgi_variant(t->sample->in, 0, t->device, WGI_LAYOUT_PLAIN);
    bool floating;
    visible_outputs(t, in, &floating);
    if (!differentiable(t->op, in).n || !floating) return;
    check_differences(t, false);
    if (t->op->grad || t->op->composite) check_differences(t, true);
    check_fused(t);
    check_accumulation(t);
    check_run_again(t, false);
    if (t->op->flags & WG_OP_ELEMENTWISE) check_run_again(t, true);
    for (int d = 0; d < 4; d++)
        for (int layout = 0; layout < WGI_LAYOUT_COUNT; layout++)
            check_variant(t, dtypes[d], layout);
    t->variant = "";
}
