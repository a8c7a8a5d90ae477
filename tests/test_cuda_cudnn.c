/* Attention by cuDNN. On any machine: which calls it gets, and, where the library is, that it knows a fused kernel of the devices
 * that wengert has code for by our graphs, which it tells from a device's properties without having one. On a device (or the
 * emulated one, which computes the graphs' operations one by one): the formula in f64. */
#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/sdpa_cudnn.h"
#include "cuda/sdpa_plan.h"
#include "device_compare.h"
#include "nn_check.h"

/* The emulation's; NULL where it is not linked in. */
__attribute__((weak)) int64_t emulation_launches(const char *name);
#define emulated (emulation_launches != NULL)

static wgi_attention_operand rows_of(int type, int64_t heads, int64_t t, int64_t d)
{
    static _Alignas(16) char data[16];
    return (wgi_attention_operand) { .data = data,
                                     .stride = { heads * t * d, t * d, d, 1 },
                                     .type = type };
}

static wgi_attention_pass pass_of(int type, int heads, int kv_heads, int t, int d, bool backward)
{
    wgi_attention_pass p = { .batch = 2,
                             .heads = heads,
                             .kv_heads = kv_heads,
                             .tq = t,
                             .tk = t,
                             .d = d,
                             .dv = d,
                             .causal = true,
                             .scale = 0.125 };
    p.q = p.y = rows_of(type, heads, t, d);
    p.k = p.v = rows_of(type, kv_heads, t, d);
    p.lse = rows_of(WG_F32, heads, t, 1);
    if (!backward) return p;
    p.dy = p.dq = p.q;
    p.dk = p.dv_out = p.k;
    return p;
}

START_TEST(only_what_cudnn_has_a_graph_for_goes_there)
{
    wgi_sdpa_key key, other;
    for (int backward = 0; backward < 2; backward++) {
        const wgi_attention_pass good = pass_of(WG_BF16, 4, 2, 100, 64, backward);
        wgi_attention_pass p = good;
        ck_assert(wgi_sdpa_key_of(&key, &good));
        p.causal = false;
        p.tk = 90;
        ck_assert(wgi_sdpa_key_of(&other, &p));
        ck_assert(memcmp(&key, &other, sizeof key) != 0);
        p.causal = true; /* the last query stands at the last key, not the first at the first */
        ck_assert(!wgi_sdpa_key_of(&key, &p));
        p = good;
        p.q.type = p.k.type = p.v.type = p.y.type = WG_F32;
        ck_assert(!wgi_sdpa_key_of(&key, &p));
        p = good;
        p.dropout = 0.1;
        ck_assert(!wgi_sdpa_key_of(&key, &p));
        p = good;
        p.scale = -1;
        ck_assert(!wgi_sdpa_key_of(&key, &p));
        p = good;
        p.mask = rows_of(WG_F32, 1, 100, 100);
        ck_assert(!wgi_sdpa_key_of(&key, &p));
        p = good;
        p.window = 10;
        ck_assert(!wgi_sdpa_key_of(&key, &p));
        p = good;
        p.d = 60;
        ck_assert(!wgi_sdpa_key_of(&key, &p));
        p = good;
        p.batch = 0;
        ck_assert(!wgi_sdpa_key_of(&key, &p));
        p = good;
        p.k.data += 2; /* no multiple of 16 bytes */
        ck_assert(!wgi_sdpa_key_of(&key, &p));
        p = good;
        p.v.stride[2] += 4;
        ck_assert(!wgi_sdpa_key_of(&key, &p));
        p = good;
        p.y.stride[1] = 0; /* repeated */
        ck_assert(!wgi_sdpa_key_of(&key, &p));
        p = good;
        p.lse.type = WG_F64;
        ck_assert(!wgi_sdpa_key_of(&key, &p));
        p = good;
        p.lse.stride[0] *= 2;
        ck_assert(!wgi_sdpa_key_of(&key, &p));
        p = good;
        p.lse.data += 4;
        ck_assert(!wgi_sdpa_key_of(&key, &p));
        p = good;
        p.batch = 65536;
        ck_assert(!wgi_sdpa_key_of(&key, &p));
    }
    wgi_attention_pass p = pass_of(WG_BF16, 4, 2, 100, 64, true);
    p.accumulate = true;
    ck_assert(!wgi_sdpa_key_of(&key, &p));
    p = pass_of(WG_BF16, 4, 2, 8, 64, true);
    ck_assert(!wgi_sdpa_key_of(&key, &p));
    p = pass_of(WG_BF16, 4, 2, 192, 64, true);
    ck_assert(!wgi_sdpa_key_of(&key, &p));
    p = pass_of(WG_BF16, 4, 2, 192, 64, false);
    ck_assert(wgi_sdpa_key_of(&key, &p));
    p = pass_of(WG_BF16, 4, 2, 100, 64, true);
    p.dy.type = WG_F32;
    ck_assert(!wgi_sdpa_key_of(&key, &p));
    p = pass_of(WG_F16, 1, 1, 100, 64, false);
    p.q.stride[1] = 0; /* of one head: not looked at */
    p.lse.data = NULL;
    ck_assert(wgi_sdpa_key_of(&key, &p) && !key.keeps_lse);
}
END_TEST

