/* The sampler's parts, for speculative decoding, which compares distributions. */
#ifndef WGI_NN_SAMPLER_H
#define WGI_NN_SAMPLER_H
#include "wengert/generate.h"

typedef struct {
    int64_t id;
    double p;
} wgi_candidate;

/* The tokens that may be drawn and their probabilities, which sum to 1; *candidates lives until the
 * next call. Their number; -1 (raised) as wg_sampler_next. */
int64_t wgi_sampler_candidates(wg_sampler *s, const float *logits, const int64_t *before, int64_t n,
                               const wgi_candidate **candidates);
/* One of n candidates, n >= 1, in proportion to p. One candidate takes no random number. */
int64_t wgi_sampler_draw(wg_sampler *s, const wgi_candidate *c, int64_t n);
double wgi_sampler_uniform(wg_sampler *s);
/* Random numbers from here on come from stream 0, 1, ... of the seed. */
void wgi_sampler_stream(wg_sampler *s, int64_t stream);
#endif
