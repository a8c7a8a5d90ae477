/* What test_ptx_exact.cpp runs: one instruction after the other, and CUDA's functions. */
#include "exact.h"

#include "device_array.h"

namespace
{

struct results {
    uint64_t *at;
    template <class T> __device__ void operator()(T v)
    {
        uint64_t bits = 0;
        memcpy(&bits, &v, sizeof v);
        *at++ = bits;
    }
};

/* One instruction, of the operands that its text names. */
#define PUT(T, TO, OP, ...)                                                                        \
    {                                                                                              \
        T d_;                                                                                      \
        asm(OP : TO(d_) : __VA_ARGS__);                                                            \
        put(d_);                                                                                   \
    }
#define PUT16(OP) PUT(uint16_t, "=h", OP " %0, %1, %2;", "h"(uint16_t(x.a)), "h"(uint16_t(x.b)))
#define PUT32(OP)                                                                                  \
    PUT(uint32_t, "=r", OP, "r"(uint32_t(x.a)), "r"(uint32_t(x.b)), "r"(uint32_t(x.c)))
#define PUT64(OP)                                                                                  \
    PUT(uint64_t, "=l", OP, "l"(x.a), "l"(x.b), "l"(x.c), "r"(uint32_t(x.a)), "r"(uint32_t(x.b)))
#define OF_F32                                                                                     \
    "f"(__uint_as_float(uint32_t(x.a))), "f"(__uint_as_float(uint32_t(x.b))),                      \
        "f"(__uint_as_float(uint32_t(x.c)))
#define OF_F64                                                                                     \
    "d"(__longlong_as_double(x.a)), "d"(__longlong_as_double(x.b)), "d"(__longlong_as_double(x.c))

struct from_f32 {
    static __device__ void of(const operands &x, results &put)
    {
        PUT(int, "=r", "cvt.rni.s32.f32 %0, %1;", OF_F32);
        PUT(int, "=r", "cvt.rmi.s32.f32 %0, %1;", OF_F32);
        PUT(int, "=r", "cvt.rzi.s32.f32 %0, %1;", OF_F32);
        PUT(uint32_t, "=r", "cvt.rni.u32.f32 %0, %1;", OF_F32);
        PUT(uint32_t, "=r", "cvt.rzi.u32.f32 %0, %1;", OF_F32);
        PUT(int64_t, "=l", "cvt.rni.s64.f32 %0, %1;", OF_F32);
        PUT(int64_t, "=l", "cvt.rzi.s64.f32 %0, %1;", OF_F32);
        PUT(uint64_t, "=l", "cvt.rzi.u64.f32 %0, %1;", OF_F32);
        PUT(int16_t, "=h", "cvt.rzi.s16.f32 %0, %1;", OF_F32);
        PUT(uint16_t, "=h", "cvt.rzi.u16.f32 %0, %1;", OF_F32);
        PUT(double, "=d", "cvt.f64.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "cvt.sat.f32.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "cvt.rni.f32.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "cvt.rmi.f32.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "cvt.rzi.f32.f32 %0, %1;", OF_F32);
    }
};

struct from_f64 {
    static __device__ void of(const operands &x, results &put)
    {
        PUT(int, "=r", "cvt.rni.s32.f64 %0, %1;", OF_F64);
        PUT(int, "=r", "cvt.rzi.s32.f64 %0, %1;", OF_F64);
        PUT(uint32_t, "=r", "cvt.rzi.u32.f64 %0, %1;", OF_F64);
        PUT(int64_t, "=l", "cvt.rni.s64.f64 %0, %1;", OF_F64);
        PUT(int64_t, "=l", "cvt.rmi.s64.f64 %0, %1;", OF_F64);
        PUT(int64_t, "=l", "cvt.rzi.s64.f64 %0, %1;", OF_F64);
        PUT(uint64_t, "=l", "cvt.rzi.u64.f64 %0, %1;", OF_F64);
        PUT(float, "=f", "cvt.rn.f32.f64 %0, %1;", OF_F64);
        PUT(double, "=d", "cvt.rni.f64.f64 %0, %1;", OF_F64);
        PUT(double, "=d", "cvt.rmi.f64.f64 %0, %1;", OF_F64);
        PUT(double, "=d", "cvt.rzi.f64.f64 %0, %1;", OF_F64);
    }
};

struct from_integers {
    static __device__ void of(const operands &x, results &put)
    {
        put(float(int(x.a)));
        put(float(uint32_t(x.a)));
        put(float(int64_t(x.a)));
        put(float(x.a));
        put(float(int16_t(x.a)));
        put(float(uint16_t(x.a)));
        put(double(int(x.a)));
        put(double(uint32_t(x.a)));
        put(double(int64_t(x.a)));
        put(double(x.a));
        /* between integers; a register that is wider than the type takes its sign */
        PUT(int, "=r", "cvt.s32.s16 %0, %1;", "h"(int16_t(x.a)));
        PUT(int, "=r", "cvt.s32.s8 %0, %1;", "r"(int(x.a)));
        PUT(uint32_t, "=r", "cvt.u32.u8 %0, %1;", "r"(uint32_t(x.a)));
        PUT(int, "=r", "cvt.s8.s32 %0, %1;", "r"(int(x.a)));
        PUT(int, "=r", "cvt.s16.s32 %0, %1;", "r"(int(x.a)));
        PUT(int64_t, "=l", "cvt.s64.s32 %0, %1;", "r"(int(x.a)));
        PUT(uint64_t, "=l", "cvt.u64.u32 %0, %1;", "r"(uint32_t(x.a)));
        PUT(uint32_t, "=r", "cvt.u32.u64 %0, %1;", "l"(x.a));
    }
};

struct halves {
    static __device__ void of(const operands &x, results &put)
    {
        PUT(uint32_t, "=r", "cvt.rn.f16x2.f32 %0, %1, %2;", OF_F32);
        PUT(uint32_t, "=r", "cvt.rn.bf16x2.f32 %0, %1, %2;", OF_F32);
        PUT(uint16_t, "=h", "cvt.rn.f16.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "cvt.f32.f16 %0, %1;", "h"(uint16_t(x.a)));
    }
};

struct shifts {
    static __device__ void of(const operands &x, results &put)
    {
        const uint16_t h = uint16_t(x.a);
        PUT(uint16_t, "=h", "shl.b16 %0, %1, %2;", "h"(h), "r"(uint32_t(x.b)));
        PUT(uint16_t, "=h", "shr.u16 %0, %1, %2;", "h"(h), "r"(uint32_t(x.b)));
        PUT(int16_t, "=h", "shr.s16 %0, %1, %2;", "h"(h), "r"(uint32_t(x.b)));
        PUT32("shl.b32 %0, %1, %2;");
        PUT32("shr.u32 %0, %1, %2;");
        PUT32("shr.s32 %0, %1, %2;");
        PUT64("shl.b64 %0, %1, %5;");
        PUT64("shr.u64 %0, %1, %5;");
        PUT64("shr.s64 %0, %1, %5;");
    }
};

/* Nothing is divided by zero: PTX leaves open what that is. */
struct integers {
    static __device__ void of(const operands &x, results &put)
    {
        const uint32_t by = uint32_t(x.b) ? uint32_t(x.b) : 1;
        const uint16_t h = uint16_t(x.a), by16 = uint16_t(x.b) ? uint16_t(x.b) : 1;
        PUT32("add.s32 %0, %1, %2;");
        PUT32("sub.s32 %0, %1, %2;");
        PUT32("mul.lo.s32 %0, %1, %2;");
        PUT32("mul.hi.s32 %0, %1, %2;");
        PUT32("mul.hi.u32 %0, %1, %2;");
        PUT64("mul.wide.s32 %0, %4, %5;");
        PUT64("mul.wide.u32 %0, %4, %5;");
        PUT(uint32_t, "=r", "mul.wide.s16 %0, %1, %2;", "h"(h), "h"(uint16_t(x.b)));
        PUT(uint32_t, "=r", "mul.wide.u16 %0, %1, %2;", "h"(h), "h"(uint16_t(x.b)));
        PUT32("mad.lo.s32 %0, %1, %2, %3;");
        PUT64("mad.wide.s32 %0, %4, %5, %3;");
        PUT64("mad.wide.u32 %0, %4, %5, %3;");
        PUT(int, "=r", "div.s32 %0, %1, %2;", "r"(uint32_t(x.a)), "r"(by));
        PUT(int, "=r", "rem.s32 %0, %1, %2;", "r"(uint32_t(x.a)), "r"(by));
        PUT(int, "=r", "div.u32 %0, %1, %2;", "r"(uint32_t(x.a)), "r"(by));
        PUT(int, "=r", "rem.u32 %0, %1, %2;", "r"(uint32_t(x.a)), "r"(by));
        PUT(uint16_t, "=h", "div.s16 %0, %1, %2;", "h"(h), "h"(by16));
        PUT(uint16_t, "=h", "rem.s16 %0, %1, %2;", "h"(h), "h"(by16));
        PUT(uint16_t, "=h", "div.u16 %0, %1, %2;", "h"(h), "h"(by16));
        PUT32("min.s32 %0, %1, %2;");
        PUT32("max.s32 %0, %1, %2;");
        PUT32("min.u32 %0, %1, %2;");
        PUT32("max.u32 %0, %1, %2;");
        PUT32("neg.s32 %0, %1;");
        PUT32("abs.s32 %0, %1;");
        PUT16("add.s16");
        PUT16("sub.s16");
        PUT16("mul.lo.s16");
        PUT16("mul.hi.s16");
        PUT16("mul.hi.u16");
        PUT16("min.s16");
        PUT16("max.u16");
    }
};

struct long_integers {
    static __device__ void of(const operands &x, results &put)
    {
        const uint64_t by = x.b ? x.b : 1;
        PUT64("add.s64 %0, %1, %2;");
        PUT64("sub.s64 %0, %1, %2;");
        PUT64("mul.lo.s64 %0, %1, %2;");
        PUT64("mul.hi.s64 %0, %1, %2;");
        PUT64("mul.hi.u64 %0, %1, %2;");
        PUT64("mad.lo.s64 %0, %1, %2, %3;");
        PUT(int64_t, "=l", "div.s64 %0, %1, %2;", "l"(x.a), "l"(by));
        PUT(int64_t, "=l", "rem.s64 %0, %1, %2;", "l"(x.a), "l"(by));
        PUT(int64_t, "=l", "div.u64 %0, %1, %2;", "l"(x.a), "l"(by));
        PUT(int64_t, "=l", "rem.u64 %0, %1, %2;", "l"(x.a), "l"(by));
        PUT64("min.s64 %0, %1, %2;");
        PUT64("max.s64 %0, %1, %2;");
        PUT64("min.u64 %0, %1, %2;");
        PUT64("max.u64 %0, %1, %2;");
        PUT64("neg.s64 %0, %1;");
        PUT64("abs.s64 %0, %1;");
    }
};

struct bits {
    static __device__ void of(const operands &x, results &put)
    {
        put(__byte_perm(uint32_t(x.a), uint32_t(x.b), uint32_t(x.c) & 0x7777));
        PUT32("prmt.b32 %0, %1, %2, %3;"); /* also with the sign's bytes */
        put(__popc(uint32_t(x.a)));
        put(__clz(int(x.a)));
        put(__clzll(int64_t(x.a)));
        PUT(uint32_t, "=r", "bfi.b32 %0, %1, %2, %3, %4;", "r"(uint32_t(x.a)), "r"(uint32_t(x.b)),
            "r"(uint32_t(x.c) & 255), "r"(uint32_t(x.c) >> 8 & 255));
        PUT(uint64_t, "=l", "bfi.b64 %0, %1, %2, %3, %4;", "l"(x.a), "l"(x.b),
            "r"(uint32_t(x.c) & 255), "r"(uint32_t(x.c) >> 8 & 255));
        PUT32("and.b32 %0, %1, %2;");
        PUT32("or.b32 %0, %1, %2;");
        PUT32("xor.b32 %0, %1, %2;");
        PUT32("not.b32 %0, %1;");
        PUT64("and.b64 %0, %1, %2;");
        PUT64("not.b64 %0, %1;");
        PUT64("mov.b64 %0, {%5, %4};");
        PUT32("{.reg .b16 l, h; mov.b32 {l, h}, %1; mov.b32 %0, {h, l};}");
        PUT32("{.reg .pred p; setp.lt.s32 p, %1, %2; selp.b32 %0, %2, %3, p;}");
        PUT32(
            "{.reg .pred p, q; setp.lt.s32 p, %1, %2; not.pred q, p; mov.u32 %0, %3; @!q mov.u32 %0, %2;}");
    }
};

struct carries {
    static __device__ void of(const operands &x, results &put)
    {
        using whole = unsigned __int128;
        const uint32_t a[2] = { uint32_t(x.a), uint32_t(x.a >> 32) };
        const uint32_t b[2] = { uint32_t(x.b), uint32_t(x.b >> 32) };
        uint32_t r[4];
        put(x.a * x.b);
        put(__umul64hi(x.a, x.b));
        put(__mul64hi(int64_t(x.a), int64_t(x.b)));
        asm("mul.lo.u32 %0, %4, %6;\n"
            "mul.hi.u32 %1, %4, %6;\n"
            "mad.lo.cc.u32 %1, %4, %7, %1;\n"
            "madc.hi.u32 %2, %4, %7, 0;\n"
            "mad.lo.cc.u32 %1, %5, %6, %1;\n"
            "madc.hi.cc.u32 %2, %5, %6, %2;\n"
            "addc.u32 %3, 0, 0;\n"
            "mad.lo.cc.u32 %2, %5, %7, %2;\n"
            "madc.hi.u32 %3, %5, %7, %3;\n"
            : "=&r"(r[0]), "=&r"(r[1]), "=&r"(r[2]), "=&r"(r[3])
            : "r"(a[0]), "r"(a[1]), "r"(b[0]), "r"(b[1]));
        put(r[0] | uint64_t(r[1]) << 32);
        put(r[2] | uint64_t(r[3]) << 32);
        asm("add.cc.u32 %0, %4, %6;\n"
            "addc.cc.u32 %1, %5, %7;\n"
            "addc.u32 %2, 0, 0;\n"
            "sub.cc.u32 %3, %4, %6;\n"
            : "=&r"(r[0]), "=&r"(r[1]), "=&r"(r[2]), "=&r"(r[3])
            : "r"(a[0]), "r"(a[1]), "r"(b[0]), "r"(b[1]));
        put(r[0] | uint64_t(r[1]) << 32);
        put(r[2]);
        asm("sub.cc.u32 %0, %4, %6;\n"
            "subc.cc.u32 %1, %5, %7;\n"
            "subc.u32 %2, 0, 0;\n"
            "mov.u32 %3, 0;\n"
            : "=&r"(r[0]), "=&r"(r[1]), "=&r"(r[2]), "=&r"(r[3])
            : "r"(a[0]), "r"(a[1]), "r"(b[0]), "r"(b[1]));
        put(r[0] | uint64_t(r[1]) << 32);
        put(r[2]);
        const whole left = whole(x.a) << 64 | x.b, right = whole(x.b) << 64 | x.c;
        put(uint64_t(left + right));
        put(uint64_t((left + right) >> 64));
        put(uint64_t(left - right));
        put(uint64_t((left - right) >> 64));
        put(uint64_t((left * right) >> 64));
        uint64_t low, high;
        asm("mad.lo.cc.u64 %0, %2, %3, %4;\n"
            "madc.hi.u64 %1, %2, %3, 0;\n"
            : "=&l"(low), "=&l"(high)
            : "l"(x.a), "l"(x.b), "l"(x.c));
        put(low);
        put(high);
    }
};

struct floats {
    static __device__ void of(const operands &x, results &put)
    {
        PUT(float, "=f", "add.rn.f32 %0, %1, %2;", OF_F32);
        PUT(float, "=f", "sub.rn.f32 %0, %1, %2;", OF_F32);
        PUT(float, "=f", "mul.rn.f32 %0, %1, %2;", OF_F32);
        PUT(float, "=f", "div.rn.f32 %0, %1, %2;", OF_F32);
        PUT(float, "=f", "fma.rn.f32 %0, %1, %2, %3;", OF_F32);
        PUT(float, "=f", "fma.rm.f32 %0, %1, %2, %3;", OF_F32);
        PUT(float, "=f", "fma.rz.f32 %0, %1, %2, %3;", OF_F32);
        PUT(float, "=f", "sqrt.rn.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "rcp.rn.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "min.f32 %0, %1, %2;", OF_F32);
        PUT(float, "=f", "max.f32 %0, %1, %2;", OF_F32);
        PUT(float, "=f", "neg.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "abs.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "copysign.f32 %0, %2, %1;", OF_F32);
    }
};

struct doubles {
    static __device__ void of(const operands &x, results &put)
    {
        PUT(double, "=d", "add.rn.f64 %0, %1, %2;", OF_F64);
        PUT(double, "=d", "sub.rn.f64 %0, %1, %2;", OF_F64);
        PUT(double, "=d", "mul.rn.f64 %0, %1, %2;", OF_F64);
        PUT(double, "=d", "div.rn.f64 %0, %1, %2;", OF_F64);
        PUT(double, "=d", "fma.rn.f64 %0, %1, %2, %3;", OF_F64);
        PUT(double, "=d", "sqrt.rn.f64 %0, %1;", OF_F64);
        PUT(double, "=d", "rcp.rn.f64 %0, %1;", OF_F64);
        PUT(double, "=d", "min.f64 %0, %1, %2;", OF_F64);
        PUT(double, "=d", "max.f64 %0, %1, %2;", OF_F64);
        PUT(double, "=d", "neg.f64 %0, %1;", OF_F64);
        PUT(double, "=d", "abs.f64 %0, %1;", OF_F64);
        PUT(double, "=d", "copysign.f64 %0, %2, %1;", OF_F64);
    }
};

#define IS(BY, ...)                                                                                \
    PUT(uint32_t, "=r", "{.reg .pred p; setp." BY " p, %1, %2; selp.u32 %0, 1, 0, p;}", __VA_ARGS__)
#define OF_S32 "r"(uint32_t(x.a)), "r"(uint32_t(x.b))
#define OF_S64 "l"(x.a), "l"(x.b)

struct comparisons {
    static __device__ void of(const operands &x, results &put)
    {
        IS("eq.f32", OF_F32);
        IS("ne.f32", OF_F32);
        IS("lt.f32", OF_F32);
        IS("le.f32", OF_F32);
        IS("gt.f32", OF_F32);
        IS("ge.f32", OF_F32);
        IS("equ.f32", OF_F32);
        IS("neu.f32", OF_F32);
        IS("ltu.f32", OF_F32);
        IS("leu.f32", OF_F32);
        IS("gtu.f32", OF_F32);
        IS("geu.f32", OF_F32);
        IS("num.f32", OF_F32);
        IS("nan.f32", OF_F32);
        IS("eq.s32", OF_S32);
        IS("ne.s32", OF_S32);
        IS("lt.s32", OF_S32);
        IS("ge.s32", OF_S32);
        IS("lt.u32", OF_S32);
        IS("ge.u32", OF_S32);
        IS("gt.s64", OF_S64);
        IS("le.s64", OF_S64);
        IS("gt.u64", OF_S64);
        IS("le.u64", OF_S64);
    }
};

struct functions {
    static __device__ void of(const operands &x, results &put)
    {
        const float a = __uint_as_float(uint32_t(x.a)), b = __uint_as_float(uint32_t(x.b));
        put(sinf(a));
        put(cosf(a));
        put(expf(a));
        put(logf(a));
        put(tanhf(a));
        put(erff(a));
        put(powf(a, b));
    }
};

struct long_functions {
    static __device__ void of(const operands &x, results &put)
    {
        const double a = __longlong_as_double(x.a), b = __longlong_as_double(x.b);
        put(sin(a));
        put(cos(a));
        put(exp(a));
        put(log(a));
        put(tanh(a));
        put(erf(a));
        put(pow(a, b));
    }
};

constexpr unsigned ALL_LANES = 0xffffffff;

template <int WIDTH> __device__ void shuffle(const operands &x, results &put)
{
    const uint32_t v = uint32_t(x.a);
    put(__shfl_up_sync(ALL_LANES, v, unsigned(x.b), WIDTH));
    put(__shfl_down_sync(ALL_LANES, v, unsigned(x.b), WIDTH));
    put(__shfl_xor_sync(ALL_LANES, v, int(x.b), WIDTH));
    put(__shfl_sync(ALL_LANES, v, int(x.c), WIDTH));
}
struct shuffles {
    static __device__ void of(const operands &x, results &put)
    {
        shuffle<8>(x, put);
        shuffle<16>(x, put);
        shuffle<32>(x, put);
        put(__shfl_xor_sync(ALL_LANES, x.a, 5)); /* of 64 bits */
        PUT(uint32_t, "=r",
            "{.reg .pred p; .reg .b32 v; shfl.sync.down.b32 v|p, %1, %2, 0x181f, 0xffffffff; selp.u32 %0, 1, 0, p;}",
            OF_S32);
    }
};

struct votes {
    static __device__ void of(const operands &x, results &put)
    {
        const unsigned lane = threadIdx.x % 32, odd = unsigned(x.a & 1);
        const unsigned all = __ballot_sync(ALL_LANES, odd);
        put(all);
        put(__popc(all & ((1u << lane) - 1)));
        put(__any_sync(ALL_LANES, x.a > x.b));
        put(__any_sync(ALL_LANES, x.a == 12345));
        unsigned part;
        if (lane < 10)
            part = __ballot_sync(0x3ff, !odd);
        else
            part = __ballot_sync(0xfffffc00, odd) | 1;
        put(part);
        PUT(uint32_t, "=r",
            "{.reg .pred p; setp.ne.u32 p, %1, 0; vote.sync.ballot.b32 %0, !p, 0xffffffff;}",
            "r"(odd));
    }
};

/* Lanes part at branches, and meet again. */
struct partings {
    static __device__ void of(const operands &x, results &put)
    {
        const int lane = int(threadIdx.x % 32), turns = int(x.a % 13);
        uint32_t sum = uint32_t(x.b);
        for (int k = 0; k < turns; k++) sum = sum * 3 + uint32_t(k); /* left at different times */
        put(__shfl_xor_sync(ALL_LANES, sum, 1));

        uint32_t fell = 0;
        switch (x.a % 5) {
        case 0: fell += 1;                            /* falls through */
        case 1: fell = fell * 10 + uint32_t(x.b % 7); /* falls through */
        case 2: fell += 5; break;
        case 3: fell = uint32_t(x.c); /* falls through */
        default: fell ^= 0x55;
        }
        put(__shfl_down_sync(ALL_LANES, fell, 3));

        uint32_t found = 0;
        for (uint32_t i = 0; i < 9; i++) { /* with break and continue, nested */
            if ((x.b >> i & 3) == 2) continue;
            for (uint32_t j = 0; j < 5; j++) {
                if ((x.c >> (i + j) & 7) == 5) break;
                found += i * j + 1;
            }
            if (found > x.a % 50) break;
        }
        put(__shfl_sync(ALL_LANES, found, 31 - lane));

        /* groups of 8 lanes, each with as many turns as it has, meet among themselves */
        const int group = lane / 8;
        const unsigned mask = 0xffu << (8 * group);
        uint32_t v = uint32_t(x.a);
#pragma unroll 1
        for (int k = 0; k <= group; k++) {
            v += __shfl_xor_sync(mask, v, 1);
            v += __shfl_xor_sync(mask, v, 4);
        }
        put(v);
        put(__ballot_sync(ALL_LANES, v & 16));

        uint32_t last = v; /* those that go on shrink to one */
#pragma unroll 1
        for (int first = 0; first <= lane; first++)
            last = last * 5 + uint32_t(__shfl_sync(ALL_LANES << first, int(v), first));
        put(last);
    }
};

__device__ __noinline__ float apart(float a, double b, int n)
{
    float kept[6];
    for (int i = 0; i < 6; i++) kept[(i * n + 1) % 6] = a + float(i);
    return kept[n] * float(b);
}
__device__ __noinline__ uint32_t steps(uint32_t n) /* of Collatz's sequence, at most 40 */
{
    uint32_t k = 0;
    while (n > 1 && k < 40) {
        n = n % 2 ? 3 * n + 1 : n / 2;
        k++;
    }
    return k;
}
__device__ __noinline__ uint32_t twice(uint32_t n)
{
    return steps(n) * 100 + steps(n + 1);
}
struct calls {
    static __device__ void of(const operands &x, results &put)
    {
        put(apart(float(x.a % 1000), double(x.b % 77), int(x.c % 2) * 4 + 1));
        uint32_t v = steps(uint32_t(x.a % 1000));
        if (x.b % 2) v += twice(uint32_t(x.b % 1000)); /* not by all lanes */
        put(v);
        put(__shfl_xor_sync(ALL_LANES, v, 16));
    }
};

__device__ int seed = 7;
__device__ double factor = -2.5;
__constant__ float scale = 1.5f;
__device__ const int sparse[8] = { 5, 6 };
__device__ const uint16_t shorts[5] = { 1, 0x8000, 65535, 256, 77 };
__constant__ float table[4] = { 0.5f, -0.0f, 1e-40f, 3e38f };
__constant__ int64_t longs[3] = { -1, 0, int64_t(1) << 62 };
__device__ int zeros[4];
struct variables {
    static __device__ void of(const operands &x, results &put)
    {
        volatile int *v = &seed;
        volatile double *d = &factor;
        volatile int *z = zeros;
        put(*v);
        put(*d);
        put(scale);
        put(sparse[x.a % 8]);
        put(shorts[x.a % 5]);
        put(table[x.a % 4]);
        put(longs[x.a % 3]);
        put(z[x.a % 4]);
    }
};

template <class G> __global__ void each(const operands *x, int n, uint64_t *out, int *count)
{
    const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) return;
    uint64_t *mine = out + int64_t(i) * MOST_RESULTS;
    results put { mine };
    G::of(x[i], put);
    if (i == 0) *count = int(put.at - mine);
}

template <class G> int run_each(const operands *x, int n, uint64_t *out)
{
    array<operands> given(n, [=](int i) { return x[i]; });
    array<uint64_t> got(n * MOST_RESULTS);
    array<int> count(1);
    each<G><<<(n + 127) / 128, 128>>>(given.p, n, got.p, count.p);
    int results;
    cudaMemcpyAsync(&results, count.p, sizeof results, cudaMemcpyDeviceToHost, nullptr);
    for (int i = 0; i < n; i++)
        cudaMemcpyAsync(out + i * results, got.p + i * MOST_RESULTS, size_t(results) * 8,
                        cudaMemcpyDeviceToHost, nullptr);
    return results;
}

} // namespace

