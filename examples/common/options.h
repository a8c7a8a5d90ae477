/* Options from a table: each program has one that says how each field of its settings is called, read and
 * explained. */
#ifndef COMMON_OPTIONS_H
#define COMMON_OPTIONS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { TEXT_SIZE = 4096, STRINGS = 16 };

typedef enum {
    OPTION_SECTION,
    OPTION_INT,
    OPTION_REAL,
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_CHOICE,
    OPTION_STRING, /* of any length; the field points to the argument */
    OPTION_STRINGS /* may be given STRINGS times; the field ends with NULL */
} option_type;

typedef struct {
    const char *name; /* `--name`; of a section its title */
    option_type type;
    size_t offset;        /* in the settings */
    const char *fallback; /* the default */
    const char *help;
    double least, most;         /* of numbers */
    const char *const *choices; /* NULL at the end */
} option;

/* Tables end with name NULL. Fields are int64_t, double, bool, char[TEXT_SIZE], int (of a choice),
 * const char *, const char *[STRINGS + 1]. */

/* NULL if there is none. '_' and '-' count as the same. */
const option *option_find(const option *table, const char *name, size_t length);
/* Reads text into its field; false when it complained, as "WHERE: 'abc' is no integer". */
bool option_set(void *settings, const option *o, const char *text, const char *where);
void option_print_value(FILE *f, const void *settings, const option *o);
/* Fills settings, of zeros, with the defaults. */
void options_default(void *settings, const option *table);
/* Reads the flags `--name value`, `--name=value`; of a flag also `--name` and `--no-name`. False when
 * it complained. */
bool options_read(void *settings, const option *table, int argc, char **argv);
/* Whether --help or -h is among them. */
bool options_want_help(int argc, char **argv);
/* The list of options, in brackets their values in settings. */
void options_help(const void *settings, const option *table);
#endif
