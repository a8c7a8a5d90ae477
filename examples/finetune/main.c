/* Fine-tunes a model from a file on a text, or on prompts with answers: `finetune --help`. */
#include "settings.h"
#include "train.h"

const char program_name[] = "finetune";

int main(int argc, char **argv)
{
    static settings s;
    const int status = settings_parse(&s, argc, argv);
    if (status >= 0) return status;
    const volatile int *stop = stop_flag();
    if (!train(&s, stop)) return FAILED;
    return *stop ? INTERRUPTED : 0;
}
