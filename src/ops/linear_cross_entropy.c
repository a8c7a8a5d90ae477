/* Cross-entropy of a linear layer's outputs, logits = x w^T + bias, with the logits of a few rows at a time: the whole
 * (N, V) never stands in memory, in either direction.
 *   loss_r = sum_j b_rj (lse_r - logits_rj), b_rj = (1 - e) [j = target_r] + e / V, e = label_smoothing
 *   x (..., C), w (V, C), bias (V) or NULL: floating; target (...): i64 or i32
 *   -> loss: () for WG_MEAN (over the rows that are not ignored) and WG_SUM, (...) for WG_NONE; f64 if an operand is, else
 *   f32. hidden: lse (...), the log of the sum of exp of a row's logits; the mean's denominator; on CUDA, where the loss is
 *   reduced and no operand is f64, the gradients of the rows' sum: dx, dw (f32) and dbias (f32).
 *   gradient: x, w, bias. From those sums, times dy over the denominator; else the logits of a chunk are computed again.
 *   On CUDA logits, and dlogits in their place, have the dtype of x and w where that is one of 16 bits, as under PyTorch's
 *   autocast; maxima, sums and losses are f32. source: Hsu et al., arXiv:2410.10989, section 3.2. */
#include "ops/linear_cross_entropy.h"
#include "cpu/parallel.h"
#include "cuda/cuda.h"

#include <math.h>

enum { X, W, TARGET, BIAS };

/* Output j: the f32 gradient of t, or nothing if t wants none. */
static void infer_gradient(wg_infer *c, int j, const wg_tensor *t, wg_dtype type)
{
    wg_infer_like(c, j, t);
    c->out[j].dtype = type;
    if (!t->node) c->out[j].shape = WG_DIMS(0);
}

/* The kernel makes the gradients while it has the logits. dx has x's dtype, but f32 for f16, whose small numbers a loss
 * scale in dy could not bring back. */
static wg_status infer_gradients(wg_infer *c, const wg_tensor *bias)
{
    const wgi_linear_loss_attr *attr = c->attr;
    const wg_tensor *x = c->in.t[X];
    if (x->device.kind != WG_CUDA || attr->loss.reduction == WG_NONE || c->out[0].dtype == WG_F64)
        return wg_infer_outputs(c, WGI_LINEAR_LOSS_DX);
    infer_gradient(c, WGI_LINEAR_LOSS_DX, x, x->dtype == WG_F16 ? WG_F32 : (wg_dtype)x->dtype);
    infer_gradient(c, WGI_LINEAR_LOSS_DW, c->in.t[W], WG_F32);
    if (!bias) return wg_infer_outputs(c, WGI_LINEAR_LOSS_DBIAS);
    infer_gradient(c, WGI_LINEAR_LOSS_DBIAS, bias, WG_F32);
    return WG_OK;
}

static wg_status linear_cross_entropy_infer(wg_infer *c)
{
    const wgi_linear_loss_attr *attr = c->attr;
    const wg_tensor *bias = c->in.n > BIAS ? c->in.t[BIAS] : NULL;
    wg_status s = wgi_linear_loss_check(c, bias);
    if (s != WG_OK) return s;
    for (int i = 0; i < 3; i++) {
        wg_infer_like(c, i, c->in.t[TARGET]);
        c->out[i].dtype = wgi_linear_loss_dtype(c->in.t[X], c->in.t[W], bias);
        if (i == 2 || (i == 0 && attr->loss.reduction != WG_NONE)) c->out[i].shape = WG_DIMS();
    }
    return infer_gradients(c, bias);
}

/* A chunk of rows on its way through the forward pass: what every strip of classes gives them. */
typedef struct {
    const wgi_linear_loss *l;
    int64_t first, n, strips;
    wgi_loss_part *parts; /* (strips, n) */
    void *loss, *lse;     /* (N) real */
} chunk;

static void take_part(void *self, const wgi_cross_entropy *tile, const wgi_logits *at)
{
    const chunk *k = self;
    wgi_cross_entropy part = *tile;
    part.parts = k->parts + at->from / WGI_LOGITS_STRIP * k->n + at->first - k->first;
    wgi_cross_entropy_part(&part, k->l->classes.type);
}

