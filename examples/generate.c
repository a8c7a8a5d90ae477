/* Text from a model in a file: Hugging Face folders, GGUF, llama2.c, llm.c.
 *
 *     generate --model stories260K.bin --prompt "Once upon a time" --tokens 200 --temperature 0
 *     generate --model llama.gguf --chat --system "Be brief." --prompt "Why is the sky blue?"
 *
 * The text alone goes to standard output as it comes; rates go to standard error. */
#include <stdlib.h>
#include <string.h>

#include "common/device.h"
#include "common/encode.h"
#include "common/options.h"
#include "common/program.h"
#include "common/report.h"

const char program_name[] = "generate";

typedef struct {
    const char *prompt, *system, *stop[STRINGS + 1];
    char model[TEXT_SIZE], tokenizer[TEXT_SIZE], draft[TEXT_SIZE], device[TEXT_SIZE];
    int64_t tokens, top_k, penalty_last, seed, context, drafted, beams, threads;
    double temperature, top_p, min_p, repetition_penalty;
    bool chat, echo, ignore_end;
} settings;

#define AT(field) offsetof(settings, field)
#define ANY -1e300, 1e300
/* clang-format off */
static const option options[] = {
    { "Files", .type = OPTION_SECTION },
    { "model", OPTION_TEXT, AT(model), "", "a Hugging Face folder, a GGUF file, llama2.c's or llm.c's .bin", ANY, NULL },
    { "tokenizer", OPTION_TEXT, AT(tokenizer), "", "a tokenizer; default: the model's own", ANY, NULL },
    { "draft", OPTION_TEXT, AT(draft), "", "a smaller model of the same vocabulary, which proposes tokens", ANY, NULL },

    { "Text", .type = OPTION_SECTION },
    { "prompt", OPTION_STRING, AT(prompt), "", "what to continue; empty: from the beginning-of-text token", ANY, NULL },
    { "echo", OPTION_FLAG, AT(echo), "true", "print the prompt before the text (not of a chat)", ANY, NULL },
    { "chat", OPTION_FLAG, AT(chat), "false", "the prompt is a message, put into the model's chat template", ANY, NULL },
    { "system", OPTION_STRING, AT(system), "", "the system's message of a chat", ANY, NULL },
    { "tokens", OPTION_INT, AT(tokens), "256", "at most so many; 0: until the text ends", 0, 1e9, NULL },
    { "stop", OPTION_STRINGS, AT(stop), "", "ends the text before it; may be given 16 times", ANY, NULL },
    { "ignore-end", OPTION_FLAG, AT(ignore_end), "false", "goes on after end-of-text tokens", ANY, NULL },

    { "Sampling", .type = OPTION_SECTION },
    { "temperature", OPTION_REAL, AT(temperature), "0.8", "0: always the most probable token", 0, 1e6, NULL },
    { "top-k", OPTION_INT, AT(top_k), "0", "only the k most probable; 0: all", 0, 1e9, NULL },
    { "top-p", OPTION_REAL, AT(top_p), "0.95", "only the most probable that make up p; 1: all", 0, 1, NULL },
    { "min-p", OPTION_REAL, AT(min_p), "0", "only those of at least p times the most probable", 0, 1, NULL },
    { "repetition-penalty", OPTION_REAL, AT(repetition_penalty), "1", "divides the logits of tokens in the text", 0, 1e6, NULL },
    { "penalty-last", OPTION_INT, AT(penalty_last), "64", "looks back so many tokens; 0: all", 0, 1e9, NULL },
    { "seed", OPTION_INT, AT(seed), "0", "of the random numbers", 0, 9e18, NULL },
    { "beams", OPTION_INT, AT(beams), "0", "the most probable text that so many beams find, unsampled; 0: off", 0, 256, NULL },

    { "Running", .type = OPTION_SECTION },
    { "context", OPTION_INT, AT(context), "0", "positions at most; 0: as many as the model has", 0, 1e9, NULL },
    { "drafted", OPTION_INT, AT(drafted), "4", "tokens that --draft proposes at a time", 1, 64, NULL },
    { "device", OPTION_TEXT, AT(device), "cpu", "cpu, cuda or cuda:N", ANY, NULL },
    { "threads", OPTION_INT, AT(threads), "0", "0: all; the text is the same", 0, 4096, NULL },
    { .name = NULL },
};
/* clang-format on */

typedef struct {
    const settings *s;
    const volatile int *stop;
    wg_generation *g;
    double start, first;         /* seconds; first: of the first text, 0 before */
    int64_t tokens_before_first; /* generated when it came */
} run;

static bool write_text(void *self, const char *text, int64_t bytes)
{
    run *r = self;
    if (bytes == 0) return true;
    if (r->first == 0) {
        r->first = seconds_now();
        r->tokens_before_first = wg_generation_count(r->g).generated;
    }
    fwrite(text, 1, (size_t)bytes, stdout);
    return fflush(stdout) == 0 && !*r->stop; /* unless nobody reads any more */
}

