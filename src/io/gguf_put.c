/* Collecting what becomes a GGUF file. */
#include <inttypes.h>
#include <stdlib.h>

#include "io/gguf_writer.h"
#include "tensor/internal.h"

enum { MAX_KEY = 65535, MAX_NAME = 63 }; /* the format's; ggml's GGML_MAX_NAME, less the NUL */

wg_status wgi_bytes_add(wgi_bytes *b, const void *data, size_t n)
{
    if (n > b->capacity - b->n) {
        const size_t capacity = (b->n + n) + (b->n + n) / 2 + 64;
        unsigned char *p = wgi_realloc(b->data, capacity);
        if (!p) return wg_raise(WG_EMEM, "gguf: out of memory");
        b->data = p;
        b->capacity = capacity;
    }
    if (n) memcpy(b->data + b->n, data, n);
    b->n += n;
    return WG_OK;
}

wg_gguf_writer *wg_gguf_writer_new(void)
{
    if (wg_error_code()) return NULL;
    wg_gguf_writer *w = wgi_malloc(sizeof *w);
    if (w)
        *w = (wg_gguf_writer) { 0 };
    else
        wg_raise(WG_EMEM, "gguf_writer_new: out of memory");
    return w;
}

void wg_gguf_writer_free(wg_gguf_writer *w)
{
    if (!w) return;
    for (int64_t i = 0; i < w->n_pairs; i++) {
        free(w->pairs[i].key);
        free(w->pairs[i].value.data);
    }
    for (int64_t i = 0; i < w->n_tensors; i++) {
        free(w->tensors[i].name);
        wgi_unref(w->tensors[i].tensor);
    }
    free(w->pairs);
    free(w->tensors);
    free(w);
}

static char *text(const char *s)
{
    const size_t n = strlen(s) + 1;
    char *copy = wgi_malloc(n);
    if (!copy)
        wg_raise(WG_EMEM, "gguf: out of memory");
    else
        memcpy(copy, s, n);
    return copy;
}

/* Room for one more element of `size` bytes. */
static bool grow(void **array, int64_t n, int64_t *capacity, size_t size)
{
    if (n < *capacity) return true;
    const int64_t more = 2 * n + 16;
    void *p = wgi_realloc(*array, (size_t)more * size);
    if (!p) return wg_raise(WG_EMEM, "gguf: out of memory") == WG_OK;
    *array = p;
    *capacity = more;
    return true;
}

/* ---- metadata -------------------------------------------------------------------------------- */
wgi_gguf_pair *wgi_gguf_pair_of(wg_gguf_writer *w, const char *key)
{
    for (int64_t i = 0; i < w->n_pairs; i++)
        if (!strcmp(w->pairs[i].key, key)) return &w->pairs[i];
    return NULL;
}

static bool usable(const wg_gguf_writer *w, const char *key, bool value)
{
    if (wg_error_code()) return false;
    if (!w || !key || !value)
        wg_raise(WG_EARG, "gguf_put: no writer, key or value given");
    else if (!*key || strlen(key) > MAX_KEY)
        wg_raise(WG_EARG, "gguf_put: a key is empty or above 65535 bytes");
    return wg_error_code() == WG_OK;
}

/* Gives the key its value, the old one's place or the last; takes v over. */
static void set(wg_gguf_writer *w, const char *key, wgi_bytes v)
{
    wgi_gguf_pair *p = wg_error_code() ? NULL : wgi_gguf_pair_of(w, key);
    if (p) {
        free(p->value.data);
        p->value = v;
        return;
    }
    char *name = NULL;
    if (!wg_error_code() &&
        grow((void **)&w->pairs, w->n_pairs, &w->pairs_capacity, sizeof *w->pairs))
        name = text(key);
    if (name)
        w->pairs[w->n_pairs++] = (wgi_gguf_pair) { name, v };
    else
        free(v.data);
}

/* The type's number, then n bytes of value. */
static wgi_bytes start(wg_gguf_type t, const void *value, size_t n)
{
    const uint32_t number = (uint32_t)t;
    wgi_bytes b = { 0 };
    if (!wgi_bytes_add(&b, &number, sizeof number)) (void)!wgi_bytes_add(&b, value, n);
    return b;
}

static bool is_integer(wg_gguf_type t)
{
    return wgi_gguf_type_bytes(t) > 0 && t != WG_GGUF_F32 && t != WG_GGUF_F64;
}

void wg_gguf_put_int(wg_gguf_writer *w, const char *key, wg_gguf_type t, int64_t value)
{
    if (!usable(w, key, true)) return;
    if (!is_integer(t)) {
        wg_raise(WG_EARG, "gguf_put_int: %s: the type %s holds no integer", key,
                 wgi_gguf_type_name(t));
        return;
    }
    wgi_bytes b = start(t, &value, (size_t)wgi_gguf_type_bytes(t));
    /* What comes back from the bytes must be the value: the type's range is checked by that. */
    wgi_gguf_value v = { .type = t, .numbers = b.data + sizeof(uint32_t) };
    int64_t back = 0;
    if (!wg_error_code() && (!wgi_gguf_load_int(&v, 0, &back) || back != value ||
                             (t == WG_GGUF_BOOL && (uint64_t)value > 1)))
        wg_raise(WG_EARG, "gguf_put_int: %s: %" PRId64 " is outside %s", key, value,
                 wgi_gguf_type_name(t));
    set(w, key, b);
}

