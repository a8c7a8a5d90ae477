/* One training step of GPT-2 124M (or another size): forward, backward, clipping, AdamW. Beside it the machine's own
 * ceiling: a large f32 product's rate in the same run.
 *   gpt2_step [--batch 4] [--block 64] [--steps 7] [--threads N] [--recompute 1] [--bf16 1] [--profile 10] [--layers 12 --heads 12 --width 768 --vocab 50257] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench.h"

typedef struct {
    int64_t batch, block, steps, threads, layers, heads, width, vocab, recompute, profile, bf16;
} options;

static bool parse(int argc, char **argv, options *o)
{
    struct {
        const char *name;
        int64_t *to;
    } table[] = {
        { "--batch", &o->batch },     { "--block", &o->block },   { "--steps", &o->steps },
        { "--threads", &o->threads }, { "--layers", &o->layers }, { "--heads", &o->heads },
        { "--width", &o->width },     { "--vocab", &o->vocab },   { "--recompute", &o->recompute },
        { "--profile", &o->profile }, { "--bf16", &o->bf16 }
    };
    for (int i = 1; i < argc; i += 2) {
        bool known = false;
        for (size_t k = 0; k < sizeof table / sizeof *table; k++)
            if (i + 1 < argc && strcmp(argv[i], table[k].name) == 0) {
                *table[k].to = atoll(argv[i + 1]);
                known = true;
            }
        if (!known) return false;
    }
    return o->steps > 0 && o->steps <= 1000;
}

/* GFLOP/s of a 2304 x 768 x 768 product, the best of twelve. */
static double product_rate(void)
{
    double best = 0;
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_tensor *x = wg_randn(WG_DIMS(2304, 768)), *w = wg_randn(WG_DIMS(768, 768));
    for (int r = 0; r < 12; r++) {
        wg_scope inner = wg_scope_push();
        double t = now();
        wg_linear(x, w, NULL);
        double rate = 2e-9 * 2304 * 768 * 768 / (now() - t);
        if (rate > best) best = rate;
        wg_scope_return(inner, NULL);
    }
    wg_scope_return(s, NULL);
    return best;
}

/* Every decoder block keeps its input only. */
static void recompute_blocks(wg_module *model)
{
    wg_scope s = wg_scope_push();
    wg_modules all = wg_module_all(model);
    for (int64_t i = 0; i < all.n; i++)
        if (wg_module_is(all.m[i].module, &wg_block_type))
            wg_module_recompute(all.m[i].module, true);
    wg_scope_return(s, NULL);
}

/* *kept: bytes that the forward pass leaves for backward. */
static wg_status step(wg_module *model, wg_optim *opt, const options *o, double *loss,
                      int64_t *kept)
{
    wg_scope s = wg_scope_push();
    if (o->bf16) wg_use_autocast(WG_BF16);
    wg_tensor *tokens = wg_randint(0, o->vocab, WG_DIMS(o->batch, o->block)),
              *targets = wg_randint(0, o->vocab, WG_DIMS(o->batch, o->block));
    int64_t before = wg_memory_stats(wg_cpu()).current;
    wg_tensor *l = wg_transformer_loss(model, tokens, targets);
    *kept = wg_memory_stats(wg_cpu()).current - before;
    wg_backward(l);
    wg_optim_step_clipped(opt, 1.0);
    *loss = wg_item(l);
    return wg_scope_pop(s);
}

int main(int argc, char **argv)
{
    options o = {
        .batch = 4, .block = 64, .steps = 7, .layers = 12, .heads = 12, .width = 768, .vocab = 50257
    };
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "gpt2_step: wrong arguments; see the head of bench/gpt2_step.c\n");
        return 2;
    }
    wg_use_threads((int)o.threads);
    wg_seed(1337);
    double rate = product_rate();
    wg_transformer_config c = wg_gpt2_config(o.layers, o.heads, o.width, o.vocab, o.block);
    wg_module *model = wg_transformer_new(&c);
    wg_optim *opt = wg_adamw_new(model, .lr = 6e-4, .weight_decay = 0.1);
    if (o.recompute) recompute_blocks(model);
    int64_t kept = 0;
    double *seconds = malloc((size_t)o.steps * sizeof *seconds), loss = 0, flops = 0;
    wg_scope all = wg_scope_push();
    for (int64_t i = 0; seconds && i < o.steps; i++) {
        if (i == 1 && o.profile && wg_profile_start(WG_PROFILE_SHAPES) != WG_OK)
            return wg_error_print(stderr);
        double t = now(), before = wg_flops();
        if (step(model, opt, &o, &loss, &kept) != WG_OK) return wg_error_print(stderr);
        seconds[i] = now() - t;
        flops = wg_flops() - before;
        printf("step %lld  loss %.4f  %.3f s\n", (long long)i, loss, seconds[i]);
    }
    if (o.profile && o.steps > 1) {
        const wg_profile p = wg_profile_stop();
        wg_profile_print(stdout, &p, o.profile);
    }
    wg_scope_return(all, NULL);
    int64_t first = o.steps > 2 ? 2 : 0, n = o.steps - first; /* the first two fill the caches */
    const double middle = median(seconds + first, n);
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf(
        "median %.3f s a step, %.0f tokens/s; %.1f GFLOP counted: %.0f GFLOP/s, %.0f%% of the product rate %.0f\n",
        middle, (double)(o.batch * o.block) / middle, flops * 1e-9, flops * 1e-9 / middle,
        100 * flops * 1e-9 / middle / rate, rate);
    printf("peak: %.2f GB in tensors, %.2f GB resident; kept for backward: %.3f GB\n",
           (double)wg_memory_stats(wg_cpu()).peak * 1e-9, (double)u.ru_maxrss * 1.024e-6,
           (double)kept * 1e-9);
    free(seconds);
    wg_optim_free(opt);
    wg_module_free(model);
    return 0;
}
