/* Fused ops on CUDA. On any machine: how rows are laid over a block. On a device (or emulated): the same numbers as the
 * CPU's, values and gradients, at the sizes where kernels change. */
#include <math.h>
#include <stdlib.h>

#include "cuda/rows.h"
#include "suite.h"

static bool no_device(void)
{
    if (wg_cuda_device_count() > 0) return false;
    printf("skipped: no CUDA device\n");
    return true;
}

/* Every element belongs to one thread of one chunk, and no chunk is missing. */
START_TEST(a_row_that_fits_has_a_thread_for_every_element)
{
    for (int f64 = 0; f64 < 2; f64++)
        for (int64_t n = 0; n < 5000; n++) {
            const int64_t chunks = wgi_norm_chunks(n, f64), threads = wgi_norm_threads(n, f64),
                          each = f64 ? 4 : 8, most = 2 * 256 * each;
            ck_assert_int_eq(chunks > 0, n > 0 && n <= most);
            if (!chunks) continue;
            ck_assert(threads % 32 == 0 && threads >= 32 && threads <= WGI_NORM_THREADS);
            ck_assert_int_ge(chunks * threads * each, n);
            ck_assert(threads == 32 || (threads - 32) * each < n); /* no idle warp in one chunk */
            if (chunks > 1) ck_assert_int_eq(threads, WGI_NORM_THREADS);
        }
}
END_TEST

/* ---- an op on the CPU and on the device -------------------------------------------------------------------------- */
typedef struct {
    const char *what;
    wg_fn fn; /* of tensors on one device */
    void *self;
    int n_out;
    double tolerance; /* of the largest element */
} problem;

static void check_close(const problem *p, const char *kind, int64_t i, wg_tensor *got,
                        wg_tensor *want)
{
    got = wg_cast(wg_to(got, wg_cpu()), WG_F64);
    want = wg_cast(want, WG_F64);
    if (wg_numel(want) == 0) return;
    const double worst = wg_item(wg_max(wg_abs(wg_sub(got, want)), WG_ALL, false)),
                 size = wg_item(wg_max(wg_abs(want), WG_ALL, false));
    expect_no_error();
    ck_assert_msg(worst <= p->tolerance * size, "%s: %s %lld: %g of %g", p->what, kind,
                  (long long)i, worst, size);
}

/* Values, then gradients of <dy, fn(in)>, from wg_backward: two passes, so that places are added into. */
static void run_on(const problem *p, wg_device d, wg_list in, wg_list dy, wg_list y, wg_list dx)
{
    wg_list leaves = wg_list_new(in.n);
    for (int64_t i = 0; i < in.n; i++)
        leaves.t[i] = in.t[i] ? wg_require_grad(wg_detach(wg_to(in.t[i], d))) : NULL;
    for (int pass = 0; pass < 2; pass++) {
        wg_tensor *loss = NULL;
        p->fn(p->self, leaves, y);
        for (int j = 0; j < p->n_out; j++) {
            wg_tensor *part = wg_sum(wg_mul(y.t[j], wg_to(dy.t[j], d)), WG_ALL, false);
            loss = loss ? wg_add(loss, part) : part;
        }
        wg_backward(loss);
    }
    expect_no_error();
    for (int64_t i = 0; i < in.n; i++) dx.t[i] = in.t[i] ? wg_grad_of(leaves.t[i]) : NULL;
}

static void compare(const problem *p, wg_list in, wg_list dy)
{
    wg_list y = wg_list_new(p->n_out), dx = wg_list_new(in.n), yc = wg_list_new(p->n_out),
            dxc = wg_list_new(in.n);
    run_on(p, wg_cuda(0), in, dy, y, dx);
    run_on(p, wg_cpu(), in, dy, yc, dxc);
    for (int j = 0; j < p->n_out; j++) check_close(p, "output", j, y.t[j], yc.t[j]);
    for (int64_t i = 0; i < in.n; i++)
        if (in.t[i]) check_close(p, "gradient", i, dx.t[i], dxc.t[i]);
}

static const struct {
    wg_dtype type;
    double tolerance; /* for sums of some thousands; 16 bits: a unit in the last place */
} types[] = { { WG_F64, 1e-12 }, { WG_F32, 1e-5 }, { WG_BF16, 1.6e-2 }, { WG_F16, 2e-3 } };

/* ---- norms ----------------------------------------------------------------------------------------------------------- */
static void layer_norm(void *self, wg_list in, wg_list out)
{
    (void)self;
    out.t[0] = wg_layer_norm(in.t[0], in.t[1], in.t[2]);
}

static void add_layer_norm(void *self, wg_list in, wg_list out)
{
    (void)self;
    out.t[0] = wg_add_layer_norm(in.t[0], in.t[3], in.t[1], in.t[2], &out.t[1]);
}

static void add_rms_norm(void *self, wg_list in, wg_list out)
{
    (void)self;
    out.t[0] = wg_add_rms_norm(in.t[0], in.t[2], in.t[1], &out.t[1]);
}

START_TEST(norms_of_every_length_are_those_of_the_cpu)
{
    static const int64_t lengths[] = { 1, 7, 96, 768, 1025, 2049, 4096, 4097 };
    if (no_device()) return;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            const int64_t n = lengths[i], rows = n < 1000 ? 130 : 3;
            wg_scope s = wg_scope_push();
            char what[64];
            snprintf(what, sizeof what, "%s, %lld", wg_dtype_name(types[t].type), (long long)n);
            wg_tensor *x = wg_cast(wg_randn(WG_DIMS(rows, n)), types[t].type),
                      *r = wg_cast(wg_randn(WG_DIMS(rows, n)), types[t].type),
                      *w = wg_cast(wg_randn(WG_DIMS(n)), types[t].type),
                      *b = wg_cast(wg_randn(WG_DIMS(n)), types[t].type),
                      *dy = wg_cast(wg_randn(WG_DIMS(rows, n)), types[t].type),
                      *ds = wg_cast(wg_randn(WG_DIMS(rows, n)), types[t].type);
            problem p = { what, layer_norm, NULL, 1, types[t].tolerance };
            if (n > 1) compare(&p, WG_LIST(x, w, b), WG_LIST(dy)); /* of one: 0 / 0 but for eps */
            p.n_out = 2;
            p.fn = add_layer_norm;
            if (n > 1) compare(&p, WG_LIST(x, w, b, r), WG_LIST(dy, ds));
            p.fn = add_rms_norm;
            compare(&p, WG_LIST(x, w, r), WG_LIST(dy, ds));
            compare(&p, WG_LIST(x, NULL, r), WG_LIST(dy, ds));
            pop(s);
        }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_row_that_fits_has_a_thread_for_every_element,
        norms_of_every_length_are_those_of_the_cpu,
        NULL,
    };
    return suite_run("cuda fused", tests);
}
