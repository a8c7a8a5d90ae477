/* Generation from text to text: encoding the prompt, stop strings, whole characters as they come. */
#include <stdlib.h>
#include <string.h>

#include "nn/generation.h"
#include "wengert/error.h"
#include "wengert/text.h"

/* Bytes that grow; NUL-terminated. */
typedef struct {
    char *data;
    size_t n, capacity;
} bytes;

static bool append(bytes *b, const char *data, size_t n)
{
    if (b->n + n + 1 > b->capacity) {
        const size_t capacity = 2 * (b->n + n) + 256;
        char *more = realloc(b->data, capacity);
        if (!more) return false;
        b->data = more;
        b->capacity = capacity;
    }
    if (n) memcpy(b->data + b->n, data, n);
    b->n += n;
    b->data[b->n] = 0;
    return true;
}

typedef struct {
    const wg_generate_text_args *a;
    wg_decoder *decoder;
    bytes pending; /* decoded, and perhaps the beginning of a stop string */
    bytes text;    /* what is sure */
    bool ended, failed;
} writer;

static void give(writer *w, size_t n)
{
    if (n == 0) return;
    if (w->a->text && !append(&w->text, w->pending.data, n)) {
        wg_raise(WG_EMEM, "generate_text: out of memory");
        w->failed = true;
        return;
    }
    const char kept = w->pending.data[n];
    w->pending.data[n] = 0;
    if (w->a->on_text && !w->a->on_text(w->a->self, w->pending.data, (int64_t)n)) w->ended = true;
    w->pending.data[n] = kept;
    memmove(w->pending.data, w->pending.data + n, w->pending.n - n + 1);
    w->pending.n -= n;
}

/* Where the first stop string begins in what is pending; its size if there is none. */
static size_t find_stop(const writer *w)
{
    size_t at = w->pending.n;
    for (int64_t i = 0; w->a->stop && w->a->stop[i]; i++) {
        const size_t n = strlen(w->a->stop[i]);
        const char *p = n ? memmem(w->pending.data, w->pending.n, w->a->stop[i], n) : NULL;
        if (p && (size_t)(p - w->pending.data) < at) at = (size_t)(p - w->pending.data);
    }
    return at;
}

/* How many bytes at the end may be the beginning of a stop string. */
static size_t held_back(const writer *w)
{
    size_t most = 0;
    for (int64_t i = 0; w->a->stop && w->a->stop[i]; i++)
        for (size_t n = strlen(w->a->stop[i]); n-- > most + 1;)
            if (n <= w->pending.n &&
                memcmp(w->pending.data + w->pending.n - n, w->a->stop[i], n) == 0)
                most = n;
    return most;
}

static void take(writer *w, const char *piece, int64_t n)
{
    if (!piece || !append(&w->pending, piece, (size_t)n)) {
        wg_raise(WG_EMEM, "generate_text: out of memory"); /* unless the decoder has raised */
        w->failed = true;
        return;
    }
    const size_t stop = find_stop(w);
    if (stop < w->pending.n) {
        give(w, stop);
        w->pending.n = 0;
        w->ended = true;
    } else {
        give(w, w->pending.n - held_back(w));
    }
}

static bool on_token(void *self, int64_t row, int64_t id)
{
    (void)row;
    writer *w = self;
    int64_t n = 0;
    const char *piece = wg_decoder_put(w->decoder, id, &n);
    take(w, piece, n);
    return !w->ended && !w->failed;
}

/* No stop string came: what was held back is text. */
static void finish(writer *w)
{
    int64_t n = 0;
    const char *rest = wg_decoder_end(w->decoder, &n);
    if (!w->ended && !w->failed) take(w, rest, n);
    if (!w->ended && !w->failed) give(w, w->pending.n);
    if (!w->failed && w->a->text && !append(&w->text, "", 0)) {
        wg_raise(WG_EMEM, "generate_text: out of memory");
        w->failed = true;
    }
}

/* The prompt's ids (to be freed) and their number; bos in front where the model expects it, once. */
static int64_t encode(const wg_generate_text_args *a, int64_t **ids)
{
    const int64_t bos = wg_tokenizer_bos(a->tokenizer), size = (int64_t)strlen(a->prompt);
    const bool adds = bos >= 0 && (size == 0 || wg_tokenizer_adds_bos(a->tokenizer));
    if (size == 0 && bos < 0) {
        wg_raise(WG_EARG, "generate_text: an empty prompt, and the tokenizer has no "
                          "beginning-of-text token to start from");
        return -1;
    }
    int64_t n =
        wg_tokenizer_encode(a->tokenizer, a->prompt, size, ids, .bos = adds, .special = a->special);
    if (n >= 2 && adds && (*ids)[0] == bos && (*ids)[1] == bos) /* a chat spells it out */
        memmove(*ids, *ids + 1, (size_t)--n * sizeof **ids);
    return n;
}

/* A text that begins anew has ended, too: models of many short texts say so by bos alone. */
static bool ends(const wg_tokenizer *t, int64_t id)
{
    return id == wg_tokenizer_bos(t) || wg_tokenizer_is_end(t, id);
}

/* The tokens that end a text; to be freed. */
static int64_t *end_tokens(const wg_tokenizer *t, int64_t *n)
{
    const int64_t size = wg_tokenizer_size(t);
    *n = 0;
    for (int64_t i = 0; i < size; i++) *n += ends(t, i);
    int64_t *ids = malloc((size_t)(*n + 1) * sizeof *ids), at = 0;
    for (int64_t i = 0; ids && i < size; i++)
        if (ends(t, i)) ids[at++] = i;
    if (!ids) wg_raise(WG_EMEM, "generate_text: out of memory");
    return ids;
}

static int64_t run(writer *w, const int64_t *ids, int64_t n)
{
    const wg_generate_text_args *a = w->a;
    wg_ids stop = { 0 };
    int64_t *end = NULL, count = -1;
    if (!a->ignore_end) {
        end = end_tokens(a->tokenizer, &stop.n);
        if (!end) return -1;
        stop.ids = end;
    }
    count = wg_generate(a->g, { ids, n }, NULL, .max_tokens = a->max_tokens,
                        .sampling = a->sampling, .stop = stop, .on_token = on_token, .self = w);
    finish(w); /* on an error, too: on_text has then seen all that came */
    free(end);
    return w->failed ? -1 : count;
}

int64_t wg_generate_text_call(wg_generate_text_args a)
{
    if (a.text) *a.text = NULL;
    if (wg_error_code() != WG_OK) return -1;
    if (!a.g || !a.tokenizer || !a.prompt) {
        wg_raise(WG_EARG, "generate_text: the generation, the tokenizer or the prompt is NULL");
        return -1;
    }
    int64_t *ids = NULL, count = -1;
    const int64_t n = encode(&a, &ids);
    writer w = { .a = &a };
    if (n >= 0 && (w.decoder = wg_decoder_new(a.tokenizer, .skip_special = true,
                                              .continued = a.prompt[0] != 0)))
        count = run(&w, ids, n);
    wg_decoder_free(w.decoder);
    free(w.pending.data);
    free(ids);
    if (count >= 0 && a.text)
        *a.text = w.text.data;
    else
        free(w.text.data);
    return count;
}
