/* Elementwise kernels: accuracy of the f32 formulas, special values, the
 * iterator over strides and dtypes against plain loops. The registry's tests (test_ops) hold the
 * rows to their references and gradients. */
#include <math.h>
#include <stdlib.h>

#include "cpu/convert.h"
#include "cpu/elementwise.h"
#include "suite.h"
#include "tensor/internal.h"
#include "tensor/philox.h"

/* The tables of the levels that this CPU can run. */
static int levels(const wgi_elementwise_kernels **k)
{
    int n = 0;
    k[n++] = &wgi_elementwise_kernels_base;
#if defined(__x86_64__)
    if (wgi_cpu_level() >= WGI_LEVEL_AVX2) k[n++] = &wgi_elementwise_kernels_avx2;
    if (wgi_cpu_level() >= WGI_LEVEL_AVX512) k[n++] = &wgi_elementwise_kernels_avx512;
#endif
    return n;
}

/* ---- accuracy ---- */

static long double exact_sigmoid(long double x)
{
    return 1 / (1 + expl(-x));
}
static long double exact_silu(long double x)
{
    return x / (1 + expl(-x));
}
static long double exact_softplus(long double x)
{
    return x > 80 ? x : log1pl(expl(x));
}
static long double exact_rsqrt(long double x)
{
    return 1 / sqrtl(x);
}
static long double exact_gelu(long double x)
{
    return x / 2 * erfcl(-x / sqrtl(2));
}
static long double exact_gelu_tanh(long double x)
{
    return x / (1 + expl(-2 * sqrtl(2 / acosl(-1)) * (x + 0.044715L * x * x * x)));
}

typedef struct {
    wgi_formula formula;
    const char *name;
    long double (*exact)(long double);
    float low, high;
    double ulp;      /* the bound stated in the header, with the baseline's extra rounding */
    double relative; /* or: error over |x|; 0: by ulp */
} bound;

static const bound bounds[] = {
    { WGI_FORMULA_exp, "exp", expl, -104, 89, 1.1, 0 },
    { WGI_FORMULA_expm1, "expm1", expm1l, -104, 89, 1.6, 0 },
    { WGI_FORMULA_log, "log", logl, 0, INFINITY, 0.85, 0 },
    { WGI_FORMULA_log1p, "log1p", log1pl, -1, INFINITY, 0.95, 0 },
    { WGI_FORMULA_sqrt, "sqrt", sqrtl, 0, INFINITY, 0.5, 0 },
    { WGI_FORMULA_rsqrt, "rsqrt", exact_rsqrt, 0, INFINITY, 1.5, 0 },
    { WGI_FORMULA_sin, "sin", sinl, -1e6f, 1e6f, 1, 0 },
    { WGI_FORMULA_cos, "cos", cosl, -1e6f, 1e6f, 1, 0 },
    { WGI_FORMULA_tanh, "tanh", tanhl, -20, 20, 1.3, 0 },
    { WGI_FORMULA_erf, "erf", erfl, -12, 12, 1.3, 0 },
    { WGI_FORMULA_sigmoid, "sigmoid", exact_sigmoid, -87, 100, 2.3, 0 },
    { WGI_FORMULA_silu, "silu", exact_silu, -87, 100, 2.8, 0 },
    { WGI_FORMULA_softplus, "softplus", exact_softplus, -87, INFINITY, 1.7, 0 },
    { WGI_FORMULA_gelu, "gelu, to -12", exact_gelu, -12, 20, 6.5, 0 },
    { WGI_FORMULA_gelu, "gelu", exact_gelu, -1e4f, 1e4f, 0, 2e-7 },
    { WGI_FORMULA_gelu_tanh, "gelu_tanh", exact_gelu_tanh, -1e3f, 1e3f, 0, 2e-7 },
};

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Distance in units of the last place of the exact result; denormals share the smallest unit. */
static double ulps(float got, long double exact)
{
    int e;
    frexpl(exact, &e);
    long double unit = ldexpl(1, e < -125 ? -149 : e - 24);
    if (isinf(got) && fabsl(exact) >= 0x1.ffffffp127L) return 0;
    return (double)(fabsl((long double)got - exact) / unit);
}

