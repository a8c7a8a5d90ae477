#include "wengert/io.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "io/mapped.h"
#include "io/safetensors.h"
#include "tensor/internal.h"

struct wg_safetensors {
    wgi_mapping *mapping;
    wgi_safetensors_header header;
};

wg_safetensors *wg_safetensors_open(const char *path)
{
    if (wg_error_code()) return NULL;
    wgi_mapping *m = wgi_mapping_open(path);
    if (!m) return NULL;
    wg_safetensors *f = NULL;
    wgi_safetensors_header h;
    if (wgi_safetensors_parse(&h, path, m->data, m->bytes) == WG_OK) {
        f = malloc(sizeof *f);
        if (f) {
            *f = (wg_safetensors) { m, h };
            return f;
        }
        wgi_safetensors_header_free(&h);
        wg_raise(WG_EMEM, "%s: out of memory", path);
    }
    wgi_mapping_unref(m);
    return NULL;
}

void wg_safetensors_close(wg_safetensors *f)
{
    if (!f) return;
    wgi_safetensors_header_free(&f->header);
    wgi_mapping_unref(f->mapping); /* stays while tensors share it */
    free(f);
}

int64_t wg_safetensors_count(const wg_safetensors *f)
{
    return f ? f->header.n : 0;
}

const char *wg_safetensors_name(const wg_safetensors *f, int64_t i)
{
    return f && i >= 0 && i < f->header.n ? f->header.entries[i].name : NULL;
}

const char *wg_safetensors_metadata(const wg_safetensors *f, const char *key)
{
    return f && key ? json_string_value(json_object_get(f->header.metadata, key)) : NULL;
}

static const wgi_safetensors_entry *find(const wgi_safetensors_header *h, const char *name)
{
    int64_t low = 0, high = h->n;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        const wgi_safetensors_entry *e = &h->entries[h->by_name[middle]];
        const int order = strcmp(name, e->name);
        if (order == 0) return e;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

wg_tensor *wg_safetensors_get(wg_safetensors *f, const char *name)
{
    if (!f || !name) return wg_fail(WG_EARG, "safetensors_get: no file or no name given");
    const wgi_safetensors_entry *e = find(&f->header, name);
    if (!e) return NULL;
    const size_t bytes = (size_t)(e->end - e->begin), begin = f->header.data + (size_t)e->begin;
    const unsigned char *data = f->mapping->data + begin;
    if (e->dtype == WG_BOOL)
        for (size_t i = 0; i < bytes; i++)
            if (data[i] > 1)
                return wg_fail(WG_EFORMAT, "safetensors: tensor \"%.200s\": a BOOL is %d", name,
                               data[i]);
    return wgi_mapped_tensor(f->mapping, begin, bytes, e->dtype, &e->shape);
}
