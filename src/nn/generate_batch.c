/* Prompts of different lengths continued together. Row b stands L - n_b places to the right, so that
 * all end in the same column; a mask hides the places before it and positions count from its
 * beginning. */
#include <stdlib.h>
#include <string.h>

#include "nn/generation.h"
#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

typedef struct {
    const wg_generate_batch_args *a;
    int64_t width;         /* L, the longest prompt */
    int64_t columns;       /* columns in use: L and what came */
    int64_t room;          /* columns at most */
    int64_t *ids;          /* (B, room) */
    bool *ended;           /* (B) */
    wg_sampler **samplers; /* (B) */
    wg_kv_cache *cache;
    float *logits; /* (B, V) */
} batch;

static int64_t padding(const batch *b, int64_t row)
{
    return b->width - b->a->prompts[row].n;
}

/* ---- making ---------------------------------------------------------------------------------- */

static bool fine(const wg_generate_batch_args *a)
{
    if (!a->g || a->n < 1 || !a->prompts || !a->ids || !a->counts || a->max_tokens < 0 ||
        a->stop.n < 0 || (a->stop.n > 0 && !a->stop.ids)) {
        wg_raise(WG_EARG, "generate_batch: prompts, ids, counts or an option are missing");
        return false;
    }
    for (int64_t r = 0; r < a->n; r++)
        if (!wgi_generation_takes(a->g, "generate_batch", a->prompts[r])) return false;
    return true;
}

/* A row's text ends at the context, so the columns at the context and the widest padding. */
static void take_widths(batch *b)
{
    int64_t shortest = INT64_MAX;
    for (int64_t r = 0; r < b->a->n; r++) {
        const int64_t n = b->a->prompts[r].n;
        if (n > b->width) b->width = n;
        if (n < shortest) shortest = n;
    }
    const wg_generation *g = b->a->g;
    b->columns = b->width;
    b->room = g->context + 1 + b->width - shortest;
    if (b->a->max_tokens && b->a->max_tokens < b->room - b->width)
        b->room = b->width + b->a->max_tokens;
}

static bool make_samplers(batch *b)
{
    for (int64_t r = 0; r < b->a->n; r++) {
        b->samplers[r] = wg_sampler_new(b->a->sampling, b->a->g->vocab);
        if (!b->samplers[r]) return false;
        wgi_sampler_stream(b->samplers[r], r);
    }
    return true;
}

static bool begin(batch *b)
{
    const size_t n = (size_t)b->a->n;
    take_widths(b);
    b->ids = calloc(n * (size_t)b->room, sizeof *b->ids);
    b->ended = calloc(n, sizeof *b->ended);
    b->samplers = calloc(n, sizeof *b->samplers);
    b->logits = malloc(n * (size_t)b->a->g->vocab * sizeof *b->logits);
    if (!b->ids || !b->ended || !b->samplers || !b->logits) {
        wg_raise(WG_EMEM, "generate_batch: out of memory");
        return false;
    }
    b->cache = wg_kv_cache_new(b->room);
    if (!b->cache || !make_samplers(b)) return false;
    for (int64_t r = 0; r < b->a->n; r++) {
        const wg_ids *p = &b->a->prompts[r];
        memcpy(b->ids + r * b->room + padding(b, r), p->ids, (size_t)p->n * sizeof *p->ids);
    }
    return true;
}

static void end(batch *b)
{
    for (int64_t r = 0; b->samplers && r < b->a->n; r++) wg_sampler_free(b->samplers[r]);
    wg_kv_cache_free(b->cache);
    free(b->samplers);
    free(b->logits);
    free(b->ended);
    free(b->ids);
}

/* ---- running --------------------------------------------------------------------------------- */

/* Columns [from, to) of all rows: tokens and positions (B, T), mask (B, 1, T, to). */
static void make_inputs(const batch *b, int64_t from, int64_t to, wg_tensor *inputs[3])
{
    const int64_t B = b->a->n, T = to - from;
    inputs[0] = wg_empty(WG_DIMS(B, T), WG_I64);
    inputs[1] = wg_empty(WG_DIMS(B, T), WG_I64);
    inputs[2] = wg_empty(WG_DIMS(B, 1, T, to), WG_BOOL);
    int64_t *ids = wg_data_write(inputs[0]), *positions = wg_data_write(inputs[1]);
    bool *mask = wg_data_write(inputs[2]);
    if (!ids || !positions || !mask) return;
    for (int64_t r = 0; r < B; r++)
        for (int64_t t = from; t < to; t++) {
            const int64_t at = r * T + t - from, first = padding(b, r);
            ids[at] = b->ids[r * b->room + t];
            positions[at] = t > first ? t - first : 0;
            for (int64_t key = 0; key < to; key++) mask[at * to + key] = key >= first && key <= t;
        }
}

