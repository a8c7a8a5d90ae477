/* Texts as tokens: characters numbered by code point, or bytes. */
#include <stdlib.h>
#include <string.h>

#include "tokens.h"
#include "utf8.h"

/* ---- characters
 * -------------------------------------------------------------------------------------------------
 */
/* Marks every character of the text in seen (WGI_CODE_POINTS entries); returns how many there are,
 * -1 if malformed. */
static int64_t survey(const char *path, const wgi_mapping *m, uint32_t *seen)
{
    int64_t count = 0;
    for (size_t i = 0; i < m->bytes; count++) {
        uint32_t c;
        const int length = wgi_utf8_decode(m->data + i, m->bytes - i, &c);
        if (length == 0) {
            wg_raise(WG_EFORMAT, "%s: malformed UTF-8 at byte %zu", path, i);
            return -1;
        }
        seen[c] = 1;
        i += (size_t)length;
    }
    return count;
}

/* Turns marks into ids in order of code point and lists the characters; NULL: out of memory. */
static uint32_t *number(uint32_t *ids, int64_t *vocab)
{
    *vocab = 0;
    for (uint32_t c = 0; c < WGI_CODE_POINTS; c++) *vocab += ids[c];
    uint32_t *chars = malloc((size_t)*vocab * sizeof *chars), n = 0;
    for (uint32_t c = 0; chars && c < WGI_CODE_POINTS; c++) {
        if (!ids[c]) continue;
        chars[n] = c;
        ids[c] = n++;
    }
    return chars;
}

static wg_tokens *number_chars(const char *path, const wgi_mapping *m, uint32_t *id_of)
{
    wgi_token_data d = { .count = survey(path, m, id_of) };
    if (d.count < 0) return NULL;
    d.chars = number(id_of, &d.vocab);
    d.width = wgi_token_width(d.vocab);
    void *ids = malloc((size_t)d.count * (size_t)d.width);
    if (!d.chars || !ids) {
        free(d.chars);
        free(ids);
        wg_raise(WG_EMEM, "%s: out of memory", path);
        return NULL;
    }
    size_t at = 0;
    for (int64_t i = 0; i < d.count; i++) {
        uint32_t c = 0;
        at += (size_t)wgi_utf8_decode(m->data + at, m->bytes - at, &c);
        wgi_token_store(ids, d.width, i, id_of[c]);
    }
    d.ids = ids;
    return wgi_tokens_new(d);
}

static wg_tokens *chars_of(const char *path, wgi_mapping *m)
{
    uint32_t *id_of = calloc(WGI_CODE_POINTS, sizeof *id_of);
    wg_tokens *t = NULL;
    if (id_of)
        t = number_chars(path, m, id_of);
    else
        wg_raise(WG_EMEM, "%s: out of memory", path);
    free(id_of);
    wgi_mapping_unref(m);
    return t;
}

wg_tokens *wg_tokens_text(const char *path, wg_vocabulary v)
{
    if (wg_error_code()) return NULL;
    if (v != WG_CHARS && v != WG_BYTES) {
        wg_raise(WG_EARG, "tokens_text: no such vocabulary: %d", (int)v);
        return NULL;
    }
    wgi_mapping *m = wgi_mapping_open(path);
    if (!m) return NULL;
    if (m->bytes == 0) {
        wgi_mapping_unref(m);
        wg_raise(WG_EFORMAT, "%s: the file is empty", path);
        return NULL;
    }
    if (v == WG_CHARS) return chars_of(path, m);
    return wgi_tokens_new((wgi_token_data) { .width = 1,
                                             .ids = m->data,
                                             .count = (int64_t)m->bytes,
                                             .vocab = 256,
                                             .mapping = m,
                                             .bytes = true });
}

/* ---- from and to text ------------------------------------------------------------------------ */
int wg_tokens_decode(const wg_tokens *t, int64_t id, char out[5])
{
    int length = 0;
    if (!out) return 0;
    if (t && id >= 0 && id < t->data->vocab) {
        if (t->data->chars)
            length = wgi_utf8_encode(t->data->chars[id], out);
        else if (t->data->bytes)
            out[length++] = (char)id;
    }
    out[length] = '\0';
    return length;
}

static int64_t find_char(const wgi_token_data *d, uint32_t c)
{
    int64_t low = 0, high = d->vocab;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (d->chars[middle] == c) return middle;
        if (d->chars[middle] < c)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static int64_t encode_chars(const wgi_token_data *d, const unsigned char *text, size_t bytes,
                            int64_t *ids)
{
    int64_t n = 0;
    for (size_t i = 0; i < bytes; n++) {
        uint32_t c;
        const int length = wgi_utf8_decode(text + i, bytes - i, &c);
        if (length == 0) {
            wg_raise(WG_EFORMAT, "tokens_encode: malformed UTF-8 at byte %zu", i);
            return -1;
        }
        ids[n] = find_char(d, c);
        if (ids[n] < 0) {
            wg_raise(WG_ENOTFOUND,
                     "tokens_encode: the vocabulary lacks the character '%.*s' (U+%04X)", length,
                     (const char *)text + i, (unsigned)c);
            return -1;
        }
        i += (size_t)length;
    }
    return n;
}

int64_t wg_tokens_encode(const wg_tokens *t, const char *text, int64_t **ids)
{
    if (ids) *ids = NULL;
    if (!t || !text || !ids) {
        wg_raise(WG_EARG, "tokens_encode: no tokens, no text or no place for the result given");
        return -1;
    }
    if (!t->data->chars && !t->data->bytes) {
        wg_raise(WG_EARG, "tokens_encode: token ids and shards have no vocabulary of text");
        return -1;
    }
    const size_t bytes = strlen(text);
    int64_t *out = malloc((bytes + 1) * sizeof *out);
    if (!out) {
        wg_raise(WG_EMEM, "tokens_encode: out of memory");
        return -1;
    }
    int64_t n = (int64_t)bytes;
    if (t->data->chars)
        n = encode_chars(t->data, (const unsigned char *)text, bytes, out);
    else
        for (int64_t i = 0; i < n; i++) out[i] = (unsigned char)text[i];
    if (n < 0)
        free(out);
    else
        *ids = out;
    return n;
}
