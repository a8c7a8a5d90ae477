/* Batches from token sequences. Which tokens sample i holds is a pure function of the seed, the
 * pass and i, so a loader's position is a handful of numbers. */
#include "loader.h"

#include <stdlib.h>

#include "examples.h"
#include "tensor/internal.h"
#include "tensor/philox.h"
#include "tokens.h"
#include "wengert/ops/elementwise.h"

struct wg_loader {
    wgi_token_data *data;
    wg_examples *examples; /* NULL: tokens */
    int64_t first, count;  /* the part of data; all examples */
    int64_t batch, block;
    bool sequential, shuffle;
    uint64_t seed;
    int64_t pass;   /* passes ended by a rewind */
    int64_t sample; /* samples drawn in this pass */
};

/* The thread's generator with the same seed must not draw the same words. */
static const uint64_t STREAM = 0x9D39247E33776D41u;

/* ---- which tokens
 * -----------------------------------------------------------------------------------------------
 */
/* Uniform in [0, n): the high word of a 64-bit random number times n (Lemire 2019, without his
 * rejection: the bias is below n / 2^64). */
static int64_t random_below(uint64_t key, uint64_t counter, int64_t n)
{
    __extension__ typedef unsigned __int128 wide;
    const wgi_philox4 r = wgi_philox(key, counter);
    return (int64_t)((wide)((uint64_t)r.v[0] << 32 | r.v[1]) * (uint64_t)n >> 64);
}

/* Place i of a random order of 0 .. n - 1: a Feistel network on the next even power of two, walked
 * until it lands below n (Black & Rogaway 2002, "cycle walking"). An order that nothing has to
 * store. */
static int64_t shuffled(int64_t i, int64_t n, uint64_t key)
{
    enum { ROUNDS = 6 };
    int half = 1;
    while (half < 31 && (int64_t)1 << 2 * half < n) half++;
    const uint64_t mask = ((uint64_t)1 << half) - 1;
    uint64_t v = (uint64_t)i;
    do {
        uint64_t left = v >> half, right = v & mask;
        for (uint64_t round = 0; round < ROUNDS; round++) {
            const uint64_t t = right;
            right = left ^ (wgi_philox(key, round << 32 | right).v[0] & mask);
            left = t;
        }
        v = left << half | right;
    } while (v >= (uint64_t)n);
    return (int64_t)v;
}

/* Samples of a sequential pass that can be shuffled. */
static int64_t full_blocks(const wg_loader *l)
{
    return l->examples ? l->count : (l->count - 1) / l->block;
}
static int64_t rest(const wg_loader *l)
{
    return l->examples ? 0 : (l->count - 1) % l->block;
}
/* Samples of a sequential pass, the last and shorter one with them. */
static int64_t pass_samples(const wg_loader *l)
{
    return full_blocks(l) + (rest(l) > 0);
}

/* Where sample i begins; the example that it is. */
static int64_t offset_of(const wg_loader *l, int64_t i)
{
    const uint64_t key = l->seed ^ STREAM;
    const int64_t unit = l->examples ? 1 : l->block, places = l->count - (l->examples ? 0 : unit);
    if (!l->sequential) return random_below(key, (uint64_t)i, places);
    if (!l->shuffle || i >= full_blocks(l)) return i * unit;
    const wgi_philox4 r = wgi_philox(key, (uint64_t)l->pass);
    return shuffled(i, full_blocks(l), (uint64_t)r.v[0] << 32 | r.v[1]) * unit;
}

/* ---- making and freeing ---------------------------------------------------------------------- */
static wg_status check_arguments(const wg_loader_args *a)
{
    if (!a->tokens && !a->examples) return wg_raise(WG_EARG, "loader_new: no tokens given");
    if (a->examples && (a->tokens || a->block))
        return wg_raise(WG_EARG, "loader_new: with .examples there are no .tokens and no .block");
    if (a->batch < 1 || (a->block < 1 && !a->examples))
        return wg_raise(WG_EARG,
                        "loader_new: batch and block must be at least 1, are %lld and %lld",
                        (long long)a->batch, (long long)a->block);
    if (a->batch > INT32_MAX || a->block > INT32_MAX)
        return wg_raise(WG_EARG, "loader_new: batch or block is above 2^31");
    if (a->shuffle && !a->sequential)
        return wg_raise(WG_EARG, "loader_new: .shuffle orders blocks, it needs .sequential");
    if (a->examples) return WG_OK;
    const int64_t least = a->sequential ? 2 : a->block + 1, count = wg_tokens_count(a->tokens);
    if (count < least)
        return wg_raise(
            WG_EARG,
            "loader_new: %lld tokens are too few for blocks of %lld: at least %lld are needed",
            (long long)count, (long long)a->block, (long long)least);
    return WG_OK;
}

wg_loader *wg_loader_call(wg_loader_args a)
{
    if (wg_error_code() || check_arguments(&a) != WG_OK) return NULL;
    wg_loader *l = malloc(sizeof *l);
    if (!l) {
        wg_raise(WG_EMEM, "loader_new: out of memory");
        return NULL;
    }
    *l = (wg_loader) { .data = a.tokens ? wgi_token_data_ref(a.tokens->data) : NULL,
                       .examples = a.examples ? wgi_examples_ref(a.examples) : NULL,
                       .first = a.tokens ? a.tokens->first : 0,
                       .count = a.tokens ? a.tokens->count : wg_examples_count(a.examples),
                       .batch = a.batch,
                       .block = a.block,
                       .sequential = a.sequential,
                       .shuffle = a.shuffle,
                       .seed = a.seed };
    return l;
}

