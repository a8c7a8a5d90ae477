/* Tokens per second of greedy generation: a Llama of stories260K's sizes (64 wide, 5 layers, 8 heads of 8, 4 key-value heads,
 * 512 tokens, 512 positions) with random weights, one row, from an empty context to 256 tokens. usage: generate [THREADS] */
#include <stdlib.h>
#include <time.h>
#include <wengert/wengert.h>

enum { TOKENS = 255, ROUNDS = 15 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    wg_use_threads(argc > 1 ? atoi(argv[1]) : 0);
    wg_scope s = wg_scope_push();
    wg_transformer_config c = wg_llama_config(5, 8, 4, 64, 172, 512, 512);
    c.untied = false;
    c.rope_adjacent = true;
    wg_module *m = wg_transformer_new(&c);
    wg_generation *g = wg_generation_new(m);
    double rate[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        wg_generation_reset(g);
        const double start = now();
        wg_generate(g, { (int64_t[]) { 1 }, 1 }, NULL, .max_tokens = TOKENS);
        rate[i] = TOKENS / (now() - start);
    }
    qsort(rate, ROUNDS, sizeof *rate, by_size);
    printf("%d threads: %.0f tokens/s (%.0f to %.0f)\n", wg_threads(), rate[ROUNDS / 2], rate[0], rate[ROUNDS - 1]);
    wg_generation_free(g);
    wg_module_free(m);
    return wg_scope_pop(s) == WG_OK ? 0 : wg_error_print(stderr);
}
