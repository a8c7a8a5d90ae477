#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the log --------------------------------------------------------------------------------- */
/* Where the first line begins that a run up to step `last` has not written, or has not written whole. */
static off_t keep_until(FILE *f, int64_t last)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    off_t at = 0;
    while ((n = getline(&line, &room, f)) > 0) {
        int64_t step;
        const bool ours = !strncmp(line, "{\"step\"", 7);
        if (ours &&
            (line[n - 1] != '\n' || sscanf(line, "{\"step\": %" SCNd64, &step) != 1 || step > last))
            break;
        at += n;
    }
    free(line);
    return at;
}

static FILE *open_log(const char *path, bool resume, int64_t first)
{
    FILE *f = fopen(path, resume ? "a+" : "w");
    if (!f || !resume) return f;
    rewind(f);
    if (ftruncate(fileno(f), keep_until(f, first)) == 0 && fseek(f, 0, SEEK_END) == 0) return f;
    fclose(f);
    return NULL;
}

static void write_number(FILE *f, const char *name, double v)
{
    if (isfinite(v))
        fprintf(f, ", \"%s\": %.17g", name, v);
    else
        fprintf(f, ", \"%s\": null", name); /* JSON has no other */
}

static bool write_log(report *r, const step_report *s)
{
    fprintf(r->log, "{\"step\": %" PRId64, s->step);
    write_number(r->log, "loss", s->loss);
    write_number(r->log, "seconds", s->seconds);
    write_number(r->log, "tokens_per_second", s->tokens_per_second);
    fprintf(r->log, ", \"peak_bytes\": %" PRId64, s->peak_bytes);
    if (!isnan(s->val_loss)) write_number(r->log, "val_loss", s->val_loss);
    fputs("}\n", r->log);
    if (fflush(r->log) == 0 && !ferror(r->log)) return true;
    report_break(r);
    return complain("log: %s", strerror(errno));
}

/* ---- the progress line ----------------------------------------------------------------------- */
static void print_line(report *r, const step_report *s)
{
    const double done = (double)(s->step - r->first), rest = (double)(r->last - s->step);
    const long long left = (long long)((seconds_now() - r->started) / done * rest + 0.5);
    if (r->terminal) fputs("\r\033[K", stdout);
    printf("step %" PRId64 "/%" PRId64 "  loss %.4f", s->step, r->last, s->loss);
    if (!isnan(r->val_loss)) printf("  val %.4f", r->val_loss);
    printf("  %.0f tokens/s  %lld:%02lld:%02lld left  %.0f MB", s->tokens_per_second, left / 3600,
           left / 60 % 60, left % 60, (double)s->peak_bytes / 1e6);
    r->line_open = r->terminal;
    if (!r->terminal) putchar('\n');
    fflush(stdout);
}

/* ---- both ------------------------------------------------------------------------------------ */
bool report_open(report *r, const char *log, bool resume, int64_t first, int64_t last,
                 int64_t every)
{
    *r = (report) { .terminal = isatty(STDOUT_FILENO),
                    .first = first,
                    .last = last,
                    .every = every,
                    .started = seconds_now(),
                    .val_loss = NAN };
    if (!*log) return true;
    r->log = open_log(log, resume, first);
    return r->log || complain("%s: %s", log, strerror(errno));
}

bool report_step(report *r, const step_report *s)
{
    const bool evaluated = !isnan(s->val_loss);
    if (evaluated) r->val_loss = s->val_loss;
    if (r->terminal || evaluated || s->step % r->every == 0 || s->step == r->last) print_line(r, s);
    if (evaluated) report_break(r); /* on a terminal these lines stay */
    return !r->log || write_log(r, s);
}

void report_break(report *r)
{
    if (r->line_open) putchar('\n');
    r->line_open = false;
}

void report_close(report *r)
{
    report_break(r);
    if (r->log) fclose(r->log);
    r->log = NULL;
}
