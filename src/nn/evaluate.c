/* Perplexity by a sliding window, and scores of endings. */
#include "wengert/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wengert/error.h"
#include "wengert/nn.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

/* ---- what both are made of ------------------------------------------------------------------- */

/* Every module's mode, in the innermost scope. */
typedef struct {
    wg_modules all;
    bool *training; /* (all.n) */
} modes;

static wg_status evaluation_mode(wg_module *m, modes *was)
{
    *was = (modes) { .all = wg_module_all(m) };
    was->training = wg_scope_alloc((size_t)was->all.n + 1);
    if (!was->training) return wg_error_code();
    for (int64_t i = 0; i < was->all.n; i++) {
        was->training[i] = was->all.m[i].module->training;
        /* A model that threads share is in evaluation mode, and then nothing is written. */
        if (was->training[i]) was->all.m[i].module->training = false;
    }
    return WG_OK;
}

static void former_mode(const modes *was)
{
    for (int64_t i = 0; was->training && i < was->all.n; i++)
        if (was->training[i]) was->all.m[i].module->training = true;
}

/* What a transformer's head still has to project, (B, T, C); of other models the logits. */
static wg_tensor *stream(wg_module *m, wg_tensor *x)
{
    return wg_module_is(m, &wg_transformer_type) ? wg_transformer_hidden(m, x, NULL)
                                                 : wg_forward(m, x);
}

/* f32 logits in bytes at once, about. */
enum { CHUNK = 16 << 20 };

/* -log p(targets[r]) by rows (R, C) of the stream into out (R). */
static wg_status row_losses(wg_module *m, wg_tensor *rows, const int64_t *targets, double *out)
{
    const int64_t R = wg_size(rows, 0);
    const bool project = wg_module_is(m, &wg_transformer_type);
    const int64_t V = project ? wg_transformer_config_of(m)->vocab : wg_size(rows, 1);
    int64_t chunk = CHUNK / 4 / V;
    if (chunk < 1) chunk = 1;
    for (int64_t at = 0; at < R && !wg_error_code(); at += chunk) {
        const int64_t n = R - at < chunk ? R - at : chunk;
        const wg_scope s = wg_scope_push();
        wg_use_device(wg_device_of(rows));
        wg_tensor *x = wg_narrow(rows, 0, at, n);
        wg_tensor *y = wg_from(targets + at, (size_t)n * sizeof *targets, WG_I64, WG_DIMS(n));
        wg_tensor *loss = wg_cross_entropy(project ? wg_transformer_logits(m, x) : x, y,
                                           .reduction = WG_NONE, .ignore_index = WG_JUST(-1));
        (void)!wg_read(loss, out + at, (size_t)n * sizeof *out, WG_F64);
        wg_scope_return(s, NULL);
    }
    return wg_error_code();
}

/* The device of m's tokens. */
static void use_device_of(wg_module *m)
{
    const wg_params p = wg_module_params(m);
    if (p.n) wg_use_device(wg_device_of(p.p[0].tensor));
}

/* ---- perplexity ------------------------------------------------------------------------------ */

static wg_status check(wg_perplexity_args *a)
{
    if (!a->m || !a->ids || !a->result)
        return wg_raise(WG_EARG, "perplexity: the model, the ids or the result is NULL");
    if (a->n < 2)
        return wg_raise(WG_EARG, "perplexity: %lld ids; the first one is never scored",
                        (long long)a->n);
    const bool transformer = wg_module_is(a->m, &wg_transformer_type);
    const int64_t block = transformer ? wg_transformer_config_of(a->m)->block : INT64_MAX;
    if (!a->window && transformer) a->window = block < 2048 ? block : 2048;
    if (a->window < 1 || a->window > block)
        return wg_raise(WG_EARG, "perplexity: a window of %lld%s", (long long)a->window,
                        a->window > block ? " is beyond the model's block" : "");
    if (a->window > a->n - 1) { /* one window, and the strides do not matter */
        a->window = a->n - 1;
        if (a->stride > a->window) a->stride = a->window;
    }
    if (!a->stride) a->stride = (a->window + 1) / 2;
    if (a->stride < 1 || a->stride > a->window)
        return wg_raise(WG_EARG, "perplexity: a stride of %lld, the window is %lld",
                        (long long)a->stride, (long long)a->window);
    if (!a->batch) a->batch = a->window < 2048 ? 2048 / a->window : 1;
    if (a->batch < 1) return wg_raise(WG_EARG, "perplexity: a batch of %lld", (long long)a->batch);
    return WG_OK;
}

