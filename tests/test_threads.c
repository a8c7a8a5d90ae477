/* How many threads kernels use, by what the environment of a process says. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suite.h"

/* wg_threads() of this program in a process of its own, with these settings in front of it. */
static int threads_with(const char *settings)
{
    char path[4096], command[8192];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    ck_assert_int_gt(n, 0);
    path[n] = 0;
    snprintf(command, sizeof command, "%s '%s' --threads", settings, path);
    FILE *f = popen(command, "r");
    ck_assert_ptr_nonnull(f);
    int threads = -1;
    ck_assert_int_eq(fscanf(f, "%d", &threads), 1);
    ck_assert_int_eq(pclose(f), 0);
    return threads;
}

static int cores(void)
{
    cpu_set_t set;
    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    return CPU_COUNT(&set);
}

START_TEST(all_cores_of_the_mask_are_used)
{
    ck_assert_int_eq(threads_with("env -u OMP_NUM_THREADS -u OMP_PROC_BIND"), cores());
}
END_TEST

START_TEST(bound_threads_are_as_many)
{
    ck_assert_int_eq(threads_with("env -u OMP_NUM_THREADS OMP_PROC_BIND=true"), cores());
}
END_TEST

START_TEST(the_environment_may_ask_for_fewer_but_not_for_more)
{
    ck_assert_int_eq(threads_with("env OMP_NUM_THREADS=1"), 1);
    ck_assert_int_eq(threads_with("env -u OMP_PROC_BIND OMP_NUM_THREADS=512"), cores());
}
END_TEST

START_TEST(a_mask_of_one_core_has_one_thread)
{
    cpu_set_t all, one;
    ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int c = 0; c < CPU_SETSIZE && CPU_COUNT(&one) == 0; c++)
        if (CPU_ISSET(c, &all)) CPU_SET(c, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    const int threads = threads_with("env -u OMP_NUM_THREADS");
    ck_assert_int_eq(sched_setaffinity(0, sizeof all, &all), 0);
    ck_assert_int_eq(threads, 1);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--threads") == 0) {
        printf("%d\n", wg_threads());
        return 0;
    }
    return suite_run("threads",
                     (const TTest *[]) { all_cores_of_the_mask_are_used, bound_threads_are_as_many,
                                         the_environment_may_ask_for_fewer_but_not_for_more,
                                         a_mask_of_one_core_has_one_thread, NULL });
}
