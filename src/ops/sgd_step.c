/* One step of stochastic gradient descent, in place: d = g + decay * p; without momentum p -= lr * d, else
 *   m = momentum * m + (1 - dampening) d   (m = d at the first step),
 *   p -= lr * m, or, by Nesterov, p -= lr (d + momentum * m).
 *   p, g, m: (...) floating; 16-bit ones are computed in f32; m NULL without momentum. Updates p and m.
 *   source: Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013, as PyTorch has it. */
#include "ops/update.h"

#include "wengert/ops.h"
#include "cuda/cuda.h"

enum { P, G, M };

static wgi_sgd_numbers numbers_of(const wgi_sgd_attr *a)
{
    return (wgi_sgd_numbers) { .lr = a->lr,
                               .decay = a->weight_decay,
                               .momentum = a->momentum,
                               .undamped = a->first ? 1 : 1 - a->dampening,
                               .nesterov = a->nesterov };
}

static wg_status sgd_step_cpu(const wg_run *r)
{
    const wgi_sgd_numbers k = numbers_of(r->attr);
    const wgi_update_kernels *kernels = WGI_PICK(wgi_update_kernels);
    wgi_update(r, r->in.n > M && r->in.t[M] ? kernels->sgd_momentum : kernels->sgd, &k);
    return WG_OK;
}

static wg_status sgd_step_cuda(const wg_run *r)
{
    const wgi_sgd_numbers k = numbers_of(r->attr);
    return wgi_cuda_sgd(r, &k);
}

static wg_status sgd_step_reference(const wg_run *r)
{
    const wgi_sgd_attr *a = r->attr;
    double *p = wgi_data(r->in.t[P]), *m = r->in.n > M && r->in.t[M] ? wgi_data(r->in.t[M]) : NULL;
    const double *g = wgi_data(r->in.t[G]);
    for (int64_t i = 0; i < r->in.t[P]->numel; i++) {
        double d = g[i] + a->weight_decay * p[i];
        if (m) {
            m[i] = a->first ? d : a->momentum * m[i] + (1 - a->dampening) * d;
            d = a->nesterov ? d + a->momentum * m[i] : m[i];
        }
        p[i] -= a->lr * d;
    }
    return WG_OK;
}

static void sgd_step_samples(wg_samples *s)
{
    wg_tensor *p = wg_randn(WG_DIMS(5, 7)), *g = wg_randn(WG_DIMS(5, 7)),
              *m = wg_randn(WG_DIMS(5, 7));
    wgi_sgd_attr a = { .lr = 0.1, .weight_decay = 0.01 };
    wg_sample(s, "plain", WG_LIST(p, g), &a);
    a.momentum = 0.9;
    a.dampening = 0.3;
    wg_sample(s, "momentum", WG_LIST(p, g, m), &a);
    a.first = true;
    wg_sample(s, "first", WG_LIST(p, g, wg_zeros(WG_DIMS(5, 7))), &a);
    a = (wgi_sgd_attr) { .lr = 0.1, .momentum = 0.9, .nesterov = true };
    wg_sample(s, "Nesterov", WG_LIST(p, g, m), &a);
    wg_sample_error(s, "shape", WG_LIST(p, wg_randn(WG_DIMS(7))), &a, WG_ESHAPE,
                    "sgd_step: g should be (5, 7), is (7)");
}

const wg_op wgi_op_sgd_step = {
    .name = "sgd_step",
    .in = { "p", "g", "m?" },
    .attr_size = sizeof(wgi_sgd_attr),
    .flags = WG_OP_GRAD_NONE,
    .updates = WG_IN(P) | WG_IN(M),
    .infer = wgi_update_infer,
    .cpu = sgd_step_cpu,
    .cuda = sgd_step_cuda,
    .reference = sgd_step_reference,
    .samples = sgd_step_samples,
};
