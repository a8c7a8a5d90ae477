/* The table of options and the reading of single values. */
#ifndef GPT2_TRAIN_OPTIONS_H
#define GPT2_TRAIN_OPTIONS_H
#include <stddef.h>
#include <stdio.h>

#include "settings.h"

typedef enum {
    OPTION_SECTION,
    OPTION_INT,
    OPTION_REAL,
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_CHOICE
} option_type;

typedef struct {
    const char *name; /* `--name` and `name = value`; of a section its title */
    option_type type;
    size_t offset;        /* in settings */
    const char *fallback; /* the default: nano's value */
    const char *help;
    double least, most;         /* of numbers */
    const char *const *choices; /* NULL at the end */
} option;

extern const option options[]; /* name NULL at the end */

/* NULL if there is none. '_' and '-' count as the same. */
const option *option_find(const char *name, size_t length);
/* Reads text into its field; false when it complained, as "WHERE: 'abc' is no integer". */
bool option_set(settings *s, const option *o, const char *text, const char *where);
void option_print_value(FILE *f, const settings *s, const option *o);

typedef struct {
    const char *name, *what;
    const char *text[2]; /* as in a configuration file: what differs from the table's defaults */
} preset;

extern const preset presets[]; /* name NULL at the end */
#endif
