/* Generation over a key-value cache, one row. */
#include "nn/generation.h"

#include <stdlib.h>
#include <string.h>

#include "nn/state.h"
#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

/* ---- making ---------------------------------------------------------------------------------- */

/* The transformer's vocabulary; 0 (raised) if m is none. */
static int64_t vocabulary(const wg_module *m)
{
    const wg_transformer_config *c = wg_transformer_config_of(m);
    return c ? c->vocab : 0;
}

/* Fills g's sizes from a; false and an error for what does not fit. */
static bool take_sizes(wg_generation *g, const wg_generation_args *a)
{
    g->model = a->model;
    g->draft = a->draft;
    g->vocab = vocabulary(a->model);
    const int64_t draft_vocab = a->draft ? vocabulary(a->draft) : g->vocab;
    if (!g->vocab || !draft_vocab) return false;
    int64_t block = wg_transformer_config_of(a->model)->block;
    if (a->draft && wg_transformer_config_of(a->draft)->block < block)
        block = wg_transformer_config_of(a->draft)->block;
    g->context = a->context ? a->context : block;
    g->drafted = a->drafted ? a->drafted : 4;
    g->chunk = a->chunk ? a->chunk : 512;
    if (a->draft && g->chunk > 0 && g->chunk <= g->drafted) g->chunk = g->drafted + 1;
    if (g->context < 1 || g->context > block || g->drafted < 1 || g->drafted > 1024 ||
        g->chunk < 1) {
        wg_raise(WG_EARG,
                 "generation: context %lld (the model's block is %lld), drafted %lld or chunk %lld "
                 "is out of range",
                 (long long)g->context, (long long)block, (long long)g->drafted,
                 (long long)g->chunk);
        return false;
    }
    if (draft_vocab != g->vocab)
        wg_raise(WG_EARG, "generation: the model's vocabulary is %lld, the draft model's %lld",
                 (long long)g->vocab, (long long)draft_vocab);
    return draft_vocab == g->vocab;
}

static bool make_buffers(wg_generation *g)
{
    const size_t rows = g->draft ? (size_t)g->drafted + 1 : 1;
    g->ids = malloc(((size_t)g->context + 1) * sizeof *g->ids);
    g->logits = malloc(rows * (size_t)g->vocab * sizeof *g->logits);
    if (g->draft) g->draft_p = malloc((size_t)(g->drafted * g->vocab) * sizeof *g->draft_p);
    g->cache = wg_kv_cache_new(g->context);
    if (g->draft) g->draft_cache = wg_kv_cache_new(g->context);
    return g->ids && g->logits && g->cache && (!g->draft || (g->draft_p && g->draft_cache));
}

wg_generation *wg_generation_call(wg_generation_args a)
{
    wg_generation *g = calloc(1, sizeof *g);
    if (g && !take_sizes(g, &a)) {
        free(g);
        return NULL;
    }
    if (g && make_buffers(g)) return g;
    wg_generation_free(g);
    if (wg_error_code() == WG_OK) wg_raise(WG_EMEM, "generation: out of memory");
    return NULL;
}

void wg_generation_free(wg_generation *g)
{
    if (!g) return;
    wg_kv_cache_free(g->cache);
    wg_kv_cache_free(g->draft_cache);
    free(g->ids);
    free(g->logits);
    free(g->draft_p);
    free(g);
}

void wg_generation_reset(wg_generation *g)
{
    if (!g) return;
    g->n = 0;
    wg_kv_truncate(g->cache, 0);
    if (g->draft) wg_kv_truncate(g->draft_cache, 0);
}

