/* Negative log-likelihood: loss_r = -weight[t_r] x[r, t_r], the class axis being the last.
 *   log_probs x: (..., V) any float; target t: (...) i64 or i32; weight: (V) any float or NULL
 *   -> loss: () for WG_MEAN (divided by the sum of weight[t_r] over the rows that count) and WG_SUM, (...) for WG_NONE;
 *   f64 for f64, else f32. Rows whose target is ignore_index (-100 unless set) do not count; if none does, NaN.
 *   gradient: dx[r, t_r] = -dy_r weight[t_r], zero elsewhere; none into weight.
 *   errors: WG_EINDEX for a target out of range, WG_ESHAPE, WG_EDTYPE, WG_EARG for options. */
#include "ops/class_loss.h"
#include "cuda/cuda.h"

static wg_status expect_classes(const wg_infer *c, int i)
{
    if (!wgi_is_float(c->in.t[i]->dtype)) return WG_OK;
    return wg_raise(WG_EDTYPE, "target should be i64 or i32, is %s",
                    wg_dtype_name((wg_dtype)c->in.t[i]->dtype));
}

static wg_status nll_loss_infer(wg_infer *c)
{
    wg_status s = expect_classes(c, 1);
    if (s != WG_OK) return s;
    s = wgi_class_loss_infer(c, 0, "log_probs");
    if (c->n_out == 2) c->out[1].shape = WG_DIMS(); /* there is no result per row to keep */
    return s;
}

static double weight_of(const wgi_classes *k, int64_t row)
{
    if (!k->weight) return 1;
    const int64_t t = k->target[row];
    return k->type == WG_F64 ? ((const double *)k->weight)[t]
                             : (double)((const float *)k->weight)[t];
}

static void put(void *p, wg_dtype type, int64_t i, double value)
{
    wgi_store((char *)p + i * (int64_t)wg_dtype_size(type), type, value);
}

static char *at_target(const wgi_rows *x, const wgi_classes *k, int64_t row)
{
    return (char *)wgi_row_at(x, row) + k->target[row] * x->step * x->bytes;
}

static wg_status nll_loss_cpu(const wg_run *r)
{
    wgi_classes k;
    wg_tensor *y = r->out.t[0];
    void *loss = NULL;
    wg_status s = wgi_classes_read(r, 0, &k);
    if (s == WG_OK && k.attr->reduction == WG_NONE) loss = wgi_data(y);
    if (s == WG_OK && !loss) s = wgi_row_scratch(r, k.rows, k.type, &loss);
    if (s != WG_OK) return s;
    const wgi_rows x = wgi_rows_along(r->in.t[0], r->in.t[0]->ndim - 1);
    for (int64_t i = 0; i < k.rows; i++) {
        const bool counts = k.target[i] != k.attr->ignore;
        put(loss, k.type, i,
            counts ? -weight_of(&k, i) * wgi_load(at_target(&x, &k, i), (wg_dtype)x.type) : 0);
    }
    wgi_class_reduce(r, &k, loss, 1);
    return WG_OK;
}

static wgi_cuda_class_loss on_cuda(const wgi_class_loss_attr *a)
{
    return (wgi_cuda_class_loss) { a->ignore, a->smoothing, a->reduction, true };
}

static wg_status nll_loss_cuda(const wg_run *r)
{
    const wgi_cuda_class_loss a = on_cuda(r->attr);
    return wgi_cuda_class_loss_forward(r, &a);
}

static wg_status backward_cuda(const wg_run *r)
{
    const wgi_cuda_class_loss a = on_cuda(r->attr);
    return wgi_cuda_class_loss_backward(r, &a);
}

static wg_status backward_infer(wg_infer *c)
{
    const wgi_class_loss_attr *a = c->attr;
    wg_status s = expect_classes(c, 2);
    if (s == WG_OK) s = wgi_class_loss_infer(c, 1, "log_probs");
    if (s != WG_OK) return s;
    wg_infer_like(c, 0, c->in.t[1]);
    wg_dims rows = c->out[0].shape;
    rows.n--;
    s = wg_expect(c, 0, a->reduction == WG_NONE ? rows : WG_DIMS());
    return s == WG_OK ? wg_expect(c, 4, WG_DIMS()) : s;
}

typedef struct {
    const wgi_classes *k;
    wgi_rows dx;
    const void *scale;
    bool accumulate;
} backward;

