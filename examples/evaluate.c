/* How well a model from a file predicts: perplexity of a text, multiple choice with HellaSwag's fields. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/device.h"
#include "common/encode.h"
#include "common/options.h"
#include "common/program.h"
#include "common/report.h"

const char program_name[] = "evaluate";

typedef struct {
    char model[TEXT_SIZE], tokenizer[TEXT_SIZE], adapter[TEXT_SIZE], text[TEXT_SIZE];
    char choices[TEXT_SIZE], device[TEXT_SIZE];
    int64_t window, stride, limit, threads;
    bool special;
} settings;

#define AT(field) offsetof(settings, field)
#define ANY -1e300, 1e300
/* clang-format off */
static const option options[] = {
    { "model", OPTION_TEXT, AT(model), "", "a Hugging Face folder, a GGUF file, llama2.c's or llm.c's .bin", ANY, NULL },
    { "tokenizer", OPTION_TEXT, AT(tokenizer), "", "a tokenizer; default: the model's own", ANY, NULL },
    { "adapter", OPTION_TEXT, AT(adapter), "", "a folder of PEFT's with low-rank adapters", ANY, NULL },
    { "text", OPTION_TEXT, AT(text), "", "a file: perplexity", ANY, NULL },
    { "window", OPTION_INT, AT(window), "0", "inputs at once; 0: the model's block, at most 2048", 0, 1e9, NULL },
    { "stride", OPTION_INT, AT(stride), "0", "from one window to the next; 0: half a window", 0, 1e9, NULL },
    { "choices", OPTION_TEXT, AT(choices), "", "JSON lines of ctx, endings, label: accuracy", ANY, NULL },
    { "limit", OPTION_INT, AT(limit), "0", "questions at most; 0: all", 0, 1e12, NULL },
    { "special", OPTION_FLAG, AT(special), "false", "special tokens spelled in the text become their ids", ANY, NULL },
    { "device", OPTION_TEXT, AT(device), "cpu", "cpu, cuda or cuda:N", ANY, NULL },
    { "threads", OPTION_INT, AT(threads), "0", "0: all; the results are the same", 0, 4096, NULL },
    { .name = NULL },
};
/* clang-format on */

typedef struct {
    const settings *s;
    const volatile int *stop;
    wg_model *file;
    wg_module *model; /* file's */
    wg_tokenizer *own;
    encoder encoder;
    double started;
} run;

/* Text that the next one overwrites, on a terminal alone. */
static void progress(const char *text)
{
    if (isatty(STDERR_FILENO)) fprintf(stderr, "\r\033[K%s", text);
}

/* ---- perplexity ------------------------------------------------------------------------------ */

static bool on_windows(void *self, const wg_perplexity_result *so_far, int64_t all)
{
    const run *r = self;
    char line[128];
    snprintf(line, sizeof line, "%lld/%lld tokens  ppl %.4f", (long long)so_far->tokens,
             (long long)all, so_far->perplexity);
    progress(line);
    return !*r->stop;
}

static bool perplexity(run *r)
{
    int64_t *ids;
    const int64_t n = encode_file(&r->encoder, r->s->text, &ids);
    wg_perplexity_result p = { 0 };
    const double start = seconds_now();
    const bool ok =
        n >= 0 && wg_perplexity(r->model, ids, n, &p, .window = r->s->window,
                                .stride = r->s->stride, .progress = on_windows, .self = r) == WG_OK;
    free(ids);
    progress("");
    if (!ok) return failed();
    printf("tokens %lld  nll %.6f  ppl %.4f  %.0f tokens/s%s\n", (long long)p.tokens, p.nll,
           p.perplexity, (double)p.tokens / (seconds_now() - start), *r->stop ? "  stopped" : "");
    return true;
}

/* ---- multiple choice ------------------------------------------------------------------------- */

typedef struct {
    int64_t questions, right, right_by_bytes, right_by_tokens;
} tally;

/* The ids of context and ending, a token in front if the model wants one or there is no context. */
static bool encode_choice(run *r, const wg_question *q, int64_t i, wg_choice *c)
{
    const wg_tokenizer *t = r->encoder.tokenizer;
    const size_t room = strlen(q->endings[i]) + 2;
    char *ending = malloc(room);
    if (!ending) return complain("out of memory");
    snprintf(ending, room, "%s%s", *q->context ? " " : "", q->endings[i]);
    int64_t *ids, of_context;
    const int64_t n = wg_encode_answer(encode, &r->encoder, q->context, ending, &ids, &of_context);
    free(ending);
    if (n < 0) return false;
    int64_t begin = wg_tokenizer_adds_bos(t) ? wg_tokenizer_bos(t) : -1;
    if (begin < 0 && of_context == 0) begin = wg_tokenizer_eos(t);
    const int64_t first = begin >= 0;
    int64_t *all = malloc((size_t)(n + 1) * sizeof *all);
    if (all) {
        all[0] = begin;
        memcpy(all + first, ids, (size_t)n * sizeof *all);
        *c = (wg_choice) { all, first + n, first + of_context, (int64_t)strlen(q->endings[i]) };
    }
    free(ids);
    return all || complain("out of memory");
}