static double error_of(const bound *b, float x, float y)
{
    long double exact = b->exact(x);
    if (b->relative == 0) return ulps(y, exact) / b->ulp;
    /* 2^-149 is what a denormal result may lose */
    long double allowed = fabsl((long double)x) * (long double)b->relative + 0x1p-149L;
    return (double)(fabsl((long double)y - exact) / allowed);
}

static void check_bound(const bound *b, const wgi_elementwise_kernels *k, int level)
{
    float x[512], y[512], at = 0;
    const void *in[] = { x };
    double worst = 0;
    for (uint64_t bits = 0; bits <= UINT32_MAX;) { /* steps by a prime through all floats */
        int n = 0;
        for (; n < 512 && bits <= UINT32_MAX; bits += 100003) {
            float f = float_of((uint32_t)bits);
            if (f >= b->low && f <= b->high && isfinite(f)) x[n++] = f;
        }
        k->f32[b->formula](y, in, n, &(wgi_numbers) { 0 });
        for (int i = 0; i < n; i++) {
            double e = error_of(b, x[i], y[i]);
            if (e <= worst) continue;
            worst = e;
            at = x[i];
        }
    }
    ck_assert_msg(worst <= 1, "%s, level %d: %.3g of its bound at %.9g", b->name, level, worst, at);
}

START_TEST(f32_formulas_keep_their_bounds_over_all_floats_at_every_level)
{
    const wgi_elementwise_kernels *k[3];
    int n = levels(k);
    for (int l = 0; l < n; l++)
        for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
            check_bound(&bounds[i], k[l], l);
}
END_TEST

typedef struct {
    wgi_formula formula;
    const char *name;
    double x, y;
} special;

static const special specials[] = {
    { WGI_FORMULA_exp, "exp", INFINITY, INFINITY },
    { WGI_FORMULA_exp, "exp", -INFINITY, 0 },
    { WGI_FORMULA_exp, "exp", 0, 1 },
    { WGI_FORMULA_exp, "exp", 88.73, INFINITY },
    { WGI_FORMULA_exp, "exp", -104, 0 },
    { WGI_FORMULA_expm1, "expm1", INFINITY, INFINITY },
    { WGI_FORMULA_expm1, "expm1", -INFINITY, -1 },
    { WGI_FORMULA_expm1, "expm1", -0.0, -0.0 },
    { WGI_FORMULA_expm1, "expm1", 0x1p-140, 0x1p-140 },
    { WGI_FORMULA_log, "log", 0, -INFINITY },
    { WGI_FORMULA_log, "log", -0.0, -INFINITY },
    { WGI_FORMULA_log, "log", -1, NAN },
    { WGI_FORMULA_log, "log", 1, 0 },
    { WGI_FORMULA_log, "log", INFINITY, INFINITY },
    { WGI_FORMULA_log, "log", -INFINITY, NAN },
    { WGI_FORMULA_log1p, "log1p", -1, -INFINITY },
    { WGI_FORMULA_log1p, "log1p", -1.5, NAN },
    { WGI_FORMULA_log1p, "log1p", -0.0, -0.0 },
    { WGI_FORMULA_log1p, "log1p", INFINITY, INFINITY },
    { WGI_FORMULA_tanh, "tanh", INFINITY, 1 },
    { WGI_FORMULA_tanh, "tanh", -INFINITY, -1 },
    { WGI_FORMULA_tanh, "tanh", -0.0, -0.0 },
    { WGI_FORMULA_erf, "erf", INFINITY, 1 },
    { WGI_FORMULA_erf, "erf", -INFINITY, -1 },
    { WGI_FORMULA_erf, "erf", -0.0, -0.0 },
    { WGI_FORMULA_sigmoid, "sigmoid", -INFINITY, 0 },
    { WGI_FORMULA_sigmoid, "sigmoid", INFINITY, 1 },
    { WGI_FORMULA_silu, "silu", -INFINITY, -0.0 },
    { WGI_FORMULA_silu, "silu", INFINITY, INFINITY },
    { WGI_FORMULA_softplus, "softplus", -INFINITY, 0 },
    { WGI_FORMULA_softplus, "softplus", INFINITY, INFINITY },
    { WGI_FORMULA_gelu, "gelu", -INFINITY, -0.0 },
    { WGI_FORMULA_gelu, "gelu", INFINITY, INFINITY },
    { WGI_FORMULA_gelu_tanh, "gelu_tanh", -INFINITY, -0.0 },
    { WGI_FORMULA_gelu_tanh, "gelu_tanh", INFINITY, INFINITY },
    { WGI_FORMULA_relu, "relu", -INFINITY, 0 },
    { WGI_FORMULA_sign, "sign", -0.0, 0 },
    { WGI_FORMULA_round, "round", 2.5, 2 },
    { WGI_FORMULA_round, "round", -3.5, -4 },
    { WGI_FORMULA_round, "round", 0.5, 0 },
    { WGI_FORMULA_abs, "abs", -0.0, 0 },
};

