#include "added.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "tensor/internal.h"

enum { SPECIAL = 1, OTHER = 2 };

wg_status wgi_added_put(wgi_added *a, wgi_added_token token, bool copy)
{
    if (token.size == 0) return WG_OK;
    if (a->n == a->room) {
        const int64_t room = a->room ? 2 * a->room : 16;
        wgi_added_token *tokens = wgi_realloc(a->tokens, (size_t)room * sizeof *tokens);
        if (!tokens) return WG_EMEM;
        a->tokens = tokens;
        a->room = room;
    }
    if (copy) {
        char *bytes = wgi_malloc(token.size);
        if (!bytes) return WG_EMEM;
        token.bytes = memcpy(bytes, token.bytes, token.size);
    }
    token.own = copy;
    a->tokens[a->n++] = token;
    a->first[(uint8_t)token.bytes[0]] |= token.special ? SPECIAL : OTHER;
    return WG_OK;
}

static int compare(const void *a, const void *b)
{
    const wgi_added_token *x = a, *y = b;
    const int order = memcmp(x->bytes, y->bytes, x->size < y->size ? x->size : y->size);
    if (order) return order;
    if (x->size != y->size) return x->size < y->size ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

void wgi_added_sort(wgi_added *a)
{
    if (a->n) qsort(a->tokens, (size_t)a->n, sizeof *a->tokens, compare);
}

void wgi_added_free(wgi_added *a)
{
    for (int64_t i = 0; i < a->n; i++)
        if (a->tokens[i].own) free((void *)(uintptr_t)a->tokens[i].bytes);
    free(a->tokens);
    *a = (wgi_added) { 0 };
}

/* The first token of [low, high), which agree in their first k bytes, whose byte k is at least c.
 * One that ends there comes before all. */
static int64_t bound(const wgi_added *a, int64_t low, int64_t high, size_t k, int c)
{
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        const wgi_added_token *t = &a->tokens[middle];
        if (t->size > k && (uint8_t)t->bytes[k] >= c)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

const wgi_added_token *wgi_added_at(const wgi_added *a, const char *text, size_t n, bool special)
{
    const wgi_added_token *longest = NULL;
    int64_t low = 0, high = a->n;
    for (size_t k = 0; low < high; k++) {
        for (; low < high && a->tokens[low].size == k; low++)
            if (special || !a->tokens[low].special) longest = &a->tokens[low];
        if (k == n) break;
        const int c = (uint8_t)text[k];
        low = bound(a, low, high, k, c);
        high = bound(a, low, high, k, c + 1);
    }
    return longest;
}

/* Unicode's White_Space. */
static bool is_space(utf8proc_int32_t c)
{
    if (c <= 0x20) return c == 0x20 || (c >= 0x09 && c <= 0x0D);
    const utf8proc_category_t k = utf8proc_category(c);
    return c == 0x85 || k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_ZL ||
           k == UTF8PROC_CATEGORY_ZP;
}

/* How many bytes of white space text begins with. */
static size_t space_after(const char *text, size_t n)
{
    size_t at = 0;
    utf8proc_int32_t c;
    for (utf8proc_ssize_t size; at < n; at += (size_t)size) {
        size = utf8proc_iterate((const uint8_t *)text + at, (utf8proc_ssize_t)(n - at), &c);
        if (size <= 0 || !is_space(c)) break;
    }
    return at;
}

/* How many bytes of white space text ends with. */
static size_t space_before(const char *text, size_t n)
{
    size_t at = n;
    while (at > 0) {
        size_t begin = at - 1;
        while (begin > 0 && at - begin < 4 && ((uint8_t)text[begin] & 0xC0) == 0x80) begin--;
        utf8proc_int32_t c;
        const utf8proc_ssize_t size =
            utf8proc_iterate((const uint8_t *)text + begin, (utf8proc_ssize_t)(at - begin), &c);
        if (size != (utf8proc_ssize_t)(at - begin) || !is_space(c)) break;
        at = begin;
    }
    return n - at;
}

const wgi_added_token *wgi_added_next(const wgi_added *a, const char *text, size_t n, bool special,
                                      size_t *begin, size_t *end)
{
    const uint8_t wanted = special ? SPECIAL | OTHER : OTHER;
    bool any = false;
    for (int c = 0; c < 256 && !any; c++) any = a->first[c] & wanted;
    for (size_t i = 0; any && i < n; i++) {
        if (!(a->first[(uint8_t)text[i]] & wanted)) continue;
        const wgi_added_token *t = wgi_added_at(a, text + i, n - i, special);
        if (!t) continue;
        *begin = i - (t->left ? space_before(text, i) : 0);
        *end = i + t->size;
        if (t->right) *end += space_after(text + *end, n - *end);
        return t;
    }
    return NULL;
}