typedef struct {
    int64_t heads, kv_heads, tq, tk, d, dv;
    bool causal, together; /* heads lie in one row, as a projection leaves them */
    wg_dtype type;
} shape;

static const shape shapes[] = {
    { 2, 2, 20, 20, 64, 64, true, true, WG_BF16 },   { 4, 2, 33, 33, 32, 32, true, true, WG_BF16 },
    { 2, 1, 16, 16, 128, 128, true, false, WG_F16 }, { 3, 3, 12, 25, 64, 64, false, true, WG_F16 },
    { 4, 1, 40, 9, 32, 64, false, false, WG_BF16 },  { 1, 1, 70, 70, 8, 8, true, true, WG_F16 },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* ---- cuDNN itself, and no device --------------------------------------------------------------------------------- */

/* As CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION gives them of an H200, but for the capability. */
static const char properties[] =
    "{\"deviceName\":\"a device\",\"deviceVer\":%d,\"cudaDeviceId\":0,\"driverVer\":13000,"
    "\"multiProcessorCount\":132,\"smClockRateKHz\":1980000,\"memClockRateKHz\":3201000,"
    "\"totalGlobalMem\":150000000000,\"l2CacheSize\":62914560,\"warpSize\":32,"
    "\"regsPerBlock\":65536,\"maxRegistersPerSM\":65536,\"maxThreadsPerSM\":2048,"
    "\"maxThreadsPerBlock\":1024,\"maxCtasPerSM\":32,\"maxSharedMemoryPerBlock\":49152,"
    "\"maxSharedMemoryPerBlockOptin\":232448,\"reservedSharedMemoryPerBlock\":1024,"
    "\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
    "\"pciDeviceId\":0,\"supportCoopLaunch\":1,\"isTccDriver\":0}";

static void expect_right(const wgi_sdpa_graph *g, const char *what)
{
    char more[512] = "";
    if (g->status != CUDNN_STATUS_SUCCESS) g->lib->last(more, sizeof more);
    ck_assert_msg(g->status == CUDNN_STATUS_SUCCESS, "%s: %s: %s: %s", what, g->step,
                  g->lib->text(g->status), more);
}

/* cuDNN knows a way to run it on that device. */
static void expect_a_way(const wgi_cudnn *lib, cudnnBackendDescriptor_t device,
                         const wgi_attention_pass *p)
{
    wgi_sdpa_key key;
    wgi_sdpa_graph g;
    char what[160];
    snprintf(what, sizeof what, "%s H %d/%d T %d D %d causal %d", p->dy.data ? "dq" : "y", p->heads,
             p->kv_heads, p->tq, p->d, p->causal);
    ck_assert(wgi_sdpa_key_of(&key, p));
    wgi_sdpa_describe(&g, lib, &key, NULL);
    expect_right(&g, what);
    const int64_t n = wgi_sdpa_ways(&g, device);
    expect_right(&g, what);
    wgi_sdpa_forget(&g);
    ck_assert_msg(n > 0, "%s: none", what);
}

/* cuDNN says more of a kernel where there is a driver's library, if only the toolkit's to link with. */
static bool no_driver(void)
{
    return !emulated && !dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL) &&
           !dlopen(WGI_CUDA_LIBRARIES "/stubs/libcuda.so", RTLD_NOW | RTLD_GLOBAL);
}

/* As check() has it. */
static wgi_attention_pass pass_of_shape(const shape *s, bool backward)
{
    const int type = (int)s->type;
    wgi_attention_pass p = { .batch = 2,
                             .heads = (int)s->heads,
                             .kv_heads = (int)s->kv_heads,
                             .tq = (int)s->tq,
                             .tk = (int)s->tk,
                             .d = (int)s->d,
                             .dv = (int)s->dv,
                             .causal = s->causal,
                             .scale = 1 };
    p.q = rows_of(type, s->heads, s->tq, s->d);
    p.k = rows_of(type, s->kv_heads, s->tk, s->d);
    p.v = rows_of(type, s->kv_heads, s->tk, s->dv);
    p.y = rows_of(type, s->heads, s->tq, s->dv);
    p.lse = rows_of(WG_F32, s->heads, s->tq, 1);
    if (!backward) return p;
    p.dy = p.y;
    p.dq = p.q;
    p.dk = p.k;
    p.dv_out = p.v;
    return p;
}