static bool same(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b && !signbit(a) == !signbit(b);
}

START_TEST(special_values_follow_c_in_both_types_at_every_level)
{
    const wgi_elementwise_kernels *k[3];
    const wgi_numbers none = { 0 };
    int n = levels(k);
    for (int l = 0; l < n; l++) {
        for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
            const special *s = &specials[i];
            /* 32 copies: the vector loop and not only its remainder */
            float x[33], y[33];
            for (int j = 0; j < 33; j++) x[j] = (float)s->x;
            k[l]->f32[s->formula](y, (const void *[]) { x }, 33, &none);
            for (int j = 0; j < 33; j += 16)
                ck_assert_msg(same(y[j], s->y), "%s(%g) f32 level %d [%d]: %g, not %g", s->name,
                              s->x, l, j, y[j], s->y);
            double xd = s->x, yd;
            bool f32_only = s->x == 88.73 || s->x == -104;
            if (f32_only) continue;
            k[l]->f64[s->formula](&yd, (const void *[]) { &xd }, 1, &none);
            ck_assert_msg(same(yd, s->y), "%s(%g) f64: %g, not %g", s->name, s->x, yd, s->y);
        }
        for (int f = 0; f < WGI_FORMULA_abs_backward; f++) { /* the unary ones */
            float x[33], y[33];
            for (int j = 0; j < 33; j++) x[j] = NAN;
            k[l]->f32[f](y, (const void *[]) { x }, 33, &(wgi_numbers) { .a = 0.5, .b = 1 });
            if (f != WGI_FORMULA_sign)
                ck_assert_msg(isnan(y[0]) && isnan(y[32]), "formula %d loses a NaN", f);
        }
    }
}
END_TEST

/* ---- conversions ---- */

START_TEST(every_pair_of_dtypes_converts_as_the_tensor_room_does)
{
    static const double values[] = { 0,        -0.0,      1,           -1,   0.5,   2.5,   -3.99,
                                     127,      128,       255,         256,  -129,  65504, 65519,
                                     65520,    1e-7,      6e-8,        1e5,  -1e10, 3e9,   0x1p53,
                                     0x1p63,   1e19,      -1e19,       1e38, 1e39,  1e300, NAN,
                                     INFINITY, -INFINITY, 1.0009765625 };
    enum { N = sizeof values / sizeof *values };
    for (int from = WG_F64; from < WG_DTYPE_COUNT; from++) {
        double source[N], got[N], want[N];
        wgi_convert(source, (wg_dtype)from, values, WG_F64, N);
        for (int to = WG_F64; to < WG_DTYPE_COUNT; to++) {
            memset(got, 0, sizeof got);
            memset(want, 0, sizeof want);
            wgi_converter((wg_dtype)to, (wg_dtype)from)(got, source, N);
            wgi_convert(want, (wg_dtype)to, source, (wg_dtype)from, N);
            for (int i = 0; i < N; i++) {
                size_t at = (size_t)i * wg_dtype_size((wg_dtype)to);
                double g = wgi_load((char *)got + at, (wg_dtype)to);
                double w = wgi_load((char *)want + at, (wg_dtype)to);
                ck_assert_msg(same(g, w), "%s to %s of %g: %g, not %g",
                              wg_dtype_name((wg_dtype)from), wg_dtype_name((wg_dtype)to), values[i],
                              g, w);
            }
        }
    }
}
END_TEST

