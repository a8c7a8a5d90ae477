/* Choosing the next token: penalty, temperature, top-k, top-p, min-p, draw. */
#include "nn/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

struct wg_sampler {
    wg_sampling how;
    int64_t vocab;
    wg_generator random;
    float *logits;             /* (V) penalised */
    bool *seen;                /* (V) all false between calls */
    wgi_candidate *candidates; /* (V) */
};

static bool fine(const wg_sampling *h)
{
    return h->temperature >= 0 && h->temperature < INFINITY && h->top_k >= 0 && h->top_p >= 0 &&
           h->top_p <= 1 && h->min_p >= 0 && h->min_p <= 1 && h->repetition_penalty >= 0 &&
           h->repetition_penalty < INFINITY && h->penalty_last >= 0;
}

wg_sampler *wg_sampler_new(wg_sampling how, int64_t vocab)
{
    if (vocab < 1 || !fine(&how)) {
        wg_raise(WG_EARG,
                 "sampler: temperature %g, top_k %lld, top_p %g, min_p %g, repetition_penalty %g "
                 "or a vocabulary of %lld is out of range",
                 how.temperature, (long long)how.top_k, how.top_p, how.min_p,
                 how.repetition_penalty, (long long)vocab);
        return NULL;
    }
    wg_sampler *s = calloc(1, sizeof *s);
    if (s) {
        s->how = how;
        s->vocab = vocab;
        s->random.seed = how.seed;
        s->logits = malloc((size_t)vocab * sizeof *s->logits);
        s->seen = calloc((size_t)vocab, sizeof *s->seen);
        s->candidates = malloc((size_t)vocab * sizeof *s->candidates);
        if (s->logits && s->seen && s->candidates) return s;
    }
    wg_sampler_free(s);
    wg_raise(WG_EMEM, "sampler: out of memory for a vocabulary of %lld", (long long)vocab);
    return NULL;
}

void wg_sampler_free(wg_sampler *s)
{
    if (!s) return;
    free(s->logits);
    free(s->seen);
    free(s->candidates);
    free(s);
}

/* Streams lie 2^40 numbers apart. */
void wgi_sampler_stream(wg_sampler *s, int64_t stream)
{
    s->random.offset = (uint64_t)stream << 40;
}

/* Uniform in [0, 1), the next of the sampler's own stream. */
double wgi_sampler_uniform(wg_sampler *s)
{
    const wg_generator outside = wg_generator_get();
    const wg_scope scope = wg_scope_push();
    wg_use_device(wg_cpu());
    wg_use_dtype(WG_F64);
    wg_generator_set(s->random);
    const double u = wg_item(wg_rand(WG_DIMS()));
    s->random = wg_generator_get();
    wg_generator_set(outside);
    wg_scope_return(scope, NULL);
    return u;
}

static void penalise(wg_sampler *s, const int64_t *before, int64_t n)
{
    const float r = (float)s->how.repetition_penalty;
    if (r == 0 || r == 1) return;
    const int64_t last = s->how.penalty_last, first = last > 0 && n > last ? n - last : 0;
    for (int64_t i = first; i < n; i++) {
        const int64_t id = before[i];
        if (id < 0 || id >= s->vocab || s->seen[id]) continue;
        s->seen[id] = true;
        s->logits[id] = s->logits[id] > 0 ? s->logits[id] / r : s->logits[id] * r;
    }
    for (int64_t i = first; i < n; i++)
        if (before[i] >= 0 && before[i] < s->vocab) s->seen[before[i]] = false;
}

/* The first of the largest; -1 (raised) where there is none. */
static int64_t largest(const wg_sampler *s)
{
    int64_t best = 0;
    bool fine = true;
    for (int64_t i = 0; i < s->vocab; i++) {
        fine &= s->logits[i] < INFINITY; /* false for NaN too */
        if (s->logits[i] > s->logits[best]) best = i;
    }
    if (fine && s->logits[best] > -INFINITY) return best;
    wg_raise(WG_ENUMERIC, "sampler: a logit is NaN or infinite, or all are -inf");
    return -1;
}

