/* Whole steps: forward, backward, clipping, AdamW with decay on matrices. Tokens are random. */
#include <inttypes.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "table.h"

extern char **environ;

typedef struct {
    model sizes;
    wg_dtype autocast;
    wg_module *model;
    wg_optim *optimizer;
} trainer;

static void decay_matrices(void *self, const wg_param_ref *p, wg_group *g)
{
    (void)self;
    if (wg_ndim(p->tensor) < 2) g->weight_decay = 0;
}

static trainer trainer_new(const row *r, const settings *s)
{
    trainer t = { .sizes = *r->model, .autocast = r->autocast };
    model *m = &t.sizes;
    if (s->smoke)
        *m = (model) {
            1, 2, 16, 65, .block = 8, .batch = 2, .dropout = m->dropout, .nano = m->nano
        };
    wg_transformer_config c = wg_gpt2_config(m->layers, m->heads, m->width, m->vocab, m->block);
    c.dropout = m->dropout;
    c.no_bias = m->nano;
    if (m->nano) c.activation = WG_ACT_GELU;
    wg_seed(1337);
    t.model = wg_transformer_new(&c);
    t.optimizer = wg_adamw_new(t.model, .lr = m->nano ? 1e-3 : 6e-4, .beta2 = m->nano ? 0.99 : 0.95,
                               .weight_decay = 0.1, .group = decay_matrices);
    return t;
}

static void trainer_free(trainer *t)
{
    wg_optim_free(t->optimizer);
    wg_module_free(t->model);
    wg_memory_trim(); /* the next row begins as a process does */
}

/* FLOPs of a step: 6 N + 6 L C T a token, N all parameters with the tied embedding once, the last for the causal half of the
 * attention's products (2 forward, 4 backward, each 2 C a pair, T / 2 pairs a token). */
static double step_flops(const trainer *t)
{
    const model *m = &t->sizes;
    const wg_scope s = wg_scope_push();
    const wg_params p = wg_module_params(t->model);
    double n = 0;
    for (int64_t i = 0; i < p.n; i++) n += (double)wg_numel(p.p[i].tensor);
    wg_scope_return(s, NULL);
    return 6 * (n + (double)(m->layers * m->width * m->block)) * (double)(m->batch * m->block);
}

static double step(void *self)
{
    const trainer *t = self;
    const wg_scope s = wg_scope_push();
    wg_use_autocast(t->autocast);
    const wg_dims shape = WG_DIMS(t->sizes.batch, t->sizes.block);
    wg_tensor *x = wg_randint(0, t->sizes.vocab, shape), *y = wg_randint(0, t->sizes.vocab, shape);
    const double start = now();
    wg_tensor *loss = wg_transformer_loss(t->model, x, y);
    wg_backward(loss);
    wg_optim_step_clipped(t->optimizer, 1);
    const double value = wg_item(loss);
    wg_scope_return(s, NULL);
    const double seconds = now() - start;
    if (!wg_error_code() && !isfinite(value)) wg_raise(WG_ENUMERIC, "the loss is %f", value);
    return seconds;
}

void measure_training(const row *r, const settings *s, result *to)
{
    trainer t = trainer_new(r, s);
    if (!wg_error_code()) {
        line *l = measure_runs(r, s, to, step, &t);
        l->flops = step_flops(&t);
        l->target = r->target_seconds > 0 ? l->flops / r->target_seconds / target_rate : r->target;
    }
    trainer_free(&t);
}

/* ---- peak memory ----------------------------------------------------------------------------- */
/* Of this process, the largest it was: VmHWM, bytes. */
static int64_t peak_bytes(void)
{
    char text[256];
    int64_t kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(text, sizeof text, f))
        if (sscanf(text, "VmHWM: %" SCNd64, &kib) == 1) break;
    if (f) fclose(f);
    if (kib == 0) wg_raise(WG_EIO, "/proc/self/status has no VmHWM");
    return 1024 * kib;
}

void print_peak(const row *r, const settings *s)
{
    trainer t = trainer_new(r, s);
    for (int i = 0; i < 3 && !wg_error_code(); i++) step(&t); /* from the second on all is there */
    trainer_free(&t);
    printf("%" PRId64 "\n", peak_bytes());
}

/* Starts this program anew; *from: its standard output. 0: none, raised. */
static pid_t start_peak(const row *r, const settings *s, FILE **from)
{
    char threads[16];
    snprintf(threads, sizeof threads, "%d", s->threads);
    const char *argv[] = { "table",     "--peak", r->name,
                           "--threads", threads,  s->smoke ? "--smoke" : NULL,
                           NULL };
    int ends[2];
    pid_t pid = 0;
    *from = NULL;
    if (pipe(ends) != 0) {
        wg_raise(WG_EIO, "no pipe to a process for the peak");
        return 0;
    }
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], 1);
    posix_spawn_file_actions_addclose(&files, ends[0]);
    posix_spawn_file_actions_addclose(&files, ends[1]);
    const int failed =
        posix_spawn(&pid, "/proc/self/exe", &files, NULL, (char **)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    if (!failed) *from = fdopen(ends[0], "r");
    if (!*from) close(ends[0]);
    if (failed) wg_raise(WG_EIO, "no process for the peak: %s", strerror(failed));
    return failed ? 0 : pid;
}

void measure_peak(const row *r, const settings *s, result *to)
{
    FILE *from;
    const pid_t pid = start_peak(r, s, &from);
    if (!pid) return;
    int64_t bytes = 0;
    int status = -1;
    if (from) {
        if (fscanf(from, "%" SCNd64, &bytes) != 1) bytes = 0;
        fclose(from);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0 || bytes <= 0) {
        wg_raise(WG_EIO, "the process for the peak failed (status %d)", status);
        return;
    }
    double v = (double)bytes;
    add_line(r, to, NULL, &v, 1)->is_bytes = true;
}
