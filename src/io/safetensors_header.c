#include "safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "wengert/error.h"

static const struct {
    const char *name;
    wg_dtype dtype;
} dtypes[] = { { "F64", WG_F64 }, { "F32", WG_F32 }, { "F16", WG_F16 }, { "BF16", WG_BF16 },
               { "I64", WG_I64 }, { "I32", WG_I32 }, { "U8", WG_U8 },   { "BOOL", WG_BOOL } };
enum { DTYPES = sizeof dtypes / sizeof dtypes[0] };

const char *wgi_safetensors_dtype(wg_dtype t)
{
    for (int i = 0; i < DTYPES; i++)
        if (dtypes[i].dtype == t) return dtypes[i].name;
    return NULL;
}

/* What a check of one tensor sees: only for messages. */
typedef struct {
    const char *path, *name;
} place;

static wg_status bad(const place *p, const char *what)
{
    return wg_raise(WG_EFORMAT, "%s: tensor \"%.200s\": %s", p->path, p->name, what);
}

static wg_status parse_dtype(const place *p, const json_t *value, wg_dtype *out)
{
    const char *name = json_string_value(value);
    if (!name) return bad(p, "\"dtype\" is missing or no string");
    for (int i = 0; i < DTYPES; i++) {
        if (strcmp(name, dtypes[i].name)) continue;
        *out = dtypes[i].dtype;
        return WG_OK;
    }
    return wg_raise(
        WG_EFORMAT,
        "%s: tensor \"%.200s\": dtype %.20s is not supported (F64 F32 F16 BF16 I64 I32 U8 BOOL are)",
        p->path, p->name, name);
}

/* Also gives the tensor's size in bytes. */
static wg_status parse_shape(const place *p, const json_t *value, wg_dtype t, wg_dims *out,
                             uint64_t *bytes)
{
    if (!json_is_array(value)) return bad(p, "\"shape\" is missing or no array");
    const size_t n = json_array_size(value);
    if (n > WG_MAX_DIMS) return bad(p, "more than 8 dimensions");
    out->n = (int)n;
    /* The product of sizes with 0 counted as 1 bounds the strides, so it must not overflow either.
     */
    int64_t span = (int64_t)wg_dtype_size(t);
    bool empty = false;
    for (size_t i = 0; i < n; i++) {
        const json_t *size = json_array_get(value, i);
        const int64_t d = json_integer_value(size);
        if (!json_is_integer(size) || d < 0) return bad(p, "a size is no integer of 0 or more");
        if (__builtin_mul_overflow(span, d ? d : 1, &span)) return bad(p, "the size overflows");
        empty |= d == 0;
        out->d[i] = d;
    }
    *bytes = empty ? 0 : (uint64_t)span;
    return WG_OK;
}

static wg_status parse_offsets(const place *p, const json_t *value, uint64_t data,
                               wgi_safetensors_entry *e)
{
    if (!json_is_array(value) || json_array_size(value) != 2)
        return bad(p, "\"data_offsets\" is missing or no pair");
    const json_t *begin = json_array_get(value, 0), *end = json_array_get(value, 1);
    if (!json_is_integer(begin) || !json_is_integer(end) || json_integer_value(begin) < 0 ||
        json_integer_value(end) < 0)
        return bad(p, "an offset is no integer of 0 or more");
    e->begin = (uint64_t)json_integer_value(begin);
    e->end = (uint64_t)json_integer_value(end);
    if (e->begin > e->end) return bad(p, "its data end before they begin");
    if (e->end > data) return bad(p, "its data reach beyond the end of the file");
    return WG_OK;
}

static wg_status parse_entry(const place *p, const json_t *value, uint64_t data,
                             wgi_safetensors_entry *e)
{
    e->name = p->name;
    if (!json_is_object(value)) return bad(p, "its description is no object");
    uint64_t bytes = 0;
    wg_status st = parse_dtype(p, json_object_get(value, "dtype"), &e->dtype);
    if (!st) st = parse_shape(p, json_object_get(value, "shape"), e->dtype, &e->shape, &bytes);
    if (!st) st = parse_offsets(p, json_object_get(value, "data_offsets"), data, e);
    if (!st && e->end - e->begin != bytes)
        st = wg_raise(WG_EFORMAT,
                      "%s: tensor \"%.200s\": %" PRIu64
                      " bytes of data where its shape and dtype need %" PRIu64,
                      p->path, p->name, e->end - e->begin, bytes);
    return st;
}

