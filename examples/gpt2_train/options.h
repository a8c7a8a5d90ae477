/* The table of options. */
#ifndef GPT2_TRAIN_OPTIONS_H
#define GPT2_TRAIN_OPTIONS_H
#include "../common/options.h"
#include "settings.h"

extern const option options[]; /* name NULL at the end; defaults are nano's */

typedef struct {
    const char *name, *what;
    const char *text[2]; /* as in a configuration file: what differs from the table's defaults */
} preset;

extern const preset presets[]; /* name NULL at the end */
#endif
