/* Attention's rate, causal, 12 or 6 heads of 64 or 128 and about 32,768 tokens a call: TFLOP/s of
 * the pairs that take part, two products of them forward and five backward, for lengths from 512
 * on.
 *   attention [--device cuda] [--dtype bf16] [--longest 16384] [--repeats 10] [--tokens 32768] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

typedef struct {
    wg_device device;
    wg_dtype dtype;
    int64_t longest, repeats, tokens;
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

static bool parse(int argc, char **argv, options *o)
{
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "--device") == 0)
            o->device = strcmp(value, "cuda") == 0 ? wg_cuda(0) : wg_cpu();
        else if (strcmp(name, "--dtype") == 0)
            o->dtype = strcmp(value, "f32") == 0   ? WG_F32
                       : strcmp(value, "f16") == 0 ? WG_F16
                                                   : WG_BF16;
        else if (strcmp(name, "--longest") == 0)
            o->longest = atoll(value);
        else if (strcmp(name, "--repeats") == 0)
            o->repeats = atoll(value);
        else if (strcmp(name, "--tokens") == 0)
            o->tokens = atoll(value);
        else
            return false;
    }
    return o->repeats > 0 && o->repeats <= 1000 && o->tokens > 0;
}

int main(int argc, char **argv)
{
    options o = {
        .device = wg_cpu(), .dtype = WG_BF16, .longest = 16384, .repeats = 10, .tokens = 32768
    };
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: attention [--device cpu|cuda] [--dtype bf16|f16|f32] [--longest T]"
                        " [--repeats N] [--tokens N]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    wg_use_device(o.device);
    printf("     T    D    B    H forward us  TFLOP/s  backward  TFLOP/s\n");
    for (int64_t d = 64; d <= 128; d *= 2)
        for (int64_t t = 512; t <= o.longest; t *= 2)
            if (measure(&o, t, d) != WG_OK) return wg_error_print(stderr);
    return wg_error_get() ? wg_error_print(stderr) : 0;
}