/* ---- the iterator ---- */

static uint64_t state = 1;

static int64_t pick(int64_t n) /* 0 .. n - 1 */
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((state >> 33) % (uint64_t)n);
}

/* A view of this shape (or one that broadcasts to it) in a random layout, filled with small
 * integers, which every dtype and every order of summation holds exactly. */
static wg_tensor *operand(wg_dims shape, wg_dtype t, bool may_broadcast)
{
    wg_dims own = shape, axes = shape, larger;
    if (may_broadcast)
        for (int i = 0; i < own.n; i++)
            if (pick(4) == 0) own.d[i] = 1;
    for (int i = 0; i < axes.n; i++) axes.d[i] = i;
    for (int i = axes.n - 1; i > 0; i--) { /* a random order in memory */
        int j = pick(2) ? i : (int)pick(i + 1);
        int64_t a = axes.d[i];
        axes.d[i] = axes.d[j];
        axes.d[j] = a;
    }
    larger = own;
    for (int i = 0; i < own.n; i++) larger.d[axes.d[i]] = own.d[i] + (pick(3) == 0);
    wg_tensor *x = wg_permute(wg_empty(larger, t), axes);
    for (int i = 0; i < own.n; i++) x = wg_narrow(x, i, 0, own.d[i]);
    if (may_broadcast && pick(3) == 0) x = wg_expand(x, shape);
    ck_assert(!wg_is_error(x));
    for (size_t i = 0; i < x->storage->bytes / wg_dtype_size(t); i++)
        wgi_store((char *)x->storage->data + i * wg_dtype_size(t), t,
                  (double)(t == WG_BOOL ? pick(2) : pick(7)));
    while (may_broadcast && x->ndim > 0 && x->shape[0] == 1 && pick(2)) x = wg_select(x, 0, 0);
    return x;
}

static char *element(const wg_tensor *x, const wg_dims *shape, int64_t i)
{
    int64_t offset = 0;
    for (int d = shape->n - 1; d >= 0; d--) {
        int e = d - (shape->n - x->ndim);
        int64_t at = i % shape->d[d];
        if (e >= 0 && x->shape[e] != 1) offset += at * x->strides[e];
        i /= shape->d[d];
    }
    return (char *)wgi_data(x) + offset * (int64_t)wg_dtype_size((wg_dtype)x->dtype);
}

static double value(const wg_tensor *x, const wg_dims *shape, int64_t i)
{
    return wgi_load(element(x, shape, i), (wg_dtype)x->dtype);
}

static wg_dims random_shape(void)
{
    static const int64_t sizes[] = { 1, 2, 3, 5, 17, 64, 65, 130, 1100 };
    wg_dims s = WG_DIMS();
    int n = (int)pick(5);
    for (int64_t total = 1; s.n < n;) {
        int64_t d = sizes[pick(total > 500 ? 2 : total > 20 ? 5 : 9)];
        if (pick(40) == 0) d = 0;
        s.d[s.n++] = d;
        total *= d ? d : 1;
    }
    return s;
}

