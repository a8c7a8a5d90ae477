/* Fused ops on CUDA. On any machine: how rows are laid over a block, what names a product, which epilogue it gets. On a device (or emulated): the same numbers as the
 * CPU's, values and gradients, at the sizes where kernels change. */
#include <math.h>
#include <stdlib.h>

#include "cuda/product_key.h"
#include "cuda/rows.h"
#include "device_compare.h"

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

/* ---- products ---------------------------------------------------------------------------------------------------------- */
/* x (m, k) and w (n, k) of one type to y (m, n), all contiguous. */
static wgi_gemm_args product_of(wg_dtype type, int64_t m, int64_t n, int64_t k, const void *bias)
{
    return (wgi_gemm_args) { .m = m,
                             .n = n,
                             .k = k,
                             .a = { NULL, type, k, 1, { 0 } },
                             .b = { NULL, type, 1, k, { 0 } },
                             .c = { NULL, type, n, 1, { 0 } },
                             .bias = bias,
                             .bias_type = type,
                             .bias_stride = 1,
                             .alpha = 1 };
}

START_TEST(a_product_is_named_by_all_that_its_algorithm_depends_on)
{
    static const char bias[256];
    enum { CASES = 14 };
    wgi_product_problem p[CASES], again;
    for (int i = 0; i < CASES; i++) {
        wgi_gemm_args g = product_of(i == 1 ? WG_F16 : WG_BF16, i == 2 ? 65 : 64, i == 3 ? 33 : 32,
                                     i == 4 ? 17 : 16, i == 5 ? bias : NULL);
        if (i == 6) g.c.type = WG_F32;
        if (i == 7) g.beta = 1;
        if (i == 8) g.a.row = 24;
        if (i == 9) g.c.row = 40;
        if (i == 10) g.b = (wgi_matrix) { NULL, WG_BF16, 32, 1, { 0 } };
        if (i == 11) {
            g.batch_dims = 1;
            g.batch_shape[0] = 3;
            g.a.batch[0] = 64 * 16;
            g.c.batch[0] = 64 * 32;
        }
        memset(&p[i], i + 1, sizeof p[i]); /* what was there before does not count */
        wgi_product_problem_of(&p[i], &g, i == 12);
        p[i].alignment = i == 13 ? 16 : 256;
        memset(&again, 0xff, sizeof again);
        wgi_product_problem_of(&again, &g, i == 12);
        again.alignment = p[i].alignment;
        ck_assert(wgi_product_same(&p[i], &again));
        ck_assert(wgi_product_hash(&p[i]) == wgi_product_hash(&again));
        for (int j = 0; j < i; j++) {
            ck_assert_msg(!wgi_product_same(&p[i], &p[j]), "cases %d and %d have one key", i, j);
            ck_assert(wgi_product_hash(&p[i]) != wgi_product_hash(&p[j]));
        }
    }
    again = p[0];
    again.epilogue = WGI_EPILOGUE_GELU | WGI_EPILOGUE_AUX;
    ck_assert(!wgi_product_same(&again, &p[0]));
    wgi_product_problem other = again;
    other.ld_aux = 40;
    ck_assert(!wgi_product_same(&again, &other));
    ck_assert(p[0].m == 32 && p[0].n == 64 && p[0].lda == 16 && p[0].trans_a && p[0].ldb == 16 &&
              !p[0].trans_b && p[0].ldc == 32);
}
END_TEST

/* What was kept is found under its own key and no other; a model's few dozen problems all stay, and of many more than there
 * are slots the last ones do. */