wg_generation_counts wg_generation_count(const wg_generation *g)
{
    return g ? g->counts : (wg_generation_counts) { 0 };
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool evaluate(wg_module *m)
{
    const bool was = m && m->training;
    if (was) wg_module_train(m, false);
    return was;
}

wgi_generating wgi_generation_enter(wg_generation *g)
{
    const wgi_generating was = { wg_scope_push(), evaluate(g->model), evaluate(g->draft) };
    wg_use_grad(false);
    return was;
}

void wgi_generation_leave(wg_generation *g, wgi_generating was)
{
    if (was.training) wg_module_train(g->model, true);
    if (was.draft_training) wg_module_train(g->draft, true);
    wg_scope_return(was.scope, NULL);
}

bool wgi_generation_takes(const wg_generation *g, const char *function, wg_ids prompt)
{
    if (!g || prompt.n < 1 || !prompt.ids)
        wg_raise(WG_EARG, "%s: %s", function, g ? "the prompt is empty" : "no generation");
    else if (prompt.n > g->context)
        wg_raise(WG_EARG, "%s: a prompt of %lld tokens for a context of %lld", function,
                 (long long)prompt.n, (long long)g->context);
    else {
        int64_t i = 0;
        while (i < prompt.n && prompt.ids[i] >= 0 && prompt.ids[i] < g->vocab) i++;
        if (i == prompt.n) return true;
        wg_raise(WG_EINDEX, "%s: token %lld is %lld, out of range for a vocabulary of %lld",
                 function, (long long)i, (long long)prompt.ids[i], (long long)g->vocab);
    }
    return false;
}

wg_tensor *wgi_generation_ids(const wg_generation *g, int64_t from, int64_t to)
{
    return wg_from(g->ids + from, (size_t)(to - from) * sizeof *g->ids, WG_I64,
                   WG_DIMS(1, to - from));
}

void wgi_generation_use_device(const wg_module *m)
{
    const wg_tensor *first = wgi_first_tensor(m, false);
    if (first) wg_use_device(wg_device_of(first));
}

/* Runs [from, to); without logits the model's last product is left out. */
static wg_status run(const wg_generation *g, wg_module *model, wg_kv_cache *cache, int64_t from,
                     int64_t to, int64_t last, float *logits)
{
    const wg_scope s = wg_scope_push();
    wgi_generation_use_device(model);
    wg_tensor *x = wgi_generation_ids(g, from, to);
    if (last == 0)
        wg_transformer_hidden(model, x, &(wg_step) { .cache = cache });
    else {
        wg_tensor *y = wg_transformer_step(model, x, &(wg_step) { .cache = cache, .last = last });
        (void)!wg_read(y, logits, (size_t)(last * g->vocab) * sizeof *logits, WG_F32);
    }
    wg_scope_return(s, NULL);
    return wg_error_code();
}

wg_status wgi_generation_read(wg_generation *g, wg_module *model, wg_kv_cache *cache, int64_t n,
                              int64_t last, float *logits)
{
    int64_t at = wg_kv_length(cache, NULL);
    while (at < n) {
        int64_t to = n - at > g->chunk ? at + g->chunk : n;
        /* The pass that gives logits holds all of the last. */
        if (to < n && n - to < last) to = n - last;
        const wg_status s = run(g, model, cache, at, to, to == n ? last : 0, logits);
        if (s != WG_OK) {
            wg_kv_truncate(cache, at); /* some layers may have appended */
            return s;
        }
        at = to;
    }
    return WG_OK;
}

/* ---- one row --------------------------------------------------------------------------------- */

bool wgi_is_stop(wg_ids stop, int64_t id)
{
    for (int64_t i = 0; i < stop.n; i++)
        if (stop.ids[i] == id) return true;
    return false;
}

wg_status wgi_raise_full(const char *function, const wg_generation *g)
{
    return wg_raise(WG_EARG, "%s: the context of %lld tokens is full", function,
                    (long long)g->context);
}

static bool make_room(wgi_output *o)
{
    if (o->n < o->capacity) return true;
    const int64_t capacity = o->capacity ? 2 * o->capacity : o->limit < 1024 ? o->limit : 1024;
    int64_t *ids = realloc(o->ids, (size_t)capacity * sizeof *ids);
    if (!ids) return false;
    o->ids = ids;
    o->capacity = capacity;
    return true;
}

wg_status wgi_output_put(wg_generation *g, wgi_output *o, int64_t id)
{
    if (wgi_is_stop(o->a->stop, id)) {
        o->ended = true;
        return WG_OK;
    }
    if (!make_room(o)) return wg_raise(WG_EMEM, "generate: out of memory");
    o->ids[o->n++] = id;
    g->ids[g->n++] = id; /* g->n <= context before: see generate */
    g->counts.generated++;
    const bool more = !o->a->on_token || o->a->on_token(o->a->self, 0, id);
    o->ended = !more || o->n == o->limit;
    return WG_OK;
}

/* Keeps what the caches hold of the prompt, but for its last token, whose logits are wanted. */
static void take_prompt(wg_generation *g, wg_ids prompt)
{
    int64_t same = 0;
    while (same < prompt.n - 1 && same < g->n && prompt.ids[same] == g->ids[same]) same++;
    const int64_t held = wg_kv_length(g->cache, NULL);
    if (held > same) wg_kv_truncate(g->cache, same);
    if (g->draft && wg_kv_length(g->draft_cache, NULL) > same) wg_kv_truncate(g->draft_cache, same);
    memmove(g->ids, prompt.ids, (size_t)prompt.n * sizeof *g->ids);
    g->n = prompt.n;
    const int64_t reused = held < same ? held : same;
    g->counts.reused += reused;
    g->counts.read += prompt.n - reused;
}

static wg_status generate_one(wg_generation *g, wg_sampler *s, wgi_output *o)
{
    wg_status e = wgi_generation_read(g, g->model, g->cache, g->n, 1, g->logits);
    if (e != WG_OK) return e;
    const int64_t id = wg_sampler_next(s, g->logits, g->ids, g->n);
    return id < 0 ? wg_error_code() : wgi_output_put(g, o, id);
}

static wg_status generate(wg_generation *g, const wg_generate_args *a, wgi_output *o)
{
    wg_sampler *s = wg_sampler_new(a->sampling, g->vocab);
    wg_status e = s ? WG_OK : wg_error_code();
    if (s) take_prompt(g, a->prompt);
    while (e == WG_OK && !o->ended) {
        if (g->n > g->context)
            e = wgi_raise_full("generate", g);
        else
            e = g->draft ? wgi_generation_speculate(g, s, o) : generate_one(g, s, o);
    }
    wg_sampler_free(s);
    return e;
}

int64_t wg_generate_call(wg_generate_args a)
{
    if (a.ids) *a.ids = NULL;
    if (wg_error_code() != WG_OK || !wgi_generation_takes(a.g, "generate", a.prompt)) return -1;
    if (a.max_tokens < 0 || a.stop.n < 0 || (a.stop.n > 0 && !a.stop.ids)) {
        wg_raise(WG_EARG, "generate: max_tokens %lld or the stop tokens are out of range",
                 (long long)a.max_tokens);
        return -1;
    }
    wgi_output o = { .a = &a, .limit = a.max_tokens ? a.max_tokens : INT64_MAX };
    const wgi_generating was = wgi_generation_enter(a.g);
    const wg_status e = generate(a.g, &a, &o);
    wgi_generation_leave(a.g, was);
    if (e == WG_OK && a.ids) {
        *a.ids = o.ids;
        return o.n;
    }
    free(o.ids);
    return e == WG_OK ? o.n : -1;
}