static void check_case(int round)
{
    static const wg_dtype types[] = { WG_F64, WG_F32, WG_BF16, WG_F16,
                                      WG_I64, WG_I32, WG_U8,   WG_BOOL };
    static const wg_dtype outs[] = { WG_F64, WG_F32, WG_BF16, WG_I64, WG_I32 };
    wg_scope s = wg_scope_push();
    wg_dims shape = random_shape();
    bool accumulate = pick(2), plain = pick(4) == 0;
    wg_dtype to = outs[pick(5)], compute = wgi_compute_dtype(to);
    wg_tensor *x = operand(shape, plain ? to : types[pick(8)], true);
    wg_tensor *y = pick(8) ? operand(shape, plain ? to : types[pick(8)], true) : wg_scalar(3);
    wg_tensor *z = pick(2) ? operand(shape, to, false) : wg_empty(shape, to);
    wg_tensor *old = wg_empty(shape, WG_F64);
    for (int64_t i = 0; i < z->numel; i++) {
        wgi_store(element(z, &shape, i), to, (double)pick(5));
        ((double *)wgi_data(old))[i] = value(z, &shape, i);
    }
    wgi_loop loop = wgi_formula_loop(pick(2) ? WGI_FORMULA_add : WGI_FORMULA_mul, compute);
    bool add = loop.fn == wgi_formula_loop(WGI_FORMULA_add, compute).fn;
    loop.grain = pick(2) ? 100 : 0; /* also in parallel */
    wgi_elementwise(&loop, z, 2, (wg_tensor *[]) { x, y }, NULL, accumulate);
    for (int64_t i = 0; i < z->numel; i++) {
        double a = value(x, &shape, i), b = value(y, &shape, i), got = value(z, &shape, i);
        double want = (add ? a + b : a * b) + (accumulate ? ((double *)wgi_data(old))[i] : 0);
        ck_assert_msg(got == want, "round %d, element %lld: %g, not %g", round, (long long)i, got,
                      want);
    }
    pop(s);
}

START_TEST(any_strides_dtypes_broadcasts_and_places_give_what_plain_loops_give)
{
    int threads = wg_threads();
    wg_use_threads(3);
    for (int round = 0; round < 2000; round++) {
        state = (uint64_t)round * 7919 + 1;
        check_case(round);
    }
    wg_use_threads(threads);
}
END_TEST

START_TEST(what_lies_between_the_elements_of_a_strided_result_stays)
{
    wg_scope s = wg_scope_push();
    wg_tensor *whole = wg_full(WG_DIMS(200, 3), 7), *column = wg_narrow(whole, 1, 1, 1);
    wg_tensor *one = wg_ones(WG_DIMS(200, 1));
    wgi_loop loop = wgi_formula_loop(WGI_FORMULA_add, WG_F32);
    wgi_elementwise(&loop, column, 2, (wg_tensor *[]) { one, one }, NULL, false);
    const float *p = wg_data(whole);
    for (int i = 0; i < 600; i++) ck_assert(p[i] == (i % 3 == 1 ? 2 : 7));
    pop(s);
}
END_TEST

START_TEST(large_passes_give_the_same_bits_on_one_thread_and_on_many)
{
    wg_scope s = wg_scope_push();
    wg_seed(3);
    wg_tensor *x = wg_randn(WG_DIMS(301, 1003)), *y = wg_randn(WG_DIMS(1003));
    int threads = wg_threads();
    wg_use_threads(1);
    wg_tensor *one = wg_gelu(wg_mul(x, y), false);
    wg_use_threads(4);
    wg_tensor *four = wg_gelu(wg_mul(x, y), false);
    wg_use_threads(threads);
    ck_assert(memcmp(wg_data(one), wg_data(four), (size_t)one->numel * 4) == 0);
    pop(s);
}
END_TEST

/* ---- dtypes, integers, kinks ---- */

static double first(wg_tensor *t)
{
    return wgi_load(wgi_data(t), (wg_dtype)t->dtype);
}

static wg_tensor *integer(int64_t v, wg_dtype t)
{
    return wg_cast(wg_from(&v, sizeof v, WG_I64, WG_DIMS(1)), t);
}

