/* What the interpreter of PTX calculates is what the host does. */
#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "ptx_suite.h"

#include "exact.h"

namespace
{

template <class T> T as(uint64_t bits)
{
    T v;
    std::memcpy(&v, &bits, sizeof v);
    return v;
}
template <class T> uint64_t bits_of(T v)
{
    uint64_t bits = 0;
    std::memcpy(&bits, &v, sizeof v);
    return bits;
}

/* What the host calculates of one triple, in the order of faults.cu. */
struct wanted {
    const char *name;
    uint64_t bits;
    unsigned bytes;
    bool floating;
    double ulps; /* that it may be off */
};
class rows
{
  public:
    std::vector<wanted> all;
    template <class T> void operator()(const char *name, T v, double ulps = 0)
    {
        all.push_back({ name, bits_of(v), sizeof v, std::is_floating_point_v<T>, ulps });
    }
};

template <class T> double distance(uint64_t got, uint64_t want)
{
    const T g = as<T>(got), w = as<T>(want);
    if (g != g || w != w) return g != g && w != w ? 0 : INFINITY;
    if (got == want) return 0;
    if (std::isinf(g) || std::isinf(w)) return INFINITY;
    const int least = std::numeric_limits<T>::min_exponent;
    const int e = w == 0 ? least : std::max(std::ilogb(w) + 1, least);
    const T ulp = std::ldexp(T(1), e - std::numeric_limits<T>::digits);
    const T off = std::fabs(g - w) / ulp;
    return off == 0 ? 0.25 : double(off); /* zeros of two signs */
}
bool is_within(const wanted &w, uint64_t got)
{
    if (!w.floating) return got == w.bits;
    return (w.bytes == 4 ? distance<float>(got, w.bits) : distance<double>(got, w.bits)) <= w.ulps;
}
std::string shown(const wanted &w, uint64_t v)
{
    char s[64];
    const double x = w.bytes == 4 ? double(as<float>(v)) : as<double>(v);
    if (w.floating)
        std::snprintf(s, sizeof s, "%.17g (0x%llx)", x, static_cast<unsigned long long>(v));
    else
        std::snprintf(s, sizeof s, "0x%llx", static_cast<unsigned long long>(v));
    return s;
}

long compared;

/* host(x, i, rows) of all triples: x, since lanes exchange. */
template <class F> void expect_exact(exact device, const std::vector<operands> &x, F host)
{
    const int n = int(x.size());
    std::vector<uint64_t> got(size_t(n) * MOST_RESULTS);
    const size_t count = size_t(device(x.data(), n, got.data()));
    std::string failures;
    int failed = 0;
    for (int i = 0; i < n; i++) {
        rows want;
        host(x.data(), i, want);
        ck_assert_uint_eq(count, want.all.size());
        for (size_t k = 0; k < count; k++) {
            const wanted &w = want.all[k];
            const uint64_t g = got[size_t(i) * count + k];
            compared++;
            if (is_within(w, g) || failed++ >= 20) continue;
            char s[128];
            std::snprintf(s, sizeof s, "(0x%llx, 0x%llx, 0x%llx)",
                          static_cast<unsigned long long>(x[size_t(i)].a),
                          static_cast<unsigned long long>(x[size_t(i)].b),
                          static_cast<unsigned long long>(x[size_t(i)].c));
            failures += std::string(w.name) + s + " got " + shown(w, g) + " want " +
                        shown(w, w.bits) + "\n";
        }
    }
    if (failed > 20) failures += std::to_string(failed) + " in all\n";
    expect_none(failures);
}

/* ---- arguments ---- */

uint64_t drawn() /* splitmix64 */
{
    static uint64_t state;
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* Each with each, a third one in turn, and `more` that are drawn. */
std::vector<operands> pairs(const std::vector<uint64_t> &v, int more)
{
    std::vector<operands> out;
    size_t turn = 0;
    for (uint64_t a : v)
        for (uint64_t b : v) out.push_back({ a, b, v[turn++ % v.size() * 7 % v.size()] });
    for (int i = 0; i < more; i++) out.push_back({ drawn(), drawn(), drawn() });
    return out;
}

/* Zeros, denormals, halves, what integers and halves of floats end at, ties, infinities, NaN. */
const std::vector<uint64_t> floats = {
    0,          0x80000000, 1,          0x807fffff, 0x00800000, 0x3f000000, 0x3f800000, 0xbf800000,
    0x3fc00000, 0x40200000, 0xbf000000, 0xc0200000, 0x4effffff, 0x4f000000, 0xcf000000, 0xcf000001,
    0x4f7fffff, 0x4f800000, 0x5effffff, 0x5f000000, 0xdf000000, 0x5f7fffff, 0x5f800000, 0x7f7fffff,
    0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc12345, 0x7f800001, 0x477fe000, 0x477fefff,
    0x477ff000, 0xc77ff000, 0x33000000, 0x33000001, 0x33800000, 0x33c00000, 0xb3c00000, 0x387fc000,
    0x387fe000, 0x3f801000, 0x3f803000, 0x3f808000, 0x3f818000, 0x7f7f8000, 0x46fffe00, 0x47000000,
    0xc7000100, 0x4b000001, 0x4afffffd, 0xcafffffd, 0x3effffff, 0x00008000, 0x80018000,
};
std::vector<uint64_t> doubles()
{
    std::vector<uint64_t> v;
    for (uint64_t f : floats) v.push_back(bits_of(double(as<float>(f))));
    for (double d : { 2147483647.5, -2147483648.5, 4294967295.5, 0x1.fffffffffffffp62, 0x1p-1074,
                      -0x1p-1022, 0x1.fffffffffffffp1023, 1 + 0x1p-24, 1 + 0x3p-24, 0x1p-150,
                      0x1.8p-150, -0x1.8p-149, 0x1.ffffffp127, 4503599627370497.5 })
        v.push_back(bits_of(d));
    return v;
}
const std::vector<uint64_t> whole = {
    0,
    1,
    2,
    3,
    5,
    7,
    8,
    15,
    16,
    17,
    31,
    32,
    33,
    63,
    64,
    65,
    127,
    128,
    255,
    256,
    0x7fff,
    0x8000,
    0xffff,
    0x10000,
    0x7fffffff,
    0x80000000,
    0x80000001,
    0xfffffff9,
    0xfffffffe,
    0xffffffff,
    uint64_t(1) << 32,
    0x123456789abcdef0,
    0x7fffffffffffffff,
    0x8000000000000000,
    0xffffffff00000000,
    0xfffffffffffffff9,
    ~uint64_t(0),
};

/* ---- conversions ---- */

enum rounding { NEAREST, DOWN, TO_ZERO };

/* Clamped; NaN as PTX ISA 9.0 has it under cvt. */
template <class D, class S> D converted(S x, rounding r)
{
    const long double v = r == NEAREST ? std::rint(static_cast<long double>(x))
                          : r == DOWN  ? std::floor(static_cast<long double>(x))
                                       : std::trunc(static_cast<long double>(x));
    const bool zero = sizeof(S) < 8 && sizeof(D) < 8;
    if (std::isnan(x)) return zero ? D(0) : D(uint64_t(1) << (8 * sizeof(D) - 1));
    if (v >= static_cast<long double>(std::numeric_limits<D>::max()))
        return std::numeric_limits<D>::max();
    if (v <= static_cast<long double>(std::numeric_limits<D>::min()))
        return std::numeric_limits<D>::min();
    return D(v);
}

START_TEST(floats_are_converted)
{
    expect_exact(exact_from_f32, pairs(floats, 500), [](const operands *x, int i, rows &is) {
        const float f = as<float>(x[i].a);
        is("cvt.rni.s32.f32", converted<int32_t>(f, NEAREST));
        is("cvt.rmi.s32.f32", converted<int32_t>(f, DOWN));
        is("cvt.rzi.s32.f32", converted<int32_t>(f, TO_ZERO));
        is("cvt.rni.u32.f32", converted<uint32_t>(f, NEAREST));
        is("cvt.rzi.u32.f32", converted<uint32_t>(f, TO_ZERO));
        is("cvt.rni.s64.f32", converted<int64_t>(f, NEAREST));
        is("cvt.rzi.s64.f32", converted<int64_t>(f, TO_ZERO));
        is("cvt.rzi.u64.f32", converted<uint64_t>(f, TO_ZERO));
        is("cvt.rzi.s16.f32", converted<int16_t>(f, TO_ZERO));
        is("cvt.rzi.u16.f32", converted<uint16_t>(f, TO_ZERO));
        is("cvt.f64.f32", double(f));
        is("cvt.sat.f32.f32", f > 1 ? 1.0f : f > 0 ? f : 0.0f);
        is("cvt.rni.f32.f32", std::rint(f));
        is("cvt.rmi.f32.f32", std::floor(f));
        is("cvt.rzi.f32.f32", std::trunc(f));
    });
}
END_TEST

START_TEST(doubles_are_converted)
{
    expect_exact(exact_from_f64, pairs(doubles(), 500), [](const operands *x, int i, rows &is) {
        const double d = as<double>(x[i].a);
        is("cvt.rni.s32.f64", converted<int32_t>(d, NEAREST));
        is("cvt.rzi.s32.f64", converted<int32_t>(d, TO_ZERO));
        is("cvt.rzi.u32.f64", converted<uint32_t>(d, TO_ZERO));
        is("cvt.rni.s64.f64", converted<int64_t>(d, NEAREST));
        is("cvt.rmi.s64.f64", converted<int64_t>(d, DOWN));
        is("cvt.rzi.s64.f64", converted<int64_t>(d, TO_ZERO));
        is("cvt.rzi.u64.f64", converted<uint64_t>(d, TO_ZERO));
        is("cvt.rn.f32.f64", float(d));
        is("cvt.rni.f64.f64", std::rint(d));
        is("cvt.rmi.f64.f64", std::floor(d));
        is("cvt.rzi.f64.f64", std::trunc(d));
    });
}
END_TEST

START_TEST(integers_are_converted)
{
    expect_exact(exact_from_integers, pairs(whole, 500), [](const operands *x, int i, rows &is) {
        const uint64_t a = x[i].a;
        is("float of s32", float(int32_t(a)));
        is("float of u32", float(uint32_t(a)));
        is("float of s64", float(int64_t(a)));
        is("float of u64", float(a));
        is("float of s16", float(int16_t(a)));
        is("float of u16", float(uint16_t(a)));
        is("double of s32", double(int32_t(a)));
        is("double of u32", double(uint32_t(a)));
        is("double of s64", double(int64_t(a)));
        is("double of u64", double(a));
        is("cvt.s32.s16", int32_t(int16_t(a)));
        is("cvt.s32.s8", int32_t(int8_t(a)));
        is("cvt.u32.u8", uint32_t(uint8_t(a)));
        is("cvt.s8.s32", int32_t(int8_t(a)));
        is("cvt.s16.s32", int32_t(int16_t(a)));
        is("cvt.s64.s32", int64_t(int32_t(a)));
        is("cvt.u64.u32", uint64_t(uint32_t(a)));
        is("cvt.u32.u64", uint32_t(a));
    });
}
END_TEST

/* Rounded to nearest, ties to even, by arithmetic alone: of `digits` bits, from 2^least on. NaN is 0x7fff. */
uint32_t half_of(float f, int digits, int least, int most, int mantissa)
{
    const uint32_t sign = std::signbit(f) ? 0x8000 : 0;
    if (std::isnan(f)) return 0x7fff;
    const uint32_t infinite = uint32_t(most - least + digits + 1 - digits + 1) << mantissa;
    if (std::isinf(f)) return sign | infinite;
    const double x = std::fabs(double(f));
    const int e = x == 0 ? least : std::max(std::ilogb(x), least);
    const double units = std::rint(std::ldexp(x, digits - 1 - e)); /* below 2^digits, or it */
    const uint32_t bits = uint32_t(units) + (uint32_t(e - least) << mantissa);
    return sign | std::min(bits, infinite);
}
uint32_t f16_of(float f)
{
    return half_of(f, 11, -14, 15, 10);
}
uint32_t bf16_of(float f)
{
    return half_of(f, 8, -126, 127, 7);
}
float of_f16(uint32_t h)
{
    const int e = int(h >> 10 & 31);
    const float m = float(h & 1023), sign = h & 0x8000 ? -1.0f : 1.0f;
    if (e == 31) return m != 0 ? NAN : sign * INFINITY;
    return sign * (e == 0 ? std::ldexp(m, -24) : std::ldexp(m + 1024, e - 25));
}

START_TEST(halves_are_rounded_to_nearest_even)
{
    std::vector<operands> x = pairs(floats, 2000);
    for (uint32_t h = 0; h < 65536; h += 7) x.push_back({ h, drawn(), 0 });
    expect_exact(exact_halves, x, [](const operands *v, int i, rows &is) {
        const float a = as<float>(v[i].a), b = as<float>(v[i].b);
        is("cvt.rn.f16x2.f32", f16_of(a) << 16 | f16_of(b));
        is("cvt.rn.bf16x2.f32", bf16_of(a) << 16 | bf16_of(b));
        is("cvt.rn.f16.f32", uint16_t(f16_of(a)));
        is("cvt.f32.f16", of_f16(uint32_t(v[i].a) & 0xffff));
    });
}
END_TEST

/* ---- integers ---- */

__extension__ using int128 = __int128;
__extension__ using uint128 = unsigned __int128;

template <class T> T shifted_right(T a, uint32_t n)
{
    return n < 8 * sizeof(T) ? T(a >> n) : T(a < 0 ? -1 : 0);
}
template <class T> T shifted_left(T a, uint32_t n)
{
    return n < 8 * sizeof(T) ? T(uint64_t(a) << n) : T(0);
}
template <class T> T quotient(T a, T b) /* the most negative number by -1 is itself */
{
    return T(int128(a) / int128(b ? b : T(1)));
}
template <class T> T rest(T a, T b)
{
    return T(int128(a) % int128(b ? b : T(1)));
}
template <class T> T high(T a, T b)
{
    using wide = std::conditional_t<std::is_signed_v<T>, int128, uint128>;
    return T((wide(a) * wide(b)) >> (8 * sizeof(T)));
}

START_TEST(shifts_beyond_the_width_leave_nothing_or_the_sign)
{
    expect_exact(exact_shifts, pairs(whole, 500), [](const operands *x, int i, rows &is) {
        const uint64_t a = x[i].a;
        const uint32_t n = uint32_t(x[i].b);
        is("shl.b16", shifted_left(uint16_t(a), n));
        is("shr.u16", shifted_right(uint16_t(a), n));
        is("shr.s16", shifted_right(int16_t(a), n));
        is("shl.b32", shifted_left(uint32_t(a), n));
        is("shr.u32", shifted_right(uint32_t(a), n));
        is("shr.s32", shifted_right(int32_t(a), n));
        is("shl.b64", shifted_left(a, n));
        is("shr.u64", shifted_right(a, n));
        is("shr.s64", shifted_right(int64_t(a), n));
    });
}
END_TEST

START_TEST(integers_of_32_and_16_bits_are_calculated)
{
    expect_exact(exact_integers, pairs(whole, 500), [](const operands *x, int i, rows &is) {
        const uint32_t a = uint32_t(x[i].a), b = uint32_t(x[i].b);
        const int32_t s = int32_t(a), t = int32_t(b);
        const uint16_t h = uint16_t(a), g = uint16_t(b);
        const int16_t sh = int16_t(a), sg = int16_t(b);
        is("add.s32", a + b);
        is("sub.s32", a - b);
        is("mul.lo.s32", a * b);
        is("mul.hi.s32", high(s, t));
        is("mul.hi.u32", high(a, b));
        is("mul.wide.s32", int64_t(s) * t);
        is("mul.wide.u32", uint64_t(a) * b);
        is("mul.wide.s16", int32_t(sh) * sg);
        is("mul.wide.u16", uint32_t(h) * g);
        is("mad.lo.s32", a * b + uint32_t(x[i].c));
        is("mad.wide.s32", uint64_t(int64_t(s) * t) + x[i].c);
        is("mad.wide.u32", uint64_t(a) * b + x[i].c);
        is("div.s32", quotient(s, t));
        is("rem.s32", rest(s, t));
        is("div.u32", quotient(a, b));
        is("rem.u32", rest(a, b));
        is("div.s16", quotient(sh, sg));
        is("rem.s16", rest(sh, sg));
        is("div.u16", quotient(h, g));
        is("min.s32", std::min(s, t));
        is("max.s32", std::max(s, t));
        is("min.u32", std::min(a, b));
        is("max.u32", std::max(a, b));
        is("neg.s32", 0 - a);
        is("abs.s32", s < 0 ? 0 - a : a);
        is("add.s16", uint16_t(h + g));
        is("sub.s16", uint16_t(h - g));
        is("mul.lo.s16", uint16_t(uint32_t(h) * g));
        is("mul.hi.s16", high(sh, sg));
        is("mul.hi.u16", high(h, g));
        is("min.s16", std::min(sh, sg));
        is("max.u16", std::max(h, g));
    });
}
END_TEST

START_TEST(integers_of_64_bits_are_calculated)
{
    expect_exact(exact_long_integers, pairs(whole, 500), [](const operands *x, int i, rows &is) {
        const uint64_t a = x[i].a, b = x[i].b;
        const int64_t s = int64_t(a), t = int64_t(b);
        is("add.s64", a + b);
        is("sub.s64", a - b);
        is("mul.lo.s64", a * b);
        is("mul.hi.s64", high(s, t));
        is("mul.hi.u64", high(a, b));
        is("mad.lo.s64", a * b + x[i].c);
        is("div.s64", quotient(s, t));
        is("rem.s64", rest(s, t));
        is("div.u64", b ? a / b : a);
        is("rem.u64", b ? a % b : 0);
        is("min.s64", std::min(s, t));
        is("max.s64", std::max(s, t));
        is("min.u64", std::min(a, b));
        is("max.u64", std::max(a, b));
        is("neg.s64", 0 - a);
        is("abs.s64", s < 0 ? 0 - a : a);
    });
}
END_TEST

uint32_t permuted(uint32_t a, uint32_t b, uint32_t by)
{
    unsigned char from[8], to[4];
    std::memcpy(from, &a, 4);
    std::memcpy(from + 4, &b, 4);
    for (int k = 0; k < 4; k++) {
        const unsigned char byte = from[by >> (4 * k) & 7];
        to[k] = by >> (4 * k) & 8 ? static_cast<unsigned char>(byte >> 7 ? 255 : 0) : byte;
    }
    uint32_t r;
    std::memcpy(&r, to, 4);
    return r;
}
/* `count` bits of a stand in b from bit `at` on, as far as b reaches. */
template <class T> T inserted(T a, T b, unsigned at, unsigned count)
{
    const unsigned width = 8 * sizeof(T);
    const uint128 ones = count >= 128 ? ~uint128(0) : (uint128(1) << count) - 1;
    if (at >= width) return b;
    return T((uint128(b) & ~(ones << at)) | (uint128(a) & ones) << at);
}

START_TEST(bits_are_counted_permuted_and_inserted)
{
    std::vector<operands> x = pairs(whole, 2000);
    for (int i = 0; i < 2000; i++) /* short fields */
        x.push_back({ drawn(), drawn(), drawn() % 70 | (drawn() % 70) << 8 });
    for (int i = 0; i < 64; i++) x.push_back({ uint64_t(1) << i, ~(uint64_t(1) << i), 0x3210 });
    expect_exact(exact_bits, x, [](const operands *v, int i, rows &is) {
        const uint64_t a = v[i].a, b = v[i].b;
        const uint32_t a32 = uint32_t(a), b32 = uint32_t(b), c32 = uint32_t(v[i].c);
        const unsigned at = c32 & 255, count = c32 >> 8 & 255;
        int leading = 0, of_all = 0, ones = 0;
        while (leading < 32 && !(a32 >> (31 - leading) & 1)) leading++;
        while (of_all < 64 && !(a >> (63 - of_all) & 1)) of_all++;
        for (int k = 0; k < 32; k++) ones += a32 >> k & 1;
        is("__byte_perm", permuted(a32, b32, c32 & 0x7777));
        is("prmt.b32", permuted(a32, b32, c32));
        is("__popc", ones);
        is("__clz", leading);
        is("__clzll", of_all);
        is("bfi.b32", inserted(a32, b32, at, count));
        is("bfi.b64", inserted(a, b, at, count));
        is("and.b32", a32 & b32);
        is("or.b32", a32 | b32);
        is("xor.b32", a32 ^ b32);
        is("not.b32", ~a32);
        is("and.b64", a & b);
        is("not.b64", ~a);
        is("mov.b64 of two", b32 | uint64_t(a32) << 32);
        is("mov.b32 to and of two", a32 >> 16 | a32 << 16);
        is("selp.b32", int32_t(a32) < int32_t(b32) ? b32 : c32);
        is("@!q mov", int32_t(a32) < int32_t(b32) ? b32 : c32);
    });
}
END_TEST

START_TEST(carries_reach_the_upper_words)
{
    expect_exact(exact_carries, pairs(whole, 2000), [](const operands *x, int i, rows &is) {
        const uint64_t a = x[i].a, b = x[i].b, c = x[i].c;
        const uint128 product = uint128(a) * b, sum = uint128(a) + b, more = product + c;
        const uint128 left = uint128(a) << 64 | b, right = uint128(b) << 64 | c;
        is("a * b", uint64_t(product));
        is("__umul64hi", uint64_t(product >> 64));
        is("__mul64hi", high(int64_t(a), int64_t(b)));
        is("mad.cc, low", uint64_t(product));
        is("mad.cc, high", uint64_t(product >> 64));
        is("add.cc", uint64_t(sum));
        is("addc", uint32_t(sum >> 64));
        is("sub.cc", a - b);
        is("subc", a < b ? ~uint32_t(0) : 0);
        is("int128 +, low", uint64_t(left + right));
        is("int128 +, high", uint64_t((left + right) >> 64));
        is("int128 -, low", uint64_t(left - right));
        is("int128 -, high", uint64_t((left - right) >> 64));
        is("int128 *, high", uint64_t((left * right) >> 64));
        is("mad.lo.cc.u64", uint64_t(more));
        is("madc.hi.u64", uint64_t(more >> 64));
    });
}
END_TEST

/* ---- floats ---- */

/* A number wins against NaN; -0 is less than 0. */
template <class T> T lesser(T a, T b)
{
    if (std::isnan(a)) return b;
    if (std::isnan(b)) return a;
    return a < b || (a == b && std::signbit(a)) ? a : b;
}
template <class T> T greater(T a, T b)
{
    return -lesser(-a, -b);
}
float fma_by(int mode, volatile float a, volatile float b, volatile float c)
{
    std::fesetround(mode);
    volatile float r = std::fma(a, b, c);
    std::fesetround(FE_TONEAREST);
    return r;
}

template <class T> void common_rows(const operands &x, bool directed, rows &is)
{
    const T a = as<T>(x.a), b = as<T>(x.b), c = as<T>(x.c);
    is("add", a + b);
    is("sub", a - b);
    is("mul", a * b);
    is("div", a / b);
    is("fma.rn", std::fma(a, b, c));
    if (directed) is("fma.rm", fma_by(FE_DOWNWARD, float(a), float(b), float(c)));
    if (directed) is("fma.rz", fma_by(FE_TOWARDZERO, float(a), float(b), float(c)));
    is("sqrt", std::sqrt(a));
    is("rcp", 1 / a);
    is("min", lesser(a, b));
    is("max", greater(a, b));
    is("neg", -a);
    is("abs", std::fabs(a));
    is("copysign", std::copysign(a, b));
}

START_TEST(floats_are_rounded_as_ieee_says)
{
    expect_exact(exact_f32, pairs(floats, 4000),
                 [](const operands *x, int i, rows &is) { common_rows<float>(x[i], true, is); });
    expect_exact(exact_f64, pairs(doubles(), 4000),
                 [](const operands *x, int i, rows &is) { common_rows<double>(x[i], false, is); });
}
END_TEST

START_TEST(comparisons_know_nan_and_signs)
{
    std::vector<operands> x = pairs(floats, 0), more = pairs(whole, 500);
    x.insert(x.end(), more.begin(), more.end());
    expect_exact(exact_comparisons, x, [](const operands *v, int i, rows &is) {
        const float a = as<float>(v[i].a), b = as<float>(v[i].b);
        const uint32_t c = uint32_t(v[i].a), d = uint32_t(v[i].b);
        const int64_t e = int64_t(v[i].a), f = int64_t(v[i].b);
        const bool nan = std::isnan(a) || std::isnan(b);
        is("eq.f32", uint32_t(!nan && a == b));
        is("ne.f32", uint32_t(!nan && a != b));
        is("lt.f32", uint32_t(!nan && a < b));
        is("le.f32", uint32_t(!nan && a <= b));
        is("gt.f32", uint32_t(!nan && a > b));
        is("ge.f32", uint32_t(!nan && a >= b));
        is("equ.f32", uint32_t(nan || a == b));
        is("neu.f32", uint32_t(nan || a != b));
        is("ltu.f32", uint32_t(nan || a < b));
        is("leu.f32", uint32_t(nan || a <= b));
        is("gtu.f32", uint32_t(nan || a > b));
        is("geu.f32", uint32_t(nan || a >= b));
        is("num.f32", uint32_t(!nan));
        is("nan.f32", uint32_t(nan));
        is("eq.s32", uint32_t(c == d));
        is("ne.s32", uint32_t(c != d));
        is("lt.s32", uint32_t(int32_t(c) < int32_t(d)));
        is("ge.s32", uint32_t(int32_t(c) >= int32_t(d)));
        is("lt.u32", uint32_t(c < d));
        is("ge.u32", uint32_t(c >= d));
        is("gt.s64", uint32_t(e > f));
        is("le.s64", uint32_t(e <= f));
        is("gt.u64", uint32_t(v[i].a > v[i].b));
        is("le.u64", uint32_t(v[i].a <= v[i].b));
    });
}
END_TEST

/* The largest errors are those of the CUDA programming guide, "Mathematical Functions", in ulps of the rounded exact
 * result; the exact one is the host's in a wider type. Sines of large arguments take the path of Payne and Hanek. */
template <class T> std::vector<operands> arguments()
{
    std::vector<operands> x;
    for (int i = -200; i <= 200; i++)
        x.push_back({ bits_of(T(i * 0.07 + 0.013)), bits_of(T(i % 9 * 0.61)), 0 });
    for (int e = -40; e < std::numeric_limits<T>::max_exponent; e += sizeof(T) == 4 ? 1 : 9)
        for (T s : { T(1.37), T(-1.91) })
            x.push_back({ bits_of(std::ldexp(s, e)), bits_of(T(e % 5 + 0.5)), 0 });
    for (T s : { T(0), T(-0.0), T(INFINITY), T(-INFINITY), T(NAN), T(1), T(-1), T(105615),
                 T(105616), std::numeric_limits<T>::max(), std::numeric_limits<T>::denorm_min() })
        for (T t : { T(0), T(2), T(-3), T(0.5), T(INFINITY), T(NAN) })
            x.push_back({ bits_of(s), bits_of(t), 0 });
    return x;
}
template <class T, class W>
void function_rows(const operands &x, std::initializer_list<double> ulps, rows &is)
{
    const W a = as<T>(x.a), b = as<T>(x.b);
    const double *most = ulps.begin();
    is("sin", T(std::sin(a)), *most++);
    is("cos", T(std::cos(a)), *most++);
    is("exp", T(std::exp(a)), *most++);
    is("log", T(std::log(a)), *most++);
    is("tanh", T(std::tanh(a)), *most++);
    is("erf", T(std::erf(a)), *most++);
    is("pow", T(std::pow(a, b)), *most++);
}

START_TEST(functions_are_within_cuda_s_errors)
{
    expect_exact(exact_functions, arguments<float>(), [](const operands *x, int i, rows &is) {
        function_rows<float, double>(x[i], { 2, 2, 2, 1, 2, 2, 4 }, is);
    });
    expect_exact(exact_long_functions, arguments<double>(), [](const operands *x, int i, rows &is) {
        function_rows<double, long double>(x[i], { 2, 2, 1, 1, 2, 2, 2 }, is);
    });
}
END_TEST

/* ---- lanes ---- */

std::vector<operands> lanes(int warps)
{
    std::vector<operands> x;
    for (int i = 0; i < 32 * warps; i++) x.push_back({ drawn(), drawn() % 40, drawn() });
    for (int i = 0; i < 32 * 8; i++) /* all lanes by the same */
        x.push_back({ drawn(), uint64_t(1) << (i / 32 % 5), uint64_t(i / 32) });
    return x;
}

START_TEST(shuffles_stay_in_their_width)
{
    expect_exact(exact_shuffles, lanes(40), [](const operands *v, int i, rows &is) {
        const operands *x = v + i / 32 * 32; /* the warp's */
        const int lane = i % 32, by = int(x[lane].b & 31), at = int(x[lane].c & 31);
        const auto of = [=](int from, bool inside) { return uint32_t(x[inside ? from : lane].a); };
        for (int width : { 8, 16, 32 }) {
            const int first = lane / width * width, last = first + width - 1;
            is("__shfl_up_sync", of(lane - by, lane - by >= first));
            is("__shfl_down_sync", of(lane + by, lane + by <= last));
            is("__shfl_xor_sync", of(lane ^ by, (lane ^ by) <= last));
            is("__shfl_sync", of(first + at % width, true));
        }
        is("__shfl_xor_sync of 64 bits", x[lane ^ 5].a);
        is("shfl.sync.down's predicate", uint32_t(lane % 8 + by < 8));
    });
}
END_TEST

START_TEST(votes_are_of_those_who_take_part)
{
    expect_exact(exact_votes, lanes(10), [](const operands *v, int i, rows &is) {
        const operands *x = v + i / 32 * 32;
        const int lane = i % 32;
        uint32_t odd = 0;
        bool any = false;
        for (int l = 0; l < 32; l++) {
            odd |= uint32_t(x[l].a & 1) << l;
            any = any || x[l].a > x[l].b;
        }
        int before = 0;
        for (int l = 0; l < lane; l++) before += odd >> l & 1;
        is("__ballot_sync", odd);
        is("__popc of those before", before);
        is("__any_sync", int(any));
        is("__any_sync of none", 0);
        is("__ballot_sync of a part", lane < 10 ? ~odd & 0x3ff : (odd & 0xfffffc00) | 1);
        is("vote of the opposite", ~odd);
    });
}
END_TEST

uint32_t looped(const operands &x)
{
    uint32_t sum = uint32_t(x.b);
    for (uint32_t k = 0; k < x.a % 13; k++) sum = sum * 3 + k;
    return sum;
}
uint32_t fallen(const operands &x)
{
    const uint32_t b = uint32_t(x.b % 7);
    const uint32_t of[] = { 10 + b + 5, b + 5, 5, uint32_t(x.c) ^ 0x55, 0x55 };
    return of[x.a % 5];
}
uint32_t nested(const operands &x)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < 9; i++) {
        if ((x.b >> i & 3) == 2) continue;
        for (uint32_t j = 0; j < 5 && (x.c >> (i + j) & 7) != 5; j++) found += i * j + 1;
        if (found > x.a % 50) return found;
    }
    return found;
}

