#include <stdio.h>
#include <string.h>

#include "table.h"

int64_t runs_of(const row *r, const settings *s)
{
    if (s->smoke) return 1;
    if (s->quick && r->runs > 3) return r->runs / 4 > 3 ? r->runs / 4 : 3;
    return r->runs;
}

line *add_line(const row *r, result *to, const char *part, double *v, int64_t n)
{
    line *l = &to->lines[to->n++];
    snprintf(l->work, sizeof l->work, "%s%s%s", r->work, part ? ", " : "", part ? part : "");
    l->runs = n;
    l->median = median(v, n); /* sorts */
    l->low = v[0];
    l->high = v[n - 1];
    l->limit = r->limit;
    return l;
}

void measure_costs(const row *r, const settings *s, result *to, run_fn run, void *self)
{
    size_t bytes;
    FILE *f = open_memstream(&to->costs, &bytes);
    if (!f) {
        wg_raise(WG_EMEM, "out of memory for the profile's text");
        return;
    }
    const wg_scope all = wg_scope_push();
    if (wg_profile_start(s->shapes ? WG_PROFILE_SHAPES : 0) == WG_OK) {
        const int64_t n = s->smoke ? 1 : r->warm;
        for (int64_t i = 0; i < n && !wg_error_code(); i++) run(self);
        const wg_profile p = wg_profile_stop();
        fprintf(f, "%s, %lld run%s\n", r->work, (long long)n, n == 1 ? "" : "s");
        wg_profile_print(f, &p, s->costs);
    }
    wg_scope_return(all, NULL);
    fclose(f);
}

line *measure_runs(const row *r, const settings *s, result *to, run_fn run, void *self)
{
    double seconds[MAX_RUNS];
    const int64_t n = runs_of(r, s), warm = s->smoke ? 0 : r->warm;
    for (int64_t i = -warm; i < n && !wg_error_code(); i++) {
        const double t = run(self);
        if (t > 0.5) fprintf(stderr, "  %s %.3f s\n", i < 0 ? "warming up" : "run", t);
        if (i >= 0) seconds[i] = t;
    }
    if (wg_error_code()) memset(seconds, 0, sizeof seconds);
    line *l = add_line(r, to, NULL, seconds, n);
    if (!wg_error_code()) measure_costs(r, s, to, run, self);
    return l;
}
