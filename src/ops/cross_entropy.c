/* Cross-entropy of classes, the class axis being the last:
 *   loss_r = sum_j b_rj (log sum_k exp(x_rk) - x_rj), b_rj = weight_j (t_rj (1 - e) + e / V), e = label_smoothing,
 *   where t is the one-hot row of a target class, or the row of target probabilities.
 *   logits: (..., V) any float; target: (...) i64 or i32, or (..., V) any float; weight: (V) any float or NULL
 *   -> loss: () for WG_MEAN (divided by the sum of weight[target] over the rows that count; by their number for
 *   probabilities) and WG_SUM, (...) for WG_NONE; f64 if an operand is, else f32.
 *   Rows whose target is ignore_index (-100 unless set) have loss 0 and gradient 0 and do not count in the mean; if none
 *   counts, the mean is 0/0 = NaN, as in PyTorch.
 *   gradient: dx_rj = dy_r (sum(b_r) softmax(x_r)_j - b_rj); into floating targets as well, none into weight; saves the
 *   operands, logsumexp of the rows and the mean's denominator.
 *   errors: WG_EINDEX for a target class out of range, WG_ESHAPE, WG_EDTYPE, WG_EARG for options.
 *   source: label smoothing as Szegedy et al., arXiv:1512.00567, section 7; conventions as PyTorch's but for the axis. */
#include "cpu/cross_entropy.h"

#include <math.h>

#include "ops/class_loss.h"
#include "cuda/cuda.h"

static wg_status cross_entropy_infer(wg_infer *c)
{
    return wgi_class_loss_infer(c, 0, "logits");
}

/* Where row results go: into output j if it has one place a row, else into scratch. */
static wg_status row_place(const wg_run *r, int j, const wgi_classes *k, void **out)
{
    if (r->out.t[j] && r->out.t[j]->numel == k->rows && r->out.t[j]->dtype == k->type) {
        *out = wgi_data(r->out.t[j]);
        if (*out) return WG_OK;
    }
    return wgi_row_scratch(r, k->rows, k->type, out);
}

static void use_classes(wgi_cross_entropy *c, const wgi_classes *k, const wg_tensor *logits,
                        const wg_tensor *target)
{
    c->logits = wgi_rows_along(logits, logits->ndim - 1);
    c->classes = k->classes;
    c->target = k->target;
    c->probs = wgi_rows_along(k->target ? NULL : target, logits->ndim - 1);
    c->weight = k->weight;
    c->ignore = k->attr->ignore;
    c->smoothing = k->attr->smoothing;
}

static wg_status cross_entropy_cpu(const wg_run *r)
{
    wgi_classes k;
    wgi_cross_entropy c = { 0 };
    const bool none = ((const wgi_class_loss_attr *)r->attr)->reduction == WG_NONE;
    wg_status s = wgi_classes_read(r, 0, &k);
    if (s == WG_OK)
        s = none ? row_place(r, 0, &k, &c.loss) : wgi_row_scratch(r, k.rows, k.type, &c.loss);
    if (s == WG_OK) s = row_place(r, 1, &k, &c.lse);
    if (s != WG_OK) return s;
    use_classes(&c, &k, r->in.t[0], r->in.t[1]);
    wgi_cross_entropy_rows(&c, k.type);
    wgi_class_reduce(r, &k, c.loss, 2);
    return WG_OK;
}

static wgi_cuda_class_loss on_cuda(const wgi_class_loss_attr *a)
{
    return (wgi_cuda_class_loss) { a->ignore, a->smoothing, a->reduction, false };
}

static wg_status cross_entropy_cuda(const wg_run *r)
{
    const wgi_cuda_class_loss a = on_cuda(r->attr);
    return wgi_cuda_class_loss_forward(r, &a);
}

static wg_status backward_cuda(const wg_run *r)
{
    const wgi_cuda_class_loss a = on_cuda(r->attr);
    return wgi_cuda_class_loss_backward(r, &a);
}

