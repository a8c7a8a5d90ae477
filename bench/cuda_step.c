/* A training step of GPT-2 124M (or another size) on a GPU, and its ops against the device's ceilings, measured in the same
 * run: a large product of random numbers in the step's dtype, and a copy.
 *   cuda_step [--batch 32] [--block 1024] [--steps 20] [--dtype bf16|f16|f32] [--profile ROWS, 30] [--ceiling 8192]
 *             [--layers 12 --heads 12 --width 768 --vocab 50257] [--host N, 0]
 * Steps are timed five windows long, each of --steps / 5 steps with one wait at its end; once as they are and once as a
 * graph. The host's time is that of a step's C code until its last kernel is launched, the device being idle before. The
 * profile waits for every op, so that a short one's time is mostly the wait.
 *   --host N: only the host's time, over N steps, and the memory that they take. That needs no device:
 *     WG_EMULATED_DRY=1 build/tests/emulation/programs/emulated_cuda_step --host 20
 *   has all of the library but the driver's own time for a launch. */
#include <stdio.h>
#include <string.h>

#include "bench.h"

enum { WINDOWS = 5 };

typedef struct {
    int64_t batch, block, steps, layers, heads, width, vocab, profile, ceiling, host;
    wg_dtype dtype;
} options;

static bool parse(int argc, char **argv, options *o)
{
    const count_option counts[] = { { "--batch", &o->batch },
                                    { "--block", &o->block },
                                    { "--steps", &o->steps },
                                    { "--layers", &o->layers },
                                    { "--heads", &o->heads },
                                    { "--width", &o->width },
                                    { "--vocab", &o->vocab },
                                    { "--profile", &o->profile },
                                    { "--ceiling", &o->ceiling },
                                    { "--host", &o->host },
                                    { NULL, NULL } };
    for (int i = 1; i < argc; i += 2)
        if (i + 1 == argc || !(take_count(argv, i, counts) || take_dtype(argv, i, &o->dtype)))
            return false;
    return true;
}

/* ---- ceilings ------------------------------------------------------------------------------------------------------ */
typedef struct {
    double flops, bytes; /* a second */
} ceilings;

/* Median seconds of ten rounds of five calls; fn returns a tensor that the scope holds. */
static double seconds_of(wg_tensor *(*fn)(wg_tensor *), wg_tensor *x)
{
    enum { ROUNDS = 10, CALLS = 5 };
    double s[ROUNDS];
    for (int r = -1; r < ROUNDS; r++) {
        wg_scope inner = wg_scope_push();
        const double start = now();
        for (int c = 0; c < CALLS; c++) fn(x);
        (void)!wg_synchronize(wg_cuda(0));
        if (r >= 0) s[r] = (now() - start) / CALLS;
        (void)!wg_scope_pop(inner);
    }
    return median(s, ROUNDS);
}

static wg_tensor *multiply(wg_tensor *x)
{
    return wg_linear(x, x, NULL);
}

/* Within the device the driver's own. */
static wg_tensor *copy(wg_tensor *x)
{
    wg_tensor *half = wg_narrow(x, 0, 0, wg_size(x, 0) / 2);
    (void)!wg_assign(half, wg_narrow(x, 0, wg_size(x, 0) / 2, wg_size(x, 0) / 2));
    return half;
}

static ceilings measure(const options *o)
{
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    const int64_t n = o->ceiling;
    wg_tensor *x = wg_cast(wg_randn(WG_DIMS(n, n)), o->dtype);
    ceilings c = { .flops = 2 * (double)n * (double)n * (double)n / seconds_of(multiply, x) };
    wg_tensor *y = wg_randn(WG_DIMS(8 * n, n)); /* 2 GB, one half copied to the other */
    c.bytes = 4 * (double)wg_numel(y) / seconds_of(copy, y);
    (void)!wg_scope_pop(s);
    return c;
}