START_TEST(slots_hold_what_was_kept_under_its_own_key)
{
    enum { MODEL = 96, MANY = 5000 };
    static wgi_product_keys keys;
    static int slot[MANY];
    int stayed = 0;
    bool known;
    wgi_product_problem p;
    for (int i = 0; i < MANY; i++) {
        const wgi_gemm_args g = product_of(WG_BF16, 8 * i + 8, 32 + i % 7, 16, NULL);
        wgi_product_problem_of(&p, &g, false);
        slot[i] = wgi_product_slot(&keys, &p, &known);
        ck_assert(!known && slot[i] >= 0 && slot[i] < WGI_PRODUCT_SLOTS);
        wgi_product_keep(&keys, slot[i], &p);
        ck_assert_int_eq(wgi_product_slot(&keys, &p, &known), slot[i]);
        ck_assert(known);
        if (i != MODEL - 1 && i != MANY - 1) continue;
        stayed = 0;
        for (int j = 0; j <= i; j++) {
            const wgi_gemm_args q = product_of(WG_BF16, 8 * j + 8, 32 + j % 7, 16, NULL);
            wgi_product_problem_of(&p, &q, false);
            const int at = wgi_product_slot(&keys, &p, &known);
            if (known) ck_assert(at == slot[j] && wgi_product_same(&keys.key[at], &p));
            stayed += known;
        }
        if (i == MODEL - 1) ck_assert_int_eq(stayed, MODEL);
    }
    ck_assert_int_gt(stayed, WGI_PRODUCT_SLOTS / 2);
    ck_assert_int_le(stayed, WGI_PRODUCT_SLOTS);
}
END_TEST

START_TEST(alignment_is_the_largest_that_all_addresses_have)
{
    const void *const at[] = { (void *)(uintptr_t)1024, NULL, (void *)(uintptr_t)(4096 + 48) };
    ck_assert_int_eq(wgi_product_alignment(at, 2), 256);
    ck_assert_int_eq(wgi_product_alignment(at, 3), 16);
    ck_assert_int_eq(wgi_product_alignment(at, 0), 256);
    ck_assert_int_eq(wgi_product_alignment((const void *[]) { (void *)(uintptr_t)6 }, 1), 2);
}
END_TEST

