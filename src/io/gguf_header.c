/* The head of a GGUF file, and what its two lists share: the cursor, names, their order. */
#include "io/gguf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "tensor/internal.h"

/* The least bytes of a pair (length and letter of its key, type, one-byte value) and of a tensor
 * (length and letter of its name, number of dimensions, type, offset). */
enum { LEAST_VALUE = 8 + 1 + 4 + 1, LEAST_TENSOR = 8 + 1 + 4 + 4 + 8 };

wg_status wgi_gguf_bad(const wgi_gguf_cursor *c, const char *fmt, ...)
{
    char what[400];
    va_list a;
    va_start(a, fmt);
    vsnprintf(what, sizeof what, fmt, a);
    va_end(a);
    if (c->name)
        return wg_raise(WG_EFORMAT, "%s: %s \"%.200s\": %s", c->path, c->kind, c->name, what);
    if (c->index >= 0)
        return wg_raise(WG_EFORMAT, "%s: %s %" PRId64 ": %s", c->path, c->kind, c->index, what);
    return wg_raise(WG_EFORMAT, "%s: %s", c->path, what);
}

wg_status wgi_gguf_take(wgi_gguf_cursor *c, void *out, size_t bytes)
{
    if (bytes > c->bytes - c->at) return wgi_gguf_bad(c, "the file ends within it");
    memcpy(out, c->file + c->at, bytes);
    c->at += bytes;
    return WG_OK;
}

wg_status wgi_gguf_take_name(wgi_gguf_cursor *c, char **out)
{
    uint64_t n = 0;
    wg_status st = wgi_gguf_take(c, &n, sizeof n);
    if (st) return st;
    if (n == 0) return wgi_gguf_bad(c, "its name is empty");
    if (n > c->bytes - c->at)
        return wgi_gguf_bad(c, "a name of %" PRIu64 " bytes where %zu are left", n,
                            c->bytes - c->at);
    if (memchr(c->file + c->at, 0, (size_t)n)) return wgi_gguf_bad(c, "its name holds a NUL");
    *out = wgi_malloc((size_t)n + 1);
    if (!*out) return wg_raise(WG_EMEM, "%s: out of memory", c->path);
    memcpy(*out, c->file + c->at, (size_t)n);
    (*out)[n] = '\0';
    c->at += (size_t)n;
    return WG_OK;
}

/* ---- items by name --------------------------------------------------------------------------- */
typedef struct {
    const char *items;
    size_t stride;
} table;

static const char *name_at(const table *t, int64_t i)
{
    const char *name;
    memcpy(&name, t->items + (size_t)i * t->stride, sizeof name);
    return name;
}

static int compare_names(const void *a, const void *b, void *t)
{
    return strcmp(name_at(t, *(const int64_t *)a), name_at(t, *(const int64_t *)b));
}

wg_status wgi_gguf_sort(const wgi_gguf_cursor *c, const void *items, size_t stride, int64_t n,
                        int64_t *order)
{
    table t = { items, stride };
    for (int64_t i = 0; i < n; i++) order[i] = i;
    qsort_r(order, (size_t)n, sizeof *order, compare_names, &t);
    for (int64_t i = 1; i < n; i++)
        if (!strcmp(name_at(&t, order[i - 1]), name_at(&t, order[i])))
            return wg_raise(WG_EFORMAT, "%s: %s \"%.200s\" occurs twice", c->path, c->kind,
                            name_at(&t, order[i]));
    return WG_OK;
}

int64_t wgi_gguf_find(const void *items, size_t stride, int64_t n, const int64_t *order,
                      const char *name)
{
    const table t = { items, stride };
    int64_t low = 0, high = n;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        const int side = strcmp(name, name_at(&t, order[middle]));
        if (side == 0) return order[middle];
        if (side < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

/* ---- the whole header ------------------------------------------------------------------------ */
static wg_status parse_start(wgi_gguf_cursor *c, wgi_gguf_header *h)
{
    char magic[4];
    uint64_t tensors, values;
    if (c->bytes < 24 || memcmp(c->file, WGI_GGUF_MAGIC, sizeof magic) != 0)
        return wgi_gguf_bad(c, "no GGUF file: it does not begin with \"GGUF\" and three numbers");
    wg_status st = wgi_gguf_take(c, magic, sizeof magic);
    if (!st) st = wgi_gguf_take(c, &h->version, sizeof h->version);
    if (!st) st = wgi_gguf_take(c, &tensors, sizeof tensors);
    if (!st) st = wgi_gguf_take(c, &values, sizeof values);
    if (st) return st;
    if ((h->version & 0xffff) == 0) return wgi_gguf_bad(c, "a big-endian GGUF file");
    if (h->version != 2 && h->version != 3)
        return wgi_gguf_bad(c, "version %" PRIu32 " of GGUF: 2 and 3 are supported", h->version);
    const uint64_t left = c->bytes - c->at;
    if (values > left / LEAST_VALUE)
        return wgi_gguf_bad(c, "%" PRIu64 " keys in %" PRIu64 " bytes", values, left);
    if (tensors > left / LEAST_TENSOR)
        return wgi_gguf_bad(c, "%" PRIu64 " tensors in %" PRIu64 " bytes", tensors, left);
    h->n_values = (int64_t)values;
    h->n_tensors = (int64_t)tensors;
    return WG_OK;
}

/* Zeroed, of n elements or more. */
static void *room(int64_t n, size_t size)
{
    void *p = wgi_malloc(((size_t)n + 1) * size);
    if (p) memset(p, 0, ((size_t)n + 1) * size);
    return p;
}

wg_status wgi_gguf_parse(wgi_gguf_header *h, const char *path, const unsigned char *file,
                         size_t bytes)
{
    wgi_gguf_cursor c = { .path = path, .file = file, .bytes = bytes, .index = -1 };
    *h = (wgi_gguf_header) { .align = WGI_GGUF_ALIGN };
    wg_status st = parse_start(&c, h);
    if (st) return st;
    h->values = room(h->n_values, sizeof *h->values);
    h->tensors = room(h->n_tensors, sizeof *h->tensors);
    h->values_order = room(h->n_values, sizeof *h->values_order);
    h->names_order = room(h->n_tensors, sizeof *h->names_order);
    if (!h->values || !h->tensors || !h->values_order || !h->names_order)
        st = wg_raise(WG_EMEM, "%s: out of memory", path);
    if (!st) st = wgi_gguf_parse_values(&c, h);
    if (!st) st = wgi_gguf_parse_tensors(&c, h);
    if (st) wgi_gguf_header_free(h);
    return st;
}

void wgi_gguf_header_free(wgi_gguf_header *h)
{
    if (h->values) wgi_gguf_values_free(h->values, h->n_values);
    if (h->tensors)
        for (int64_t i = 0; i < h->n_tensors; i++) free(h->tensors[i].name);
    free(h->values);
    free(h->tensors);
    free(h->values_order);
    free(h->names_order);
    *h = (wgi_gguf_header) { 0 };
}