/* ---- the step ------------------------------------------------------------------------------------------------------ */
typedef struct {
    const options *o;
    wg_module *model;
    wg_optim *optimizer;
    wg_scaler *scaler;
    wg_tensor *tokens, *targets, *loss;
} training;

static void step(void *self)
{
    training *t = self;
    wg_scope s = wg_scope_push();
    if (t->o->dtype != WG_F32) wg_use_autocast(t->o->dtype);
    wg_tensor *loss = wg_transformer_loss(t->model, t->tokens, t->targets);
    wg_backward(t->scaler ? wg_scaler_scale(t->scaler, loss) : loss);
    if (t->scaler)
        (void)!wg_scaler_step(t->scaler, t->optimizer, 1.0);
    else
        wg_optim_step_clipped(t->optimizer, 1.0);
    wg_set(&t->loss, loss);
    wg_scope_return(s, NULL);
}

/* Median seconds of a step; 0: an error is pending. */
static double time_steps(training *t, wg_graph *g)
{
    const int64_t each = t->o->steps > WINDOWS ? t->o->steps / WINDOWS : 1;
    double s[WINDOWS];
    for (int w = -1; w < WINDOWS; w++) { /* the first is for warming up */
        const double start = now();
        for (int64_t i = 0; i < (w < 0 ? 3 : each); i++) {
            if (g && wg_graph_run(g, step, t) != WG_OK) return 0;
            if (!g) step(t);
        }
        if (wg_synchronize(wg_cuda(0)) != WG_OK || wg_error_code() != WG_OK) return 0;
        if (w >= 0) s[w] = (now() - start) / (double)each;
    }
    return median(s, WINDOWS);
}

/* Median seconds of a step's C code on an idle device; 0: an error is pending. */
static double time_host(training *t, wg_graph *g, int64_t steps)
{
    enum { MOST = 1000, WARM = 3 };
    double s[MOST];
    if (steps > MOST) steps = MOST;
    for (int64_t i = -WARM; i < steps; i++) {
        if (wg_synchronize(wg_cuda(0)) != WG_OK) return 0;
        const double start = now();
        if (g && wg_graph_run(g, step, t) != WG_OK) return 0;
        if (!g) step(t);
        if (i >= 0) s[i] = now() - start;
    }
    return wg_error_code() == WG_OK ? median(s, steps) : 0;
}

static void print_host(training *t, wg_graph *g, int64_t steps)
{
    wg_memory_reset_peak(wg_cuda(0));
    const double plain = time_host(t, NULL, steps), graph = time_host(t, g, steps);
    const wg_memory m = wg_memory_stats(wg_cuda(0));
    if (wg_error_code() != WG_OK) return;
    printf(
        "host: %.2f ms a step, %.2f ms as a graph of %lld nodes; memory: peak %.2f GB in tensors, "
        "%.2f GB taken from the device\n",
        1e3 * plain, 1e3 * graph, (long long)wg_graph_stats(g).nodes, 1e-9 * (double)m.peak,
        1e-9 * (double)(m.current + m.cached));
}

static double parameters_of(wg_module *m)
{
    const wg_params p = wg_module_params(m);
    double n = 0;
    for (int64_t i = 0; i < p.n; i++) n += (double)wg_numel(p.p[i].tensor);
    return n;
}

static void print_step(const char *how, const training *t, const ceilings *c, double seconds)
{
    if (wg_error_code() != WG_OK) return;
    const options *o = t->o;
    const double tokens = (double)(o->batch * o->block),
                 each = 6 * parameters_of(t->model) + 6 * (double)(o->layers * o->width * o->block);
    printf("%-22s %8.2f ms  %9.0f tokens/s  %6.1f TFLOP/s  %3.0f%% of the product\n", how,
           1e3 * seconds, tokens / seconds, 1e-12 * each * tokens / seconds,
           100 * each * tokens / seconds / c->flops);
}