START_TEST(epilogues_are_taken_only_where_cublaslt_has_them)
{
    enum { RELU = WGI_EPILOGUE_RELU, GELU = WGI_EPILOGUE_GELU, AUX = WGI_EPILOGUE_AUX };
    _Alignas(16) static const char bias[1], h[32];
    const wgi_epilogue_wish gelu = { .act = WG_ACT_GELU_TANH, .major = 9 },
                            kept = { .act = WG_ACT_GELU_TANH, .keeps_h = true, .major = 9 },
                            back = { .act = WG_ACT_GELU_TANH, .backward = true, .major = 9 },
                            relu = { .act = WG_ACT_RELU, .major = 8 };
    const wgi_gemm_args g = product_of(WG_BF16, 64, 32, 16, NULL),
                        b = product_of(WG_F16, 64, 32, 16, bias);
    ck_assert_int_eq(wgi_epilogue_of(&gelu, &g, NULL), GELU);
    ck_assert_int_eq(wgi_epilogue_of(&gelu, &b, NULL), GELU | WGI_EPILOGUE_BIAS);
    ck_assert_int_eq(wgi_epilogue_of(&kept, &g, h), GELU | AUX);
    ck_assert_int_eq(wgi_epilogue_of(&kept, &b, h), GELU | AUX | WGI_EPILOGUE_BIAS);
    ck_assert_int_eq(wgi_epilogue_of(&back, &g, h), WGI_EPILOGUE_DGELU);
    ck_assert_int_eq(wgi_epilogue_of(&relu, &b, NULL), RELU | WGI_EPILOGUE_BIAS);
    const wgi_gemm_args f32 = product_of(WG_F32, 64, 32, 16, NULL),
                        f64 = product_of(WG_F64, 64, 32, 16, NULL),
                        odd = product_of(WG_BF16, 64, 33, 16, NULL);
    ck_assert_int_eq(wgi_epilogue_of(&relu, &f32, NULL), RELU);
    const wgi_epilogue_wish none[] = {
        { .act = WG_ACT_GELU, .major = 9 },
        { .act = WG_ACT_SILU, .major = 9 },
        { .act = WG_ACT_GELU_TANH, .major = 8 },
        { .act = WG_ACT_GELU_TANH, .major = 10 },
        { .act = WG_ACT_RELU, .keeps_h = true },
        { .act = WG_ACT_RELU, .backward = true },
        { .act = WG_ACT_GELU_TANH, .major = 9, .off = true },
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        ck_assert_int_eq(wgi_epilogue_of(&none[i], &g, h), WGI_EPILOGUE_NONE);
    ck_assert_int_eq(wgi_epilogue_of(&gelu, &f32, NULL), WGI_EPILOGUE_NONE);
    ck_assert_int_eq(wgi_epilogue_of(&relu, &f64, NULL), WGI_EPILOGUE_NONE);
    ck_assert_int_eq(wgi_epilogue_of(&gelu, &odd, NULL), GELU);
    ck_assert_int_eq(wgi_epilogue_of(&kept, &odd, h), WGI_EPILOGUE_NONE);   /* aux's rows */
    ck_assert_int_eq(wgi_epilogue_of(&kept, &g, h + 2), WGI_EPILOGUE_NONE); /* aux's address */
    ck_assert_int_eq(wgi_epilogue_of(&back, &g, h + 2), WGI_EPILOGUE_NONE);
    for (int i = 0; i < 8; i++) { /* a product that would have to be packed, or done in parts */
        wgi_gemm_args q = b;
        if (i == 0) q.a.column = 2;
        if (i == 1) q.b.type = WG_BF16;
        if (i == 2) q.c.type = WG_F32;
        if (i == 3) q.bias_stride = 2;
        if (i == 4) q.bias_type = WG_F32;
        if (i == 5) q.beta = 1;
        if (i == 6) q.k = 0;
        if (i == 7) q.bias = h + 8; /* no multiple of 16 */
        ck_assert_int_eq(wgi_epilogue_of(&gelu, &q, NULL), WGI_EPILOGUE_NONE);
        ck_assert_int_eq(wgi_epilogue_of(&kept, &q, h), WGI_EPILOGUE_NONE);
        ck_assert_int_eq(wgi_epilogue_of(&relu, &q, NULL), WGI_EPILOGUE_NONE);
    }
    wgi_gemm_args w = g;                                                  /* a weight's gradient */
    ck_assert_int_eq(wgi_epilogue_of_bias(&w, false), WGI_EPILOGUE_NONE); /* not in f32 */
    w.c.type = WG_F32;
    ck_assert_int_eq(wgi_epilogue_of_bias(&w, false), WGI_EPILOGUE_BGRADB);
    ck_assert_int_eq(wgi_epilogue_of_bias(&w, true), WGI_EPILOGUE_NONE);
    w.beta = 1;
    ck_assert_int_eq(wgi_epilogue_of_bias(&w, false), WGI_EPILOGUE_BGRADB);
    w.b.type = WG_F16;
    ck_assert_int_eq(wgi_epilogue_of_bias(&w, false), WGI_EPILOGUE_NONE);
    ck_assert_int_eq(wgi_epilogue_of_bias(&f32, false), WGI_EPILOGUE_NONE);
}
END_TEST

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
    static const int64_t lengths[] = { 1, 7, 96, 520, 768, 1025, 1032, 1992, 2049, 4096, 4097 };
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

/* Columns `from` on of wider rows, weights from their `weight`-th element on. */
typedef struct {
    int64_t wider, from, weight;
} place;

static void norm_of_a_place(void *self, wg_list in, wg_list out)
{
    enum { N = 64 };
    const place *at = self;
    out.t[0] =
        wg_layer_norm(wg_narrow(in.t[0], 1, at->from, N), wg_narrow(in.t[1], 0, at->weight, N),
                      wg_narrow(in.t[2], 0, at->weight, N));
}

/* Rows and weights that do not begin at multiples of 16 bytes cannot be read by packs. */
START_TEST(norms_of_rows_at_any_place_are_those_of_the_cpu)
{
    enum { N = 64, ROWS = 40 };
    static const place places[] = { { 8, 0, 0 }, { 8, 8, 0 }, { 8, 1, 0 }, { 8, 4, 0 },
                                    { 4, 0, 0 }, { 1, 0, 0 }, { 8, 0, 1 }, { 8, 8, 4 } };
    if (no_device()) return;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            wg_scope s = wg_scope_push();
            char what[64];
            place at = places[i];
            snprintf(what, sizeof what, "%s, place %zu", wg_dtype_name(types[t].type), i);
            const problem p = { what, norm_of_a_place, &at, 1, types[t].tolerance };
            wg_tensor *x = wg_cast(wg_randn(WG_DIMS(ROWS, N + at.wider)), types[t].type);
            compare(&p, WG_LIST(x, wg_randn(WG_DIMS(N + 4)), wg_randn(WG_DIMS(N + 4))),
                    WG_LIST(wg_randn(WG_DIMS(ROWS, N))));
            pop(s);
        }
}
END_TEST

