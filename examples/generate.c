/* Text from a model in a file: Hugging Face folders, GGUF, llama2.c, llm.c.
 *
 *     generate --model stories260K.bin --prompt "Once upon a time" --tokens 200 --temperature 0
 *     generate --model llama.gguf --chat --system "Be brief." --prompt "Why is the sky blue?"
 *
 * The text alone goes to standard output as it comes; rates go to standard error. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wengert/wengert.h>

enum { MAX_STOPS = 16 };

typedef struct {
    const char *model, *tokenizer, *draft, *prompt, *system;
    const char *stop[MAX_STOPS + 1];
    int stops, threads;
    int64_t tokens, context, drafted, beams;
    wg_sampling sampling;
    bool chat, ignore_end, no_echo;
} options;

typedef struct {
    wg_generation *g;
    double start, first;         /* seconds; first: of the first text, 0 before */
    int64_t tokens_before_first; /* generated when it came */
} progress;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- options --------------------------------------------------------------------------------- */

static const char help[] =
    "usage: generate --model PATH --prompt TEXT [options]\n"
    "  --model PATH           a Hugging Face folder, a GGUF file, llama2.c's or llm.c's .bin\n"
    "  --tokenizer PATH       where the model brings none, or another one\n"
    "  --prompt TEXT          what to continue; empty: from the beginning-of-text token\n"
    "  --no-echo              do not print the prompt before the text\n"
    "  --chat                 the prompt is a message to the model, put into its chat template\n"
    "  --system TEXT          the system's message of a chat\n"
    "  --tokens N             at most so many tokens (256); 0: until the text ends\n"
    "  --temperature T        0: always the most probable token (0.8)\n"
    "  --top-k K              only the K most probable; 0: all (0)\n"
    "  --top-p P              only the most probable that make up P; 1: all (0.95)\n"
    "  --min-p P              only those of at least P times the most probable (0)\n"
    "  --repetition-penalty R divides logits of tokens that stand in the text; 1: none (1)\n"
    "  --penalty-last N       looks back so many tokens; 0: all (64)\n"
    "  --seed N               of the random numbers (0)\n"
    "  --stop TEXT            ends the text; may be given up to 16 times\n"
    "  --ignore-end           goes on after end-of-text tokens\n"
    "  --context N            positions at most; 0: as many as the model has (0)\n"
    "  --draft PATH           a smaller model of the same vocabulary that proposes tokens\n"
    "  --drafted N            so many at a time (4)\n"
    "  --beams N              the most probable text that N beams find, instead of sampling\n"
    "  --threads N            0: all cores (0)\n";

static int fail(const char *message, const char *what)
{
    fprintf(stderr, "generate: %s%s\n", message, what);
    return 1;
}

static bool read_int(const char *name, const char *text, int64_t least, int64_t most, int64_t *out)
{
    char *end;
    errno = 0;
    const long long v = strtoll(text, &end, 10);
    if (!*text || *end || errno || v < least || v > most) {
        fprintf(stderr, "generate: --%s takes a whole number from %lld to %lld, not '%s'\n", name,
                (long long)least, (long long)most, text);
        return false;
    }
    *out = v;
    return true;
}

static bool read_real(const char *name, const char *text, double most, double *out)
{
    char *end;
    const double v = strtod(text, &end);
    if (!*text || *end || !(v >= 0 && v <= most)) {
        fprintf(stderr, "generate: --%s takes a number from 0 to %g, not '%s'\n", name, most, text);
        return false;
    }
    *out = v;
    return true;
}