static void backward_rows(void *self, int64_t first, int64_t last, int64_t strip)
{
    const backward *b = self;
    const wgi_classes *k = b->k;
    const wg_dtype type = (wg_dtype)b->dx.type;
    (void)strip;
    for (int64_t i = first; i < last; i++) {
        char *row = wgi_row_at(&b->dx, i);
        if (!b->accumulate && b->dx.step == 1)
            memset(row, 0, (size_t)(b->dx.n * b->dx.bytes));
        else if (!b->accumulate)
            for (int64_t j = 0; j < b->dx.n; j++)
                wgi_store(row + j * b->dx.step * b->dx.bytes, type, 0);
        if (k->target[i] == k->attr->ignore) continue;
        char *p = at_target(&b->dx, k, i);
        const double g = k->type == WG_F64 ? ((const double *)b->scale)[i]
                                           : (double)((const float *)b->scale)[i];
        wgi_store(p, type, (b->accumulate ? wgi_load(p, type) : 0) - weight_of(k, i) * g);
    }
}

static wg_status backward_cpu(const wg_run *r)
{
    wgi_classes k;
    backward b = { .k = &k, .accumulate = r->accumulate };
    wg_status s = wgi_classes_read(r, 1, &k);
    if (s == WG_OK) s = wgi_class_scale(r, &k, r->in.t[0], r->in.t[4], &b.scale);
    if (s != WG_OK) return s;
    b.dx = wgi_rows_along(r->out.t[0], r->out.t[0]->ndim - 1);
    wgi_row_parallel(k.rows, wgi_row_strips(k.rows, k.classes / 4), backward_rows, &b);
    return WG_OK;
}

/* ---- reference ------------------------------------------------------------------------------------------------ */
static int64_t class_of(const wg_tensor *target, int64_t row)
{
    const wg_dtype t = (wg_dtype)target->dtype;
    return wgi_load_int((const char *)wgi_data(target) + row * (int64_t)wg_dtype_size(t), t);
}

static wg_status nll_loss_reference(const wg_run *r)
{
    const wgi_class_loss_attr *a = r->attr;
    const wg_tensor *target = r->in.t[1];
    const double *x = wg_run_in(r, 0), *w = wg_run_in(r, 2);
    const int64_t classes = r->in.t[0]->shape[r->in.t[0]->ndim - 1];
    double count = 0, *loss = wg_scratch(r, (size_t)(target->numel + 1) * sizeof *loss);
    if (!loss) return WG_EMEM;
    for (int64_t i = 0; i < target->numel; i++) {
        const int64_t t = class_of(target, i);
        loss[i] = 0;
        if (t == a->ignore) continue;
        loss[i] = -(w ? w[t] : 1) * x[i * classes + t];
        count += w ? w[t] : 1;
    }
    if (a->reduction == WG_NONE)
        memcpy(wg_run_out(r, 0), loss, (size_t)target->numel * sizeof *loss);
    wgi_class_reference(r, loss, count, target->numel);
    return WG_OK;
}

static wg_status backward_reference(const wg_run *r)
{
    const wgi_class_loss_attr *a = r->attr;
    const wg_tensor *x = r->in.t[1], *target = r->in.t[2];
    const double *dy = wg_run_in(r, 0), *w = wg_run_in(r, 3), *n = wg_run_in(r, 4);
    double *dx = wg_run_out(r, 0);
    const int64_t classes = x->shape[x->ndim - 1];
    for (int64_t i = 0; i < x->numel; i++) {
        const int64_t row = i / classes, t = class_of(target, row);
        const double g = a->reduction == WG_NONE ? dy[row] : dy[0] / n[0];
        dx[i] = t != a->ignore && t == i % classes ? -g * (w ? w[t] : 1) : 0;
    }
    return WG_OK;
}

/* ---- gradient --------------------------------------------------------------------------------------------------- */
static void nll_loss_composite(void *self, wg_list in, wg_list out)
{
    const wgi_class_loss_attr *a = self;
    wg_tensor *x = wgi_widened(in.t[0]);
    const wgi_class_parts p = wgi_class_parts_of(x, in.t[1], in.n > 2 ? in.t[2] : NULL, a);
    wg_tensor *picked = wg_squeeze(wg_gather(x, -1, wg_unsqueeze(p.safe, -1)), WG_DIMS(-1));
    wg_tensor *rows = wg_masked_fill(wg_neg(wg_mul(picked, p.weight)), p.ignored, 0);
    out.t[0] = wgi_class_reduced(rows, p.weight, a);
}

static void nll_loss_grad_fused(wg_vjp *g)
{
    wg_tensor *weight = g->x.n > 2 ? g->x.t[2] : NULL;
    wg_vjp_apply(g, (int[]) { 0 }, &wgi_op_nll_loss_backward,
                 WG_LIST(g->dy.t[0], g->x.t[0], g->x.t[1], weight, g->y.t[1]), g->attr);
}

