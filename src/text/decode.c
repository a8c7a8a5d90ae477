#include <stdlib.h>
#include <string.h>

#include "tensor/internal.h"
#include "tokenizer.h"

struct wg_decoder {
    const wg_tokenizer *t;
    bool skip_special, continued;
    bool begun;      /* text was given, or the space at its beginning taken away */
    wgi_buffer text; /* what the last call gave, a NUL if .closed, then what waits to be whole */
    size_t given;    /* bytes of it that were given */
    bool closed;
};

/* Appends what id decodes to. */
static wg_status append(wg_decoder *d, const char *who, int64_t id)
{
    const wg_tokenizer *t = d->t;
    if (id < 0 || id >= t->vocab.n)
        return wg_raise(WG_EINDEX, "%s: id %lld is out of range, the vocabulary has %lld tokens",
                        who, (long long)id, (long long)t->vocab.n);
    const wgi_token *k = &t->vocab.tokens[id];
    if (d->skip_special && t->is_special[id]) return WG_OK;
    const char *bytes = k->bytes;
    size_t n = k->size;
    if (!t->is_special[id]) {
        while (t->strips && !d->begun && n && *bytes == ' ') {
            bytes++;
            n--;
            d->begun = !t->normalizer.squeezes;
        }
        d->begun |= n > 0;
    } else if (t->order == WGI_BY_RANK) {
        d->begun =
            true; /* Hugging Face's decoders look at the whole text, SentencePiece's do not */
    }
    if (wgi_buffer_put(&d->text, bytes, n)) return wg_raise(WG_EMEM, "%s: out of memory", who);
    return WG_OK;
}

char *wg_tokenizer_decode_call(wg_tokenizer_decode_args a)
{
    if (a.bytes) *a.bytes = 0;
    if (!a.tokenizer || a.n < 0 || (!a.ids && a.n > 0)) {
        wg_raise(WG_EARG, "tokenizer_decode: no tokenizer or no ids given");
        return NULL;
    }
    wg_decoder d = { .t = a.tokenizer, .skip_special = a.skip_special };
    wg_status st = WG_OK;
    for (int64_t i = 0; i < a.n && !st; i++) st = append(&d, "tokenizer_decode", a.ids[i]);
    const size_t n = d.text.n;
    if (!st && wgi_buffer_put(&d.text, "", 1))
        st = wg_raise(WG_EMEM, "tokenizer_decode: out of memory");
    if (st) {
        free(d.text.bytes);
        return NULL;
    }
    if (a.bytes) *a.bytes = (int64_t)n;
    return d.text.bytes;
}

/* ---- as tokens come -------------------------------------------------------------------------- */
wg_decoder *wg_decoder_call(wg_decoder_args a)
{
    if (!a.tokenizer) {
        wg_raise(WG_EARG, "decoder_new: no tokenizer given");
        return NULL;
    }
    wg_decoder *d = wgi_malloc(sizeof *d);
    if (!d) {
        wg_raise(WG_EMEM, "decoder_new: out of memory");
        return NULL;
    }
    *d = (wg_decoder) { .t = a.tokenizer,
                        .skip_special = a.skip_special,
                        .continued = a.continued,
                        .begun = a.continued };
    return d;
}

void wg_decoder_free(wg_decoder *d)
{
    if (!d) return;
    free(d->text.bytes);
    free(d);
}

/* Bytes at the end that may be the beginning of a character. */
static size_t unfinished(const char *text, size_t n)
{
    for (size_t k = 1; k <= 3 && k <= n; k++) {
        const uint8_t c = (uint8_t)text[n - k];
        if ((c & 0xC0) == 0x80) continue;
        const size_t size = c >= 0xF5 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC2 ? 2 : 1;
        return size > k ? k : 0;
    }
    return 0;
}

/* Forgets what was given; what waits moves to the front. */
static void forget(wg_decoder *d)
{
    if (!d->closed) return;
    d->text.n -= d->given;
    memmove(d->text.bytes, d->text.bytes + d->given + 1, d->text.n);
    d->given = 0;
    d->closed = false;
}

/* Gives all but the last `waiting` bytes, which move one place on to make room for a NUL. */
static const char *give(wg_decoder *d, const char *who, size_t waiting, int64_t *bytes)
{
    if (wgi_buffer_put(&d->text, "", 1)) {
        wg_raise(WG_EMEM, "%s: out of memory", who);
        return NULL;
    }
    d->text.n--;
    d->given = d->text.n - waiting;
    memmove(d->text.bytes + d->given + 1, d->text.bytes + d->given, waiting);
    d->text.bytes[d->given] = '\0';
    d->closed = true;
    if (bytes) *bytes = (int64_t)d->given;
    return d->text.bytes;
}

const char *wg_decoder_put(wg_decoder *d, int64_t id, int64_t *bytes)
{
    if (bytes) *bytes = 0;
    if (!d) {
        wg_raise(WG_EARG, "decoder_put: no decoder given");
        return NULL;
    }
    forget(d);
    if (append(d, "decoder_put", id)) return NULL;
    return give(d, "decoder_put", unfinished(d->text.bytes, d->text.n), bytes);
}

const char *wg_decoder_end(wg_decoder *d, int64_t *bytes)
{
    if (bytes) *bytes = 0;
    if (!d) {
        wg_raise(WG_EARG, "decoder_end: no decoder given");
        return NULL;
    }
    forget(d);
    d->begun = d->continued;
    return give(d, "decoder_end", 0, bytes);
}