static void join_rows(void *self, int64_t first, int64_t last)
{
    const chunk *k = self;
    const wgi_linear_loss *l = k->l;
    for (int64_t i = first; i < last; i++) {
        const int64_t row = k->first + i;
        wgi_loss_part all = WGI_NO_LOSS_PART;
        for (int64_t s = 0; s < k->strips; s++) all = wgi_loss_join(all, k->parts[s * k->n + i]);
        const bool counts = l->classes.target[row] != l->attr->loss.ignore;
        const wgi_row_loss e = counts ? wgi_loss_of(all) : (wgi_row_loss) { 0 };
        wgi_store(wgi_linear_loss_at(l, k->loss, row), l->classes.type, e.loss);
        wgi_store(wgi_linear_loss_at(l, k->lse, row), l->classes.type, e.lse);
    }
}

enum { JOIN_GRAIN = 64 };

static wg_status rows_forward(const wg_run *r, const wgi_linear_loss *l, void *loss, void *lse)
{
    chunk k = { .l = l, .strips = wgi_logits_strips(l->classes.classes), .loss = loss, .lse = lse };
    k.parts = wg_scratch(r, (size_t)(k.strips * l->rows) * sizeof *k.parts);
    if (!k.parts) return WG_EMEM;
    for (; k.first < l->classes.rows; k.first += l->rows) {
        const int64_t left = l->classes.rows - k.first;
        k.n = left < l->rows ? left : l->rows;
        const wgi_logits all = { k.first, k.n, 0, l->classes.classes };
        const wg_status s = wgi_linear_loss_tiles(l, &all, take_part, &k);
        if (s != WG_OK) return s;
        wgi_parallel_for(k.n, JOIN_GRAIN, join_rows, &k);
    }
    return WG_OK;
}

static wg_status linear_cross_entropy_cpu(const wg_run *r)
{
    wgi_linear_loss l;
    wg_status s = wgi_linear_loss_begin(r, r->in.n > BIAS ? r->in.t[BIAS] : NULL, &l);
    void *loss = l.attr->loss.reduction == WG_NONE ? wg_run_out(r, 0) : NULL,
         *lse = wg_run_out(r, 1);
    if (s == WG_OK && !loss) s = wgi_row_scratch(r, l.classes.rows, l.classes.type, &loss);
    if (s == WG_OK && !lse) s = wgi_row_scratch(r, l.classes.rows, l.classes.type, &lse);
    if (s == WG_OK) s = rows_forward(r, &l, loss, lse);
    if (s == WG_OK) wgi_class_reduce(r, &l.classes, loss, 2);
    return s;
}

static wg_status linear_cross_entropy_cuda(const wg_run *r)
{
    const wgi_linear_loss_attr *attr = r->attr;
    const wgi_cuda_class_loss a = { attr->loss.ignore, attr->loss.smoothing, attr->loss.reduction,
                                    false };
    return wgi_cuda_linear_loss(r, &a, attr->chunk, r->in.n > BIAS ? r->in.t[BIAS] : NULL);
}

static wg_status linear_cross_entropy_reference(const wg_run *r)
{
    const wgi_linear_loss_attr *attr = r->attr;
    const wg_tensor *target = r->in.t[TARGET];
    const double *x = wg_run_in(r, X), *w = wg_run_in(r, W), *bias = wg_run_in(r, BIAS),
                 e = attr->loss.smoothing;
    const int64_t c = r->in.t[W]->shape[1], v = r->in.t[W]->shape[0], rows = target->numel;
    double *lse = wg_run_out(r, 1), *loss = wg_scratch(r, (size_t)(rows + v + 1) * sizeof(double)),
           count = 0;
    if (!loss) return WG_EMEM;
    double *logit = loss + rows;
    for (int64_t i = 0; i < rows; i++) {
        const wg_dtype type = (wg_dtype)target->dtype;
        const int64_t t =
            wgi_load_int((const char *)wgi_data(target) + (size_t)i * wg_dtype_size(type), type);
        double top = -INFINITY, sum = 0;
        loss[i] = 0;
        if (lse) lse[i] = 0;
        if (t == attr->loss.ignore) continue;
        for (int64_t j = 0; j < v; j++) {
            logit[j] = bias ? bias[j] : 0;
            for (int64_t l = 0; l < c; l++) logit[j] += x[i * c + l] * w[j * c + l];
            top = fmax(top, logit[j]);
        }
        for (int64_t j = 0; j < v; j++) sum += exp(logit[j] - top);
        for (int64_t j = 0; j < v; j++)
            loss[i] += ((t == j ? 1 - e : 0) + e / (double)v) * (top + log(sum) - logit[j]);
        if (lse) lse[i] = top + log(sum);
        count++;
    }
    if (attr->loss.reduction == WG_NONE && rows)
        memcpy(wg_run_out(r, 0), loss, (size_t)rows * sizeof *loss);
    wgi_class_reference(r, loss, count, rows);
    return WG_OK;
}

