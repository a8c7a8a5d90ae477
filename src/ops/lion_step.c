/* One step of Lion, in place: p = p (1 - lr * decay) - lr * sign(beta1 m + (1 - beta1) g),
 * m = beta2 m + (1 - beta2) g.
 *   p, g, m: (...) floating; 16-bit ones are computed in f32. Updates p and m.
 *   source: Chen et al., arXiv:2302.06675, algorithm 2. */
#include "ops/update.h"

#include "wengert/ops.h"
#include "cuda/cuda.h"

enum { P, G, M };

static wg_status lion_step_cpu(const wg_run *r)
{
    const wgi_lion_attr *a = r->attr;
    const wgi_lion_numbers k = { a->lr, 1 - a->lr * a->weight_decay, a->beta1, a->beta2 };
    wgi_update(r, WGI_PICK(wgi_update_kernels)->lion, &k);
    return WG_OK;
}

static wg_status lion_step_cuda(const wg_run *r)
{
    const wgi_lion_attr *a = r->attr;
    const wgi_lion_numbers k = { a->lr, 1 - a->lr * a->weight_decay, a->beta1, a->beta2 };
    return wgi_cuda_lion(r, &k);
}

static wg_status lion_step_reference(const wg_run *r)
{
    const wgi_lion_attr *a = r->attr;
    double *p = wgi_data(r->in.t[P]), *m = wgi_data(r->in.t[M]);
    const double *g = wgi_data(r->in.t[G]);
    for (int64_t i = 0; i < r->in.t[P]->numel; i++) {
        const double c = a->beta1 * m[i] + (1 - a->beta1) * g[i];
        p[i] -= a->lr * ((c > 0) - (c < 0) + a->weight_decay * p[i]);
        m[i] = a->beta2 * m[i] + (1 - a->beta2) * g[i];
    }
    return WG_OK;
}

static void lion_step_samples(wg_samples *s)
{
    wg_tensor *p = wg_randn(WG_DIMS(5, 7)), *g = wg_randn(WG_DIMS(5, 7)),
              *m = wg_randn(WG_DIMS(5, 7));
    wgi_lion_attr a = { .lr = 1e-2, .beta1 = 0.9, .beta2 = 0.99, .weight_decay = 0.1 };
    wg_sample(s, "step", WG_LIST(p, g, m), &a);
    wg_sample(s, "first", WG_LIST(p, g, wg_zeros(WG_DIMS(5, 7))), &a);
    wg_sample_error(s, "shape", WG_LIST(p, g, wg_randn(WG_DIMS(7))), &a, WG_ESHAPE,
                    "lion_step: m should be (5, 7), is (7)");
}

const wg_op wgi_op_lion_step = {
    .name = "lion_step",
    .in = { "p", "g", "m" },
    .attr_size = sizeof(wgi_lion_attr),
    .flags = WG_OP_GRAD_NONE,
    .updates = WG_IN(P) | WG_IN(M),
    .infer = wgi_update_infer,
    .cpu = lion_step_cpu,
    .cuda = lion_step_cuda,
    .reference = lion_step_reference,
    .samples = lion_step_samples,
};
