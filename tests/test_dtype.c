/* Dtypes: conversions, exhaustively for the 16-bit floats; promotion. */
#include <math.h>

#include "suite.h"
#include "tensor/internal.h"

static double value_of(int h, int exponent_bits,
                       int fraction_bits) /* by the definition of IEEE 754 */
{
    int fraction = h & ((1 << fraction_bits) - 1),
        exponent = h >> fraction_bits & ((1 << exponent_bits) - 1);
    int bias = (1 << (exponent_bits - 1)) - 1;
    double sign = h & 0x8000 ? -1 : 1, scale = ldexp(1, -fraction_bits);
    if (exponent == (1 << exponent_bits) - 1) return fraction ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * ldexp(fraction * scale, 1 - bias);
    return sign * ldexp(1 + fraction * scale, exponent - bias);
}

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

START_TEST(every_16_bit_float_has_its_value_and_comes_back)
{
    for (int h = 0; h < 65536; h++) {
        float f = wgi_f16_to_f32((uint16_t)h), b = wgi_bf16_to_f32((uint16_t)h);
        ck_assert_msg(same(f, value_of(h, 5, 10)), "f16 %04x is %g", h, f);
        ck_assert_msg(same(b, value_of(h, 8, 7)), "bf16 %04x is %g", h, b);
        if (isnan(f))
            ck_assert_msg(isnan(wgi_f16_to_f32(wgi_f32_to_f16(f))), "f16 nan %04x", h);
        else
            ck_assert_msg(wgi_f32_to_f16(f) == h, "f16 %04x -> %g -> %04x", h, f,
                          wgi_f32_to_f16(f));
        if (isnan(b))
            ck_assert_msg(isnan(wgi_bf16_to_f32(wgi_f32_to_bf16(b))), "bf16 nan %04x", h);
        else
            ck_assert_msg(wgi_f32_to_bf16(b) == h, "bf16 %04x -> %g -> %04x", h, b,
                          wgi_f32_to_bf16(b));
    }
}
END_TEST

/* Halfway between two neighbours goes to the even one; next to it to the nearer one. */
static void check_rounding(int low, double (*value)(int h), uint16_t (*narrow)(float f),
                           int infinity)
{
    double a = value(low), b = low + 1 == infinity ? 2 * a - value(low - 1) : value(low + 1);
    float middle = (float)((a + b) / 2);
    int even = low % 2 ? low + 1 : low;
    for (int sign = 0; sign < 2; sign++) {
        float s = sign ? -1.f : 1.f;
        int bit = sign << 15;
        ck_assert_msg(narrow(s * middle) == (even | bit), "%04x: middle %a -> %04x", low,
                      s * middle, narrow(s * middle));
        ck_assert_msg(narrow(s * nextafterf(middle, 0)) == (low | bit), "%04x: below", low);
        ck_assert_msg(narrow(s * nextafterf(middle, INFINITY)) == ((low + 1) | bit), "%04x: above",
                      low);
    }
}

static double f16_value(int h)
{
    return value_of(h, 5, 10);
}
static double bf16_value(int h)
{
    return value_of(h, 8, 7);
}

START_TEST(rounding_is_to_nearest_even_between_all_neighbours)
{
    for (int h = 0; h < 0x7c00; h++) check_rounding(h, f16_value, wgi_f32_to_f16, 0x7c00);
    for (int h = 0; h < 0x7f7f; h++) check_rounding(h, bf16_value, wgi_f32_to_bf16, 0x7f80);
    ck_assert_uint_eq(wgi_f32_to_bf16(3.4e38f), 0x7f80); /* beyond half an ulp above the largest */
    ck_assert_uint_eq(wgi_f32_to_f16(65519.996f), 0x7bff);
    ck_assert_uint_eq(wgi_f32_to_f16(65520.f), 0x7c00);
    ck_assert_uint_eq(wgi_f32_to_f16(INFINITY), 0x7c00);
    ck_assert_uint_eq(wgi_f32_to_bf16(-INFINITY), 0xff80);
}
END_TEST

