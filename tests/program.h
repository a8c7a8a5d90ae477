/* Programs as their users meet them: run with arguments, watched, interrupted. Output goes to files in the
 * test's folder. */
#ifndef WENGERT_TESTS_PROGRAM_H
#define WENGERT_TESTS_PROGRAM_H
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "folder.h"

extern char **environ;

/* The program that runs: an environment variable has its path. PROGRAM_DEVICE becomes its --device. */
static const char *program_variable;
#define RUN(...) run_program((const char *[]) { __VA_ARGS__, NULL })
#define START(...) start_program((const char *[]) { __VA_ARGS__, NULL })

static inline pid_t start_program(const char *const *arguments)
{
    const char *argv[64] = { getenv(program_variable) };
    ck_assert_msg(argv[0] != NULL, "%s is not set", program_variable);
    int n = 1;
    for (; arguments[n - 1]; n++) argv[n] = arguments[n - 1];
    if (getenv("PROGRAM_DEVICE") && strcmp(program_variable, "TOKENIZE") != 0) {
        argv[n++] = "--device";
        argv[n] = getenv("PROGRAM_DEVICE");
    }
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, in_folder("stdout"), O_CREAT | O_TRUNC | O_WRONLY,
                                     0666);
    posix_spawn_file_actions_addopen(&files, 2, in_folder("stderr"), O_CREAT | O_TRUNC | O_WRONLY,
                                     0666);
    pid_t pid;
    ck_assert_int_eq(posix_spawn(&pid, argv[0], &files, NULL, (char **)(uintptr_t)argv, environ),
                     0);
    posix_spawn_file_actions_destroy(&files);
    return pid;
}

/* The exit status; minus the signal that ended it. */
static inline int wait_program(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline int run_program(const char *const *arguments)
{
    return wait_program(start_program(arguments));
}

/* stdout or stderr of the last run, until the next call. */
static inline const char *output(const char *name)
{
    static char *text;
    size_t n;
    free(text);
    text = get_file(in_folder(name), &n);
    return text;
}

static inline void expect_success(int status)
{
    ck_assert_msg(status == 0, "status %d: %s", status, output("stderr"));
}

static inline void expect_mistake(int status, int want, const char *message)
{
    const char *text = output("stderr");
    const char *start = format("%s: %s", strrchr(getenv(program_variable), '/') + 1, message);
    ck_assert_msg(status == want && !strncmp(text, start, strlen(start)),
                  "status %d, want %d\ngot  %swant %s\n", status, want, text, start);
    ck_assert_msg(strchr(text, '\n') == text + strlen(text) - 1, "not one line: %s", text);
}

/* Until the log has n lines. */
static inline void wait_for_lines(const char *log, int n)
{
    for (int i = 0; i < 60000; i++) {
        FILE *f = fopen(log, "r");
        int lines = 0;
        for (int c; f && (c = fgetc(f)) != EOF;) lines += c == '\n';
        if (f) fclose(f);
        if (lines >= n) return;
        nanosleep(&(struct timespec) { 0, 1000000 }, NULL);
    }
    ck_abort_msg("%s never had %d lines", log, n);
}
#endif