/* ---- reference: the formula, class by class ------------------------------------------------------------------ */
typedef struct {
    int64_t rows, classes;
    const double *x, *weight;
    const wg_tensor *target;
    const wgi_class_loss_attr *attr;
} operands;

static operands operands_of(const wg_run *r, int first)
{
    const wg_tensor *x = r->in.t[first];
    operands o = { .classes = x->shape[x->ndim - 1],
                   .x = wg_run_in(r, first),
                   .weight = wg_run_in(r, first + 2),
                   .target = r->in.t[first + 1],
                   .attr = r->attr };
    o.rows = 1;
    for (int d = 0; d + 1 < x->ndim; d++) o.rows *= x->shape[d];
    return o;
}

static int64_t class_of(const operands *o, int64_t row)
{
    const char *p = wgi_data(o->target);
    const wg_dtype t = (wg_dtype)o->target->dtype;
    return wgi_is_float(t) ? -1 : wgi_load_int(p + row * (int64_t)wg_dtype_size(t), t);
}

static bool counts(const operands *o, int64_t row)
{
    return wgi_is_float(o->target->dtype) || class_of(o, row) != o->attr->ignore;
}

static double mass(const operands *o, int64_t row, int64_t j)
{
    const double e = o->attr->smoothing, w = o->weight ? o->weight[j] : 1;
    const double t = wgi_is_float(o->target->dtype)
                         ? ((const double *)wgi_data(o->target))[row * o->classes + j]
                         : (double)(class_of(o, row) == j);
    return w * (t * (1 - e) + e / (double)o->classes);
}

static double log_sum_exp(const double *x, int64_t n)
{
    double most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++) most = fmax(most, x[j]);
    for (int64_t j = 0; j < n; j++) sum += exp(x[j] - most);
    return most + log(sum);
}

static wg_status cross_entropy_reference(const wg_run *r)
{
    const operands o = operands_of(r, 0);
    double *lse = wg_run_out(r, 1), count = 0;
    double *loss = wg_scratch(r, (size_t)(o.rows + 1) * sizeof *loss);
    if (!loss) return WG_EMEM;
    for (int64_t i = 0; i < o.rows; i++) {
        loss[i] = 0;
        if (lse) lse[i] = 0;
        if (!counts(&o, i)) continue;
        const double *x = o.x + i * o.classes, l = log_sum_exp(x, o.classes);
        for (int64_t j = 0; j < o.classes; j++)
            if (mass(&o, i, j) != 0) loss[i] += mass(&o, i, j) * (l - x[j]);
        count += class_of(&o, i) >= 0 && o.weight ? o.weight[class_of(&o, i)] : 1;
        if (lse) lse[i] = l;
    }
    if (o.attr->reduction == WG_NONE) memcpy(wg_run_out(r, 0), loss, (size_t)o.rows * sizeof *loss);
    wgi_class_reference(r, loss, count, o.rows);
    return WG_OK;
}

/* ---- composite --------------------------------------------------------------------------------------------------- */
static wg_tensor *of_probabilities(wg_tensor *log_p, wg_tensor *target, wg_tensor *weight,
                                   const wgi_class_loss_attr *a)
{
    const double e = a->smoothing, classes = (double)wg_size(log_p, -1);
    wg_tensor *mass = wg_affine(wgi_widened(target), 1 - e, e / classes);
    if (weight) mass = wg_mul(mass, weight);
    wg_tensor *rows = wg_neg(wg_sum(wg_mul(mass, log_p), WG_DIMS(-1), false));
    return wgi_class_reduced(rows, wg_ones_like(rows), a);
}

