/* The items of chains; compiled once per level. Their loops are as long as a vector, and become one instruction or a few. */
#include "cpu/chain.h"

#include <string.h>

#include "cpu/formula.h"
#include "cpu/vec.h"

enum { BYTES = WGI_VBYTES, LANES = WGI_VF, VECTORS = 8 };
typedef wgi_vf vec;

#define PARAMS                                                                                     \
    const wgi_chain_item *p, int64_t at, vec a, vec b, vec c, vec d, vec e, vec f, vec g, vec h
typedef void (*item_fn)(PARAMS);
#define EACH(X) X(a, 0) X(b, 1) X(c, 2) X(d, 3) X(e, 4) X(f, 5) X(g, 6) X(h, 7)
#define NEXT ((item_fn)(p + 1)->fn)(p + 1, at, a, b, c, d, e, f, g, h)

static inline __attribute__((always_inline)) vec load(const char *m, int i)
{
    vec v;
    memcpy(&v, m + i * BYTES, BYTES);
    return v;
}

static void chain_load(PARAMS)
{
    const char *m = p->data + at;
#define ONE(z, i) z = load(m, i);
    EACH(ONE)
#undef ONE
    NEXT;
}

static void chain_store(PARAMS)
{
    char *m = (char *)(uintptr_t)p->data + at;
#define ONE(z, i) memcpy(m + (i)*BYTES, &z, BYTES);
    EACH(ONE)
#undef ONE
    NEXT;
}

static void chain_end(PARAMS)
{
    (void)p, (void)at, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
}

static void run(const wgi_chain_item *code, int64_t first)
{
    const vec z = { 0 };
    ((item_fn)code->fn)(code, first * (int64_t)sizeof(float), z, z, z, z, z, z, z, z);
}

static void send(void *to, const void *from, size_t bytes)
{
    char *y = to;
    const char *x = from;
    const size_t before = -(uintptr_t)y % BYTES, head = before < bytes ? before : bytes;
    memcpy(y, x, head);
    y += head;
    x += head;
    bytes -= head;
    for (; bytes >= BYTES; bytes -= BYTES, x += BYTES, y += BYTES) {
        wgi_vf v;
        memcpy(&v, x, BYTES);
        wgi_vf_stream((float *)(void *)y, v);
    }
    memcpy(y, x, bytes);
}

/* ---- formulas: z = EXPR, where x[k] is z's element and y[k] that of the memory ---- */
#define MAP(z, i, EXPR)                                                                            \
    {                                                                                              \
        float x[LANES];                                                                            \
        memcpy(x, &z, BYTES);                                                                      \
        for (int k = 0; k < LANES; k++) x[k] = EXPR;                                               \
        memcpy(&z, x, BYTES);                                                                      \
    }
#define MAP_MEMORY(z, i, EXPR)                                                                     \
    {                                                                                              \
        const vec other = load(m, i);                                                              \
        float x[LANES], y[LANES];                                                                  \
        memcpy(x, &z, BYTES);                                                                      \
        memcpy(y, &other, BYTES);                                                                  \
        for (int k = 0; k < LANES; k++) x[k] = EXPR;                                               \
        memcpy(&z, x, BYTES);                                                                      \
    }
#define ALL(M, EXPR)                                                                               \
    M(a, 0, EXPR)                                                                                  \
    M(b, 1, EXPR)                                                                                  \
    M(c, 2, EXPR) M(d, 3, EXPR) M(e, 4, EXPR) M(f, 5, EXPR) M(g, 6, EXPR) M(h, 7, EXPR)

/* Formulas whose arithmetic costs less than their way to memory and back. */
/* clang-format off */
#define UNARY(X) X(neg) X(abs) X(sign) X(sqrt) X(square) X(reciprocal) X(relu) X(floor) X(round)
#define UNARY_A(X) X(leaky_relu)
#define UNARY_AB(X) X(clamp) X(affine)
#define BINARY(X) X(add) X(sub) X(mul) X(div) X(maximum) X(minimum) X(abs_backward) X(exp_backward) X(expm1_backward) \
    X(log_backward) X(log1p_backward) X(sqrt_backward) X(rsqrt_backward) X(square_backward) X(reciprocal_backward)  \
    X(tanh_backward) X(sigmoid_backward) X(relu_backward)
#define BINARY_A(X) X(leaky_relu_backward)
#define BINARY_AB(X) X(clamp_backward)

#define ITEM1(name, EXPR) static void name##_onto(PARAMS) { ALL(MAP, EXPR) NEXT; }
#define ITEM2(name, ONTO, UNDER) \
    static void name##_onto(PARAMS) { const char *m = p->data + at; ALL(MAP_MEMORY, ONTO) NEXT; } \
    static void name##_under(PARAMS) { const char *m = p->data + at; ALL(MAP_MEMORY, UNDER) NEXT; }
#define DEFINE1(name) ITEM1(name, wgi_##name##_f32(x[k]))
#define DEFINE1A(name) ITEM1(name, wgi_##name##_f32(x[k], p->a))
#define DEFINE1AB(name) ITEM1(name, wgi_##name##_f32(x[k], p->a, p->b))
#define DEFINE2(name) ITEM2(name, wgi_##name##_f32(x[k], y[k]), wgi_##name##_f32(y[k], x[k]))
#define DEFINE2A(name) ITEM2(name, wgi_##name##_f32(x[k], y[k], p->a), wgi_##name##_f32(y[k], x[k], p->a))
#define DEFINE2AB(name) ITEM2(name, wgi_##name##_f32(x[k], y[k], p->a, p->b), wgi_##name##_f32(y[k], x[k], p->a, p->b))
UNARY(DEFINE1) UNARY_A(DEFINE1A) UNARY_AB(DEFINE1AB) BINARY(DEFINE2) BINARY_A(DEFINE2A) BINARY_AB(DEFINE2AB)

#define ONTO(name) [WGI_FORMULA_##name] = (wgi_chain_fn)name##_onto,
#define UNDER(name) [WGI_FORMULA_##name] = (wgi_chain_fn)name##_under,
const wgi_chain_kernels WGI_AT_LEVEL(wgi_chain_kernels) = {
    .strip = VECTORS * LANES,
    .load = (wgi_chain_fn)chain_load,
    .store = (wgi_chain_fn)chain_store,
    .end = (wgi_chain_fn)chain_end,
    .onto = { UNARY(ONTO) UNARY_A(ONTO) UNARY_AB(ONTO) BINARY(ONTO) BINARY_A(ONTO) BINARY_AB(ONTO) },
    .under = { BINARY(UNDER) BINARY_A(UNDER) BINARY_AB(UNDER) },
    .run = run,
    .send = send,
};
/* clang-format on */