START_TEST(cudnn_knows_our_graphs)
{
    static const int capabilities[] = { 800, 900 }, lengths[] = { 9, 100, 1024 },
                     sizes[] = { 32, 64, 128 }, types[] = { WG_BF16, WG_F16 };
    const wgi_cudnn *lib = wgi_cudnn_load();
    if (!lib) {
        wg_error_clear();
        printf("skipped: no cuDNN\n");
        return;
    }
    if (no_driver()) {
        printf("skipped: no driver's library, nor the toolkit's to link with\n");
        return;
    }
    for (int c = 0; c < 2; c++) {
        char json[1024];
        wgi_sdpa_graph d = { .lib = lib };
        snprintf(json, sizeof json, properties, capabilities[c]);
        cudnnBackendDescriptor_t device =
            wgi_sdpa_descriptor(&d, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
        wgi_sdpa_set(&d, device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                     (int64_t)strlen(json) + 1, json);
        wgi_sdpa_finish(&d, device, "a device");
        expect_right(&d, "properties");
        for (int i = 0; i < 108; i++) {
            const bool backward = i / 54;
            wgi_attention_pass p = pass_of(types[i % 2], 8, i / 18 % 3 ? 8 : 2, lengths[i / 2 % 3],
                                           sizes[i / 6 % 3], backward);
            p.causal = i / 18 % 3 != 1;
            if (!backward && i % 4 == 0) p.lse.data = NULL;
            expect_a_way(lib, device, &p);
        }
        for (int i = 0; i < 2 * SHAPES; i++) {
            const wgi_attention_pass p = pass_of_shape(&shapes[i / 2], i % 2);
            expect_a_way(lib, device, &p);
        }
        wgi_sdpa_forget(&d);
    }
}
END_TEST

/* ---- on a device ------------------------------------------------------------------------------------------------- */

static wg_tensor *operand(const shape *s, int64_t heads, int64_t t, int64_t d)
{
    enum { BATCH = 2 };
    wg_tensor *x = s->together ? wg_transpose(wg_randn(WG_DIMS(BATCH, t, heads, d)), 1, 2)
                               : wg_randn(WG_DIMS(BATCH, heads, t, d));
    return wg_cast(wg_cast(x, s->type), WG_F32);
}

/* What the emulated cuDNN does (tests/emulation/cudnn.c): NULL: as it should. */
static void play(const char *what)
{
    if (what)
        setenv("WG_EMULATED_CUDNN", what, 1);
    else
        unsetenv("WG_EMULATED_CUDNN");
}

static const char *in_call, *behind_it; /* what it does in a call, and in its gradient */

static void attend(void *self, wg_list in, wg_list out)
{
    const shape *s = self;
    wg_tensor *x[3];
    const bool low = wg_device_of(in.t[0]).kind == WG_CUDA;
    /* gradients of what another op made, in its type: the cast's would be written in f32 */
    for (int i = 0; i < 3; i++) x[i] = low ? wg_neg(wg_cast(wg_neg(in.t[i]), s->type)) : in.t[i];
    play(in_call);
    out.t[0] = wg_cast(wg_sdpa(x[0], x[1], x[2], .is_causal = s->causal), WG_F32);
    play(behind_it);
}

/* Values and gradients, for random cotangents, beside the CPU's of f32. */
static void check(const shape *s)
{
    char what[120];
    snprintf(what, sizeof what, "%s H %d/%d T %d,%d D %d,%d causal %d together %d",
             wg_dtype_name(s->type), (int)s->heads, (int)s->kv_heads, (int)s->tq, (int)s->tk,
             (int)s->d, (int)s->dv, s->causal, s->together);
    const problem p = { what, attend, (void *)s, 1, s->type == WG_BF16 ? 0x1p-6 : 0x1p-9 };
    const wg_scope scope = begin();
    compare(&p,
            WG_LIST(operand(s, s->heads, s->tq, s->d), operand(s, s->kv_heads, s->tk, s->d),
                    operand(s, s->kv_heads, s->tk, s->dv)),
            WG_LIST(operand(s, s->heads, s->tq, s->dv)));
    pop(scope);
}

/* Runs of cuDNN's in a check, which has two calls and their gradients. */
static int64_t launches(const shape *s)
{
    const int64_t before = wgi_cudnn_runs();
    check(s);
    return wgi_cudnn_runs() - before;
}

static bool no_cudnn(void)
{
    if (no_device()) return true;
    if (wgi_cudnn_load()) return false;
    wg_error_clear();
    printf("skipped: no cuDNN\n");
    return true;
}

START_TEST(values_and_gradients_are_those_of_the_formula)
{
    if (no_cudnn()) return;
    for (int i = 0; i < SHAPES; i++) ck_assert_int_eq(launches(&shapes[i]), 4);
}
END_TEST

/* The first of all on the emulated device: what is there is kept. */
START_TEST(a_missing_library_is_an_error)
{
    if (!emulated) return;
    const wg_scope scope = begin();
    wg_tensor *x = wg_to(wg_cast(wg_randn(WG_DIMS(1, 2, 10, 8)), WG_BF16), wg_cuda(0));
    play("missing");
    wg_sdpa(x, x, x);
    play(NULL);
    expect_error(WG_EDEVICE, "sdpa: attention by cuDNN (WG_CUDA_CUDNN=1): ");
    pop(scope);
}
END_TEST

/* lse of the one is read by the other. */
START_TEST(what_cudnn_declines_has_kernels_of_ours)
{
    if (!emulated) return;
    for (int i = 0; i < 4; i++) {
        const int64_t t = 21 + i; /* of its own: what was declined once is not asked again */
        const shape s = { 4, 2, t, t, 64, 64, true, true, WG_BF16 };
        const char *how = i == 3 ? "none" : "declines";
        in_call = i == 1 ? NULL : how;
        behind_it = i == 2 ? NULL : how;
        ck_assert_int_eq(launches(&s), i % 3 == 0 ? 0 : 2);
        in_call = behind_it = NULL;
        play(NULL);
        ck_assert_int_eq(launches(&s), i % 3 == 0 ? 0 : 2);
    }
}
END_TEST

START_TEST(what_fails_is_an_error_and_nothing_is_kept_of_it)
{
    static const char *const how[] = { "fails", "breaks" };
    static const char *const told[] = {
        "sdpa: cuDNN: the execution plan: status 4001: as told",
        "sdpa: cuDNN: attention: status 5000: as told",
    };
    if (!emulated) return;
    for (int i = 0; i < 2; i++) {
        const wg_scope scope = begin();
        const shape s = { 2, 2, 25 + i, 25 + i, 8, 8, true, true, WG_F16 };
        wg_tensor *x = wg_to(wg_cast(wg_randn(WG_DIMS(2, 2, s.tq, 8)), WG_F16), wg_cuda(0));
        play(how[i]);
        wg_sdpa(x, x, x, .is_causal = true);
        play(NULL);
        expect_error(WG_EDEVICE, told[i]);
        pop(scope);
        ck_assert_int_eq(launches(&s), 4);
    }
}
END_TEST

/* What it is for: a layer's attention under autocast, q, k and v parts of one projection. */
START_TEST(a_layer_of_a_model_takes_it)
{
    enum { VOCAB = 19, B = 2, T = 16 };
    if (no_cudnn()) return;
    const wg_scope scope = begin();
    int64_t ids[B * T];
    for (int i = 0; i < B * T; i++) ids[i] = i * 7 % VOCAB;
    wg_use_device(wg_cuda(0));
    wg_transformer_config c = wg_gpt2_config(2, 2, 64, VOCAB, T);
    wg_module *model = wg_transformer_new(&c);
    wg_tensor *x = wg_from(ids, sizeof ids, WG_I64, WG_DIMS(B, T));
    wg_use_autocast(WG_BF16);
    const int64_t runs = wgi_cudnn_runs();
    wg_backward(wg_transformer_loss(model, x, x));
    expect_no_error();
    ck_assert_int_eq(wgi_cudnn_runs() - runs, 2 * 2);
    wg_module_free(model);
    pop(scope);
}
END_TEST

/* Another way may do, or the same when the driver has memory again. */
START_TEST(what_failed_is_tried_another_way_and_once_more)
{
    static const char *const how[] = { "fails 1", "fails 8" };
    if (!emulated) return;
    for (int i = 0; i < 2; i++) {
        const wg_scope scope = begin();
        const int64_t runs = wgi_cudnn_runs();
        wg_tensor *x = wg_to(wg_cast(wg_randn(WG_DIMS(2, 2, 27 + i, 8)), WG_F16), wg_cuda(0));
        const wg_scope freed = wg_scope_push(); /* what the pool has to give back */
        wg_to(wg_zeros(WG_DIMS(16 << 20)), wg_cuda(0));
        pop(freed);
        play(how[i]);
        wg_sdpa(x, x, x);
        play(NULL);
        expect_no_error();
        ck_assert_int_eq(wgi_cudnn_runs() - runs, 1);
        ck_assert_int_eq(launches(&(shape) { 2, 2, 37 + i, 37 + i, 8, 8, true, true, WG_F16 }), 4);
        pop(scope);
    }
}
END_TEST

/* ---- in a graph -------------------------------------------------------------------------------------------------- */

typedef struct {
    wg_tensor *x[3], *dy, *y, *dx[3];
    double scale;
} step;

static void run(void *self)
{
    step *t = self;
    const wg_scope scope = wg_scope_push();
    wg_tensor *x[3];
    for (int i = 0; i < 3; i++) x[i] = wg_require_grad(wg_detach(t->x[i]));
    wg_tensor *y = wg_sdpa(x[0], x[1], x[2], .is_causal = true, .scale = t->scale);
    wg_backward(y, .cotangent = t->dy);
    wg_set(&t->y, y);
    for (int i = 0; i < 3; i++) wg_set(&t->dx[i], wg_grad_of(x[i]));
    wg_scope_return(scope, NULL);
}

/* Numbers that are given by value, and memory, are those of the run. */
START_TEST(a_graph_gives_the_same)
{
    enum { RUNS = 5 };
    if (no_cudnn()) return;
    const wg_scope scope = begin();
    wg_graph *g = wg_graph_new(wg_cuda(0));
    ck_assert(g);
    for (int r = 0; r < RUNS; r++) {
        const shape s = { 2, 1, r == 3 ? 30 : 31, r == 3 ? 30 : 31, 32, 32, true, true, WG_BF16 };
        step of[2] = { { .scale = 1.0 / (r + 1) }, { .scale = 1.0 / (r + 1) } };
        for (int i = 0; i < 4; i++) {
            wg_tensor *x = wg_to(
                wg_cast(operand(&s, i % 3 ? s.kv_heads : s.heads, s.tq, s.d), s.type), wg_cuda(0));
            for (int j = 0; j < 2; j++) *(i < 3 ? &of[j].x[i] : &of[j].dy) = x;
        }
        ck_assert_int_eq(wg_graph_run(g, run, &of[0]), WG_OK);
        run(&of[1]);
        expect_no_error();
        for (int i = 0; i < 4; i++) {
            wg_tensor **a = i < 3 ? &of[0].dx[i] : &of[0].y, **b = i < 3 ? &of[1].dx[i] : &of[1].y;
            ck_assert_double_le(distance(wg_to(*a, wg_cpu()), wg_to(*b, wg_cpu())),
                                emulated ? 0 : 0x1p-7); /* dq's sums come in any order */
            wg_unref(a);
            wg_unref(b);
        }
    }
    ck_assert_int_gt(wg_graph_stats(g).launched, 0);
    wg_graph_free(g);
    pop(scope);
}
END_TEST

/* Last: the table is full then. */
START_TEST(beyond_so_many_shapes_ours_run)
{
    if (!emulated) return;
    const wg_scope scope = begin();
    const int64_t runs = wgi_cudnn_runs();
    for (int t = 0; t <= WGI_SDPA_PLANS; t++) {
        wg_tensor *x = wg_cast(wg_randn(WG_DIMS(1, 1, 100 + t, 8)), WG_BF16),
                  *y = wg_to(
                      wg_sdpa(wg_to(x, wg_cuda(0)), wg_to(x, wg_cuda(0)), wg_to(x, wg_cuda(0))),
                      wg_cpu());
        x = wg_cast(x, WG_F64);
        ck_assert_double_le(distance(y, wg_sdpa(x, x, x)), 0x1p-7);
    }
    const int64_t first = wgi_cudnn_runs() - runs;
    ck_assert(first > 0 && first < WGI_SDPA_PLANS);
    ck_assert_int_eq(launches(&shapes[0]), 4);
    pop(scope);
}
END_TEST

int main(void)
{
    setenv("WG_CUDA_CUDNN", "1", 1);
    return suite_run("cuda cudnn",
                     (const TTest *[]) { only_what_cudnn_has_a_graph_for_goes_there,
                                         cudnn_knows_our_graphs, a_missing_library_is_an_error,
                                         values_and_gradients_are_those_of_the_formula,
                                         what_cudnn_declines_has_kernels_of_ours,
                                         what_fails_is_an_error_and_nothing_is_kept_of_it,
                                         what_failed_is_tried_another_way_and_once_more,
                                         a_layer_of_a_model_takes_it, a_graph_gives_the_same,
                                         beyond_so_many_shapes_ours_run, NULL });
}
