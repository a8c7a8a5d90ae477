#include "options.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

/* ---- single values --------------------------------------------------------------------------- */

const option *option_find(const option *table, const char *name, size_t length)
{
    for (const option *o = table; o->name; o++) {
        if (o->type == OPTION_SECTION || strlen(o->name) != length) continue;
        size_t i = 0;
        while (i < length && (name[i] == '_' ? '-' : name[i]) == o->name[i]) i++;
        if (i == length) return o;
    }
    return NULL;
}

static bool in_range(const option *o, double v, const char *text, const char *where)
{
    if (v >= o->least && v <= o->most) return true; /* false for NaN */
    return complain("%s: %s is not between %g and %g", where, text, o->least, o->most);
}

static bool set_int(int64_t *out, const option *o, const char *text, const char *where)
{
    char *end;
    errno = 0;
    const long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno) return complain("%s: '%s' is no integer", where, text);
    if (!in_range(o, (double)v, text, where)) return false;
    *out = v;
    return true;
}

static bool set_real(double *out, const option *o, const char *text, const char *where)
{
    char *end;
    const double v = strtod(text, &end);
    if (end == text || *end) return complain("%s: '%s' is no number", where, text);
    if (!in_range(o, v, text, where)) return false;
    *out = v;
    return true;
}

static bool set_choice(int *out, const option *o, const char *text, const char *where)
{
    char all[256] = "";
    for (int i = 0; o->choices[i]; i++) {
        if (!strcmp(o->choices[i], text)) {
            *out = i;
            return true;
        }
        const size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, "%s%s", i ? ", " : "", o->choices[i]);
    }
    return complain("%s: '%s' is none of %s", where, text, all);
}

static bool set_flag(bool *out, const char *text, const char *where)
{
    *out = !strcmp(text, "true");
    return *out || !strcmp(text, "false") ||
           complain("%s: '%s' is neither true nor false", where, text);
}

static bool set_text(char out[TEXT_SIZE], const char *text, const char *where)
{
    if (strlen(text) >= TEXT_SIZE)
        return complain("%s: longer than %d bytes", where, TEXT_SIZE - 1);
    strcpy(out, text);
    return true;
}

static bool add_string(const char **strings, const char *text, const char *where)
{
    int n = 0;
    while (strings[n]) n++;
    if (n == STRINGS) return complain("%s: given more than %d times", where, STRINGS);
    strings[n] = text;
    return true;
}

bool option_set(void *settings, const option *o, const char *text, const char *where)
{
    void *field = (char *)settings + o->offset;
    switch (o->type) {
    case OPTION_INT: return set_int(field, o, text, where);
    case OPTION_REAL: return set_real(field, o, text, where);
    case OPTION_FLAG: return set_flag(field, text, where);
    case OPTION_TEXT: return set_text(field, text, where);
    case OPTION_CHOICE: return set_choice(field, o, text, where);
    case OPTION_STRING: *(const char **)field = text; return true;
    case OPTION_STRINGS: return add_string(field, text, where);
    case OPTION_SECTION: break;
    }
    return false;
}

void option_print_value(FILE *f, const void *settings, const option *o)
{
    const void *field = (const char *)settings + o->offset;
    const char *text = field;
    switch (o->type) {
    case OPTION_INT: fprintf(f, "%lld", (long long)*(const int64_t *)field); break;
    case OPTION_REAL: fprintf(f, "%.9g", *(const double *)field); break;
    case OPTION_FLAG: fputs(*(const bool *)field ? "true" : "false", f); break;
    case OPTION_CHOICE: fputs(o->choices[*(const int *)field], f); break;
    case OPTION_TEXT:
        /* In quotes where a configuration file would read something else. */
        if (*text && (strpbrk(text, "#\"\n") || *text == ' ' || text[strlen(text) - 1] == ' '))
            fprintf(f, "\"%s\"", text);
        else
            fputs(text, f);
        break;
    case OPTION_STRING: fputs(*(const char *const *)field, f); break;
    case OPTION_STRINGS:
    case OPTION_SECTION: break;
    }
}

/* ---- all of them ----------------------------------------------------------------------------- */

void options_default(void *settings, const option *table)
{
    for (const option *o = table; o->name; o++)
        if (o->type != OPTION_SECTION && o->type != OPTION_STRINGS)
            option_set(settings, o, o->fallback, o->name);
}

static bool read_flag(void *settings, const option *table, int argc, char **argv, int *i)
{
    const char *arg = argv[*i];
    if (strncmp(arg, "--", 2) || !arg[2]) return complain("no option '%s' (see --help)", arg);
    const char *name = arg + 2, *equals = strchr(name, '='), *value = equals ? equals + 1 : NULL;
    const size_t n = equals ? (size_t)(equals - name) : strlen(name);
    const option *o = option_find(table, name, n);
    if (!o && !strncmp(name, "no-", 3) && !value) {
        o = option_find(table, name + 3, n - 3);
        if (o && o->type == OPTION_FLAG)
            value = "false";
        else
            o = NULL;
    }
    if (!o) return complain("no option '%.*s' (see --help)", (int)n + 2, arg);
    const char *next = *i + 1 < argc ? argv[*i + 1] : NULL;
    if (!value && o->type == OPTION_FLAG) {
        const bool given = next && (!strcmp(next, "true") || !strcmp(next, "false"));
        value = given ? next : "true";
        *i += given;
    } else if (!value) {
        if (!next) return complain("--%s: a value is missing", o->name);
        value = next;
        ++*i;
    }
    char where[64];
    snprintf(where, sizeof where, "--%s", o->name);
    return option_set(settings, o, value, where);
}

bool options_read(void *settings, const option *table, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!read_flag(settings, table, argc, argv, &i)) return false;
    return true;
}

bool options_want_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return true;
    return false;
}

void options_help(const void *settings, const option *table)
{
    for (const option *o = table; o->name; o++) {
        if (o->type == OPTION_SECTION) {
            printf("\n%s\n", o->name);
            continue;
        }
        printf("  --%-17s %s", o->name, o->help);
        for (int i = 0; o->choices && o->choices[i]; i++)
            printf("%s%s", i ? ", " : *o->help ? ": " : "", o->choices[i]);
        const char *field = (const char *)settings + o->offset;
        const bool empty = (o->type == OPTION_TEXT && !*field) || o->type == OPTION_STRINGS ||
                           (o->type == OPTION_STRING && !**(const char *const *)field);
        if (!empty) {
            fputs(" [", stdout);
            option_print_value(stdout, settings, o);
            fputs("]", stdout);
        }
        putchar('\n');
    }
}