START_TEST(doubles_are_rounded_once_to_16_bits)
{
    uint16_t h;
    double v = 1 + ldexp(1, -11) + ldexp(1, -40); /* f32 would round it to the middle of two f16 */
    wgi_store(&h, WG_F16, v);
    ck_assert_uint_eq(h, 0x3c01);
    wgi_convert(&h, WG_F16, &v, WG_F64, 1);
    ck_assert_uint_eq(h, 0x3c01);
    v = -(1 + ldexp(1, -8) + ldexp(1, -50));
    wgi_convert(&h, WG_BF16, &v, WG_F64, 1);
    ck_assert_uint_eq(h, 0xbf81);
    v = ldexp(1, -25) + ldexp(1, -70);
    wgi_convert(&h, WG_F16, &v, WG_F64, 1);
    ck_assert_uint_eq(h, 1);
    v = 1e300;
    wgi_convert(&h, WG_BF16, &v, WG_F64, 1);
    ck_assert_uint_eq(h, 0x7f80);
}
END_TEST

/* What C says, kept within the target's range. */
static double expected(double v, wg_dtype to)
{
    static const double least[] = { [WG_I64] = -0x1p63, [WG_I32] = -0x1p31, [WG_U8] = 0 };
    static const double most[] = { [WG_I64] = 0x1p63, [WG_I32] = 0x1p31 - 1, [WG_U8] = 255 };
    if (to == WG_BOOL) return v != 0;
    if (wg_dtype_is_float(to)) return v;
    if (isnan(v)) return 0;
    return v < least[to] ? least[to] : v > most[to] ? most[to] : trunc(v);
}

START_TEST(every_pair_of_dtypes_converts_in_bulk_as_it_does_singly)
{
    enum { N = 67 };
    for (int from = WG_F64; from < WG_DTYPE_COUNT; from++)
        for (int to = WG_F64; to < WG_DTYPE_COUNT; to++) {
            _Alignas(8) char x[N * 8], y[N * 8], one[8];
            for (int i = 0; i < N; i++)
                wgi_store(x + i * (int)wgi_dtype_bytes[from], (wg_dtype)from,
                          i % 2 ? -i * 0.75 : i * 3.5);
            wgi_convert(y, (wg_dtype)to, x, (wg_dtype)from, N);
            for (int i = 0; i < N; i++) {
                const char *p = x + i * (int)wgi_dtype_bytes[from];
                bool ints = !wgi_is_float(from) && !wgi_is_float(to);
                if (ints)
                    wgi_store_int(one, (wg_dtype)to, wgi_load_int(p, (wg_dtype)from));
                else
                    wgi_store(one, (wg_dtype)to, wgi_load(p, (wg_dtype)from));
                ck_assert_msg(memcmp(one, y + i * (int)wgi_dtype_bytes[to], wgi_dtype_bytes[to]) ==
                                  0,
                              "%s -> %s: element %d (%g) became %g", wg_dtype_name((wg_dtype)from),
                              wg_dtype_name((wg_dtype)to), i, wgi_load(p, (wg_dtype)from),
                              wgi_load(y + i * (int)wgi_dtype_bytes[to], (wg_dtype)to));
            }
        }
}
END_TEST

START_TEST(floats_to_integers_truncate_and_saturate_and_nan_is_0)
{
    static const double v[] = {
        0,    -0.9,  0.9,  255.5, 256,   -1,  2147483646.5, 2147483648.0, -2147483648.9,
        1e10, -1e10, 1e19, -1e19, 1e300, NAN, INFINITY,     -INFINITY,    9007199254740993.0
    };
    const wg_dtype ints[] = { WG_I64, WG_I32, WG_U8, WG_BOOL };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        for (int k = 0; k < 4; k++) {
            int64_t single = 0, bulk = 0;
            wgi_store(&single, ints[k], v[i]);
            wgi_convert(&bulk, ints[k], &v[i], WG_F64, 1);
            double want = isnan(v[i]) && ints[k] == WG_BOOL ? 1 : expected(v[i], ints[k]);
            ck_assert_msg(wgi_load(&single, ints[k]) == want, "%g to %s: %g", v[i],
                          wg_dtype_name(ints[k]), wgi_load(&single, ints[k]));
            ck_assert_msg(single == bulk, "%g to %s in bulk: %g", v[i], wg_dtype_name(ints[k]),
                          wgi_load(&bulk, ints[k]));
        }
    ck_assert_int_eq(wgi_load_int(&(double) { 1e30 }, WG_F64), INT64_MAX);
}
END_TEST

