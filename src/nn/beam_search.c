/* Beam search: the most probable continuations that a beam of so many finds. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/generation.h"
#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

typedef struct {
    double sum;   /* of log p */
    double score; /* sum / length^penalty */
    int64_t n;
    int64_t *ids; /* (max_tokens) */
} hypothesis;

/* A beam and the token that would be appended to it. */
typedef struct {
    int64_t beam, id;
    double sum;
} extension;

typedef struct {
    const wg_beam_search_args *a;
    int64_t live_count, done_count;
    hypothesis *live, *next, *done; /* (beams) each; done sorted, the best first */
    int64_t *ids;                   /* what the hypotheses' ids point into */
    extension *best;                /* (2 beams) */
    int64_t *rows, *tokens;         /* (beams) */
    float *logits;                  /* (beams, V) */
    wg_kv_cache *cache;
} search;

static bool fine(const wg_beam_search_args *a)
{
    if (!wgi_generation_takes(a->g, "beam_search", a->prompt)) return false;
    if (a->ids && a->counts && a->beams >= 1 && a->beams <= a->g->vocab && a->max_tokens >= 1 &&
        a->max_tokens <= a->g->context - a->prompt.n + 1 && a->stop.n >= 0 &&
        (a->stop.n == 0 || a->stop.ids) && isfinite(a->length_penalty))
        return true;
    wg_raise(WG_EARG,
             "beam_search: beams %lld, max_tokens %lld (a context of %lld, %lld of them the "
             "prompt's) or another option is out of range",
             (long long)a->beams, (long long)a->max_tokens, (long long)a->g->context,
             (long long)a->prompt.n);
    return false;
}

static hypothesis *make_hypotheses(search *s, int set)
{
    hypothesis *h = calloc((size_t)s->a->beams, sizeof *h);
    for (int64_t i = 0; h && i < s->a->beams; i++)
        h[i].ids = s->ids + (set * s->a->beams + i) * s->a->max_tokens;
    return h;
}

static bool begin(search *s)
{
    const size_t beams = (size_t)s->a->beams, most = (size_t)s->a->max_tokens;
    s->ids = calloc(3 * beams * most, sizeof *s->ids);
    s->best = malloc(2 * beams * sizeof *s->best);
    s->rows = malloc(beams * sizeof *s->rows);
    s->tokens = malloc(beams * sizeof *s->tokens);
    s->logits = malloc(beams * (size_t)s->a->g->vocab * sizeof *s->logits);
    if (s->ids) {
        s->live = make_hypotheses(s, 0);
        s->next = make_hypotheses(s, 1);
        s->done = make_hypotheses(s, 2);
    }
    s->cache = wg_kv_cache_new(s->a->g->context);
    if (s->live && s->next && s->done && s->best && s->rows && s->tokens && s->logits && s->cache)
        return true;
    if (wg_error_code() == WG_OK) wg_raise(WG_EMEM, "beam_search: out of memory");
    return false;
}

static void end(search *s)
{
    wg_kv_cache_free(s->cache);
    free(s->live);
    free(s->next);
    free(s->done);
    free(s->ids);
    free(s->best);
    free(s->rows);
    free(s->tokens);
    free(s->logits);
}

/* ---- one step -------------------------------------------------------------------------------- */

static double score(const search *s, double sum, int64_t length)
{
    if (s->a->no_length_penalty) return sum;
    return sum / pow((double)length, s->a->length_penalty == 0 ? 1 : s->a->length_penalty);
}

/* Keeps the better of `most` extensions sorted, the best first; equal ones as they came. */
static void offer(extension *best, int64_t *n, int64_t most, extension e)
{
    if (*n == most && e.sum <= best[most - 1].sum) return;
    int64_t at = *n < most ? (*n)++ : most - 1;
    for (; at > 0 && best[at - 1].sum < e.sum; at--) best[at] = best[at - 1];
    best[at] = e;
}

/* The 2 beams best extensions of the live ones: enough, if every beam's best one ends it. */
static int64_t extend(search *s)
{
    const int64_t V = s->a->g->vocab;
    int64_t n = 0;
    for (int64_t b = 0; b < s->live_count; b++) {
        const float *row = s->logits + b * V;
        double most = -INFINITY, total = 0;
        for (int64_t i = 0; i < V; i++) most = fmax(most, row[i]);
        for (int64_t i = 0; i < V; i++) total += exp(row[i] - most);
        if (!(total > 0) || !isfinite(total)) {
            wg_raise(WG_ENUMERIC, "beam_search: a logit is NaN or infinite");
            return -1;
        }
        const double rest = s->live[b].sum - most - log(total);
        for (int64_t i = 0; i < V; i++)
            offer(s->best, &n, 2 * s->a->beams, (extension) { b, i, rest + row[i] });
    }
    return n;
}

/* Takes h over into the finished ones if it is among the best of them. */
static void finish(search *s, const hypothesis *h, double sum, int64_t length)
{
    const double value = score(s, sum, length);
    int64_t at = s->done_count;
    if (at == s->a->beams && value <= s->done[--at].score) return;
    hypothesis slot = s->done[at];
    if (s->done_count < s->a->beams) s->done_count++;
    for (; at > 0 && s->done[at - 1].score < value; at--) s->done[at] = s->done[at - 1];
    memcpy(slot.ids, h->ids, (size_t)h->n * sizeof *h->ids);
    slot.n = h->n;
    slot.sum = sum;
    slot.score = value;
    s->done[at] = slot;
}

