/* One step t of Adam on any number of parameters, in place: with decoupled decay (AdamW) d = g and p is first multiplied
 * by 1 - lr * decay; else d = g + decay * p.
 *   m += (1 - beta1)(d - m),  v = beta2 v + (1 - beta2) d^2,
 *   p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
 *   factor?, and for each parameter p, g, low?, taken?, m, v: see update.c. Updates all but g; no outputs, no gradient.
 *   source: Kingma & Ba, arXiv:1412.6980; Loshchilov & Hutter, arXiv:1711.05101; the order of operations is PyTorch's. */
#include "ops/update.h"

#include <math.h>

#include "wengert/ops.h"
#include "cuda/cuda.h"

static wg_status adam_step_infer(wg_infer *c)
{
    return wgi_update_infer(c, &wgi_op_adam_step);
}

static wg_status adam_step_cpu(const wg_run *r)
{
    return wgi_update_cpu(r, &wgi_op_adam_step, WGI_RULE_ADAM);
}

static wg_status adam_step_cuda(const wg_run *r)
{
    return wgi_cuda_update(r, &wgi_op_adam_step, WGI_RULE_ADAM);
}

static void adam_element(const wgi_update_rule *a, const wgi_update_each *e, int64_t t, double g,
                         double *p, double *const *s)
{
    const double d = a->decoupled ? g : g + e->weight_decay * *p;
    if (a->decoupled) *p -= e->lr * e->weight_decay * *p;
    *s[0] = a->beta1 * *s[0] + (1 - a->beta1) * d;
    *s[1] = a->beta2 * *s[1] + (1 - a->beta2) * d * d;
    const double mean = *s[0] / (1 - pow(a->beta1, (double)t));
    const double square = *s[1] / (1 - pow(a->beta2, (double)t));
    *p -= e->lr * mean / (sqrt(square) + a->eps);
}

static wg_status adam_step_reference(const wg_run *r)
{
    return wgi_update_reference(r, &wgi_op_adam_step, adam_element);
}

/* A parameter with its gradient and moments for each of n shapes; the first one's copy and count may be there. */
static wg_list operands(wg_tensor *factor, wg_tensor *low, wg_tensor *taken, int n,
                        const wg_dims *shape)
{
    wg_list in = wg_list_new(WGI_GROUP + n * wgi_op_adam_step.repeat);
    if (in.n) in.t[WGI_FACTOR] = factor;
    for (int64_t at = WGI_GROUP; at < in.n; at += wgi_op_adam_step.repeat, shape++) {
        in.t[at + WGI_P] = wg_randn(*shape);
        in.t[at + WGI_G] = wg_randn(*shape);
        in.t[at + WGI_LOW] = at == WGI_GROUP ? low : NULL;
        in.t[at + WGI_TAKEN] = at == WGI_GROUP ? taken : NULL;
        in.t[at + WGI_STATE] = wg_randn(*shape);
        in.t[at + WGI_STATE + 1] = wg_square(wg_randn(*shape));
    }
    return in;
}

static void adam_step_errors(wg_samples *s, const wgi_update_attr *a)
{
    wg_tensor *p = wg_randn(WG_DIMS(5, 7)), *g = wg_randn(WG_DIMS(5, 7)),
              *m = wg_zeros(WG_DIMS(5, 7)), *none = wg_zeros(WG_DIMS(0, 3));
    wg_sample_error(s, "shape", WG_LIST(NULL, p, wg_randn(WG_DIMS(7, 5)), NULL, NULL, m, m), a,
                    WG_ESHAPE, "adam_step: g should be (5, 7), is (7, 5)");
    wg_sample_error(s, "second shape",
                    WG_LIST(NULL, p, g, NULL, NULL, m, m, p, g, NULL, NULL, none, m), a, WG_ESHAPE,
                    "adam_step: m should be (5, 7), is (0, 3)");
    wg_sample_error(s, "dtype", WG_LIST(NULL, p, wg_cast(g, WG_I64), NULL, NULL, m, m), a,
                    WG_EDTYPE, "adam_step: operands should be floating");
    wg_sample_error(s, "missing", WG_LIST(NULL, p, NULL, NULL, NULL, m, m), a, WG_EARG,
                    "adam_step: g is NULL");
    wg_sample_error(s, "factor", WG_LIST(g, p, g, NULL, NULL, m, m), a, WG_ESHAPE,
                    "adam_step: factor should be ()");
    wg_sample_error(s, "count", WG_LIST(NULL, p, g, NULL, wg_zeros(WG_DIMS()), m, m), a, WG_EDTYPE,
                    "adam_step: taken should be i64");
    wg_sample_error(s, "group", WG_LIST(NULL, p, g, NULL, NULL, m), a, WG_EARG,
                    "adam_step: takes 1 inputs and groups of 6, got 6");
}

static void adam_step_samples(wg_samples *s)
{
    static const wgi_update_each each[] = { { 1e-2, 0.1, 7 }, { 1e-3, 0, 1 }, { 1e-2, 0.1, 30 } };
    wgi_update_attr a = { .rule = { .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8 }, .each = each };
    const wg_dims shape = WG_DIMS(5, 7), scalar = WG_DIMS(), empty = WG_DIMS(0, 3);
    const wg_dims three[] = { WG_DIMS(3, 70), WG_DIMS(2500), WG_DIMS(5, 7) };
    wg_tensor *f = wg_full(scalar, 0.3), *nan = wg_full(scalar, (double)NAN);
    wg_tensor *low = wg_cast(wg_zeros(three[0]), WG_BF16);
    wg_tensor *count = wg_cast(wg_full(scalar, 4), WG_I64);
    wg_sample(s, "L2", operands(NULL, NULL, NULL, 1, &shape), &a);
    a.rule.decoupled = true;
    wg_sample(s, "decoupled", operands(NULL, NULL, NULL, 1, &shape), &a);
    wg_sample(s, "factor", operands(f, NULL, NULL, 1, &shape), &a);
    wg_sample(s, "0-d", operands(NULL, NULL, NULL, 1, &scalar), &a);
    wg_sample(s, "empty", operands(NULL, NULL, NULL, 1, &empty), &a);
    wg_sample(s, "three", operands(f, low, NULL, 3, three), &a);
    wg_sample(s, "counted", operands(NULL, NULL, count, 1, &shape), &a);
    a.rule.scaled = true;
    wg_sample(s, "scaled", operands(f, low, count, 3, three), &a);
    wg_sample(s, "skipped", operands(nan, low, count, 3, three), &a);
    adam_step_errors(s, &a);
}

const wg_op wgi_op_adam_step = {
    .name = "adam_step",
    .in = { "factor?", "p", "g", "low?", "taken?", "m", "v" },
    .repeat = 6,
    .attr_size = sizeof(wgi_update_attr),
    .flags = WG_OP_GRAD_NONE,
    .updates = WGI_UPDATES,
    .infer = adam_step_infer,
    .cpu = adam_step_cpu,
    .cuda = adam_step_cuda,
    .reference = adam_step_reference,
    .samples = adam_step_samples,
};
