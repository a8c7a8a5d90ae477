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

typedef struct {
    settings *s;
    const volatile int *stop;
    corpus corpus;
    wg_module *model;
    wg_optim *optimizer;
    wg_schedule schedule;
    wg_checkpoint *checkpoint;
    int64_t *prompt, prompt_length;
    report report;
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

/* Adds the gradient of one batch, weighted by 1 / accumulate; returns its loss likewise. */
static double accumulate(trainer *t)
{
    const double weight = 1.0 / (double)t->s->accumulate;
    const wg_scope s = wg_scope_push();
    wg_tensor *x, *y;
    if (!wg_loader_next(t->corpus.batches, &x, &y) && !wg_error_code()) { /* a pass is over */
        wg_loader_rewind(t->corpus.batches);
        wg_loader_next(t->corpus.batches, &x, &y);
    }
    wg_tensor *loss = loss_of(t, x, y);
    wg_backward(t->s->accumulate > 1 ? wg_affine(loss, weight, 0) : loss);
    const double value = wg_item(loss);
    wg_scope_return(s, NULL);
    return value * weight;
}

static bool train_step(trainer *t, step_report *r)
{
    const double start = seconds_now();
    r->loss = 0;
    for (int64_t i = 0; i < t->s->accumulate && !wg_error_code(); i++) r->loss += accumulate(t);
    if (wg_error_code()) return failed();
    if (!isfinite(r->loss))
        return complain("the loss is %f at step %lld", r->loss, (long long)t->step + 1);
    const wg_scope s = wg_scope_push();
    wg_optim_set_lr(t->optimizer, wg_schedule_at(&t->schedule, t->step));
    if (t->s->clip > 0) wg_clip_grad_norm(t->optimizer, t->s->clip);
    wg_optim_step(t->optimizer);
    if (wg_scope_pop(s) != WG_OK) return failed();
    r->step = ++t->step;
    r->val_loss = NAN;
    r->seconds = seconds_now() - start;
    r->tokens_per_second = (double)(t->s->batch * t->s->accumulate * t->s->block) / r->seconds;
    r->peak_bytes = wg_memory_stats(wg_current_device()).peak;
    return true;
}

/* ---- what happens now and then --------------------------------------------------------------- */
/* Mean loss over every token of the validation data but the first; NaN when it was stopped or failed. */
static double evaluate(trainer *t)
{
    const wg_scope all = wg_scope_push();
    wg_use_grad(false);
    wg_module_train(t->model, false);
    wg_loader_rewind(t->corpus.validation);
    double sum = 0;
    int64_t n = 0;
    for (bool more = true; more && !*t->stop && !wg_error_code();) {
        const wg_scope s = wg_scope_push();
        wg_tensor *x, *y;
        more = wg_loader_next(t->corpus.validation, &x, &y);
        if (more) {
            sum += wg_item(loss_of(t, x, y)) * (double)wg_numel(y);
            n += wg_numel(y);
        }
        wg_scope_return(s, NULL);
    }
    wg_module_train(t->model, true);
    wg_scope_return(all, NULL);
    return *t->stop || wg_error_code() ? NAN : sum / (double)n;
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

static bool loop(trainer *t)
{
    while (t->step < t->s->steps && !*t->stop) {
        step_report r;
        if (!train_step(t, &r)) return false;
        if (due(t, t->s->eval_every)) r.val_loss = evaluate(t);
        if (wg_error_code()) return failed();
        if (!report_step(&t->report, &r)) return false;
        if (due(t, t->s->checkpoint_every) && !save(t)) return false;
        if (due(t, t->s->sample_every) && !*t->stop && !write_sample(t)) return false;
    }
    if (!*t->stop || t->s->checkpoint_every < 0) return true;
    report_break(&t->report);
    if (!save(t)) return false;
    printf("stopped at step %lld; `--resume` goes on from %s\n", (long long)t->step, t->s->out);
    return true;
}

/* ---- beginning and end ----------------------------------------------------------------------- */
static bool build(trainer *t)
{
    if (!use_device(t->s->device)) return false;
    wg_use_threads((int)t->s->threads);
    wg_seed((uint64_t)t->s->seed);
    if (!corpus_open(&t->corpus, t->s)) return failed();
    t->prompt_length = sample_prompt(t->corpus.train, t->s->prompt, &t->prompt);
    if (t->prompt_length < 0) return failed();
    t->model = model_new(t->s);
    if (t->model) t->optimizer = optimizer_new(t->s, t->model);
    t->schedule = schedule_of(t->s);
    t->checkpoint = wg_checkpoint_new();
    wg_checkpoint_module(t->checkpoint, "model", t->model);
    wg_checkpoint_optim(t->checkpoint, "optimizer", t->optimizer);
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
    wg_checkpoint_free(t.checkpoint);
    wg_optim_free(t.optimizer);
    wg_module_free(t.model);
    corpus_close(&t.corpus);
    free(t.prompt);
    wg_scope_return(all, NULL);
    return ok;
}