/* ---- samples ------------------------------------------------------------------------------------------------------ */
static wg_tensor *targets(void) /* (2, 3), one ignored */
{
    return wg_from((int64_t[]) { 0, 4, 2, -1, 2, 3 }, 6 * sizeof(int64_t), WG_I64, WG_DIMS(2, 3));
}

static void nll_loss_samples(wg_samples *s)
{
    wg_tensor *x = wg_log_softmax(wg_randn(WG_DIMS(2, 3, 5)), -1), *t = targets(), *no = NULL;
    wg_tensor *w = wg_affine(wg_rand(WG_DIMS(5)), 1, 0.5);
    const char *label[] = { "mean", "sum", "none" };
    for (int k = WG_MEAN; k <= WG_NONE; k++) {
        wgi_class_loss_attr a = wgi_class_loss(WG_JUST(-1), 0, (wg_reduction)k);
        wg_sample(s, label[k], WG_LIST(x, t, no), &a);
        wg_sample(s, label[k], WG_LIST(x, wg_cast(t, WG_I32), w), &a);
    }
    wgi_class_loss_attr a = wgi_class_loss((wg_maybe) { 0 }, 0, WG_SUM);
    wg_sample(s, "one row", WG_LIST(wg_randn(WG_DIMS(5)), wg_select(wg_select(t, 0, 0), 0, 1), no),
              &a);
    wg_sample(s, "no rows", WG_LIST(wg_zeros(WG_DIMS(0, 5)), wg_randint(0, 5, WG_DIMS(0)), no), &a);
    wg_sample_error(s, "out of range", WG_LIST(x, t, no), &a, WG_EINDEX,
                    "nll_loss: target[1, 0] is -1, not in [0, 5)");
    wg_sample_error(s, "floating target", WG_LIST(x, x, no), &a, WG_EDTYPE,
                    "nll_loss: target should be i64 or i32");
    wg_sample_error(s, "target's shape", WG_LIST(x, wg_transpose(t, 0, 1), no), &a, WG_ESHAPE,
                    "nll_loss: target should be (2, 3), is (3, 2)");
    a.reduction = (wg_reduction)7;
    wg_sample_error(s, "reduction", WG_LIST(x, t, no), &a, WG_EARG, "nll_loss: reduction 7");
}

static void backward_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 5)), *w = wg_affine(wg_rand(WG_DIMS(5)), 1, 0.5),
              *t = targets();
    wg_tensor *n = wg_full(WG_DIMS(), 4), *no = NULL;
    wgi_class_loss_attr a = wgi_class_loss(WG_JUST(-1), 0, WG_MEAN),
                        b = wgi_class_loss(WG_JUST(-1), 0, WG_NONE);
    wg_sample(s, "mean", WG_LIST(wg_randn(WG_DIMS()), x, t, no, n), &a);
    wg_sample(s, "none", WG_LIST(wg_randn(WG_DIMS(2, 3)), x, t, w, n), &b);
    wg_sample_error(s, "cotangent", WG_LIST(x, x, t, no, n), &a, WG_ESHAPE,
                    "nll_loss_backward: dy should be ()");
}

const wg_op wgi_op_nll_loss = {
    .name = "nll_loss",
    .in = { "log_probs", "target", "weight?" },
    .out = { "loss", "denominator" },
    .attr_size = sizeof(wgi_class_loss_attr),
    .flags = WG_OP_FULL,
    .saves = WG_IN(0) | WG_IN(1) | WG_IN(2) | WG_OUT(1),
    .hidden = WG_OUT(1),
    .no_grad = WG_IN(2),
    .infer = nll_loss_infer,
    .cpu = nll_loss_cpu,
    .cuda = nll_loss_cuda,
    .reference = nll_loss_reference,
    .composite = nll_loss_composite,
    .grad_fused = nll_loss_grad_fused,
    .samples = nll_loss_samples,
};

const wg_op wgi_op_nll_loss_backward = {
    .name = "nll_loss_backward",
    .in = { "dy", "log_probs", "target", "weight?", "denominator" },
    .out = { "dlog_probs" },
    .attr_size = sizeof(wgi_class_loss_attr),
    .flags = WG_OP_GRAD_NONE | WG_OP_ACCUMULATE,
    .infer = backward_infer,
    .cpu = backward_cpu,
    .cuda = backward_cuda,
    .reference = backward_reference,
    .samples = backward_samples,
};

wg_tensor *wg_nll_loss_call(wg_nll_loss_args a)
{
    const wgi_class_loss_attr attr = wgi_class_loss(a.ignore_index, 0, a.reduction);
    return wg_apply(&wgi_op_nll_loss, WG_LIST(a.log_probs, a.target, a.weight), &attr, NULL);
}
