/* One step t of Adam, in place: with decoupled decay (AdamW) d = g and p is first multiplied by 1 - lr * decay; else
 * d = g + decay * p.
 *   m += (1 - beta1)(d - m),  v = beta2 v + (1 - beta2) d^2,
 *   p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
 *   p, g, m, v: (...) floating; 16-bit ones are computed in f32. Updates p, m, v; no outputs, no gradient.
 *   source: Kingma & Ba, arXiv:1412.6980; Loshchilov & Hutter, arXiv:1711.05101; the order of operations is PyTorch's. */
#include "ops/update.h"

#include <math.h>

#include "wengert/ops.h"
#include "cuda/cuda.h"

enum { P, G, M, V };

static wgi_adam_numbers numbers_of(const wgi_adam_attr *a)
{
    return (wgi_adam_numbers) { .keep = a->decoupled ? 1 - a->lr * a->weight_decay : 1,
                                .decay = a->decoupled ? 0 : a->weight_decay,
                                .beta1 = a->beta1,
                                .beta2 = a->beta2,
                                .eps = a->eps,
                                .step_size = a->lr / (1 - pow(a->beta1, (double)a->step)),
                                .root_factor = 1 / sqrt(1 - pow(a->beta2, (double)a->step)) };
}

static wg_status adam_step_cpu(const wg_run *r)
{
    const wgi_adam_numbers k = numbers_of(r->attr);
    wgi_update(r, WGI_PICK(wgi_update_kernels)->adam, &k);
    return WG_OK;
}

static wg_status adam_step_cuda(const wg_run *r)
{
    const wgi_adam_numbers k = numbers_of(r->attr);
    return wgi_cuda_adam(r, &k);
}

static wg_status adam_step_reference(const wg_run *r)
{
    const wgi_adam_attr *a = r->attr;
    double *p = wgi_data(r->in.t[P]), *m = wgi_data(r->in.t[M]), *v = wgi_data(r->in.t[V]);
    const double *g = wgi_data(r->in.t[G]);
    for (int64_t i = 0; i < r->in.t[P]->numel; i++) {
        const double d = a->decoupled ? g[i] : g[i] + a->weight_decay * p[i];
        if (a->decoupled) p[i] -= a->lr * a->weight_decay * p[i];
        m[i] = a->beta1 * m[i] + (1 - a->beta1) * d;
        v[i] = a->beta2 * v[i] + (1 - a->beta2) * d * d;
        const double mean = m[i] / (1 - pow(a->beta1, (double)a->step));
        const double square = v[i] / (1 - pow(a->beta2, (double)a->step));
        p[i] -= a->lr * mean / (sqrt(square) + a->eps);
    }
    return WG_OK;
}

static void adam_step_samples(wg_samples *s)
{
    wg_tensor *p = wg_randn(WG_DIMS(5, 7)), *g = wg_randn(WG_DIMS(5, 7)),
              *m = wg_randn(WG_DIMS(5, 7));
    wg_tensor *v = wg_square(wg_randn(WG_DIMS(5, 7))), *zero = wg_zeros(WG_DIMS(5, 7));
    wgi_adam_attr a = {
        .lr = 1e-2, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.1, .step = 7
    };
    wg_sample(s, "L2", WG_LIST(p, g, m, v), &a);
    a.decoupled = true;
    wg_sample(s, "decoupled", WG_LIST(p, g, m, v), &a);
    a.step = 1;
    wg_sample(s, "first", WG_LIST(p, g, zero, zero), &a);
    wg_sample(
        s, "0-d",
        WG_LIST(wg_randn(WG_DIMS()), wg_randn(WG_DIMS()), wg_zeros(WG_DIMS()), wg_zeros(WG_DIMS())),
        &a);
    wg_tensor *none = wg_zeros(WG_DIMS(0, 3));
    wg_sample(s, "empty", WG_LIST(none, none, none, none), &a);
    wg_sample_error(s, "shape", WG_LIST(p, wg_randn(WG_DIMS(7, 5)), m, v), &a, WG_ESHAPE,
                    "adam_step: g should be (5, 7), is (7, 5)");
    wg_sample_error(s, "dtype", WG_LIST(p, wg_cast(g, WG_I64), m, v), &a, WG_EDTYPE,
                    "adam_step: operands should be floating");
}

const wg_op wgi_op_adam_step = {
    .name = "adam_step",
    .in = { "p", "g", "m", "v" },
    .attr_size = sizeof(wgi_adam_attr),
    .flags = WG_OP_GRAD_NONE,
    .updates = WG_IN(P) | WG_IN(M) | WG_IN(V),
    .infer = wgi_update_infer,
    .cpu = adam_step_cpu,
    .cuda = adam_step_cuda,
    .reference = adam_step_reference,
    .samples = adam_step_samples,
};
