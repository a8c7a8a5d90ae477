#include "data.h"

#include <stdlib.h>
#include <string.h>

/* One file: tokens of a text, or examples. */
typedef struct {
    wg_tokens *tokens;
    wg_examples *examples;
} source;

static bool is_json_lines(const char *path)
{
    const size_t n = strlen(path);
    return (n > 6 && !strcmp(path + n - 6, ".jsonl")) || (n > 5 && !strcmp(path + n - 5, ".json"));
}

static int64_t count(const source *f)
{
    return f->examples ? wg_examples_count(f->examples) : wg_tokens_count(f->tokens);
}

static void source_close(source *f)
{
    wg_tokens_free(f->tokens);
    wg_examples_free(f->examples);
    *f = (source) { 0 };
}

static wg_maybe known(int64_t token)
{
    return (wg_maybe) { token >= 0, token };
}

static bool source_open(source *f, data *d, const char *path, int64_t vocab, const settings *s)
{
    *f = (source) { 0 };
    const wg_tokenizer *t = d->encoder.tokenizer;
    if (is_json_lines(path)) {
        const int64_t begin = wg_tokenizer_adds_bos(t) ? wg_tokenizer_bos(t) : -1;
        f->examples =
            wg_examples_open(.path = path, .encode = encode, .self = &d->encoder, .vocab = vocab,
                             .begin = known(begin), .end_token = known(wg_tokenizer_eos(t)),
                             .block = s->block, .refuse_long = s->refuse_long,
                             .learn_prompt = s->learn_prompt);
        return f->examples != NULL;
    }
    int64_t *ids, n = encode_file(&d->encoder, path, &ids);
    if (n >= 0) f->tokens = wg_tokens_ids(ids, n, vocab);
    free(ids);
    return f->tokens != NULL;
}

/* The part [first, last) of f; an empty one stays closed. */
static source part(const source *f, int64_t first, int64_t last)
{
    source p = { 0 };
    if (first == last) return p;
    if (f->examples)
        p.examples = wg_examples_part(f->examples, first, last);
    else
        p.tokens = wg_tokens_part(f->tokens, first, last);
    return p;
}

static wg_loader *loader(const source *f, const settings *s, bool learned)
{
    return wg_loader_new(.tokens = f->tokens, .examples = f->examples, .batch = s->batch,
                         .block = f->examples ? 0 : s->block, .seed = (uint64_t)s->seed,
                         .sequential = !learned || f->examples, .shuffle = learned && f->examples);
}

/* Cuts `all` into what is learned and what is held out, by a part or by a second file. */
static bool split(data *d, const source *all, int64_t vocab, const settings *s, source *learned,
                  source *held_out)
{
    char *end;
    const double fraction = strtod(s->held_out, &end);
    const bool is_number = end != s->held_out && !*end;
    if (is_number && !(fraction >= 0 && fraction < 1))
        return complain("--held-out: %s is no part from 0 to 1", s->held_out);
    const int64_t n = count(all), cut = is_number ? n - (int64_t)(fraction * (double)n) : n;
    *learned = part(all, 0, cut);
    if (!is_number && *s->held_out) return source_open(held_out, d, s->held_out, vocab, s);
    *held_out = part(all, cut, n);
    if (held_out->tokens && n - cut < 2)
        return complain("--held-out: %s of %lld tokens is too little", s->held_out, (long long)n);
    return true;
}

static void describe(data *d, const source *learned, const source *held_out)
{
    const char *unit = learned->examples ? "examples" : "tokens";
    int n = snprintf(d->what, sizeof d->what, "%lld %s", (long long)count(learned), unit);
    if (learned->examples)
        n += snprintf(d->what + n, sizeof d->what - (size_t)n, " (%lld tokens of answers)",
                      (long long)wg_examples_learned(learned->examples));
    snprintf(d->what + n, sizeof d->what - (size_t)n, ", %lld held out",
             (long long)count(held_out));
}

bool data_open(data *d, const wg_model *model, const settings *s)
{
    *d = (data) { .encoder = { .special = s->special } };
    d->encoder.tokenizer = tokenizer_of(model, s->model, s->tokenizer, &d->own);
    if (!d->encoder.tokenizer) return false;
    const int64_t vocab = wg_transformer_config_of(wg_model_module(model))->vocab;
    source all, learned = { 0 }, held_out = { 0 };
    bool ok =
        source_open(&all, d, s->data, vocab, s) && split(d, &all, vocab, s, &learned, &held_out);
    if (ok) {
        describe(d, &learned, &held_out);
        d->batches = loader(&learned, s, true);
        if (held_out.tokens || held_out.examples) d->held_out = loader(&held_out, s, false);
        ok = wg_error_code() == WG_OK;
    }
    source_close(&all);
    source_close(&learned);
    source_close(&held_out);
    return ok;
}

void data_close(data *d)
{
    wg_loader_free(d->batches);
    wg_loader_free(d->held_out);
    wg_tokenizer_free(d->own);
}