START_TEST(integers_divide_as_in_python_and_wrap_around)
{
    static const int cases[][4] = {
        { 7, 2, 3, 1 }, { -7, 2, -4, 1 }, { 7, -2, -4, -1 }, { -7, -2, 3, -1 }
    };
    wg_scope s = wg_scope_push();
    for (int i = 0; i < 4; i++) {
        wg_tensor *x = integer(cases[i][0], WG_I32), *y = integer(cases[i][1], WG_I32);
        ck_assert_double_eq(first(wg_floor_divide(x, y)), cases[i][2]);
        ck_assert_double_eq(first(wg_remainder(x, y)), cases[i][3]);
        wg_tensor *a = wg_cast(x, WG_F32), *b = wg_cast(y, WG_F64);
        ck_assert_double_eq(first(wg_floor_divide(a, b)), cases[i][2]);
        ck_assert_double_eq(first(wg_remainder(a, b)), cases[i][3]);
    }
    ck_assert_double_eq(first(wg_add(integer(200, WG_U8), integer(100, WG_U8))), 44);
    ck_assert_double_eq(first(wg_mul(integer(65536, WG_I32), integer(65536, WG_I32))), 0);
    ck_assert_int_eq(wg_item_int(wg_neg(integer(INT64_MIN, WG_I64))), INT64_MIN);
    ck_assert_int_eq(wg_item_int(wg_floor_divide(integer(INT64_MIN, WG_I64), integer(-1, WG_I64))),
                     INT64_MIN);
    ck_assert_double_eq(first(wg_pow(integer(3, WG_I64), wg_scalar(4))), 81);
    ck_assert_double_eq(first(wg_pow(integer(2, WG_I64), integer(-1, WG_I64))), 0);
    ck_assert_double_eq(first(wg_div(integer(7, WG_I64), wg_scalar(2))), 3.5);
    ck_assert_double_eq(first(wg_affine(integer(7, WG_I64), 0.5, 0)), 3.5);
    ck_assert(
        first(wg_lt(integer(INT64_C(1) << 53, WG_I64), integer((INT64_C(1) << 53) + 1, WG_I64))));
    expect_no_error();
    ck_assert(wg_is_error(wg_remainder(integer(1, WG_I64), integer(0, WG_I64))));
    expect_error(WG_EARG, "remainder: integer division by zero");
    ck_assert(wg_is_error(wg_floor_divide(integer(1, WG_I32), wg_scalar(0))));
    expect_error(WG_EARG, "floor_divide: integer division by zero");
    pop(s);
}
END_TEST

START_TEST(results_have_the_promoted_dtype)
{
    wg_scope s = wg_scope_push();
    wg_tensor *i = wg_arange(0, 3), *f = wg_ones(WG_DIMS(3)), *h = wg_cast(f, WG_BF16);
    ck_assert_int_eq(wg_dtype_of(wg_add(i, i)), WG_I64);
    ck_assert_int_eq(wg_dtype_of(wg_add(i, f)), WG_F32);
    ck_assert_int_eq(wg_dtype_of(wg_mul(h, f)), WG_F32);
    ck_assert_int_eq(wg_dtype_of(wg_mul(h, wg_scalar(0.1))), WG_BF16);
    ck_assert_int_eq(wg_dtype_of(wg_div(i, i)), WG_F32);
    ck_assert_int_eq(wg_dtype_of(wg_exp(i)), WG_F32);
    ck_assert_int_eq(wg_dtype_of(wg_relu(i)), WG_I64);
    ck_assert_int_eq(wg_dtype_of(wg_eq(i, f)), WG_BOOL);
    ck_assert_int_eq(wg_dtype_of(wg_where(wg_gt(i, wg_scalar(1)), h, wg_scalar(0))), WG_BF16);
    ck_assert(wg_cast(f, WG_F32) == f && wg_to(f, wg_cpu()) == f);
    expect_no_error();
    ck_assert(wg_is_error(wg_sub(wg_eq(i, i), wg_eq(i, i))));
    expect_error(WG_EDTYPE, "sub: bool has no difference");
    ck_assert(wg_is_error(wg_neg(wg_eq(i, i))));
    expect_error(WG_EDTYPE, "neg: bool has no arithmetic");
    pop(s);
}
END_TEST