/* What rounding a large mean leaves is taken back: the outputs are those of f64. */
START_TEST(norms_of_numbers_far_from_zero_are_right)
{
    if (no_device()) return;
    wg_scope s = wg_scope_push();
    const problem p = { "a mean of 1e5", NULL, NULL, 1, 1e-5 };
    wg_tensor *x = wg_affine(wg_randn(WG_DIMS(20, 768)), 1, 1e5);
    check_close(&p, "output", 0, wg_layer_norm(wg_to(x, wg_cuda(0)), NULL, NULL),
                wg_layer_norm(wg_cast(x, WG_F64), NULL, NULL));
    pop(s);
}
END_TEST

/* ---- linear layers with an activation between them -------------------------------------------------------------------- */
static void mlp(void *self, wg_list in, wg_list out)
{
    wg_tensor *y = wg_linear_act(in.t[0], in.t[1], in.t[2], *(const wg_activation *)self);
    out.t[0] = wg_linear(y, in.t[3], in.t[4]);
}

static void compare_mlp(int t, wg_activation act, wg_dims x, int64_t hidden, int64_t out, bool bias)
{
    const wg_dtype type = types[t].type;
    char what[64];
    snprintf(what, sizeof what, "%s, activation %d, %lld to %lld to %lld", wg_dtype_name(type),
             (int)act, (long long)x.d[x.n - 1], (long long)hidden, (long long)out);
    wg_scope s = wg_scope_push();
    wg_dims y = x;
    y.d[y.n - 1] = out;
    const int64_t in = x.d[x.n - 1];
    wg_tensor *none = NULL;
    const problem p = { what, mlp, &act, 1, 2 * types[t].tolerance };
    compare(&p,
            WG_LIST(wg_cast(wg_randn(x), type),
                    wg_cast(wg_affine(wg_randn(WG_DIMS(hidden, in)), 0.3, 0), type),
                    bias ? wg_cast(wg_randn(WG_DIMS(hidden)), type) : none,
                    wg_cast(wg_affine(wg_randn(WG_DIMS(out, hidden)), 0.3, 0), type),
                    bias ? wg_cast(wg_randn(WG_DIMS(out)), type) : none),
            WG_LIST(wg_cast(wg_randn(y), type)));
    pop(s);
}

START_TEST(linear_layers_and_their_activations_are_those_of_the_cpu)
{
    if (no_device()) return;
    for (int t = 0; t < 4; t++)
        for (int act = 0; act < 4; act++)
            for (int bias = 0; bias < 2; bias++) {
                compare_mlp(t, (wg_activation)act, WG_DIMS(3, 8, 16), 64, 24, bias);
                compare_mlp(t, (wg_activation)act, WG_DIMS(19, 7), 33, 5, bias);
                compare_mlp(t, (wg_activation)act, WG_DIMS(16), 8, 8, bias);
            }
}
END_TEST

/* A bias that begins within another tensor. */
static void with_part_of_a_bias(void *self, wg_list in, wg_list out)
{
    const int *form = self;
    wg_tensor *bias = wg_narrow(in.t[2], 0, form[1], wg_size(in.t[1], 0));
    out.t[0] = form[0] == 0   ? wg_linear(in.t[0], in.t[1], bias)
               : form[0] == 1 ? wg_linear_act(in.t[0], in.t[1], bias, WG_ACT_GELU_TANH)
               : form[0] == 2 ? wg_linear_act(in.t[0], in.t[1], bias, WG_ACT_RELU)
                              : wg_linear_add(in.t[0], in.t[1], bias, in.t[3]);
}

START_TEST(a_bias_at_any_address_is_added)
{
    if (no_device()) return;
    for (int t = 0; t < 4; t++)
        for (int form = 0; form < 4; form++)
            for (int first = 0; first < 4; first++) {
                const wg_dtype type = types[t].type;
                char what[64];
                int self[] = { form, first };
                snprintf(what, sizeof what, "%s, form %d, from %d on", wg_dtype_name(type), form,
                         first);
                wg_scope s = wg_scope_push();
                const problem p = { what, with_part_of_a_bias, self, 1, types[t].tolerance };
                wg_list in = WG_LIST(wg_cast(wg_randn(WG_DIMS(20, 16)), type),
                                     wg_cast(wg_randn(WG_DIMS(24, 16)), type),
                                     wg_cast(wg_randn(WG_DIMS(27)), type),
                                     wg_cast(wg_randn(WG_DIMS(20, 24)), type));
                in.n -= form < 3; /* r */
                compare(&p, in, WG_LIST(wg_cast(wg_randn(WG_DIMS(20, 24)), type)));
                pop(s);
            }
}
END_TEST

