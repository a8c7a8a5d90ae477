#include "train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <wengert/wengert.h>

#include "../common/device.h"
#include "../common/report.h"
#include "corpus.h"
#include "model.h"
#include "sample.h"

enum { MOST_UNREAD = 1000 };

/* Steps that the device may still be computing: their losses are read together, so that it need not wait for each. */
typedef struct {
    int64_t n, every; /* how many; how many at most */
    double since;     /* when the first of them began */
    wg_tensor *loss[MOST_UNREAD];
    int64_t peak_bytes[MOST_UNREAD];
} unread_steps;

typedef struct {
    settings *s;
    const volatile int *stop;
    corpus corpus;
    wg_module *model;
    wg_optim *optimizer;
    wg_scaler *scaler; /* of f16 gradients; else NULL */
    wg_schedule schedule;
    wg_checkpoint *checkpoint;
    int64_t *prompt, prompt_length;
    report report;
    wg_graph *graph; /* NULL: every kernel is started by itself */
    unread_steps unread;
    int64_t step; /* steps done */
} trainer;

/* Whether something that happens every n steps (0: only at the end, -1: never) happens after this one. */
static bool due(const trainer *t, int64_t n)
{
    return n >= 0 && (t->step == t->s->steps || (n > 0 && t->step % n == 0));
}

/* ---- one step -------------------------------------------------------------------------------- */
/* Mean loss of x -> y: () f32. Products and attention in the dtype chosen. */
static wg_tensor *loss_of(const trainer *t, wg_tensor *x, wg_tensor *y)
{
    static const wg_dtype low[] = { [DTYPE_BF16] = WG_BF16, [DTYPE_F16] = WG_F16 };
    const wg_scope s = wg_scope_push();
    if (t->s->dtype != DTYPE_F32) wg_use_autocast(low[t->s->dtype]);
    return wg_scope_return(s, wg_transformer_loss(t->model, x, y));
}

/* Adds the gradient of one batch, weighted by 1 / accumulate; returns its loss likewise, () f64. */
static wg_tensor *accumulate(trainer *t)
{
    const double weight = 1.0 / (double)t->s->accumulate;
    const wg_scope s = wg_scope_push();
    wg_tensor *x, *y;
    if (!wg_loader_next(t->corpus.batches, &x, &y) && !wg_error_code()) { /* a pass is over */
        wg_loader_rewind(t->corpus.batches);
        wg_loader_next(t->corpus.batches, &x, &y);
    }
    wg_tensor *loss = loss_of(t, x, y);
    wg_tensor *part = t->s->accumulate > 1 ? wg_affine(loss, weight, 0) : loss;
    wg_backward(t->scaler ? wg_scaler_scale(t->scaler, part) : part);
    return wg_scope_return(s, wg_affine(wg_cast(wg_detach(loss), WG_F64), weight, 0));
}

/* All that the device does in a step; the loss is not read. For wg_graph_run. */
static void step_on_device(void *self)
{
    trainer *t = self;
    const wg_scope s = wg_scope_push();
    wg_tensor *loss = accumulate(t);
    for (int64_t i = 1; i < t->s->accumulate && !wg_error_code(); i++)
        loss = wg_add(loss, accumulate(t));
    wg_optim_set_lr(t->optimizer, wg_schedule_at(&t->schedule, t->step));
    if (t->scaler)
        wg_scaler_step(t->scaler, t->optimizer, t->s->clip > 0 ? t->s->clip : (double)INFINITY);
    else if (t->s->clip > 0)
        wg_optim_step_clipped(t->optimizer, t->s->clip);
    else
        wg_optim_step(t->optimizer);
    wg_set(&t->unread.loss[t->unread.n], loss);
    wg_scope_return(s, NULL);
}

static bool train_step(trainer *t)
{
    unread_steps *u = &t->unread;
    if (u->n == 0) u->since = seconds_now();
    if (t->graph)
        (void)!wg_graph_run(t->graph, step_on_device, t);
    else
        step_on_device(t);
    if (wg_error_code()) return failed();
    u->peak_bytes[u->n++] = wg_memory_stats(wg_current_device()).peak;
    t->step++;
    return true;
}

