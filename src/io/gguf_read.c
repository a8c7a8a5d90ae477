#include "wengert/gguf.h"

#include <inttypes.h>
#include <stdlib.h>

#include "io/gguf_writer.h"
#include "io/mapped.h"
#include "tensor/internal.h"

struct wg_gguf {
    wgi_mapping *mapping;
    char *path; /* for messages */
    wgi_gguf_header header;
};

wg_gguf *wg_gguf_open(const char *path)
{
    if (wg_error_code()) return NULL;
    wgi_mapping *m = wgi_mapping_open(path);
    if (!m) return NULL;
    wgi_gguf_header h;
    if (wgi_gguf_parse(&h, path, m->data, m->bytes) == WG_OK) {
        wg_gguf *f = wgi_malloc(sizeof *f);
        char *name = wgi_malloc(strlen(path) + 1);
        if (f && name) {
            *f = (wg_gguf) { m, strcpy(name, path), h };
            return f;
        }
        free(f);
        free(name);
        wgi_gguf_header_free(&h);
        wg_raise(WG_EMEM, "%s: out of memory", path);
    }
    wgi_mapping_unref(m);
    return NULL;
}

void wg_gguf_close(wg_gguf *f)
{
    if (!f) return;
    wgi_gguf_header_free(&f->header);
    wgi_mapping_unref(f->mapping); /* stays while tensors share it */
    free(f->path);
    free(f);
}

int wg_gguf_version(const wg_gguf *f)
{
    return f ? (int)f->header.version : 0;
}

/* ---- metadata -------------------------------------------------------------------------------- */
int64_t wg_gguf_key_count(const wg_gguf *f)
{
    return f ? f->header.n_values : 0;
}

const char *wg_gguf_key(const wg_gguf *f, int64_t i)
{
    return f && i >= 0 && i < f->header.n_values ? f->header.values[i].key : NULL;
}

static const wgi_gguf_value *value_of(const wg_gguf *f, const char *key)
{
    return f && key ? wgi_gguf_value_of(&f->header, key) : NULL;
}

bool wg_gguf_has(const wg_gguf *f, const char *key)
{
    return value_of(f, key) != NULL;
}

wg_gguf_type wg_gguf_key_type(const wg_gguf *f, const char *key)
{
    const wgi_gguf_value *v = value_of(f, key);
    return v ? v->type : WG_GGUF_NONE;
}

wg_gguf_type wg_gguf_array_type(const wg_gguf *f, const char *key)
{
    const wgi_gguf_value *v = value_of(f, key);
    return v ? v->element : WG_GGUF_NONE;
}

/* v is not what the caller wants. */
static void unwanted(const wg_gguf *f, const wgi_gguf_value *v, const char *wanted)
{
    const bool array = v->type == WG_GGUF_ARRAY;
    wg_raise(WG_EFORMAT, "%s: key \"%.200s\" is %s%s where %s is wanted", f->path, v->key,
             array ? "an array of " : "a value of type ",
             wgi_gguf_type_name(array ? v->element : v->type), wanted);
}

int64_t wg_gguf_int(const wg_gguf *f, const char *key, int64_t otherwise)
{
    const wgi_gguf_value *v = value_of(f, key);
    int64_t n;
    if (!v) return otherwise;
    if (v->type != WG_GGUF_ARRAY && wgi_gguf_load_int(v, 0, &n)) return n;
    unwanted(f, v, "an integer below 2^63");
    return otherwise;
}

double wg_gguf_double(const wg_gguf *f, const char *key, double otherwise)
{
    const wgi_gguf_value *v = value_of(f, key);
    if (!v) return otherwise;
    if (v->type != WG_GGUF_ARRAY && v->numbers) return wgi_gguf_load_double(v, 0);
    unwanted(f, v, "a number");
    return otherwise;
}

const char *wg_gguf_string(const wg_gguf *f, const char *key, int64_t *bytes)
{
    const wgi_gguf_value *v = value_of(f, key);
    if (bytes) *bytes = 0;
    if (!v) return NULL;
    if (v->type != WG_GGUF_STRING) {
        unwanted(f, v, "a string");
        return NULL;
    }
    if (bytes) *bytes = v->n;
    return v->text;
}

int64_t wg_gguf_array_size(const wg_gguf *f, const char *key)
{
    const wgi_gguf_value *v = value_of(f, key);
    return v && v->type == WG_GGUF_ARRAY ? v->n : -1;
}

