/* index_last: which of repeated indices was the last to write: for index_put's gradient. y[b] = no
 * later b names the same place of a tensor of the attribute's shape; i as index_put's -> y: (B)
 * bool. */
#include "ops/index_set.h"
#include "cuda/cuda.h"

static wg_status infer_last(wg_infer *c)
{
    const wgi_index_back_attr *a = c->attr;
    wg_dims small;
    wg_status s = wgi_indices_shape(c, 0, a->shape.n, &small);
    if (s != WG_OK) return s;
    wg_infer_like(c, 0, c->in.t[0]);
    c->out[0].dtype = WG_BOOL;
    c->out[0].shape = small;
    return WG_OK;
}

static wg_status reference_last(const wg_run *r)
{
    const wgi_index_back_attr *a = r->attr;
    const wg_dims shape = wgi_indices_common(r, 0);
    uint8_t *y = wg_run_out(r, 0);
    for (int64_t b = 0; b < r->out.t[0]->numel; b++) {
        y[b] = 1;
        for (int64_t later = b + 1; later < r->out.t[0]->numel; later++) {
            int64_t at, after;
            wg_status s = wgi_index_place(r, 0, &a->shape, &shape, b, &at);
            if (s == WG_OK) s = wgi_index_place(r, 0, &a->shape, &shape, later, &after);
            if (s != WG_OK) return s;
            if (at == after) y[b] = 0;
        }
    }
    return WG_OK;
}

static void samples_last(wg_samples *s)
{
    const wgi_index_back_attr a = { WG_DIMS(3, 2, 5) };
    wg_tensor *i = wg_randint(-3, 3, WG_DIMS(8));
    wg_sample(s, "one", WG_LIST(i), &a);
    wg_sample(s, "two", WG_LIST(i, wg_randint(0, 2, WG_DIMS(2, 1))), &a);
    wg_sample_error(s, "too many", WG_LIST(i, i, i, i), &a, WG_ESHAPE,
                    "index_last: 4 index tensors for 3 axes");
}

const wg_op wgi_op_index_last = {
    .name = "index_last",
    .in = { "i*" },
    .out = { "y" },
    .attr_size = sizeof(wgi_index_back_attr),
    .flags = WG_OP_GRAD_ZERO,
    .infer = infer_last,
    .cpu = wgi_cpu_index_last,
    .cuda = wgi_cuda_index_last,
    .reference = reference_last,
    .samples = samples_last,
};