/* Waits for the unread steps; out (u->n) becomes their reports. */
static bool read_losses(trainer *t, step_report *out)
{
    unread_steps *u = &t->unread;
    for (int64_t i = 0; i < u->n; i++) {
        out[i] = (step_report) { .step = t->step - u->n + i + 1,
                                 .loss = wg_item(u->loss[i]),
                                 .val_loss = NAN,
                                 .peak_bytes = u->peak_bytes[i] };
        if (wg_error_code()) return failed();
        if (!isfinite(out[i].loss))
            return complain("the loss is %f at step %lld", out[i].loss, (long long)out[i].step);
    }
    const double seconds = (seconds_now() - u->since) / (double)u->n;
    const int64_t tokens = t->s->batch * t->s->accumulate * t->s->block;
    for (int64_t i = 0; i < u->n; i++) {
        out[i].seconds = seconds;
        out[i].tokens_per_second = (double)tokens / seconds;
        wg_unref(&u->loss[i]);
    }
    return true;
}

/* ---- what happens now and then --------------------------------------------------------------- */
/* sum (NULL: 0) becomes sum + a loss, times the tokens it is a mean of: () f64. */
static void add_loss(wg_tensor **sum, wg_tensor *loss, int64_t tokens)
{
    wg_tensor *weighted = wg_affine(wg_cast(loss, WG_F64), (double)tokens, 0);
    wg_set(sum, *sum ? wg_add(*sum, weighted) : weighted);
}

/* Mean loss over every token of the validation data but the first; NaN when it was stopped or failed. Read at the end. */
static double evaluate(trainer *t)
{
    const wg_scope all = wg_scope_push();
    wg_use_grad(false);
    wg_module_train(t->model, false);
    wg_loader_rewind(t->corpus.validation);
    wg_tensor *sum = NULL;
    int64_t n = 0;
    for (bool more = true; more && !*t->stop && !wg_error_code();) {
        const wg_scope s = wg_scope_push();
        wg_tensor *x, *y;
        more = wg_loader_next(t->corpus.validation, &x, &y);
        if (more) {
            add_loss(&sum, loss_of(t, x, y), wg_numel(y));
            n += wg_numel(y);
        }
        wg_scope_return(s, NULL);
    }
    const double mean = sum && !*t->stop ? wg_item(sum) / (double)n : NAN;
    wg_unref(&sum);
    wg_module_train(t->model, true);
    wg_scope_return(all, NULL);
    return mean;
}

static bool save(trainer *t)
{
    return wg_checkpoint_save(t->checkpoint, t->s->out) == WG_OK || failed();
}

static bool write_sample(trainer *t)
{
    report_break(&t->report);
    sample_print(t->model, t->corpus.train, t->s, t->prompt, t->prompt_length, t->step, t->stop);
    return !wg_error_code() || failed();
}

/* Reads the losses, evaluates if it is time to, and reports every step. */
static bool settle(trainer *t)
{
    static step_report r[MOST_UNREAD];
    const int64_t n = t->unread.n;
    if (n == 0) return true;
    if (!read_losses(t, r)) return false;
    t->unread.n = 0;
    if (due(t, t->s->eval_every)) r[n - 1].val_loss = evaluate(t);
    if (wg_error_code()) return failed();
    for (int64_t i = 0; i < n; i++)
        if (!report_step(&t->report, &r[i])) return false;
    return true;
}

static bool loop(trainer *t)
{
    while (t->step < t->s->steps && !*t->stop) {
        if (!train_step(t)) return false;
        const bool saves = due(t, t->s->checkpoint_every), writes = due(t, t->s->sample_every);
        if (t->unread.n < t->unread.every && !saves && !writes && !due(t, t->s->eval_every))
            continue;
        if (!settle(t)) return false;
        if (saves && !save(t)) return false;
        if (writes && !*t->stop && !write_sample(t)) return false;
    }
    if (!settle(t)) return false;
    if (!*t->stop || t->s->checkpoint_every < 0) return true;
    report_break(&t->report);
    if (!save(t)) return false;
    printf("stopped at step %lld; `--resume` goes on from %s\n", (long long)t->step, t->s->out);
    return true;
}

