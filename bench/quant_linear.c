/* Linear layers over blocks: one row of x (decoding) in GB/s of weights beside the memory's read
 * bandwidth, many rows (a prompt) in GFLOP/s beside the same product in f32. Weights are read from
 * memory: so many copies of a matrix take turns that no cache holds them.
 *   build/bench/quant_linear [rounds]   medians over the rounds, 5 by default */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { ROUNDS = 31 };
static const size_t memory = (size_t)256 << 20;
static const wg_dtype types[] = { WG_Q4_0, WG_Q8_0, WG_Q4_K, WG_Q6_K };
static const int64_t shapes[][2] = {
    { 2048, 2048 }, { 5632, 2048 }, { 2048, 5632 }, { 32000, 2048 }
};

/* ---- layers ---------------------------------------------------------------------------------- */

/* As many matrices of one type and shape as fit into the memory, side by side. */
typedef struct {
    int64_t n;
    wg_tensor **w;
    size_t bytes; /* of one */
} weights;

static weights fill(char *room, wg_dtype t, const int64_t *shape)
{
    const wg_dtype written = wg_dtype_block(t) == 256 ? WG_Q8_0 : t; /* any bytes will do */
    wg_tensor *x = wg_cast(wg_randn(WG_DIMS(shape[0], shape[1])), written);
    weights a = { .bytes =
                      (size_t)(shape[0] * shape[1] / wg_dtype_block(t)) * wg_dtype_block_bytes(t) };
    a.n = (int64_t)(memory / a.bytes);
    a.w = wg_list_new(a.n).t;
    for (int64_t i = 0; i < a.n && a.w; i++) {
        char *at = room + (size_t)i * a.bytes;
        memcpy(at, wg_data(x), a.bytes);
        a.w[i] = wg_wrap(at, a.bytes, t, WG_DIMS(shape[0], shape[1]), WG_DIMS(), NULL, NULL);
    }
    return a;
}

/* Seconds for x through all of the weights once. */
static double pass(const weights *a, wg_tensor *x)
{
    const double start = now();
    for (int64_t i = 0; i < a->n; i++) {
        wg_scope s = wg_scope_push();
        wg_linear(x, a->w[i], NULL);
        wg_scope_return(s, NULL);
    }
    return now() - start;
}

static void decode(char *room, wg_dtype t, const int64_t *shape, int rounds)
{
    wg_scope s = wg_scope_push();
    double rate[ROUNDS], ratio[ROUNDS];
    const weights a = fill(room, t, shape);
    wg_tensor *x = wg_randn(WG_DIMS(1, shape[1]));
    for (int r = 0; r < rounds && a.n; r++) {
        const double before = read_bandwidth(room, memory), time = pass(&a, x),
                     after = read_bandwidth(room, memory);
        rate[r] = (double)a.n * (double)a.bytes / time;
        ratio[r] = rate[r] / (0.5 * (before + after));
    }
    printf("decode  %-5s (%5" PRId64 ", %4" PRId64
           ")            %6.2f GB/s   %3.0f%% of the bandwidth\n",
           wg_dtype_name(t), shape[0], shape[1], 1e-9 * median(rate, rounds),
           100 * median(ratio, rounds));
    wg_scope_return(s, NULL);
}

static void prompt(char *room, wg_dtype t, const int64_t *shape, int64_t rows, int rounds)
{
    wg_scope s = wg_scope_push();
    double rate[ROUNDS], ratio[ROUNDS];
    weights a = fill(room, t, shape);
    if (a.n) a.n = 1;
    wg_tensor *x = wg_randn(WG_DIMS(rows, shape[1])), *w = wg_cast(a.w[0], WG_F32);
    const weights f = { 1, &w, 0 };
    for (int r = 0; r < rounds; r++) {
        const double before = pass(&f, x), time = pass(&a, x), after = pass(&f, x);
        rate[r] = 2 * (double)rows * (double)shape[0] * (double)shape[1] / time;
        ratio[r] = 0.5 * (before + after) / time;
    }
    printf("rows    %-5s (%5" PRId64 ", %4" PRId64 ") x %4" PRId64
           " rows %6.1f GFLOP/s %3.0f%% of the rate in f32\n",
           wg_dtype_name(t), shape[0], shape[1], rows, 1e-9 * median(rate, rounds),
           100 * median(ratio, rounds));
    wg_scope_return(s, NULL);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 5;
    if (rounds < 1 || rounds > ROUNDS) rounds = 5;
    char *room = aligned_alloc(4096, memory);
    if (!room) return 1;
    memset(room, 1, memory);
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    printf("%d threads, read bandwidth %.2f GB/s\n", wg_threads(),
           1e-9 * read_bandwidth(room, memory));
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
            decode(room, types[t], shapes[k], rounds);
    static const int64_t rows[] = { 8, 32, 128, 512 };
    for (size_t t = 0; t < 2; t++)
        for (size_t n = 0; n < sizeof rows / sizeof *rows; n++)
            for (size_t k = 0; k < 3; k++) prompt(room, types[t], shapes[k], rows[n], rounds);
    const int failed = wg_error_print(stderr);
    (void)!wg_scope_pop(s);
    free(room);
    return failed;
}
