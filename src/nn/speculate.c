/* Speculative decoding: a small model proposes, one pass of the model checks (Leviathan et al. 2023,
 * arXiv:2211.17192, algorithm 1). */
#include <math.h>
#include <string.h>

#include "nn/generation.h"
#include "wengert/error.h"

/* Lets the draft model append k tokens to the text. Row i of g->draft_p are the probabilities that
 * token i was drawn from. */
static wg_status propose(wg_generation *g, wg_sampler *s, int64_t k)
{
    for (int64_t i = 0; i < k; i++) {
        const wgi_candidate *c;
        if (wgi_generation_read(g, g->draft, g->draft_cache, g->n, 1, g->logits) != WG_OK)
            return wg_error_code();
        const int64_t left = wgi_sampler_candidates(s, g->logits, g->ids, g->n, &c);
        if (left < 0) return wg_error_code();
        double *p = g->draft_p + i * g->vocab;
        memset(p, 0, (size_t)g->vocab * sizeof *p);
        for (int64_t j = 0; j < left; j++) p[c[j].id] = c[j].p;
        g->ids[g->n++] = wgi_sampler_draw(s, c, left);
    }
    return WG_OK;
}

static double probability(const wgi_candidate *c, int64_t n, int64_t id)
{
    for (int64_t i = 0; i < n; i++)
        if (c[i].id == id) return c[i].p;
    return 0;
}

/* A token from max(p - q, 0), normalised: what a refused proposal leaves. */
static int64_t draw_rest(wg_sampler *s, const wgi_candidate *c, int64_t n, const double *q)
{
    double total = 0;
    for (int64_t i = 0; i < n; i++) total += fmax(c[i].p - q[c[i].id], 0);
    if (total <= 0) return wgi_sampler_draw(s, c, n); /* p = q, to the last rounding */
    double u = wgi_sampler_uniform(s) * total;
    int64_t id = c[0].id;
    for (int64_t i = 0; i < n; i++) {
        const double rest = fmax(c[i].p - q[c[i].id], 0);
        if (rest == 0) continue;
        id = c[i].id;
        if ((u -= rest) < 0) break;
    }
    return id;
}

/* The model's token at a place, given its logits: the proposal (*accepted), or another. q: the
 * proposal's distribution; NULL where there was none. */
static int64_t decide(wg_generation *g, wg_sampler *s, const float *logits, int64_t n,
                      int64_t proposal, const double *q, bool *accepted)
{
    const wgi_candidate *c;
    const int64_t left = wgi_sampler_candidates(s, logits, g->ids, n, &c);
    *accepted = false;
    if (left < 0) return -1;
    if (!q) return wgi_sampler_draw(s, c, left);
    const double p = probability(c, left, proposal);
    *accepted = p >= q[proposal] || (p > 0 && wgi_sampler_uniform(s) * q[proposal] < p);
    return *accepted ? proposal : draw_rest(s, c, left, q);
}

/* Checks k proposals that stand behind the text and puts what is decided in their place. */
static wg_status check(wg_generation *g, wg_sampler *s, wgi_output *o, int64_t k)
{
    wg_status e = wgi_generation_read(g, g->model, g->cache, g->n + k, k + 1, g->logits);
    bool accepted = true;
    for (int64_t i = 0; e == WG_OK && accepted && i <= k && !o->ended; i++) {
        const int64_t id = decide(g, s, g->logits + i * g->vocab, g->n, g->ids[g->n],
                                  i < k ? g->draft_p + i * g->vocab : NULL, &accepted);
        g->counts.accepted += accepted;
        e = id < 0 ? wg_error_code() : wgi_output_put(g, o, id);
    }
    return e;
}

wg_status wgi_generation_speculate(wg_generation *g, wg_sampler *s, wgi_output *o)
{
    const int64_t start = g->n;
    int64_t k = g->drafted;
    if (k > o->limit - o->n - 1) k = o->limit - o->n - 1;
    if (k > g->context - start) k = g->context - start;
    wg_status e = propose(g, s, k);
    g->n = start;
    if (e == WG_OK) {
        g->counts.drafted += k;
        e = check(g, s, o, k);
    }
    /* The last token has not been read: the next round runs it. */
    const int64_t sure = g->n > start ? g->n - 1 : start - 1;
    if (wg_kv_length(g->cache, NULL) > sure) wg_kv_truncate(g->cache, sure);
    if (wg_kv_length(g->draft_cache, NULL) > sure) wg_kv_truncate(g->draft_cache, sure);
    return e;
}
