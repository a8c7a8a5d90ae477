/* What environment variables switch on, seen in a process of its own: this program again, with a task as argument. */
#include <signal.h>
#include <stdlib.h>

#include "suite.h"
#include "tensor/internal.h"

static const char *self;

static wg_tensor *some(double v)
{
    return wg_from(&v, sizeof v, WG_F64, WG_DIMS());
}

/* Runs `task` under the settings; its output, and its exit status as the shell tells it. */
static void run(const char *settings, const char *task, char *out, size_t size, int *status)
{
    char command[4096];
    snprintf(command, sizeof command, "%s '%s' %s 2>&1; echo \"status $?\"", settings, self, task);
    FILE *f = popen(command, "r");
    ck_assert_ptr_nonnull(f);
    size_t n = fread(out, 1, size - 1, f);
    out[n] = 0;
    pclose(f);
    const char *last = strstr(out, "status ");
    ck_assert_ptr_nonnull(last);
    *status = atoi(last + 7);
}

static int leak(void)
{
    wg_scope s = wg_scope_push();
    some(1);
    wg_at("forgotten.c", 12);
    wg_tensor *t = (wg_ref)((wg_from)(&(float) { 2 }, 4, WG_F32, WG_DIMS(1)));
    (void)t;
    wg_status status = wg_scope_pop(s);
    some(3); /* the root scope has it */
    return (int)status;
}

START_TEST(leaks_are_listed_at_exit_with_the_line_that_made_them)
{
    char out[4096];
    int status;
    run("WG_DEBUG_LEAKS=1", "leak", out, sizeof out, &status);
    ck_assert_int_eq(status, 0);
    ck_assert_str_eq(
        out,
        "wengert: still alive: (1) f32 cpu, made at forgotten.c:12, 1 references, 1 of them by "
        "wg_ref\nstatus 0\n");
    run("", "leak", out, sizeof out, &status);
    ck_assert_str_eq(out, "status 0\n");
}
END_TEST

static int err(void)
{
    wg_at("wrong.c", 5);
    wg_raise(WG_EARG, "on purpose");
    return 0;
}

START_TEST(abort_aborts_where_the_error_is_raised)
{
    char out[4096];
    int status;
    run("ulimit -c 0; WG_ABORT=1", "err", out, sizeof out, &status);
    ck_assert_int_eq(status, 128 + SIGABRT);
    ck_assert_ptr_nonnull(strstr(out, "wengert: on purpose; at wrong.c:5\n"));
    run("WG_ABORT=0", "err", out, sizeof out, &status);
    ck_assert_str_eq(out, "status 0\n");
}
END_TEST

static int keep(void)
{
    void *p = wgi_cpu_alloc(1000), *q = wgi_cpu_alloc(3 << 20);
    wgi_cpu_free(p, 1000);
    wgi_cpu_free(q, 3 << 20);
    return wg_memory_stats(wg_cpu()).cached != 0;
}

START_TEST(no_cache_keeps_nothing)
{
    char out[4096];
    int status;
    run("WG_NO_CACHE=1", "keep", out, sizeof out, &status);
    ck_assert_int_eq(status, 0);
}
END_TEST

static int log_all(void)
{
    wgi_log(1, "one");
    wgi_log(2, "two");
    return 0;
}

START_TEST(verbose_says_how_much_is_told)
{
    char out[4096];
    int status;
    run("WG_VERBOSE=2", "log", out, sizeof out, &status);
    ck_assert_str_eq(out, "wengert: one\nwengert: two\nstatus 0\n");
    run("WG_VERBOSE=1", "log", out, sizeof out, &status);
    ck_assert_str_eq(out, "wengert: one\nstatus 0\n");
    run("", "log", out, sizeof out, &status);
    ck_assert_str_eq(out, "status 0\n");
}
END_TEST

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc > 1) {
        const char *task = argv[1];
        return strcmp(task, "leak") == 0  ? leak()
               : strcmp(task, "err") == 0 ? err()
               : strcmp(task, "log") == 0 ? log_all()
                                          : keep();
    }
    return suite_run(
        "debug", (const TTest *[]) { leaks_are_listed_at_exit_with_the_line_that_made_them,
                                     abort_aborts_where_the_error_is_raised, no_cache_keeps_nothing,
                                     verbose_says_how_much_is_told, NULL });
}