/* The next live beams, out of n extensions. */
static void select_beams(search *s, int64_t n)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n && count < s->a->beams; i++) {
        const extension e = s->best[i];
        const hypothesis *from = &s->live[e.beam];
        if (wgi_is_stop(s->a->stop, e.id)) {
            if (i < s->a->beams) finish(s, from, e.sum, from->n + 1);
            continue;
        }
        hypothesis *to = &s->next[count];
        memcpy(to->ids, from->ids, (size_t)from->n * sizeof *to->ids);
        to->ids[from->n] = e.id;
        to->n = from->n + 1;
        to->sum = e.sum;
        s->rows[count] = e.beam;
        s->tokens[count++] = e.id;
    }
    hypothesis *old = s->live;
    s->live = s->next;
    s->next = old;
    s->live_count = count;
}

/* No live beam can still beat the worst of the finished ones: sums only fall, and with a positive
 * exponent the longest text makes the most of one. */
static bool is_decided(const search *s)
{
    if (s->done_count < s->a->beams || s->live_count == 0) return s->live_count == 0;
    const bool longer = !s->a->no_length_penalty && s->a->length_penalty >= 0;
    const double most = score(s, s->live[0].sum, longer ? s->a->max_tokens : s->live[0].n);
    return most <= s->done[s->done_count - 1].score;
}

/* ---- running --------------------------------------------------------------------------------- */

static wg_status read_prompt(search *s)
{
    const wg_ids p = s->a->prompt;
    const wg_generation *g = s->a->g;
    for (int64_t from = 0; from < p.n; from += g->chunk) {
        const int64_t n = p.n - from < g->chunk ? p.n - from : g->chunk;
        const wg_scope scope = wg_scope_push();
        wgi_generation_use_device(g->model);
        wg_tensor *x = wg_from(p.ids + from, (size_t)n * sizeof *p.ids, WG_I64, WG_DIMS(1, n));
        wg_tensor *y =
            wg_transformer_step(g->model, x, &(wg_step) { .cache = s->cache, .last = 1 });
        (void)!wg_read(y, s->logits, (size_t)g->vocab * sizeof *s->logits, WG_F32);
        wg_scope_return(scope, NULL);
        if (wg_error_code() != WG_OK) return wg_error_code();
    }
    s->live_count = 1;
    s->a->g->counts.read += p.n;
    return WG_OK;
}

static wg_status read_tokens(search *s)
{
    const int64_t n = s->live_count, V = s->a->g->vocab;
    const wg_scope scope = wg_scope_push();
    wgi_generation_use_device(s->a->g->model);
    wg_tensor *rows = wg_from(s->rows, (size_t)n * sizeof *s->rows, WG_I64, WG_DIMS(n));
    wg_tensor *x = wg_from(s->tokens, (size_t)n * sizeof *s->tokens, WG_I64, WG_DIMS(n, 1));
    if (wg_kv_reorder(s->cache, rows) == WG_OK) {
        wg_tensor *y = wg_transformer_step(s->a->g->model, x, &(wg_step) { .cache = s->cache });
        (void)!wg_read(y, s->logits, (size_t)(n * V) * sizeof *s->logits, WG_F32);
    }
    wg_scope_return(scope, NULL);
    return wg_error_code();
}

static wg_status run(search *s)
{
    wg_status e = read_prompt(s);
    for (int64_t step = 0; e == WG_OK && step < s->a->max_tokens; step++) {
        const int64_t n = extend(s);
        if (n < 0) return wg_error_code();
        select_beams(s, n);
        s->a->g->counts.generated++;
        if (is_decided(s)) return WG_OK;
        if (step + 1 < s->a->max_tokens) e = read_tokens(s);
    }
    for (int64_t b = 0; e == WG_OK && b < s->live_count; b++)
        finish(s, &s->live[b], s->live[b].sum, s->live[b].n);
    return e;
}

static wg_status hand_out(const search *s)
{
    const wg_beam_search_args *a = s->a;
    for (int64_t i = 0; i < s->done_count; i++) {
        const size_t bytes = (size_t)s->done[i].n * sizeof **a->ids;
        a->ids[i] = malloc(bytes ? bytes : 1);
        if (!a->ids[i]) return wg_raise(WG_EMEM, "beam_search: out of memory");
        memcpy(a->ids[i], s->done[i].ids, bytes);
        a->counts[i] = s->done[i].n;
        if (a->scores) a->scores[i] = s->done[i].score;
    }
    return WG_OK;
}

wg_status wg_beam_search_call(wg_beam_search_args a)
{
    if (wg_error_code() != WG_OK || !fine(&a)) return wg_error_code();
    memset(a.ids, 0, (size_t)a.beams * sizeof *a.ids);
    memset(a.counts, 0, (size_t)a.beams * sizeof *a.counts);
    const wgi_generating was = wgi_generation_enter(a.g);
    search s = { .a = &a };
    wg_status e = begin(&s) ? run(&s) : wg_error_code();
    if (e == WG_OK) e = hand_out(&s);
    end(&s);
    for (int64_t i = 0; i < a.beams && e != WG_OK; i++) {
        free(a.ids[i]);
        a.ids[i] = NULL;
        a.counts[i] = 0;
    }
    wgi_generation_leave(a.g, was);
    return e;
}
