/* Kernels for the tests of the interpreter: each of the first does one thing wrong, as a real kernel might, the others
 * calculate what the host does, too. */
#ifndef WENGERT_TESTS_PTX_FAULTS_H
#define WENGERT_TESTS_PTX_FAULTS_H
#include <stdint.h>

/* ---- faults: `wrong` makes the mistake, 0 runs the right twin. How many numbers are not right. --------------------- */
extern "C" {
int fault_read_behind(int wrong);
int fault_write_behind(int wrong);
int fault_read_freed(int wrong);
int fault_variable_behind(int wrong);
int fault_local_behind(int wrong);
int fault_shared_behind(int wrong);
int fault_misaligned(int wrong);
int fault_misaligned_shared(int wrong);
int fault_unwritten(int wrong);
int fault_unwritten_counter(int wrong);
int fault_race_read_early(int wrong);
int fault_race_next_round(int wrong);
int fault_race_in_warp(int wrong);
int fault_race_after_broadcast(int wrong);
int fault_race_of_halves(int wrong);
int fault_race_with_atomic(int wrong);
int fault_barrier_divergent(int wrong);
int fault_barrier_missed(int wrong);
int fault_shuffle_of_ended(int wrong);
int fault_shuffle_divergent(int wrong);
int fault_ballot_divergent(int wrong);
int fault_blocks_overlap(int wrong);
int fault_block_reads_before(int wrong);
int fault_block_reads_behind(int wrong);
int fault_copy_not_waited(int wrong);
int fault_copy_not_committed(int wrong);
int fault_copy_past_its_end(int wrong);
int fault_product_unsent(int wrong);
int fault_product_no_barrier(int wrong);
int fault_product_not_waited(int wrong);
int fault_product_unwritten(int wrong);
int fault_too_much_shared(int wrong);
int fault_too_many_threads(int wrong);
int fault_too_many_blocks(int wrong);
int fault_count_at_barrier(int wrong);
}

/* ---- exact: of each of n triples of bits, `count` results' bits side by side, out (n, count) ----------------------- */
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
