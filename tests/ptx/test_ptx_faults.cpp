/* The interpreter of PTX finds each of the faults of faults.cu, where it is, and nothing in their right twins. */
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "ptx_suite.h"

#include "faults.h"

namespace
{

struct fault {
    const char *name;
    int (*run)(int wrong);
    const char *text;     /* of the message */
    bool has_line = true; /* of the kernel: a launch that is refused has none */
};
const fault faults[] = {
    { "read_behind", fault_read_behind, " is read outside of all allocations" },
    { "write_behind", fault_write_behind, " is written outside of all allocations" },
    { "read_freed", fault_read_freed, " is read outside of all allocations" },
    { "variable_behind", fault_variable_behind, " is read outside of all allocations" },
    { "local_behind", fault_local_behind, " is outside of the thread's memory" },
    { "shared_behind", fault_shared_behind, " is outside of the block's memory" },
    { "misaligned", fault_misaligned, " is misaligned for 16 bytes" },
    { "misaligned_shared", fault_misaligned_shared, " is misaligned" },
    { "unwritten", fault_unwritten, " is read, and nobody has written it" },
    { "unwritten_counter", fault_unwritten_counter, " is read, and nobody has written it" },
    { "race_read_early", fault_race_read_early, " was written by thread 0 since the last barrier" },
    { "race_next_round", fault_race_next_round, " was read by thread 0 since the last barrier" },
    { "race_in_warp", fault_race_in_warp, " was written by thread 31 since the last barrier" },
    { "race_after_broadcast", fault_race_after_broadcast,
      " was read by several threads of warp 0 since" },
    { "race_of_halves", fault_race_of_halves, " was written by thread 1 since the last barrier" },
    { "race_with_atomic", fault_race_with_atomic, " was written by thread 0 since the last" },
    { "barrier_divergent", fault_barrier_divergent, "not all of a warp reach a barrier" },
    { "barrier_missed", fault_barrier_missed, "not all of a block reach a barrier" },
    { "shuffle_of_ended", fault_shuffle_of_ended, "a value of a lane that has ended" },
    { "shuffle_divergent", fault_shuffle_divergent, "not all lanes that are named take part" },
    { "ballot_divergent", fault_ballot_divergent, "not all lanes that are named take part" },
    { "blocks_overlap", fault_blocks_overlap, " is written by two blocks" },
    { "block_reads_before", fault_block_reads_before,
      " is read, and another block of this launch writes it" },
    { "block_reads_behind", fault_block_reads_behind,
      " is written, and another block of this launch reads it" },
    { "copy_not_waited", fault_copy_not_waited, "copies that nobody waited for" },
    { "copy_not_committed", fault_copy_not_committed, "copies that nobody waited for" },
    { "copy_past_its_end", fault_copy_past_its_end, " is read outside of all allocations" },
    { "product_unsent", fault_product_unsent, "has written without fence.proxy.async behind it" },
    { "product_no_barrier", fault_product_no_barrier, ", written since the last barrier" },
    { "product_not_waited", fault_product_not_waited, "products that nobody waited for" },
    { "product_unwritten", fault_product_unwritten, ", which nobody has written" },
    { "too_much_shared", fault_too_much_shared,
      "more shared memory than cudaFuncSetAttribute allows: much_shared", false },
    { "too_many_threads", fault_too_many_threads,
      "too many threads for __launch_bounds__: few_threads", false },
    { "too_many_blocks", fault_too_many_blocks, "many_blocks: grid 1 x 65536 x 1", false },
    { "count_at_barrier", fault_count_at_barrier, "no instruction bar.red.popc.u32", false },
};

struct ending {
    int status;
    std::string said;
};

/* In a process of its own, since what is found ends it; it exits with 1 where numbers are wrong. */
ending run_apart(int (*fn)(int), int wrong)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    std::fflush(stdout);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        const rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        _exit(fn(wrong) != 0);
    }
    close(ends[1]);
    ending e = { 0, {} };
    char buffer[4096];
    for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
        e.said.append(buffer, size_t(n));
    close(ends[0]);
    ck_assert_int_eq(waitpid(child, &e.status, 0), child);
    return e;
}

/* "faults.cu:12": where a comment of the source names the fault; "": nowhere. */
std::string place_of(const std::string &fault)
{
    std::ifstream source(WG_SOURCE_ROOT "/tests/ptx/faults.cu");
    std::string line;
    for (int n = 1; std::getline(source, line); n++) {
        const size_t comment = line.find("/* ");
        if (comment == std::string::npos) continue;
        const size_t at = line.find(" " + fault, comment);
        const char behind = at == std::string::npos ? 'x' : line[at + 1 + fault.size()];
        if (behind == ' ' || behind == ',') return "faults.cu:" + std::to_string(n) + "\n";
    }
    return "";
}

START_TEST(faults_are_found_where_they_are)
{
    std::string failures;
    for (const fault &f : faults) {
        const ending e = run_apart(f.run, 1);
        const std::string place = f.has_line ? place_of(f.name) : "";
        if (!WIFSIGNALED(e.status) || WTERMSIG(e.status) != SIGABRT ||
            e.said.find(f.text) == std::string::npos || e.said.find(place) == std::string::npos ||
            (f.has_line && place.empty()))
            failures += std::string(f.name) + ": want \"" + f.text + "\" " + place + " got " +
                        std::to_string(e.status) + " " + e.said + "\n";
    }
    expect_none(failures);
}
END_TEST

START_TEST(right_twins_run_to_their_end_with_the_right_numbers)
{
    std::string failures;
    for (const fault &f : faults) {
        if (f.run == fault_count_at_barrier) continue; /* has none */
        const ending e = run_apart(f.run, 0);
        if (e.status != 0 || !e.said.empty())
            failures += std::string(f.name) + ": " + std::to_string(e.status) + " " + e.said + "\n";
    }
    expect_none(failures);
}
END_TEST

} // namespace

int main()
{
    const int failed =
        failed_of("ptx faults", { faults_are_found_where_they_are,
                                  right_twins_run_to_their_end_with_the_right_numbers });
    std::printf("%zu faults, as many right twins but one\n", std::size(faults));
    return failed != 0;
}