static wg_tensor *of_classes(wg_tensor *log_p, wg_tensor *target, wg_tensor *weight,
                             const wgi_class_loss_attr *a)
{
    const double e = a->smoothing, classes = (double)wg_size(log_p, -1);
    const wgi_class_parts p = wgi_class_parts_of(log_p, target, weight, a);
    wg_tensor *picked = wg_squeeze(wg_gather(log_p, -1, wg_unsqueeze(p.safe, -1)), WG_DIMS(-1));
    wg_tensor *rows = wg_affine(wg_mul(picked, p.weight), e - 1, 0);
    if (e > 0) {
        wg_tensor *all = wg_sum(weight ? wg_mul(log_p, weight) : log_p, WG_DIMS(-1), false);
        rows = wg_sub(rows, wg_affine(all, e / classes, 0));
    }
    return wgi_class_reduced(wg_masked_fill(rows, p.ignored, 0), p.weight, a);
}

static void cross_entropy_composite(void *self, wg_list in, wg_list out)
{
    const wgi_class_loss_attr *a = self;
    wg_tensor *target = in.t[1], *weight = in.n > 2 && in.t[2] ? wgi_widened(in.t[2]) : NULL;
    const bool probabilities = wg_dtype_is_float(wg_dtype_of(target));
    wg_tensor *x = wgi_widened(in.t[0]);
    if (probabilities && wg_dtype_of(target) == WG_F64) x = wg_cast(x, WG_F64);
    wg_tensor *log_p = wg_log_softmax(x, -1);
    out.t[0] = probabilities ? of_probabilities(log_p, target, weight, a)
                             : of_classes(log_p, target, weight, a);
}

/* ---- gradient ------------------------------------------------------------------------------------------------------ */
/* d loss / d t_rj = dy_r (1 - e) weight_j (lse_r - x_rj) */
static wg_tensor *target_grad(wg_vjp *g)
{
    const wgi_class_loss_attr *a = g->attr;
    wg_tensor *dy = wg_div(g->dy.t[0], g->y.t[2]);
    if (a->reduction == WG_NONE) dy = wg_unsqueeze(dy, -1);
    wg_tensor *gap = wg_sub(wg_unsqueeze(g->y.t[1], -1), g->x.t[0]);
    if (g->x.n > 2 && g->x.t[2]) gap = wg_mul(gap, g->x.t[2]);
    return wg_affine(wg_mul(dy, gap), 1 - a->smoothing, 0);
}

static void cross_entropy_grad_fused(wg_vjp *g)
{
    wg_tensor *weight = g->x.n > 2 ? g->x.t[2] : NULL;
    if (g->wants[0])
        wg_vjp_apply(g, (int[]) { 0 }, &wgi_op_cross_entropy_backward,
                     WG_LIST(g->dy.t[0], g->x.t[0], g->x.t[1], weight, g->y.t[1], g->y.t[2]),
                     g->attr);
    if (g->wants[1]) g->dx.t[1] = target_grad(g);
}

static wg_status backward_infer(wg_infer *c)
{
    const wgi_class_loss_attr *a = c->attr;
    wg_status s = wgi_class_loss_infer(c, 1, "logits");
    if (s != WG_OK) return s;
    wg_infer_like(c, 0, c->in.t[1]);
    wg_dims rows = c->out[0].shape;
    rows.n--;
    s = wg_expect(c, 0, a->reduction == WG_NONE ? rows : WG_DIMS());
    if (s == WG_OK) s = wg_expect(c, 4, rows);
    return s == WG_OK ? wg_expect(c, 5, WG_DIMS()) : s;
}

static wg_status backward_cpu(const wg_run *r)
{
    wgi_classes k;
    wgi_cross_entropy c = { .accumulate = r->accumulate };
    const void *lse = NULL;
    wg_status s = wgi_classes_read(r, 1, &k);
    if (s == WG_OK) s = wgi_flat(r, r->in.t[4], k.type, &lse);
    if (s == WG_OK) s = wgi_class_scale(r, &k, r->in.t[0], r->in.t[5], &c.scale);
    if (s != WG_OK) return s;
    use_classes(&c, &k, r->in.t[1], r->in.t[2]);
    c.lse = (void *)(uintptr_t)lse;
    c.dlogits = wgi_rows_along(r->out.t[0], r->out.t[0]->ndim - 1);
    wgi_cross_entropy_rows_backward(&c, k.type);
    return WG_OK;
}

