/* The key-value pairs of a GGUF file. */
#include "io/gguf.h"

#include <inttypes.h>
#include <stdlib.h>

#include "tensor/internal.h"

/* ---- reading --------------------------------------------------------------------------------- */
/* Leaves the cursor where the string's bytes begin. */
static wg_status take_length(wgi_gguf_cursor *c, int64_t *n)
{
    uint64_t length;
    const wg_status st = wgi_gguf_take(c, &length, sizeof length);
    if (st) return st;
    if (length > c->bytes - c->at)
        return wgi_gguf_bad(c, "a string of %" PRIu64 " bytes where %zu are left", length,
                            c->bytes - c->at);
    *n = (int64_t)length;
    return WG_OK;
}

static wg_status parse_string(wgi_gguf_cursor *c, wgi_gguf_value *v)
{
    const wg_status st = take_length(c, &v->n);
    if (st) return st;
    v->text = wgi_malloc((size_t)v->n + 1);
    if (!v->text) return wg_raise(WG_EMEM, "%s: out of memory", c->path);
    memcpy(v->text, c->file + c->at, (size_t)v->n);
    v->text[v->n] = '\0';
    c->at += (size_t)v->n;
    return WG_OK;
}

/* Measured first, then copied. */
static wg_status parse_strings(wgi_gguf_cursor *c, wgi_gguf_value *v)
{
    wgi_gguf_cursor ahead = *c;
    int64_t total = 0, n = 0;
    for (int64_t i = 0; i < v->n; i++) {
        const wg_status st = take_length(&ahead, &n);
        if (st) return st;
        ahead.at += (size_t)n;
        total += n + 1; /* all strings lie in the file, and n of them have 8 bytes more each */
    }
    v->starts = wgi_malloc(((size_t)v->n + 1) * sizeof *v->starts);
    v->text = wgi_malloc((size_t)total + 1);
    if (!v->starts || !v->text) return wg_raise(WG_EMEM, "%s: out of memory", c->path);
    int64_t at = 0;
    for (int64_t i = 0; i < v->n; i++) {
        (void)!take_length(c, &n);
        v->starts[i] = at;
        memcpy(v->text + at, c->file + c->at, (size_t)n);
        v->text[at + n] = '\0';
        c->at += (size_t)n;
        at += n + 1;
    }
    v->starts[v->n] = at;
    return WG_OK;
}

/* n numbers that stay where they are. */
static wg_status parse_numbers(wgi_gguf_cursor *c, wgi_gguf_value *v, wg_gguf_type t, uint64_t n)
{
    const uint64_t each = (uint64_t)wgi_gguf_type_bytes(t), left = c->bytes - c->at;
    if (n > left / each)
        return wgi_gguf_bad(c, "%" PRIu64 " values of %s where %" PRIu64 " bytes are left", n,
                            wgi_gguf_type_name(t), left);
    v->numbers = c->file + c->at;
    for (uint64_t i = 0; t == WG_GGUF_BOOL && i < n; i++)
        if (v->numbers[i] > 1) return wgi_gguf_bad(c, "a bool is %d", v->numbers[i]);
    c->at += (size_t)(n * each);
    return WG_OK;
}

static wg_status parse_array(wgi_gguf_cursor *c, wgi_gguf_value *v)
{
    uint32_t element;
    uint64_t n;
    wg_status st = wgi_gguf_take(c, &element, sizeof element);
    if (!st) st = wgi_gguf_take(c, &n, sizeof n);
    if (st) return st;
    if (element > WG_GGUF_F64) return wgi_gguf_bad(c, "unknown type %" PRIu32, element);
    if (element == WG_GGUF_ARRAY) return wgi_gguf_bad(c, "arrays of arrays are not supported");
    v->element = (wg_gguf_type)element;
    const uint64_t least = element == WG_GGUF_STRING ? sizeof n : 1, left = c->bytes - c->at;
    if (n > left / least)
        return wgi_gguf_bad(c, "an array of %" PRIu64 " where %" PRIu64 " bytes are left", n, left);
    v->n = (int64_t)n;
    return element == WG_GGUF_STRING ? parse_strings(c, v) : parse_numbers(c, v, v->element, n);
}

static wg_status parse_value(wgi_gguf_cursor *c, wgi_gguf_value *v)
{
    uint32_t type;
    wg_status st = wgi_gguf_take_name(c, &v->key);
    if (st) return st;
    c->name = v->key;
    st = wgi_gguf_take(c, &type, sizeof type);
    if (st) return st;
    if (type > WG_GGUF_F64) return wgi_gguf_bad(c, "unknown type %" PRIu32, type);
    v->type = (wg_gguf_type)type;
    v->element = WG_GGUF_NONE;
    v->raw = c->file + c->at;
    st = v->type == WG_GGUF_STRING  ? parse_string(c, v)
         : v->type == WG_GGUF_ARRAY ? parse_array(c, v)
                                    : parse_numbers(c, v, v->type, 1);
    v->raw_bytes = (size_t)(c->file + c->at - v->raw);
    return st;
}

wg_status wgi_gguf_parse_values(wgi_gguf_cursor *c, wgi_gguf_header *h)
{
    c->kind = "key";
    wg_status st = WG_OK;
    for (c->index = 0; c->index < h->n_values && !st; c->index++) {
        st = parse_value(c, &h->values[c->index]);
        c->name = NULL;
    }
    c->index = -1;
    return st ? st : wgi_gguf_sort(c, h->values, sizeof *h->values, h->n_values, h->values_order);
}

void wgi_gguf_values_free(wgi_gguf_value *values, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        free(values[i].key);
        free(values[i].text);
        free(values[i].starts);
    }
}

/* ---- looking --------------------------------------------------------------------------------- */
const wgi_gguf_value *wgi_gguf_value_of(const wgi_gguf_header *h, const char *key)
{
    const int64_t i =
        wgi_gguf_find(h->values, sizeof *h->values, h->n_values, h->values_order, key);
    return i < 0 ? NULL : &h->values[i];
}

/* The number's bits, 0 above. */
static uint64_t bits(const wgi_gguf_value *v, wg_gguf_type t, int64_t i)
{
    const int64_t bytes = wgi_gguf_type_bytes(t);
    uint64_t word = 0;
    memcpy(&word, v->numbers + i * bytes, (size_t)bytes);
    return word;
}

bool wgi_gguf_load_int(const wgi_gguf_value *v, int64_t i, int64_t *out)
{
    const wg_gguf_type t = v->type == WG_GGUF_ARRAY ? v->element : v->type;
    if (!v->numbers || t == WG_GGUF_F32 || t == WG_GGUF_F64) return false;
    const uint64_t word = bits(v, t, i);
    switch (t) {
    case WG_GGUF_I8: *out = (int8_t)word; break;
    case WG_GGUF_I16: *out = (int16_t)word; break;
    case WG_GGUF_I32: *out = (int32_t)word; break;
    default: *out = (int64_t)word; break;
    }
    return t != WG_GGUF_U64 || word <= INT64_MAX;
}

double wgi_gguf_load_double(const wgi_gguf_value *v, int64_t i)
{
    const wg_gguf_type t = v->type == WG_GGUF_ARRAY ? v->element : v->type;
    const uint64_t word = bits(v, t, i);
    float f;
    double d;
    int64_t n;
    switch (t) {
    case WG_GGUF_F32: memcpy(&f, v->numbers + i * 4, sizeof f); return f;
    case WG_GGUF_F64: memcpy(&d, &word, sizeof d); return d;
    case WG_GGUF_U64: return (double)word;
    default: (void)wgi_gguf_load_int(v, i, &n); return (double)n;
    }
}
