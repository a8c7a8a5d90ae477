/* Trains a GPT-2 on a text, or on token shards of llm.c: `gpt2_train --help` lists what can be told. */
#include <signal.h>
#include <stddef.h>

#include "settings.h"
#include "train.h"

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
    (void)signal;
    stop = 1;
}

/* Once: a second signal ends the program at once. The checkpoint is whole then, too. */
static void catch_signals(void)
{
    struct sigaction a = { .sa_handler = on_signal, .sa_flags = (int)(SA_RESETHAND | SA_RESTART) };
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

int main(int argc, char **argv)
{
    enum { FAILED = 1, INTERRUPTED = 130 };
    static settings s;
    const int status = settings_parse(&s, argc, argv);
    if (status >= 0) return status;
    catch_signals();
    if (!train(&s, &stop)) return FAILED;
    return stop ? INTERRUPTED : 0;
}