START_TEST(lanes_that_part_meet_again)
{
    expect_exact(exact_partings, lanes(40), [](const operands *v, int i, rows &is) {
        const operands *x = v + i / 32 * 32;
        const int lane = i % 32;
        uint32_t summed[32], before[32], voted = 0;
        for (int l = 0; l < 32; l++) summed[l] = uint32_t(x[l].a);
        for (int l = 0; l < 32; l++)
            for (int k = 0; l % 8 == 0 && k <= l / 8; k++)
                for (int by : { 1, 4 }) {
                    std::copy(summed, summed + 32, before);
                    for (int m = l; m < l + 8; m++) summed[m] += before[m ^ by];
                }
        for (int l = 0; l < 32; l++) voted |= (summed[l] >> 4 & 1) << l;
        uint32_t last = summed[lane];
        for (int l = 0; l <= lane; l++) last = last * 5 + summed[l];
        is("a loop left at different times", looped(x[lane ^ 1]));
        is("switch", fallen(x[lane + 3 < 32 ? lane + 3 : lane]));
        is("break and continue", nested(x[31 - lane]));
        is("groups of 8", summed[lane]);
        is("all again", voted);
        is("fewer and fewer", last);
    });
}
END_TEST

uint32_t steps(uint32_t n)
{
    uint32_t k = 0;
    for (; n > 1 && k < 40; k++) n = n % 2 ? 3 * n + 1 : n / 2;
    return k;
}
uint32_t called(const operands &x)
{
    const uint32_t b = uint32_t(x.b % 1000);
    return steps(uint32_t(x.a % 1000)) + (b % 2 ? steps(b) * 100 + steps(b + 1) : 0);
}