void wg_loader_free(wg_loader *l)
{
    if (!l) return;
    wgi_token_data_unref(l->data);
    wg_examples_free(l->examples);
    free(l);
}

/* ---- batches
 * ------------------------------------------------------------------------------------------------------
 */
/* rows samples of T tokens from sample l->sample on. */
static wg_status fill(const wg_loader *l, int64_t rows, int64_t T, int64_t *x, int64_t *y)
{
    for (int64_t b = 0; b < rows; b++) {
        const int64_t at = l->first + offset_of(l, l->sample + b);
        if (l->examples) {
            wgi_examples_fill(l->examples, at, T, x + b * T, y + b * T);
            continue;
        }
        for (int64_t t = 0; t <= T; t++) {
            const int64_t id = wgi_token(l->data, at + t);
            if (id >= l->data->vocab)
                return wg_raise(WG_EFORMAT,
                                "loader_next: token %lld is %lld, the vocabulary has %lld",
                                (long long)(at + t), (long long)id, (long long)l->data->vocab);
            if (t < T) x[b * T + t] = id;
            if (t > 0) y[b * T + t - 1] = id;
        }
    }
    return WG_OK;
}

/* The inputs of the longest of the next `rows` examples. */
static int64_t longest(const wg_loader *l, int64_t rows)
{
    int64_t T = 0;
    for (int64_t b = 0; b < rows; b++) {
        const int64_t n = wgi_examples_inputs(l->examples, offset_of(l, l->sample + b));
        T = n > T ? n : T;
    }
    return T;
}

static wg_tensor *moved(wg_tensor *t)
{
    const wg_device d = wg_current_device();
    return d.kind == WG_CPU ? t : wg_to(t, d);
}

static bool next_batch(wg_loader *l, wg_tensor **x, wg_tensor **y)
{
    int64_t rows = l->batch, T = l->block;
    if (l->sequential) {
        const int64_t left = full_blocks(l) - l->sample;
        if (left > 0) {
            rows = left < rows ? left : rows;
        } else if (l->sample < pass_samples(l)) {
            rows = 1;
            T = rest(l);
        } else {
            *x = *y = NULL;
            return false;
        }
    }
    if (l->examples) T = longest(l, rows);
    wgi_context *c = wgi_ctx();
    const int64_t shape[2] = { rows, T };
    wg_tensor *a = wgi_tensor_new(c, WG_I64, wg_cpu(), wgi_dims(2, shape)); /* (B, T) */
    wg_tensor *b = wgi_tensor_new(c, WG_I64, wg_cpu(), wgi_dims(2, shape)); /* (B, T) */
    if (wgi_bad(a) || wgi_bad(b) || fill(l, rows, T, wgi_data(a), wgi_data(b)) != WG_OK)
        return false;
    *x = moved(a);
    *y = moved(b);
    if (wg_error_code()) return false;
    l->sample += rows;
    return true;
}

bool wg_loader_next(wg_loader *l, wg_tensor **x, wg_tensor **y)
{
    wg_tensor *none;
    if (!x) x = &none;
    if (!y) y = &none;
    *x = *y = &wgi_error_tensor;
    if (!l) wg_raise(WG_EARG, "loader_next: no loader given");
    if (wg_error_code()) return false;
    if (next_batch(l, x, y)) return true;
    if (wg_error_code()) *x = *y = &wgi_error_tensor;
    return false;
}

void wg_loader_rewind(wg_loader *l)
{
    if (!l || l->sample == 0) return;
    if (l->sequential) l->pass++;
    l->sample = 0;
}

/* ---- position
 * -------------------------------------------------------------------------------------------------------
 */
void wg_loader_position(const wg_loader *l, int64_t at[4])
{
    at[0] = l ? l->pass : 0;
    at[1] = l ? l->sample : 0;
    at[2] = l ? (int64_t)l->seed : 0;
    at[3] = l ? l->count : 0;
}

wg_status wgi_loader_check(const wg_loader *l, const int64_t at[4])
{
    if (!l || !at) return wg_raise(WG_EARG, "loader_seek: no loader or no position given");
    if (at[3] != l->count)
        return wg_raise(WG_EARG, "loader_seek: the position is one in %lld %s, these are %lld",
                        (long long)at[3], l->examples ? "examples" : "tokens", (long long)l->count);
    /* Far from overflow, even of a file that lies. */
    const int64_t most = l->sequential ? pass_samples(l) : INT64_MAX / 2;
    if (at[0] < 0 || at[0] > INT64_MAX / 2 || at[1] < 0 || at[1] > most)
        return wg_raise(WG_EARG, "loader_seek: no position: pass %lld, sample %lld",
                        (long long)at[0], (long long)at[1]);
    return WG_OK;
}

wg_status wg_loader_seek(wg_loader *l, const int64_t at[4])
{
    const wg_status st = wgi_loader_check(l, at);
    if (st) return st;
    l->pass = at[0];
    l->sample = at[1];
    l->seed = (uint64_t)at[2];
    return WG_OK;
}