/* clang-format off */
static const struct option names[] = {
    { "model", 1, NULL, 'm' }, { "tokenizer", 1, NULL, 'z' }, { "prompt", 1, NULL, 'p' },
    { "no-echo", 0, NULL, 'e' }, { "chat", 0, NULL, 'c' }, { "system", 1, NULL, 'y' },
    { "tokens", 1, NULL, 'n' }, { "temperature", 1, NULL, 't' }, { "top-k", 1, NULL, 'k' },
    { "top-p", 1, NULL, 'q' }, { "min-p", 1, NULL, 'i' }, { "repetition-penalty", 1, NULL, 'r' },
    { "penalty-last", 1, NULL, 'l' }, { "seed", 1, NULL, 's' }, { "stop", 1, NULL, 'S' },
    { "ignore-end", 0, NULL, 'E' }, { "context", 1, NULL, 'C' }, { "draft", 1, NULL, 'd' },
    { "drafted", 1, NULL, 'D' }, { "beams", 1, NULL, 'b' }, { "threads", 1, NULL, 'T' },
    { "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 },
};
/* clang-format on */

static bool take_sampling(options *o, int key, const char *name)
{
    int64_t seed = 0;
    switch (key) {
    case 't': return read_real(name, optarg, 1e6, &o->sampling.temperature);
    case 'k': return read_int(name, optarg, 0, INT32_MAX, &o->sampling.top_k);
    case 'q': return read_real(name, optarg, 1, &o->sampling.top_p);
    case 'i': return read_real(name, optarg, 1, &o->sampling.min_p);
    case 'r': return read_real(name, optarg, 1e6, &o->sampling.repetition_penalty);
    case 'l': return read_int(name, optarg, 0, INT32_MAX, &o->sampling.penalty_last);
    case 's':
        if (!read_int(name, optarg, 0, INT64_MAX, &seed)) return false;
        o->sampling.seed = (uint64_t)seed;
        return true;
    default: return false;
    }
}

static bool take_option(options *o, int key, const char *name)
{
    int64_t threads = 0;
    switch (key) {
    case 'm': o->model = optarg; return true;
    case 'z': o->tokenizer = optarg; return true;
    case 'p': o->prompt = optarg; return true;
    case 'e': return o->no_echo = true;
    case 'c': return o->chat = true;
    case 'y': o->system = optarg; return true;
    case 'n': return read_int(name, optarg, 0, INT32_MAX, &o->tokens);
    case 'S':
        if (o->stops == MAX_STOPS) return !fail("more than 16 times ", "--stop");
        o->stop[o->stops++] = optarg;
        return true;
    case 'E': return o->ignore_end = true;
    case 'C': return read_int(name, optarg, 0, INT32_MAX, &o->context);
    case 'd': o->draft = optarg; return true;
    case 'D': return read_int(name, optarg, 1, 64, &o->drafted);
    case 'b': return read_int(name, optarg, 1, 1024, &o->beams);
    case 'T':
        if (!read_int(name, optarg, 0, 4096, &threads)) return false;
        o->threads = (int)threads;
        return true;
    default: return take_sampling(o, key, name);
    }
}

/* 0: go on; else the exit status and one more. */
static int parse(options *o, int argc, char **argv)
{
    int key, at = 0;
    while ((key = getopt_long(argc, argv, "", names, &at)) != -1) {
        if (key == 'h') {
            fputs(help, stdout);
            return 1;
        }
        if (key == '?' || !take_option(o, key, names[at].name)) return 2;
    }
    if (optind < argc) return 1 + fail("what is ", argv[optind]);
    if (!o->model) return 1 + fail("no --model; --help lists the options", "");
    if (o->beams && (o->draft || o->tokens == 0))
        return 1 + fail("--beams takes no --draft, and a number of --tokens", "");
    return 0;
}

/* ---- running --------------------------------------------------------------------------------- */

static bool write_text(void *self, const char *text, int64_t bytes)
{
    progress *p = self;
    if (p->first == 0) {
        p->first = now();
        p->tokens_before_first = wg_generation_count(p->g).generated;
    }
    fwrite(text, 1, (size_t)bytes, stdout);
    return fflush(stdout) == 0; /* nobody reads any more */
}

static void report(const progress *p)
{
    const wg_generation_counts n = wg_generation_count(p->g);
    const double end = now(), first = p->first ? p->first : end;
    fprintf(stderr, "prompt: %lld tokens in %.3f s, %.1f tokens/s\n", (long long)n.read,
            first - p->start, (double)n.read / (first - p->start));
    const int64_t came = n.generated - p->tokens_before_first;
    if (came > 0)
        fprintf(stderr, "text: %lld tokens, %.1f tokens/s\n", (long long)n.generated,
                (double)came / (end - first));
    if (n.drafted)
        fprintf(stderr, "drafted: %lld tokens, %lld taken\n", (long long)n.drafted,
                (long long)n.accepted);
}

/* The prompt as it is, or as a chat (to be freed); NULL on errors. */
static char *make_prompt(const options *o, const wg_model *m)
{
    if (!o->chat) return strdup(o->prompt);
    const wg_message messages[] = { { "system", o->system }, { "user", o->prompt } };
    const char *form = wg_model_chat_template(m);
    if (!form) {
        fail("the model has no chat template: ", o->model);
        return NULL;
    }
    return wg_chat_prompt(form, messages + !o->system, 1 + (o->system != NULL));
}

static void search(const options *o, wg_generation *g, const wg_tokenizer *t, const char *prompt)
{
    int64_t *ids = NULL, n, *best[1024] = { 0 }, counts[1024], eos = wg_tokenizer_eos(t);
    n = wg_tokenizer_encode(t, prompt, (int64_t)strlen(prompt), &ids,
                            .bos =
                                wg_tokenizer_bos(t) >= 0 && (!*prompt || wg_tokenizer_adds_bos(t)),
                            .special = o->chat);
    if (n >= 0 && wg_beam_search(g, { ids, n }, best, counts, NULL, .beams = o->beams,
                                 .max_tokens = o->tokens, .stop = { &eos, eos >= 0 }) == WG_OK) {
        char *text = wg_tokenizer_decode(t, best[0], counts[0], &n, .skip_special = true);
        if (text) fwrite(text, 1, (size_t)n, stdout);
        free(text);
    }
    for (int64_t i = 0; i < o->beams; i++) free(best[i]);
    free(ids);
}

static void run(const options *o, const wg_model *m, const wg_model *draft, const wg_tokenizer *t)
{
    char *prompt = make_prompt(o, m);
    progress p = { .g = wg_generation_new(wg_model_module(m), wg_model_module(draft),
                                          .context = o->context, .drafted = o->drafted) };
    if (prompt && p.g) {
        if (!o->chat && !o->no_echo) fputs(prompt, stdout);
        p.start = now();
        if (o->beams)
            search(o, p.g, t, prompt);
        else
            wg_generate_text(p.g, t, prompt, .special = o->chat, .max_tokens = o->tokens,
                             .sampling = o->sampling, .stop = o->stop, .ignore_end = o->ignore_end,
                             .on_text = write_text, .self = &p);
        putchar('\n');
        fflush(stdout);
        report(&p);
    }
    wg_generation_free(p.g);
    free(prompt);
}

int main(int argc, char **argv)
{
    options o = { .prompt = "",
                  .tokens = 256,
                  .drafted = 4,
                  .sampling = { .temperature = 0.8, .top_p = 0.95, .penalty_last = 64 } };
    const int stop = parse(&o, argc, argv);
    if (stop) return stop - 1;
    wg_use_threads(o.threads);
    const wg_scope s = wg_scope_push();
    wg_model *m = wg_model_open(o.model, .no_tokenizer = o.tokenizer != NULL),
             *draft = o.draft ? wg_model_open(o.draft, .no_tokenizer = true) : NULL;
    wg_tokenizer *given = o.tokenizer ? wg_tokenizer_open(o.tokenizer) : NULL;
    const wg_tokenizer *t = given ? given : wg_model_tokenizer(m);
    int status = 0;
    if (m && !t && wg_error_code() == WG_OK)
        status = fail("the model brings no tokenizer: give one with --tokenizer: ", o.model);
    if (status == 0 && wg_error_code() == WG_OK) run(&o, m, draft, t);
    if (wg_error_code() != WG_OK) status = wg_error_print(stderr);
    wg_tokenizer_free(given);
    wg_model_free(draft);
    wg_model_free(m);
    (void)!wg_scope_pop(s);
    return status;
}
