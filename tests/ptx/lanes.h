/* What an instruction's handler is made of: values of lanes by type, and loops over the lanes that run. */
#ifndef WENGERT_TESTS_PTX_LANES_H
#define WENGERT_TESTS_PTX_LANES_H
#include <cstring>

#include "ptx.h"

namespace ptx
{

template <class T> inline T as(uint64_t bits)
{
    T v;
    std::memcpy(&v, &bits, sizeof v);
    return v;
}

template <class T> inline uint64_t bits_of(T v)
{
    uint64_t bits = 0;
    std::memcpy(&bits, &v, sizeof v);
    return bits;
}

/* fn(lane) of each that runs. */
template <class F> inline void each(uint32_t lanes, F fn)
{
    if (lanes == ALL) {
        for (unsigned l = 0; l < LANES; l++) fn(l);
    } else {
        for (; lanes; lanes &= lanes - 1) fn(unsigned(__builtin_ctz(lanes)));
    }
}

template <class R, class A, class F>
inline void unary(warp &w, const instruction &i, uint32_t lanes, F fn)
{
    uint64_t *d = w.at(i.to[0]);
    const uint64_t *a = w.get(i.from[0]);
    each(lanes, [=](unsigned l) { d[l] = bits_of<R>(fn(as<A>(a[l]))); });
}

template <class R, class A, class B, class F>
inline void binary(warp &w, const instruction &i, uint32_t lanes, F fn)
{
    uint64_t *d = w.at(i.to[0]);
    const uint64_t *a = w.get(i.from[0]), *b = w.get(i.from[1]);
    each(lanes, [=](unsigned l) { d[l] = bits_of<R>(fn(as<A>(a[l]), as<B>(b[l]))); });
}

template <class R, class A, class B, class C, class F>
inline void ternary(warp &w, const instruction &i, uint32_t lanes, F fn)
{
    uint64_t *d = w.at(i.to[0]);
    const uint64_t *a = w.get(i.from[0]), *b = w.get(i.from[1]), *c = w.get(i.from[2]);
    each(lanes, [=](unsigned l) { d[l] = bits_of<R>(fn(as<A>(a[l]), as<B>(b[l]), as<C>(c[l]))); });
}

/* The handler that make<T>() gives for a type's name; NULL: another type. */
template <class M> handler of_integer(std::string_view t, M make)
{
    if (t == "s16") return make.template operator()<int16_t>();
    if (t == "u16" || t == "b16") return make.template operator()<uint16_t>();
    if (t == "s32") return make.template operator()<int32_t>();
    if (t == "u32" || t == "b32") return make.template operator()<uint32_t>();
    if (t == "s64") return make.template operator()<int64_t>();
    if (t == "u64" || t == "b64") return make.template operator()<uint64_t>();
    return nullptr;
}

template <class M> handler of_float(std::string_view t, M make)
{
    if (t == "f32") return make.template operator()<float>();
    if (t == "f64") return make.template operator()<double>();
    return nullptr;
}

template <class M> handler of_bits(std::string_view t, M make)
{
    if (t.size() == 3 && t.substr(1) == "16") return make.template operator()<uint16_t>();
    if (t.size() == 3 && t.substr(1) == "32") return make.template operator()<uint32_t>();
    if (t.size() == 3 && t.substr(1) == "64") return make.template operator()<uint64_t>();
    if (t.size() == 2 && t.substr(1) == "8") return make.template operator()<uint8_t>();
    if (t == "pred") return make.template operator()<bool>();
    return nullptr;
}

/* The opcode's words. */
using words = std::vector<std::string_view>;

handler find_arithmetic(const words &w);
handler find_conversion(const words &w);
handler find_memory(const words &w, instruction &i);
handler find_exchange(const words &w);
handler find_matrix(const words &w, instruction &i);

} // namespace ptx
#endif