static wg_status backward_reference(const wg_run *r)
{
    const operands o = operands_of(r, 1);
    const double *dy = wg_run_in(r, 0), *lse = wg_run_in(r, 4), *denominator = wg_run_in(r, 5);
    double *dx = wg_run_out(r, 0);
    for (int64_t i = 0; i < o.rows; i++) {
        const double g = o.attr->reduction == WG_NONE ? dy[i] : dy[0] / denominator[0];
        double all = 0;
        for (int64_t j = 0; j < o.classes; j++) all += mass(&o, i, j);
        for (int64_t j = 0; j < o.classes; j++) {
            const double p = exp(o.x[i * o.classes + j] - lse[i]);
            dx[i * o.classes + j] = counts(&o, i) ? g * (all * p - mass(&o, i, j)) : 0;
        }
    }
    return WG_OK;
}

/* ---- samples --------------------------------------------------------------------------------------------------------- */
static wg_tensor *targets(void) /* (2, 3), one ignored */
{
    return wg_from((int64_t[]) { 0, 4, 2, -1, 2, 3 }, 6 * sizeof(int64_t), WG_I64, WG_DIMS(2, 3));
}

static void cross_entropy_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 5)), *w = wg_affine(wg_rand(WG_DIMS(5)), 1, 0.5),
              *t = targets();
    wg_tensor *p = wg_softmax(wg_randn(WG_DIMS(2, 3, 5)), -1), *no = NULL;
    const char *label[] = { "mean", "sum", "none" };
    for (int k = WG_MEAN; k <= WG_NONE; k++) {
        const wg_reduction k_th = (wg_reduction)k;
        wgi_class_loss_attr plain = wgi_class_loss(WG_JUST(-1), 0, k_th),
                            smooth = wgi_class_loss(WG_JUST(-1), 0.2, k_th);
        wgi_class_loss_attr dense = wgi_class_loss((wg_maybe) { 0 }, 0, k_th), spread = dense;
        spread.smoothing = 0.3;
        wg_sample(s, label[k], WG_LIST(x, t, no), &plain);
        wg_sample(s, label[k], WG_LIST(x, t, w), &plain);
        wg_sample(s, "smoothed", WG_LIST(x, t, no), &smooth);
        wg_sample(s, "smoothed, weighted", WG_LIST(x, wg_cast(t, WG_I32), w), &smooth);
        wg_sample(s, "probabilities", WG_LIST(x, p, no), &dense);
        wg_sample(s, "probabilities, weighted", WG_LIST(x, p, w), &spread);
    }
    wgi_class_loss_attr a = wgi_class_loss((wg_maybe) { 0 }, 0, WG_MEAN);
    wg_tensor *one = wg_select(wg_select(t, 0, 0), 0, 1);
    wg_sample(s, "one row", WG_LIST(wg_randn(WG_DIMS(5)), one, no), &a);
    wg_sample(s, "tails",
              WG_LIST(wg_affine(x, 20, 0), wg_masked_fill(t, wg_eq(t, wg_scalar(-1)), 1), no), &a);
    a.reduction = WG_SUM;
    wg_sample(s, "no rows", WG_LIST(wg_zeros(WG_DIMS(0, 5)), wg_randint(0, 5, WG_DIMS(0)), no), &a);
}

