#include "train.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <wengert/wengert.h>

#include "../common/device.h"
#include "../common/report.h"
#include "data.h"

typedef struct {
    settings s;
    const volatile int *stop;
    wg_model *file;
    wg_module *model; /* file's */
    data data;
    wg_optim *optimizer;
    wg_schedule schedule;
    report report;
    int64_t step; /* steps done */
} trainer;

/* ---- one step -------------------------------------------------------------------------------- */

/* Adds the gradient of one batch, weighted by 1 / accumulate; returns its loss likewise. */
static double accumulate(trainer *t, int64_t *tokens)
{
    const double weight = 1.0 / (double)t->s.accumulate;
    const wg_scope s = wg_scope_push();
    wg_tensor *x, *y;
    if (!wg_loader_next(t->data.batches, &x, &y) && !wg_error_code()) { /* a pass is over */
        wg_loader_rewind(t->data.batches);
        wg_loader_next(t->data.batches, &x, &y);
    }
    wg_tensor *loss = wg_transformer_loss(t->model, x, y);
    wg_backward(t->s.accumulate > 1 ? wg_affine(loss, weight, 0) : loss);
    const double value = wg_item(loss);
    *tokens += wg_numel(x);
    wg_scope_return(s, NULL);
    return value * weight;
}

static bool train_step(trainer *t, step_report *r)
{
    const double start = seconds_now();
    int64_t tokens = 0;
    r->loss = 0;
    for (int64_t i = 0; i < t->s.accumulate && !wg_error_code(); i++)
        r->loss += accumulate(t, &tokens);
    if (wg_error_code()) return failed();
    if (!isfinite(r->loss))
        return complain("the loss is %f at step %lld", r->loss, (long long)t->step + 1);
    const wg_scope s = wg_scope_push();
    wg_optim_set_lr(t->optimizer, wg_schedule_at(&t->schedule, t->step));
    if (t->s.clip > 0)
        wg_optim_step_clipped(t->optimizer, t->s.clip);
    else
        wg_optim_step(t->optimizer);
    if (wg_scope_pop(s) != WG_OK) return failed();
    r->step = ++t->step;
    r->val_loss = NAN;
    r->seconds = seconds_now() - start;
    r->tokens_per_second = (double)tokens / r->seconds;
    r->peak_bytes = wg_memory_stats(wg_current_device()).peak;
    return true;
}

/* ---- what is held out ------------------------------------------------------------------------ */

/* Targets that count. */
static int64_t learned(wg_tensor *y)
{
    return wg_item_int(wg_sum(wg_cast(wg_ge(y, wg_scalar(0)), WG_I64), WG_ALL, false));
}

/* Mean loss over all that is held out; NaN where there is nothing, and when it was stopped or failed. */
static double evaluate(trainer *t)
{
    if (!t->data.held_out) return NAN;
    const wg_scope all = wg_scope_push();
    wg_use_grad(false);
    wg_module_train(t->model, false);
    wg_loader_rewind(t->data.held_out);
    double sum = 0;
    int64_t n = 0;
    for (bool more = true; more && !*t->stop && !wg_error_code();) {
        const wg_scope s = wg_scope_push();
        wg_tensor *x, *y;
        more = wg_loader_next(t->data.held_out, &x, &y);
        if (more) {
            const int64_t k = learned(y);
            sum += wg_item(wg_transformer_loss(t->model, x, y)) * (double)k;
            n += k;
        }
        wg_scope_return(s, NULL);
    }
    wg_module_train(t->model, true);
    wg_scope_return(all, NULL);
    return *t->stop || wg_error_code() ? NAN : sum / (double)n;
}

static bool loop(trainer *t)
{
    const double before = evaluate(t);
    if (wg_error_code()) return failed();
    if (isfinite(before)) printf("held-out loss before: %.4f\n", before);
    double after = before;
    while (t->step < t->s.steps && !*t->stop) {
        step_report r;
        if (!train_step(t, &r)) return false;
        const bool last = t->step == t->s.steps;
        if (last || (t->s.eval_every && t->step % t->s.eval_every == 0))
            r.val_loss = after = evaluate(t);
        if (wg_error_code()) return failed();
        if (!report_step(&t->report, &r)) return false;
    }
    report_break(&t->report);
    if (*t->stop)
        printf("stopped at step %lld\n", (long long)t->step);
    else if (isfinite(after))
        printf("held-out loss after: %.4f (before: %.4f)\n", after, before);
    return true;
}

/* ---- beginning ------------------------------------------------------------------------------- */

static void decay_matrices(void *self, const wg_param_ref *p, wg_group *g)
{
    (void)self;
    if (wg_ndim(p->tensor) < 2) g->weight_decay = 0;
}

/* Adapters around a tied weight could not be merged in the end. */
static bool can_merge(const trainer *t)
{
    const wg_modules all = wg_module_all(t->model);
    const wg_params p = wg_module_params(t->model);
    for (int64_t i = 0; t->s.merge && i < all.n; i++) {
        if (!wg_module_is(all.m[i].module, &wg_lora_type)) continue;
        const wg_tensor *weight = wg_module_tensor(all.m[i].module, "weight");
        for (int64_t j = 0; j < p.n; j++)
            if (p.p[j].tensor == weight &&
                strncmp(p.p[j].name, all.m[i].name, strlen(all.m[i].name)))
                return complain("--merge: %s.weight is tied to %s: leave it out of --lora-targets",
                                all.m[i].name, p.p[j].name);
    }
    return true;
}