static int64_t best(const wg_choice_score *s, int64_t n, size_t field)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (*(const double *)((const char *)&s[i] + field) >
            *(const double *)((const char *)&s[best] + field))
            best = i;
    return best;
}

static bool answer(run *r, const wg_question *q, tally *t)
{
    wg_choice *c = calloc((size_t)q->n, sizeof *c);
    wg_choice_score *s = calloc((size_t)q->n, sizeof *s);
    bool ok = (c && s) || complain("out of memory");
    for (int64_t i = 0; ok && i < q->n; i++) ok = encode_choice(r, q, i, &c[i]);
    ok = ok && wg_score_choices(r->model, c, q->n, s) == WG_OK;
    if (ok) {
        t->questions++;
        t->right += best(s, q->n, offsetof(wg_choice_score, log_prob)) == q->label;
        t->right_by_bytes += best(s, q->n, offsetof(wg_choice_score, per_byte)) == q->label;
        t->right_by_tokens += best(s, q->n, offsetof(wg_choice_score, per_token)) == q->label;
    }
    for (int64_t i = 0; c && i < q->n; i++) free((void *)(uintptr_t)c[i].ids);
    free(c);
    free(s);
    return ok;
}

static bool choices(run *r)
{
    wg_questions *all = wg_questions_open(r->s->choices);
    int64_t n = wg_questions_count(all);
    if (r->s->limit && r->s->limit < n) n = r->s->limit;
    tally t = { 0 };
    bool ok = all != NULL;
    const double start = seconds_now();
    for (int64_t i = 0; ok && i < n && !*r->stop; i++) {
        ok = answer(r, wg_questions_at(all, i), &t);
        char line[96];
        snprintf(line, sizeof line, "%lld/%lld questions", (long long)t.questions, (long long)n);
        progress(line);
    }
    wg_questions_free(all);
    progress("");
    if (!ok) return failed();
    const double k = (double)t.questions;
    printf(
        "questions %lld  acc %.4f  acc_norm %.4f (by bytes)  %.4f (by tokens)  %.2f questions/s\n",
        (long long)t.questions, (double)t.right / k, (double)t.right_by_bytes / k,
        (double)t.right_by_tokens / k, k / (seconds_now() - start));
    return true;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool evaluate(run *r)
{
    const settings *s = r->s;
    if (!use_device(s->device)) return false;
    wg_use_threads((int)s->threads);
    r->file = wg_model_open(s->model);
    if (!r->file) return failed();
    r->model = wg_model_module(r->file);
    r->encoder.special = s->special;
    r->encoder.tokenizer = tokenizer_of(r->file, s->model, s->tokenizer, &r->own);
    if (!r->encoder.tokenizer) return failed();
    if (*s->adapter && wg_lora_load(r->model, s->adapter) != WG_OK) return failed();
    if (*s->text && !perplexity(r)) return false;
    return !*s->choices || *r->stop || choices(r);
}

static int help(const settings *s)
{
    puts("evaluate: perplexity of a model on a text, accuracy on multiple choice.\n\n"
         "usage: evaluate --model PATH [--text FILE] [--choices FILE] [--NAME VALUE]...\n");
    options_help(s, options);
    return 0;
}

int main(int argc, char **argv)
{
    static settings s;
    options_default(&s, options);
    if (options_want_help(argc, argv)) return help(&s);
    if (!options_read(&s, options, argc, argv)) return MISTAKE;
    if (!*s.model) return complain("--model is missing (see --help)") + MISTAKE;
    if (!*s.text && !*s.choices)
        return complain("neither --text nor --choices is given (see --help)") + MISTAKE;
    run r = { .s = &s, .stop = stop_flag() };
    const wg_scope all = wg_scope_push();
    const bool ok = evaluate(&r);
    wg_tokenizer_free(r.own);
    wg_model_free(r.file);
    wg_scope_return(all, NULL);
    return !ok ? FAILED : *r.stop ? INTERRUPTED : 0;
}