/* dx of <1, f(x)> at one point. */
static double slope_of(wg_tensor *(*f)(wg_tensor *), double at)
{
    wg_tensor *x = wg_require_grad(wg_full(WG_DIMS(1), at));
    ck_assert_int_eq(wg_backward(wg_sum(f(x), WG_ALL, false)), WG_OK);
    return first(wg_grad_of(x));
}

static wg_tensor *clamp_to_one(wg_tensor *x)
{
    return wg_clamp(x, -1, 1);
}
static wg_tensor *larger_than_two(wg_tensor *x)
{
    return wg_maximum(x, wg_scalar(2));
}

START_TEST(gradients_at_kinks_are_pytorchs)
{
    wg_scope s = wg_scope_push();
    ck_assert_double_eq(slope_of(wg_relu, 0), 0);
    ck_assert_double_eq(slope_of(wg_abs, 0), 0);
    ck_assert_double_eq(slope_of(clamp_to_one, 1), 1);
    ck_assert_double_eq(slope_of(clamp_to_one, -1), 1);
    ck_assert_double_eq(slope_of(clamp_to_one, 1.5), 0);
    ck_assert_double_eq(slope_of(larger_than_two, 2), 0.5);
    ck_assert_double_eq(slope_of(larger_than_two, 3), 1);
    pop(s);
}
END_TEST

START_TEST(the_second_derivative_of_elu_is_finite_where_the_exponential_is_not)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_full(WG_DIMS(1), 1000)), *dx, *ddx;
    wg_tensor *y = wg_elu(x, 1);
    ck_assert_int_eq(
        wg_grad(WG_LIST(y), WG_LIST(x), WG_NO_LIST, WG_CREATE_GRAPH, ((wg_list) { 1, &dx })),
        WG_OK);
    ck_assert_int_eq(
        wg_grad(WG_LIST(dx), WG_LIST(x), WG_NO_LIST, WG_ALLOW_UNUSED, ((wg_list) { 1, &ddx })),
        WG_OK);
    ck_assert_double_eq(first(dx), 1);
    ck_assert_double_eq(first(ddx), 0);
    pop(s);
}
END_TEST

START_TEST(meta_has_shapes_and_a_missing_device_is_named)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_to(wg_ones(WG_DIMS(2, 3)), wg_meta());
    ck_assert_int_eq(wg_device_of(x).kind, WG_META);
    ck_assert_int_eq(wg_size(wg_mul(x, wg_scalar(2)), 1), 3);
    ck_assert_int_eq(wg_device_of(wg_ones_like(x)).kind, WG_META);
    expect_no_error();
    ck_assert(wg_is_error(wg_to(x, wg_cpu())));
    expect_error(WG_EDEVICE, "to: a tensor on meta has no data");
    wg_use_device(wg_meta());
    ck_assert_int_eq(wg_device_of(wg_randn(WG_DIMS(4))).kind, WG_META);
    pop(s);
}
END_TEST

int main(void)
{
    return suite_run(
        "elementwise",
        (const TTest *[]) { f32_formulas_keep_their_bounds_over_all_floats_at_every_level,
                            special_values_follow_c_in_both_types_at_every_level,
                            every_pair_of_dtypes_converts_as_the_tensor_room_does,
                            any_strides_dtypes_broadcasts_and_places_give_what_plain_loops_give,
                            what_lies_between_the_elements_of_a_strided_result_stays,
                            large_passes_give_the_same_bits_on_one_thread_and_on_many,
                            integers_divide_as_in_python_and_wrap_around,
                            results_have_the_promoted_dtype, gradients_at_kinks_are_pytorchs,
                            the_second_derivative_of_elu_is_finite_where_the_exponential_is_not,
                            meta_has_shapes_and_a_missing_device_is_named, NULL });
}
