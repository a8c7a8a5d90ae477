#include "program.h"

#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <wengert/wengert.h>

bool complain(const char *fmt, ...)
{
    va_list a;
    va_start(a, fmt);
    fprintf(stderr, "%s: ", program_name);
    vfprintf(stderr, fmt, a);
    fputc('\n', stderr);
    va_end(a);
    return false;
}

bool failed(void)
{
    const wg_error *e = wg_error_get();
    if (e) {
        /* A function of the library may be called as the program is: once is enough. */
        const size_t n = strlen(program_name);
        const bool named = !strncmp(e->message, program_name, n) && e->message[n] == ':';
        const char *text = e->message + (named ? n + 2 : 0);
        const char *place = e->file ? strstr(text, "; at ") : NULL;
        complain("%.*s", place ? (int)(place - text) : (int)strlen(text), text);
    }
    wg_error_clear();
    return false;
}

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
    (void)signal;
    stop = 1;
}

const volatile int *stop_flag(void)
{
    /* Once: a second signal ends the program at once. */
    struct sigaction a = { .sa_handler = on_signal, .sa_flags = (int)(SA_RESETHAND | SA_RESTART) };
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    return &stop;
}

void make_folder(const char *path)
{
    char *p = strdup(path);
    if (!p || !*p) {
        free(p);
        return;
    }
    for (char *end = p + 1;; end++) {
        const char c = *end;
        if (c != '/' && c != '\0') continue;
        *end = '\0';
        mkdir(p, 0777);
        *end = c;
        if (c == '\0') break;
    }
    free(p);
}
