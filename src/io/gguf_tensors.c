/* The tensor descriptions of a GGUF file, and where its data lie. */
#include "io/gguf.h"

#include <inttypes.h>
#include <stdlib.h>

#include "tensor/internal.h"

/* general.alignment, a power of two. */
static wg_status parse_align(wgi_gguf_cursor *c, wgi_gguf_header *h)
{
    const wgi_gguf_value *v = wgi_gguf_value_of(h, "general.alignment");
    int64_t align;
    if (!v) return WG_OK;
    c->kind = "key";
    c->name = v->key;
    if (v->type == WG_GGUF_ARRAY || !wgi_gguf_load_int(v, 0, &align))
        return wgi_gguf_bad(c, "no integer");
    if (align < 1 || align > 1 << 30 || (align & (align - 1)) != 0)
        return wgi_gguf_bad(c, "%" PRId64 " is no power of two up to 2^30", align);
    h->align = (uint64_t)align;
    c->name = NULL;
    return WG_OK;
}

/* ggml lists the innermost dimension first. Also gives the number of elements with sizes of 0
 * counted as 1, which bounds the strides. */
static wg_status parse_shape(wgi_gguf_cursor *c, wgi_gguf_tensor *t, int64_t *span)
{
    uint32_t n;
    wg_status st = wgi_gguf_take(c, &n, sizeof n);
    if (st) return st;
    if (n > WGI_GGUF_DIMS) return wgi_gguf_bad(c, "%" PRIu32 " dimensions: 4 are the most", n);
    t->shape.n = (int)n;
    *span = 1;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t d;
        st = wgi_gguf_take(c, &d, sizeof d);
        if (st) return st;
        if (d > INT64_MAX || __builtin_mul_overflow(*span, d ? (int64_t)d : 1, span))
            return wgi_gguf_bad(c, "its size overflows");
        t->shape.d[n - 1 - i] = (int64_t)d;
    }
    return WG_OK;
}

/* Sets t->bytes; one of an unknown type keeps 0. */
static wg_status measure(const wgi_gguf_cursor *c, wgi_gguf_tensor *t, int64_t span)
{
    int64_t bytes;
    if (!t->type) return WG_OK;
    const int64_t row = t->shape.n ? t->shape.d[t->shape.n - 1] : 1;
    if (row % t->type->block != 0)
        return wgi_gguf_bad(c, "rows of %" PRId64 " in blocks of %" PRId64 " (%s)", row,
                            t->type->block, t->type->name);
    /* A multiple of 8 bytes an element at the most, as everywhere in the library. */
    if (__builtin_mul_overflow(span, INT64_C(8), &bytes) ||
        __builtin_mul_overflow((span - 1) / t->type->block + 1, t->type->bytes, &bytes))
        return wgi_gguf_bad(c, "its size overflows");
    for (int i = 0; i < t->shape.n; i++)
        if (t->shape.d[i] == 0) bytes = 0;
    t->bytes = (uint64_t)bytes;
    return WG_OK;
}

static wg_status parse_tensor(wgi_gguf_cursor *c, wgi_gguf_tensor *t, uint64_t align)
{
    int64_t span = 1;
    wg_status st = wgi_gguf_take_name(c, &t->name);
    if (st) return st;
    c->name = t->name;
    st = parse_shape(c, t, &span);
    if (!st) st = wgi_gguf_take(c, &t->number, sizeof t->number);
    if (!st) st = wgi_gguf_take(c, &t->begin, sizeof t->begin);
    if (st) return st;
    t->type = wgi_gguf_tensor_type_of(t->number);
    if (t->begin % align != 0)
        return wgi_gguf_bad(c, "its data begin at %" PRIu64 ", no multiple of %" PRIu64, t->begin,
                            align);
    return measure(c, t, span);
}

static int compare_begins(const void *a, const void *b, void *tensors)
{
    const wgi_gguf_tensor *t = tensors;
    const wgi_gguf_tensor *x = &t[*(const int64_t *)a], *y = &t[*(const int64_t *)b];
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes; /* empty ones first */
}

/* Inside the file and apart. Uses names_order as room for the order. */
static wg_status check_data(wgi_gguf_cursor *c, wgi_gguf_header *h)
{
    const size_t pad = (size_t)(-(uint64_t)c->at & (h->align - 1));
    /* A file without tensors may end before the padding. */
    h->data = pad > c->bytes - c->at ? c->bytes : c->at + pad;
    const uint64_t data = c->bytes - h->data;
    for (int64_t i = 0; i < h->n_tensors; i++) h->names_order[i] = i;
    qsort_r(h->names_order, (size_t)h->n_tensors, sizeof *h->names_order, compare_begins,
            h->tensors);
    uint64_t at = 0;
    for (int64_t i = 0; i < h->n_tensors; i++) {
        const wgi_gguf_tensor *t = &h->tensors[h->names_order[i]];
        c->name = t->name;
        if (t->begin > data || t->bytes > data - t->begin)
            return wgi_gguf_bad(c, "its data reach beyond the end of the file");
        if (t->begin < at) return wgi_gguf_bad(c, "its data overlap another tensor's");
        at = t->begin + t->bytes;
    }
    c->name = NULL;
    return WG_OK;
}

wg_status wgi_gguf_parse_tensors(wgi_gguf_cursor *c, wgi_gguf_header *h)
{
    wg_status st = parse_align(c, h);
    c->kind = "tensor";
    for (c->index = 0; c->index < h->n_tensors && !st; c->index++) {
        st = parse_tensor(c, &h->tensors[c->index], h->align);
        c->name = NULL;
    }
    c->index = -1;
    if (!st) st = check_data(c, h);
    return st ? st : wgi_gguf_sort(c, h->tensors, sizeof *h->tensors, h->n_tensors, h->names_order);
}