/* `rows` windows of T inputs from `first` on; of each the last `scored` targets count. Their sum is
 * added to *sum. */
static wg_status score_windows(const wg_perplexity_args *a, int64_t first, int64_t rows, int64_t T,
                               int64_t scored, double *sum)
{
    int64_t *x = wg_scope_alloc((size_t)(rows * T) * sizeof *x),
            *y = wg_scope_alloc((size_t)(rows * scored) * sizeof *y);
    double *losses = wg_scope_alloc((size_t)(rows * scored) * sizeof *losses);
    if (!x || !y || !losses) return wg_error_code();
    for (int64_t b = 0; b < rows; b++) {
        const int64_t *ids = a->ids + first + b * a->stride;
        memcpy(x + b * T, ids, (size_t)T * sizeof *x);
        memcpy(y + b * scored, ids + 1 + T - scored, (size_t)scored * sizeof *y);
    }
    wg_tensor *h =
        stream(a->m, wg_from(x, (size_t)(rows * T) * sizeof *x, WG_I64, WG_DIMS(rows, T)));
    if (wg_is_error(h)) return wg_error_code();
    if (wg_ndim(h) != 3)
        return wg_raise(WG_ESHAPE, "perplexity: the model gives no logits (B, T, V)");
    h = wg_reshape(wg_narrow(h, 1, T - scored, scored), WG_DIMS(rows * scored, wg_size(h, 2)));
    if (row_losses(a->m, h, y, losses) != WG_OK) return wg_error_code();
    for (int64_t i = 0; i < rows * scored; i++) *sum += losses[i];
    return WG_OK;
}

static void slide(const wg_perplexity_args *a)
{
    const int64_t W = a->window, S = a->stride, last = a->n - 1;
    double sum = 0;
    int64_t done = 0; /* targets 1 .. done are scored */
    for (int64_t first = 0; done < last && !wg_error_code();) {
        const int64_t T = last - first < W ? last - first : W, scored = first + T - done;
        int64_t rows = 1; /* full windows of the same kind */
        while (rows < a->batch && scored == S && first + rows * S + W <= last) rows++;
        const wg_scope s = wg_scope_push();
        (void)!score_windows(a, first, rows, T, scored, &sum);
        wg_scope_return(s, NULL);
        if (wg_error_code()) return;
        first += rows * S;
        done += rows * scored;
        *a->result = (wg_perplexity_result) { done, sum / (double)done, exp(sum / (double)done) };
        if (a->progress && !a->progress(a->self, a->result, last)) return;
    }
}

wg_status wg_perplexity_call(wg_perplexity_args a)
{
    if (wg_error_code() || check(&a) != WG_OK) return wg_error_code();
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    use_device_of(a.m);
    modes was;
    if (evaluation_mode(a.m, &was) == WG_OK) slide(&a);
    former_mode(&was);
    return wg_scope_pop(s);
}

/* ---- choices --------------------------------------------------------------------------------- */

/* A batch of choices, each cut to the block and filled up to the longest. */
typedef struct {
    const wg_choice *c;
    int64_t n, T, scored; /* inputs of the longest; ids of all endings */
    int64_t *x;           /* (n, T) */
    int64_t *place;       /* (scored) of each target's input in x, flat */
    int64_t *target;      /* (scored) */
} batch;

