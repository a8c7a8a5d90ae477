/* The summary: a table of a module's parts, run on `meta` for output shapes and operations. */
#include "nn/state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "wengert/autograd.h"
#include "wengert/error.h"
#include "wengert/op.h"
#include "wengert/ops.h"
#include "wengert/tensor.h"

/* One module's line. Numbers of runs add up: a module may run more than once. */
typedef struct {
    wg_module *module;
    wg_dims output;
    bool ran;
    double flops, before;
} line;

typedef struct {
    wg_modules all;
    line *lines; /* (all.n) */
} table;

static line *line_of(table *a, const wg_module *m)
{
    for (int64_t i = 0; i < a->all.n; i++)
        if (a->lines[i].module == m) return &a->lines[i];
    return NULL;
}

static void before(void *self, wg_module *m)
{
    line *l = line_of(self, m);
    if (l) l->before = wg_flops();
}

static void after(void *self, wg_module *m, wg_tensor *y)
{
    line *l = line_of(self, m);
    if (!l || wg_is_error(y)) return;
    l->ran = true;
    l->output = wg_shape(y);
    l->flops += wg_flops() - l->before;
}

/* Runs m on meta: its tensors stand there meanwhile, what they held is in `held`. */
static void run(table *a, wg_module *m, wg_tensor *x)
{
    wg_params ps = wg_module_state(m);
    wg_list held = wg_list_new(ps.n), meta = wg_list_new(ps.n);
    for (int64_t i = 0; i < ps.n && held.n && meta.n; i++) {
        if (wgi_parameter_free_of_graph(ps.p[i].tensor, ps.p[i].name) != WG_OK) return;
        held.t[i] = wg_detach(ps.p[i].tensor);
        meta.t[i] = wg_to(held.t[i], wg_meta());
    }
    x = wg_to(x, wg_meta());
    if (wg_error_code() != WG_OK) return;
    for (int64_t i = 0; i < ps.n; i++) wgi_parameter_adopt(ps.p[i].tensor, meta.t[i]);
    wg_generator random = wg_generator_get();
    const wgi_observer watch = { before, after, a }, *outer = wgi_observe(&watch);
    wg_forward(m, x);
    wgi_observe(outer);
    wg_generator_set(random);
    for (int64_t i = 0; i < ps.n; i++) wgi_parameter_adopt(ps.p[i].tensor, held.t[i]);
}

/* 1234 -> "1,234" */
static const char *grouped(char out[32], double v)
{
    char digits[32];
    int n = snprintf(digits, sizeof digits, "%.0f", v < 1e18 ? v : 1e18), at = 0;
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0) out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = 0;
    return out;
}

static const char *shape_text(char out[128], const line *l)
{
    size_t at = 1;
    if (!l->ran) return "-";
    out[0] = '(';
    for (int i = 0; i < l->output.n; i++)
        at += (size_t)snprintf(out + at, 128 - at, "%s%" PRId64, i ? ", " : "", l->output.d[i]);
    snprintf(out + at, 128 - at, ")");
    return out;
}

static double elements(wg_params ps, bool trainable)
{
    double n = 0;
    for (int64_t i = 0; i < ps.n; i++)
        if (!trainable || wg_requires_grad(ps.p[i].tensor)) n += (double)wg_numel(ps.p[i].tensor);
    return n;
}

static void print(FILE *f, wg_module *m, const table *a)
{
    char n[32], o[32], shape[128];
    int width = 6;
    for (int64_t i = 0; i < a->all.n; i++) {
        int w = (int)strlen(a->all.m[i].name);
        if (w > width) width = w < 48 ? w : 48;
    }
    const double total = elements(wg_module_params(m), false);
    fprintf(f, "%-*s  %-12s  %-20s  %14s  %6s  %18s\n", width, "module", "type", "output",
            "parameters", "share", "FLOPs");
    for (int64_t i = 0; i < a->all.n; i++) {
        const line *l = &a->lines[i];
        const double own = elements(wg_module_params(l->module), false);
        fprintf(f, "%-*s  %-12s  %-20s  %14s  %5.1f%%  %18s\n", width,
                *a->all.m[i].name ? a->all.m[i].name : "(all)", l->module->type->name,
                shape_text(shape, l), grouped(n, own), total > 0 ? 100 * own / total : 0.0,
                l->ran ? grouped(o, l->flops) : "-");
    }
    fprintf(f, "%s parameters", grouped(n, total));
    fprintf(f, ", %s trainable", grouped(n, elements(wg_module_params(m), true)));
    if (a->lines[0].ran) fprintf(f, ", %s FLOPs forward", grouped(o, a->lines[0].flops));
    fprintf(f, "\n");
}

void wg_module_summary(FILE *f, wg_module *m, wg_tensor *x)
{
    if (wgi_no_module(m, "module_summary") || wg_error_code() != WG_OK) return;
    if (!f) {
        wg_raise(WG_EARG, "module_summary: the file is NULL");
        return;
    }
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    table a = { .all = wg_module_all(m) };
    a.lines = a.all.n ? wg_scope_alloc((size_t)a.all.n * sizeof *a.lines) : NULL;
    if (a.lines) {
        for (int64_t i = 0; i < a.all.n; i++) a.lines[i].module = a.all.m[i].module;
        if (x) run(&a, m, x);
        print(f, m, &a);
    }
    wg_scope_return(s, NULL);
}
