/* Kernels that do one thing wrong each, as a real one might. */
#ifndef WENGERT_TESTS_PTX_FAULTS_H
#define WENGERT_TESTS_PTX_FAULTS_H

/* `wrong` makes the mistake, 0 runs the right twin. How many numbers are not right. */
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
#endif
