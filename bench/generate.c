/* Greedy generation with random weights, beside the machine's own ceilings taken in the same run: a read of memory (a sum
 * over 1 GiB) for decoding, a product of floats for the prompt.
 *
 *     generate tiny|1b [f32|f16|q8_0|q4_0] [THREADS]
 *
 * tiny has stories260K's sizes (64 wide, 5 layers, 8 heads of 8, 4 key-value heads, 512 tokens, 512 positions), 1b
 * TinyLlama's (2048 wide, 22 layers, 32 heads of 64, 4 key-value heads, hidden 5632, 32000 tokens). */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { ROUNDS = 7, PROMPT = 512 };

/* Seconds of one run: the median. */
static double median_of(void (*run)(void *self), void *self)
{
    double seconds[ROUNDS];
    run(self); /* memory, threads */
    for (int i = 0; i < ROUNDS; i++) {
        const double start = now();
        run(self);
        seconds[i] = now() - start;
    }
    return median(seconds, ROUNDS);
}

/* ---- ceilings -------------------------------------------------------------------------------- */

typedef struct {
    wg_tensor *x, *w;
} operands;

static void read_all(void *self)
{
    const wg_scope s = wg_scope_push();
    (void)wg_item(wg_sum(((operands *)self)->x, WG_ALL, false));
    wg_scope_return(s, NULL);
}

static void multiply(void *self)
{
    const operands *o = self;
    const wg_scope s = wg_scope_push();
    wg_linear(o->x, o->w, NULL);
    wg_scope_return(s, NULL);
}

static double bytes_per_second(void)
{
    const wg_scope s = wg_scope_push();
    operands o = { .x = wg_ones(WG_DIMS(256 << 20)) };
    const double rate = 4.0 * (256 << 20) / median_of(read_all, &o);
    wg_scope_return(s, NULL);
    return rate;
}

static double flops_per_second(void)
{
    const wg_scope s = wg_scope_push();
    operands o = { wg_randn(WG_DIMS(PROMPT, 2048)), wg_randn(WG_DIMS(5632, 2048)) };
    const double rate = 2.0 * PROMPT * 2048 * 5632 / median_of(multiply, &o);
    wg_scope_return(s, NULL);
    return rate;
}

/* ---- generation ------------------------------------------------------------------------------ */

typedef struct {
    wg_generation *g;
    int64_t *prompt, n, tokens;
} text;

static void generate(void *self)
{
    const text *t = self;
    wg_generation_reset(t->g);
    wg_generate(t->g, { t->prompt, t->n }, NULL, .max_tokens = t->tokens);
}

/* Every matrix in dtype t, drawn one at a time so that only one is in memory as floats. */
static wg_module *make_model(const wg_transformer_config *c, wg_dtype t)
{
    const wg_scope s = wg_scope_push();
    wg_use_device(wg_meta());
    wg_module *m = wg_transformer_new(c);
    wg_use_device(wg_cpu());
    const wg_params p = wg_module_params(m);
    for (int64_t i = 0; i < p.n; i++) {
        const wg_scope one = wg_scope_push();
        const wg_dims shape = wg_shape(p.p[i].tensor);
        wg_tensor *x = shape.n == 2 ? wg_affine(wg_randn(shape), 0.02, 0) : wg_ones(shape);
        const bool whole = shape.n == 2 && shape.d[1] % wg_dtype_block(t) == 0;
        wg_module_put(m, p.p[i].name, whole && t != WG_F32 ? wg_cast(x, t) : x);
        wg_scope_return(one, NULL);
    }
    wg_module_train(m, false);
    wg_scope_return(s, NULL);
    return m;
}

/* Elements of all matrices but the embedding's, of which a token reads a row. */
static double weights_of(const wg_transformer_config *c)
{
    const double q = (double)(c->heads * c->width / c->heads),
                 kv = (double)(c->kv_heads * (c->width / c->heads)), w = (double)c->width;
    return (double)c->layers * (2 * w * q + 2 * w * kv + 3 * w * (double)c->hidden) +
           w * (double)c->vocab;
}

int main(int argc, char **argv)
{
    const bool big = argc > 1 && strcmp(argv[1], "1b") == 0;
    const wg_dtype types[] = { WG_F32, WG_F16, WG_Q8_0, WG_Q4_0 };
    wg_dtype t = WG_F32;
    for (int i = 0; argc > 2 && i < 4; i++)
        if (strcmp(wg_dtype_name(types[i]), argv[2]) == 0) t = types[i];
    wg_use_threads(argc > 3 ? atoi(argv[3]) : 0);
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_transformer_config c = big ? wg_llama_config(22, 32, 4, 2048, 5632, 32000, 2048)
                                  : wg_llama_config(5, 8, 4, 64, 172, 512, 512);
    c.untied = big;
    c.rope_adjacent = true;
    const double memory = bytes_per_second(), sgemm = flops_per_second();
    if (wg_error_code() != WG_OK) return wg_error_print(stderr);
    wg_module *m = make_model(&c, t);
    wg_generation *g = wg_generation_new(m);
    static int64_t prompt[PROMPT];
    for (int i = 0; i < PROMPT; i++) prompt[i] = 1 + i % 500;
    text one = { g, prompt, 1, big ? 16 : 255 }, many = { g, prompt, big ? PROMPT : 256, 1 };
    const double bytes =
        weights_of(&c) / (double)wg_dtype_block(t) * (double)wg_dtype_block_bytes(t);
    const double decode = (double)one.tokens / median_of(generate, &one);
    const double read = (double)many.n / median_of(generate, &many);
    printf("%s %s, %d threads: %.1f tokens/s, %.1f GB/s of %.1f (%.0f%%); prompt %.0f tokens/s, "
           "%.0f GFLOP/s of %.0f (%.0f%%)\n",
           big ? "1b" : "tiny", wg_dtype_name(t), wg_threads(), decode, 1e-9 * bytes * decode,
           1e-9 * memory, 100 * bytes * decode / memory, read, 2e-9 * weights_of(&c) * read,
           1e-9 * sgemm, 200 * weights_of(&c) * read / sgemm);
    wg_generation_free(g);
    wg_module_free(m);
    return wg_scope_pop(s) == WG_OK ? 0 : wg_error_print(stderr);
}