static bool adapt(trainer *t)
{
    const settings *s = &t->s;
    if (s->recompute) {
        const wg_modules all = wg_module_all(t->model);
        for (int64_t i = 0; i < all.n; i++)
            if (wg_module_is(all.m[i].module, &wg_block_type))
                wg_module_recompute(all.m[i].module, true);
    }
    wg_module_train(t->model, true);
    if (!s->lora) return true;
    const char *targets = *s->lora_targets ? s->lora_targets : NULL;
    if (wg_lora_add(t->model, .rank = s->lora, .alpha = s->lora_alpha, .dropout = s->lora_dropout,
                    .pattern = targets, .rslora = s->rslora) != WG_OK)
        return failed();
    return can_merge(t);
}

/* The end of a long run is no time to learn that its result cannot be written. */
static bool check_out(const settings *s)
{
    char folder[TEXT_SIZE];
    strcpy(folder, s->out);
    char *slash = strrchr(folder, '/');
    if (s->out_kind == OUT_GGUF)
        strcpy(slash ? slash + (slash == folder) : folder, slash ? "" : ".");
    make_folder(folder);
    struct stat is;
    if (stat(folder, &is) != 0 || !S_ISDIR(is.st_mode) || access(folder, W_OK) != 0)
        return complain("--out: %s is no folder that can be written", folder);
    if (s->out_kind == OUT_GGUF && stat(s->out, &is) == 0 && S_ISDIR(is.st_mode))
        return complain("--out: %s is a folder", s->out);
    return true;
}

static void describe(const trainer *t)
{
    const wg_scope s = wg_scope_push();
    const wg_params p = wg_module_params(t->model);
    double all = 0, learns = 0;
    for (int64_t i = 0; i < p.n; i++) {
        all += (double)wg_numel(p.p[i].tensor);
        if (wg_requires_grad(p.p[i].tensor)) learns += (double)wg_numel(p.p[i].tensor);
    }
    printf("%s: %.3f million parameters, %.3f million learn", t->s.model, all / 1e6, learns / 1e6);
    if (t->s.lora) printf(" in %lld adapters", (long long)wg_lora_count(t->model));
    printf("\n%s: %s\n", t->s.data, t->data.what);
    wg_scope_return(s, NULL);
}

static bool build(trainer *t)
{
    const settings *s = &t->s;
    if (!use_device(s->device) || !check_out(s)) return false;
    wg_use_threads((int)s->threads);
    wg_seed((uint64_t)s->seed);
    t->file = wg_model_open(s->model, .trainable = !s->lora);
    if (!t->file) return failed();
    t->model = wg_model_module(t->file);
    const int64_t block = wg_transformer_config_of(t->model)->block;
    if (!s->block) t->s.block = block < 256 ? block : 256;
    if (s->block > block)
        return complain("--block: %lld is beyond the model's %lld", (long long)s->block,
                        (long long)block);
    if (!data_open(&t->data, t->file, s) || !adapt(t)) return failed();
    static const wg_schedule_kind kinds[] = { WG_CONSTANT, WG_LINEAR, WG_COSINE };
    t->schedule = (wg_schedule) { .kind = kinds[s->schedule],
                                  .peak = s->lr,
                                  .floor = s->lr / 10,
                                  .warmup = s->warmup,
                                  .total = s->steps };
    t->optimizer = wg_adamw_new(t->model, .lr = s->lr, .group = decay_matrices,
                                .weight_decay = s->weight_decay > 0 ? s->weight_decay : -1);
    return t->optimizer != NULL || failed();
}

/* ---- end ------------------------------------------------------------------------------------- */

static bool write_out(trainer *t)
{
    static const wg_dtype dtypes[] = { 0, WG_F32, WG_F16, WG_BF16, WG_Q8_0, WG_Q4_0 };
    const settings *s = &t->s;
    if (s->out_kind == OUT_ADAPTER) {
        if (wg_lora_save(t->model, s->out) != WG_OK) return failed();
    } else {
        if (s->merge && wg_lora_merge(t->model) != WG_OK) return failed();
        if (wg_model_save(t->file, s->out,
                          .kind = s->out_kind == OUT_GGUF ? WG_FILE_GGUF : WG_FILE_HF,
                          .dtype = dtypes[s->dtype]) != WG_OK)
            return failed();
    }
    printf("written: %s\n", s->out);
    return true;
}

bool train(const settings *s, const volatile int *stop)
{
    trainer t = { .s = *s, .stop = stop };
    const wg_scope all = wg_scope_push();
    bool ok = build(&t);
    if (ok) describe(&t);
    ok = ok && report_open(&t.report, s->log, false, 0, s->steps, s->print_every) && loop(&t);
    report_close(&t.report);
    ok = ok && write_out(&t);
    wg_optim_free(t.optimizer);
    data_close(&t.data);
    wg_model_free(t.file);
    wg_scope_return(all, NULL);
    return ok;
}