void wg_gguf_put_double(wg_gguf_writer *w, const char *key, wg_gguf_type t, double value)
{
    if (!usable(w, key, true)) return;
    const float narrow = (float)value;
    if (t == WG_GGUF_F32)
        set(w, key, start(t, &narrow, sizeof narrow));
    else if (t == WG_GGUF_F64)
        set(w, key, start(t, &value, sizeof value));
    else
        wg_raise(WG_EARG, "gguf_put_double: %s: the type is %s", key, wgi_gguf_type_name(t));
}

static void add_string(wgi_bytes *b, const char *s, int64_t bytes)
{
    const uint64_t n = bytes < 0 ? strlen(s) : (uint64_t)bytes;
    if (!wgi_bytes_add(b, &n, sizeof n)) (void)!wgi_bytes_add(b, s, (size_t)n);
}

void wg_gguf_put_string(wg_gguf_writer *w, const char *key, const char *s, int64_t bytes)
{
    if (!usable(w, key, s != NULL)) return;
    wgi_bytes b = start(WG_GGUF_STRING, NULL, 0);
    if (!wg_error_code()) add_string(&b, s, bytes);
    set(w, key, b);
}

static wgi_bytes start_array(wg_gguf_type t, int64_t n)
{
    const uint32_t element = (uint32_t)t;
    const uint64_t count = (uint64_t)n;
    wgi_bytes b = start(WG_GGUF_ARRAY, &element, sizeof element);
    if (!wg_error_code()) (void)!wgi_bytes_add(&b, &count, sizeof count);
    return b;
}

void wg_gguf_put_array(wg_gguf_writer *w, const char *key, wg_gguf_type t, const void *values,
                       int64_t n)
{
    if (!usable(w, key, values || n == 0)) return;
    const int64_t each = wgi_gguf_type_bytes(t);
    int64_t bytes = 0;
    if (each == 0 || n < 0 || __builtin_mul_overflow(n, each, &bytes))
        wg_raise(WG_EARG, "gguf_put_array: %s: %" PRId64 " elements of type %s", key, n,
                 wgi_gguf_type_name(t));
    for (int64_t i = 0; t == WG_GGUF_BOOL && i < bytes; i++)
        if (((const unsigned char *)values)[i] > 1)
            wg_raise(WG_EARG, "gguf_put_array: %s: a bool is neither 0 nor 1", key);
    if (wg_error_code()) return;
    wgi_bytes b = start_array(t, n);
    if (!wg_error_code()) (void)!wgi_bytes_add(&b, values, (size_t)bytes);
    set(w, key, b);
}

void wg_gguf_put_strings(wg_gguf_writer *w, const char *key, const char *const *texts,
                         const int64_t *bytes, int64_t n)
{
    if (!usable(w, key, (texts || n == 0) && n >= 0)) return;
    wgi_bytes b = start_array(WG_GGUF_STRING, n);
    for (int64_t i = 0; i < n && !wg_error_code(); i++)
        if (texts[i])
            add_string(&b, texts[i], bytes ? bytes[i] : -1);
        else
            wg_raise(WG_EARG, "gguf_put_strings: %s: string %" PRId64 " is NULL", key, i);
    set(w, key, b);
}

void wgi_gguf_put_value(wg_gguf_writer *w, const wgi_gguf_value *v)
{
    set(w, v->key, start(v->type, v->raw, v->raw_bytes));
}

/* ---- tensors --------------------------------------------------------------------------------- */
static bool can_write(const wg_gguf_writer *w, const char *name, wg_tensor *t)
{
    if (!usable(w, name, true) || wgi_refuse(t, "gguf_put_tensor")) return false;
    const wg_dtype dtype = (wg_dtype)t->dtype;
    if (strlen(name) > MAX_NAME)
        wg_raise(WG_EARG, "gguf_put_tensor: %.200s: ggml takes names of 63 bytes at most", name);
    else if (t->device.kind == WG_META)
        wg_raise(WG_EDEVICE, "gguf_put_tensor: %s has no data (device meta)", name);
    else if (wgi_gguf_number_of(dtype) < 0)
        wg_raise(WG_EDTYPE, "gguf_put_tensor: %s: GGUF has no dtype %s", name,
                 wg_dtype_name(dtype));
    else if (t->ndim > WGI_GGUF_DIMS)
        wg_raise(WG_ESHAPE, "gguf_put_tensor: %s has %d dimensions: 4 are the most", name, t->ndim);
    for (int64_t i = 0; i < w->n_tensors && !wg_error_code(); i++)
        if (!strcmp(w->tensors[i].name, name))
            wg_raise(WG_EARG, "gguf_put_tensor: %s is given twice", name);
    return wg_error_code() == WG_OK;
}

void wg_gguf_put_tensor(wg_gguf_writer *w, const char *name, wg_tensor *t)
{
    int64_t bytes;
    if (!can_write(w, name, t)) return;
    const int64_t block = wg_dtype_block((wg_dtype)t->dtype);
    if (__builtin_mul_overflow(t->numel / block, (int64_t)wg_dtype_block_bytes((wg_dtype)t->dtype),
                               &bytes)) {
        wg_raise(WG_ESHAPE, "gguf_put_tensor: the size of %s overflows", name);
        return;
    }
    if (!grow((void **)&w->tensors, w->n_tensors, &w->tensors_capacity, sizeof *w->tensors)) return;
    char *copy = text(name);
    if (copy)
        w->tensors[w->n_tensors++] =
            (wgi_gguf_output) { .name = copy, .tensor = wgi_ref(t), .bytes = (uint64_t)bytes };
}