START_TEST(dtypes_promote_to_the_wider_within_the_higher_category)
{
    static const wg_dtype t[][3] = {
        { WG_F32, WG_F64, WG_F64 },    { WG_BF16, WG_F16, WG_F32 },   { WG_BF16, WG_F32, WG_F32 },
        { WG_F16, WG_F64, WG_F64 },    { WG_I64, WG_BF16, WG_BF16 },  { WG_BOOL, WG_F16, WG_F16 },
        { WG_U8, WG_I32, WG_I32 },     { WG_I32, WG_I64, WG_I64 },    { WG_BOOL, WG_U8, WG_U8 },
        { WG_BOOL, WG_BOOL, WG_BOOL }, { WG_BF16, WG_BF16, WG_BF16 },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        ck_assert_int_eq(wgi_promote_dtypes(t[i][0], t[i][1]), t[i][2]);
        ck_assert_int_eq(wgi_promote_dtypes(t[i][1], t[i][0]), t[i][2]);
    }
}
END_TEST

static wg_tensor *zeros_of(wg_dtype t, wg_dims shape)
{
    wg_tensor *x = wgi_tensor_new(wgi_ctx(), t, wg_cpu(), shape);
    memset(wgi_data(x), 0, (size_t)x->numel * wgi_dtype_bytes[t]);
    return x;
}

static wg_dtype promoted(const wg_tensor *x, const wg_tensor *y)
{
    wg_dtype a = 0, b = 0;
    ck_assert_int_eq(wgi_promote(x, y, &a), WG_OK);
    ck_assert_int_eq(wgi_promote(y, x, &b), WG_OK);
    ck_assert_int_eq(a, b);
    return a;
}

START_TEST(scalars_and_0_d_tensors_do_not_widen)
{
    wg_scope s = wg_scope_push();
    wg_tensor *half = zeros_of(WG_BF16, WG_DIMS(3)), *ints = zeros_of(WG_I64, WG_DIMS(3));
    wg_tensor *bools = zeros_of(WG_BOOL, WG_DIMS(2)), *zero_d = zeros_of(WG_F64, WG_DIMS());
    ck_assert_int_eq(promoted(half, zero_d), WG_BF16);
    ck_assert_int_eq(promoted(ints, zero_d), WG_F64);
    ck_assert_int_eq(promoted(half, zeros_of(WG_I64, WG_DIMS())), WG_BF16);
    ck_assert_int_eq(promoted(zero_d, zeros_of(WG_F32, WG_DIMS())), WG_F64);
    wg_tensor *weak = zeros_of(WG_F64, WG_DIMS());
    weak->flags |= WGI_WEAK;
    *(double *)wgi_data(weak) = 2;
    ck_assert_int_eq(promoted(half, weak), WG_BF16);
    ck_assert_int_eq(promoted(ints, weak), WG_I64);
    ck_assert_int_eq(promoted(bools, weak), WG_I64);
    *(double *)wgi_data(weak) = 1;
    ck_assert_int_eq(promoted(bools, weak), WG_BOOL);
    *(double *)wgi_data(weak) = 0.5;
    wg_dtype t;
    ck_assert_int_eq(wgi_promote(ints, weak, &t), WG_EDTYPE);
    expect_error(WG_EDTYPE, "the scalar 0.5 with a tensor of i64");
    pop(s);
}
END_TEST

START_TEST(names_and_sizes)
{
    ck_assert_str_eq(wg_dtype_name(WG_BF16), "bf16");
    ck_assert_uint_eq(wg_dtype_size(WG_I64), 8);
    ck_assert_uint_eq(wg_dtype_size(WG_BOOL), 1);
    ck_assert_uint_eq(wg_dtype_size((wg_dtype)0), 0);
    ck_assert_uint_eq(wg_dtype_size((wg_dtype)-1), 0);
    ck_assert_uint_eq(wg_dtype_size(WG_DTYPE_COUNT), 0);
    ck_assert_str_eq(wg_dtype_name((wg_dtype)77), "no dtype");
    ck_assert(wg_dtype_is_float(WG_F16) && !wg_dtype_is_float(WG_I32) &&
              !wg_dtype_is_float((wg_dtype)0));
}
END_TEST

int main(void)
{
    return suite_run(
        "dtype", (const TTest *[]) { every_16_bit_float_has_its_value_and_comes_back,
                                     rounding_is_to_nearest_even_between_all_neighbours,
                                     doubles_are_rounded_once_to_16_bits,
                                     every_pair_of_dtypes_converts_in_bulk_as_it_does_singly,
                                     floats_to_integers_truncate_and_saturate_and_nan_is_0,
                                     dtypes_promote_to_the_wider_within_the_higher_category,
                                     scalars_and_0_d_tensors_do_not_widen, names_and_sizes, NULL });
}
