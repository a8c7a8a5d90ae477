/* Trains a GPT-2 on a text, or on token shards of llm.c: `gpt2_train --help` lists what can be told. */
#include "settings.h"
#include "train.h"

const char program_name[] = "gpt2_train";

int main(int argc, char **argv)
{
    static settings s;
    const int status = settings_parse(&s, argc, argv);
    if (status >= 0) return status;
    const volatile int *stop = stop_flag(); /* the checkpoint is whole after a second signal, too */
    if (!train(&s, stop)) return FAILED;
    return *stop ? INTERRUPTED : 0;
}
