/* Kernels that calculate what the host does, too. */
#ifndef WENGERT_TESTS_PTX_EXACT_H
#define WENGERT_TESTS_PTX_EXACT_H
#include <stdint.h>

/* Of each of n triples of bits, `count` results' bits side by side, out (n, count). */
struct operands {
    uint64_t a, b, c;
};
using exact = int (*)(const operands *x, int n, uint64_t *out); /* count */
enum { MOST_RESULTS = 64 };
extern "C" {
int exact_from_f32(const operands *x, int n, uint64_t *out);
int exact_from_f64(const operands *x, int n, uint64_t *out);
int exact_from_integers(const operands *x, int n, uint64_t *out);
int exact_halves(const operands *x, int n, uint64_t *out);
int exact_shifts(const operands *x, int n, uint64_t *out);
int exact_integers(const operands *x, int n, uint64_t *out);
int exact_long_integers(const operands *x, int n, uint64_t *out);
int exact_bits(const operands *x, int n, uint64_t *out);
int exact_carries(const operands *x, int n, uint64_t *out);
int exact_f32(const operands *x, int n, uint64_t *out);
int exact_f64(const operands *x, int n, uint64_t *out);
int exact_comparisons(const operands *x, int n, uint64_t *out);
int exact_functions(const operands *x, int n, uint64_t *out);
int exact_long_functions(const operands *x, int n, uint64_t *out);
/* Of each lane's a, b, c: n is a multiple of 32. */
int exact_shuffles(const operands *x, int n, uint64_t *out);
int exact_votes(const operands *x, int n, uint64_t *out);
int exact_partings(const operands *x, int n, uint64_t *out);
int exact_calls(const operands *x, int n, uint64_t *out);
int exact_variables(const operands *x, int n, uint64_t *out);
}
#endif