/* ---- beginning and end ----------------------------------------------------------------------- */
/* What depends on the device: whether steps are graphs, and how many losses are read together. */
static bool use_graph(trainer *t)
{
    const bool gpu = wg_current_device().kind == WG_CUDA;
    t->unread.every = t->s->log_every > 0 ? t->s->log_every : gpu ? 10 : 1;
    if (!t->s->graph) return true;
    if (wg_error_code()) return failed(); /* there is no such device */
    if (!gpu) return complain("--graph: %s has no graphs, only CUDA devices do", t->s->device);
    t->graph = wg_graph_new(wg_current_device());
    return t->graph || failed();
}

static bool build(trainer *t)
{
    if (!use_device(t->s->device) || !use_graph(t)) return false;
    wg_use_threads((int)t->s->threads);
    wg_seed((uint64_t)t->s->seed);
    if (!corpus_open(&t->corpus, t->s)) return failed();
    t->prompt_length = sample_prompt(t->corpus.train, t->s->prompt, &t->prompt);
    if (t->prompt_length < 0) return failed();
    t->model = model_new(t->s);
    if (t->model) t->optimizer = optimizer_new(t->s, t->model);
    if (t->s->dtype == DTYPE_F16) t->scaler = wg_scaler_new(.scale = 65536);
    t->schedule = schedule_of(t->s);
    t->checkpoint = wg_checkpoint_new();
    wg_checkpoint_module(t->checkpoint, "model", t->model);
    wg_checkpoint_optim(t->checkpoint, "optimizer", t->optimizer);
    if (t->scaler) wg_checkpoint_scaler(t->checkpoint, "scaler", t->scaler);
    wg_checkpoint_loader(t->checkpoint, "data", t->corpus.batches);
    wg_checkpoint_int(t->checkpoint, "step", &t->step);
    return !wg_error_code() || failed();
}

static bool resume(trainer *t)
{
    if (!t->s->resume) return true;
    const wg_status st = wg_checkpoint_load(t->checkpoint, t->s->out);
    if (st == WG_ENOTFOUND) {
        wg_error_clear();
        printf("no checkpoint in %s: starting at step 0\n", t->s->out);
    } else if (st != WG_OK) {
        return failed();
    } else {
        printf("resumed from %s at step %lld\n", t->s->out, (long long)t->step);
    }
    return true;
}

static bool open_report(trainer *t)
{
    char log[TEXT_SIZE + 16];
    if (*t->s->log)
        strcpy(log, t->s->log);
    else
        snprintf(log, sizeof log, "%s/log.jsonl", t->s->out);
    make_folder(t->s->out);
    return report_open(&t->report, log, t->s->resume, t->step, t->s->steps, t->s->print_every);
}

static void describe(const trainer *t)
{
    settings_print(t->s);
    printf(
        "%.2f million parameters; %lld tokens to train on, %lld to validate on, vocabulary %lld\n",
        1e-6 * (double)model_size(t->model), (long long)wg_tokens_count(t->corpus.train),
        (long long)wg_tokens_count(t->corpus.val), (long long)wg_tokens_vocab(t->corpus.train));
}

bool train(settings *s, const volatile int *stop)
{
    trainer t = { .s = s, .stop = stop };
    const wg_scope all = wg_scope_push();
    bool ok = build(&t);
    if (ok) describe(&t);
    ok = ok && resume(&t) && open_report(&t) && loop(&t);
    report_close(&t.report);
    for (int i = 0; i < MOST_UNREAD; i++) wg_unref(&t.unread.loss[i]);
    wg_graph_free(t.graph);
    wg_checkpoint_free(t.checkpoint);
    wg_scaler_free(t.scaler);
    wg_optim_free(t.optimizer);
    wg_module_free(t.model);
    corpus_close(&t.corpus);
    free(t.prompt);
    wg_scope_return(all, NULL);
    return ok;
}
