/* One step of Lion on any number of parameters, in place: p = p (1 - lr * decay) - lr * sign(beta1 m + (1 - beta1) g),
 * m = beta2 m + (1 - beta2) g.
 *   factor?, and for each parameter p, g, low?, taken?, m: see update.c. Updates all but g.
 *   source: Chen et al., arXiv:2302.06675, algorithm 2. */
#include "ops/update.h"

#include "wengert/ops.h"
#include "cuda/cuda.h"

static wg_status lion_step_infer(wg_infer *c)
{
    return wgi_update_infer(c, &wgi_op_lion_step);
}

static wg_status lion_step_cpu(const wg_run *r)
{
    return wgi_update_cpu(r, &wgi_op_lion_step, WGI_RULE_LION);
}

static wg_status lion_step_cuda(const wg_run *r)
{
    return wgi_cuda_update(r, &wgi_op_lion_step, WGI_RULE_LION);
}

static void lion_element(const wgi_update_rule *a, const wgi_update_each *e, int64_t t, double g,
                         double *p, double *const *s)
{
    (void)t;
    const double c = a->beta1 * *s[0] + (1 - a->beta1) * g;
    *p -= e->lr * ((c > 0) - (c < 0) + e->weight_decay * *p);
    *s[0] = a->beta2 * *s[0] + (1 - a->beta2) * g;
}

static wg_status lion_step_reference(const wg_run *r)
{
    return wgi_update_reference(r, &wgi_op_lion_step, lion_element);
}

static void lion_step_samples(wg_samples *s)
{
    static const wgi_update_each each[] = { { 1e-2, 0.1, 1 }, { 1e-3, 0, 1 } };
    wg_tensor *p = wg_randn(WG_DIMS(5, 7)), *g = wg_randn(WG_DIMS(5, 7)),
              *m = wg_randn(WG_DIMS(5, 7)), *q = wg_randn(WG_DIMS(3)), *f = wg_full(WG_DIMS(), 0.3);
    wgi_update_attr a = { .rule = { .beta1 = 0.9, .beta2 = 0.99, .decoupled = true },
                          .each = each };
    wg_sample(s, "step", WG_LIST(NULL, p, g, NULL, NULL, m), &a);
    wg_sample(s, "first", WG_LIST(NULL, p, g, NULL, NULL, wg_zeros(WG_DIMS(5, 7))), &a);
    wg_sample(s, "two", WG_LIST(f, p, g, NULL, NULL, m, q, q, wg_zeros(WG_DIMS(3)), NULL, q), &a);
    wg_sample_error(s, "shape", WG_LIST(NULL, p, g, NULL, NULL, wg_randn(WG_DIMS(7))), &a,
                    WG_ESHAPE, "lion_step: m should be (5, 7), is (7)");
}

const wg_op wgi_op_lion_step = {
    .name = "lion_step",
    .in = { "factor?", "p", "g", "low?", "taken?", "m" },
    .repeat = 5,
    .attr_size = sizeof(wgi_update_attr),
    .flags = WG_OP_GRAD_NONE,
    .updates = WGI_UPDATES,
    .infer = lion_step_infer,
    .cpu = lion_step_cpu,
    .cuda = lion_step_cuda,
    .reference = lion_step_reference,
    .samples = lion_step_samples,
};
