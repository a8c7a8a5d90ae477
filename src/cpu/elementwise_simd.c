/* The contiguous loops of every elementwise formula; compiled once per level. */
#include "cpu/elementwise_kernels.h"

#include "cpu/formula.h"

#define T float
#define L(name) name##_f32
#include "cpu/elementwise_loops.h"
#define T double
#define L(name) name##_f64
#include "cpu/elementwise_loops.h"
#define T int64_t
#define L(name) name##_i64
#include "cpu/elementwise_loops.h"
#define T uint8_t
#define L(name) name##_u8
#include "cpu/elementwise_loops.h"

#define ARGS void *out, const void *const *in, int64_t n, const wgi_numbers *p
#define IO out, in, n
#define AB (float)p->a, (float)p->b
#define INTEGER_AB p->integer_a, p->integer_b

typedef int64_t (*divide_fn)(int64_t, int64_t);

static inline __attribute__((always_inline)) void divide(divide_fn f, ARGS)
{
    int64_t *restrict z = out;
    const int64_t *x = in[0], *y = in[1];
    int zero = 0;
    for (int64_t i = 0; i < n; i++) {
        z[i] = f(x[i], y[i]);
        zero |= y[i] == 0;
    }
    if (zero) __atomic_store_n(p->zero_divisor, 1, __ATOMIC_RELAXED);
}

/* clang-format off */
/* ---- f32 ---- */
#define REAL1(f) static void f##_f32(ARGS) { (void)p; map1_f32(wgi_##f##_f32, IO); }
#define REAL1A(f) static void f##_f32(ARGS) { map1a_f32(wgi_##f##_f32, IO, (float)p->a); }
#define REAL1AB(f) static void f##_f32(ARGS) { map1ab_f32(wgi_##f##_f32, IO, AB); }
#define REAL2(f) static void f##_f32(ARGS) { (void)p; map2_f32(wgi_##f##_f32, IO); }
#define REAL2A(f) static void f##_f32(ARGS) { map2a_f32(wgi_##f##_f32, IO, (float)p->a); }
#define REAL2AB(f) static void f##_f32(ARGS) { map2ab_f32(wgi_##f##_f32, IO, AB); }
#define COMPARE(f) static void f##_f32(ARGS) { (void)p; compare_f32(wgi_##f##_f32, IO); }
#include "cpu/formula_list.h"

/* ---- f64 ---- */
#define REAL1(f) static void f##_f64(ARGS) { (void)p; map1_f64(wgi_##f##_f64, IO); }
#define REAL1A(f) static void f##_f64(ARGS) { map1a_f64(wgi_##f##_f64, IO, p->a); }
#define REAL1AB(f) static void f##_f64(ARGS) { map1ab_f64(wgi_##f##_f64, IO, p->a, p->b); }
#define REAL2(f) static void f##_f64(ARGS) { (void)p; map2_f64(wgi_##f##_f64, IO); }
#define REAL2A(f) static void f##_f64(ARGS) { map2a_f64(wgi_##f##_f64, IO, p->a); }
#define REAL2AB(f) static void f##_f64(ARGS) { map2ab_f64(wgi_##f##_f64, IO, p->a, p->b); }
#define COMPARE(f) static void f##_f64(ARGS) { (void)p; compare_f64(wgi_##f##_f64, IO); }
#include "cpu/formula_list.h"

/* ---- i64 ---- */
#define REAL1(f)
#define REAL1A(f)
#define REAL1AB(f)
#define REAL2(f)
#define REAL2A(f)
#define REAL2AB(f)
#define INTEGER1(f) static void f##_i64(ARGS) { (void)p; map1_i64(wgi_##f##_i64, IO); }
#define INTEGER1AB(f) static void f##_i64(ARGS) { map1ab_i64(wgi_##f##_i64, IO, INTEGER_AB); }
#define INTEGER2(f) static void f##_i64(ARGS) { (void)p; map2_i64(wgi_##f##_i64, IO); }
#define DIVIDE2(f) static void f##_i64(ARGS) { divide(wgi_##f##_i64, IO, p); }
#define COMPARE(f) static void f##_i64(ARGS) { (void)p; compare_i64(wgi_##f##_i64, IO); }
#include "cpu/formula_list.h"

/* ---- bool ---- */
static void where_f32(ARGS) { (void)p; choose_f32(wgi_where_f32, IO); }
static void where_f64(ARGS) { (void)p; choose_f64(wgi_where_f64, IO); }
static void where_i64(ARGS) { (void)p; choose_i64(wgi_where_i64, IO); }
static void masked_fill_f32(ARGS) { fill_f32(IO, (float)p->a); }
static void masked_fill_f64(ARGS) { fill_f64(IO, p->a); }
static void masked_fill_i64(ARGS) { fill_i64(IO, p->integer_a); }
static void logical_and(ARGS) { (void)p; map2_u8(wgi_logical_and_u8, IO); }
static void logical_or(ARGS) { (void)p; map2_u8(wgi_logical_or_u8, IO); }
static void logical_xor(ARGS) { (void)p; map2_u8(wgi_logical_xor_u8, IO); }
static void logical_not(ARGS) { (void)p; map1_u8(wgi_logical_not_u8, IO); }

/* clang-format on */

static void isfinite_f32(ARGS)
{
    (void)p;
    uint8_t *restrict y = out;
    const float *x = in[0];
    for (int64_t i = 0; i < n; i++) y[i] = wgi_isfinite_f32(x[i]);
}

static void isfinite_f64(ARGS)
{
    (void)p;
    uint8_t *restrict y = out;
    const double *x = in[0];
    for (int64_t i = 0; i < n; i++) y[i] = wgi_isfinite_f64(x[i]);
}

/* clang-format off */
const wgi_elementwise_kernels WGI_AT_LEVEL(wgi_elementwise_kernels) = {
    .f32 = {
#define FORMULA(f) [WGI_FORMULA_##f] = f##_f32,
#include "cpu/formula_list.h"
    },
    .f64 = {
#define FORMULA(f) [WGI_FORMULA_##f] = f##_f64,
#include "cpu/formula_list.h"
    },
    .i64 = {
#define REAL1(f)
#define REAL1A(f)
#define REAL1AB(f)
#define REAL2(f)
#define REAL2A(f)
#define REAL2AB(f)
#define INTEGER1(f) [WGI_FORMULA_##f] = f##_i64,
#define INTEGER1AB(f) [WGI_FORMULA_##f] = f##_i64,
#define INTEGER2(f) [WGI_FORMULA_##f] = f##_i64,
#define DIVIDE2(f) [WGI_FORMULA_##f] = f##_i64,
#define COMPARE(f) [WGI_FORMULA_##f] = f##_i64,
#include "cpu/formula_list.h"
    },
    .where_f32 = where_f32,
    .where_f64 = where_f64,
    .where_i64 = where_i64,
    .fill_f32 = masked_fill_f32,
    .fill_f64 = masked_fill_f64,
    .fill_i64 = masked_fill_i64,
    .isfinite_f32 = isfinite_f32,
    .isfinite_f64 = isfinite_f64,
    .logical_and = logical_and,
    .logical_or = logical_or,
    .logical_xor = logical_xor,
    .logical_not = logical_not,
    .accumulate_f32 = accumulate_f32,
    .accumulate_f64 = accumulate_f64,
    .accumulate_i64 = accumulate_i64,
};
