/* What the ways of generating share: a model, its cache, the text so far. */
#ifndef WGI_NN_GENERATION_H
#define WGI_NN_GENERATION_H
#include "nn/sampler.h"
#include "wengert/generate.h"
#include "wengert/nn.h"

struct wg_generation {
    wg_module *model, *draft;
    wg_kv_cache *cache, *draft_cache;
    int64_t drafted, context, chunk, vocab;
    int64_t *ids;    /* (context + 1) the text; the caches hold a beginning of it each */
    int64_t n;       /* tokens of it */
    float *logits;   /* (drafted + 1, V), or (V) without a draft model */
    double *draft_p; /* (drafted, V) the draft model's probabilities; NULL without one */
    wg_generation_counts counts;
};

/* What the models' modes were; gradients are off until wgi_generation_leave. */
typedef struct {
    wg_scope scope;
    bool training, draft_training;
} wgi_generating;
wgi_generating wgi_generation_enter(wg_generation *g);
void wgi_generation_leave(wg_generation *g, wgi_generating was);

/* Until the scope ends new tensors are made where m's parameters lie, whatever the thread's device. */
void wgi_generation_use_device(const wg_module *m);

/* ids >= 0 and below V, at least one, no more than the context; raises, naming function. */
bool wgi_generation_takes(const wg_generation *g, const char *function, wg_ids prompt);

/* A tensor (1, to - from) of the text's ids. */
wg_tensor *wgi_generation_ids(const wg_generation *g, int64_t from, int64_t to);
/* Runs what cache lacks of the first n tokens; the logits after the last `last` of them, at most
 * chunk, go to logits (last, V). */
wg_status wgi_generation_read(wg_generation *g, wg_module *model, wg_kv_cache *cache, int64_t n,
                              int64_t last, float *logits);

/* The growing result of one row. */
typedef struct {
    const wg_generate_args *a;
    int64_t *ids;
    int64_t n, capacity, limit;
    bool ended;
} wgi_output;
/* Appends a chosen token to g's text and to o unless it is a stop token, and tells the user; o->ended
 * says whether more are wanted. */
wg_status wgi_output_put(wg_generation *g, wgi_output *o, int64_t id);
bool wgi_is_stop(wg_ids stop, int64_t id);
wg_status wgi_raise_full(const char *function, const wg_generation *g);

/* One round of a draft model and its check: speculate.c */
wg_status wgi_generation_speculate(wg_generation *g, wg_sampler *s, wgi_output *o);
#endif