static wg_status check_choices(wg_module *m, const wg_choice *c, int64_t n)
{
    const bool transformer = wg_module_is(m, &wg_transformer_type);
    const int64_t block = transformer ? wg_transformer_config_of(m)->block : INT64_MAX;
    for (int64_t i = 0; i < n; i++) {
        const int64_t ending = c[i].n - c[i].of_context;
        if (!c[i].ids || c[i].of_context < 1 || ending < 1)
            return wg_raise(WG_EARG,
                            "score_choices: choice %lld has %lld ids of context and %lld of ending",
                            (long long)i, (long long)c[i].of_context, (long long)ending);
        if (ending > block)
            return wg_raise(WG_EARG, "score_choices: ending %lld has %lld ids, the block is %lld",
                            (long long)i, (long long)ending, (long long)block);
    }
    return WG_OK;
}

static wg_status fill(wg_module *m, batch *b)
{
    const bool transformer = wg_module_is(m, &wg_transformer_type);
    const int64_t block = transformer ? wg_transformer_config_of(m)->block : INT64_MAX - 1;
    for (int64_t i = 0; i < b->n; i++) {
        const int64_t inputs = b->c[i].n - 1 < block ? b->c[i].n - 1 : block;
        b->T = inputs > b->T ? inputs : b->T;
        b->scored += b->c[i].n - b->c[i].of_context;
    }
    b->x = wg_scope_alloc((size_t)(b->n * b->T) * sizeof *b->x);
    b->place = wg_scope_alloc((size_t)b->scored * sizeof *b->place);
    b->target = wg_scope_alloc((size_t)b->scored * sizeof *b->target);
    if (!b->x || !b->place || !b->target) return wg_error_code();
    int64_t k = 0;
    for (int64_t i = 0; i < b->n; i++) {
        const wg_choice *c = &b->c[i];
        const int64_t cut = c->n - 1 > block ? c->n - 1 - block : 0;
        memcpy(b->x + i * b->T, c->ids + cut, (size_t)(c->n - 1 - cut) * sizeof *b->x);
        for (int64_t t = c->of_context; t < c->n; t++, k++) {
            b->place[k] = i * b->T + t - 1 - cut;
            b->target[k] = c->ids[t];
        }
    }
    return WG_OK;
}

static void score(wg_module *m, const batch *b, wg_choice_score *scores)
{
    double *losses = wg_scope_alloc((size_t)b->scored * sizeof *losses);
    wg_tensor *x = wg_from(b->x, (size_t)(b->n * b->T) * sizeof *b->x, WG_I64, WG_DIMS(b->n, b->T));
    wg_tensor *h = losses ? stream(m, x) : NULL;
    if (!h || wg_is_error(h)) return;
    if (wg_ndim(h) != 3) {
        wg_raise(WG_ESHAPE, "score_choices: the model gives no logits (B, T, V)");
        return;
    }
    wg_tensor *places =
        wg_from(b->place, (size_t)b->scored * sizeof *b->place, WG_I64, WG_DIMS(b->scored));
    h = wg_index_select(wg_reshape(h, WG_DIMS(b->n * b->T, wg_size(h, 2))), 0, places);
    if (row_losses(m, h, b->target, losses) != WG_OK) return;
    for (int64_t i = 0, k = 0; i < b->n; i++) {
        const int64_t ending = b->c[i].n - b->c[i].of_context, bytes = b->c[i].bytes;
        double sum = 0;
        for (int64_t t = 0; t < ending; t++) sum -= losses[k++];
        scores[i] =
            (wg_choice_score) { sum, sum / (double)ending, bytes > 0 ? sum / (double)bytes : NAN };
    }
}

wg_status(wg_score_choices)(wg_module *m, const wg_choice *choices, int64_t n,
                            wg_choice_score *scores)
{
    if (!m || !choices || !scores || n < 1)
        wg_raise(WG_EARG, "score_choices: the model, the choices or the scores are NULL, or none");
    if (wg_error_code() || check_choices(m, choices, n) != WG_OK) return wg_error_code();
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    use_device_of(m);
    modes was;
    batch b = { .c = choices, .n = n };
    if (evaluation_mode(m, &was) == WG_OK && fill(m, &b) == WG_OK) score(m, &b, scores);
    former_mode(&was);
    return wg_scope_pop(s);
}
