/* The 2-norm of any number of tensors taken together: sqrt(sum of all squares), added in f64 by tiles of 2,048 elements
 * in a fixed order.
 *   g*: (...) floating, of any shapes -> norm () f32, f64 if a tensor is. No gradient. */
#include "ops/update.h"

#include <math.h>

#include "wengert/ops.h"
#include "cuda/cuda.h"

static wg_status grad_norm_infer(wg_infer *c)
{
    c->out[0] = (wg_spec) { .dtype = WG_F32, .device = wg_current_device(), .shape = WG_DIMS() };
    for (int64_t i = 0; i < c->in.n; i++) {
        const wg_tensor *g = c->in.t[i];
        if (!wgi_is_float(g->dtype)) return wg_raise(WG_EDTYPE, "operands should be floating");
        if (g->dtype == WG_F64) c->out[0].dtype = WG_F64;
        c->out[0].device = g->device;
    }
    return WG_OK;
}

/* A job for each tensor, whose tiles' sums go to its own part of sums. Returns the number of tiles. */
static int64_t plan(const wg_run *r, wgi_tile_job *jobs)
{
    int64_t tiles = 0;
    for (int64_t i = 0; i < r->in.n; i++) {
        wgi_tiles *t = &jobs[i].tiles;
        wgi_tiles_make(t, wgi_shape(r->in.t[i]), 1, &r->in.t[i]);
        jobs[i].body = WGI_PICK(wgi_update_kernels)->squares[t->type[0] == WG_F64];
        tiles += t->tiles;
    }
    return tiles;
}

static wg_status grad_norm_cpu(const wg_run *r)
{
    const int64_t n = r->in.n;
    wgi_tile_job *jobs = wg_scratch(r, (size_t)(n + 1) * sizeof *jobs);
    if (!jobs) return WG_EMEM;
    const int64_t tiles = plan(r, jobs);
    double *sums = wg_scratch(r, (size_t)(tiles + 1) * sizeof *sums), *to = sums, total = 0;
    if (!sums) return WG_EMEM;
    memset(sums, 0, (size_t)tiles * sizeof *sums);
    for (int64_t i = 0; i < n; i++) {
        jobs[i].self = to;
        to += jobs[i].tiles.tiles;
    }
    wgi_tiles_run_jobs(jobs, n, WGI_UPDATE_GRAIN);
    for (int64_t k = 0; k < tiles; k++) total += sums[k];
    wgi_store(wgi_data(r->out.t[0]), (wg_dtype)r->out.t[0]->dtype, sqrt(total));
    return WG_OK;
}

static wg_status grad_norm_reference(const wg_run *r)
{
    double total = 0;
    for (int64_t i = 0; i < r->in.n; i++)
        for (int64_t k = 0; r->in.t[i] && k < r->in.t[i]->numel; k++)
            total += ((const double *)wgi_data(r->in.t[i]))[k] *
                     ((const double *)wgi_data(r->in.t[i]))[k];
    *(double *)wgi_data(r->out.t[0]) = sqrt(total);
    return WG_OK;
}

static double grad_norm_flops(const wg_infer *c)
{
    double n = 0;
    for (int64_t i = 0; i < c->in.n; i++) n += c->in.t[i] ? 2 * (double)c->in.t[i]->numel : 0;
    return n;
}

static void grad_norm_samples(wg_samples *s)
{
    wg_tensor *a = wg_randn(WG_DIMS(3, 5)), *b = wg_randn(WG_DIMS(4)), *c = wg_randn(WG_DIMS());
    wg_sample(s, "one", WG_LIST(a), NULL);
    wg_sample(s, "three", WG_LIST(a, b, c), NULL);
    wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(0)), b), NULL);
    wg_sample(s, "ten", WG_LIST(a, b, c, a, b, c, a, b, c, a), NULL);
    wg_sample_error(s, "dtype", WG_LIST(a, wg_cast(b, WG_I64)), NULL, WG_EDTYPE,
                    "grad_norm: operands should be floating");
}

const wg_op wgi_op_grad_norm = {
    .name = "grad_norm",
    .in = { "g*" },
    .out = { "norm" },
    .flags = WG_OP_GRAD_NONE | WG_OP_CONTIGUOUS,
    .infer = grad_norm_infer,
    .cpu = grad_norm_cpu,
    .cuda = wgi_cuda_grad_norm,
    .reference = grad_norm_reference,
    .flops = grad_norm_flops,
    .samples = grad_norm_samples,
};