/* Runs the columns that the cache lacks; logits after the last one. */
static wg_status read_columns(batch *b)
{
    const wg_generation *g = b->a->g;
    for (int64_t from = wg_kv_length(b->cache, NULL); from < b->columns;) {
        const int64_t to = b->columns - from > g->chunk ? from + g->chunk : b->columns;
        wg_tensor *in[3];
        const wg_scope s = wg_scope_push();
        wgi_generation_use_device(g->model);
        const wg_device device = wg_current_device();
        wg_use_device(wg_cpu());
        make_inputs(b, from, to, in);
        for (int i = 0; i < 3; i++) in[i] = wg_to(in[i], device);
        wg_tensor *y = wg_transformer_step(
            g->model, in[0],
            &(wg_step) { .positions = in[1], .mask = in[2], .cache = b->cache, .last = 1 });
        if (to == b->columns)
            (void)!wg_read(y, b->logits, (size_t)(b->a->n * g->vocab) * sizeof *b->logits, WG_F32);
        wg_scope_return(s, NULL);
        if (wg_error_code() != WG_OK) return wg_error_code();
        from = to;
    }
    return WG_OK;
}

static wg_status check_room(const batch *b)
{
    for (int64_t r = 0; r < b->a->n; r++)
        if (!b->ended[r] && b->columns - padding(b, r) > b->a->g->context)
            return wgi_raise_full("generate_batch", b->a->g);
    return WG_OK;
}

/* Chooses row r's next token. Ended rows repeat their last one, which nobody reads. */
static wg_status choose(batch *b, int64_t r)
{
    const wg_generate_batch_args *a = b->a;
    int64_t *row = b->ids + r * b->room;
    row[b->columns] = row[b->columns - 1];
    if (b->ended[r]) return WG_OK;
    const int64_t first = padding(b, r), n = b->columns - first;
    const int64_t id = wg_sampler_next(b->samplers[r], b->logits + r * a->g->vocab, row + first, n);
    if (id < 0) return wg_error_code();
    b->ended[r] = wgi_is_stop(a->stop, id);
    if (b->ended[r]) return WG_OK;
    row[b->columns] = id;
    a->counts[r]++;
    a->g->counts.generated++;
    if (a->on_token && !a->on_token(a->self, r, id)) b->ended[r] = true;
    if (a->counts[r] == a->max_tokens) b->ended[r] = true;
    return WG_OK;
}

static bool all_ended(const batch *b)
{
    int64_t r = 0;
    while (r < b->a->n && b->ended[r]) r++;
    return r == b->a->n;
}

static wg_status run(batch *b)
{
    while (!all_ended(b)) {
        wg_status e = check_room(b);
        if (e == WG_OK) e = read_columns(b);
        for (int64_t r = 0; e == WG_OK && r < b->a->n; r++) e = choose(b, r);
        if (e != WG_OK) return e;
        b->columns++;
    }
    return WG_OK;
}

/* Copies of what came, or nothing at all. */
static wg_status hand_out(const batch *b)
{
    const wg_generate_batch_args *a = b->a;
    for (int64_t r = 0; r < a->n; r++) {
        const size_t bytes = (size_t)a->counts[r] * sizeof **a->ids;
        a->ids[r] = malloc(bytes ? bytes : 1);
        if (!a->ids[r]) return wg_raise(WG_EMEM, "generate_batch: out of memory");
        memcpy(a->ids[r], b->ids + r * b->room + b->width, bytes);
    }
    return WG_OK;
}

wg_status wg_generate_batch_call(wg_generate_batch_args a)
{
    if (wg_error_code() != WG_OK || !fine(&a)) return wg_error_code();
    memset(a.ids, 0, (size_t)a.n * sizeof *a.ids);
    memset(a.counts, 0, (size_t)a.n * sizeof *a.counts);
    const wgi_generating was = wgi_generation_enter(a.g);
    batch b = { .a = &a };
    wg_status e = begin(&b) ? run(&b) : wg_error_code();
    if (e == WG_OK) e = hand_out(&b);
    end(&b);
    for (int64_t r = 0; r < a.n && e == WG_OK; r++) a.g->counts.read += a.prompts[r].n;
    for (int64_t r = 0; r < a.n && e != WG_OK; r++) {
        free(a.ids[r]);
        a.ids[r] = NULL;
        a.counts[r] = 0;
    }
    wgi_generation_leave(a.g, was);
    return e;
}
