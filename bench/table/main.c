/* The machine's ceilings, then each work beside its target, then where its time goes. See docs/performance.md. */
#include <stdio.h>
#include <string.h>

#include "table.h"

enum { FAILED = 1, MISTAKE = 2, MAX_ROWS = 32 };

typedef struct {
    settings s;
    bool list, help, some; /* some: only the rows chosen */
    bool chosen[MAX_ROWS];
    const row *peak;
} options;

static const char usage[] =
    "usage: table [--row NAME]... [--quick] [--smoke] [--threads N] [--costs N] [--shapes] [--list]\n"
    "  --row NAME   only this row; may be repeated\n"
    "  --quick      fewer runs\n"
    "  --smoke      tiny sizes, one run: whether it works, not how fast\n"
    "  --threads N  0: all [0]\n"
    "  --costs N    so many of each row's largest costs; 0: all [3]\n"
    "  --shapes     costs by operands' shapes\n"
    "  --list       the rows' names\n";

static const row *find_row(const char *name)
{
    for (const row *r = rows; r->name; r++)
        if (strcmp(r->name, name) == 0) return r;
    return NULL;
}

/* A whole number up to 4096; -1: none. */
static int64_t number_of(const char *text)
{
    char *end;
    const long v = strtol(text, &end, 10);
    return *text && !*end && v >= 0 && v <= 4096 ? v : -1;
}

/* The option at argv, with what follows it (NULL: nothing). Returns how many arguments it takes; 0: told, a mistake. */
static int take_option(options *o, const char *name, const char *value)
{
    const struct {
        const char *name;
        bool *to;
    } flags[] = { { "--quick", &o->s.quick },
                  { "--smoke", &o->s.smoke },
                  { "--shapes", &o->s.shapes },
                  { "--list", &o->list },
                  { "--help", &o->help } };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(name, flags[i].name) == 0) return *flags[i].to = true, 1;
    const bool is_row = strcmp(name, "--row") == 0, is_peak = strcmp(name, "--peak") == 0,
               is_threads = strcmp(name, "--threads") == 0, is_costs = strcmp(name, "--costs") == 0;
    if (!is_row && !is_peak && !is_threads && !is_costs)
        return fprintf(stderr, "table: no option '%s' (see --help)\n", name), 0;
    if (!value) return fprintf(stderr, "table: %s wants a value\n", name), 0;
    if (is_row || is_peak) {
        const row *r = find_row(value);
        if (!r || (is_peak && !r->model))
            return fprintf(stderr, "table: no row '%s' (see --list)\n", value), 0;
        if (is_peak) o->peak = r;
        if (is_row) o->some = o->chosen[r - rows] = true;
        return 2;
    }
    const int64_t n = number_of(value);
    if (n < 0) return fprintf(stderr, "table: %s: '%s' is no number to 4096\n", name, value), 0;
    if (is_threads) o->s.threads = (int)n;
    if (is_costs) o->s.costs = n;
    return 2;
}

static bool parse(int argc, char **argv, options *o)
{
    for (int i = 1, taken; i < argc; i += taken) {
        taken = take_option(o, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        if (!taken) return false;
    }
    return true;
}

static void print_ceilings(const settings *s)
{
    print_machine(s);
    fprintf(stderr, "table: ceilings\n");
    print_ceiling("f32 product, 2304 x 768 x 768", product_rate(s, WG_F32), "GFLOP/s");
    print_ceiling("bf16 product, 2304 x 768 x 768", product_rate(s, WG_BF16), "GFLOP/s");
    print_ceiling("memory, 1 GiB read", read_rate(s), "GB/s");
    print_ceiling("memory, x + y of 64 Mi floats", triad_rate(s), "GB/s");
    wg_memory_trim();
}

static void print_costs(const result *all)
{
    for (int i = 0; rows[i].name; i++)
        if (all[i].costs) printf("\n%s", all[i].costs);
    printf(
        "\nproduct: the f32 ceiling's median, the mean of just before and just after the row, GFLOP/s\n"
        "ratio:   training (6 N + 6 L C T) tokens/s over that (N parameters, the tied embedding once; bf16 too),\n"
        "         attention seven products over the causal half; passes: 64 Mi floats read and written at\n"
        "         the rate of x + y around the row\n"
        "target:  those set in seconds are the ratio that they are at %.0f GFLOP/s\n"
        "peak:    VmHWM of a process of its own that takes three steps\n",
        1e-9 * target_rate);
}

/* Each row between two measurements of the product's rate. */
static void run_rows(const options *o, result *all)
{
    print_header();
    double before = product_rate(&o->s, WG_F32).median;
    for (int i = 0; rows[i].name && !wg_error_code(); i++) {
        if (o->some && !o->chosen[i]) continue;
        fprintf(stderr, "table: %s\n", rows[i].name);
        rows[i].measure(&rows[i], &o->s, &all[i]);
        if (wg_error_code()) return;
        const double after = product_rate(&o->s, WG_F32).median;
        for (int k = 0; k < all[i].n; k++) {
            line *l = &all[i].lines[k];
            if (o->s.smoke) l->target = l->target_passes = l->limit = 0; /* set for full sizes */
            print_line(l, 0.5 * (before + after));
        }
        before = after;
    }
}

int main(int argc, char **argv)
{
    options o = { .s.costs = 3 };
    static result all[MAX_ROWS];
    if (!parse(argc, argv, &o)) return MISTAKE;
    if (o.help) return fputs(usage, stdout), 0;
    if (o.list) return print_list(), 0;
    wg_use_threads(o.s.threads);
    if (o.peak) {
        print_peak(o.peak, &o.s);
        return wg_error_print(stderr);
    }
    print_ceilings(&o.s);
    if (!wg_error_code()) run_rows(&o, all);
    print_costs(all);
    for (int i = 0; i < MAX_ROWS; i++) free(all[i].costs);
    return wg_error_print(stderr) || fflush(stdout) != 0 ? FAILED : 0;
}
