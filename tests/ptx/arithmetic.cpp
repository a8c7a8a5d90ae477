/* Arithmetic, comparisons, logic and conversions. */
#include <cfenv>
#include <cmath>
#include <limits>
#include <type_traits>

#include "lanes.h"

namespace ptx
{

namespace
{

__extension__ using wide_integer = __int128;
__extension__ using unsigned_wide_integer = unsigned __int128;
template <class T>
using wide = std::conditional_t<
    sizeof(T) == 2, std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>,
    std::conditional_t<sizeof(T) == 4, std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>,
                       wide_integer>>;
template <class T> using raw = std::make_unsigned_t<T>;

#define HANDLER(...) (+[](warp &w, const instruction &i, uint32_t lanes) { __VA_ARGS__; })

/* The wide product's upper half. */
template <class T> T high(T a, T b)
{
    using W = std::conditional_t<
        sizeof(T) == 8,
        std::conditional_t<std::is_signed_v<T>, wide_integer, unsigned_wide_integer>, wide<T>>;
    return T((W(a) * W(b)) >> (8 * sizeof(T)));
}

template <class T> T quotient(T a, T b)
{
    if (b == 0) return T(-1);
    if (std::is_signed_v<T> && b == T(-1)) return T(raw<T>(0) - raw<T>(a));
    return a / b;
}
template <class T> T remainder_of(T a, T b)
{
    if (b == 0) return a;
    if (std::is_signed_v<T> && b == T(-1)) return 0;
    return a % b;
}

/* As IEEE's minNum: a number wins against NaN. */
template <class T> T least(T a, T b)
{
    if constexpr (std::is_floating_point_v<T>) {
        if (a != a || b != b) return a != a ? b : a;
        if (a == b) return std::signbit(a) ? a : b;
    }
    return a < b ? a : b;
}
template <class T> T most(T a, T b)
{
    if constexpr (std::is_floating_point_v<T>) {
        if (a != a || b != b) return a != a ? b : a;
        if (a == b) return std::signbit(a) ? b : a;
    }
    return a > b ? a : b;
}

float flushed(float x)
{
    return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x;
}

/* fma by another rounding. */
float fma_by(int mode, float a, float b, float c)
{
    volatile float x = a, y = b, z = c;
    const int before = std::fegetround();
    std::fesetround(mode);
    volatile float r = std::fma(x, y, z);
    std::fesetround(before);
    return r;
}

/* The flag of add.cc and its like. */
enum carries { KEEPS = 1, TAKES = 2 };
template <class T>
using unsigned_wide = std::conditional_t<sizeof(T) == 8, unsigned_wide_integer, uint64_t>;
template <class T, int WHICH, bool MINUS>
void with_carry(warp &w, const instruction &i, uint32_t lanes)
{
    using W = unsigned_wide<T>;
    uint64_t *d = w.at(i.to[0]);
    const uint64_t *a = w.get(i.from[0]), *b = w.get(i.from[1]);
    each(lanes, [&](unsigned l) {
        const W in = WHICH & TAKES ? w.carry[l] : 0, x = T(a[l]), y = T(b[l]);
        const W sum = MINUS ? x - y - in : x + y + in;
        d[l] = T(sum);
        if (WHICH & KEEPS) w.carry[l] = (sum >> (8 * sizeof(T))) & 1;
    });
}
template <class T, int WHICH, bool HIGH>
void mad_with_carry(warp &w, const instruction &i, uint32_t lanes)
{
    using W = unsigned_wide<T>;
    uint64_t *d = w.at(i.to[0]);
    const uint64_t *a = w.get(i.from[0]), *b = w.get(i.from[1]), *c = w.get(i.from[2]);
    each(lanes, [&](unsigned l) {
        const W whole = W(T(a[l])) * T(b[l]);
        const W sum = W(T(HIGH ? whole >> (8 * sizeof(T)) : whole)) + T(c[l]) +
                      (WHICH & TAKES ? w.carry[l] : 0);
        d[l] = T(sum);
        if (WHICH & KEEPS) w.carry[l] = (sum >> (8 * sizeof(T))) & 1;
    });
}
/* Of a sum and a product: `other` is the difference, and the product's upper half. */
template <class T> handler carrying(bool product, int which, bool other)
{
    if (product) {
        if (which == KEEPS)
            return other ? mad_with_carry<T, KEEPS, true> : mad_with_carry<T, KEEPS, false>;
        if (which == TAKES)
            return other ? mad_with_carry<T, TAKES, true> : mad_with_carry<T, TAKES, false>;
        return other ? mad_with_carry<T, KEEPS | TAKES, true>
                     : mad_with_carry<T, KEEPS | TAKES, false>;
    }
    if (which == KEEPS) return other ? with_carry<T, KEEPS, true> : with_carry<T, KEEPS, false>;
    if (which == TAKES) return other ? with_carry<T, TAKES, true> : with_carry<T, TAKES, false>;
    return other ? with_carry<T, KEEPS | TAKES, true> : with_carry<T, KEEPS | TAKES, false>;
}
handler carrying(std::string_view type, bool product, int which, bool other)
{
    const std::string_view bits = type.substr(1);
    return bits == "32"   ? carrying<uint32_t>(product, which, other)
           : bits == "64" ? carrying<uint64_t>(product, which, other)
                          : nullptr;
}

handler sum(const words &o, bool minus)
{
    const std::string_view t = o.back();
    const bool cc = o.size() == 3 && o[1] == "cc";
    const bool takes = o[0].back() == 'c'; /* addc, subc */
    if (cc || takes) return carrying(t, false, (cc ? KEEPS : 0) | (takes ? TAKES : 0), minus);
    if (t[0] == 'f') {
        if (o.size() != 3 || o[1] != "rn")
            return o.size() == 2 ? sum({ o[0], "rn", t }, minus) : nullptr;
        return minus ? of_float(t,
                                []<class T>() {
                                    return HANDLER((binary<T, T, T>(
                                        w, i, lanes, [](T a, T b) { return a - b; })));
                                })
                     : of_float(t, []<class T>() {
                           return HANDLER(
                               (binary<T, T, T>(w, i, lanes, [](T a, T b) { return a + b; })));
                       });
    }
    if (o.size() != 2) return nullptr;
    return minus ? of_bits(t,
                           []<class T>() {
                               return HANDLER((binary<T, T, T>(w, i, lanes,
                                                               [](T a, T b) { return T(a - b); })));
                           })
                 : of_bits(t, []<class T>() {
                       return HANDLER(
                           (binary<T, T, T>(w, i, lanes, [](T a, T b) { return T(a + b); })));
                   });
}

handler product_of(const words &o)
{
    const std::string_view t = o.back();
    if (o[1] == "wide")
        return of_integer(t, []<class T>() -> handler {
            if constexpr (sizeof(T) == 8)
                return nullptr;
            else
                return HANDLER((binary<wide<T>, T, T>(
                    w, i, lanes, [](T a, T b) { return wide<T>(wide<T>(a) * wide<T>(b)); })));
        });
    if (o[1] == "hi")
        return of_integer(
            t, []<class T>() { return HANDLER((binary<T, T, T>(w, i, lanes, high<T>))); });
    if (o[1] == "lo")
        return of_integer(t, []<class T>() {
            return HANDLER((binary<uint64_t, T, T>(w, i, lanes, [](T a, T b) {
                return uint64_t(raw<T>(uint64_t(a) * uint64_t(b)));
            })));
        });
    if (o[1] != "rn" || o.size() != 3) return nullptr;
    return of_float(t, []<class T>() {
        return HANDLER((binary<T, T, T>(w, i, lanes, [](T a, T b) { return a * b; })));
    });
}

handler mad(const words &o)
{
    const bool hi = o[1] == "hi", cc = o.size() == 4;
    const bool takes = o[0] == "madc";
    if (cc || takes) return carrying(o.back(), true, (cc ? KEEPS : 0) | (takes ? TAKES : 0), hi);
    if (o[1] == "wide")
        return of_integer(o.back(), []<class T>() -> handler {
            using W = wide<T>;
            if constexpr (sizeof(T) == 8)
                return nullptr;
            else
                return HANDLER((ternary<W, T, T, W>(
                    w, i, lanes, [](T a, T b, W c) { return W(W(a) * W(b) + c); })));
        });
    if (o[1] == "lo")
        return of_integer(o.back(), []<class T>() {
            return HANDLER((ternary<uint64_t, T, T, T>(w, i, lanes, [](T a, T b, T c) {
                return uint64_t(raw<T>(uint64_t(a) * uint64_t(b) + uint64_t(c)));
            })));
        });
    return nullptr;
}

handler fma_of(const words &o)
{
    if (o.size() != 3) return nullptr;
    if (o[1] == "rn")
        return of_float(o[2], []<class T>() {
            return HANDLER((
                ternary<T, T, T, T>(w, i, lanes, [](T a, T b, T c) { return std::fma(a, b, c); })));
        });
    if (o[2] == "f32" && o[1] == "rm")
        return HANDLER((ternary<float, float, float, float>(
            w, i, lanes, [](float a, float b, float c) { return fma_by(FE_DOWNWARD, a, b, c); })));
    if (o[2] == "f32" && o[1] == "rz")
        return HANDLER(
            (ternary<float, float, float, float>(w, i, lanes, [](float a, float b, float c) {
                return fma_by(FE_TOWARDZERO, a, b, c);
            })));
    return nullptr;
}

/* Shifts beyond the width leave nothing, or the sign. */
handler shift(const words &o)
{
    if (o[0] == "shl")
        return of_bits(o[1], []<class T>() {
            return HANDLER((binary<T, T, uint32_t>(w, i, lanes, [](T a, uint32_t n) {
                return n < 8 * sizeof(T) ? T(uint64_t(a) << n) : T(0);
            })));
        });
    return of_integer(o[1], []<class T>() {
        return HANDLER((binary<T, T, uint32_t>(w, i, lanes, [](T a, uint32_t n) {
            return T(n < 8 * sizeof(T) ? a >> n : std::is_signed_v<T> && a < T(0) ? T(-1) : T(0));
        })));
    });
}

handler logic(const words &o)
{
    if (o[0] == "and")
        return of_bits(o[1], []<class T>() {
            return HANDLER((binary<T, T, T>(w, i, lanes, [](T a, T b) { return T(a & b); })));
        });
    if (o[0] == "or")
        return of_bits(o[1], []<class T>() {
            return HANDLER((binary<T, T, T>(w, i, lanes, [](T a, T b) { return T(a | b); })));
        });
    if (o[0] == "xor")
        return of_bits(o[1], []<class T>() {
            return HANDLER((binary<T, T, T>(w, i, lanes, [](T a, T b) { return T(a ^ b); })));
        });
    if (o[1] == "pred") return HANDLER((unary<bool, bool>(w, i, lanes, [](bool a) { return !a; })));
    return of_integer(o[1], []<class T>() {
        return HANDLER((unary<T, T>(w, i, lanes, [](T a) { return T(~a); })));
    });
}

template <class T> handler compared(std::string_view by)
{
#define WHERE(NAME, ...)                                                                           \
    if (by == NAME)                                                                                \
        return HANDLER((binary<bool, T, T>(w, i, lanes, [](T a, T b) { return __VA_ARGS__; })));
    WHERE("eq", a == b)
    WHERE("lt", a < b)
    WHERE("le", a <= b)
    WHERE("gt", a > b)
    WHERE("ge", a >= b)
    if constexpr (std::is_floating_point_v<T>) {
        WHERE("ne", a == a && b == b && a != b)
        WHERE("equ", !(a < b || a > b))
        WHERE("neu", !(a == b))
        WHERE("ltu", !(a >= b))
        WHERE("leu", !(a > b))
        WHERE("gtu", !(a <= b))
        WHERE("geu", !(a < b))
        WHERE("num", a == a && b == b)
        WHERE("nan", a != a || b != b)
    } else {
        WHERE("ne", a != b)
    }
#undef WHERE
    return nullptr;
}

handler comparison(const words &o)
{
    if (o.size() != 3) return nullptr;
    const std::string_view by = o[1];
    if (o[2][0] == 'f') return of_float(o[2], [=]<class T>() { return compared<T>(by); });
    return of_integer(o[2], [=]<class T>() { return compared<T>(by); });
}

handler minus(const words &o, bool magnitude)
{
    const std::string_view t = o.back();
    if (o.size() != 2) return nullptr;
    if (t[0] == 'f')
        return magnitude
                   ? of_float(t,
                              []<class T>() {
                                  return HANDLER(
                                      (unary<T, T>(w, i, lanes, [](T a) { return std::fabs(a); })));
                              })
                   : of_float(t, []<class T>() {
                         return HANDLER((unary<T, T>(w, i, lanes, [](T a) { return -a; })));
                     });
    return magnitude
               ? of_integer(t,
                            []<class T>() {
                                return HANDLER((unary<T, T>(w, i, lanes, [](T a) {
                                    return a < T(0) ? T(raw<T>(0) - raw<T>(a)) : a;
                                })));
                            })
               : of_integer(t, []<class T>() {
                     return HANDLER(
                         (unary<T, T>(w, i, lanes, [](T a) { return T(raw<T>(0) - raw<T>(a)); })));
                 });
}

template <class M> handler of_number(std::string_view t, M make)
{
    return t[0] == 'f' ? of_float(t, make) : of_integer(t, make);
}

/* Those of one name alone. */
handler special(const std::string &o)
{
    if (o == "div.approx.f32")
        return HANDLER(
            (binary<float, float, float>(w, i, lanes, [](float a, float b) { return a / b; })));
    if (o == "rcp.approx.ftz.f32")
        return HANDLER(
            (unary<float, float>(w, i, lanes, [](float a) { return flushed(1 / flushed(a)); })));
    if (o == "rcp.approx.ftz.f64") /* only the upper half is made */
        return HANDLER((unary<uint64_t, double>(
            w, i, lanes, [](double a) { return bits_of(1 / a) & 0xffffffff00000000u; })));
    if (o == "ex2.approx.ftz.f32")
        return HANDLER((unary<float, float>(
            w, i, lanes, [](float a) { return flushed(float(std::exp2(double(flushed(a))))); })));
    if (o == "ex2.approx.f32")
        return HANDLER((
            unary<float, float>(w, i, lanes, [](float a) { return float(std::exp2(double(a))); })));
    if (o == "popc.b32")
        return HANDLER((unary<uint32_t, uint32_t>(
            w, i, lanes, [](uint32_t a) { return uint32_t(__builtin_popcount(a)); })));
    if (o == "clz.b32")
        return HANDLER((unary<uint32_t, uint32_t>(
            w, i, lanes, [](uint32_t a) { return a ? uint32_t(__builtin_clz(a)) : 32; })));
    if (o == "clz.b64")
        return HANDLER((unary<uint32_t, uint64_t>(
            w, i, lanes, [](uint64_t a) { return a ? uint32_t(__builtin_clzll(a)) : 64; })));
    if (o == "prmt.b32")
        return HANDLER((ternary<uint32_t, uint32_t, uint32_t, uint32_t>(
            w, i, lanes, [](uint32_t a, uint32_t b, uint32_t by) {
                const uint64_t both = uint64_t(b) << 32 | a;
                uint32_t r = 0;
                for (int n = 0; n < 4; n++) {
                    const uint32_t s = by >> (4 * n) & 15;
                    const uint8_t byte = uint8_t(both >> (8 * (s & 7)));
                    r |= uint32_t(s & 8 ? (byte & 128 ? 255 : 0) : byte) << (8 * n);
                }
                return r;
            })));
    return nullptr;
}

template <class T> void insert_bits(warp &w, const instruction &i, uint32_t lanes)
{
    uint64_t *d = w.at(i.to[0]);
    const uint64_t *a = w.get(i.from[0]), *b = w.get(i.from[1]), *c = w.get(i.from[2]),
                   *n = w.get(i.from[3]);
    each(lanes, [=](unsigned l) {
        const unsigned at = c[l] & 255, count = n[l] & 255, width = 8 * sizeof(T);
        T r = as<T>(b[l]);
        for (unsigned k = 0; k < count && at + k < width; k++)
            r = T((r & ~(T(1) << (at + k))) | (as<T>(a[l]) >> k & 1) << (at + k));
        d[l] = r;
    });
}

template <class T> void select(warp &w, const instruction &i, uint32_t lanes)
{
    ternary<T, T, T, bool>(w, i, lanes, [](T a, T b, bool p) { return p ? a : b; });
}

/* Also between one value and its parts. */
template <class T> void move(warp &w, const instruction &i, uint32_t lanes)
{
    if (i.to.size() > 1) {
        const uint64_t *a = w.get(i.from[0]);
        const unsigned width = unsigned(8 * sizeof(T) / i.to.size());
        uint64_t whole[LANES];
        std::memcpy(whole, a, sizeof whole);
        for (size_t n = 0; n < i.to.size(); n++) {
            uint64_t *d = w.at(i.to[n]);
            each(lanes, [&](unsigned l) {
                d[l] = whole[l] >> (n * width) & ((uint64_t(1) << width) - 1);
            });
        }
    } else if (i.from.size() > 1) {
        const unsigned width = unsigned(8 * sizeof(T) / i.from.size());
        uint64_t whole[LANES] = { 0 };
        for (size_t n = 0; n < i.from.size(); n++) {
            const uint64_t *a = w.get(i.from[n]);
            each(lanes, [&](unsigned l) {
                whole[l] |= (a[l] & ((uint64_t(1) << width) - 1)) << (n * width);
            });
        }
        uint64_t *d = w.at(i.to[0]);
        each(lanes, [&](unsigned l) { d[l] = whole[l]; });
    } else {
        const uint64_t more = uint64_t(i.offset);
        unary<T, uint64_t>(w, i, lanes, [=](uint64_t a) { return as<T>(a + more); });
    }
}

/* ---- conversions -------------------------------------------------------------------------------------------------- */

enum rounding { NEAREST, DOWN, TO_ZERO };

template <class T> T whole(T x, rounding r)
{
    return r == NEAREST ? std::nearbyint(x) : r == DOWN ? std::floor(x) : std::trunc(x);
}

template <class D, class S> D to_integer(S x, rounding r)
{
    if (x != x)
        return sizeof(S) == 8 || sizeof(D) == 8 ? D(raw<D>(1) << (8 * sizeof(D) - 1)) : D(0);
    const S y = whole(x, r);
    if (y <= S(std::numeric_limits<D>::min())) return std::numeric_limits<D>::min();
    if (y >= S(std::numeric_limits<D>::max())) return std::numeric_limits<D>::max();
    return D(y);
}

/* A register may be wider than what is converted to: it is filled with the sign. */
template <class D>
using in_register =
    std::conditional_t<std::is_integral_v<D> && std::is_signed_v<D> && sizeof(D) < 4, int32_t, D>;

template <class D, class S> handler converted(std::string_view by)
{
    if constexpr (!std::is_floating_point_v<S>) {
        if constexpr (std::is_floating_point_v<D>) {
            if (by != "rn") return nullptr;
        } else if (by != "") {
            return nullptr;
        }
        return HANDLER((unary<in_register<D>, S>(w, i, lanes, [](S a) { return D(a); })));
    } else if constexpr (std::is_floating_point_v<D>) {
        if (by == "sat")
            return HANDLER((unary<D, S>(w, i, lanes, [](S a) {
                return D(!(a > 0) ? 0 : a > 1 ? 1 : a);
            })));
        if (by == "rni")
            return HANDLER((unary<D, S>(w, i, lanes, [](S a) { return D(whole(a, NEAREST)); })));
        if (by == "rmi")
            return HANDLER((unary<D, S>(w, i, lanes, [](S a) { return D(whole(a, DOWN)); })));
        if (by == "rzi")
            return HANDLER((unary<D, S>(w, i, lanes, [](S a) { return D(whole(a, TO_ZERO)); })));
        if ((by == "rn") != (sizeof(D) < sizeof(S))) return nullptr;
        return HANDLER((unary<D, S>(w, i, lanes, [](S a) { return D(a); })));
    } else {
        if (by == "rni")
            return HANDLER((unary<in_register<D>, S>(
                w, i, lanes, [](S a) { return to_integer<D, S>(a, NEAREST); })));
        if (by == "rmi")
            return HANDLER((unary<in_register<D>, S>(
                w, i, lanes, [](S a) { return to_integer<D, S>(a, DOWN); })));
        if (by == "rzi")
            return HANDLER((unary<in_register<D>, S>(
                w, i, lanes, [](S a) { return to_integer<D, S>(a, TO_ZERO); })));
        return nullptr;
    }
}

template <class M> handler of_any(std::string_view t, M make)
{
    if (t == "s8") return make.template operator()<int8_t>();
    if (t == "u8") return make.template operator()<uint8_t>();
    return of_number(t, make);
}

/* Rounded to nearest, ties to even, infinite beyond the largest. */
uint32_t to_f16(float x)
{
    const _Float16 h = static_cast<_Float16>(x);
    uint16_t bits;
    std::memcpy(&bits, &h, sizeof bits);
    return x != x ? 0x7fff : bits;
}
uint32_t to_bf16(float x)
{
    const uint32_t u = uint32_t(bits_of(x));
    return x != x ? 0x7fff : (u + 0x7fff + (u >> 16 & 1)) >> 16;
}

} // namespace

handler find_conversion(const words &o)
{
    if (o.size() == 4 && o[1] == "rn" && o[2] == "f16x2" && o[3] == "f32")
        return HANDLER((binary<uint32_t, float, float>(
            w, i, lanes, [](float h, float l) { return to_f16(h) << 16 | to_f16(l); })));
    if (o.size() == 4 && o[1] == "rn" && o[2] == "bf16x2" && o[3] == "f32")
        return HANDLER((binary<uint32_t, float, float>(
            w, i, lanes, [](float h, float l) { return to_bf16(h) << 16 | to_bf16(l); })));
    if (o.size() == 3 && o[1] == "f32" && o[2] == "f16")
        return HANDLER((unary<float, _Float16>(w, i, lanes, [](_Float16 a) { return float(a); })));
    if (o.size() == 4 && o[1] == "rn" && o[2] == "bf16" && o[3] == "f32")
        return HANDLER((unary<uint32_t, float>(w, i, lanes, [](float a) { return to_bf16(a); })));
    if (o.size() == 4 && o[1] == "rn" && o[2] == "f16" && o[3] == "f32")
        return HANDLER((unary<uint32_t, float>(w, i, lanes, [](float a) { return to_f16(a); })));
    if (o.size() < 3 || o.size() > 4) return nullptr;
    const std::string_view by = o.size() == 4 ? o[1] : std::string_view();
    const std::string_view s = o.back();
    return of_any(o[o.size() - 2], [=]<class D>() {
        return of_any(s, [=]<class S>() { return converted<D, S>(by); });
    });
}

handler find_arithmetic(const words &o)
{
    std::string whole_name(o[0]);
    for (size_t n = 1; n < o.size(); n++) (whole_name += '.') += o[n];
    if (handler h = special(whole_name)) return h;
    const std::string_view b = o[0], t = o.back();
    if (b == "mov") return of_bits(t, []<class T>() { return HANDLER(move<T>(w, i, lanes)); });
    if (b == "cvta")
        return HANDLER(
            move<uint64_t>(w, i, lanes)); /* an address is one everywhere but in shared memory */
    if (b == "add" || b == "addc") return sum(o, false);
    if (b == "sub" || b == "subc") return sum(o, true);
    if (b == "mul") return product_of(o);
    if (b == "mad" || b == "madc") return mad(o);
    if (b == "fma") return fma_of(o);
    if (b == "shl" || b == "shr") return shift(o);
    if (b == "and" || b == "or" || b == "xor" || b == "not") return logic(o);
    if (b == "setp") return comparison(o);
    if (b == "selp") return of_bits(t, []<class T>() { return HANDLER(select<T>(w, i, lanes)); });
    if (b == "neg" || b == "abs") return minus(o, b == "abs");
    if (b == "bfi") return t == "b32" ? insert_bits<uint32_t> : insert_bits<uint64_t>;
    if (b == "min" && o.size() == 2)
        return of_number(
            t, []<class T>() { return HANDLER((binary<T, T, T>(w, i, lanes, least<T>))); });
    if (b == "max" && o.size() == 2)
        return of_number(
            t, []<class T>() { return HANDLER((binary<T, T, T>(w, i, lanes, most<T>))); });
    if (b == "div" && o.size() == 2)
        return of_integer(
            t, []<class T>() { return HANDLER((binary<T, T, T>(w, i, lanes, quotient<T>))); });
    if (b == "rem" && o.size() == 2)
        return of_integer(
            t, []<class T>() { return HANDLER((binary<T, T, T>(w, i, lanes, remainder_of<T>))); });
    if (b == "copysign")
        return of_float(t, []<class T>() {
            return HANDLER(
                (binary<T, T, T>(w, i, lanes, [](T a, T c) { return std::copysign(c, a); })));
        });
    if (o.size() != 3 || o[1] != "rn") return nullptr;
    if (b == "div")
        return of_float(t, []<class T>() {
            return HANDLER((binary<T, T, T>(w, i, lanes, [](T a, T c) { return a / c; })));
        });
    if (b == "rcp")
        return of_float(t, []<class T>() {
            return HANDLER((unary<T, T>(w, i, lanes, [](T a) { return 1 / a; })));
        });
    if (b == "sqrt")
        return of_float(t, []<class T>() {
            return HANDLER((unary<T, T>(w, i, lanes, [](T a) { return std::sqrt(a); })));
        });
    return nullptr;
}

} // namespace ptx