static void linear_cross_entropy_composite(void *self, wg_list in, wg_list out)
{
    const wgi_linear_loss_attr *attr = self;
    out.t[0] = wg_cross_entropy_call((wg_cross_entropy_args) {
        .logits = wg_linear(wgi_widened(in.t[X]), wgi_widened(in.t[W]),
                            in.n > BIAS && in.t[BIAS] ? wgi_widened(in.t[BIAS]) : NULL),
        .target = in.t[TARGET],
        .ignore_index = WG_JUST(attr->loss.ignore),
        .label_smoothing = attr->loss.smoothing,
        .reduction = attr->loss.reduction });
}

/* The gradients that the forward pass has made, times dy over the denominator; of a mean over no rows they are zeros. */
static void scale_gradients(wg_vjp *g)
{
    static const int to[] = { X, W, BIAS };
    wg_tensor *scale = wg_div(g->dy.t[0], wg_maximum(g->y.t[2], wg_scalar(1)));
    for (int j = 0; j + WGI_LINEAR_LOSS_DX < g->y.n; j++) {
        if (!g->wants[to[j]]) continue;
        wg_vjp_apply(g, &to[j], &wgi_op_mul, WG_LIST(g->y.t[WGI_LINEAR_LOSS_DX + j], scale), NULL);
    }
}

static void linear_cross_entropy_grad_fused(wg_vjp *g)
{
    static const int to[] = { X, W, BIAS };
    wg_tensor *bias = g->x.n > BIAS ? g->x.t[BIAS] : NULL;
    if (g->y.n > WGI_LINEAR_LOSS_DX) {
        scale_gradients(g);
        return;
    }
    wg_vjp_apply(
        g, to,
        bias ? &wgi_op_linear_cross_entropy_backward_bias : &wgi_op_linear_cross_entropy_backward,
        WG_LIST(g->x.t[X], g->x.t[W], g->x.t[TARGET], g->y.t[1], g->y.t[2], g->dy.t[0], bias),
        g->attr);
}

/* The logits, and the gradients that are made with them. */
static double linear_cross_entropy_flops(const wg_infer *c)
{
    int products = 1;
    for (int j = WGI_LINEAR_LOSS_DX; j <= WGI_LINEAR_LOSS_DW && j < c->n_out; j++)
        if (wg_grad_is_on() && wgi_numel(&c->out[j].shape) > 0) products++;
    return products * 2 * (double)c->in.t[X]->numel * (double)c->in.t[W]->shape[0];
}