static void cross_entropy_errors(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 5)), *t = targets(), *no = NULL;
    wgi_class_loss_attr a = wgi_class_loss((wg_maybe) { 0 }, 0, WG_MEAN),
                        b = wgi_class_loss(WG_JUST(-1), 1.5, WG_MEAN);
    wg_sample_error(s, "out of range", WG_LIST(x, t, no), &a, WG_EINDEX,
                    "cross_entropy: target[1, 0] is -1, not in [0, 5)");
    wg_sample_error(s, "smoothing", WG_LIST(x, t, no), &b, WG_EARG,
                    "cross_entropy: label_smoothing 1.5");
    b.smoothing = 0;
    wg_sample_error(s, "ignored probabilities", WG_LIST(x, x, no), &b, WG_EARG,
                    "cross_entropy: ignore_index");
    wg_sample_error(s, "target's shape", WG_LIST(wg_randn(WG_DIMS(3, 2, 5)), t, no), &b, WG_ESHAPE,
                    "cross_entropy: target should be (3, 2), is (2, 3)");
    wg_sample_error(s, "weight's shape", WG_LIST(x, t, wg_ones(WG_DIMS(4))), &b, WG_ESHAPE,
                    "cross_entropy: weight should be (5), is (4)");
    wg_sample_error(s, "bool target", WG_LIST(x, wg_eq(t, t), no), &a, WG_EDTYPE,
                    "cross_entropy: target should be");
    wg_sample_error(s, "integer logits", WG_LIST(t, t, no), &a, WG_EDTYPE,
                    "cross_entropy: logits should be floating");
    wg_sample_error(s, "0-d logits", WG_LIST(wg_randn(WG_DIMS()), t, no), &a, WG_ESHAPE,
                    "cross_entropy: logits should");
}

static void all_samples(wg_samples *s)
{
    cross_entropy_samples(s);
    cross_entropy_errors(s);
}

static void backward_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 5)), *w = wg_affine(wg_rand(WG_DIMS(5)), 1, 0.5),
              *t = targets();
    wg_tensor *lse = wg_logsumexp(x, WG_DIMS(-1), false), *n = wg_full(WG_DIMS(), 4),
              *one = wg_randn(WG_DIMS());
    wg_tensor *p = wg_softmax(wg_randn(WG_DIMS(2, 3, 5)), -1), *no = NULL;
    wgi_class_loss_attr a = wgi_class_loss(WG_JUST(-1), 0, WG_MEAN),
                        b = wgi_class_loss((wg_maybe) { 0 }, 0.2, WG_NONE);
    wg_sample(s, "mean", WG_LIST(one, x, t, no, lse, n), &a);
    wg_sample(s, "weighted", WG_LIST(one, x, t, w, lse, n), &a);
    wg_sample(s, "probabilities", WG_LIST(wg_randn(WG_DIMS(2, 3)), x, p, w, lse, n), &b);
    wg_sample_error(s, "cotangent", WG_LIST(lse, x, t, no, lse, n), &a, WG_ESHAPE,
                    "cross_entropy_backward: dy should be ()");
}

const wg_op wgi_op_cross_entropy = {
    .name = "cross_entropy",
    .in = { "logits", "target", "weight?" },
    .out = { "loss", "lse", "denominator" },
    .attr_size = sizeof(wgi_class_loss_attr),
    .saves = WG_IN(0) | WG_IN(1) | WG_IN(2) | WG_OUT(1) | WG_OUT(2),
    .hidden = WG_OUT(1) | WG_OUT(2),
    .no_grad = WG_IN(2),
    .infer = cross_entropy_infer,
    .cpu = cross_entropy_cpu,
    .cuda = cross_entropy_cuda,
    .reference = cross_entropy_reference,
    .composite = cross_entropy_composite,
    .grad_fused = cross_entropy_grad_fused,
    .samples = all_samples,
};

const wg_op wgi_op_cross_entropy_backward = {
    .name = "cross_entropy_backward",
    .in = { "dy", "logits", "target", "weight?", "lse", "denominator" },
    .out = { "dlogits" },
    .attr_size = sizeof(wgi_class_loss_attr),
    .flags = WG_OP_GRAD_NONE | WG_OP_ACCUMULATE,
    .infer = backward_infer,
    .cpu = backward_cpu,
    .cuda = backward_cuda,
    .reference = backward_reference,
    .samples = backward_samples,
};

wg_tensor *wg_cross_entropy_call(wg_cross_entropy_args a)
{
    const wgi_class_loss_attr attr = wgi_class_loss(a.ignore_index, a.label_smoothing, a.reduction);
    return wg_apply(&wgi_op_cross_entropy, WG_LIST(a.logits, a.target, a.weight), &attr, NULL);
}