/* Batches of several axes, whose outer ones are products of their own: the last ones by the library's kernel, the first ones
 * not (emulated; on a device cuBLASLt takes them all). Nothing is added twice: compare() adds gradients where they lie. */
static void by_parts(void *self, wg_list in, wg_list out)
{
    out.t[0] = *(int *)self ? wg_linear(wg_transpose(in.t[0], 0, 2), in.t[1], in.t[2])
                            : wg_matmul(in.t[0], in.t[1]);
}

static void compare_by_parts(int linear, int declined)
{
    char what[64], from[16];
    snprintf(what, sizeof what, "%s, declined from product %d on", linear ? "linear" : "matmul",
             declined);
    snprintf(from, sizeof from, "%d", declined);
    const problem p = { what, by_parts, &linear, 1, 1e-5 };
    wg_scope s = wg_scope_push();
    setenv("WG_EMULATED_DECLINES", from, 1);
    if (linear)
        compare(
            &p,
            WG_LIST(wg_randn(WG_DIMS(4, 3, 2, 5)), wg_randn(WG_DIMS(6, 5)), wg_randn(WG_DIMS(6))),
            WG_LIST(wg_randn(WG_DIMS(2, 3, 4, 6))));
    else
        compare(&p, WG_LIST(wg_randn(WG_DIMS(3, 2, 4, 5)), wg_randn(WG_DIMS(2, 5, 6))),
                WG_LIST(wg_randn(WG_DIMS(3, 2, 4, 6))));
    unsetenv("WG_EMULATED_DECLINES");
    pop(s);
}

START_TEST(a_product_that_is_declined_in_its_midst_is_added_once)
{
    if (no_device()) return;
    for (int linear = 0; linear < 2; linear++)
        for (int declined = 1; declined < 24; declined++) compare_by_parts(linear, declined);
}
END_TEST

/* f32 parameters under autocast: weights' gradients are f32 sums of 16-bit operands, added where the gradients lie, and the
 * biases' come with them. */
static void mlp_in_bf16(void *self, wg_list in, wg_list out)
{
    wg_scope s = wg_scope_push();
    wg_use_autocast(WG_BF16);
    mlp(self, in, out);
    out.t[0] = wg_scope_return(s, out.t[0]);
}

START_TEST(gradients_of_f32_parameters_under_autocast_are_those_of_the_cpu)
{
    if (no_device()) return;
    for (int act = 0; act < 4; act++)
        for (int odd = 0; odd < 2; odd++) {
            wg_scope s = wg_scope_push();
            const int64_t rows = 40, in = odd ? 7 : 16, hidden = odd ? 33 : 64, out = odd ? 5 : 24;
            wg_activation a = (wg_activation)act;
            const problem p = { "autocast", mlp_in_bf16, &a, 1, 3.2e-2 };
            compare(
                &p,
                WG_LIST(wg_randn(WG_DIMS(2, rows / 2, in)),
                        wg_affine(wg_randn(WG_DIMS(hidden, in)), 0.3, 0), wg_randn(WG_DIMS(hidden)),
                        wg_affine(wg_randn(WG_DIMS(out, hidden)), 0.3, 0), wg_randn(WG_DIMS(out))),
                WG_LIST(wg_randn(WG_DIMS(2, rows / 2, out))));
            pop(s);
        }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_row_that_fits_has_a_thread_for_every_element,
        a_product_is_named_by_all_that_its_algorithm_depends_on,
        slots_hold_what_was_kept_under_its_own_key,
        alignment_is_the_largest_that_all_addresses_have,
        epilogues_are_taken_only_where_cublaslt_has_them,
        norms_of_every_length_are_those_of_the_cpu,
        norms_of_rows_at_any_place_are_those_of_the_cpu,
        norms_of_numbers_far_from_zero_are_right,
        linear_layers_and_their_activations_are_those_of_the_cpu,
        a_bias_at_any_address_is_added,
        a_product_that_is_declined_in_its_midst_is_added_once,
        gradients_of_f32_parameters_under_autocast_are_those_of_the_cpu,
        NULL,
    };
    return suite_run("cuda fused", tests);
}