/* ---- samples ------------------------------------------------------------------------------------------------------ */
static void linear_cross_entropy_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4)), *w = wg_randn(WG_DIMS(5, 4)),
              *bias = wg_randn(WG_DIMS(5));
    wg_tensor *t =
        wg_from((int64_t[]) { 0, 4, 2, -1, 2, 3 }, 6 * sizeof(int64_t), WG_I64, WG_DIMS(2, 3));
    static const char *const label[] = { "mean", "sum", "none" };
    for (int k = WG_MEAN; k <= WG_NONE; k++) {
        wgi_linear_loss_attr a = { wgi_class_loss(WG_JUST(-1), 0, (wg_reduction)k), 0 };
        wg_sample(s, label[k], WG_LIST(x, w, t, (wg_tensor *)NULL), &a);
        a.chunk = 1;
        wg_sample(s, "rows, bias", WG_LIST(x, w, t, bias), &a);
        a.chunk = 4;
        a.loss.smoothing = 0.2;
        wg_sample(s, "chunks, bias, smoothed", WG_LIST(x, w, wg_cast(t, WG_I32), bias), &a);
    }
    wgi_linear_loss_attr a = { wgi_class_loss((wg_maybe) { 0 }, 0, WG_MEAN), 0 };
    wg_tensor *row = wg_select(wg_select(x, 0, 0), 0, 1),
              *one = wg_select(wg_select(t, 0, 0), 0, 1);
    wg_sample(s, "one row", WG_LIST(row, w, one), &a);
    a.loss.reduction = WG_SUM;
    wg_sample(s, "no rows", WG_LIST(wg_randn(WG_DIMS(0, 4)), w, wg_randint(0, 5, WG_DIMS(0))), &a);
    wg_sample_error(s, "out of range", WG_LIST(x, w, t), &a, WG_EINDEX,
                    "linear_cross_entropy: target[1, 0] is -1, not in [0, 5)");
    wg_sample_error(s, "width", WG_LIST(x, wg_randn(WG_DIMS(5, 3)), t), &a, WG_ESHAPE,
                    "linear_cross_entropy: x should be (..., C) and w (V, C)");
    wg_sample_error(s, "target", WG_LIST(row, w, t), &a, WG_ESHAPE,
                    "linear_cross_entropy: target should be ()");
    wg_sample_error(s, "bias", WG_LIST(x, w, t, row), &a, WG_ESHAPE,
                    "linear_cross_entropy: bias should be (5)");
    wg_sample_error(s, "floating target", WG_LIST(x, w, wg_randn(WG_DIMS(2, 3))), &a, WG_EDTYPE,
                    "linear_cross_entropy: target should be i64 or i32");
    wg_sample_error(s, "integer x", WG_LIST(wg_cast(x, WG_I64), w, t), &a, WG_EDTYPE,
                    "linear_cross_entropy: x, w and bias should be floating");
    a.loss.smoothing = -0.5;
    wg_sample_error(s, "smoothing", WG_LIST(x, w, t), &a, WG_EARG,
                    "linear_cross_entropy: label_smoothing -0.5");
    a.loss.smoothing = 0;
    a.chunk = -1;
    wg_sample_error(s, "chunk", WG_LIST(x, w, t), &a, WG_EARG,
                    "linear_cross_entropy: chunk -1 is negative");
}

const wg_op wgi_op_linear_cross_entropy = {
    .name = "linear_cross_entropy",
    .in = { "x", "w", "target", "bias?" },
    .out = { "loss", "lse", "denominator", "dx", "dw", "dbias" },
    .attr_size = sizeof(wgi_linear_loss_attr),
    .flags = WG_OP_LOW | WG_OP_CONTIGUOUS,
    .saves = WG_IN(X) | WG_IN(W) | WG_IN(TARGET) | WG_IN(BIAS) | WG_OUT(1) | WG_OUT(2) |
             WG_OUT(WGI_LINEAR_LOSS_DX) | WG_OUT(WGI_LINEAR_LOSS_DW) |
             WG_OUT(WGI_LINEAR_LOSS_DBIAS),
    .hidden = WG_OUT(1) | WG_OUT(2) | WG_OUT(WGI_LINEAR_LOSS_DX) | WG_OUT(WGI_LINEAR_LOSS_DW) |
              WG_OUT(WGI_LINEAR_LOSS_DBIAS),
    .infer = linear_cross_entropy_infer,
    .cpu = linear_cross_entropy_cpu,
    .cuda = linear_cross_entropy_cuda,
    .reference = linear_cross_entropy_reference,
    .composite = linear_cross_entropy_composite,
    .grad_fused = linear_cross_entropy_grad_fused,
    .flops = linear_cross_entropy_flops,
    .samples = linear_cross_entropy_samples,
};

wg_tensor *wg_linear_cross_entropy_call(wg_linear_cross_entropy_args a)
{
    wgi_linear_loss_attr attr = { wgi_class_loss(a.ignore_index, a.label_smoothing, a.reduction),
                                  a.chunk };
    if (!wgi_bad(a.w) && wgi_in_blocks(a.w->dtype) && !wgi_bad(a.x)) {
        wg_tensor *loss;
        linear_cross_entropy_composite(&attr, WG_LIST(a.x, a.w, a.target, a.bias),
                                       (wg_list) { 1, &loss });
        return loss;
    }
    return wg_apply(&wgi_op_linear_cross_entropy, WG_LIST(a.x, a.w, a.target, a.bias), &attr, NULL);
}