/* The array, if it is one and has an element i; raises otherwise. */
static const wgi_gguf_value *array_at(const wg_gguf *f, const char *key, int64_t i,
                                      const char *wanted)
{
    const wgi_gguf_value *v = value_of(f, key);
    if (!v) {
        wg_raise(WG_ENOTFOUND, "%s: there is no key \"%.200s\"", f ? f->path : "no GGUF file",
                 key ? key : "");
        return NULL;
    }
    if (v->type != WG_GGUF_ARRAY) {
        unwanted(f, v, wanted);
        return NULL;
    }
    if (i >= 0 && i < v->n) return v;
    wg_raise(WG_EINDEX, "%s: element %" PRId64 " of the %" PRId64 " of \"%.200s\"", f->path, i,
             v->n, v->key);
    return NULL;
}

const char *wg_gguf_array_string(const wg_gguf *f, const char *key, int64_t i, int64_t *bytes)
{
    if (bytes) *bytes = 0;
    const wgi_gguf_value *v = array_at(f, key, i, "an array of strings");
    if (!v) return NULL;
    if (!v->starts) {
        unwanted(f, v, "an array of strings");
        return NULL;
    }
    if (bytes) *bytes = v->starts[i + 1] - v->starts[i] - 1;
    return v->text + v->starts[i];
}

int64_t wg_gguf_array_int(const wg_gguf *f, const char *key, int64_t i)
{
    const wgi_gguf_value *v = array_at(f, key, i, "an array of integers");
    int64_t n;
    if (!v) return 0;
    if (wgi_gguf_load_int(v, i, &n)) return n;
    unwanted(f, v, "an array of integers below 2^63");
    return 0;
}

double wg_gguf_array_double(const wg_gguf *f, const char *key, int64_t i)
{
    const wgi_gguf_value *v = array_at(f, key, i, "an array of numbers");
    if (!v) return 0;
    if (v->numbers) return wgi_gguf_load_double(v, i);
    unwanted(f, v, "an array of numbers");
    return 0;
}

void wg_gguf_put_from(wg_gguf_writer *w, const wg_gguf *f, const char *key)
{
    if (wg_error_code()) return;
    const wgi_gguf_value *v = value_of(f, key);
    if (!w || !f)
        wg_raise(WG_EARG, "gguf_put_from: no writer or no file given");
    else if (key && !v)
        wg_raise(WG_ENOTFOUND, "gguf_put_from: there is no key \"%.200s\" in %s", key, f->path);
    else if (v)
        wgi_gguf_put_value(w, v);
    else
        for (int64_t i = 0; i < f->header.n_values && !wg_error_code(); i++)
            wgi_gguf_put_value(w, &f->header.values[i]);
}

/* ---- tensors --------------------------------------------------------------------------------- */
int64_t wg_gguf_count(const wg_gguf *f)
{
    return f ? f->header.n_tensors : 0;
}

static const wgi_gguf_tensor *tensor_at(const wg_gguf *f, int64_t i)
{
    return f && i >= 0 && i < f->header.n_tensors ? &f->header.tensors[i] : NULL;
}

const char *wg_gguf_name(const wg_gguf *f, int64_t i)
{
    const wgi_gguf_tensor *t = tensor_at(f, i);
    return t ? t->name : NULL;
}

wg_dtype wg_gguf_dtype(const wg_gguf *f, int64_t i)
{
    const wgi_gguf_tensor *t = tensor_at(f, i);
    return t && t->type ? t->type->dtype : (wg_dtype)0;
}

wg_dims wg_gguf_shape(const wg_gguf *f, int64_t i)
{
    const wgi_gguf_tensor *t = tensor_at(f, i);
    return t ? wgi_dims(t->shape.n, t->shape.d) : wgi_dims(0, NULL);
}

wg_tensor *wg_gguf_get(wg_gguf *f, const char *name)
{
    if (!f || !name) return wg_fail(WG_EARG, "gguf_get: no file or no name given");
    const wgi_gguf_header *h = &f->header;
    const int64_t i =
        wgi_gguf_find(h->tensors, sizeof *h->tensors, h->n_tensors, h->names_order, name);
    if (i < 0) return NULL;
    const wgi_gguf_tensor *t = &h->tensors[i];
    if (!t->type)
        return wg_fail(WG_EDTYPE,
                       "%s: tensor \"%.200s\" is of ggml's type %" PRIu32 ", which is not known",
                       f->path, name, t->number);
    if (!t->type->dtype)
        return wg_fail(WG_EDTYPE, "%s: tensor \"%.200s\" is %s, which is not supported", f->path,
                       name, t->type->name);
    return wgi_mapped_tensor(f->mapping, h->data + (size_t)t->begin, (size_t)t->bytes,
                             t->type->dtype, &t->shape);
}
