#include "normal_form.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "tensor/internal.h"

/* Code points that grow. */
typedef struct {
    utf8proc_int32_t *at, *spare; /* (n) of room */
    size_t n, room;
} points;

enum { MOST = 32 }; /* code points that one decomposes into: at most 18 in Unicode 15 */

static wg_status reserve(points *p)
{
    if (p->room - p->n >= MOST) return WG_OK;
    const size_t room = p->room ? 2 * p->room : 256;
    utf8proc_int32_t *at = wgi_realloc(p->at, room * sizeof *at);
    if (!at) return WG_EMEM;
    p->at = at;
    free(p->spare);
    p->spare = wgi_malloc(room * sizeof *p->spare);
    p->room = p->spare ? room : 0;
    return p->spare ? WG_OK : WG_EMEM;
}

static int class_of(utf8proc_int32_t c)
{
    return (int)utf8proc_get_property(c)->combining_class;
}

/* Sorts n marks by their class; equal ones keep their order. */
static void sort_marks(utf8proc_int32_t *marks, size_t n, utf8proc_int32_t *spare)
{
    size_t begin[257] = { 0 };
    for (size_t i = 0; i < n; i++) begin[(class_of(marks[i]) & 0xFF) + 1]++;
    for (int k = 0; k < 256; k++) begin[k + 1] += begin[k];
    for (size_t i = 0; i < n; i++) spare[begin[class_of(marks[i]) & 0xFF]++] = marks[i];
    memcpy(marks, spare, n * sizeof *marks);
}

/* The canonical order: runs of marks sorted by their combining class. */
static void order(points *p)
{
    for (size_t i = 0, end; i < p->n; i = end + 1) {
        bool sorted = true;
        int last = 0;
        for (end = i; end < p->n; end++) {
            const int class = class_of(p->at[end]);
            if (class == 0) break;
            sorted &= last <= class;
            last = class;
        }
        if (!sorted) sort_marks(p->at + i, end - i, p->spare);
    }
}

/* Decomposes, orders, composes if wanted, and appends: text is valid UTF-8. */
static wg_status append(wgi_norm_kind kind, const char *text, size_t n, points *p, wgi_buffer *out)
{
    static const int options[] = { [WGI_NORM_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
                                   [WGI_NORM_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
                                   [WGI_NORM_NFKC] =
                                       UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
                                   [WGI_NORM_NFKD] =
                                       UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT };
    const utf8proc_option_t o = (utf8proc_option_t)options[kind];
    p->n = 0;
    for (size_t i = 0; i < n;) {
        utf8proc_int32_t c;
        int boundary = 0;
        i += (size_t)utf8proc_iterate((const uint8_t *)text + i, (utf8proc_ssize_t)(n - i), &c);
        if (reserve(p)) return WG_EMEM;
        const utf8proc_ssize_t more = utf8proc_decompose_char(
            c, p->at + p->n, (utf8proc_ssize_t)(p->room - p->n), o, &boundary);
        if (more < 0 || (size_t)more > p->room - p->n) return WG_EMEM;
        p->n += (size_t)more;
    }
    order(p);
    if (o & UTF8PROC_COMPOSE)
        p->n = (size_t)utf8proc_normalize_utf32(p->at, (utf8proc_ssize_t)p->n, o);
    for (size_t i = 0; i < p->n; i++) {
        utf8proc_uint8_t bytes[4];
        const utf8proc_ssize_t size = utf8proc_encode_char(p->at[i], bytes);
        if (wgi_buffer_put(out, (char *)bytes, (size_t)size)) return WG_EMEM;
    }
    return WG_OK;
}

/* How many bytes from text on are characters beyond ASCII. */
static size_t beyond_ascii(const char *text, size_t n)
{
    size_t at = 0;
    utf8proc_int32_t c;
    for (utf8proc_ssize_t size; at < n && (uint8_t)text[at] >= 0x80; at += (size_t)size) {
        size = utf8proc_iterate((const uint8_t *)text + at, (utf8proc_ssize_t)(n - at), &c);
        if (size <= 0) break;
    }
    return at;
}

/* The normal forms leave ASCII as it is, and nothing composes across the place before an ASCII
 * character: so only runs of other characters, with the one before, are worked on. */
wg_status wgi_normal_form(wgi_norm_kind kind, const char *text, size_t n, wgi_buffer *out)
{
    points p = { 0 };
    size_t done = 0; /* what is in out */
    wg_status st = WG_OK;
    for (size_t i = 0; i < n && !st;) {
        if ((uint8_t)text[i] < 0x80) {
            i++;
            continue;
        }
        const size_t end = i + beyond_ascii(text + i, n - i);
        const size_t begin = i > done && i < end ? i - 1 : i;
        st = wgi_buffer_put(out, text + done, begin - done);
        if (!st && end > begin) st = append(kind, text + begin, end - begin, &p, out);
        done = end;
        if (!st && end == i) st = wgi_buffer_put(out, text + done++, 1); /* no UTF-8 */
        i = done;
    }
    if (!st) st = wgi_buffer_put(out, text + done, n - done);
    free(p.at);
    free(p.spare);
    return st;
}