extern "C" {
int exact_from_f32(const operands *x, int n, uint64_t *out)
{
    return run_each<from_f32>(x, n, out);
}
int exact_from_f64(const operands *x, int n, uint64_t *out)
{
    return run_each<from_f64>(x, n, out);
}
int exact_from_integers(const operands *x, int n, uint64_t *out)
{
    return run_each<from_integers>(x, n, out);
}
int exact_halves(const operands *x, int n, uint64_t *out)
{
    return run_each<halves>(x, n, out);
}
int exact_shifts(const operands *x, int n, uint64_t *out)
{
    return run_each<shifts>(x, n, out);
}
int exact_integers(const operands *x, int n, uint64_t *out)
{
    return run_each<integers>(x, n, out);
}
int exact_long_integers(const operands *x, int n, uint64_t *out)
{
    return run_each<long_integers>(x, n, out);
}
int exact_bits(const operands *x, int n, uint64_t *out)
{
    return run_each<bits>(x, n, out);
}
int exact_carries(const operands *x, int n, uint64_t *out)
{
    return run_each<carries>(x, n, out);
}
int exact_f32(const operands *x, int n, uint64_t *out)
{
    return run_each<floats>(x, n, out);
}
int exact_f64(const operands *x, int n, uint64_t *out)
{
    return run_each<doubles>(x, n, out);
}
int exact_comparisons(const operands *x, int n, uint64_t *out)
{
    return run_each<comparisons>(x, n, out);
}
int exact_functions(const operands *x, int n, uint64_t *out)
{
    return run_each<functions>(x, n, out);
}
int exact_long_functions(const operands *x, int n, uint64_t *out)
{
    return run_each<long_functions>(x, n, out);
}
int exact_shuffles(const operands *x, int n, uint64_t *out)
{
    return run_each<shuffles>(x, n, out);
}
int exact_votes(const operands *x, int n, uint64_t *out)
{
    return run_each<votes>(x, n, out);
}
int exact_partings(const operands *x, int n, uint64_t *out)
{
    return run_each<partings>(x, n, out);
}
int exact_calls(const operands *x, int n, uint64_t *out)
{
    return run_each<calls>(x, n, out);
}
int exact_variables(const operands *x, int n, uint64_t *out)
{
    return run_each<variables>(x, n, out);
}
}