static void report_rates(const run *r)
{
    const wg_generation_counts n = wg_generation_count(r->g);
    const double end = seconds_now(), first = r->first ? r->first : end;
    fprintf(stderr, "prompt: %lld tokens in %.3f s, %.1f tokens/s\n", (long long)n.read,
            first - r->start, (double)n.read / (first - r->start));
    const int64_t came = n.generated - r->tokens_before_first;
    if (came > 0)
        fprintf(stderr, "text: %lld tokens, %.1f tokens/s\n", (long long)n.generated,
                (double)came / (end - first));
    if (n.drafted)
        fprintf(stderr, "drafted: %lld tokens, %lld taken\n", (long long)n.drafted,
                (long long)n.accepted);
}

/* The prompt as it is, or as a chat (to be freed); NULL when it complained or an error is pending. */
static char *make_prompt(const settings *s, const wg_model *m)
{
    if (!s->chat) return strdup(s->prompt);
    const wg_message messages[] = { { "system", s->system }, { "user", s->prompt } };
    const char *form = wg_model_chat_template(m);
    if (form) return wg_chat_prompt(form, messages + !*s->system, 1 + (*s->system != 0));
    complain("%s has no chat template", s->model);
    return NULL;
}

/* The best continuation that beams find. */
static void search(run *r, const wg_tokenizer *t, const char *prompt)
{
    const settings *s = r->s;
    int64_t *ids = NULL, *best[256] = { 0 }, counts[256], bytes = 0, eos = wg_tokenizer_eos(t);
    const bool bos = wg_tokenizer_bos(t) >= 0 && (!*prompt || wg_tokenizer_adds_bos(t));
    const int64_t n = wg_tokenizer_encode(t, prompt, (int64_t)strlen(prompt), &ids, .bos = bos,
                                          .special = s->chat);
    if (n >= 0 && wg_beam_search(r->g, { ids, n }, best, counts, NULL, .beams = s->beams,
                                 .max_tokens = s->tokens, .stop = { &eos, eos >= 0 }) == WG_OK) {
        wg_decoder *d = wg_decoder_new(t, .skip_special = true, .continued = *prompt != 0);
        for (int64_t i = 0; d && i < counts[0]; i++) {
            const char *text = wg_decoder_put(d, best[0][i], &bytes);
            if (text) write_text(r, text, bytes);
        }
        wg_decoder_free(d);
    }
    for (int64_t i = 0; i < s->beams; i++) free(best[i]);
    free(ids);
}

static bool write_all(run *r, const wg_model *m, const wg_tokenizer *t)
{
    const settings *s = r->s;
    char *prompt = make_prompt(s, m);
    if (!prompt) return false;
    if (!s->chat && s->echo) fputs(prompt, stdout);
    r->start = seconds_now();
    if (s->beams)
        search(r, t, prompt);
    else
        wg_generate_text(r->g, t, prompt, .special = s->chat, .max_tokens = s->tokens,
                         .sampling = { .temperature = s->temperature,
                                       .top_k = s->top_k,
                                       .top_p = s->top_p,
                                       .min_p = s->min_p,
                                       .repetition_penalty = s->repetition_penalty,
                                       .penalty_last = s->penalty_last,
                                       .seed = (uint64_t)s->seed },
                         .stop = s->stop, .ignore_end = s->ignore_end, .on_text = write_text,
                         .self = r);
    putchar('\n');
    fflush(stdout);
    if (wg_error_code() == WG_OK) report_rates(r);
    free(prompt);
    return wg_error_code() == WG_OK;
}

static bool generate(const settings *s)
{
    run r = { .s = s, .stop = stop_flag() };
    wg_tokenizer *own = NULL;
    if (!use_device(s->device)) return false;
    wg_model *m = wg_model_open(s->model, .no_tokenizer = *s->tokenizer != 0),
             *draft = *s->draft ? wg_model_open(s->draft, .no_tokenizer = true) : NULL;
    const wg_tokenizer *t = m ? tokenizer_of(m, s->model, s->tokenizer, &own) : NULL;
    if (t && wg_error_code() == WG_OK)
        r.g = wg_generation_new(wg_model_module(m), wg_model_module(draft), .context = s->context,
                                .drafted = s->drafted);
    const bool fine = r.g && write_all(&r, m, t);
    wg_generation_free(r.g);
    wg_tokenizer_free(own);
    wg_model_free(draft);
    wg_model_free(m);
    return fine || failed();
}

int main(int argc, char **argv)
{
    static settings s;
    options_default(&s, options);
    if (options_want_help(argc, argv)) {
        puts("usage: generate --model PATH --prompt TEXT [--NAME VALUE ...]\n"
             "Writes text with a model from a file.");
        options_help(&s, options);
        return 0;
    }
    if (!options_read(&s, options, argc, argv)) return MISTAKE;
    if (!*s.model) return complain("no --model; --help lists the options"), MISTAKE;
    if (s.beams && (*s.draft || s.tokens == 0))
        return complain("--beams goes with a number of --tokens and without --draft"), MISTAKE;
    wg_use_threads((int)s.threads);
    const wg_scope scope = wg_scope_push();
    const bool fine = generate(&s);
    return wg_scope_pop(scope) == WG_OK && fine ? 0 : FAILED;
}
