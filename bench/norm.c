/* A layer norm and its gradient by themselves, and a copy beside them: all three are bound by memory, or should be.
 *   norm [--rows 32768] [--width 768] [--dtype bf16|f16|f32] [--runs 20] [--device cpu|cuda]
 * Bytes are those that have to move: x and y; x, dy and dx; both halves of the copy. Run as build/tests/ptx/ptx_norm with
 * WG_PTX_PROFILE=1 it tells the instructions of each kernel instead, without a device. */
#include <stdio.h>
#include <string.h>

#include "bench.h"

typedef struct {
    int64_t rows, width, runs;
    wg_dtype dtype;
    wg_device device;
} options;

static bool parse(int argc, char **argv, options *o)
{
    const count_option counts[] = {
        { "--rows", &o->rows }, { "--width", &o->width }, { "--runs", &o->runs }, { NULL, NULL }
    };
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) return false;
        const bool cuda = strcmp(argv[i + 1], "cuda") == 0;
        const bool device =
            strcmp(argv[i], "--device") == 0 && (cuda || strcmp(argv[i + 1], "cpu") == 0);
        if (device) o->device = cuda ? wg_cuda(0) : wg_cpu();
        if (!device && !take_count(argv, i, counts) && !take_dtype(argv, i, &o->dtype))
            return false;
    }
    return true;
}

typedef struct {
    wg_tensor *x, *weight, *bias, *y, *dy;
} operands;

static void forward(operands *o)
{
    wg_use_grad(false);
    wg_layer_norm(o->x, o->weight, o->bias);
}

static void backward(operands *o)
{
    wg_tensor *d[3];
    (void)!wg_grad(WG_LIST(o->y), WG_LIST(o->x, o->weight, o->bias), WG_LIST(o->dy),
                   WG_RETAIN_GRAPH, (wg_list) { 3, d });
}

static void copy(operands *o)
{
    (void)!wg_assign(wg_detach(o->dy), wg_detach(o->x));
}

/* Median of the runs; `passes`: how often x's bytes move. */
static void tell(const char *name, void (*fn)(operands *), operands *x, const options *o,
                 double passes)
{
    enum { MOST = 1000 };
    double s[MOST];
    const int64_t runs = o->runs < MOST ? o->runs : MOST;
    for (int64_t i = -1; i < runs; i++) {
        wg_scope inner = wg_scope_push();
        const double start = now();
        fn(x);
        (void)!wg_synchronize(o->device);
        if (i >= 0) s[i] = now() - start;
        (void)!wg_scope_pop(inner);
    }
    const double bytes = passes * (double)(o->rows * o->width) * (o->dtype == WG_F32 ? 4 : 2),
                 seconds = median(s, runs);
    if (wg_error_code() == WG_OK)
        printf("%-20s %9.1f us  %7.1f GB/s\n", name, 1e6 * seconds, 1e-9 * bytes / seconds);
}

int main(int argc, char **argv)
{
    options o = { .rows = 32768, .width = 768, .runs = 20, .dtype = WG_BF16, .device = wg_cpu() };
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "norm: wrong arguments; see the head of bench/norm.c\n");
        return 2;
    }
    wg_scope s = wg_scope_push();
    wg_use_device(o.device);
    operands x = { .x = wg_require_grad(wg_cast(wg_randn(WG_DIMS(o.rows, o.width)), o.dtype)),
                   .weight = wg_require_grad(wg_ones(WG_DIMS(o.width))),
                   .bias = wg_require_grad(wg_zeros(WG_DIMS(o.width))),
                   .dy = wg_cast(wg_randn(WG_DIMS(o.rows, o.width)), o.dtype) };
    x.y = wg_layer_norm(x.x, x.weight, x.bias);
    tell("copy", copy, &x, &o, 2);
    tell("layer norm", forward, &x, &o, 2);
    tell("its gradient", backward, &x, &o, 3);
    const bool failed = wg_error_code() != WG_OK;
    if (failed) wg_error_print(stderr);
    (void)!wg_scope_pop(s);
    return failed;
}
