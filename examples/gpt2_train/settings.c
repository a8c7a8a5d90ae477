/* Defaults, then the preset, then the configuration file, then flags. */
#include "settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

/* ---- configuration files --------------------------------------------------------------------- */
/* Cuts blanks and a comment (from a '#' at the start or after a blank) off; quotes keep both. */
static char *value_of(char *text)
{
    while (isspace((unsigned char)*text)) text++;
    char *quote = *text == '"' ? strrchr(text + 1, '"') : NULL;
    if (quote) {
        *quote = '\0';
        return text + 1;
    }
    for (char *p = text; *p; p++)
        if (*p == '#' && (p == text || isspace((unsigned char)p[-1]))) *p = '\0';
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1])) *--end = '\0';
    return text;
}

static bool read_line(settings *s, char *line, const char *where)
{
    while (isspace((unsigned char)*line)) line++;
    if (*line == '\0' || *line == '#') return true;
    char *equals = strchr(line, '=');
    if (!equals) return complain("%s: no `name = value`: %s", where, value_of(line));
    size_t n = (size_t)(equals - line);
    while (n > 0 && isspace((unsigned char)line[n - 1])) n--;
    const option *o = option_find(options, line, n);
    if (!o || !strcmp(o->name, "config"))
        return complain("%s: no option '%.*s'", where, (int)n, line);
    char place[TEXT_SIZE + 128];
    snprintf(place, sizeof place, "%s: %s", where, o->name);
    return option_set(s, o, value_of(equals + 1), place);
}

static bool read_stream(settings *s, FILE *f, const char *name)
{
    char *line = NULL, where[TEXT_SIZE + 32];
    size_t room = 0;
    bool ok = true;
    for (int number = 1; ok && getline(&line, &room, f) >= 0; number++) {
        snprintf(where, sizeof where, "%s:%d", name, number);
        ok = read_line(s, line, where);
    }
    free(line);
    if (ok && ferror(f)) ok = complain("%s: %s", name, strerror(errno));
    fclose(f);
    return ok;
}

static bool read_config(settings *s, const char *path)
{
    FILE *f = fopen(path, "r");
    return f ? read_stream(s, f, path) : complain("%s: %s", path, strerror(errno));
}

static bool read_preset_text(settings *s, const char *name, const char *text)
{
    if (!*text) return true;
    FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    return f ? read_stream(s, f, name) : complain("preset %s: %s", name, strerror(errno));
}

static bool read_preset(settings *s, const char *name)
{
    for (const preset *p = presets; p->name; p++) {
        if (strcmp(p->name, name)) continue;
        return read_preset_text(s, name, p->text[0]) && read_preset_text(s, name, p->text[1]);
    }
    return complain("no preset '%s' (see --help)", name);
}

/* ---- all of it ------------------------------------------------------------------------------- */
static void set_defaults(settings *s)
{
    memset(s, 0, sizeof *s);
    options_default(s, options);
}

static void print_help(const settings *s)
{
    puts(
        "gpt2_train: trains a GPT-2 on a text, or on token shards of llm.c, and lets it write.\n\n"
        "usage: gpt2_train [--NAME VALUE]...\n\n"
        "Ctrl-C ends the step, saves a checkpoint and leaves with status 130; a second one leaves at\n"
        "once. Other endings: 0 done, 1 failed, 2 a mistake in the options.");
    options_help(s, options);
    puts("\nPresets");
    for (const preset *p = presets; p->name; p++) printf("  %-17s   %s\n", p->name, p->what);
    puts("\nIn brackets: the defaults; `--preset NAME --help` shows a preset's.");
}

/* `--help` among other flags: only a preset beside it counts. */
static int help(settings *s, int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++)
        if (!strcmp(argv[i], "--preset") && !read_preset(s, argv[i + 1])) return MISTAKE;
    print_help(s);
    return 0;
}

int settings_parse(settings *s, int argc, char **argv)
{
    set_defaults(s);
    if (options_want_help(argc, argv)) return help(s, argc, argv);
    /* Once to learn which preset and file are wanted, then in the order in which they count. */
    if (!options_read(s, options, argc, argv)) return MISTAKE;
    char config[TEXT_SIZE], chosen[TEXT_SIZE];
    strcpy(config, s->config);
    if (*config && (!read_config(s, config) || !options_read(s, options, argc, argv)))
        return MISTAKE;
    strcpy(chosen, s->preset);
    set_defaults(s);
    if (!read_preset(s, chosen)) return MISTAKE;
    strcpy(s->preset, chosen);
    if (*config && !read_config(s, config)) return MISTAKE;
    return options_read(s, options, argc, argv) ? -1 : MISTAKE;
}

void settings_print(const settings *s)
{
    for (const option *o = options; o->name; o++) {
        if (o->type == OPTION_SECTION) {
            printf("# %s\n", o->name);
            continue;
        }
        printf("%s%s = ", !strcmp(o->name, "config") ? "# " : "", o->name);
        option_print_value(stdout, s, o);
        putchar('\n');
    }
}
