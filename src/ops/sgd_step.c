/* One step of stochastic gradient descent on any number of parameters, in place: d = g + decay * p; without momentum
 * p -= lr * d, else
 *   m = momentum * m + (1 - dampening) d   (m = d at the first step, where m comes as zeros),
 *   p -= lr * m, or, by Nesterov, p -= lr (d + momentum * m).
 *   factor?, and for each parameter p, g, low?, taken?, m?: see update.c; m for all of them or for none. Updates all but g.
 *   source: Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013, as PyTorch has it. */
#include "ops/update.h"

#include "wengert/ops.h"
#include "cuda/cuda.h"

static wgi_rule_kind kind_of(const wg_run *r)
{
    const bool momentum = r->in.n > WGI_GROUP && r->in.t[WGI_GROUP + WGI_STATE];
    return momentum ? WGI_RULE_SGD_MOMENTUM : WGI_RULE_SGD;
}

static wg_status sgd_step_infer(wg_infer *c)
{
    const int size = wgi_op_sgd_step.repeat;
    for (int64_t at = WGI_GROUP + size; at < c->in.n; at += size)
        if (!c->in.t[at + WGI_STATE] != !c->in.t[WGI_GROUP + WGI_STATE])
            return wg_raise(WG_EARG, "m is given for some parameters only");
    return wgi_update_infer(c, &wgi_op_sgd_step);
}

static wg_status sgd_step_cpu(const wg_run *r)
{
    return wgi_update_cpu(r, &wgi_op_sgd_step, kind_of(r));
}

static wg_status sgd_step_cuda(const wg_run *r)
{
    return wgi_cuda_update(r, &wgi_op_sgd_step, kind_of(r));
}

static void sgd_element(const wgi_update_rule *a, const wgi_update_each *e, int64_t t, double g,
                        double *p, double *const *s)
{
    double d = g + e->weight_decay * *p;
    if (s[0]) {
        *s[0] = t == 1 ? d : a->momentum * *s[0] + (1 - a->dampening) * d;
        d = a->nesterov ? d + a->momentum * *s[0] : *s[0];
    }
    *p -= e->lr * d;
}

static wg_status sgd_step_reference(const wg_run *r)
{
    return wgi_update_reference(r, &wgi_op_sgd_step, sgd_element);
}

static void sgd_step_samples(wg_samples *s)
{
    static const wgi_update_each each[] = { { 0.1, 0.01, 2 }, { 0.2, 0, 3 } };
    static const wgi_update_each first[] = { { 0.1, 0.01, 1 }, { 0.1, 0, 1 } };
    wg_tensor *p = wg_randn(WG_DIMS(5, 7)), *g = wg_randn(WG_DIMS(5, 7)),
              *m = wg_randn(WG_DIMS(5, 7)), *q = wg_randn(WG_DIMS(3)), *f = wg_full(WG_DIMS(), 0.3),
              *none = wg_cast(wg_zeros(WG_DIMS()), WG_I64);
    wgi_update_attr a = { .each = each };
    wg_sample(s, "plain", WG_LIST(NULL, p, g, NULL, NULL, NULL), &a);
    wg_sample(s, "two", WG_LIST(f, p, g, NULL, NULL, NULL, q, q, wg_zeros(WG_DIMS(3)), NULL, NULL),
              &a);
    a.rule.momentum = 0.9;
    a.rule.dampening = 0.3;
    wg_sample(s, "momentum", WG_LIST(NULL, p, g, NULL, NULL, m), &a);
    wg_sample(s, "two with momentum", WG_LIST(f, p, g, NULL, NULL, m, q, q, NULL, NULL, q), &a);
    a.each = first;
    wg_sample(s, "first", WG_LIST(NULL, p, g, NULL, NULL, wg_zeros(WG_DIMS(5, 7))), &a);
    a.each = each;
    wg_sample(s, "first counted", WG_LIST(NULL, p, g, NULL, none, wg_zeros(WG_DIMS(5, 7))), &a);
    a.rule = (wgi_update_rule) { .momentum = 0.9, .nesterov = true };
    wg_sample(s, "Nesterov", WG_LIST(NULL, p, g, NULL, NULL, m), &a);
    wg_sample_error(s, "shape", WG_LIST(NULL, p, wg_randn(WG_DIMS(7)), NULL, NULL, NULL), &a,
                    WG_ESHAPE, "sgd_step: g should be (5, 7), is (7)");
    wg_sample_error(s, "some", WG_LIST(NULL, p, g, NULL, NULL, m, q, q, NULL, NULL, NULL), &a,
                    WG_EARG, "sgd_step: m is given for some parameters only");
}

const wg_op wgi_op_sgd_step = {
    .name = "sgd_step",
    .in = { "factor?", "p", "g", "low?", "taken?", "m?" },
    .repeat = 5,
    .attr_size = sizeof(wgi_update_attr),
    .flags = WG_OP_GRAD_NONE,
    .updates = WGI_UPDATES,
    .infer = sgd_step_infer,
    .cpu = sgd_step_cpu,
    .cuda = sgd_step_cuda,
    .reference = sgd_step_reference,
    .samples = sgd_step_samples,
};