static wg_status parse_metadata(const char *path, json_t *value)
{
    if (!json_is_object(value))
        return wg_raise(WG_EFORMAT, "%s: \"__metadata__\" is no object", path);
    const char *key;
    json_t *v;
    json_object_foreach(value, key, v)
    {
        if (!json_is_string(v))
            return wg_raise(WG_EFORMAT,
                            "%s: \"__metadata__\": the value of \"%.200s\" is no string", path,
                            key);
    }
    return WG_OK;
}

/* ---- order, overlaps, holes ------------------------------------------------------------------ */
static int compare_names(const void *a, const void *b, void *entries)
{
    const wgi_safetensors_entry *e = entries;
    return strcmp(e[*(const int64_t *)a].name, e[*(const int64_t *)b].name);
}

static int compare_begins(const void *a, const void *b, void *entries)
{
    const wgi_safetensors_entry *e = entries;
    const wgi_safetensors_entry *x = &e[*(const int64_t *)a], *y = &e[*(const int64_t *)b];
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1
                           : x->end > y->end; /* empty tensors before the one that begins there */
}

/* Every byte of the data belongs to exactly one tensor. Uses by_name as room for the order. */
static wg_status check_cover(const wgi_safetensors_header *h, const char *path, uint64_t data)
{
    qsort_r(h->by_name, (size_t)h->n, sizeof *h->by_name, compare_begins, h->entries);
    uint64_t at = 0;
    for (int64_t i = 0; i < h->n; i++) {
        const wgi_safetensors_entry *e = &h->entries[h->by_name[i]];
        const place p = { path, e->name };
        if (e->begin < at) return bad(&p, "its data overlap another tensor's");
        if (e->begin > at)
            return wg_raise(WG_EFORMAT, "%s: a hole of %" PRIu64 " bytes before tensor \"%.200s\"",
                            path, e->begin - at, e->name);
        at = e->end;
    }
    if (at != data)
        return wg_raise(WG_EFORMAT, "%s: %" PRIu64 " bytes after the last tensor", path, data - at);
    return WG_OK;
}

static wg_status parse_entries(wgi_safetensors_header *h, const char *path, uint64_t data)
{
    const size_t room = json_object_size(h->json) + 1; /* never 0 */
    h->entries = calloc(room, sizeof *h->entries);
    h->by_name = calloc(room, sizeof *h->by_name);
    if (!h->entries || !h->by_name) return wg_raise(WG_EMEM, "%s: out of memory", path);
    const char *key;
    json_t *value;
    json_object_foreach(h->json, key, value)
    {
        wg_status st;
        if (!strcmp(key, "__metadata__")) {
            st = parse_metadata(path, value);
            h->metadata = value;
        } else {
            st = parse_entry(&(place) { path, key }, value, data, &h->entries[h->n]);
            h->by_name[h->n] = h->n;
            h->n++;
        }
        if (st) return st;
    }
    const wg_status st = check_cover(h, path, data);
    qsort_r(h->by_name, (size_t)h->n, sizeof *h->by_name, compare_names, h->entries);
    return st;
}

wg_status wgi_safetensors_parse(wgi_safetensors_header *h, const char *path,
                                const unsigned char *file, size_t bytes)
{
    *h = (wgi_safetensors_header) { 0 };
    uint64_t size;
    if (bytes < sizeof size)
        return wg_raise(WG_EFORMAT, "%s: %zu bytes are too few for a safetensors file", path,
                        bytes);
    memcpy(&size, file, sizeof size);
    if (size > WGI_SAFETENSORS_MAX_HEADER)
        return wg_raise(WG_EFORMAT,
                        "%s: no safetensors file, or a header above 100 MB (%" PRIu64 " bytes)",
                        path, size);
    if (size > bytes - sizeof size)
        return wg_raise(WG_EFORMAT, "%s: a header of %" PRIu64 " bytes in a file of %zu", path,
                        size, bytes);
    const char *text = (const char *)file + sizeof size;
    if (size == 0 || text[0] != '{')
        return wg_raise(WG_EFORMAT, "%s: the header does not begin with '{'", path);

    json_error_t error;
    h->json = json_loadb(text, (size_t)size, JSON_REJECT_DUPLICATES, &error);
    if (!h->json)
        return wg_raise(WG_EFORMAT, "%s: the header is no JSON: %s at byte %d", path, error.text,
                        error.position);
    h->data = sizeof size + (size_t)size;
    const wg_status st = parse_entries(h, path, bytes - h->data);
    if (st) wgi_safetensors_header_free(h);
    return st;
}

void wgi_safetensors_header_free(wgi_safetensors_header *h)
{
    json_decref(h->json);
    free(h->entries);
    free(h->by_name);
    *h = (wgi_safetensors_header) { 0 };
}