START_TEST(functions_are_called_with_local_memory)
{
    expect_exact(exact_calls, lanes(40), [](const operands *x, int i, rows &is) {
        const int n = int(x[i].c % 2) * 4 + 1; /* of 1 and 5, n = k n + 1 (mod 6) where k is 0 */
        const float a = float(x[i].a % 1000) + (n == 1 ? 0.0f : 2.0f);
        is("a function of three types", a * float(x[i].b % 77));
        is("a function in a branch, nested", called(x[i]));
        is("met again", called(x[i ^ 16]));
    });
}
END_TEST

START_TEST(variables_hold_what_they_begin_with)
{
    expect_exact(exact_variables, lanes(1), [](const operands *x, int i, rows &is) {
        const uint64_t a = x[i].a;
        const float table[] = { 0.5f, -0.0f, 1e-40f, 3e38f };
        const int64_t longs[] = { -1, 0, int64_t(1) << 62 };
        const uint16_t shorts[] = { 1, 0x8000, 65535, 256, 77 };
        const int sparse[8] = { 5, 6 };
        is("int", 7);
        is("double", -2.5);
        is("float", 1.5f);
        is("ints", sparse[a % 8]);
        is("shorts", shorts[a % 5]);
        is("floats", table[a % 4]);
        is("longs", longs[a % 3]);
        is("zeros", 0);
    });
}
END_TEST

} // namespace

int main()
{
    const int failed = failed_of(
        "ptx exact",
        { floats_are_converted, doubles_are_converted, integers_are_converted,
          halves_are_rounded_to_nearest_even, shifts_beyond_the_width_leave_nothing_or_the_sign,
          integers_of_32_and_16_bits_are_calculated, integers_of_64_bits_are_calculated,
          bits_are_counted_permuted_and_inserted, carries_reach_the_upper_words,
          floats_are_rounded_as_ieee_says, comparisons_know_nan_and_signs,
          functions_are_within_cuda_s_errors, shuffles_stay_in_their_width,
          votes_are_of_those_who_take_part, lanes_that_part_meet_again,
          functions_are_called_with_local_memory, variables_hold_what_they_begin_with });
    std::printf("%ld results compared\n", compared);
    return failed != 0;
}