/* Falling probability; equal ones by id, so that the order is one. */
static int by_probability(const void *a, const void *b)
{
    const wgi_candidate *x = a, *y = b;
    if (x->p != y->p) return x->p > y->p ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Sifts c[0] down a heap whose root is the candidate that comes last in the order. */
static void sift(wgi_candidate *c, int64_t n, int64_t i)
{
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && by_probability(&c[child + 1], &c[child]) > 0) child++;
        if (by_probability(&c[child], &c[i]) <= 0) return;
        const wgi_candidate t = c[i];
        c[i] = c[child];
        c[child] = t;
    }
}

/* The k first in the order take the first places, in no order. */
static int64_t keep_k(wgi_candidate *c, int64_t n, int64_t k)
{
    if (k == 0 || k >= n) return n;
    for (int64_t i = k / 2 - 1; i >= 0; i--) sift(c, k, i);
    for (int64_t i = k; i < n; i++)
        if (by_probability(&c[i], &c[0]) < 0) {
            c[0] = c[i];
            sift(c, k, 0);
        }
    return k;
}

static double sum(const wgi_candidate *c, int64_t n)
{
    double total = 0;
    for (int64_t i = 0; i < n; i++) total += c[i].p;
    return total;
}

/* The fewest most probable that reach p of the sum. Who is below (1 - p) / n of it cannot be among
 * them: all such together are less than what may be left out, so only the others are sorted. */
static int64_t keep_p(wgi_candidate *c, int64_t n, double p)
{
    if (p == 0 || p == 1) return n;
    const double total = sum(c, n), least = (1 - p) / (double)n * total;
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (c[i].p >= least) c[kept++] = c[i];
    qsort(c, (size_t)kept, sizeof *c, by_probability);
    double reached = 0;
    for (int64_t i = 0; i < kept; i++)
        if ((reached += c[i].p) >= p * total) return i + 1;
    return kept;
}

static int64_t keep_min(wgi_candidate *c, int64_t n, double min_p)
{
    double best = 0;
    for (int64_t i = 0; i < n; i++) best = fmax(best, c[i].p);
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (c[i].p >= min_p * best) c[kept++] = c[i];
    return kept;
}

/* What is left of all tokens, unnormalised, in s->candidates; its number. Logits order tokens as
 * probabilities do, so that with top_k only k exponentials are computed. */
static int64_t filter(wg_sampler *s, int64_t best)
{
    wgi_candidate *c = s->candidates;
    int64_t n = 0, left = 0;
    for (int64_t i = 0; i < s->vocab; i++)
        if (s->logits[i] > -INFINITY) c[n++] = (wgi_candidate) { i, s->logits[i] };
    n = keep_k(c, n, s->how.top_k);
    for (int64_t i = 0; i < n; i++) {
        const double p = exp((c[i].p - (double)s->logits[best]) / s->how.temperature);
        if (p > 0) c[left++] = (wgi_candidate) { c[i].id, p };
    }
    left = keep_p(c, left, s->how.top_p);
    return keep_min(c, left, s->how.min_p);
}

int64_t wgi_sampler_candidates(wg_sampler *s, const float *logits, const int64_t *before, int64_t n,
                               const wgi_candidate **candidates)
{
    memcpy(s->logits, logits, (size_t)s->vocab * sizeof *s->logits);
    penalise(s, before, n);
    const int64_t best = largest(s);
    if (best < 0) return -1;
    *candidates = s->candidates;
    if (s->how.temperature == 0) {
        s->candidates[0] = (wgi_candidate) { best, 1 };
        return 1;
    }
    const int64_t left = filter(s, best);
    const double total = sum(s->candidates, left);
    for (int64_t i = 0; i < left; i++) s->candidates[i].p /= total;
    return left;
}

int64_t wgi_sampler_draw(wg_sampler *s, const wgi_candidate *c, int64_t n)
{
    if (n == 1) return c[0].id;
    double u = wgi_sampler_uniform(s) * sum(c, n);
    for (int64_t i = 0; i + 1 < n; i++)
        if ((u -= c[i].p) < 0) return c[i].id;
    return c[n - 1].id;
}

int64_t wg_sampler_next(wg_sampler *s, const float *logits, const int64_t *before, int64_t n)
{
    if (!s || !logits || n < 0 || (n > 0 && !before)) {
        wg_raise(WG_EARG, "sampler_next: the sampler, the logits or the tokens are missing");
        return -1;
    }
    const wgi_candidate *c;
    const int64_t left = wgi_sampler_candidates(s, logits, before, n, &c);
    return left < 0 ? -1 : wgi_sampler_draw(s, c, left);
}
