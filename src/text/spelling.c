#include "spelling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "byte_level.h"
#include "tensor/internal.h"

/* The byte that "<0x0A>" stands for; -1: it does not look so. */
static int byte_named(const char *text, size_t n)
{
    if (n != 6 || memcmp(text, "<0x", 3) || text[5] != '>') return -1;
    int byte = 0;
    for (int i = 3; i < 5; i++) {
        const char c = text[i];
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) return -1;
        byte = 16 * byte + digit;
    }
    return byte;
}

/* Replaces marks by spaces, into out; returns the length. */
static size_t unmark(const char *text, size_t n, char *out)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        const bool mark = n - i >= 3 && memcmp(text + i, WGI_SPACE_MARK, 3) == 0;
        out[size++] = mark ? ' ' : text[i];
        if (mark) i += 2;
    }
    return size;
}

static wg_status put(wg_tokenizer *t, int64_t id, const char *text, size_t n, int type, char *room)
{
    const bool of_texts =
        type == WGI_TOKEN_NORMAL || type == WGI_TOKEN_USER || type == WGI_TOKEN_UNUSED;
    const int byte = t->byte_fallback ? byte_named(text, n) : -1;
    if (byte >= 0 && (type == WGI_TOKEN_NORMAL || type == WGI_TOKEN_BYTE)) {
        const char c = (char)byte;
        return wgi_vocab_put(&t->vocab, id, &c, 1, WGI_TOKEN_BYTE);
    }
    bool literal = false;
    if (t->byte_level && type == WGI_TOKEN_NORMAL) {
        const int64_t size = wgi_unspell_bytes(text, n, room);
        literal = size < 0;
        if (!literal) {
            text = room;
            n = (size_t)size;
        }
    } else if (t->marks_spaces && of_texts) {
        literal = memchr(text, ' ', n) != NULL;
        n = unmark(text, n, room);
        text = room;
    }
    if (wgi_vocab_put(&t->vocab, id, text, n, type)) return WG_EMEM;
    t->vocab.tokens[id].literal = literal;
    return WG_OK;
}

wg_status wgi_put_spelled(wg_tokenizer *t, int64_t id, int64_t limit, const char *text, size_t n,
                          int type, const char *what)
{
    if (limit > WGI_MAX_VOCAB) limit = WGI_MAX_VOCAB;
    if (id < 0 || id >= limit)
        return wg_raise(WG_EFORMAT, "%s: token \"%.*s\" has id %lld, ids are expected below %lld",
                        what, (int)(n < 60 ? n : 60), text, (long long)id, (long long)limit);
    if (n > 1 << 24) return wg_raise(WG_EFORMAT, "%s: token %lld is too long", what, (long long)id);
    if (t->vocab.n > id && t->vocab.tokens[id].type)
        return wg_raise(WG_EFORMAT, "%s: two tokens have id %lld, \"%.60s\" and \"%.*s\"", what,
                        (long long)id, t->vocab.tokens[id].bytes, (int)(n < 60 ? n : 60), text);
    char small[256], *room = n <= sizeof small ? small : wgi_malloc(n);
    const wg_status st = room ? put(t, id, text, n, type, room) : WG_EMEM;
    if (room != small) free(room);
    return st ? wg_raise(WG_EMEM, "%s: out of memory", what) : WG_OK;
}

wg_status wgi_spell(const wg_tokenizer *t, int64_t id, wgi_buffer *out)
{
    const wgi_token *k = &t->vocab.tokens[id];
    if (k->type == WGI_TOKEN_BYTE) {
        char name[16];
        const int n = snprintf(name, sizeof name, "<0x%02X>", (unsigned)(uint8_t)k->bytes[0]);
        return wgi_buffer_put(out, name, (size_t)n);
    }
    const bool of_texts = k->type == WGI_TOKEN_NORMAL || k->type == WGI_TOKEN_UNUSED ||
                          (k->type == WGI_TOKEN_USER && t->marks_spaces);
    if (!of_texts || k->literal) return wgi_buffer_put(out, k->bytes, k->size);
    wg_status st = WG_OK;
    for (uint32_t i = 0; i < k->size && !st; i++) {
        char spelling[2];
        if (t->byte_level && k->type == WGI_TOKEN_NORMAL)
            st = wgi_buffer_put(out, spelling, wgi_spell_bytes(k->bytes + i, 1, spelling));
        else if (t->marks_spaces && k->bytes[i] == ' ')
            st = wgi_buffer_put(out, WGI_SPACE_MARK, 3);
        else
            st = wgi_buffer_put(out, k->bytes + i, 1);
    }
    return st;
}

/* ---- merges ---------------------------------------------------------------------------------- */
wg_status wgi_merges_put(wgi_merges *m, wg_tokenizer *t, const char *left, size_t left_size,
                         const char *right, size_t right_size, const char *what)
{
    m->joined.n = 0;
    if (wgi_buffer_put(&m->joined, left, left_size) ||
        wgi_buffer_put(&m->joined, right, right_size))
        return wg_raise(WG_EMEM, "%s: out of memory", what);
    const int32_t a = wgi_index_find(&m->index, left, left_size);
    const int32_t b = wgi_index_find(&m->index, right, right_size);
    const int32_t both = wgi_index_find(&m->index, m->joined.bytes, m->joined.n);
    if (a < 0 || b < 0 || both < 0)
        return wg_raise(WG_EFORMAT, "%s: merge %u, \"%.*s\" and \"%.*s\": %s is no token", what,
                        m->rank + 1, (int)(left_size < 60 ? left_size : 60), left,
                        (int)(right_size < 60 ? right_size : 60), right,
                        a < 0   ? "the first"
                        : b < 0 ? "the second"
                                : "what they make");
    if (wgi_pairs_put(&t->pairs, a, b, m->rank, both))
        return wg_raise(WG_EMEM, "%s: out of memory", what);
    m->rank++;
    return WG_OK;
}

wg_status wgi_merges_put_line(wgi_merges *m, wg_tokenizer *t, const char *line, size_t n,
                              const char *what)
{
    const char *space = memchr(line, ' ', n);
    const size_t left = space ? (size_t)(space - line) : 0;
    if (!space || left == 0 || left + 1 == n || memchr(space + 1, ' ', n - left - 1))
        return wg_raise(WG_EFORMAT, "%s: merge %u, \"%.*s\", is no two words with a space between",
                        what, m->rank + 1, (int)(n < 60 ? n : 60), line);
    return wgi_merges_put(m, t, line, left, space + 1, n - left - 1, what);
}

void wgi_merges_free(wgi_merges *m)
{
    wgi_index_free(&m->index);
    free(m->joined.bytes);
    *m = (wgi_merges) { 0 };
}
