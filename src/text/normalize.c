#include "normalize.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "normal_form.h"
#include "tensor/internal.h"

wg_status wgi_buffer_put(wgi_buffer *b, const char *bytes, size_t n)
{
    if (n > b->room - b->n) {
        size_t room = b->room ? b->room : 256;
        while (room - b->n < n) room *= 2;
        char *larger = wgi_realloc(b->bytes, room);
        if (!larger) return WG_EMEM;
        b->bytes = larger;
        b->room = room;
    }
    if (n) memcpy(b->bytes + b->n, bytes, n);
    b->n += n;
    return WG_OK;
}

static char *copy_of(const char *text)
{
    char *copy = text ? wgi_malloc(strlen(text) + 1) : NULL;
    return copy ? strcpy(copy, text) : NULL;
}

wg_status wgi_normalizer_add(wgi_normalizer *z, wgi_norm_kind kind, const char *from,
                             const char *to, const char *what)
{
    if (z->n == WGI_MAX_NORM_STEPS)
        return wg_raise(WG_EFORMAT, "%s: more than %d normalizers", what, WGI_MAX_NORM_STEPS);
    wgi_norm_step s = { kind, copy_of(from), copy_of(to) };
    if ((from && !s.from) || (to && !s.to)) {
        free(s.from);
        free(s.to);
        return wg_raise(WG_EMEM, "%s: out of memory", what);
    }
    z->step[z->n++] = s;
    return WG_OK;
}

void wgi_normalizer_free(wgi_normalizer *z)
{
    for (int i = 0; i < z->n; i++) {
        free(z->step[i].from);
        free(z->step[i].to);
    }
    free(z->map.units);
    free(z->map.texts);
    *z = (wgi_normalizer) { 0 };
}

/* ---- steps ----------------------------------------------------------------------------------- */
static wg_status replace(const wgi_norm_step *s, const char *text, size_t n, wgi_buffer *out)
{
    const size_t from = strlen(s->from), to = strlen(s->to);
    size_t at = 0;
    for (const char *hit; (hit = memmem(text + at, n - at, s->from, from));) {
        const size_t before = (size_t)(hit - text) - at;
        if (wgi_buffer_put(out, text + at, before) || wgi_buffer_put(out, s->to, to))
            return WG_EMEM;
        at += before + from;
    }
    return wgi_buffer_put(out, text + at, n - at);
}

static bool is_ascii(const char *text, size_t n)
{
    uint64_t all = 0, part;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        memcpy(&part, text + i, 8);
        all |= part;
    }
    for (; i < n; i++) all |= (uint8_t)text[i];
    return !(all & 0x8080808080808080u);
}

/* Whether the step leaves the text as it is. */
static bool changes_nothing(const wgi_norm_step *s, const char *text, size_t n)
{
    if (s->kind == WGI_NORM_PREPEND) return n == 0;
    if (s->kind == WGI_NORM_REPLACE) return !memmem(text, n, s->from, strlen(s->from));
    return is_ascii(text, n);
}

/* ---- SentencePiece --------------------------------------------------------------------------- */
/* One step of its normalizer: how many bytes at text are taken, and what they become (*to, *size).
 * Source: src/normalizer.cc of SentencePiece. */
static size_t next_part(const wgi_normalizer *z, const wgi_added *kept, const char *text, size_t n,
                        const char **to, size_t *size)
{
    const wgi_added_token *t = kept->n ? wgi_added_at(kept, text, n, true) : NULL;
    size_t taken = t ? t->size : wgi_charsmap_find(&z->map, text, n, to);
    if (taken && !t) {
        *size = strlen(*to);
        return taken;
    }
    utf8proc_int32_t c;
    if (!taken) {
        const utf8proc_ssize_t k = utf8proc_iterate((const uint8_t *)text, (utf8proc_ssize_t)n, &c);
        taken = k > 0 ? (size_t)k : 1;
    }
    *to = text;
    return *size = taken;
}

/* Maps characters; with .squeezes no space at the ends and no two in a row stay. */
static wg_status map_characters(const wgi_normalizer *z, const wgi_added *kept, const char *text,
                                size_t n, wgi_buffer *out)
{
    bool after_space = z->squeezes;
    for (size_t at = 0; at < n;) {
        const char *to;
        size_t size;
        at += next_part(z, kept, text + at, n - at, &to, &size);
        for (; after_space && size && *to == ' '; size--) to++;
        if (wgi_buffer_put(out, to, size)) return WG_EMEM;
        if (size) after_space = z->squeezes && to[size - 1] == ' ';
    }
    while (z->squeezes && out->n && out->bytes[out->n - 1] == ' ') out->n--;
    return WG_OK;
}

wg_status wgi_normalize(const wgi_normalizer *z, const wgi_added *kept, const char **text,
                        size_t *n, wgi_buffer buffers[2])
{
    int turn = 0;
    const bool maps = z->squeezes || z->map.n;
    for (int i = maps ? -1 : 0; i < z->n; i++) {
        const wgi_norm_step *s = i < 0 ? NULL : &z->step[i];
        if (s && changes_nothing(s, *text, *n)) continue;
        wgi_buffer *out = &buffers[turn];
        turn = !turn;
        out->n = 0;
        wg_status st;
        if (!s)
            st = map_characters(z, kept, *text, *n, out);
        else if (s->kind == WGI_NORM_REPLACE)
            st = replace(s, *text, *n, out);
        else if (s->kind == WGI_NORM_PREPEND)
            st = wgi_buffer_put(out, s->to, strlen(s->to)) || wgi_buffer_put(out, *text, *n)
                     ? WG_EMEM
                     : WG_OK;
        else
            st = wgi_normal_form(s->kind, *text, *n, out);
        if (st) return st;
        *text = out->bytes ? out->bytes : "";
        *n = out->n;
    }
    return WG_OK;
}
