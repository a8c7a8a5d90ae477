#include <stdio.h>
#include <string.h>

#include "table.h"

/* A unit in which v, seconds or bytes, has one to three digits before the point. */
typedef struct {
    const char *name;
    double size;
} unit;

static unit unit_of(double v, bool is_bytes)
{
    static const unit times[] = { { "s", 1 }, { "ms", 1e-3 }, { "us", 1e-6 }, { "ns", 1e-9 } };
    static const unit sizes[] = { { "GB", 1e9 }, { "MB", 1e6 } };
    const unit *u = is_bytes ? sizes : times;
    const int n = is_bytes ? 2 : 4;
    for (int i = 0; i < n - 1; i++)
        if (v >= 0.9995 * u[i].size) return u[i];
    return u[n - 1];
}

/* Three digits. */
static int put_number(char *to, size_t room, double v)
{
    return snprintf(to, room, "%.*f", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v);
}

static void put_quantity(char *to, size_t room, double v, bool is_bytes)
{
    const unit u = unit_of(v, is_bytes);
    const int at = put_number(to, room, v / u.size);
    snprintf(to + at, room - (size_t)at, " %s", u.name);
}

/* In the median's unit. */
static void put_spread(char *to, size_t room, const line *l)
{
    const unit u = unit_of(l->median, l->is_bytes);
    int at = put_number(to, room, l->low / u.size);
    at += snprintf(to + at, room - (size_t)at, "..");
    put_number(to + at, room - (size_t)at, l->high / u.size);
}

/* ---- above the table ------------------------------------------------------------------------- */
void print_machine(const settings *s)
{
    char name[256] = "CPU", family[16] = "?", text[512];
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(text, sizeof text, f) && *text != '\n') { /* the first processor */
        sscanf(text, "model name : %255[^\n]", name);
        sscanf(text, "cpu family : %15s", family);
    }
    if (f) fclose(f);
    const int n = wg_threads();
    printf("%s (family %s), %d thread%s%s\n\n", name, family, n, n == 1 ? "" : "s",
           s->smoke   ? "; tiny sizes, figures mean nothing"
           : s->quick ? "; few runs"
                      : "");
    printf("%-34s %8s %8s\n", "ceiling", "median", "best");
}

void print_ceiling(const char *what, rate r, const char *name)
{
    printf("%-34s %8.1f %8.1f %s\n", what, 1e-9 * r.median, 1e-9 * r.best, name);
}

/* ---- the table ------------------------------------------------------------------------------- */
void print_header(void)
{
    printf("\n%-30s %4s %9s %14s %8s %8s %12s %12s\n", "work", "runs", "median", "min..max",
           "GFLOP/s", "product", "ratio", "target");
}

/* Nothing where nothing was asked for. */
static const char *verdict(const line *l, double ratio)
{
    bool met = ratio >= l->target;
    if (l->target_passes > 0)
        met = l->passes <= l->target_passes;
    else if (l->limit > 0)
        met = l->median <= l->limit;
    else if (l->target <= 0)
        return "";
    return met ? " met" : " missed";
}

void print_line(const line *l, double product)
{
    char middle[24], spread[32] = "-", flops[24] = "-", beside[24] = "-", share[24] = "-",
                     target[24] = "-";
    const double speed = l->flops / l->median, ratio = speed / product;
    put_quantity(middle, sizeof middle, l->median, l->is_bytes);
    if (l->runs > 1) put_spread(spread, sizeof spread, l);
    if (l->flops > 0) {
        put_number(flops, sizeof flops, 1e-9 * speed);
        put_number(beside, sizeof beside, 1e-9 * product);
        snprintf(share, sizeof share, "%.0f%%", 100 * ratio);
    }
    if (l->passes > 0) snprintf(share, sizeof share, "%.1f passes", l->passes);
    if (l->target > 0) snprintf(target, sizeof target, "%.0f%%", 100 * l->target);
    if (l->target_passes > 0) snprintf(target, sizeof target, "%.1f passes", l->target_passes);
    if (l->limit > 0) put_quantity(target, sizeof target, l->limit, l->is_bytes);
    printf("%-30s %4lld %9s %14s %8s %8s %12s %12s%s\n", l->work, (long long)l->runs, middle,
           spread, flops, beside, share, target, verdict(l, ratio));
    fflush(stdout);
}

void print_list(void)
{
    for (const row *r = rows; r->name; r++) printf("%-16s %s\n", r->name, r->work);
}