/* ---- ops ----------------------------------------------------------------------------------------------------------- */
/* A row's ratio: the time that its FLOPs or its bytes take at the ceiling, whichever is more, over its own. */
static void print_profile(const wg_profile *p, const ceilings *c, int64_t most)
{
    printf("%7s %6s %9s %8s %8s %6s  op\n", "ms", "calls", "us each", "TFLOP/s", "GB/s", "ratio");
    for (int64_t i = 0; i < p->n && i < most; i++) {
        const wg_profile_row *r = &p->row[i];
        const double by_flops = r->flops / c->flops, by_bytes = r->bytes / c->bytes;
        printf("%7.3f %6lld %9.1f %8.1f %8.0f %5.0f%%  %s %s\n", 1e3 * r->seconds,
               (long long)r->calls, 1e6 * r->seconds / (double)r->calls,
               1e-12 * r->flops / r->seconds, 1e-9 * r->bytes / r->seconds,
               100 * (by_flops > by_bytes ? by_flops : by_bytes) / r->seconds, r->op, r->shapes);
    }
    printf("%7.3f ms in all ops, %.3f ms between start and end\n", 1e3 * p->kernels,
           1e3 * p->seconds);
}

/* Steps, and what the device makes of them. */
static void measure_steps(training *t, wg_graph *g)
{
    const options *o = t->o;
    const ceilings c = measure(o);
    printf("product %lld^3 %s: %.1f TFLOP/s; copy: %.0f GB/s read and written\n",
           (long long)o->ceiling, wg_dtype_name(o->dtype), 1e-12 * c.flops, 1e-9 * c.bytes);
    print_step("step", t, &c, time_steps(t, NULL));
    print_step("step as a graph", t, &c, time_steps(t, g));
    const wg_graph_counts counts = wg_graph_stats(g);
    if (wg_error_code() == WG_OK)
        printf("graph: %lld launched, %lld made anew; loss %.4f\n", (long long)counts.launched,
               (long long)counts.instantiated, wg_item(t->loss));
    print_host(t, g, o->steps);
    if (wg_error_code() == WG_OK && wg_profile_start(WG_PROFILE_SHAPES) == WG_OK) {
        step(t);
        const wg_profile p = wg_profile_stop();
        print_profile(&p, &c, o->profile);
    }
}

static wg_status run(const options *o)
{
    wg_use_device(wg_cuda(0));
    if (wg_error_code() != WG_OK) return wg_error_code();
    wg_seed(1337);
    wg_transformer_config config =
        wg_gpt2_config(o->layers, o->heads, o->width, o->vocab, o->block);
    training t = { .o = o, .model = wg_transformer_new(&config) };
    t.optimizer = wg_adamw_new(t.model, .lr = 6e-4, .weight_decay = 0.1);
    if (o->dtype == WG_F16) t.scaler = wg_scaler_new(.scale = 65536);
    wg_module_train(t.model, true);
    t.tokens = wg_randint(0, o->vocab, WG_DIMS(o->batch, o->block));
    t.targets = wg_randint(0, o->vocab, WG_DIMS(o->batch, o->block));
    wg_graph *g = wg_graph_new(wg_cuda(0));
    if (o->host)
        print_host(&t, g, o->host);
    else
        measure_steps(&t, g);
    wg_graph_free(g);
    wg_unref(&t.loss);
    wg_scaler_free(t.scaler);
    wg_optim_free(t.optimizer);
    wg_module_free(t.model);
    return wg_error_code();
}

int main(int argc, char **argv)
{
    options o = { .batch = 32,
                  .block = 1024,
                  .steps = 20,
                  .layers = 12,
                  .heads = 12,
                  .width = 768,
                  .vocab = 50257,
                  .profile = 30,
                  .ceiling = 8192,
                  .dtype = WG_BF16 };
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "cuda_step: wrong arguments; see the head of bench/cuda_step.c\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* what was measured is told, whatever comes */
    wg_scope s = wg_scope_push();
    const bool failed = run(&o) != WG_OK;
    if (failed) wg_error_print(stderr);
    (void)!wg_scope_pop(s);
    return failed;
}
