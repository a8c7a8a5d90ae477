/* Attention's rate, causal, 12 or 6 heads of 64 or 128 and about 32,768 tokens a call: TFLOP/s of
 * the pairs that take part, two products of them forward and five backward, for lengths from 512
 * on. With --queries, as text is generated: the last queries of each sequence, 32 heads on 8 of keys, for 1 and 16 sequences:
 * GB/s of the keys and values.
 *   attention [--device cuda] [--dtype bf16] [--longest 16384] [--repeats 10] [--tokens 32768] [--queries 1] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

typedef struct {
    wg_device device;
    wg_dtype dtype;
    int64_t longest, repeats, tokens, queries;
} options;

/* (B, H, T, D), seen through (B, T, H, D), as a model's projection gives it. */
static wg_tensor *operand(const options *o, int64_t b, int64_t h, int64_t t, int64_t d)
{
    wg_tensor *x = wg_cast(wg_randn(WG_DIMS(b, t, h, d)), o->dtype);
    return wg_require_grad(wg_detach(wg_transpose(x, 1, 2)));
}

enum { CALLS = 4 };

/* Seconds of a call, of CALLS with one wait at their end; with_gradient: forward and backward. */
static double seconds(const options *o, wg_tensor **x, wg_tensor *dy, bool with_gradient)
{
    wg_scope s = wg_scope_push();
    (void)!wg_synchronize(o->device);
    const double start = now();
    for (int c = 0; c < CALLS; c++) {
        wg_scope call = wg_scope_push();
        wg_tensor *y = wg_sdpa(x[0], x[1], x[2], .is_causal = true), *dx[3];
        if (with_gradient)
            (void)!wg_grad(WG_LIST(y), (wg_list) { 3, x }, WG_LIST(dy), 0, (wg_list) { 3, dx });
        (void)!wg_scope_pop(call);
    }
    (void)!wg_synchronize(o->device);
    const double taken = (now() - start) / CALLS;
    (void)!wg_scope_pop(s);
    return taken;
}

/* One length and head size: prints a line. Backward is what forward and backward take longer than forward. */
static wg_status measure(const options *o, int64_t t, int64_t d)
{
    const int64_t heads = 768 / d, batch = o->tokens > t ? o->tokens / t : 1;
    double forward[1000] = { 0 }, both[1000] = { 0 };
    wg_scope all = wg_scope_push();
    wg_tensor *x[3];
    for (int i = 0; i < 3; i++) x[i] = operand(o, batch, heads, t, d);
    wg_tensor *dy = wg_cast(wg_randn(WG_DIMS(batch, heads, t, d)), o->dtype);
    for (int64_t r = -1; r < o->repeats && !wg_error_get(); r++) { /* one to warm up */
        const double f = seconds(o, x, dy, false), fb = seconds(o, x, dy, true);
        if (r < 0) continue;
        forward[r] = f;
        both[r] = fb;
    }
    const double f = median(forward, o->repeats), b = median(both, o->repeats) - f,
                 pairs = (double)(batch * heads) * (double)t * (double)(t + 1) / 2;
    if (!wg_error_get())
        printf("%6lld %4lld %4lld %4lld %10.0f %8.1f %10.0f %8.1f\n", (long long)t, (long long)d,
               (long long)batch, (long long)heads, 1e6 * f, 4e-12 * pairs * (double)d / f, 1e6 * b,
               10e-12 * pairs * (double)d / b);
    return wg_scope_pop(all);
}

/* The last queries of `batch` sequences, for as many caches in turn as no device's own cache holds: prints a line. */
static wg_status measure_sequences(const options *o, int64_t t, int64_t d, int64_t batch)
{
    enum { HEADS = 32, KV = 8, MOST = 64 };
    const double bytes =
        2.0 * (double)(batch * KV * t * d) * (double)wg_dtype_size(o->dtype); /* of one */
    const int64_t fit = (int64_t)(0x1p28 / bytes), sets = fit < 1 ? 1 : fit < MOST ? fit : MOST;
    double each[1000] = { 0 };
    wg_tensor *k[MOST], *v[MOST];
    wg_scope all = wg_scope_push();
    wg_tensor *q = operand(o, batch, HEADS, o->queries, d);
    for (int64_t i = 0; i < sets; i++) {
        k[i] = wg_cast(wg_randn(WG_DIMS(batch, KV, t, d)), o->dtype); /* as a cache has them */
        v[i] = wg_cast(wg_randn(WG_DIMS(batch, KV, t, d)), o->dtype);
    }
    wg_use_grad(false);
    for (int64_t r = -1; r < o->repeats && !wg_error_get(); r++) {
        wg_scope calls = wg_scope_push();
        (void)!wg_synchronize(o->device);
        const double start = now();
        for (int64_t i = 0; i < sets; i++) wg_sdpa(q, k[i], v[i], .is_causal = true);
        (void)!wg_synchronize(o->device);
        if (r >= 0) each[r] = (now() - start) / (double)sets;
        (void)!wg_scope_pop(calls);
    }
    const double s = median(each, o->repeats);
    if (!wg_error_get())
        printf("%6lld %4lld %4lld %4d %10.1f %8.1f\n", (long long)t, (long long)d, (long long)batch,
               HEADS, 1e6 * s, 1e-9 * bytes / s);
    return wg_scope_pop(all);
}

static wg_status measure_generation(const options *o, int64_t t, int64_t d)
{
    wg_status s = measure_sequences(o, t, d, 1);
    return s == WG_OK ? measure_sequences(o, t, d, 16) : s;
}

static bool parse(int argc, char **argv, options *o)
{
    const count_option counts[] = { { "--longest", &o->longest },
                                    { "--repeats", &o->repeats },
                                    { "--tokens", &o->tokens },
                                    { "--queries", &o->queries },
                                    { NULL, NULL } };
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) return false;
        if (strcmp(argv[i], "--device") == 0)
            o->device = strcmp(argv[i + 1], "cuda") == 0 ? wg_cuda(0) : wg_cpu();
        else if (!take_dtype(argv, i, &o->dtype) && !take_count(argv, i, counts))
            return false;
    }
    return o->repeats <= 1000;
}

int main(int argc, char **argv)
{
    options o = {
        .device = wg_cpu(), .dtype = WG_BF16, .longest = 16384, .repeats = 10, .tokens = 32768
    };
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: attention [--device cpu|cuda] [--dtype bf16|f16|f32] [--longest T]"
                        " [--repeats N] [--tokens N] [--queries N]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    wg_use_device(o.device);
    printf(o.queries ? "     T    D    B    H         us     GB/s\n"
                     : "     T    D    B    H forward us  TFLOP/s  backward  TFLOP/s\n");
    for (int64_t d = 64; d <= 128; d *= 2)
        for (int64_t t = 512; t <= o.longest; t *= 2)
            if ((o.queries ? measure_generation : measure)(&o, t, d) != WG_OK)
                return wg_error_print(stderr);
    return wg_error_get() ? wg_error_print(stderr) : 0;
}
